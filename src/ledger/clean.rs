//! What of a URL and an address may be recorded. Must not know records.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::click::AdNetwork;

/// Parameters kept besides `utm_*`, where their value is a number: the campaign ids of the ad networks.
const CAMPAIGN_IDS: [&str; 7] = ["campaign_id", "adset_id", "adgroup_id", "ad_id", "campaignid", "adgroupid", "creative"];
/// Rounds of percent-decoding a text is looked through; one still changing after them is left out.
const ROUNDS: usize = 4;

/// The URL as a record holds it: scheme, host and path, and of the query `utm_*` and numeric campaign ids only. User
/// info and fragment go; whatever could hold the address of a mailbox, however often it was encoded, becomes `-`.
pub fn clean_url(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, address),
    };
    let (host, path) = match scheme {
        Some(_) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut clean = String::with_capacity(url.len());
    if let Some(scheme) = scheme {
        clean.push_str(masked(scheme));
        clean.push_str("://");
        clean.push_str(masked(host));
    }
    for (place, segment) in path.split('/').enumerate() {
        if place > 0 {
            clean.push('/');
        }
        clean.push_str(masked(segment));
    }
    let mut before = '?';
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, value)| is_kept(name, value)) {
        clean.push(before);
        clean.push_str(name);
        clean.push('=');
        clean.push_str(masked(value));
        before = '&';
    }
    clean
}

/// The address without what tells its owner from the neighbours: the /24 of IPv4, the /48 of IPv6.
pub fn cut_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// The first ad network whose click id a URL carries. The id itself is not recorded.
pub(super) fn ad_network(url: &str) -> Option<AdNetwork> {
    let query = url.split('#').next()?.split_once('?')?.1;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| AdNetwork::of_parameter(name).filter(|_| !value.is_empty()))
}

/// A parameter of a URL that was cleaned already, percent-encoded as sent.
pub(super) fn parameter<'a>(clean: &'a str, wanted: &str) -> Option<&'a str> {
    let query = clean.split_once('?')?.1;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

fn is_kept(name: &str, value: &str) -> bool {
    let word = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    (name.starts_with("utm_") && word(name) && name.len() <= 32) || (number && CAMPAIGN_IDS.contains(&name))
}

/// The text, or `-` where it could hold the address of a mailbox.
pub(super) fn masked(text: &str) -> &str {
    if may_hold_mailbox(text) { "-" } else { text }
}

fn may_hold_mailbox(text: &str) -> bool {
    let mut decoded = text.as_bytes().to_vec();
    for _ in 0..ROUNDS {
        if decoded.contains(&b'@') {
            return true;
        }
        let next = decode(&decoded);
        if next == decoded {
            return false;
        }
        decoded = next;
    }
    true
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let hex =
            |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        if let (b'%', Some(high), Some(low)) = (first, hex(after.first()), hex(after.get(1))) {
            out.push(high * 16 + low);
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}
