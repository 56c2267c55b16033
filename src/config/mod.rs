//! The operator's file -> settings. The only reader of `clicksieve.yaml`; reports every fault of the file at once, with
//! its place. Secrets come from the environment or from files of their own, never from the text itself.

mod acme;
mod change;
mod fronts;
mod identities;
mod lists;
mod read;
mod secret;
mod servers;
mod sites;
mod value;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnetwork::IpNetwork;
use secrecy::SecretString;
use url::Url;

use crate::event::user::Forms;
use crate::fault::Fault;
use crate::ledger::To;
use crate::proxy::AddressField;
use crate::proxy::CookieDomain;
use crate::proxy::HostField;
use crate::proxy::Origin;
use crate::proxy::servers::Group;
use crate::refresh::lists::Source;
use crate::refresh::names;
use crate::server::streams;
use crate::server::tls::acme::Settings as Acme;
use crate::server::tls::certificates::Files;
use crate::verdict::Mode;

pub use identities::KeySource;
pub use identities::SignedAgents;
pub use identities::read_keys;

/// Where the value of an environment variable comes from.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The checked configuration.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file that is on or off")]
pub struct Config {
    /// The shop's listener.
    pub listen: SocketAddr,
    /// The server that is meant where a request names no host: the first that is named below.
    pub upstream: Origin,
    /// The servers of the shop, or of all hosts that `sites` does not name; `None` where those have no shop.
    pub group: Option<Group>,
    /// Several shops, by their hosts.
    pub sites: Vec<Site>,
    /// The authorities that vouch for an upstream reached by TLS; `None` for the machine's.
    pub upstream_ca: Option<PathBuf>,
    /// TLS at the shop's listener; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// How far verdicts reach.
    pub mode: Mode,
    /// Where keys, spool, visits and records are kept.
    pub state: PathBuf,
    /// Threads that serve the shop; `None` for one per processor.
    pub cores: Option<usize>,
    /// The rule file; `None` for the shipped rules.
    pub rules: Option<PathBuf>,
    /// A folder whose lists replace the shipped ones of the same name.
    pub data: Option<PathBuf>,
    /// Lists that are fetched or read, in place of shipped ones or beside them.
    pub lists: Vec<Source>,
    /// Where the tag and the collector live on the shop's own host.
    pub prefix: String,
    /// Whether gzip pages may get the script spliced in front of the compressed stream.
    pub splice: bool,
    /// Whether forms get a field that nobody sees.
    pub form_trap: bool,
    /// Peers whose forwarding fields are believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// How they say whose a request is.
    pub fronts: Fronts,
    /// What the upstream sees as `Host`.
    pub host: HostField,
    /// Whether `Location` fields that name the upstream are rewritten to the shop's own host.
    pub rewrite_location: bool,
    /// The cookie domain the site sets and the one it gets instead.
    pub cookie_domain: Option<CookieDomain>,
    /// Whether the visitor must agree before anything is measured.
    pub consent_required: bool,
    /// Country calling code that completes national phone numbers, digits only.
    pub phone_country_code: Option<String>,
    /// In how many forms names, cities and zip codes are hashed.
    pub hash_forms: Forms,
    /// Where events go.
    pub destinations: Vec<Destination>,
    /// The Graph-compatible listener for back ends.
    pub graph_listen: SocketAddr,
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// The admin token; `None` to make one and keep it in the state folder.
    pub admin_token: Option<SecretString>,
    /// Host names the admin listener answers to beside loopback.
    pub admin_hosts: Vec<String>,
    /// Records.
    pub records: Records,
    /// The access log; `None` for none.
    pub access_log: Option<AccessLog>,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Limits.
    pub limits: Limits,
    /// The bounds of HTTP/2.
    pub http2: streams::Limits,
    /// What is plainly proxied.
    pub bypass: Bypass,
    /// Whom to ask for the names behind addresses that claim to be a crawler's; nobody without it.
    pub dns: Option<names::Settings>,
    /// The keys of automated clients that are known.
    pub signers: SignedAgents,
}

