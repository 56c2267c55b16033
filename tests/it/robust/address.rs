//! Whose request it is: one field believed from trusted proxies, and the PROXY protocol from trusted balancers.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use clicksieve::proxy;
use clicksieve::proxy::AddressField;
use clicksieve::proxy::Origin;
use clicksieve::server;
use rustls::ClientConnection;
use rustls::StreamOwned;

use crate::door;
use crate::door::Shop;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::robust::ALL;
use crate::robust::Keeper;
use crate::robust::ask_at;
use crate::robust::twin;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;
use crate::robust::wait_for;

fn trusts(proxy: &mut proxy::Settings, field: &str) {
    proxy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    proxy.client_field = AddressField::of_name(field).unwrap();
}

fn trusting(keeper: &Keeper, field: &str) -> Front {
    Front::with(keeper.site.address, |_, proxy| trusts(proxy, field))
}

/// A shop over TLS in front of a keeper.
fn secure(keeper: &Keeper, server: impl FnOnce(&mut server::Settings), proxy: impl FnOnce(&mut proxy::Settings)) -> Shop {
    let port = keeper.site.address.port();
    Shop::with_proxy(Site::answers(""), server, |settings| {
        settings.upstream = Origin::local(port);
        proxy(settings);
    })
}

#[test]
fn the_configured_field_names_the_client_and_the_site_hears_of_no_other() {
    let mut tally = Tally::of("address: fields");
    for (field, line) in [
        ("x-forwarded-for", "x-forwarded-for: 203.0.113.9"),
        ("forwarded", "forwarded: for=6.6.6.6, for=203.0.113.9;proto=https"),
        ("cf-connecting-ip", "cf-connecting-ip: 203.0.113.9"),
        ("true-client-ip", "True-Client-IP: 203.0.113.9"),
        ("fastly-client-ip", "fastly-client-ip: 203.0.113.9"),
        ("x-real-ip", "x-real-ip: 203.0.113.9"),
    ] {
        let keeper = Keeper::start();
        let front = trusting(&keeper, field);
        let others = ["cf-connecting-ip", "true-client-ip", "fastly-client-ip", "x-client-ip"];
        let others: Vec<String> =
            others.iter().filter(|other| **other != field).map(|other| format!("{other}: 6.6.6.7\r\n")).collect();
        let others = others.concat();
        let sent = format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n{others}\r\n");
        assert_eq!(ask_at(&front, sent.as_bytes(), 1).statuses, [200]);
        let came = keeper.came();
        assert_eq!(came[0].field("x-real-ip"), Some("203.0.113.9"), "{field}: {}", came[0].head);
        assert_eq!(came[0].field("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"), "{field}: {}", came[0].head);
        assert!(!came[0].head.contains("6.6.6.7"), "{field}: {}", came[0].head);
        let keeper = Keeper::start();
        let form = tally.row(twin::form(sent.as_bytes())).unwrap();
        let mut twin = Twin::over(secure(&keeper, |_| {}, |proxy| trusts(proxy, field)));
        assert_eq!(twin.tell(&form).whole(), (200, true), "{field} over HTTP/2");
        let came = keeper.came();
        assert_eq!(came[0].field("x-real-ip"), Some("203.0.113.9"), "{field}: {}", came[0].head);
        assert_eq!(came[0].field("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"), "{field}: {}", came[0].head);
        assert!(!came[0].head.contains("6.6.6.7"), "{field}: {}", came[0].head);
    }
    tally.holds();
}

/// Behind the preamble, which comes byte by byte, comes TLS, and HTTP/2 in it.
fn behind(keeper: &Keeper, preamble: &[u8]) -> Twin {
    let shop = secure(
        keeper,
        |server| server.proxy_protocol = true,
        |proxy| proxy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()],
    );
    let mut tcp = door::tcp(shop.front.address);
    for byte in preamble {
        tcp.write_all(&[*byte]).unwrap();
    }
    let session = ClientConnection::new(shop.h2(), "shop.example".try_into().unwrap()).unwrap();
    Twin::on(shop, StreamOwned::new(session, tcp))
}

