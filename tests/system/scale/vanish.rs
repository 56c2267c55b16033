//! Peers that vanish in the middle of anything: seen by the other side, forgotten by us.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::far::Far;
use crate::far::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::usage;

const TIMES: usize = 25;

/// Ends a connection by a reset.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Vanishes where the path says, else answers.
fn site() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let cut = match path.as_str() {
                "/before" => Some(""),
                "/in-head" => Some("HTTP/1.1 200 OK\r\ncontent-le"),
                "/in-length" => Some("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
                "/in-chunk" => Some("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf"),
                "/between-chunks" => Some("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
                "/in-page" => Some(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000\r\n\r\n<!doctype html><html><head><title>",
                ),
                _ => None,
            };
            if let Some(cut) = cut {
                talk.say(cut);
                reset(talk.stream.get_ref());
                return;
            }
            if path == "/endless" {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
                while talk.stream.get_mut().write_all(&[b'a'; 4_096]).is_ok() {}
                return;
            }
            if head.starts_with("POST") {
                // Its body never ends; whoever sent it goes.
                talk.rest();
                return;
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    })
}

fn connected(far: &Far) -> TcpStream {
    let stream = TcpStream::connect(far.shop()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What a visitor gets of a site that vanishes: a 502 of ours, or an answer that is visibly cut.
fn site_vanishes(far: &Far, path: &str) {
    let page = if path == "/in-page" { crate::whole::seen::chrome() } else { String::new() };
    let mut stream = connected(far);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: shop.example\r\n{page}connection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset is as visible as an end.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 502 ") {
        return;
    }
    assert!(!matches!(path, "/before" | "/in-head"), "{path}: {answer:?}");
    if let Some(length) = crate::harness::visitor::field(head, "content-length") {
        assert!(body.len() < length.parse::<usize>().unwrap(), "{path}: {answer:?}");
    } else {
        assert!(!body.ends_with("0\r\n\r\n"), "{path}: {answer:?}");
    }
}

/// A visitor that goes in the middle of its request or of its answer, by an end or by a reset.
fn visitor_vanishes(far: &Far, sent: &str, by_reset: bool) {
    let mut stream = connected(far);
    stream.write_all(sent.as_bytes()).unwrap();
    if sent.contains("/endless") {
        stream.read_exact(&mut [0; 10_000]).unwrap();
    }
    if by_reset {
        reset(&stream);
    }
}

#[test]
fn whoever_vanishes_is_noticed_and_forgotten() {
    let far = Far::of(site(), "");
    assert_eq!(Visitor::connect(far.shop()).get("/").text(), "ok");
    far.until_left();
    let before = usage::files(&far.process);
    for _ in 0..TIMES {
        for path in ["/before", "/in-head", "/in-length", "/in-chunk", "/between-chunks", "/in-page"] {
            site_vanishes(&far, path);
        }
        for by_reset in [true, false] {
            for sent in [
                "",
                "GET / HT",
                "GET / HTTP/1.1\r\nhost: shop.exam",
                "POST /up HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\nhalf",
                "POST /up HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
                "POST /_cs/e HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\n{\"t\":",
                "GET /endless HTTP/1.1\r\nhost: shop.example\r\n\r\n",
            ] {
                visitor_vanishes(&far, sent, by_reset);
            }
        }
        assert_eq!(Visitor::connect(far.shop()).get("/").text(), "ok");
    }
    far.until_left();
    // One connection to the site may be kept for the next visitor.
    until("all sockets are closed", || usage::files(&far.process) <= before);
    assert_eq!(Visitor::connect(far.shop()).get("/").text(), "ok");
}