/// One of several shops.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its hosts in lower case, `*.` in front for one label more.
    pub hosts: Vec<String>,
    /// Its servers.
    pub group: Group,
    /// The authorities that vouch for those reached by TLS; `None` for the machine's.
    pub upstream_ca: Option<PathBuf>,
    /// What they see as `Host`.
    pub host: HostField,
    /// Whether `Location` fields that name them are rewritten to the shop's own host.
    pub rewrite_location: bool,
    /// The cookie domain the site sets and the one it gets instead.
    pub cookie_domain: Option<CookieDomain>,
    /// Path prefixes that are plainly proxied here.
    pub bypass: Vec<String>,
    /// The names of the destinations that events of its pages go to.
    pub destinations: Vec<String>,
}

/// TLS at the shop's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where certificates and keys are; the first is for clients that name no host or an unknown one.
    pub certificates: Vec<Files>,
    /// Certificates that are fetched from an authority.
    pub acme: Option<Acme>,
    /// A listener that sends plain HTTP to `https`.
    pub redirect: Option<SocketAddr>,
    /// For how long browsers are told to ask by `https` only.
    pub hsts: Option<Duration>,
}

/// How those in front say whose a request is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fronts {
    /// The field in which they name the client.
    pub client_field: AddressField,
    /// The field in which they say the JA4 of the visitor's handshake with them.
    pub ja4_field: Option<HeaderName>,
    /// Whether they, and nobody else, connect, and say first whose connection it is.
    pub proxy_protocol: bool,
}

/// One dataset that events go to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name in rules and records.
    pub name: String,
    /// The pixel or dataset id.
    pub pixel_id: String,
    /// Meta's access token; without one, events are taken and kept but not sent.
    pub access_token: SecretString,
    /// The app's secret, for `appsecret_proof`.
    pub app_secret: Option<SecretString>,
    /// The key that the shop's back end uses in place of Meta's token.
    pub key: Option<SecretString>,
    /// The API's host.
    pub host: Url,
    /// The API's version.
    pub version: String,
    /// Sent along so that Events Manager shows the events under "Test events"; they still count.
    pub test_event_code: Option<String>,
}

/// How decision records are kept.
#[derive(Clone, Debug)]
pub struct Records {
    /// Whether addresses are kept whole instead of cut to /24 or /48.
    pub full_address: bool,
    /// Whether page views that are not ad clicks get a record, too.
    pub pages: bool,
    /// Bytes of all record files together.
    pub max_bytes: u64,
    /// How long they are kept.
    pub keep: Duration,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where its lines go.
    pub to: To,
    /// Bytes of all its files together.
    pub max_bytes: u64,
}

/// Deadlines of the proxy; none is endless.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a visitor's whole request head.
    pub head: Duration,
    /// For a connection to the upstream.
    pub connect: Duration,
    /// For the upstream's response head.
    pub first_byte: Duration,
    /// For progress of a body in either direction.
    pub body: Duration,
    /// For a kept connection without a request.
    pub idle: Duration,
    /// For a tunnel without traffic.
    pub tunnel: Duration,
    /// For an unused connection to the upstream; stay below what the upstream allows.
    pub upstream_idle: Duration,
    /// For active requests when the process stops.
    pub grace: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the body of a conversion event.
    pub event_body: Duration,
    /// How long the process says that it is not ready before it stops accepting.
    pub drain_wait: Duration,
}

/// Limits of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address; loopback has no limit.
    pub connections_per_address: usize,
    /// Bytes of the spool's file.
    pub spool_bytes: u64,
    /// Visits with a click id or a proof.
    pub visits: usize,
    /// Visits with neither.
    pub plain_visits: usize,
    /// Bytes of counters in memory.
    pub counter_bytes: u64,
    /// Requests of one destination's key at the Graph-compatible listener per minute.
    pub graph_requests_per_minute: u32,
    /// Requests held in a tarpit at once.
    pub held_clicks: usize,
    /// Fields of a request head.
    pub fields: usize,
    /// Bytes of a request line.
    pub line: usize,
    /// Bytes of a request head.
    pub head: usize,
    /// What the overload guard holds the process's memory to.
    pub memory: Memory,
}

