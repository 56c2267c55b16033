//! Whose request it is: the client's address and scheme, believed from trusted proxies only.
//! Must not know what is done with the address.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderValue;
use ipnetwork::IpNetwork;

use crate::click::Scheme;
use crate::proxy::connection::ConnectionState;

/// How many hops of `X-Forwarded-For` are walked. Chains of trusted proxies are shorter; a longer one is made up.
const HOPS: usize = 32;

/// The client of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None` where a trusted proxy said something that is no address.
    pub address: Option<IpAddr>,
    /// The scheme it used.
    pub scheme: Scheme,
}

impl Client {
    /// Finds the client of a request that came over `connection`.
    pub fn find(connection: &ConnectionState, headers: &HeaderMap, trusted: &[IpNetwork]) -> Self {
        if !connection.is_trusted() {
            return Self { address: Some(connection.peer()), scheme: connection.scheme() };
        }
        let scheme = scheme(headers).unwrap_or_else(|| connection.scheme());
        Self { address: walk(headers, trusted, connection.peer()), scheme }
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

/// Walks `X-Forwarded-For` from its right end over the hops that are trusted; the first that is not is the client.
fn walk(headers: &HeaderMap, trusted: &[IpNetwork], peer: IpAddr) -> Option<IpAddr> {
    let mut nearest = peer;
    // `HeaderMap` gives the lines of one name in their order; the last hop stands at the end of the last line.
    let hops = headers.get_all("x-forwarded-for").iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for (number, hop) in hops.enumerate() {
        if number == HOPS {
            return None;
        }
        nearest = address(hop)?;
        if !is_trusted(trusted, nearest) {
            break;
        }
    }
    Some(nearest)
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
        Client::find(&connection, &headers, &settings.trusted_proxies)
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
            let headers = said.map(|said| (http::HeaderName::from_static("x-forwarded-proto"), said.parse().unwrap()));
            Client::find(&connection, &headers.into_iter().collect(), &settings.trusted_proxies).scheme
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
