//! A stop lets running answers finish and closes everything else.

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

#[test]
fn a_running_answer_finishes_and_an_unused_connection_closes() {
    let (go, wait) = sync_channel::<()>(1);
    let wait = Mutex::new(wait);
    let site = Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf");
            if head.starts_with("GET /slow") {
                wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            talk.say("done");
        }
    });
    let front = Front::of(site.address);
    let mut unused = Visitor::connect(front.address);
    assert_eq!(unused.get("/").text(), "halfdone");
    let mut active = Visitor::connect(front.address);
    active.say("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    active.head().unwrap();
    assert_eq!(active.exactly(4), b"half");
    front.stop();
    assert!(unused.is_closed());
    go.send(()).unwrap();
    assert_eq!(active.exactly(4), b"done");
    assert!(active.is_closed());
    front.join();
}

#[test]
fn an_answer_that_never_ends_is_cut_at_the_end_of_the_grace() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf");
        talk.rest();
    });
    let front = Front::with(site.address, |server, _| server.grace = Duration::from_millis(50));
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    visitor.head().unwrap();
    front.stop();
    front.join();
    assert_eq!(visitor.rest(), b"half");
}
