//! The walk through the file, key by key in the order of the commented example. Must not start anything.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::config::AccessLog;
use crate::config::Bypass;
use crate::config::Config;
use crate::config::Deadlines;
use crate::config::Destination;
use crate::config::Environment;
use crate::config::Limits;
use crate::config::Memory;
use crate::config::Records;
use crate::config::Tls;
use crate::config::acme;
use crate::config::fronts;
use crate::config::identities;
use crate::config::lists;
use crate::config::secret::Secrets;
use crate::config::sites;
use crate::config::value;
use crate::event::user::Forms;
use crate::fault::Fault;
use crate::ledger::To;
use crate::proxy::CookieDomain;
use crate::proxy::HostField;
use crate::server;
use crate::server::streams;
use crate::server::tls::certificates::Files;
use crate::verdict::Mode;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;

const DAY: Duration = Duration::from_hours(24);
const GIB: u64 = 1 << 30;

/// Reads a whole file.
pub(super) fn config(name: &str, bytes: &[u8], folder: &Path, environment: Environment<'_>) -> Result<Config, Vec<Fault>> {
    let node = yaml::parse(name, bytes)?;
    let faults = Faults::new(name);
    let secrets = Secrets { folder, environment };
    let file = Section::of(&node, &faults);
    let destinations = destinations(&file, secrets);
    let shops = sites::shops(&file, &node, folder, &destinations);
    let signers = identities::signers(&file, folder, &shops.sites);
    let graph = file.section("graph");
    let admin = file.section("admin");
    let config = Config {
        listen: value::listener(&file, "listen").unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
        upstream_ca: sites::upstream_ca(&file, shops.group.as_ref(), folder),
        upstream: shops.first,
        group: shops.group,
        sites: shops.sites,
        tls: tls(&file, folder),
        mode: value::word(&file, "mode", &[("observe", Mode::Observe), ("warn", Mode::Warn), ("strict", Mode::Strict)])
            .unwrap_or_default(),
        state: folder.join(file.text("state").unwrap_or_else(|| "state".to_owned())),
        cores: file.number("cores", 1..=1_024).and_then(|cores| usize::try_from(cores).ok()),
        rules: file.text("rules").map(|path| folder.join(path)),
        data: file.text("data").map(|path| folder.join(path)),
        lists: lists::lists(&file, folder),
        prefix: file.parsed("prefix", "a path such as `/_cs`", value::prefix).unwrap_or_else(|| "/_cs".to_owned()),
        splice: file.flag("splice").unwrap_or(true),
        form_trap: file.flag("form_trap").unwrap_or(false),
        trusted_proxies: fronts::trusted(&file),
        fronts: fronts::fronts(&file),
        host: host(&file),
        rewrite_location: file.flag("rewrite_location").unwrap_or(false),
        cookie_domain: cookie_domain(&file),
        consent_required: value::word(&file, "consent", &[("not_required", false), ("required", true)]).unwrap_or(false),
        phone_country_code: file.parsed("phone_country_code", "a calling code such as `49`", calling_code),
        hash_forms: value::word(&file, "hash_forms", &[("one", Forms::One), ("every", Forms::Every)]).unwrap_or_default(),
        destinations,
        graph_listen: value::loopback(&graph, SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
        admin_listen: value::loopback(&admin, SocketAddr::from((Ipv4Addr::LOCALHOST, 9090))),
        admin_token: secrets.read(&admin, "token", "token_file"),
        admin_hosts: value::texts(admin.list("hosts"), &faults),
        records: records(&file.section("records")),
        access_log: access_log(&file, folder),
        deadlines: deadlines(&file.section("deadlines")),
        limits: limits(&file.section("limits")),
        http2: http2(&file.section("http2")),
        bypass: bypass(&file.section("bypass")),
        dns: identities::dns(&file),
        signers,
    };
    graph.finish();
    admin.finish();
    file.finish();
    faults.finish(config)
}

fn calling_code(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('+');
    let fits = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    fits.then(|| digits.to_owned())
}

/// Which `Host` the upstream sees.
pub(super) fn host(section: &Section<'_>) -> HostField {
    value::word(section, "host", &[("keep", HostField::Keep), ("upstream", HostField::Upstream)]).unwrap_or_default()
}

/// How the domain of the site's cookies is changed.
pub(super) fn cookie_domain(file: &Section<'_>) -> Option<CookieDomain> {
    file.node("cookie_domain")?;
    let section = file.section("cookie_domain");
    let (from, to) = (section.text("from"), section.text("to"));
    if (from.is_none() || to.is_none())
        && let Some(node) = section.place()
    {
        section.faults().at(node, "`cookie_domain` needs `from` and `to`", None);
    }
    section.finish();
    Some(CookieDomain { from: from?, to: to? })
}

fn destinations(file: &Section<'_>, secrets: Secrets<'_>) -> Vec<Destination> {
    let mut taken: Vec<Destination> = Vec::new();
    for item in file.list("destinations") {
        let section = Section::of(item, file.faults());
        let Some(destination) = destination(&section, item, secrets) else { continue };
        if taken.iter().any(|other| other.name == destination.name) {
            let hint = Some("give each destination a `name` of its own".to_owned());
            file.faults().at(item, format!("a second destination is named `{}`", destination.name), hint);
        }
        if taken.iter().any(|other| other.pixel_id == destination.pixel_id) {
            file.faults().at(item, format!("a second destination has the pixel `{}`", destination.pixel_id), None);
        }
        taken.push(destination);
    }
    taken
}

fn destination(section: &Section<'_>, item: &Node, secrets: Secrets<'_>) -> Option<Destination> {
    let name =
        section.parsed("name", "a name of lower-case letters, digits, `-` or `_`", label).unwrap_or_else(|| "meta".to_owned());
    let pixel_id = section.parsed("pixel_id", "a pixel or dataset id (digits)", digits);
    if section.node("pixel_id").is_none() {
        section.faults().at(item, "`pixel_id` is missing", None);
    }
    let access_token = secrets.read(section, "access_token", "access_token_file");
    if section.node("access_token").is_none() && section.node("access_token_file").is_none() {
        let hint = "Events Manager > dataset > settings > generate access token".to_owned();
        section.faults().at(item, "`access_token` or `access_token_file` is missing", Some(hint));
    }
    let destination = Destination {
        name,
        pixel_id: pixel_id.unwrap_or_default(),
        access_token: access_token.unwrap_or_default(),
        app_secret: secrets.read(section, "app_secret", "app_secret_file"),
        key: secrets.read(section, "key", "key_file"),
        host: section
            .parsed("host", "an https address such as `https://graph.facebook.com`", value::api_host)
            .or_else(|| Url::parse("https://graph.facebook.com").ok())?,
        version: section.parsed("version", "a Graph version such as `v26.0`", version).unwrap_or_else(|| "v26.0".to_owned()),
        test_event_code: section.text("test_event_code"),
    };
    section.finish();
    Some(destination)
}

fn label(text: &str) -> Option<String> {
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    fits.then(|| text.to_owned())
}

fn digits(text: &str) -> Option<String> {
    ((1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

fn version(text: &str) -> Option<String> {
    let (major, minor) = text.strip_prefix('v')?.split_once('.')?;
    let number = |part: &str| part.parse::<u16>().is_ok();
    (number(major) && number(minor)).then(|| text.to_owned())
}

fn tls(file: &Section<'_>, folder: &Path) -> Option<Tls> {
    let node = file.node("tls")?;
    let section = file.section("tls");
    let certificates: Vec<Files> =
        section.list("certificates").iter().filter_map(|item| certificate(item, &section, folder)).collect();
    if section.list("certificates").is_empty() && section.node("acme").is_none() {
        let hint = "certificates: [{ certificate: fullchain.pem, key: privkey.pem }], or `acme` to have one fetched".to_owned();
        section.faults().at(node, "`tls` has no certificate", Some(hint));
    }
    let (redirect, hsts) = (value::listener(&section, "redirect"), section.duration("hsts"));
    let acme = acme::acme(&section, redirect.is_some(), folder);
    section.finish();
    Some(Tls { certificates, acme, redirect, hsts })
}

fn certificate(item: &Node, above: &Section<'_>, folder: &Path) -> Option<Files> {
    let section = Section::of(item, above.faults());
    let path = |key: &'static str| {
        if section.node(key).is_none() {
            section.faults().at(item, format!("`{key}` is missing"), None);
        }
        section.text(key).map(|path| folder.join(path))
    };
    let files = path("certificate").zip(path("key"));
    section.finish();
    files.map(|(certificate, key)| Files { certificate, key })
}

fn records(section: &Section<'_>) -> Records {
    let records = Records {
        full_address: value::word(section, "address", &[("cut", false), ("full", true)]).unwrap_or(false),
        pages: section.flag("pages").unwrap_or(false),
        max_bytes: section.parsed("max_bytes", "a size such as `1GiB`", value::size).unwrap_or(GIB),
        keep: section.duration("keep").unwrap_or(7 * DAY),
    };
    section.finish();
    records
}

fn access_log(file: &Section<'_>, folder: &Path) -> Option<AccessLog> {
    let node = file.node("access_log")?;
    let section = file.section("access_log");
    let path = section.text("path");
    if path.is_none() {
        section.faults().at(node, "`access_log` has no `path`", Some("path: access.jsonl, or stdout".to_owned()));
    }
    // There is one form so far; naming it keeps files good when there are more.
    value::word(&section, "format", &[("json", ())]);
    let max_bytes = section.parsed("max_bytes", "a size such as `1GiB`", value::size).unwrap_or(GIB);
    section.finish();
    let to = |path: String| if path == "stdout" { To::Stdout } else { To::File(folder.join(path)) };
    path.map(|path| AccessLog { to: to(path), max_bytes })
}

fn deadlines(section: &Section<'_>) -> Deadlines {
    let seconds = |key: &'static str, usual: u64| section.duration(key).unwrap_or(Duration::from_secs(usual));
    let deadlines = Deadlines {
        head: seconds("head", 30),
        connect: seconds("connect", 5),
        first_byte: seconds("first_byte", 60),
        body: seconds("body", 60),
        idle: seconds("idle", 75),
        tunnel: seconds("tunnel", 3_600),
        upstream_idle: seconds("upstream_idle", 4),
        grace: seconds("grace", 30),
        handshake: seconds("handshake", 10),
        event_body: seconds("event_body", 10),
        drain_wait: seconds("drain_wait", 0),
    };
    section.finish();
    deadlines
}

fn limits(section: &Section<'_>) -> Limits {
    let count = |key: &'static str, usual: usize| {
        section.number(key, 1..=1_000_000).and_then(|count| usize::try_from(count).ok()).unwrap_or(usual)
    };
    let door = server::Settings::default();
    let limits = Limits {
        connections: count("connections", 10_000),
        connections_per_address: count("connections_per_address", 1_024),
        spool_bytes: section.parsed("spool_bytes", "a size such as `1GiB`", value::size).unwrap_or(GIB),
        visits: within(section, "visits", 1_000..=20_000_000).unwrap_or(200_000),
        plain_visits: within(section, "plain_visits", 1_000..=20_000_000).unwrap_or(100_000),
        counter_bytes: section
            .parsed("counter_bytes", "a size of at least `1MiB`", |text| value::size(text).filter(|bytes| *bytes >= 1 << 20))
            .unwrap_or(64 << 20),
        graph_requests_per_minute: u32::try_from(count("graph_requests_per_minute", 12_000)).unwrap_or(u32::MAX),
        held_clicks: count("held_clicks", 100),
        fields: within(section, "fields", 10..=1_000).unwrap_or(door.fields),
        line: within(section, "line", 1_024..=65_536).unwrap_or(door.line_limit),
        head: within(section, "head", 8_192..=1_048_576).unwrap_or(door.head_limit),
        memory: section.parsed("memory", "`auto`, `off` or a size of at least `64MiB`", memory).unwrap_or(Memory::Auto),
    };
    section.finish();
    limits
}

/// The marks are far apart only where there is something between them.
const LEAST_MEMORY: u64 = 64 << 20;

fn memory(text: &str) -> Option<Memory> {
    match text {
        "auto" => Some(Memory::Auto),
        "off" => Some(Memory::Off),
        size => value::size(size).filter(|bytes| *bytes >= LEAST_MEMORY).map(Memory::Bytes),
    }
}

fn within(section: &Section<'_>, key: &'static str, range: RangeInclusive<i64>) -> Option<usize> {
    section.number(key, range).and_then(|number| usize::try_from(number).ok())
}

/// Windows end at what RFC 9113 section 6.9.1 allows; everything else where it would cost more memory than it could be of use.
fn http2(section: &Section<'_>) -> streams::Limits {
    let usual = streams::Limits::default();
    let narrow = |key, range| within(section, key, range).and_then(|number| u32::try_from(number).ok());
    let limits = streams::Limits {
        streams: narrow("streams", 1..=1_000).unwrap_or(usual.streams),
        head: narrow("head", 8_192..=1_048_576).unwrap_or(usual.head),
        pending_resets: within(section, "pending_resets", 1..=1_000).unwrap_or(usual.pending_resets),
        own_resets: within(section, "own_resets", 16..=65_536).unwrap_or(usual.own_resets),
        stream_window: narrow("stream_window", 16_384..=16_777_216).unwrap_or(usual.stream_window),
        connection_window: narrow("connection_window", 65_535..=67_108_864).unwrap_or(usual.connection_window),
        send_buffer: within(section, "send_buffer", 16_384..=16_777_216).unwrap_or(usual.send_buffer),
        ping: section.duration("ping").unwrap_or(usual.ping),
        pong: section.duration("pong").unwrap_or(usual.pong),
    };
    section.finish();
    limits
}

fn bypass(section: &Section<'_>) -> Bypass {
    let bypass = Bypass {
        all: section.flag("all").unwrap_or(false),
        hosts: value::texts(section.list("hosts"), section.faults()),
        paths: value::texts(section.list("paths"), section.faults()),
    };
    section.finish();
    bypass
}
