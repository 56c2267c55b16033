//! No wait lasts for ever.

use std::time::Duration;

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

const SHORT: Duration = Duration::from_millis(100);
/// The same where the visitor must have said something before it ends.
const ENOUGH: Duration = Duration::from_secs(2);

#[test]
fn a_site_that_accepts_and_says_nothing_gets_a_504() {
    let site = Site::start(|talk, _| drop(talk.rest()));
    let front = Front::with(site.address, |_, proxy| proxy.first_byte = SHORT);
    let answer = Visitor::connect(front.address).get("/");
    assert_eq!((answer.status, answer.field("cache-control")), (504, Some("no-store")));
    assert!(front.metrics.expose().contains("clicksieve_proxy_errors_total{kind=\"silent\"} 1"));
}

#[test]
fn a_body_that_stands_still_is_cut_visibly() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        talk.rest();
    });
    let front = Front::with(site.address, |_, proxy| proxy.body_progress = SHORT);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(visitor.head().unwrap().contains("content-length: 10"));
    assert_eq!(visitor.rest(), b"half");
}

#[test]
fn a_request_body_that_stands_still_gets_a_408() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.rest();
    });
    let front = Front::with(site.address, |_, proxy| proxy.body_progress = SHORT);
    let mut visitor = Visitor::connect(front.address);
    let answer = visitor.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    assert_eq!(answer.status, 408);
    assert!(visitor.is_closed());
}

#[test]
fn a_head_that_does_not_end_gets_a_408() {
    let front = Front::with(Site::nobody(), |server, _| server.head = ENOUGH);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost:");
    assert!(visitor.rest().starts_with(b"HTTP/1.1 408 "));
    assert!(front.metrics.expose().contains("clicksieve_proxy_errors_total{kind=\"head_stalled\"} 1"));
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let front = Front::with(Site::nobody(), |server, _| server.head = SHORT);
    assert!(Visitor::connect(front.address).is_closed());
}

#[test]
fn an_unused_connection_is_closed() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let front = Front::with(site.address, |server, _| server.idle = SHORT);
    let mut visitor = Visitor::connect(front.address);
    assert_eq!(visitor.get("/").status, 200);
    assert!(visitor.is_closed());
}

#[test]
fn a_visitor_that_takes_nothing_is_dropped() {
    let (report, dropped) = std::sync::mpsc::sync_channel(1);
    let site = Site::start(move |talk, _| {
        use std::io::Write;
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        let piece = vec![b'a'; 1 << 20];
        let failed = (0..900).any(|_| talk.stream.get_mut().write_all(&piece).is_err());
        report.send(failed).unwrap();
    });
    let front = Front::with(site.address, |server, _| server.write = SHORT);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(dropped.recv_timeout(crate::harness::PATIENCE).unwrap(), "the site could write it all");
}
