//! Bodies over streams (RFC 9113 section 8.1): whole at the site or visibly not, and answers without more than they may have.

use std::sync::mpsc::sync_channel;

use h2::Reason;

use crate::door::Shop;
use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::frames;
use crate::harness::frames::flag;
use crate::harness::site::Site;
use crate::robust::h2_case::ONE;
use crate::robust::h2_case::Row;
use crate::robust::h2_case::Seen;
use crate::robust::h2_case::asked;
use crate::robust::h2_case::connect;
use crate::robust::h2_case::get;
use crate::robust::h2_case::hello;
use crate::robust::h2_case::play;
use crate::robust::h2_case::post;
use crate::robust::h2_case::tell;

const MALFORMED: Seen = Seen::Reset(Reason::PROTOCOL_ERROR);

fn data(bytes: &[u8], last: bool) -> Vec<u8> {
    frames::data(ONE, if last { flag::END_STREAM } else { 0 }, bytes)
}

/// A frame with so much padding declared, and these bytes behind.
fn padded(pad: u8, bytes: &[u8]) -> Vec<u8> {
    frames::data(ONE, flag::PADDED | flag::END_STREAM, &[&[pad][..], bytes].concat())
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    frames::headers(ONE, flag::END_STREAM, fields)
}

#[test]
fn whole_bodies_reach_the_site_whole() {
    let small: Vec<u8> = (0..2_000).flat_map(|_| data(b"x", false)).collect();
    let rows: Vec<(Row<'_>, Vec<u8>)> = [
        ("one frame", [post(&[]), data(b"abc", true)].concat(), b"abc".to_vec()),
        ("a length", [post(&[("content-length", "3")]), data(b"abc", true)].concat(), b"abc".to_vec()),
        ("a length with zeros before it", [post(&[("content-length", "0003")]), data(b"abc", true)].concat(), b"abc".to_vec()),
        ("an end of its own", [post(&[]), data(b"abc", false), data(b"", true)].concat(), b"abc".to_vec()),
        ("nothing", [post(&[]), data(b"", true)].concat(), Vec::new()),
        ("padding", [post(&[]), padded(2, b"abc\0\0")].concat(), b"abc".to_vec()),
        ("padding alone", [post(&[]), padded(5, b"\0\0\0\0\0")].concat(), Vec::new()),
        (
            "empty frames between",
            [post(&[]), data(b"ab", false), data(b"", false).repeat(50), data(b"c", true)].concat(),
            b"abc".to_vec(),
        ),
        ("many small ones", [post(&[]), small, data(b"", true)].concat(), b"x".repeat(2_000)),
        (
            "what looks like a chunk",
            [post(&[]), data(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", true)].concat(),
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n".to_vec(),
        ),
        (
            "trailers that nobody announced",
            [post(&[]), data(b"abc", false), trailers(&[("x-sum", "1")])].concat(),
            b"abc".to_vec(),
        ),
        // Malformed by RFC 9113 section 8.1; the library drops it and says nothing, so that it goes no further.
        ("a pseudo-field in trailers", [post(&[]), data(b"abc", false), trailers(&[(":path", "/b")])].concat(), b"abc".to_vec()),
        (
            "trailers that were announced",
            [post(&[("trailer", "x-sum, host")]), data(b"abc", false), trailers(&[("x-sum", "1"), ("host", "b")])].concat(),
            b"abcx-sum: 1\r\n".to_vec(),
        ),
    ]
    .into_iter()
    .map(|(name, sent, body)| ((name, sent, Seen::Status(200), 1), body))
    .collect();
    for (row, body) in rows {
        let came = play(std::slice::from_ref(&row));
        assert_eq!(came[0].body, body, "{}", row.0);
        assert!(came[0].field("content-length").is_none_or(|length| length == came[0].body.len().to_string()), "{}", row.0);
    }
}

/// Bodies that break the rules, and what their visitor sees.
fn broken() -> Vec<(&'static str, Vec<u8>, Seen)> {
    vec![
        ("less than its length", [post(&[("content-length", "5")]), data(b"abc", true)].concat(), MALFORMED),
        ("more than its length", [post(&[("content-length", "2")]), data(b"abc", true)].concat(), MALFORMED),
        ("a length and no body", get(&[("content-length", "5")]), MALFORMED),
        (
            "a length short by trailers",
            [post(&[("content-length", "5")]), data(b"abc", false), trailers(&[("x", "1")])].concat(),
            MALFORMED,
        ),
        (
            "a coding in trailers",
            [post(&[]), data(b"abc", false), trailers(&[("transfer-encoding", "chunked")])].concat(),
            MALFORMED,
        ),
        (
            "CR LF in trailers",
            [post(&[]), data(b"abc", false), trailers(&[("x", "1\r\ny: 2")])].concat(),
            Seen::Goaway(Reason::PROTOCOL_ERROR),
        ),
        (
            "trailers that end nothing",
            [post(&[]), data(b"abc", false), frames::headers(ONE, 0, &[("x", "1")])].concat(),
            MALFORMED,
        ),
        ("padding longer than its frame", [post(&[]), padded(9, b"abc")].concat(), Seen::Goaway(Reason::PROTOCOL_ERROR)),
        (
            "more than the window",
            [post(&[]), data(&[b'x'; 16_384], false).repeat(70)].concat(),
            Seen::Goaway(Reason::FLOW_CONTROL_ERROR),
        ),
        ("given up", [post(&[]), data(b"half", false), frames::reset(ONE, Reason::CANCEL)].concat(), Seen::Nothing),
        (
            "given up as if all was well",
            [post(&[]), data(b"half", false), frames::reset(ONE, Reason::NO_ERROR)].concat(),
            Seen::Nothing,
        ),
    ]
}

#[test]
fn bodies_that_break_the_rules_never_look_whole() {
    let mut wrong = Vec::new();
    for (name, sent, seen) in broken() {
        let (report, rest) = sync_channel(8);
        let site = Site::start(move |talk, _| {
            while let Some(head) = talk.head() {
                if head.starts_with("GET /next") {
                    talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                } else {
                    let _ = report.send(talk.rest());
                    return;
                }
            }
        });
        let shop = Shop::with(site, |_| {});
        let told = tell(&shop, &hello(), &sent, seen != Seen::Nothing);
        if !told.seen.fits(seen) {
            wrong.push(format!("{name}: {:?}", told.seen));
            continue;
        }
        assert!(told.in_step || matches!(seen, Seen::Goaway(_)), "{name}: out of step");
        let posts = || shop.site.heads().iter().filter(|head| !head.starts_with("GET /next")).count();
        for _ in 0..posts() {
            let rest = rest.recv_timeout(PATIENCE).unwrap();
            assert!(!rest.ends_with(b"0\r\n\r\n") && !rest.windows(4).any(|four| four == b"y: 2"), "{name}: {rest:?}");
            let length = shop.site.heads().iter().any(|head| head.contains("content-length: 3"));
            assert!(!(length && rest.len() == 3), "{name}");
        }
        assert!(shop.site.heads().iter().all(|head| !head.contains("smuggled")), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn answers_have_only_what_they_may_have() {
    for (name, method, answer, status, body) in [
        ("HEAD", "HEAD", "200 OK\r\ncontent-length: 5\r\n\r\n", 200, ""),
        ("HEAD with a body", "HEAD", "200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, ""),
        ("204", "GET", "204 No Content\r\n\r\n", 204, ""),
        ("204 with a body", "GET", "204 No Content\r\ncontent-length: 5\r\n\r\nhello", 204, ""),
        ("304", "GET", "304 Not Modified\r\netag: \"1\"\r\n\r\n", 304, ""),
        ("304 with a body", "GET", "304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", 304, ""),
        ("a length", "GET", "200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, "hello"),
        ("chunks", "GET", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello"),
        (
            "fields of the connection",
            "GET",
            "200 OK\r\nconnection: close, x-named\r\nx-named: 1\r\nkeep-alive: 5\r\ncontent-length: 5\r\n\r\nhello",
            200,
            "hello",
        ),
        (
            "an answer ahead",
            "GET",
            "103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            200,
            "hello",
        ),
    ] {
        let said = format!("HTTP/1.1 {answer}");
        let site = Site::start(move |talk, _| {
            while let Some(head) = talk.head() {
                talk.say(if head.contains(" /next ") { "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" } else { &said });
            }
        });
        let shop = Shop::with(site, |_| {});
        let sent = frames::headers(ONE, flag::END_STREAM, &asked(method, "/"));
        let told = tell(&shop, &hello(), &sent, true);
        assert_eq!((told.seen, told.body, told.in_step), (Seen::Status(status), body.as_bytes().to_vec(), true), "{name}");
        let named = |name: &[u8]| told.head.windows(name.len()).any(|bytes| bytes == name);
        assert!(!named(b"x-named") && !named(b"keep-alive"), "{name}");
    }
}

#[test]
fn an_answer_that_was_cut_ends_in_a_reset() {
    for (name, answer) in [
        ("half a length", "content-length: 10\r\n\r\nhalf"),
        ("no last chunk", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("a size that is none", "transfer-encoding: chunked\r\n\r\nxyz\r\n"),
        ("half a page", "content-type: text/html\r\ncontent-length: 90\r\n\r\n<head></head>"),
    ] {
        let site = Site::start(move |talk, _| {
            let next = talk.head().is_some_and(|head| head.contains(" /next "));
            talk.say(if next {
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
            } else {
                format!("HTTP/1.1 200 OK\r\n{answer}")
            });
        });
        let shop = Shop::with(site, |_| {});
        let told = tell(&shop, &hello(), &get(&[("accept", "text/html")]), true);
        assert!(matches!(told.seen, Seen::Reset(_) | Seen::Status(502)) && told.in_step, "{name}: {:?}", told.seen);
    }
}

#[test]
fn a_window_that_never_opens_costs_one_stream() {
    let page = "x".repeat(200_000);
    for window in [0, 1, 7] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
        let site = Site::start(move |talk, _| {
            while let Some(head) = talk.head() {
                talk.say(if head.contains(" /next ") { "HTTP/1.1 204 No Content\r\n\r\n" } else { answer.as_str() });
            }
        });
        let shop = Shop::with(site, |server| server.write = std::time::Duration::from_millis(300));
        let first = [frames::PREFACE, &frames::settings(&[(1, 0), (4, window)])].concat();
        let told = tell(&shop, &first, &get(&[]), true);
        assert!(matches!(told.seen, Seen::Reset(_)) && told.in_step, "{window}: {:?}", told.seen);
        assert!(told.body.len() <= window as usize, "{window}");
        drop(connect(&shop));
        until(|| shop.front.metrics.open_connections.get() == 0);
    }
}
