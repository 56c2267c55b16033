//! Whose request it is: the client's address and scheme, believed from trusted proxies only.
//! Must not know what is done with the address.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use ipnetwork::IpNetwork;

use crate::click::Scheme;
use crate::proxy::connection::ConnectionState;

/// How many hops of `X-Forwarded-For` or `Forwarded` are walked. Chains of trusted proxies are shorter; a longer one is made up.
const HOPS: usize = 32;

/// The field in which trusted proxies name the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressField {
    /// `X-Forwarded-For`: a chain, to which each proxy appends its peer.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): the same with names.
    Forwarded,
    /// One address, which the outermost proxy overwrites, as `CF-Connecting-IP`.
    Single(HeaderName),
}

impl AddressField {
    /// The names of the fields that hold one address.
    pub const SINGLE: &'static [&'static str] = &[
        "cf-connecting-ip",
        "true-client-ip",
        "fastly-client-ip",
        "x-real-ip",
        "x-client-ip",
        "x-azure-clientip",
        "x-envoy-external-address",
    ];

    /// The field of a name, whatever its case.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "x-forwarded-for" => Some(Self::XForwardedFor),
            "forwarded" => Some(Self::Forwarded),
            _ => Self::SINGLE.iter().find(|known| **known == name).map(|known| Self::Single(HeaderName::from_static(known))),
        }
    }
}

/// The client of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None` where a trusted proxy said something that is no address.
    pub address: Option<IpAddr>,
    /// The scheme it used.
    pub scheme: Scheme,
}

impl Client {
    /// Finds the client of a request that came over `connection`; `field` is where trusted proxies name it.
    pub fn find(connection: &ConnectionState, headers: &HeaderMap, trusted: &[IpNetwork], field: &AddressField) -> Self {
        let peer = connection.peer();
        if !connection.is_trusted() {
            return Self { address: Some(peer), scheme: connection.scheme() };
        }
        let own = connection.scheme();
        match field {
            AddressField::XForwardedFor => {
                // `HeaderMap` gives the lines of one name in their order; the last hop stands at the end of the last line.
                let lines = headers.get_all("x-forwarded-for").iter().rev();
                let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(address);
                Self { address: walk(hops, trusted, peer), scheme: scheme(headers).unwrap_or(own) }
            }
            AddressField::Forwarded => {
                let lines = headers.get_all("forwarded").iter().rev();
                let mut said = lines.flat_map(|line| split(line.as_bytes(), b',').into_iter().rev()).map(Hop::read).peekable();
                let nearest = said.peek().and_then(|hop| hop.scheme);
                let address = walk(said.map(|hop| hop.address), trusted, peer);
                Self { address, scheme: nearest.or_else(|| scheme(headers)).unwrap_or(own) }
            }
            AddressField::Single(name) => {
                let mut lines = headers.get_all(name).iter();
                let address = match (lines.next(), lines.next()) {
                    (None, _) => Some(peer),
                    (Some(only), None) => address(only.as_bytes()),
                    _ => None,
                };
                Self { address, scheme: scheme(headers).unwrap_or(own) }
            }
        }
    }
}

/// Whether an address belongs to one of the trusted networks.
pub fn is_trusted(trusted: &[IpNetwork], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// An address as a field value.
pub fn address_value(address: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Walks from the nearest hop over those that are trusted; the first that is not is the client.
fn walk(hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNetwork], peer: IpAddr) -> Option<IpAddr> {
    let mut nearest = peer;
    for (number, hop) in hops.enumerate() {
        if number == HOPS {
            return None;
        }
        nearest = hop?;
        if !is_trusted(trusted, nearest) {
            break;
        }
    }
    Some(nearest)
}

/// One element of `Forwarded` (RFC 7239 section 4), as far as it matters.
#[derive(Clone, Copy, Default)]
struct Hop {
    /// `None` also for `unknown` and for made-up names.
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
}

impl Hop {
    fn read(element: &[u8]) -> Self {
        let mut hop = Self::default();
        for pair in split(element, b';') {
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (sides.next().unwrap_or_default().trim_ascii(), sides.next().unwrap_or_default());
            if name.eq_ignore_ascii_case(b"for") {
                hop.address = address(value);
            } else if name.eq_ignore_ascii_case(b"proto") {
                let https = value.trim_ascii().eq_ignore_ascii_case(b"https");
                hop.scheme = Some(if https { Scheme::Https } else { Scheme::Http });
            }
        }
        hop
    }
}

/// The parts between separators that stand outside quotes. More than there may be hops are of no interest.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let outside = |byte: &u8| {
        let splits = *byte == separator && !quoted;
        if !escaped && *byte == b'"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && *byte == b'\\';
        splits
    };
    text.split(outside).collect()
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(address.to_canonical())
}

