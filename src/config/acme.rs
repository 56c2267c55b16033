//! `tls.acme`: which certificates are fetched from which authority. Must not speak to it.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::Url;

use crate::config::value;
use crate::server::tls::acme::ExternalAccount;
use crate::server::tls::acme::Proof;
use crate::server::tls::acme::Settings;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// Let's Encrypt.
const USUAL: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Names in one certificate, as Let's Encrypt has it.
const MOST: usize = 100;

/// Reads the section below `tls`; `redirect` says whether there is a plain listener.
pub(super) fn acme(tls: &Section<'_>, redirect: bool, folder: &Path) -> Option<Settings> {
    let node = tls.node("acme")?;
    let section = tls.section("acme");
    let faults = section.faults();
    let domains = domains(section.list("domains"), faults);
    if section.list("domains").is_empty() || section.list("domains").len() > MOST {
        let hint = "domains: [shop.example, www.shop.example]".to_owned();
        faults.at(section.node("domains").unwrap_or(node), format!("`acme` needs 1 to {MOST} domains"), Some(hint));
    }
    if value::word(&section, "terms", &[("agreed", ())]).is_none() && section.node("terms").is_none() {
        let hint = "read the authority's terms of service, then write `terms: agreed`".to_owned();
        faults.at(node, "`terms` is missing", Some(hint));
    }
    let proof = value::word(&section, "challenge", &[("tls-alpn-01", Proof::TlsAlpn), ("http-01", Proof::Http)]);
    if proof == Some(Proof::Http)
        && !redirect
        && let Some(node) = section.node("challenge")
    {
        let hint = "write `redirect: 0.0.0.0:80` below `tls`: the authority asks there".to_owned();
        faults.at(node, "`http-01` needs `redirect`", Some(hint));
    }
    let directory = section.parsed("directory", "an https address such as that of Let's Encrypt", https);
    let settings = Settings {
        domains,
        contact: section.parsed("contact", "an address such as `mailto:ops@shop.example`", contact),
        directory: directory.or_else(|| https(USUAL))?,
        directory_ca: section.text("directory_ca").map(|path| folder.join(path)),
        proof: proof.unwrap_or_default(),
        external_account: external_account(&section, folder),
    };
    readable(&section, "directory_ca", settings.directory_ca.as_deref(), |_| true);
    section.finish();
    Some(settings)
}

fn external_account(above: &Section<'_>, folder: &Path) -> Option<ExternalAccount> {
    let node = above.node("external_account")?;
    let section = above.section("external_account");
    let (id, key_file) = (section.text("id"), section.text("key_file").map(|path| folder.join(path)));
    if id.is_none() || key_file.is_none() {
        let hint = "the authority's account page shows a key's id and the key (`EAB kid`, `EAB HMAC key`)".to_owned();
        section.faults().at(node, "`external_account` needs `id` and `key_file`", Some(hint));
    }
    let is_key = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).is_ok_and(|key| !key.is_empty());
    readable(&section, "key_file", key_file.as_deref(), is_key);
    section.finish();
    Some(ExternalAccount { id: id?, key_file: key_file? })
}

/// Notes where a file cannot be read, or does not hold what it must; never what it holds.
fn readable(section: &Section<'_>, key: &'static str, path: Option<&Path>, fits: impl Fn(&str) -> bool) {
    let (Some(path), Some(node)) = (path, section.node(key)) else { return };
    match std::fs::read_to_string(path) {
        Ok(text) if fits(&text) => {}
        Ok(_) => section.faults().at(node, format!("`{}` holds no key in base64url", path.display()), None),
        Err(error) => section.faults().at(node, format!("`{}` cannot be read: {error}", path.display()), None),
    }
}

fn domains(items: &[Node], faults: &Faults) -> Vec<String> {
    let domain = |item: &Node| {
        let Value::Text(text) = &item.value else {
            faults.at(item, format!("expected a host name, found {}", item.value.kind()), None);
            return None;
        };
        let name = text.to_ascii_lowercase();
        if name.starts_with("*.") {
            let hint = "name each host, or fetch that certificate otherwise and name it below `certificates`".to_owned();
            faults.at(item, format!("`{text}`: wildcards are proved by DNS only (dns-01), which is not done here"), Some(hint));
            return None;
        }
        if !is_host(&name) {
            faults.at(item, format!("`{text}` is not a host name such as `shop.example`"), None);
            return None;
        }
        Some(name)
    };
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = domain(item) else { continue };
        if names.contains(&name) {
            faults.at(item, format!("`{name}` is named twice"), None);
        } else {
            names.push(name);
        }
    }
    names
}

/// A name of at least two labels of letters, digits and hyphens (RFC 1123 section 2.1), its last not a number.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn https(text: &str) -> Option<Url> {
    text.parse::<Url>().ok().filter(|url| url.scheme() == "https" && url.has_host())
}

fn contact(text: &str) -> Option<String> {
    let (name, host) = text.strip_prefix("mailto:")?.split_once('@')?;
    (!name.is_empty() && is_host(&host.to_ascii_lowercase())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fault::Fault;

    fn read(acme: &str) -> Result<Settings, Vec<String>> {
        let text = format!("upstream: http://s:1\ntls:\n  redirect: 127.0.0.1:0\n  acme: {acme}\n");
        let config = Config::parse("c.yaml", text.as_bytes(), Path::new("/nowhere"), &|_| None);
        config.map(|config| config.tls.unwrap().acme.unwrap()).map_err(|faults| faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn names_and_agreed_terms_are_enough() {
        let settings = read("{ domains: [Shop.example, www.shop.example], terms: agreed }").unwrap();
        assert_eq!(settings.domains, ["shop.example", "www.shop.example"]);
        assert_eq!((settings.directory.as_str(), settings.proof), (USUAL, Proof::TlsAlpn));
    }

    #[test]
    fn everything_wrong_is_said_at_its_place() {
        let found = read(
            "{ domains: [\"*.shop.example\", localhost, a.example, A.example], contact: ops@shop.example, directory: http://a, challenge: dns-01, directory_ca: no.pem, external_account: { id: x } }",
        )
        .unwrap_err();
        for wanted in [
            "c.yaml:4:21: `*.shop.example`: wildcards are proved by DNS only",
            "`localhost` is not a host name such as `shop.example`",
            "`a.example` is named twice",
            "`ops@shop.example` is not an address such as `mailto:ops@shop.example`",
            "`http://a` is not an https address",
            "unknown challenge `dns-01`",
            "`/nowhere/no.pem` cannot be read",
            "`external_account` needs `id` and `key_file`",
            "`terms` is missing\nhint: read the authority's terms",
        ] {
            assert!(found.iter().any(|fault| fault.contains(wanted)), "{wanted}: {found:#?}");
        }
    }

    #[test]
    fn http_01_needs_the_plain_listener() {
        let text = "upstream: http://s:1\ntls:\n  acme: { domains: [a.example], terms: agreed, challenge: http-01 }\n";
        let found = Config::parse("c.yaml", text.as_bytes(), Path::new("/nowhere"), &|_| None).unwrap_err();
        assert!(found[0].to_string().contains("`http-01` needs `redirect`\nhint: "), "{found:?}");
    }
}
