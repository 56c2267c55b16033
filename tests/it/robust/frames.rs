//! Bodies of requests: whole at the site or not at all, framed anew, and the next request in step.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::sync_channel;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::twin;
use crate::robust::twin::Form;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// What is wrong over HTTP/2 with a body that should reach the site whole.
fn not_whole_over_http2(form: &Form, body: &str) -> Option<String> {
    let keeper = Keeper::start();
    let mut twin = Twin::of(&keeper);
    let got = twin.tell(form);
    let came = keeper.came();
    let zeros = came.iter().any(|came| came.field("content-length").is_some_and(|length| length.starts_with("00")));
    (got.whole() != (200, true) || came.len() != 1 || came[0].body != body.as_bytes() || zeros || !twin.is_in_step(&got, "/next"))
        .then(|| format!("{got:?}, {:.200}", format!("{came:?}")))
}

#[test]
fn bodies_reach_the_site_whole_and_the_next_request_is_in_step() {
    let small: String = (0..20_000).map(|_| "1\r\nx\r\n").collect::<String>() + "0\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let mut wrong = Vec::new();
    let mut tally = Tally::of("frames: bodies");
    for (name, sent, body) in [
        ("a length", "content-length: 3\r\n\r\nabc".to_owned(), "abc".to_owned()),
        ("a length with zeros before it", "content-length: 0003\r\n\r\nabc".to_owned(), "abc".to_owned()),
        ("a length with white space around it", "content-length: \t 3 \t\r\n\r\nabc".to_owned(), "abc".to_owned()),
        ("a length of nothing", "content-length: 0\r\n\r\n".to_owned(), String::new()),
        ("a body that looks like a request", format!("content-length: {}\r\n\r\n{NEXT}", NEXT.len()), NEXT.to_owned()),
        ("chunks", format!("{chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde".to_owned()),
        ("no chunk but the last", format!("{chunked}0\r\n\r\n"), String::new()),
        (
            "sizes in both cases",
            format!("{chunked}a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            "01234567890123456789".to_owned(),
        ),
        ("sizes with zeros before them", format!("{chunked}0003\r\nabc\r\n000\r\n\r\n"), "abc".to_owned()),
        ("extensions", format!("{chunked}3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"), "abc".to_owned()),
        ("an extension that looks like a size", format!("{chunked}3;5\r\nabc\r\n0\r\n\r\n"), "abc".to_owned()),
        ("very many small chunks", format!("{chunked}{small}"), "x".repeat(20_000)),
        ("a chunk with line ends in it", format!("{chunked}6\r\n\r\n0\r\n\r\r\n0\r\n\r\n"), "\r\n0\r\n\r".to_owned()),
        ("a chunk that looks like the end", format!("{chunked}7\r\n0\r\n\r\nab\r\n0\r\n\r\n"), "0\r\n\r\nab".to_owned()),
        (
            "trailers that nobody announced, which are dropped",
            format!("{chunked}3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"),
            "abc".to_owned(),
        ),
        (
            "trailers that were announced",
            format!("trailer: x-sum\r\n{chunked}3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"),
            "abcx-sum: 1\r\n".to_owned(),
        ),
        (
            "trailers that would be framing",
            format!(
                "trailer: content-length, host\r\n{chunked}3\r\nabc\r\n0\r\ncontent-length: 9\r\ntransfer-encoding: gzip\r\nhost: b\r\nx-forwarded-for: 6.6.6.6\r\n\r\n"
            ),
            "abc".to_owned(),
        ),
    ] {
        let said = ask(format!("POST / HTTP/1.1\r\nhost: a\r\n{sent}{NEXT}").as_bytes(), 2);
        let came: Vec<&str> = said.came.iter().map(|request| std::str::from_utf8(&request.body).unwrap()).collect();
        if (&said.statuses[..], &came[..]) != (&[200, 200], &[body.as_str(), ""]) {
            wrong.push(format!("{name}: {:?}, {:.200}", said.statuses, format!("{came:?}")));
        }
        if said
            .came
            .iter()
            .any(|request| request.field("content-length").is_some_and(|length| length.len() > 1 && length.starts_with('0')))
        {
            wrong.push(format!("{name}: a length with zeros"));
        }
        if let Some(form) = tally.row(twin::form(format!("POST / HTTP/1.1\r\nhost: a\r\n{sent}").as_bytes())) {
            wrong.extend(not_whole_over_http2(&form, &body).map(|got| format!("{name} over HTTP/2: {got}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tally.holds();
}

/// A site that reports what comes behind a head, once that connection has ended.
fn listens() -> (Site, Receiver<Vec<u8>>) {
    let (report, rest) = sync_channel(1);
    let site = Site::start(move |talk, _| {
        talk.head();
        report.send(talk.rest()).unwrap();
    });
    (site, rest)
}

/// The same over HTTP/2.
fn cut_over_http2(form: &Form) -> Vec<u8> {
    let (site, rest) = listens();
    let mut twin = Twin::before(site);
    twin.say(form);
    while twin.shop.site.heads().is_empty() {
        std::thread::yield_now();
    }
    let _shop = twin.leave();
    rest.recv_timeout(PATIENCE).unwrap()
}

/// Sends a request and lets go; gives what the site got behind its head.
fn cut(sent: &str) -> Vec<u8> {
    let (site, rest) = listens();
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say(sent);
    while site.heads().is_empty() {
        std::thread::yield_now();
    }
    drop(visitor);
    rest.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_body_that_did_not_end_never_looks_whole_to_the_site() {
    let mut tally = Tally::of("frames: cut");
    for (name, body) in [
        ("half a length", "content-length: 10\r\n\r\nhalf"),
        ("no last chunk", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("half a chunk", "transfer-encoding: chunked\r\n\r\na\r\nhalf"),
        ("half a size", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n1"),
        ("no end of the trailers", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"),
        ("half a trailer", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nx: 1"),
    ] {
        let rest = cut(&format!("POST / HTTP/1.1\r\nhost: a\r\n{body}"));
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 10, "{name}: {rest:?}");
        let Some(form) = tally.row(twin::form(format!("POST / HTTP/1.1\r\nhost: a\r\n{body}").as_bytes())) else { continue };
        let rest = cut_over_http2(&form);
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 10, "{name} over HTTP/2: {rest:?}");
    }
    tally.holds();
}

#[test]
fn a_body_that_breaks_the_rules_never_looks_whole_to_the_site() {
    let mut wrong = Vec::new();
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t\r\nabc\r\n0\r\n\r\n",
        "3 ;x\r\nabc\r\n0\r\n\r\n",
        "3;x\ny\r\nabc\r\n0\r\n\r\n",
        "3;x\ry\r\nabc\r\n0\r\n\r\n",
        "3;\0\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "3_0\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3,3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n x: 1\r\n\r\n",
        "3\r\nabc\r\n0\r\nx : 1\r\n\r\n",
        "3\r\nabc\r\n0\r\nx\r\n\r\n",
        "3\r\nabc\r\n0\r\nx: 1\n\r\n",
        "3\r\nabc\r\n0\r\nx: \0\r\n\r\n",
    ] {
        let (report, rest) = sync_channel(4);
        let site = Site::start(move |talk, _| {
            talk.head();
            report.send(talk.rest()).unwrap();
        });
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        visitor.say(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}{NEXT}"));
        let answer = visitor.answer(false);
        if answer.status != 400 || !visitor.is_closed() {
            wrong.push(format!("{body:?}: {}", answer.head));
        }
        if site.connections() > 0 {
            let rest = rest.recv_timeout(PATIENCE).unwrap();
            if rest.ends_with(b"0\r\n\r\n") || rest.windows(4).any(|bytes| bytes == b"next") {
                wrong.push(format!("{body:?}: the site got {rest:?}"));
            }
        }
        if site.heads().iter().any(|head| head.contains("/next")) {
            wrong.push(format!("{body:?}: smuggled"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
