//! A proxy in front that `trusted_proxies` does not name: whether a request came through one, and that the operator hears of
//! it. Promises: who stands behind it is never judged by its connection. Must not know rules.

use std::net::IpAddr;

use http::HeaderMap;
use http::header;

use crate::click::Scheme;
use crate::proxy::connection::ConnectionState;
use crate::telemetry::Metrics;

/// Whether what the connection shows belongs to somebody in between. Browsers keep these fields for TLS, and the request came
/// in the clear from the operator's own network, where no visitor of a public shop is: TLS ended before it. Not so where a
/// machine speaks to itself by a name of its own, which counts as safe without TLS (Secure Contexts, section 3.1).
pub(super) fn hides(connection: &ConnectionState, headers: &HeaderMap) -> bool {
    let peer = connection.peer();
    !connection.is_trusted()
        && connection.scheme() == Scheme::Http
        && is_own_network(peer)
        && (headers.contains_key("sec-fetch-mode") || headers.contains_key("sec-ch-ua"))
        && !(peer.is_loopback() && is_own_name(headers))
}

/// Counts a page view through such a proxy, and tells the first. A proxy that says whose request it is counts as well: what it
/// says is dropped while nobody names it.
pub(super) fn note(connection: &ConnectionState, headers: &HeaderMap, forwarded: bool, metrics: &Metrics) {
    let says = forwarded && !connection.is_trusted() && is_own_network(connection.peer());
    if (says || hides(connection, headers)) && metrics.unnamed_proxy_views.inc() == 0 {
        let peer = connection.peer();
        tracing::warn!(
            %peer,
            "visitors come through a proxy that `trusted_proxies` does not name, so that nobody's address or connection is known; \
             hint: name it there, and let it send `X-Forwarded-For` and `X-Forwarded-Proto`"
        );
    }
}

/// Space that no visitor of a public shop connects from: the machine itself and private networks (RFC 1918, 3927, 4193, 4291, 6598).
fn is_own_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let shared = matches!(four.octets(), [100, 64..=127, ..]);
            four.is_loopback() || four.is_private() || four.is_link_local() || shared
        }
        IpAddr::V6(six) => six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local(),
    }
}

/// Whether the host asked for is a name or address of the machine itself.
fn is_own_name(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.") || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Settings;

    fn connection(peer: &str, trusted: &[&str]) -> ConnectionState {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let settings = Settings { trusted_proxies, ..Settings::default() };
        ConnectionState::new(std::net::SocketAddr::new(peer.parse().unwrap(), 9), &settings, Box::new(()))
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn fields_of_tls_in_the_clear_from_the_own_network_are_a_proxy_s_doing() {
        let browser = fields(&[("host", "shop.example"), ("sec-fetch-mode", "navigate")]);
        for peer in
            ["127.0.0.1", "10.1.2.3", "172.18.0.1", "192.168.1.9", "100.64.0.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"]
        {
            assert!(hides(&connection(peer, &[]), &browser), "{peer}");
        }
        for peer in ["203.0.113.9", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert!(!hides(&connection(peer, &[]), &browser), "{peer}");
        }
        let plain = fields(&[("host", "shop.example"), ("user-agent", "x")]);
        assert!(!hides(&connection("10.1.2.3", &[]), &plain));
        assert!(!hides(&connection("10.1.2.3", &["10.0.0.0/8"]), &browser));
    }

    #[test]
    fn who_shakes_hands_with_us_and_who_speaks_to_the_own_machine_is_judged() {
        let browser = fields(&[("host", "shop.example"), ("sec-ch-ua", "x")]);
        let secure = connection("172.18.0.1", &[]);
        secure.encrypt();
        assert!(!hides(&secure, &browser));
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "shop.localhost"] {
            let here = fields(&[("host", host), ("sec-fetch-mode", "navigate")]);
            assert!(!hides(&connection("127.0.0.1", &[]), &here), "{host}");
            assert!(hides(&connection("172.18.0.1", &[]), &here), "{host}");
        }
    }

    #[test]
    fn each_view_is_counted_whether_the_proxy_says_whose_it_is_or_not() {
        let metrics = Metrics::default();
        let (browser, plain) = (fields(&[("host", "shop.example"), ("sec-ch-ua", "x")]), HeaderMap::new());
        note(&connection("10.1.2.3", &[]), &browser, false, &metrics);
        note(&connection("10.1.2.3", &[]), &plain, true, &metrics);
        note(&connection("10.1.2.3", &[]), &plain, false, &metrics);
        note(&connection("203.0.113.9", &[]), &browser, true, &metrics);
        note(&connection("10.1.2.3", &["10.0.0.0/8"]), &browser, true, &metrics);
        assert_eq!(metrics.unnamed_proxy_views.get(), 2);
    }
}
