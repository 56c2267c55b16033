//! JSON feeds of networks as clouds, crawlers and proxy lists publish them: one document or JSON Lines. Every text that
//! is an address or a network counts, whatever its key. Must not know any publisher.

use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::fault::Fault;
use crate::lists::network;
use crate::lists::network::Line;

/// Faults told of one feed.
const FAULTS: usize = 20;
/// A feed nests a few levels.
const DEEPEST: usize = 16;

/// Whether a file is such a feed rather than lines of text.
pub(super) fn is_feed(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['))
}

/// Reads a feed.
///
/// # Errors
/// Broken JSON (a download that was cut, too), networks with bits set behind their prefix, a feed without any network.
pub(super) fn read(path: &str, bytes: &[u8]) -> Result<Vec<IpNetwork>, Vec<Fault>> {
    let mut found = Found { path, networks: Vec::new(), faults: Vec::new() };
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    for document in &mut documents {
        match document {
            Ok(document) => found.walk(&document, DEEPEST),
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

struct Found<'a> {
    path: &'a str,
    networks: Vec<IpNetwork>,
    faults: Vec<Fault>,
}

impl Found<'_> {
    fn walk(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.take(text.trim()),
            Value::Array(items) if depth > 0 => items.iter().for_each(|item| self.walk(item, depth - 1)),
            Value::Object(fields) if depth > 0 => fields.values().for_each(|field| self.walk(field, depth - 1)),
            _ => {}
        }
    }

    fn take(&mut self, text: &str) {
        match network::cell(text) {
            Line::Networks(networks) => self.networks.extend(networks),
            Line::BitsSet(wrong) if self.faults.len() < FAULTS => {
                let fault = Fault::of_file(self.path, format!("`{wrong}` has bits set behind its prefix"));
                self.faults.push(fault.hint(format!("the network is `{}/{}`", wrong.network(), wrong.prefix())));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &str) -> Vec<String> {
        read("feed.json", bytes.as_bytes()).unwrap().iter().map(ToString::to_string).collect()
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
        let told = |text: &str| read("feed.json", text.as_bytes()).unwrap_err()[0].to_string();
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
