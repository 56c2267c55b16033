//! A site at fault: what it left undone stays visible, what it said too much goes no further, and nothing is sent twice.

use std::net::Shutdown;

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;
use crate::robust::twin;
use crate::robust::twin::End;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

/// A site that reads a request, says these bytes and closes.
fn says_once(bytes: impl Into<Vec<u8>>) -> Site {
    let bytes = bytes.into();
    Site::start(move |talk, _| {
        if talk.head().is_some() {
            talk.say(&bytes);
        }
    })
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// What is wrong over HTTP/2: each of two requests gets a 502, and neither is sent twice.
fn none_over_http2(tally: &mut Tally, name: &str, answer: &str) -> Option<String> {
    tally.both();
    let mut twin = Twin::before(says_once(answer));
    let got = [twin.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab"), twin.ask(GET)];
    let heads = twin.shop.site.heads().len();
    (got.iter().any(|got| got.whole() != (502, true)) || heads != 2)
        .then(|| format!("{name} over HTTP/2: {got:?}, {heads} requests at the site"))
}

#[test]
fn an_answer_that_is_none_is_a_502_and_the_visitors_connection_stays() {
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\nok", "a".repeat(70_000));
    let many = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat();
    let mut wrong = Vec::new();
    let mut tally = Tally::of("origin: no answer");
    for (name, answer) in [
        ("nothing", ""),
        ("half a status line", "HTTP/1.1 20"),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-le"),
        ("no empty line", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"),
        ("another protocol", "SSH-2.0-shop\r\n\r\n"),
        ("HTTP/0.9", "<html>hello</html>"),
        ("HTTP/2", "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a version that is none", "HTTP/x 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a status of letters", "HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a status below 100", "HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("a head too large", &large),
        ("too many fields", &format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\nok")),
        ("differing lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"),
        ("a list of differing lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nabc"),
        ("a length with a sign", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok"),
        ("a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
        ("a length of letters", "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok"),
        ("a length beyond 64 bits", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok"),
        ("a coding for the hop", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("a made up coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("identity", "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok"),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("a NUL in a value", "HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 2\r\n\r\nok"),
        ("a field without a colon", "HTTP/1.1 200 OK\r\nnothing\r\ncontent-length: 2\r\n\r\nok"),
        ("white space before a colon", "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok"),
        ("a folded field", "HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok"),
        ("a 101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ("a 100 and no more", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let site = says_once(answer);
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        visitor.say(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab{GET}"));
        let statuses: Vec<u16> = [(); 2]
            .map(|()| {
                visitor.head().map_or(0, |head| {
                    let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
                    visitor.exactly(length);
                    head[9..12].parse().unwrap()
                })
            })
            .into();
        // One request each, and none of them twice.
        if (&statuses[..], site.heads().len()) != (&[502, 502], 2) {
            wrong.push(format!("{name}: {statuses:?}, {} requests at the site", site.heads().len()));
        }
        wrong.extend(none_over_http2(&mut tally, name, answer));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tally.holds();
}

/// What is left of an answer behind its head, and whether it looks whole.
fn looks_whole(front: &Front, request: &str) -> bool {
    let mut visitor = Visitor::connect(front.address);
    visitor.say(request);
    let Some(head) = visitor.head() else { return false };
    if head.contains(" 502 ") {
        return false;
    }
    if let Some(length) = field(&head, "content-length") {
        return visitor.rest().len() == length.parse::<usize>().unwrap();
    }
    field(&head, "transfer-encoding").is_some() && visitor.chunks().is_some()
}

/// Over HTTP/2 the answer is a 502, or its stream ends in a reset and never in `END_STREAM`; the connection goes on.
fn is_cut_over_http2(site: Site, request: &str, name: &str) {
    let mut twin = Twin::before(site);
    for _ in 0..2 {
        let got = twin.ask(request);
        assert!(matches!(got.end, End::Reset(_)) || got.whole() == (502, true), "{name}: {got:?}");
    }
    assert_eq!(twin.shop.site.heads().len(), 2, "{name}");
    assert_eq!(twin.get("/_cs/other").whole(), (404, true), "{name}");
}

#[test]
fn an_answer_that_was_cut_never_looks_whole() {
    let page = "content-type: text/html\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let mut tally = Tally::of("origin: cut");
    for (name, answer) in [
        ("half a length", "content-length: 10\r\n\r\nhalf".to_owned()),
        ("nothing of a length", "content-length: 10\r\n\r\n".to_owned()),
        ("no last chunk", format!("{chunked}\r\n4\r\nhalf\r\n")),
        ("no chunk at all", format!("{chunked}\r\n")),
        ("half a chunk", format!("{chunked}\r\na\r\nhalf")),
        ("a chunk without its end", format!("{chunked}\r\n4\r\nhalf")),
        ("half a last chunk", format!("{chunked}\r\n4\r\nhalf\r\n0\r\n")),
        ("a size that is none", format!("{chunked}\r\nxyz\r\nhalf\r\n0\r\n\r\n")),
        ("a size beyond 64 bits", format!("{chunked}\r\n11111111111111111\r\nhalf\r\n0\r\n\r\n")),
        ("a chunk longer than its size", format!("{chunked}\r\n2\r\nhalf\r\n0\r\n\r\n")),
        ("half a page by length", format!("{page}content-length: 100\r\n\r\n<head></head>half")),
        ("half a page by chunks", format!("{page}{chunked}\r\n11\r\n<head></head>half\r\n")),
        ("a page cut before its head ends", format!("{page}{chunked}\r\n3\r\n<he\r\n")),
        ("a page cut in gzip", format!("{page}content-encoding: gzip\r\n{chunked}\r\n4\r\n\u{1f}\u{8}\u{1}x\r\n")),
    ] {
        for accept in ["*/*", "text/html"] {
            let site = says_once(format!("HTTP/1.1 200 OK\r\n{answer}"));
            let front = Front::of(site.address);
            let request = format!(
                "GET / HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\naccept-encoding: gzip\r\nsec-fetch-dest: document\r\n\r\n"
            );
            assert!(!looks_whole(&front, &request), "{name}, {accept}");
            tally.both();
            is_cut_over_http2(says_once(format!("HTTP/1.1 200 OK\r\n{answer}")), &request, name);
        }
    }
    tally.holds();
}

#[test]
fn an_answer_that_is_reset_never_looks_whole() {
    let resets = |answer: &'static str| {
        Site::start(move |talk, _| {
            // What is left unread in a socket that is closed makes the kernel reset the connection.
            let mut line = String::new();
            std::io::BufRead::read_line(&mut talk.stream, &mut line).unwrap();
            talk.say(format!("HTTP/1.1 200 OK\r\n{answer}"));
            socket2::SockRef::from(talk.stream.get_ref()).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        })
    };
    let mut tally = Tally::of("origin: reset");
    for answer in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let front = Front::of(resets(answer).address);
        assert!(!looks_whole(&front, GET), "{answer}");
        tally.both();
        let mut twin = Twin::before(resets(answer));
        let got = twin.ask(GET);
        assert!(matches!(got.end, End::Reset(_)) || got.whole() == (502, true), "{answer}: {got:?}");
        assert_eq!(twin.get("/_cs/other").whole(), (404, true), "{answer}");
    }
    tally.holds();
}

#[test]
fn answers_without_a_body_have_none_whatever_the_site_says_of_it() {
    let body = "x".repeat(5);
    let mut tally = Tally::of("origin: no body");
    for (method, answer, length) in [
        ("HEAD", "200 OK\r\ncontent-length: 5".to_owned(), Some("5")),
        ("HEAD", "200 OK\r\ntransfer-encoding: chunked".to_owned(), None),
        ("HEAD", "200 OK".to_owned(), None),
        ("HEAD", "404 Not Found\r\ncontent-length: 5".to_owned(), Some("5")),
        ("GET", "204 No Content".to_owned(), None),
        ("GET", "204 No Content\r\ncontent-length: 5".to_owned(), None),
        ("GET", "204 No Content\r\ntransfer-encoding: chunked".to_owned(), None),
        ("GET", "304 Not Modified\r\netag: \"1\"".to_owned(), None),
        ("GET", "304 Not Modified\r\ncontent-length: 5".to_owned(), None),
        ("POST", "204 No Content".to_owned(), None),
    ] {
        for surplus in ["", body.as_str()] {
            let said = format!("HTTP/1.1 {answer}\r\n\r\n{surplus}");
            let site = Site::answers(said.clone());
            let front = Front::of(site.address);
            let mut visitor = Visitor::connect(front.address);
            for _ in 0..2 {
                visitor.say(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
                let got = visitor.answer(true);
                assert!(answer.starts_with(&got.status.to_string()), "{said}: {}", got.head);
                assert_eq!(got.field("transfer-encoding").filter(|_| got.status == 204), None, "{said}: {}", got.head);
                if got.status == 204 || length.is_some() {
                    assert_eq!(got.field("content-length"), length, "{said}: {}", got.head);
                }
            }
            // Bytes that nobody waits for make the connection unfit for the next request.
            assert_eq!(site.connections(), if surplus.is_empty() { 1 } else { 2 }, "{said}");
            tally.both();
            let mut twin = Twin::before(Site::answers(said.clone()));
            for _ in 0..2 {
                let got = twin.ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
                assert!(got.end == End::Whole && got.body.is_empty(), "{said}: {got:?}");
                assert!(answer.starts_with(&got.status.to_string()), "{said}: {got:?}");
                assert_eq!(got.field("transfer-encoding"), None, "{said}: {got:?}");
                if got.status == 204 || length.is_some() {
                    assert_eq!(got.field("content-length"), length, "{said}: {got:?}");
                }
            }
            assert_eq!(twin.shop.site.connections(), if surplus.is_empty() { 1 } else { 2 }, "{said}");
        }
    }
    tally.holds();
}

#[test]
fn what_stands_behind_an_answer_is_never_the_next_one() {
    let mut tally = Tally::of("origin: surplus");
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for (name, answer) in [
        ("a length", "content-length: 2\r\n\r\nok"),
        ("chunks", "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("no body", "content-length: 0\r\n\r\n"),
    ] {
        let site = Site::answers(format!("HTTP/1.1 200 OK\r\n{answer}{poison}"));
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        for number in 1..=3 {
            assert_ne!(visitor.get("/").text(), "poison", "{name}");
            assert_eq!(site.connections(), number, "{name}");
        }
        tally.both();
        let mut twin = Twin::before(Site::answers(format!("HTTP/1.1 200 OK\r\n{answer}{poison}")));
        for number in 1..=3 {
            let got = twin.get("/");
            assert!(got.status == 200 && got.body != b"poison", "{name}: {got:?}");
            assert_eq!(twin.shop.site.connections(), number, "{name}");
        }
    }
    tally.holds();
}

#[test]
fn bodies_cross_whole_however_both_sides_frame_them() {
    let mut tally = Tally::of("origin: framing");
    for (name, answer) in [
        ("a length", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("the same length twice", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"),
        (
            "chunks with trailers",
            "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\nx-sum: 1\r\n\r\n",
        ),
        (
            "chunks beside a length",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n",
        ),
        ("the end of the connection", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcdef"),
        ("the end of an old connection", "HTTP/1.0 200 OK\r\n\r\nabcdef"),
        ("an old answer with a length", "HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("no reason", "HTTP/1.1 200\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("a reason in letters of two bytes", "HTTP/1.1 200 D\u{e9}j\u{e0}\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("an unknown status", "HTTP/1.1 299 Odd\r\ncontent-length: 6\r\n\r\nabcdef"),
        ("an error", "HTTP/1.1 503 Busy\r\ncontent-length: 6\r\n\r\nabcdef"),
    ] {
        for (asked, stays) in [
            ("HTTP/1.1\r\nhost: a\r\n\r\n", true),
            ("HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", false),
            ("HTTP/1.0\r\nhost: a\r\n\r\n", false),
        ] {
            let site = says_once(answer);
            let front = Front::of(site.address);
            let mut visitor = Visitor::connect(front.address);
            let got = visitor.ask(&format!("GET / {asked}"));
            assert_eq!(got.text(), "abcdef", "{name}, {asked:?}: {}", got.head);
            let old = asked.starts_with("HTTP/1.0");
            assert!(!(old && got.field("transfer-encoding").is_some()), "{name}: {}", got.head);
            assert!(!(got.field("content-length").is_some() && got.field("transfer-encoding").is_some()), "{name}: {}", got.head);
            if stays {
                assert_eq!(visitor.get("/again").text(), "abcdef", "{name}");
            } else {
                assert!(visitor.is_closed(), "{name}");
            }
            let Some(form) = tally.row(twin::form(format!("GET / {asked}").as_bytes())) else { continue };
            let mut twin = Twin::before(says_once(answer));
            let again = twin.tell(&form);
            assert_eq!((again.text(), again.status), ("abcdef", got.status), "{name}: {again:?}");
            assert!(again.field("content-length").is_none_or(|length| length == "6"), "{name}: {again:?}");
            assert_eq!((again.field("transfer-encoding"), again.field("connection")), (None, None), "{name}: {again:?}");
            assert_eq!(twin.get("/again").text(), "abcdef", "{name}");
        }
    }
    tally.holds();
}

/// A site whose first connection answers once, takes the second request and closes.
fn breaks_once() -> Site {
    Site::start(|talk, number| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        if number == 0 {
            talk.head();
            talk.stream.get_mut().shutdown(Shutdown::Both).unwrap();
        } else {
            talk.rest();
        }
    })
}

#[test]
fn a_kept_connection_that_breaks_costs_a_safe_request_nothing_and_sends_no_other_twice() {
    let mut tally = Tally::of("origin: kept connections");
    for (request, status, seen) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200, 3),
        ("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", 200, 3),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 502, 2),
        ("PATCH / HTTP/1.1\r\nhost: a\r\n\r\n", 502, 2),
        ("BREW / HTTP/1.1\r\nhost: a\r\n\r\n", 502, 2),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab", 502, 2),
    ] {
        let site = breaks_once();
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        assert_eq!(visitor.get("/first").status, 200);
        assert_eq!((visitor.ask(request).status, site.heads().len()), (status, seen), "{request:?}");
        tally.both();
        let mut twin = Twin::before(breaks_once());
        assert_eq!(twin.get("/first").whole(), (200, true));
        assert_eq!((twin.ask(request).whole(), twin.shop.site.heads().len()), ((status, true), seen), "{request:?}");
    }
    tally.holds();
}

#[test]
fn a_fresh_connection_that_breaks_is_not_tried_again() {
    let site = says_once("");
    let front = Front::of(site.address);
    assert_eq!((Visitor::connect(front.address).get("/").status, site.heads().len()), (502, 1));
    let mut twin = Twin::before(says_once(""));
    assert_eq!((twin.get("/").whole(), twin.shop.site.heads().len()), ((502, true), 1));
}

#[test]
fn an_answer_before_the_end_of_the_request_crosses_and_that_connection_is_not_used_again() {
    let early = || {
        Site::start(|talk, _| {
            talk.head();
            talk.say("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
            talk.rest();
        })
    };
    let site = early();
    let front = Front::of(site.address);
    for number in 1..=3 {
        let mut visitor = Visitor::connect(front.address);
        visitor.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nstart");
        assert_eq!(visitor.answer(false).status, 413);
        assert_eq!(site.connections(), number);
    }
    let mut twin = Twin::before(early());
    for number in 1..=3 {
        let got = twin.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nstart");
        assert_eq!((got.status, got.text(), twin.shop.site.connections()), (413, "no", number));
    }
}
