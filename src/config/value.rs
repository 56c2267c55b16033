//! Readers of single values: addresses, ranges, URLs, sizes, words. Must not know which setting they are for.

use std::net::IpAddr;
use std::net::SocketAddr;

use ipnetwork::IpNetwork;
use url::Url;

use crate::fault::nearest;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// An address and port to listen on.
pub(super) fn listener(section: &Section<'_>, key: &'static str) -> Option<SocketAddr> {
    section.parsed(key, "an address and port such as `0.0.0.0:8080`", |text| text.parse().ok())
}

/// An address and port that only this machine reaches.
pub(super) fn loopback(section: &Section<'_>, usual: SocketAddr) -> SocketAddr {
    let Some(address) = listener(section, "listen") else { return usual };
    if !address.ip().is_loopback()
        && let Some(node) = section.node("listen")
    {
        let hint = "this listener has no TLS; put a TLS proxy before it and listen on 127.0.0.1".to_owned();
        section.faults().at(node, format!("`{address}` must be a loopback address"), Some(hint));
    }
    address
}

/// The base of an API: https, or http on this machine only, so that a token never travels in the open.
pub(super) fn api_host(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return None,
    };
    (url.scheme() == "https" || (url.scheme() == "http" && local)).then_some(url)
}

/// A path prefix of ours: `/` and 1 to 32 letters, digits, `-` or `_`.
pub(super) fn prefix(text: &str) -> Option<String> {
    let name = text.strip_prefix('/')?;
    let fits = (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    fits.then(|| text.to_owned())
}

/// A size such as `64MiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64())
}

/// One word of a closed set.
pub(super) fn word<T>(section: &Section<'_>, key: &'static str, words: &[(&'static str, T)]) -> Option<T>
where
    T: Copy,
{
    let node = section.node(key)?;
    let text = section.text(key)?;
    let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let names = || words.iter().map(|(name, _)| *name);
        let hint = match nearest(&text, names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        section.faults().at(node, format!("unknown {key} `{text}`"), Some(hint));
    }
    found
}

/// A list of addresses and ranges.
pub(super) fn ranges(items: &[Node], faults: &Faults) -> Vec<IpNetwork> {
    items.iter().filter_map(|item| range(item, faults)).collect()
}

fn range(item: &Node, faults: &Faults) -> Option<IpNetwork> {
    let written = match &item.value {
        Value::Text(text) => text.clone(),
        other => {
            faults.at(item, format!("expected an address or range, found {}", other.kind()), None);
            return None;
        }
    };
    let network = written.parse::<IpNetwork>().ok().or_else(|| written.parse::<IpAddr>().ok().map(IpNetwork::from));
    match network {
        Some(network) if network.network() == network.ip() => Some(network),
        Some(network) => {
            let hint = format!("write `{}/{}`", network.network(), network.prefix());
            faults.at(item, format!("`{written}` has bits set behind its prefix"), Some(hint));
            None
        }
        None => {
            faults.at(item, format!("`{written}` is not an address or range such as `10.0.0.0/8`"), None);
            None
        }
    }
}

/// A list of texts.
pub(super) fn texts(items: &[Node], faults: &Faults) -> Vec<String> {
    let text = |item: &Node| match &item.value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        other => {
            faults.at(item, format!("expected text, found {}", other.kind()), None);
            None
        }
    };
    items.iter().filter_map(text).collect()
}
