//! Requests of HTTP/2 that two servers could read differently once they are HTTP/1.1 (RFC 9113 sections 8.2, 8.3 and 10.3):
//! refused, with not a byte at the site, and the connection in step where the fault was the stream's alone.

use h2::Reason;

use crate::harness::frames;
use crate::harness::frames::flag;
use crate::robust::h2_case::Field;
use crate::robust::h2_case::ONE;
use crate::robust::h2_case::Row;
use crate::robust::h2_case::Seen;
use crate::robust::h2_case::asked;
use crate::robust::h2_case::get;
use crate::robust::h2_case::play;

const MALFORMED: Seen = Seen::Reset(Reason::PROTOCOL_ERROR);
/// Names and values that no field can have end the connection, as the library reads them with the table that all streams share.
const FAULT: Seen = Seen::Goaway(Reason::PROTOCOL_ERROR);

/// A request of exactly these fields.
fn raw(fields: &[Field<'_>]) -> Vec<u8> {
    frames::headers(ONE, flag::END_STREAM, fields)
}

/// A request with one pseudo-field changed.
fn with(name: &str, value: &str) -> Vec<u8> {
    let fields: Vec<Field<'_>> =
        asked("GET", "/").into_iter().map(|(known, old)| (known, if known == name { value } else { old })).collect();
    raw(&fields)
}

fn without(name: &str) -> Vec<u8> {
    let fields: Vec<Field<'_>> = asked("GET", "/").into_iter().filter(|(known, _)| *known != name).collect();
    raw(&fields)
}

fn and(field: Field<'_>) -> Vec<u8> {
    get(&[field])
}

#[test]
fn pseudo_fields_that_are_none_are_refused() {
    let plain = asked("GET", "/");
    let behind = [&[("x", "1")][..], &plain].concat();
    let twice = [&plain[..], &[(":path", "/b")]].concat();
    let unknown = [&plain[..], &[(":x", "1")]].concat();
    let status = [&plain[..], &[(":status", "200")]].concat();
    let late = [&plain[..3], &[("x", "1"), (":path", "/")]].concat();
    let empty = [&plain[..], &[("", "1")]].concat();
    play(&[
        ("no method", without(":method"), MALFORMED, 0),
        ("no scheme", without(":scheme"), MALFORMED, 0),
        ("no path", without(":path"), MALFORMED, 0),
        ("no authority and no host", without(":authority"), Seen::Status(400), 0),
        ("pseudo-fields behind fields", raw(&behind), MALFORMED, 0),
        ("one of them behind a field", raw(&late), MALFORMED, 0),
        ("a path twice", raw(&twice), MALFORMED, 0),
        ("an unknown one", raw(&unknown), FAULT, 0),
        ("one of answers", raw(&status), MALFORMED, 0),
        ("a field without a name", raw(&empty), FAULT, 0),
        ("an empty path", with(":path", ""), MALFORMED, 0),
        ("a path without a slash", with(":path", "a"), MALFORMED, 0),
        ("the whole server, asked for a page", with(":path", "*"), Seen::Status(400), 0),
        ("an absolute path", with(":path", "https://b.example/"), MALFORMED, 0),
        ("an empty method", with(":method", ""), FAULT, 0),
        ("an empty scheme", with(":scheme", ""), Seen::Status(400), 0),
        ("an empty authority", with(":authority", ""), MALFORMED, 0),
        ("another scheme", with(":scheme", "ftp"), Seen::Status(400), 0),
        ("a user in the authority", with(":authority", "u@shop.example"), Seen::Status(400), 0),
        ("a path in the authority", with(":authority", "shop.example/a"), MALFORMED, 0),
        ("two hosts in the authority", with(":authority", "a,b"), Seen::Status(400), 0),
        ("half a bracket in the authority", with(":authority", "[::1"), MALFORMED, 0),
        ("a port of six digits", with(":authority", "a:123456"), Seen::Status(400), 0),
        ("TRACE", with(":method", "TRACE"), Seen::Status(405), 0),
    ]);
}

#[test]
fn line_ends_and_controls_never_reach_http1() {
    let smuggled = "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let header = "1\r\ntransfer-encoding: chunked";
    play(&[
        ("CR LF in a value", and(("x", smuggled)), FAULT, 0),
        ("LF in a value", and(("x", "1\ny: 2")), FAULT, 0),
        ("CR in a value", and(("x", "1\ry: 2")), FAULT, 0),
        ("NUL in a value", and(("x", "1\0")), FAULT, 0),
        ("a coding behind CR LF", and(("x", header)), FAULT, 0),
        ("CR LF in a name", and(("x: 1\r\ny", "2")), FAULT, 0),
        ("a colon in a name", and(("x:y", "2")), FAULT, 0),
        ("a space in a name", and(("x y", "2")), FAULT, 0),
        ("NUL in a name", and(("x\0", "2")), FAULT, 0),
        ("a name in capitals", and(("X-Y", "2")), FAULT, 0),
        ("CR LF in the path", with(":path", "/ HTTP/1.1\r\nhost: b\r\n\r\nGET /smuggled"), MALFORMED, 0),
        ("a space in the path", with(":path", "/a b"), MALFORMED, 0),
        ("a version in the path", with(":path", "/ HTTP/1.1"), MALFORMED, 0),
        ("NUL in the path", with(":path", "/\0"), MALFORMED, 0),
        ("CR LF in the method", with(":method", "GET / HTTP/1.1\r\nhost: b\r\n\r\nGET"), FAULT, 0),
        ("a space in the method", with(":method", "GET /b"), FAULT, 0),
        ("CR LF in the authority", with(":authority", "a\r\nx: 1"), MALFORMED, 0),
        ("CR LF in the scheme", with(":scheme", "https\r\n"), MALFORMED, 0),
    ]);
}

#[test]
fn fields_of_http1_connections_are_refused() {
    play(&[
        ("a coding", and(("transfer-encoding", "chunked")), MALFORMED, 0),
        ("a connection", and(("connection", "close")), MALFORMED, 0),
        ("a connection that names another field", and(("connection", "x-forwarded-for")), MALFORMED, 0),
        ("keep-alive", and(("keep-alive", "timeout=5")), MALFORMED, 0),
        ("proxy-connection", and(("proxy-connection", "close")), MALFORMED, 0),
        ("an upgrade", and(("upgrade", "websocket")), MALFORMED, 0),
        ("an upgrade to HTTP/2", and(("upgrade", "h2c")), MALFORMED, 0),
        ("TE of another coding", and(("te", "gzip")), MALFORMED, 0),
        ("TE of two", and(("te", "trailers, gzip")), MALFORMED, 0),
        ("TE in capitals", and(("te", "Trailers")), MALFORMED, 0),
        ("another host beside the authority", and(("host", "evil.example")), Seen::Status(400), 0),
        ("a host with another port", and(("host", "shop.example:80")), Seen::Status(400), 0),
        ("two hosts", get(&[("host", "shop.example"), ("host", "evil.example")]), Seen::Status(400), 0),
        ("a length that is no number", and(("content-length", "+3")), MALFORMED, 0),
        ("two lengths", get(&[("content-length", "0"), ("content-length", "3")]), MALFORMED, 0),
        ("an expectation that is not known", and(("expect", "tea")), Seen::Status(417), 0),
    ]);
}

#[test]
fn sound_requests_reach_the_site_in_its_own_words() {
    let long = format!("/{}", "a".repeat(8_191));
    let too_long = format!("/{}", "a".repeat(8_200));
    let many: Vec<(String, String)> = (0..90).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let many: Vec<Field<'_>> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let more: Vec<(String, String)> = (0..100).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let more: Vec<Field<'_>> = more.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let rows: Vec<Row<'_>> = vec![
        ("a page", get(&[]), Seen::Status(200), 1),
        ("the host beside the authority", and(("host", "Shop.Example")), Seen::Status(200), 1),
        ("a port in the authority", with(":authority", "shop.example:443"), Seen::Status(200), 1),
        ("http as scheme", with(":scheme", "http"), Seen::Status(200), 1),
        ("TE of trailers", and(("te", "trailers")), Seen::Status(200), 1),
        ("100 cookies in crumbs", get(&[("cookie", "a=1"); 100]), Seen::Status(200), 1),
        ("too many fields", get(&more), Seen::Status(431), 0),
        // The library cuts it off before anybody sees it, so there is one reading left.
        ("a fragment", with(":path", "/a#b"), Seen::Status(200), 1),
        ("OPTIONS of the whole server", raw(&asked("OPTIONS", "*")), Seen::Status(200), 1),
        ("HEAD", raw(&asked("HEAD", "/")), Seen::Status(200), 1),
        ("a method of its own", with(":method", "BREW"), Seen::Status(200), 1),
        ("90 fields", get(&many), Seen::Status(200), 1),
        ("a target of 8 KiB", with(":path", &long), Seen::Status(200), 1),
        ("a target beyond it", with(":path", &too_long), Seen::Status(414), 0),
        ("UTF-8 in the path", with(":path", "/caf\u{e9}"), Seen::Status(200), 1),
        ("100-continue", and(("expect", "100-continue")), Seen::Status(200), 1),
        (
            "a cookie in crumbs",
            get(&[
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x_real_ip", "6.6.6.6"),
                ("proxy", "x"),
            ]),
            Seen::Status(200),
            1,
        ),
    ];
    let came = play(&rows);
    let head = &came[0].head;
    assert!(head.starts_with("GET / HTTP/1.1\r\ncookie: a=1; b=2\r\n"), "{head}");
    assert!(!head.contains("6.6.6.6") && !head.contains("proxy:"), "{head}");
    assert_eq!((came[0].field("host"), came[0].field("x-forwarded-proto")), (Some("shop.example"), Some("https")));
}
