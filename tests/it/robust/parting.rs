//! A last word arrives: who is still sending when it is refused gets the answer, not a reset (RFC 9112 section 9.6).

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::robust::Keeper;
use crate::robust::twin;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

/// As much as may be on its way over HTTP/2 before a byte of the answer is read: less than a stream's window.
const WINDOW: usize = 60_000;

/// Writes everything before a byte is read, as simple programs do; gives all that came back.
fn pour(front: &Front, name: &str, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(front.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent).unwrap_or_else(|error| panic!("{name}: {error}"));
    let _ = stream.shutdown(Shutdown::Write);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an end without a reset");
    String::from_utf8(all).unwrap()
}

#[test]
fn who_is_refused_with_megabytes_on_the_way_gets_the_answer() {
    let mut tally = Tally::of("parting: refused");
    let tail = "GET /tail HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200_000);
    let body = "x".repeat(6 << 20);
    for (name, sent, status) in [
        ("a bare LF", format!("GET / HTTP/1.1\nhost: a\n\n{tail}"), 400),
        ("two lengths", format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{tail}"), 400),
        ("no host", format!("GET / HTTP/1.1\r\n\r\n{tail}"), 400),
        ("a bad name", format!("GET / HTTP/1.1\r\nx[]: 1\r\n\r\n{tail}"), 400),
        ("an endless line", format!("GET /{body}"), 414),
        ("an endless field", format!("GET / HTTP/1.1\r\nhost: a\r\nx: {body}"), 431),
        ("a tunnel", format!("CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n{body}"), 405),
        (
            "an expectation",
            format!("POST / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
            417,
        ),
        ("a large event", format!("POST /_cs/e HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len()), 413),
        (
            "an upgrade that is not granted",
            format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade\r\nupgrade: h2c\r\n\r\n{tail}"),
            200,
        ),
        (
            "a WebSocket that is refused",
            format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\r\n{tail}"),
            200,
        ),
        ("close, and more", format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n{tail}"), 200),
        ("a chunk that is none", format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{tail}"), 400),
    ] {
        let keeper = Keeper::start();
        let front = Front::of(keeper.site.address);
        let answer = pour(&front, name, sent.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer:.200}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer:.500}");
        assert!(keeper.came().iter().all(|request| !request.line().contains("tail")), "{name}");
        let Some(form) = tally.row(twin::form(&sent.as_bytes()[..sent.len().min(WINDOW)])) else { continue };
        let keeper = Keeper::start();
        let mut twin = Twin::of(&keeper);
        let got = twin.tell(&form);
        assert!(got.is_refused(status), "{name} over HTTP/2: {got:?}");
        assert_eq!(keeper.came().len(), 0, "{name} over HTTP/2");
        assert!(twin.is_in_step(&got, "/next"), "{name} over HTTP/2");
    }
    tally.holds();
}

#[test]
fn a_sites_early_answer_arrives_while_the_body_is_still_sent() {
    let early = |talk: &mut Talk, _| {
        talk.head();
        talk.say("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    };
    let site = Site::start(early);
    let front = Front::of(site.address);
    let body = "x".repeat(6 << 20);
    let answer =
        pour(&front, "early", format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 ") || answer.starts_with("HTTP/1.1 502 "), "{answer:.200}");
    let mut twin = Twin::before(Site::start(early));
    let sent = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{}", body.len(), &body[..WINDOW]);
    let got = twin.ask(&sent);
    assert!([(413, true), (502, true)].contains(&got.whole()), "{got:?}");
    assert_eq!(twin.get("/_cs/other").whole(), (404, true));
}

#[test]
fn who_goes_on_for_ever_is_let_go() {
    let front = Front::of(Site::nobody());
    let mut stream = TcpStream::connect(front.address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\nhost: a\n\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    // 16 MiB are dropped and the kernel's buffers hold some; the rest finds nobody.
    assert!((0..64).any(|_| stream.write_all(&piece).is_err()));
}
