//! Bodies cross whole, in both directions, and no faster than they are taken.

use std::io::Write;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

const BODY: usize = 64 << 20;
/// More than four kernel buffers of a loopback hold, and far less than the body.
const HELD: usize = 40 << 20;

/// Writes until the other side takes no more, and says how much went; then writes the rest.
fn pour(stream: &mut std::net::TcpStream, report: &std::sync::mpsc::SyncSender<usize>) {
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let piece = vec![b'a'; 1 << 16];
    let (mut sent, mut stalled) = (0, false);
    while sent < BODY {
        match stream.write(&piece[..piece.len().min(BODY - sent)]) {
            Ok(length) => sent += length,
            Err(_) if !stalled => {
                stalled = true;
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                report.send(sent).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_large_answer_waits_for_a_slow_visitor() {
    let (report, stalled) = sync_channel(1);
    let site = Site::start(move |talk, _| {
        talk.head();
        talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"));
        pour(talk.stream.get_mut(), &report);
        talk.rest();
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    visitor.head().unwrap();
    let held = stalled.recv_timeout(PATIENCE).unwrap();
    assert!(held < HELD, "{held} bytes are held on the way");
    assert!(visitor.exactly(BODY).iter().all(|byte| *byte == b'a'));
}

#[test]
fn a_large_request_waits_for_a_slow_site() {
    let (report, stalled) = sync_channel(1);
    let (go, wait) = sync_channel::<()>(1);
    let wait = std::sync::Mutex::new(wait);
    let site = Site::start(move |talk, _| {
        talk.head();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let body = talk.body(BODY).unwrap();
        talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{:08}", body.len()));
    });
    let front = Front::of(site.address);
    let stream = std::net::TcpStream::connect(front.address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let pouring = std::thread::spawn(move || {
        write!(writer, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n").unwrap();
        pour(&mut writer, &report);
    });
    let held = stalled.recv_timeout(PATIENCE).unwrap();
    assert!(held < HELD, "{held} bytes are held on the way");
    go.send(()).unwrap();
    pouring.join().unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(&stream, 17), &mut answer).unwrap();
    assert_eq!(answer, "HTTP/1.1 200 OK\r\n");
}

#[test]
fn chunks_cross_both_ways_and_the_connection_is_used_again() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            talk.body("3\r\nabc\r\n0\r\n\r\n".len()).unwrap();
            talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n");
        }
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    for _ in 0..3 {
        let answer = visitor.ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        assert_eq!((answer.status, answer.text()), (200, "wxyz"));
    }
    assert_eq!(site.connections(), 1);
}

#[test]
fn an_answer_cut_before_its_length_is_visibly_cut() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(visitor.head().unwrap().contains("content-length: 10\r\n"));
    assert_eq!(visitor.rest(), b"half");
}

#[test]
fn an_answer_cut_between_chunks_is_visibly_cut() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    visitor.head().unwrap();
    assert_eq!(visitor.chunks(), None);
}

#[test]
fn a_request_cut_by_the_visitor_is_cut_for_the_site() {
    let (report, rest) = sync_channel(1);
    let site = Site::start(move |talk, _| {
        talk.head();
        report.send(talk.rest()).unwrap();
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    while site.heads().is_empty() {
        std::thread::yield_now();
    }
    drop(visitor);
    let rest = rest.recv_timeout(PATIENCE).unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
}

#[test]
fn answers_without_a_body_have_none() {
    for (request, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"),
    ] {
        let site = Site::answers(answer);
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        for _ in 0..2 {
            let got = visitor.ask(&format!("{request} / HTTP/1.1\r\nhost: a\r\n\r\n"));
            assert_eq!(got.field("content-length"), (request == "HEAD").then_some("5000"), "{}", got.head);
            assert_eq!(got.field("transfer-encoding"), None, "{}", got.head);
        }
        assert_eq!(site.connections(), 1, "{answer}");
    }
}

#[test]
fn a_body_that_waits_for_100_gets_it() {
    let site = Site::start(|talk, _| {
        let head = talk.head().unwrap();
        assert!(!head.contains("expect"), "{head}");
        talk.body(3).unwrap();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    let first = visitor.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(first.status, 100);
    visitor.say("abc");
    assert_eq!(visitor.answer(false).status, 200);
}

#[test]
fn an_answer_before_the_end_of_the_request_arrives() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        talk.rest();
    });
    let front = Front::of(site.address);
    let answer = Visitor::connect(front.address).ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nstart");
    assert_eq!((answer.status, answer.text()), (413, "no"));
}
