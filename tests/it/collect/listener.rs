//! The Graph-compatible listener around the collector: a client that stalls, breaks off or finds no room is told so in
//! words that Meta's SDKs can read.

use std::sync::Arc;
use std::time::Duration;

use clicksieve::collect;
use clicksieve::server;
use clicksieve::server::Door;
use clicksieve::server::Running;
use clicksieve::server::route::GraphDoor;
use clicksieve::telemetry::Metrics;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;

const SHORT: Duration = Duration::from_millis(100);
/// The same where the visitor must have said something before it ends.
const ENOUGH: Duration = Duration::from_secs(2);

/// A listener; it stops when dropped.
struct Listener {
    running: Running,
    _stop: watch::Sender<bool>,
    _folder: TempDir,
}

fn listen(change: impl FnOnce(&mut server::Settings)) -> Listener {
    let folder = tempfile::tempdir().unwrap();
    let room = Arc::new(super::room(folder.path()).collector);
    let door = Door::Graph(GraphDoor {
        graph: Arc::new(move |head, body| {
            let room = Arc::clone(&room);
            Box::pin(async move { room.graph(&head, body).await })
        }),
        full: collect::too_many_connections(),
        slow: collect::head_stalled(),
        refused: Arc::new(collect::malformed),
        body_limit: 4 << 20,
    });
    let mut settings = server::Settings { address: "127.0.0.1:0".parse().unwrap(), cores: 1, ..server::Settings::default() };
    change(&mut settings);
    let (stop, stopped) = watch::channel(false);
    let running = server::serve(&settings, &door, &Metrics::default(), &stopped).unwrap();
    Listener { running, _stop: stop, _folder: folder }
}

/// Status, code, and whether it may be tried again.
fn read(answer: &Answer) -> (u16, u64, bool) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!(answer.field("content-type"), Some("application/json; charset=utf-8"));
    assert!(body["error"]["message"].is_string() && body["error"]["fbtrace_id"].is_string(), "{body}");
    (answer.status, body["error"]["code"].as_u64().unwrap(), body["error"]["is_transient"].as_bool().unwrap())
}

#[test]
fn a_body_that_stands_still_may_be_sent_again() {
    let listener = listen(|settings| settings.event_body = SHORT);
    let mut visitor = Visitor::connect(listener.running.address());
    let answer =
        visitor.ask("POST /v26.0/123/events?access_token=our-key HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{\"data");
    assert_eq!((read(&answer), answer.field("connection")), ((408, 2, true), Some("close")));
    assert!(visitor.is_closed());
}

#[test]
fn a_crash_report_that_stands_still_is_taken_all_the_same() {
    let listener = listen(|settings| settings.event_body = SHORT);
    let answer = Visitor::connect(listener.running.address())
        .ask("POST /v26.0/1/instruments HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{\"bizsdk");
    assert_eq!((answer.status, answer.text()), (200, "{}"));
}

#[test]
fn a_body_with_broken_framing_is_refused_and_nothing_of_it_taken() {
    let listener = listen(|_| {});
    let mut visitor = Visitor::connect(listener.running.address());
    let answer = visitor.ask("POST /v26.0/123/events HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n");
    assert_eq!(read(&answer), (400, 100, false));
    assert!(visitor.is_closed());
}

#[test]
fn a_connection_too_many_may_come_again() {
    let listener = listen(|settings| settings.connections = 1);
    let _first = Visitor::connect(listener.running.address());
    let refused = Visitor::connect(listener.running.address()).answer(false);
    assert_eq!((read(&refused), refused.field("retry-after")), ((503, 2, true), Some("30")));
}

#[test]
fn a_head_that_does_not_end_may_be_sent_again() {
    let listener = listen(|settings| settings.head = ENOUGH);
    let mut visitor = Visitor::connect(listener.running.address());
    visitor.say("POST /v26.0/123/events HTTP/1.1\r\nhost:");
    assert_eq!(read(&visitor.answer(false)), (408, 2, true));
}

#[test]
fn a_body_that_is_far_too_large_is_refused_before_it_is_sent() {
    let listener = listen(|_| {});
    let answer = Visitor::connect(listener.running.address())
        .ask("POST /v26.0/123/events HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n");
    assert_eq!(read(&answer), (413, 100, false));
}

#[test]
fn a_head_that_is_no_http_is_refused_before_it_is_a_request() {
    let listener = listen(|_| {});
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9_000));
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    for (head, status, code) in [
        ("nonsense\r\n\r\n", 400, 100),
        ("POST /v26.0/123/events HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400, 100),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", 405, 2),
        ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505, 2),
        (&long, 414, 100),
        (&large, 431, 100),
    ] {
        let mut visitor = Visitor::connect(listener.running.address());
        assert_eq!(read(&visitor.ask(head)), (status, code, false), "{head:.80}");
        assert!(visitor.is_closed());
    }
}
