//! The walk through the file, key by key in the order of the commented example. Must not start anything.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::Bypass;
use crate::config::Config;
use crate::config::Deadlines;
use crate::config::Destination;
use crate::config::Environment;
use crate::config::Limits;
use crate::config::Records;
use crate::config::Tls;
use crate::config::fronts;
use crate::config::secret::Secrets;
use crate::config::value;
use crate::event::user::Forms;
use crate::fault::Fault;
use crate::proxy::CookieDomain;
use crate::proxy::HostField;
use crate::proxy::Origin;
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
    let upstream = upstream_http2(&file, upstream(&file, &node));
    let graph = file.section("graph");
    let admin = file.section("admin");
    let config = Config {
        listen: value::listener(&file, "listen").unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
        upstream_ca: upstream_ca(&file, &upstream, folder),
        upstream,
        tls: tls(&file, folder),
        mode: value::word(&file, "mode", &[("observe", Mode::Observe), ("warn", Mode::Warn), ("strict", Mode::Strict)])
            .unwrap_or_default(),
        state: folder.join(file.text("state").unwrap_or_else(|| "state".to_owned())),
        cores: file.number("cores", 1..=1_024).and_then(|cores| usize::try_from(cores).ok()),
        rules: file.text("rules").map(|path| folder.join(path)),
        data: file.text("data").map(|path| folder.join(path)),
        prefix: file.parsed("prefix", "a path such as `/_cs`", value::prefix).unwrap_or_else(|| "/_cs".to_owned()),
        splice: file.flag("splice").unwrap_or(true),
        trusted_proxies: fronts::trusted(&file),
        fronts: fronts::fronts(&file),
        host: value::word(&file, "host", &[("keep", HostField::Keep), ("upstream", HostField::Upstream)]).unwrap_or_default(),
        rewrite_location: file.flag("rewrite_location").unwrap_or(false),
        cookie_domain: cookie_domain(&file),
        consent_required: value::word(&file, "consent", &[("not_required", false), ("required", true)]).unwrap_or(false),
        phone_country_code: file.parsed("phone_country_code", "a calling code such as `49`", calling_code),
        hash_forms: value::word(&file, "hash_forms", &[("one", Forms::One), ("every", Forms::Every)]).unwrap_or_default(),
        destinations: destinations(&file, secrets),
        graph_listen: value::loopback(&graph, SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
        admin_listen: value::loopback(&admin, SocketAddr::from((Ipv4Addr::LOCALHOST, 9090))),
        admin_token: secrets.read(&admin, "token", "token_file"),
        admin_hosts: value::texts(admin.list("hosts"), &faults),
        records: records(&file.section("records")),
        deadlines: deadlines(&file.section("deadlines")),
        limits: limits(&file.section("limits")),
        bypass: bypass(&file.section("bypass")),
    };
    graph.finish();
    admin.finish();
    file.finish();
    faults.finish(config)
}

fn upstream(file: &Section<'_>, node: &Node) -> Origin {
    let said = file.parsed("upstream", "an address such as `http://127.0.0.1:3000`", |text| Origin::parse(text).ok());
    if file.node("upstream").is_none() {
        let hint = "say where the shop is: `upstream: http://127.0.0.1:3000`".to_owned();
        file.faults().at(node, "`upstream` is missing", Some(hint));
    }
    // Stands in only where a fault was noted.
    said.unwrap_or_else(|| Origin::local(3_000))
}

fn upstream_http2(file: &Section<'_>, upstream: Origin) -> Origin {
    let (Some(node), Some(true)) = (file.node("upstream_http2"), file.flag("upstream_http2")) else { return upstream };
    if !upstream.is_tls() {
        let hint = "write `h2c://` there for HTTP/2 without TLS, or leave `upstream_http2` out".to_owned();
        file.faults().at(node, "`upstream_http2` is offered by TLS, and `upstream` is plain HTTP", Some(hint));
    }
    upstream.offering_http2()
}

fn upstream_ca(file: &Section<'_>, upstream: &Origin, folder: &Path) -> Option<PathBuf> {
    let (node, path) = (file.node("upstream_ca")?, file.text("upstream_ca")?);
    if !upstream.is_tls() {
        let hint = "write `https://` there, or leave `upstream_ca` out".to_owned();
        file.faults().at(node, "`upstream_ca` vouches for nobody: `upstream` is plain HTTP", Some(hint));
    }
    Some(folder.join(path))
}

fn calling_code(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('+');
    let fits = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    fits.then(|| digits.to_owned())
}

fn cookie_domain(file: &Section<'_>) -> Option<CookieDomain> {
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
    if section.list("certificates").is_empty() {
        let hint = "certificates: [{ certificate: fullchain.pem, key: privkey.pem }]".to_owned();
        section.faults().at(node, "`tls` has no certificate", Some(hint));
    }
    let (redirect, hsts) = (value::listener(&section, "redirect"), section.duration("hsts"));
    section.finish();
    Some(Tls { certificates, redirect, hsts })
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
    };
    section.finish();
    deadlines
}

fn limits(section: &Section<'_>) -> Limits {
    let count = |key: &'static str, usual: usize| {
        section.number(key, 1..=1_000_000).and_then(|count| usize::try_from(count).ok()).unwrap_or(usual)
    };
    let limits = Limits {
        connections: count("connections", 10_000),
        connections_per_address: count("connections_per_address", 1_024),
        spool_bytes: section.parsed("spool_bytes", "a size such as `1GiB`", value::size).unwrap_or(GIB),
        graph_requests_per_minute: u32::try_from(count("graph_requests_per_minute", 12_000)).unwrap_or(u32::MAX),
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