/// What the overload guard holds the process's memory to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The bound of its control group, if it has one.
    Auto,
    /// Nothing.
    Off,
    /// So many bytes.
    Bytes(u64),
}

/// What is plainly proxied: not scored, not injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bypass {
    /// Everything.
    pub all: bool,
    /// Requests for these hosts.
    pub hosts: Vec<String>,
    /// Requests whose path begins so.
    pub paths: Vec<String>,
}

impl Config {
    /// Reads a file; all its faults at once.
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Self, Vec<Fault>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            let hint = "name the file with `--config`, or start from docs/clicksieve.example.yaml";
            vec![Fault::of_file(&name, format!("cannot be read: {error}")).hint(hint)]
        })?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        Self::parse(&name, &bytes, folder, environment)
    }

    /// Reads a file's bytes; relative paths in it are taken from `folder`.
    pub fn parse(name: &str, bytes: &[u8], folder: &Path, environment: Environment<'_>) -> Result<Self, Vec<Fault>> {
        read::config(name, bytes, folder, environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn parse(text: &str) -> Result<Config, Vec<Fault>> {
        let environment = |name: &str| (name == "META_TOKEN").then(|| "EAAB-secret".to_owned());
        Config::parse("clicksieve.yaml", text.as_bytes(), Path::new("/etc/clicksieve"), &environment)
    }

    fn faults(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_upstream_has_to_be_said() {
        let config = parse("upstream: http://127.0.0.1:3000\n").unwrap();
        assert_eq!(config.mode, Mode::Observe);
        assert_eq!(config.listen.port(), 8080);
        assert!(config.graph_listen.ip().is_loopback() && config.admin_listen.ip().is_loopback());
        assert_eq!(config.state, Path::new("/etc/clicksieve/state"));
    }

    #[test]
    fn secrets_come_from_the_environment_and_never_show() {
        let text = "upstream: http://s:1\ndestinations:\n  - pixel_id: 123\n    access_token: ${META_TOKEN}\n";
        let config = parse(text).unwrap();
        assert_eq!(config.destinations[0].access_token.expose_secret(), "EAAB-secret");
        assert!(!format!("{config:?}").contains("EAAB"));
    }

    #[test]
    fn a_secret_written_into_the_file_is_refused_without_being_repeated() {
        let found = faults("upstream: http://s:1\ndestinations:\n  - pixel_id: 123\n    access_token: EAAB-in-the-open\n");
        assert_eq!(
            found,
            [
                "clicksieve.yaml:4:19: `access_token` is written into the file\nhint: use `${NAME}` for an environment variable, or `access_token_file`"
            ]
        );
    }

    #[test]
    fn the_commented_example_loads_and_states_the_defaults() {
        let text = include_str!("../../docs/clicksieve.example.yaml");
        let environment = |name: &str| Some(format!("{name}-value"));
        let example = Config::parse("example", text.as_bytes(), Path::new("/x"), &environment).unwrap();
        let bare = Config::parse("bare", b"upstream: http://127.0.0.1:3000\n", Path::new("/x"), &environment).unwrap();
        let shown =
            |config: &Config| format!("{:?} {:?} {:?} {:?}", config.deadlines, config.limits, config.http2, config.records);
        assert_eq!(shown(&example), shown(&bare));
        assert_eq!((example.mode, example.prefix, example.listen), (bare.mode, bare.prefix, bare.listen));
    }

    #[test]
    fn the_readmes_configuration_loads() {
        let readme = include_str!("../../README.md");
        let block = readme.split("```yaml\n").find(|block| block.starts_with("# clicksieve.yaml")).unwrap();
        let text = block.split("```").next().unwrap();
        let environment = |name: &str| Some(format!("{name}-value"));
        let config = Config::parse("README.md", text.as_bytes(), Path::new("/x"), &environment).unwrap();
        assert_eq!((config.mode, config.destinations.len()), (Mode::Observe, 1));
    }

    #[test]
    fn tls_needs_a_certificate_with_its_key() {
        let config =
            parse("upstream: http://s:1\ntls: { certificates: [{ certificate: a.pem, key: /b.pem }], hsts: 180d }\n").unwrap();
        let tls = config.tls.unwrap();
        let files = Files { certificate: "/etc/clicksieve/a.pem".into(), key: "/b.pem".into() };
        assert_eq!((tls.certificates, tls.redirect, tls.hsts), (vec![files], None, Some(Duration::from_hours(180 * 24))));
        let found = faults("upstream: http://s:1\ntls:\n  certificates:\n    - certificate: a.pem\n      kee: b.pem\n");
        assert!(found.iter().any(|fault| fault.contains("unknown field `kee`")), "{found:?}");
        assert!(found.iter().any(|fault| fault.contains("`key` is missing")), "{found:?}");
        let found = faults("upstream: http://s:1\ntls: { redirect: \"0.0.0.0:80\" }\n");
        assert!(found[0].contains("`tls` has no certificate"), "{found:?}");
    }

    #[test]
    fn http2_is_offered_to_an_upstream_by_tls_only() {
        assert!(parse("upstream: https://s:1\nupstream_http2: true\n").unwrap().upstream.offers_http2());
        assert!(!parse("upstream: https://s:1\n").unwrap().upstream.offers_http2());
        let found = faults("upstream: http://s:1\nupstream_http2: true\n");
        assert!(found[0].contains("`upstream` is plain HTTP") && found[0].contains("`h2c://`"), "{found:?}");
    }

    #[test]
    fn all_faults_come_at_once() {
        let found = faults("listn: 1\nmode: strickt\nupstream: ftp://x\nprefix: cs\ntrusted_proxies: [10.0.0.1/8, no]\n");
        assert_eq!(
            found,
            [
                "clicksieve.yaml:1:1: unknown field `listn`\nhint: did you mean `listen`?",
                "clicksieve.yaml:2:7: unknown mode `strickt`\nhint: did you mean `strict`?",
                "clicksieve.yaml:3:11: `upstream`: `ftp://x` is not an address such as `http://127.0.0.1:3000`",
                "clicksieve.yaml:4:9: `prefix`: `cs` is not a path such as `/_cs`",
                "clicksieve.yaml:5:19: `10.0.0.1/8` has bits set behind its prefix\nhint: write `10.0.0.0/8`",
                "clicksieve.yaml:5:31: `no` is not an address or range such as `10.0.0.0/8`",
            ]
        );
    }

    #[test]
    fn networks_in_front_may_be_named() {
        let config = parse("upstream: http://s:1\ntrusted_proxies: [cloudflare, fastly, 10.0.0.0/8]\n").unwrap();
        let holds = |address: &str| config.trusted_proxies.iter().any(|network| network.contains(address.parse().unwrap()));
        for address in ["104.16.0.1", "2606:4700::1", "151.101.0.1", "10.1.2.3"] {
            assert!(holds(address), "{address}");
        }
        assert!(!holds("192.0.2.1"));
        let found = faults("upstream: http://s:1\ntrusted_proxies: [cloudfront, cloudflair]\n");
        assert_eq!(
            found,
            [
                "clicksieve.yaml:2:19: there is no shipped list of `cloudfront`\nhint: write its published ranges",
                "clicksieve.yaml:2:31: `cloudflair` is not an address or range such as `10.0.0.0/8`\nhint: did you mean `cloudflare`?",
            ]
        );
    }

    #[test]
    fn a_load_balancer_of_the_own_network_may_be_named_and_vouch_for_a_fingerprint() {
        let config = parse("upstream: http://s:1\ntrusted_proxies: [aws-alb]\nclient_address: { ja4_header: X-Ja4 }\n").unwrap();
        let holds = |address: &str| config.trusted_proxies.iter().any(|network| network.contains(address.parse().unwrap()));
        assert!(["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"].into_iter().all(holds));
        assert!(!holds("172.32.0.1") && !holds("2600::1"));
        assert_eq!(config.fronts.ja4_field, Some(HeaderName::from_static("x-ja4")));
        let found = faults("upstream: http://s:1\nclient_address: { ja4_header: x ja4 }\n");
        assert!(found[0].contains("the name of a field such as `x-ja4`"), "{found:?}");
    }

    #[test]
    fn a_field_of_ordinary_requests_cannot_bring_the_ja4() {
        for name in ["Host", "cookie", "Content-Length", "transfer-encoding", "Sec-CH-UA", "x-forwarded-for", "Keep-Alive"] {
            let found = faults(&format!("upstream: http://s:1\nclient_address: {{ ja4_header: {name} }}\n"));
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            let said = format!("2:31: `{}` is a field of ordinary requests", name.to_ascii_lowercase());
            assert!(found[0].contains(&said), "{found:?}");
        }
        assert!(parse("upstream: http://s:1\nclient_address: { ja4_header: cloudfront-viewer-ja4-fingerprint }\n").is_ok());
    }

    #[test]
    fn the_clients_address_may_stand_in_another_field() {
        let text = "upstream: http://s:1\ntrusted_proxies: [10.0.0.1]\nclient_address: { header: CF-Connecting-IP }\nproxy_protocol: true\n";
        let config = parse(text).unwrap();
        assert_eq!(config.fronts.client_field, AddressField::of_name("cf-connecting-ip").unwrap());
        assert!(config.fronts.proxy_protocol);
    }

    #[test]
    fn a_field_or_a_preamble_that_nobody_may_say_is_refused() {
        let found = faults("upstream: http://s:1\nclient_address: { header: x-my-ip }\nproxy_protocol: true\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("`x-my-ip` is not a field such as `cf-connecting-ip`"), "{found:?}");
        assert!(found[1].contains("`proxy_protocol` needs `trusted_proxies`"), "{found:?}");
    }

    #[test]
    fn an_admin_listener_in_the_open_is_refused() {
        let found = faults("upstream: http://s:1\nadmin: { listen: 0.0.0.0:9090 }\ngraph: { listen: 192.0.2.1:1 }\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("must be a loopback address"), "{found:?}");
    }

    #[test]
    fn every_bound_of_the_door_may_be_set_within_reason() {
        let text = "upstream: http://s:1\ndeadlines: { handshake: 3s, event_body: 4s, drain_wait: 5s }\n\
                    limits: { fields: 50, line: 4096, head: 16384, memory: 1GiB }\nhttp2: { streams: 7, ping: 9s }\n\
                    access_log: { path: stdout, format: json }\n";
        let config = parse(text).unwrap();
        let Deadlines { handshake, event_body, drain_wait, .. } = config.deadlines;
        assert_eq!([handshake, event_body, drain_wait], [3, 4, 5].map(Duration::from_secs));
        let Limits { fields, line, head, memory, .. } = config.limits;
        assert_eq!((fields, line, head, memory), (50, 4_096, 16_384, Memory::Bytes(1 << 30)));
        assert_eq!((config.http2.streams, config.http2.ping), (7, Duration::from_secs(9)));
        assert_eq!(config.access_log.map(|log| log.to), Some(To::Stdout));
        let found = faults(
            "upstream: http://s:1\nlimits: { fields: 5, memory: 1MiB }\nhttp2: { streams: 0 }\naccess_log: { format: text }\n",
        );
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn two_destinations_of_one_name_or_pixel_are_refused() {
        let row = "  - { pixel_id: 123, access_token: \"${META_TOKEN}\" }\n";
        let found = faults(&format!("upstream: http://s:1\ndestinations:\n{row}{row}"));
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
