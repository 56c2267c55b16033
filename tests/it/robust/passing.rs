//! Odd but legal requests: they pass, the site gets a head that was written anew, and the next request is in step.

use crate::robust::Came;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::twin;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends each with a second request behind it; the site gets these request lines. Over HTTP/2 it gets the same line and body.
fn passes(table: &'static str, cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    let mut tally = Tally::of(table);
    for (name, sent, line) in cases {
        let said = ask(format!("{sent}{NEXT}").as_bytes(), 2);
        let lines: Vec<&str> = said.came.iter().map(Came::line).collect();
        if (&said.statuses[..], &lines[..]) != (&[200, 200], &[*line, "GET /next HTTP/1.1"]) {
            wrong.push(format!("{name}: {:?}, the site got {lines:?}", said.statuses));
        }
        if said.bodies.last().is_none_or(|body| body != b"/next") {
            wrong.push(format!("{name}: the next answer is {:?}", said.bodies.last()));
        }
        let Some(form) = tally.row(twin::form(sent.as_bytes())) else { continue };
        let keeper = Keeper::start();
        let mut twin = Twin::of(&keeper);
        let got = twin.tell(&form);
        let came = keeper.came();
        let same = |one: &Came, other: &Came| {
            (one.line(), one.field("host"), &one.body) == (other.line(), other.field("host"), &other.body)
        };
        if got.whole() != (200, true) || came.len() != 1 || !same(&came[0], &said.came[0]) {
            wrong.push(format!("{name} over HTTP/2: {got:?}, {came:?}"));
        }
        if !twin.is_in_step(&got, "/next") {
            wrong.push(format!("{name} over HTTP/2: out of step"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tally.holds();
}

#[test]
fn odd_request_lines_pass_and_the_next_request_is_in_step() {
    passes(
        "passing: request lines",
        &[
            ("an empty line before the request", "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1"),
            ("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1"),
            ("a method in small letters", "get / HTTP/1.1\r\nhost: a\r\n\r\n", "get / HTTP/1.1"),
            ("an unknown method", "BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n", "BREW /pot HTTP/1.1"),
            ("a method of signs", "!#$%&'*+-.^_`|~ / HTTP/1.1\r\nhost: a\r\n\r\n", "!#$%&'*+-.^_`|~ / HTTP/1.1"),
            ("the whole server", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "OPTIONS * HTTP/1.1"),
            ("an absolute target", "GET http://b/x?y HTTP/1.1\r\nhost: a\r\n\r\n", "GET /x?y HTTP/1.1"),
            ("an absolute target of https", "GET https://b/x HTTP/1.1\r\nhost: a\r\n\r\n", "GET /x HTTP/1.1"),
            ("an absolute target in capitals", "GET HTTP://b/x HTTP/1.1\r\nhost: a\r\n\r\n", "GET /x HTTP/1.1"),
            ("an absolute target without a path", "GET http://b HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1"),
            ("an absolute target with a query alone", "GET http://b?x HTTP/1.1\r\nhost: a\r\n\r\n", "GET /?x HTTP/1.1"),
            ("two slashes", "GET //x//y HTTP/1.1\r\nhost: a\r\n\r\n", "GET //x//y HTTP/1.1"),
            ("what looks like a host", "GET //evil.example/x HTTP/1.1\r\nhost: a\r\n\r\n", "GET //evil.example/x HTTP/1.1"),
            ("dots", "GET /a/../b/./c HTTP/1.1\r\nhost: a\r\n\r\n", "GET /a/../b/./c HTTP/1.1"),
            ("dots above the root", "GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", "GET /../../etc/passwd HTTP/1.1"),
            ("coded dots and slashes", "GET /%2e%2E/%2f HTTP/1.1\r\nhost: a\r\n\r\n", "GET /%2e%2E/%2f HTTP/1.1"),
            ("a broken escape", "GET /%zz% HTTP/1.1\r\nhost: a\r\n\r\n", "GET /%zz% HTTP/1.1"),
            ("a coded NUL", "GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", "GET /%00 HTTP/1.1"),
            ("a backslash", "GET /a\\b HTTP/1.1\r\nhost: a\r\n\r\n", "GET /a\\b HTTP/1.1"),
            ("an empty query", "GET /? HTTP/1.1\r\nhost: a\r\n\r\n", "GET /? HTTP/1.1"),
            ("two question marks", "GET /a??b=?c HTTP/1.1\r\nhost: a\r\n\r\n", "GET /a??b=?c HTTP/1.1"),
            ("brackets and braces", "GET /a?b[]={c}|d HTTP/1.1\r\nhost: a\r\n\r\n", "GET /a?b[]={c}|d HTTP/1.1"),
            ("letters of two bytes", "GET /caf\u{e9}?\u{fc} HTTP/1.1\r\nhost: a\r\n\r\n", "GET /caf\u{e9}?\u{fc} HTTP/1.1"),
            ("a semicolon", "GET /a;b=c HTTP/1.1\r\nhost: a\r\n\r\n", "GET /a;b=c HTTP/1.1"),
        ],
    );
}

#[test]
fn odd_heads_pass_and_the_next_request_is_in_step() {
    passes(
        "passing: heads",
        &[
            ("no space behind the colon", "GET / HTTP/1.1\r\nhost:a\r\n\r\n", "GET / HTTP/1.1"),
            ("tabs around a value", "GET / HTTP/1.1\r\nhost:\ta\t\r\n\r\n", "GET / HTTP/1.1"),
            ("a name in capitals", "GET / HTTP/1.1\r\nHOST: a\r\n\r\n", "GET / HTTP/1.1"),
            ("a host with a port", "GET / HTTP/1.1\r\nhost: a:8080\r\n\r\n", "GET / HTTP/1.1"),
            ("a host with a colon and no port", "GET / HTTP/1.1\r\nhost: a:\r\n\r\n", "GET / HTTP/1.1"),
            ("an IPv6 host", "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "GET / HTTP/1.1"),
            ("GET with a body", "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", "GET / HTTP/1.1"),
            (
                "GET with a chunked body",
                "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "GET / HTTP/1.1",
            ),
            (
                "a coding in capitals",
                "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "POST / HTTP/1.1",
            ),
            ("DELETE with a body", "DELETE / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", "DELETE / HTTP/1.1"),
            ("POST without a body", "POST / HTTP/1.1\r\nhost: a\r\n\r\n", "POST / HTTP/1.1"),
            ("POST of nothing", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "POST / HTTP/1.1"),
            ("an upgrade without Connection", "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n", "GET / HTTP/1.1"),
            (
                "an upgrade to HTTP/2",
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
                "GET / HTTP/1.1",
            ),
            (
                "an upgrade with a body",
                "POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 3\r\n\r\nabc",
                "POST / HTTP/1.1",
            ),
            ("HTTP/1.0 that stays", "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", "GET / HTTP/1.1"),
            ("HTTP/1.0 that stays, in capitals", "GET / HTTP/1.0\r\nhost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET / HTTP/1.1"),
            (
                "an old expectation",
                "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\nexpect: tea\r\n\r\n",
                "GET / HTTP/1.1",
            ),
            ("keep-alive, said", "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", "GET / HTTP/1.1"),
        ],
    );
}

#[test]
fn the_last_request_closes() {
    for (name, sent) in [
        ("HTTP/1.0", "GET / HTTP/1.0\r\nhost: a\r\n\r\n"),
        ("HTTP/1.0 without a host", "GET / HTTP/1.0\r\n\r\n"),
        ("close", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        ("close, in capitals", "GET / HTTP/1.1\r\nhost: a\r\nCONNECTION: CLOSE\r\n\r\n"),
        ("close among others", "GET / HTTP/1.1\r\nhost: a\r\nconnection: x, close\r\n\r\n"),
        ("close on a second line", "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\nconnection: close\r\n\r\n"),
    ] {
        let said = ask(format!("{sent}{NEXT}").as_bytes(), crate::robust::ALL);
        assert_eq!((said.statuses, said.closed, said.came.len()), (vec![200], true, 1), "{name}");
    }
}

#[test]
fn an_old_request_without_a_host_is_forwarded_with_the_sites_own() {
    let keeper = Keeper::start();
    let front = crate::harness::front::Front::of(keeper.site.address);
    assert_eq!(crate::robust::ask_at(&front, b"GET / HTTP/1.0\r\n\r\n", 1).statuses, [200]);
    assert_eq!(keeper.came()[0].field("host"), Some(keeper.site.address.to_string().as_str()));
}

#[test]
fn fifty_requests_at_once_are_answered_in_order() {
    let post = |number: usize| format!("POST /{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n{number:03}");
    let all = (0..50).map(post).collect::<Vec<_>>().concat();
    let said = ask(all.as_bytes(), 50);
    let expected: Vec<Vec<u8>> = (0..50).map(|number| format!("/{number}").into_bytes()).collect();
    assert_eq!(said.bodies, expected);
    let bodies: Vec<Vec<u8>> = (0..50).map(|number| format!("{number:03}").into_bytes()).collect();
    assert_eq!(said.came.iter().map(|request| request.body.clone()).collect::<Vec<_>>(), bodies);
    // Over HTTP/2 each has a stream; the order at the site is nobody's.
    let keeper = Keeper::start();
    let mut twin = Twin::of(&keeper);
    let streams: Vec<u32> = (0..50).map(|number| twin.say(&twin::form(post(number).as_bytes()).unwrap())).collect();
    let answers: Vec<Vec<u8>> = streams.into_iter().map(|stream| twin.hear(stream).text().into()).collect();
    assert_eq!(answers, expected);
    let mut came: Vec<Vec<u8>> = keeper.came().into_iter().map(|request| request.body).collect();
    came.sort_unstable();
    assert_eq!(came, bodies);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_one() {
    let keeper = Keeper::start();
    let front = crate::harness::front::Front::of(keeper.site.address);
    let mut visitor = crate::harness::visitor::Visitor::connect(front.address);
    for byte in b"POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n" {
        visitor.say([*byte]);
    }
    assert_eq!(visitor.answer(false).text(), "/slow");
    assert_eq!(keeper.came()[0].body, b"abc");
    let keeper = Keeper::start();
    let mut twin = Twin::of(&keeper);
    let form = twin::form(b"POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let stream = twin.say_slowly(&form.unwrap());
    assert_eq!((twin.hear(stream).text(), &keeper.came()[0].body[..]), ("/slow", &b"abc"[..]));
}
