//! `WebSocket` pass-through.

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;

const UPGRADE: &str = "GET /live HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

#[test]
fn bytes_cross_both_ways_after_a_101() {
    let site = Site::start(|talk, _| {
        let head = talk.head().unwrap();
        assert_eq!((field(&head, "upgrade"), field(&head, "connection")), (Some("websocket"), Some("Upgrade")));
        assert!(field(&head, "sec-websocket-key").is_some());
        talk.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\nhello");
        let bytes = talk.body(5).unwrap();
        talk.say(bytes.iter().rev().copied().collect::<Vec<u8>>());
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    let answer = visitor.ask(UPGRADE);
    assert_eq!(
        (answer.status, answer.field("upgrade"), answer.field("sec-websocket-accept")),
        (101, Some("websocket"), Some("x"))
    );
    assert_eq!(visitor.exactly(5), b"hello");
    visitor.say("12345");
    assert_eq!(visitor.exactly(5), b"54321");
    assert!(visitor.is_closed());
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer_and_what_follows_an_ordinary_request() {
    let site = Site::start(|talk, _| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        }
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    let answer = visitor.ask(UPGRADE);
    assert_eq!((answer.status, answer.text()), (403, "no"));
    assert_eq!(visitor.get("/next").status, 403);
    assert!(site.heads()[1].starts_with("GET /next "));
}

#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let site = Site::answers("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n");
    let front = Front::of(site.address);
    assert_eq!(Visitor::connect(front.address).get("/").status, 502);
    assert_eq!(Visitor::connect(front.address).ask(UPGRADE).status, 502);
}

#[test]
fn a_tunnel_that_stands_still_is_closed() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
        talk.rest();
    });
    let front = Front::with(site.address, |_, proxy| proxy.tunnel_idle = std::time::Duration::from_millis(100));
    let mut visitor = Visitor::connect(front.address);
    assert_eq!(visitor.ask(UPGRADE).status, 101);
    assert!(visitor.is_closed());
}