fn balanced(keeper: &Keeper, trusted: &str) -> Front {
    Front::with(keeper.site.address, |server, proxy| {
        server.proxy_protocol = true;
        proxy.trusted_proxies = vec![trusted.parse().unwrap()];
    })
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\n\r\n";
const SECOND: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn a_balancer_says_whose_connection_it_is() {
    let mut tally = Tally::of("address: balancers");
    for (name, preamble, client) in [
        ("version 1", b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n".to_vec(), "203.0.113.9"),
        ("version 1, IPv6", b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n".to_vec(), "2001:db8::9"),
        ("version 2", [SECOND, b"\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\x02\x01\x12\x67\0\x50"].concat(), "203.0.113.9"),
        (
            "version 2 with extensions",
            [SECOND, b"\x21\x11\0\x11\xcb\0\x71\x09\xc0\0\x02\x01\x12\x67\0\x50\x04\0\x02ab"].concat(),
            "203.0.113.9",
        ),
    ] {
        let keeper = Keeper::start();
        let front = balanced(&keeper, "127.0.0.0/8");
        let said = ask_at(&front, &[&preamble[..], GET, GET].concat(), 2);
        assert_eq!(said.statuses, [200, 200], "{name}");
        for came in keeper.came() {
            // The visitor is nobody's proxy: what it says of itself is not believed.
            assert_eq!((came.field("x-forwarded-for"), came.field("x-real-ip")), (Some(client), Some(client)), "{name}");
        }
        tally.both();
        let keeper = Keeper::start();
        let mut twin = behind(&keeper, &preamble);
        for _ in 0..2 {
            assert_eq!(twin.ask(std::str::from_utf8(GET).unwrap()).whole(), (200, true), "{name} over HTTP/2");
        }
        for came in keeper.came() {
            assert_eq!((came.field("x-forwarded-for"), came.field("x-real-ip")), (Some(client), Some(client)), "{name}");
        }
    }
    tally.holds();
}

#[test]
fn a_balancer_may_speak_for_itself() {
    for preamble in [b"PROXY UNKNOWN\r\n".to_vec(), [SECOND, b"\x20\0\0\0"].concat()] {
        let keeper = Keeper::start();
        let front = balanced(&keeper, "127.0.0.0/8");
        assert_eq!(ask_at(&front, &[&preamble[..], b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"].concat(), 1).statuses, [200]);
        assert_eq!(keeper.came()[0].field("x-real-ip"), Some("127.0.0.1"));
        let keeper = Keeper::start();
        assert_eq!(behind(&keeper, &preamble).get("/").whole(), (200, true));
        assert_eq!(keeper.came()[0].field("x-real-ip"), Some("127.0.0.1"));
    }
}

#[test]
fn a_preamble_that_comes_byte_by_byte_is_one() {
    let keeper = Keeper::start();
    let front = balanced(&keeper, "127.0.0.0/8");
    let mut visitor = Visitor::connect(front.address);
    for byte in b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n" {
        visitor.say([*byte]);
    }
    assert_eq!(visitor.answer(false).status, 200);
    assert_eq!(keeper.came()[0].field("x-real-ip"), Some("203.0.113.9"));
}

#[test]
fn without_a_preamble_or_without_trust_nothing_is_served() {
    for (trusted, sent) in [
        ("127.0.0.0/8", GET.to_vec()),
        ("127.0.0.0/8", b"PROXY TCP4 a b c d\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("127.0.0.0/8", [SECOND, b"\x31\x11\0\0GET / HTTP/1.1\r\nhost: a\r\n\r\n"].concat()),
        ("192.0.2.0/24", [b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n", GET].concat()),
    ] {
        let keeper = Keeper::start();
        let front = balanced(&keeper, trusted);
        let mut stream = TcpStream::connect(front.address).unwrap();
        let _ = stream.write_all(&sent);
        wait_for(&front, "clicksieve_proxy_errors_total{kind=\"preamble\"} 1");
        assert_eq!(keeper.came().len(), 0);
    }
}

#[test]
fn a_preamble_that_does_not_end_is_not_waited_for() {
    for begun in ["", "PROXY TCP4 203.0.113.9"] {
        let front = Front::with(Site::nobody(), |server, proxy| {
            server.proxy_protocol = true;
            server.head = Duration::from_secs(2);
            proxy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        });
        let mut visitor = Visitor::connect(front.address);
        visitor.say(begun);
        assert!(visitor.is_closed(), "{begun:?}");
        wait_for(&front, "clicksieve_proxy_errors_total{kind=\"head_stalled\"} 1");
    }
}

#[test]
fn where_none_is_wanted_a_preamble_is_no_request() {
    let keeper = Keeper::start();
    let front = Front::with(keeper.site.address, |_, proxy| proxy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let said = ask_at(&front, &[b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n", GET].concat(), ALL);
    assert_eq!((said.statuses, keeper.came().len()), (vec![400], 0));
}
