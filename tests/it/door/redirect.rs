//! The listener that sends plain HTTP to `https`, and what tells browsers to come by `https` at once.

use std::time::Duration;

use clicksieve::server;
use clicksieve::server::Door;

use crate::door::Shop;
use crate::door::visitor;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

fn redirecting(site: &Site) -> Front {
    Front::behind(site.address, |_, _| {}, Door::Redirect)
}

#[test]
fn everything_is_sent_to_https_with_its_click_ids() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let front = redirecting(&site);
    let mut visitor = Visitor::connect(front.address);
    for (asked, host, location) in [
        (
            "GET /mug?fbclid=IwAR0x_aem&utm_source=a%20b",
            "shop.example",
            "https://shop.example/mug?fbclid=IwAR0x_aem&utm_source=a%20b",
        ),
        ("HEAD /", "shop.example:8080", "https://shop.example/"),
        ("POST /_cs/e", "[2001:db8::1]:80", "https://[2001:db8::1]/_cs/e"),
        ("OPTIONS *", "shop.example", "https://shop.example/"),
        ("GET //evil.example/", "shop.example", "https://shop.example//evil.example/"),
    ] {
        let answer = visitor.ask(&format!("{asked} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!((answer.status, answer.field("location")), (308, Some(location)), "{asked}");
        assert_eq!(answer.field("strict-transport-security"), None);
    }
    assert_eq!(site.connections(), 0);
}

#[test]
fn proofs_for_authorities_are_passed_on() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nproof");
    let front = redirecting(&site);
    let mut visitor = Visitor::connect(front.address);
    assert_eq!(visitor.get("/.well-known/acme-challenge/abc").text(), "proof");
    assert_eq!(visitor.get("/.well-known/other").status, 308);
    assert!(site.heads()[0].starts_with("GET /.well-known/acme-challenge/abc HTTP/1.1\r\n"));
}

#[test]
fn a_host_that_is_none_is_sent_nowhere() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let front = redirecting(&site);
    let answer = Visitor::connect(front.address).ask("GET / HTTP/1.1\r\nhost: evil.example/x?\r\n\r\n");
    assert_eq!((answer.status, answer.field("location")), (400, None));
}

#[test]
fn browsers_are_told_to_ask_by_https_only_where_it_is_wanted() {
    let site = || {
        Site::start(|talk, _| {
            while let Some(head) = talk.head() {
                let own = if head.starts_with("GET /own") { "strict-transport-security: max-age=1\r\n" } else { "" };
                talk.say(format!("HTTP/1.1 200 OK\r\n{own}content-length: 0\r\n\r\n"));
            }
        })
    };
    let wanted = Shop::with(site(), |server| server.hsts = Some(server::hsts(Duration::from_hours(180 * 24))));
    let mut over_tls = visitor(&wanted.front, &wanted.authority.client(&["http/1.1"]));
    assert_eq!(over_tls.get("/").field("strict-transport-security"), Some("max-age=15552000"));
    assert_eq!(over_tls.get("/own").field("strict-transport-security"), Some("max-age=1"));
    let plain = Shop::with(site(), |_| {});
    let mut over_tls = visitor(&plain.front, &plain.authority.client(&["http/1.1"]));
    assert_eq!(over_tls.get("/").field("strict-transport-security"), None);
    // RFC 6797 section 7.2: never over plain HTTP.
    let site = site();
    let front = Front::with(site.address, |server, _| server.hsts = Some(server::hsts(Duration::from_secs(1))));
    assert_eq!(Visitor::connect(front.address).get("/").field("strict-transport-security"), None);
}
