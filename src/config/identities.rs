//! How claimed identities are proved: name servers that are asked, keys of automated clients. Must not ask or verify.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Site;
use crate::config::value;
use crate::facts::Signers;
use crate::fault::Fault;
use crate::hosts;
use crate::refresh::names;
use crate::yaml::Section;
use crate::yaml::Value;

/// Where the keys of automated clients stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A directory of keys (a JWK Set) or one JWK.
    File(PathBuf),
    /// One JWK written into the configuration.
    Inline(String),
}

/// Whose signatures are believed, and for which hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignedAgents {
    /// The keys.
    pub keys: Vec<KeySource>,
    /// The hosts that requests may be signed for: the shops' own.
    pub hosts: Vec<String>,
}

/// The port of name servers that are written without one.
const DNS: u16 = 53;

/// Whom to ask for the names behind addresses; nobody where the key is absent.
pub(super) fn dns(file: &Section<'_>) -> Option<names::Settings> {
    file.node("dns")?;
    let section = file.section("dns");
    let usual = names::Settings::default();
    let mut servers = Vec::new();
    for item in section.list("servers") {
        let server = match &item.value {
            Value::Text(text) => text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::from((ip, DNS)))),
            _ => None,
        };
        if server.is_none() {
            section.faults().at(item, "not the address of a name server such as `192.0.2.53` or `[2001:db8::53]:53`", None);
        }
        servers.extend(server);
    }
    let bounded = |text: &str| crate::yaml::duration(text).filter(|deadline| (100..=20_000).contains(&deadline.as_millis()));
    let deadline: Option<Duration> = section.parsed("deadline", "a duration from `100ms` to `20s`", bounded);
    section.finish();
    Some(names::Settings { servers, deadline: deadline.unwrap_or(usual.deadline) })
}

/// The keys of automated clients that are listed, and the hosts they may sign for: those of `sites` where no others are said.
pub(super) fn signers(file: &Section<'_>, folder: &Path, sites: &[Site]) -> SignedAgents {
    let section = file.section("web_bot_auth");
    let mut hosts = Vec::new();
    for (text, node) in value::texts(section.list("hosts"), section.faults()).iter().zip(section.list("hosts")) {
        let name = hosts::pattern(text);
        if name.is_none() {
            section.faults().at(node, format!("`{text}` is not a host such as `shop.example` or `*.shop.example`"), None);
        }
        hosts.extend(name);
    }
    if section.node("hosts").is_none() {
        hosts.extend(sites.iter().flat_map(|site| site.hosts.iter().cloned()));
    }
    let mut keys = Vec::new();
    for item in section.list("keys") {
        match &item.value {
            Value::Text(path) => keys.push(KeySource::File(folder.join(path))),
            Value::Map(_) => {
                let key = Section::of(item, file.faults());
                let text = |name: &'static str| key.text(name).unwrap_or_default();
                let (kty, crv, x, kid) = (text("kty"), text("crv"), text("x"), key.text("kid"));
                // What directories say of a key besides; there is one use for it here.
                for beside in ["use", "alg"] {
                    key.node(beside);
                }
                key.finish();
                keys.push(KeySource::Inline(serde_json::json!({ "kty": kty, "crv": crv, "x": x, "kid": kid }).to_string()));
            }
            other => section.faults().at(item, format!("expected a file or a JWK, found {}", other.kind()), None),
        }
    }
    let unsaid = hosts.is_empty() && section.list("hosts").is_empty();
    if let (true, false, Some(node)) = (unsaid, keys.is_empty(), file.node("web_bot_auth")) {
        let hint = "name the shop's own: `hosts: [shop.example]`; a signature made for another host would pass here as well";
        section.faults().at(node, "`web_bot_auth` has no `hosts`", Some(hint.to_owned()));
    }
    section.finish();
    SignedAgents { keys, hosts }
}

/// Reads the keys.
///
/// # Errors
/// All faults of all of them.
pub fn read_keys(agents: &SignedAgents) -> Result<Signers, Vec<Fault>> {
    let (mut signers, mut faults) = (Signers::default(), Vec::new());
    agents.hosts.iter().for_each(|host| signers.serve(host));
    for source in &agents.keys {
        let added = match source {
            KeySource::Inline(key) => signers.add("web_bot_auth", key.as_bytes()),
            KeySource::File(path) => {
                let name = path.display().to_string();
                std::fs::read(path)
                    .map_err(|error| Fault::of_file(&name, format!("cannot be read: {error}")))
                    .and_then(|bytes| signers.add(&name, &bytes))
            }
        };
        faults.extend(added.err());
    }
    if faults.is_empty() { Ok(signers) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(more: &str) -> Result<Config, Vec<String>> {
        let text = format!("upstream: http://s:1\n{more}");
        let read = Config::parse("c.yaml", text.as_bytes(), Path::new("/etc/cs"), &|_| None);
        read.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_are_looked_up_only_where_somebody_said_so() {
        assert_eq!(parse("").unwrap().dns, None);
        assert_eq!(parse("dns: { deadline: 2s }\n").unwrap().dns.map(|dns| dns.servers), Some(Vec::new()));
        let dns = parse("dns: { servers: [192.0.2.53, \"[2001:db8::53]:5353\"] }\n").unwrap().dns.unwrap();
        assert_eq!(dns.servers, ["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:5353".parse().unwrap()]);
        let faults = parse("dns: { servers: [resolver.example], deadline: 1h }\n").unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("not the address of a name server"), "{faults:?}");
    }

    #[test]
    fn keys_stand_in_files_or_in_the_configuration() {
        let key = "{ kty: OKP, crv: Ed25519, x: JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs }";
        let config = parse(&format!("web_bot_auth: {{ hosts: [shop.example], keys: [dir.json, {key}] }}\n")).unwrap().signers;
        assert_eq!(config.keys[0], KeySource::File("/etc/cs/dir.json".into()));
        assert!(read_keys(&SignedAgents { keys: config.keys[1..].to_vec(), ..config.clone() }).is_ok());
        let faults = read_keys(&config).unwrap_err();
        assert!(faults.len() == 1 && faults[0].to_string().contains("/etc/cs/dir.json"), "{faults:?}");
        assert!(parse("web_bot_auth: { keys: [7] }\n").unwrap_err()[0].contains("expected a file or a JWK"));
    }

    #[test]
    fn hosts_that_requests_are_signed_for_are_said_or_those_of_sites() {
        let hosts =
            |more: &str| parse(&format!("web_bot_auth: {{ keys: [dir.json]{more} }}\n")).map(|config| config.signers.hosts);
        assert_eq!(hosts(", hosts: [Shop.example, \"*.shop.example\"]").unwrap(), ["shop.example", "*.shop.example"]);
        let faults = hosts("").unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("`web_bot_auth` has no `hosts`"), "{faults:?}");
        assert!(hosts(", hosts: [\"https://shop.example\"]").unwrap_err()[0].contains("is not a host"));
        let sites = "sites: [{ hosts: [a.example, b.example], upstream: http://a:1 }]\nweb_bot_auth: { keys: [dir.json] }\n";
        assert_eq!(parse(sites).unwrap().signers.hosts, ["a.example", "b.example"]);
        assert_eq!(parse("").unwrap().signers, SignedAgents::default());
    }
}
