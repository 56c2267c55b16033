//! Requests that two servers could read differently (RFC 9112 section 11.2): one refusal, the connection closed, not a byte
//! at the site, and what stands behind them is never read as a request.

use crate::robust::ALL;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::twin;
use crate::robust::twin::Form;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

const SECOND: &str = "GET /second HTTP/1.1\r\nhost: a\r\n\r\n";

/// The same over HTTP/2: this status or a stream or connection that ends as malformed, nothing at the site, and then in step.
fn refused_too(form: &Form, status: u16) -> Option<String> {
    let keeper = Keeper::start();
    let mut twin = Twin::of(&keeper);
    let got = twin.tell(form);
    let came = keeper.came();
    (!got.is_refused(status) || !came.is_empty() || !twin.is_in_step(&got, "/second"))
        .then(|| format!("{got:?}, {came:?} at the site"))
}

/// Sends each with a second request behind it.
fn refused(table: &'static str, cases: &[(&str, &str)], status: u16) {
    let mut wrong = Vec::new();
    let mut tally = Tally::of(table);
    for (name, sent) in cases {
        let said = ask(format!("{sent}{SECOND}").as_bytes(), ALL);
        if (&said.statuses[..], said.closed, said.came.len()) != (&[status], true, 0) {
            wrong.push(format!("{name}: {:?}, {} at the site", said.statuses, said.came.len()));
        }
        // A refusal says that it is the last word (RFC 9112 section 9.6).
        if !said.heads.iter().all(|head| head.contains("connection: close\r\n")) {
            wrong.push(format!("{name}: {:?}", said.heads));
        }
        if let Some(form) = tally.row(twin::form(sent.as_bytes())) {
            wrong.extend(refused_too(&form, status).map(|got| format!("{name} over HTTP/2: {got}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tally.holds();
}

#[test]
fn request_lines_that_are_none_are_refused() {
    refused(
        "refused: request lines",
        &[
            ("no version", "GET /\r\nhost: a\r\n\r\n"),
            ("a version of the future", "GET / HTTP/1.2\r\nhost: a\r\n\r\n"),
            ("a version in small letters", "GET / http/1.1\r\nhost: a\r\n\r\n"),
            ("a version with a sign", "GET / HTTP/+1.1\r\nhost: a\r\n\r\n"),
            ("a version of two digits", "GET / HTTP/1.10\r\nhost: a\r\n\r\n"),
            ("two spaces before the target", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("two spaces before the version", "GET /  HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a tab as separator", "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a space behind the version", "GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
            ("a space before the method", " GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a fragment", "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a fragment in the query", "GET /a?b#c HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a NUL in the target", "GET /a\0b HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a vertical tab in the target", "GET /a\x0bb HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a DEL in the target", "GET /a\x7fb HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a CR in the target", "GET /a\rb HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("no method", "/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a method with a colon", "GE:T / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a method with a NUL", "GE\0T / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a relative target", "GET a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a target of one question mark", "GET ?a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("the whole server, asked for a page", "GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("an absolute target without a host", "GET http:///a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("an absolute target with a user", "GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("an authority as target", "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("many empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
        ],
        400,
    );
}

#[test]
fn other_versions_are_refused_by_their_own_status() {
    refused(
        "refused: versions",
        &[
            ("HTTP/2 by its line", "GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
            ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("HTTP/0.9 by its line", "GET / HTTP/0.9\r\n\r\n"),
            ("HTTP/3 by its line", "GET / HTTP/3.0\r\nhost: a\r\n\r\n"),
        ],
        505,
    );
}

#[test]
fn lines_and_fields_that_are_none_are_refused() {
    refused(
        "refused: fields",
        &[
            ("LF alone", "GET / HTTP/1.1\nhost: a\n\n"),
            ("LF alone behind the request line", "GET / HTTP/1.1\nhost: a\r\n\r\n"),
            ("LF alone behind a field", "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n"),
            ("LF alone as the empty line", "GET / HTTP/1.1\r\nhost: a\r\n\n"),
            ("CR alone in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\ry: 2\r\n\r\n"),
            ("CR CR LF", "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n"),
            ("a folded field", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n"),
            ("a folded field by tab", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n\t2\r\n\r\n"),
            ("white space before the first field", "GET / HTTP/1.1\r\n host: a\r\n\r\n"),
            ("white space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
            ("a tab before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx\t: 1\r\n\r\n"),
            ("white space in a name", "GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n"),
            ("no colon", "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n"),
            ("no name", "GET / HTTP/1.1\r\nhost: a\r\n: 1\r\n\r\n"),
            ("a NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\x002\r\n\r\n"),
            ("a NUL in a name", "GET / HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n\r\n"),
            ("a control character in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\x012\r\n\r\n"),
            ("a DEL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\x7f\r\n\r\n"),
            ("a form feed behind a value", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\x0c\r\n\r\n"),
            ("brackets in a name", "GET / HTTP/1.1\r\nhost: a\r\nx[y]: 1\r\n\r\n"),
            ("a letter of two bytes in a name", "GET / HTTP/1.1\r\nhost: a\r\n\u{e9}: 1\r\n\r\n"),
        ],
        400,
    );
}

#[test]
fn hosts_that_are_none_are_refused() {
    refused(
        "refused: hosts",
        &[
            ("none", "GET / HTTP/1.1\r\n\r\n"),
            ("two", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
            ("the same twice", "GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n"),
            ("two in HTTP/1.0", "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"),
            ("two beside an absolute target", "GET http://a/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
            ("an empty one", "GET / HTTP/1.1\r\nhost:\r\n\r\n"),
            ("a list", "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n"),
            ("two words", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
            ("a user", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n"),
            ("a path", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
            ("a URL", "GET / HTTP/1.1\r\nhost: http://a\r\n\r\n"),
            ("a port that is no number", "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n"),
            ("a port of six digits", "GET / HTTP/1.1\r\nhost: a:123456\r\n\r\n"),
            ("half a bracket", "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n"),
            ("a percent sign", "GET / HTTP/1.1\r\nhost: a%00\r\n\r\n"),
            ("quotes", "GET / HTTP/1.1\r\nhost: \"a\"\r\n\r\n"),
        ],
        400,
    );
}

#[test]
fn lengths_and_codings_that_can_be_read_twice_are_refused() {
    let cases: Vec<(&str, String)> = [
        ("CL.TE", "content-length: 6\r\ntransfer-encoding: chunked\r\n"),
        ("TE.CL", "transfer-encoding: chunked\r\ncontent-length: 6\r\n"),
        ("a length of nothing beside a coding", "content-length: 0\r\ntransfer-encoding: chunked\r\n"),
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("the same length twice", "content-length: 5\r\ncontent-length: 5\r\n"),
        ("the same length with a zero before it", "content-length: 5\r\ncontent-length: 05\r\n"),
        ("a list of lengths", "content-length: 5, 5\r\n"),
        ("a length with a plus", "content-length: +5\r\n"),
        ("a length with a minus", "content-length: -5\r\n"),
        ("a length with a point", "content-length: 5.0\r\n"),
        ("a length in hexadecimal", "content-length: 0x5\r\n"),
        ("a length of letters", "content-length: five\r\n"),
        ("a length with a unit", "content-length: 5b\r\n"),
        ("a length in two words", "content-length: 5 5\r\n"),
        ("no length at all", "content-length:\r\n"),
        ("a length beyond 64 bits", "content-length: 18446744073709551616\r\n"),
        ("a length with a space before the colon", "content-length : 5\r\n"),
        ("a length with a vertical tab", "content-length:\x0b5\r\n"),
        ("TE.TE", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ("TE.TE, one of them made up", "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n"),
        ("TE.TE, the made up one first", "transfer-encoding: cow\r\ntransfer-encoding: chunked\r\n"),
        ("a made up coding", "transfer-encoding: xchunked\r\n"),
        ("a coding with something behind it", "transfer-encoding: chunkedx\r\n"),
        ("a coding with a parameter", "transfer-encoding: chunked;q=1\r\n"),
        ("a list of codings", "transfer-encoding: gzip, chunked\r\n"),
        ("a list that ends in identity", "transfer-encoding: chunked, identity\r\n"),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n"),
        ("a list with an empty place", "transfer-encoding: , chunked\r\n"),
        ("identity", "transfer-encoding: identity\r\n"),
        ("an empty coding", "transfer-encoding:\r\n"),
        ("a coding in quotes", "transfer-encoding: \"chunked\"\r\n"),
        ("a coding with a space before the colon", "transfer-encoding : chunked\r\n"),
        ("a coding behind a vertical tab", "transfer-encoding:\x0bchunked\r\n"),
        ("a coding before a form feed", "transfer-encoding: chunked\x0c\r\n"),
        ("a coding on a folded line", "transfer-encoding:\r\n chunked\r\n"),
        ("a coding behind a bare LF", "x: 1\ntransfer-encoding: chunked\r\n"),
        ("a coding behind a bare CR", "x: 1\rtransfer-encoding: chunked\r\n"),
        ("a coding behind a NUL", "transfer-encoding:\0chunked\r\n"),
    ]
    .into_iter()
    .map(|(name, fields)| (name, format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n\r\n")))
    .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(name, sent)| (*name, sent.as_str())).collect();
    refused("refused: framing", &cases, 400);
    refused(
        "refused: old chunks",
        &[("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")],
        400,
    );
}

#[test]
fn bytes_that_are_no_text_have_no_place_in_a_target() {
    let mut tally = Tally::of("refused: bytes in a target");
    for target in [&b"/\xff"[..], b"/\xe9", b"/?\xc3", b"/\xc3\x28", b"/\xed\xa0\x80"] {
        let said = ask(&[b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n", SECOND.as_bytes()].concat(), ALL);
        assert_eq!((said.statuses, said.closed, said.came.len()), (vec![400], true, 0), "{target:?}");
        let form = tally.row(twin::form(&[b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat()));
        assert_eq!(refused_too(&form.unwrap(), 400), None, "{target:?}");
    }
    tally.holds();
}

#[test]
fn methods_that_have_no_place_before_a_shop_are_refused() {
    refused(
        "refused: tunnels",
        &[
            ("a tunnel to anywhere", "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n"),
            ("a tunnel to a path", "CONNECT / HTTP/1.1\r\nhost: b:443\r\n\r\n"),
        ],
        405,
    );
    let said = ask(b"TRACE / HTTP/1.1\r\nhost: a\r\ncookie: secret\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n", 2);
    assert_eq!((said.statuses, said.came.len()), (vec![405, 200], 1));
    let mut tally = Tally::of("refused: TRACE");
    let form = tally.row(twin::form(b"TRACE / HTTP/1.1\r\nhost: a\r\ncookie: secret\r\n\r\n"));
    assert_eq!(refused_too(&form.unwrap(), 405), None);
    tally.holds();
}

#[test]
fn a_refusal_comes_after_the_answers_that_are_due() {
    for (name, bad) in [
        ("a bare LF", "GET /b HTTP/1.1\nhost: a\n\n"),
        ("no version", "GET /b\r\n\r\n"),
        ("two lengths", "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"),
        ("a NUL", "GET /b HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n"),
        ("no host", "GET /b HTTP/1.1\r\n\r\n"),
    ] {
        let good = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        let said = ask(format!("{good}{good}{bad}{SECOND}").as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed, said.came.len()), (vec![200, 200, 400], true, 2), "{name}");
    }
}
