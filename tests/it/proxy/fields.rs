//! Which fields cross the proxy, and who the shop is told the client is.

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nalt-svc: h3=\":443\"\r\nkeep-alive: timeout=5\r\nx-own: 1\r\n\r\nok";

fn seen(front: &Front, site: &Site, fields: &str) -> String {
    let answer = Visitor::connect(front.address).ask(&format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{fields}\r\n"));
    assert_eq!(answer.status, 200, "{}", answer.head);
    site.heads().pop().unwrap()
}

#[test]
fn fields_of_one_hop_do_not_cross() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let head =
        seen(&front, &site, "connection: keep-alive, x-secret\r\nx-secret: 1\r\nte: gzip\r\nupgrade: h2c\r\naccept: */*\r\n");
    for name in ["connection", "x-secret", "te", "upgrade"] {
        assert_eq!(field(&head, name), None, "{head}");
    }
    assert_eq!((field(&head, "accept"), field(&head, "host")), (Some("*/*"), Some("shop.example")));
}

#[test]
fn an_answers_fields_of_one_hop_do_not_cross() {
    let site = Site::answers(OK);
    let answer = Visitor::connect(Front::of(site.address).address).get("/");
    assert_eq!((answer.field("alt-svc"), answer.field("keep-alive"), answer.field("x-own")), (None, None, Some("1")));
    assert_eq!(answer.text(), "ok");
}

#[test]
fn a_visitor_cannot_say_who_it_is() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let said = "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\ncf-connecting-ip: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n";
    let head = seen(&front, &site, said);
    assert!(!head.contains("6.6.6.6"), "{head}");
    assert_eq!((field(&head, "x-forwarded-for"), field(&head, "x-forwarded-proto")), (Some("127.0.0.1"), Some("http")));
    assert_eq!(field(&head, "x-forwarded-host"), Some("shop.example"));
}

#[test]
fn a_trusted_proxy_can() {
    let site = Site::answers(OK);
    let front = Front::with(site.address, |_, proxy| proxy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let head = seen(&front, &site, "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\nx-forwarded-proto: https\r\n");
    assert_eq!(field(&head, "x-forwarded-for"), Some("6.6.6.6, 203.0.113.9, 127.0.0.1"));
    assert_eq!((field(&head, "x-real-ip"), field(&head, "x-forwarded-proto")), (Some("203.0.113.9"), Some("https")));
}

#[test]
fn connection_cannot_remove_the_clients_address() {
    let site = Site::answers(OK);
    let front = Front::with(site.address, |_, proxy| proxy.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]);
    let head = seen(&front, &site, "connection: x-forwarded-for, x-real-ip, host\r\nx-forwarded-for: 203.0.113.9\r\n");
    assert_eq!((field(&head, "x-forwarded-for"), field(&head, "host")), (Some("203.0.113.9, 127.0.0.1"), Some("shop.example")));
}

#[test]
fn a_visitors_copies_of_our_own_fields_are_stripped() {
    let site = Site::answers(OK);
    let head = seen(&Front::of(site.address), &site, "x-clicksieve-score: spoofed\r\nX-ClickSieve-Visit-Id: spoofed\r\n");
    assert!(!head.contains("spoofed") && head.matches("x-clicksieve-score").count() == 1, "{head}");
}

#[test]
fn the_host_is_the_upstreams_where_that_is_asked_for() {
    let site = Site::answers(OK);
    let front = Front::with(site.address, |_, proxy| proxy.host = clicksieve::proxy::HostField::Upstream);
    let head = seen(&front, &site, "");
    assert_eq!(field(&head, "host"), Some(site.address.to_string().as_str()));
    assert_eq!(field(&head, "x-forwarded-host"), Some("shop.example"));
}

#[test]
fn the_collector_lives_under_its_prefix_and_learns_the_client() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    let post = "POST /_cs/e HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(visitor.ask(post).text(), "127.0.0.1 3");
    assert_eq!(visitor.get("/_cs/t.js?v=1").text(), "tag");
    assert_eq!((visitor.get("/_cs/e").status, visitor.get("/_cs/other").status), (405, 404));
    let large = "POST /_cs/e HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1001\r\n\r\n";
    assert_eq!(visitor.ask(&format!("{large}{}", "x".repeat(1_001))).status, 413);
    assert_eq!(site.connections(), 0);
}
