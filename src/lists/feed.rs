//! JSON feeds of networks as clouds, crawlers and proxy lists publish them: one document or JSON Lines. Every text that
//! is an address or a network counts, whatever its key. Must not know any publisher.

use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::fault::Fault;
use crate::lists::network;
use crate::lists::network::Line;
use crate::lists::text::shown;

/// Faults told of one feed.
const FAULTS: usize = 20;
/// A feed nests a few levels.
const DEEPEST: usize = 16;

/// Whether a file is such a feed rather than lines of text.
pub(super) fn is_feed(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['))
}

/// Reads a feed; where `field` is given, only what stands below keys of that name, and all of that. MISP warning lists say
/// themselves what they are.
///
/// # Errors
/// Broken JSON (a download that was cut, too), networks with bits set behind their prefix, a feed without any network.
pub(super) fn read(path: &str, bytes: &[u8], field: Option<&str>) -> Result<Vec<IpNetwork>, Vec<Fault>> {
    let mut found = Found { path, field, networks: Vec::new(), faults: Vec::new() };
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    for document in &mut documents {
        match document {
            Ok(document) => match warning_list(&document) {
                Some((kind, entries)) if field.is_none() => found.warned_of(kind, entries),
                _ => found.walk(&document, DEEPEST, field.is_none()),
            },
            Err(error) => {
                let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                let reason = error.to_string();
                let reason = reason.rsplit_once(" at line").map_or(reason.as_str(), |(reason, _)| reason);
                let fault = Fault::at(path, place(error.line()), place(error.column()), format!("broken JSON: {reason}"));
                found.faults.push(fault.hint("download the file again; half a download ends like this"));
                break;
            }
        }
    }
    if found.networks.is_empty() && found.faults.is_empty() {
        let fault = Fault::of_file(path, "no network in this JSON");
        found.faults.push(fault.hint("feeds name networks as texts such as `\"192.0.2.0/24\"`"));
    }
    if found.faults.is_empty() { Ok(found.networks) } else { Err(found.faults) }
}

/// The type and the entries of a MISP warning list (its `schema.json` requires `name`, `version`, `type` and `list`).
pub(super) fn warning_list(document: &Value) -> Option<(&str, &[Value])> {
    let text = |key| document.get(key).and_then(Value::as_str);
    document.get("version")?;
    text("name")?;
    Some((text("type")?, document.get("list")?.as_array()?))
}

/// Reads a MISP warning list, and nothing else.
///
/// # Errors
/// As [`read`], and a document of another form.
pub(super) fn read_warning_list(path: &str, bytes: &[u8]) -> Result<Vec<IpNetwork>, Vec<Fault>> {
    if serde_json::from_slice::<Value>(bytes).is_ok_and(|document| warning_list(&document).is_none()) {
        let fault = Fault::of_file(path, "not a MISP warning list");
        return Err(vec![fault.hint("it is an object with `name`, `version`, `type` and `list`")]);
    }
    read(path, bytes, None)
}

struct Found<'a> {
    path: &'a str,
    field: Option<&'a str>,
    networks: Vec<IpNetwork>,
    faults: Vec<Fault>,
}

impl Found<'_> {
    /// `counts` says whether texts here are meant.
    fn walk(&mut self, value: &Value, depth: usize, counts: bool) {
        match value {
            Value::String(text) if counts => self.take(text.trim()),
            Value::Array(items) if depth > 0 => items.iter().for_each(|item| self.walk(item, depth - 1, counts)),
            Value::Object(fields) if depth > 0 => {
                for (key, value) in fields {
                    self.walk(value, depth - 1, self.field.is_none_or(|field| field == key));
                }
            }
            _ => {}
        }
    }

    /// Every entry of a warning list of networks is one.
    fn warned_of(&mut self, kind: &str, entries: &[Value]) {
        if kind != "cidr" {
            let fault = Fault::of_file(self.path, format!("a warning list of type `{}`", shown(kind)));
            return self.fault(fault.hint("only those of type `cidr` hold networks"));
        }
        for (number, entry) in (1_usize..).zip(entries) {
            match entry.as_str() {
                Some(text) if network::cell(text.trim()) != Line::Other => self.take(text.trim()),
                _ => self
                    .fault(Fault::of_file(self.path, format!("entry {number}: `{}` is no network", shown(&entry.to_string())))),
            }
        }
    }

    fn take(&mut self, text: &str) {
        match network::cell(text) {
            Line::Networks(networks) => self.networks.extend(networks),
            Line::BitsSet(wrong) => {
                let fault = Fault::of_file(self.path, format!("`{wrong}` has bits set behind its prefix"));
                self.fault(fault.hint(format!("the network is `{}/{}`", wrong.network(), wrong.prefix())));
            }
            Line::Backwards => self.fault(Fault::of_file(self.path, format!("`{}` ends before it begins", shown(text)))),
            // Below a chosen key there is nothing else.
            _ if self.field.is_some() => self.fault(Fault::of_file(self.path, format!("`{}` is no network", shown(text)))),
            _ => {}
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS {
            self.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &str) -> Vec<String> {
        read("feed.json", bytes.as_bytes(), None).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn feeds_of_every_shape_give_their_networks() {
        let amazon = r#"{"syncToken":"1","createDate":"2026-08-22-00-00-00","prefixes":[{"ip_prefix":"3.4.12.4/32","region":"eu-west-1"}],
            "ipv6_prefixes":[{"ipv6_prefix":"2600:1f14::/36"}]}"#;
        assert_eq!(texts(amazon), ["2600:1f14::/36", "3.4.12.4/32"]);
        assert_eq!(
            texts(r#"{"prefixes":[{"ipv4Prefix":"8.8.4.0/24"},{"ipv6Prefix":"2001:4860::/32"}]}"#),
            ["8.8.4.0/24", "2001:4860::/32"]
        );
        assert_eq!(texts(r#"{"values":[{"properties":{"addressPrefixes":["4.145.74.52/30"]}}]}"#), ["4.145.74.52/30"]);
        assert_eq!(texts("[\"192.0.2.1\", \"not one\", 5]"), ["192.0.2.1/32"]);
        let lines = "{\"protocol\":\"http\",\"host\":\"85.8.47.209\",\"exit_ip\":\"85.8.47.211\"}\n{\"host\":\"1.1.1.1\"}\n";
        assert_eq!(texts(lines), ["85.8.47.211/32", "85.8.47.209/32", "1.1.1.1/32"]);
    }

    #[test]
    fn half_a_download_a_wrong_network_and_an_empty_feed_are_told() {
        let told = |text: &str| read("feed.json", text.as_bytes(), None).unwrap_err()[0].to_string();
        assert_eq!(
            told("{\"prefixes\":[{\"ip_prefix\":\"3.4.12.4/32\"},\n{\"ip_"),
            "feed.json:2:5: broken JSON: EOF while parsing a string\nhint: download the file again; half a download ends like this"
        );
        assert_eq!(
            told("[\"192.0.2.1/24\"]"),
            "feed.json: `192.0.2.1/24` has bits set behind its prefix\nhint: the network is `192.0.2.0/24`"
        );
        assert!(told("{\"error\":\"not found\"}").starts_with("feed.json: no network in this JSON"));
    }
}