/// The last `X-Forwarded-Proto`: the one the nearest proxy vouches for.
fn scheme(headers: &HeaderMap) -> Option<Scheme> {
    let last = headers.get_all("x-forwarded-proto").iter().next_back()?;
    let word = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    Some(if word.trim_ascii().eq_ignore_ascii_case(b"https") { Scheme::Https } else { Scheme::Http })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Settings;

    fn found(peer: &str, fields: &[(&'static str, &str)]) -> Client {
        let settings =
            Settings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], ..Settings::default() };
        let connection = ConnectionState::new(SocketAddr::new(peer.parse().unwrap(), 1), &settings, Box::new(()));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Client::find(&connection, &headers, &settings.trusted_proxies, &AddressField::XForwardedFor)
    }

    fn named(field: &str, lines: &[(&'static str, &str)]) -> Client {
        let settings = Settings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::default() };
        let connection = ConnectionState::new("10.0.0.1:1".parse().unwrap(), &settings, Box::new(()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Client::find(&connection, &headers, &settings.trusted_proxies, &AddressField::of_name(field).unwrap())
    }

    fn address_in(field: &str, lines: &[(&'static str, &str)]) -> Option<String> {
        named(field, lines).address.map(|address| address.to_string())
    }

    #[test]
    fn the_field_of_the_network_in_front_is_read_and_no_other() {
        let lines = [("cf-connecting-ip", "203.0.113.9"), ("x-forwarded-for", "6.6.6.6"), ("true-client-ip", "6.6.6.6")];
        assert_eq!(address_in("CF-Connecting-IP", &lines).as_deref(), Some("203.0.113.9"));
        assert_eq!(address_in("true-client-ip", &[("true-client-ip", "2001:db8::9")]).as_deref(), Some("2001:db8::9"));
        assert_eq!(AddressField::of_name("x-whatever"), None);
    }

    #[test]
    fn a_single_address_said_twice_or_not_at_all() {
        assert_eq!(address_in("x-real-ip", &[("x-real-ip", "203.0.113.9"), ("x-real-ip", "6.6.6.6")]), None);
        assert_eq!(address_in("x-real-ip", &[("x-real-ip", "203.0.113.9, 6.6.6.6")]), None);
        assert_eq!(address_in("x-real-ip", &[]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn the_standard_field_is_walked_from_its_end() {
        for (lines, expected) in [
            (&["for=6.6.6.6, for=203.0.113.9, for=10.1.1.1"][..], Some("203.0.113.9")),
            (&["for=6.6.6.6", "For=\"[2001:db8::9]:4711\";by=10.0.0.1"], Some("2001:db8::9")),
            (&["by=\"a,b;for=6.6.6.6\";for=203.0.113.9"], Some("203.0.113.9")),
            (&["by=\"\\\",for=6.6.6.6\";for=203.0.113.9"], Some("203.0.113.9")),
            (&["for=unknown"], None),
            (&["for=_hidden, for=10.1.1.1"], None),
            (&["proto=https"], None),
            (&["for=\"203.0.113.9"], Some("203.0.113.9")),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            assert_eq!(address_in("forwarded", &lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_standard_field_says_the_scheme() {
        let scheme = |line| named("forwarded", &[("forwarded", line), ("x-forwarded-proto", "http")]).scheme;
        assert_eq!(scheme("for=203.0.113.9;proto=http, for=10.1.1.1;PROTO=https"), Scheme::Https);
        assert_eq!(scheme("for=203.0.113.9"), Scheme::Http);
    }

    fn address_of(peer: &str, fields: &[(&'static str, &str)]) -> Option<String> {
        found(peer, fields).address.map(|address| address.to_string())
    }

    #[test]
    fn a_stranger_is_its_own_client_whatever_it_says() {
        let said = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")];
        assert_eq!(found("192.0.2.1", &said), Client { address: "192.0.2.1".parse().ok(), scheme: Scheme::Http });
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        let chain = [("x-forwarded-for", "6.6.6.6, 203.0.113.9"), ("x-forwarded-for", "10.1.1.1")];
        assert_eq!(address_of("10.0.0.1", &chain).as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn hops_may_carry_ports_and_brackets() {
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "203.0.113.9:5511")]).as_deref(), Some("203.0.113.9"));
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:5511")]).as_deref(), Some("2001:db8::1"));
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "\"[2001:db8::1]\"")]).as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn over_our_own_tls_it_is_https_unless_a_trusted_proxy_says_otherwise() {
        let settings = Settings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::default() };
        let scheme = |peer: &str, said: Option<&str>| {
            let connection = ConnectionState::new(SocketAddr::new(peer.parse().unwrap(), 1), &settings, Box::new(()));
            connection.encrypt();
            let headers = said.map(|said| (HeaderName::from_static("x-forwarded-proto"), said.parse().unwrap()));
            Client::find(&connection, &headers.into_iter().collect(), &settings.trusted_proxies, &AddressField::XForwardedFor)
                .scheme
        };
        assert_eq!((scheme("192.0.2.1", None), scheme("192.0.2.1", Some("http"))), (Scheme::Https, Scheme::Https));
        assert_eq!((scheme("10.0.0.1", None), scheme("10.0.0.1", Some("http"))), (Scheme::Https, Scheme::Http));
    }

    #[test]
    fn garbage_gives_no_address() {
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "203.0.113.9, unknown")]), None);
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "")]), None);
    }

    #[test]
    fn a_chain_without_end_gives_no_address() {
        let endless = vec!["10.0.0.2"; HOPS + 1].join(",");
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", &endless)]), None);
    }

    #[test]
    fn a_trusted_peer_that_names_nobody_is_the_client() {
        assert_eq!(address_of("10.0.0.1", &[]).as_deref(), Some("10.0.0.1"));
        assert_eq!(address_of("10.0.0.1", &[("x-forwarded-for", "10.2.2.2")]).as_deref(), Some("10.2.2.2"));
    }

    #[test]
    fn the_nearest_word_on_the_scheme_counts() {
        assert_eq!(found("10.0.0.1", &[("x-forwarded-proto", "http, HTTPS")]).scheme, Scheme::Https);
        assert_eq!(found("10.0.0.1", &[("x-forwarded-proto", "https, http")]).scheme, Scheme::Http);
    }
}
