//! Which fields cross, byte for byte: heads are written anew, what belongs to one hop stays on it, and nobody removes what
//! the other side relies on (RFC 9110 section 7.6.1).

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::harness::visitor::Visitor;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::twin;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

#[test]
fn a_head_reaches_the_site_written_anew() {
    let said = ask(
        b"GET /a?b HTTP/1.1\r\nHoSt:\t shop.example \r\nX-Empty:\r\nx-odd: \xc3\xa9 \"q\" \r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nAccept-Encoding: br\r\n\r\n",
        1,
    );
    let expected = "GET /a?b HTTP/1.1\r\nhost: shop.example\r\n";
    let head = &said.came[0].head;
    assert!(head.starts_with(expected), "{head}");
    // The same over HTTP/2, without what belongs to the connection.
    let keeper = Keeper::start();
    let mut twin = Twin::of(&keeper);
    let sent = "GET /a?b HTTP/1.1\r\nHoSt:\t shop.example \r\nX-Empty:\r\nx-odd: \u{e9} \"q\" \r\nAccept-Encoding: br\r\n\r\n";
    assert_eq!(twin.ask(sent).whole(), (200, true));
    for came in [&said.came[0], &keeper.came()[0]] {
        let mut names = came.names();
        names.sort_unstable();
        assert_eq!((came.line(), came.field("host")), ("GET /a?b HTTP/1.1", Some("shop.example")));
        assert_eq!((came.field("x-odd"), came.field("x-empty")), (Some("\u{e9} \"q\""), Some("")));
        assert_eq!(names, WRITTEN);
    }
}

/// The fields of a request that came with four.
const WRITTEN: &[&str] = &[
    "accept-encoding",
    "host",
    "x-clicksieve-band",
    "x-clicksieve-reasons",
    "x-clicksieve-score",
    "x-empty",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-odd",
    "x-real-ip",
];

#[test]
fn fields_of_a_request_that_must_not_cross_do_not() {
    let mut wrong = Vec::new();
    let mut tally = Tally::of("fields: of requests");
    for (name, line) in [
        ("connection", "connection: keep-alive"),
        ("keep-alive", "keep-alive: timeout=5"),
        ("proxy-connection", "proxy-connection: keep-alive"),
        ("proxy-authorization", "proxy-authorization: Basic eDp5"),
        ("te", "te: deflate;q=0.5, trailersx"),
        ("trailer", "trailer: content-length, x[]"),
        ("upgrade", "connection: upgrade\r\nupgrade: h2c"),
        ("http2-settings", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__"),
        ("proxy", "proxy: http://evil.example"),
        ("x-named", "connection: x-named\r\nx-named: 1"),
        ("x-named", "connection: close, X-Named\r\nX-NAMED: 1"),
        ("x-named", "connection: ,,x-named,\r\nx-named: 1\r\nx-named: 2"),
        ("x-named", "x-named: 1\r\nconnection: keep-alive\r\nconnection: x-named"),
        ("x-forwarded", "x-forwarded: for=6.6.6.6"),
        ("forwarded", "forwarded: for=6.6.6.6"),
        ("cf-connecting-ip", "cf-connecting-ip: 6.6.6.6"),
        ("true-client-ip", "True-Client-IP: 6.6.6.6"),
        ("fastly-client-ip", "fastly-client-ip: 6.6.6.6"),
        ("x-client-ip", "x-client-ip: 6.6.6.6"),
        ("x-forwarded-port", "x-forwarded-port: 1"),
        ("x_forwarded_for", "x_forwarded_for: 6.6.6.6"),
        ("x_forwarded-for", "X_Forwarded-For: 6.6.6.6"),
        ("x_real_ip", "x_real_ip: 6.6.6.6"),
        ("x_clicksieve_score", "X_Clicksieve_Score: 0"),
        ("x-clicksieve-secret", "x-clicksieve-secret: 0"),
        ("x.forwarded.for", "x.forwarded.for: 6.6.6.6"),
        ("content_length", "content_length: 7"),
        ("transfer_encoding", "transfer_encoding: chunked"),
        ("http_host", "http_host: b\r\nconnection: http_host"),
        ("cf_connecting_ip", "cf_connecting_ip: 6.6.6.6"),
    ] {
        let said = ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(), 1);
        let Some(came) = said.came.first() else {
            wrong.push(format!("{line}: {:?}", said.statuses));
            continue;
        };
        if came.names().contains(&name) || came.head.contains("6.6.6.6") {
            wrong.push(format!("{line}: {}", came.head));
        }
        let Some(form) = tally.row(twin::form(format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n").as_bytes())) else {
            continue;
        };
        let keeper = Keeper::start();
        let mut twin = Twin::of(&keeper);
        let got = twin.tell(&form);
        let came = keeper.came();
        let crossed = came.iter().any(|came| came.names().contains(&name) || came.head.contains("6.6.6.6"));
        if got.whole() != (200, true) || came.len() != 1 || crossed || !twin.is_in_step(&got, "/next") {
            wrong.push(format!("{line} over HTTP/2: {got:?}, {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tally.holds();
}

#[test]
fn a_wish_for_trailers_crosses_as_exactly_that() {
    let mut tally = Tally::of("fields: wishes for trailers");
    for line in ["te: trailers", "TE: gzip;q=0.5, Trailers", "connection: te\r\nte: trailers, deflate"] {
        let said = ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n").as_bytes(), 1);
        let came = &said.came[0];
        assert_eq!((came.field("te"), came.field("connection")), (Some("trailers"), Some("te")), "{line}: {}", came.head);
        let Some(form) = tally.row(twin::form(format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n").as_bytes())) else {
            continue;
        };
        let keeper = Keeper::start();
        assert_eq!(Twin::of(&keeper).tell(&form).whole(), (200, true), "{line}");
        let came = keeper.came();
        assert_eq!((came[0].field("te"), came[0].field("connection")), (Some("trailers"), Some("te")), "{}", came[0].head);
    }
    tally.holds();
}

#[test]
fn fields_that_connection_names_without_right_cross_all_the_same() {
    for (name, value) in [
        ("host", "a"),
        ("cookie", "c=1"),
        ("authorization", "Basic eDp5"),
        ("content-length", "3"),
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        let fields = "host: a\r\ncookie: c=1\r\nauthorization: Basic eDp5\r\ncontent-length: 3\r\ncontent-type: text/plain\r\ncache-control: no-cache\r\n";
        let said = ask(format!("POST / HTTP/1.1\r\n{fields}connection: {name}\r\n\r\nabc").as_bytes(), 1);
        assert_eq!((said.came[0].field(name), &said.came[0].body[..]), (Some(value), &b"abc"[..]), "{name}");
    }
    let said = ask(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: x-clicksieve-score, x-clicksieve-band\r\n\r\n", 1);
    assert!(said.came[0].field("x-clicksieve-score").is_some(), "{}", said.came[0].head);
}

#[test]
fn values_cross_byte_for_byte() {
    let echo = |talk: &mut Talk, _| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut talk.stream, &mut byte).unwrap();
            line.push(byte[0]);
        }
        let value = line.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"x-odd: ")).unwrap().to_vec();
        talk.say([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", &value[..], b"\n\r\n"].concat());
    };
    let front = Front::of(Site::start(echo).address);
    let mut stream = std::net::TcpStream::connect(front.address).unwrap();
    let value: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
    let sent = [b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-odd: ", &value[1..], b"\r\n\r\n"].concat();
    std::io::Write::write_all(&mut stream, &sent).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(answer.windows(value.len() - 1).any(|bytes| bytes == &value[1..]), "{}", String::from_utf8_lossy(&answer));
    let form = twin::form(&[b"GET / HTTP/1.1\r\nhost: a\r\nx-odd: ", &value[1..], b"\r\n\r\n"].concat()).unwrap();
    let got = Twin::before(Site::start(echo)).tell(&form);
    assert!(got.fields.contains(&("x-odd".to_owned(), value[1..].to_vec())), "{got:?}");
}

#[test]
fn fields_of_an_answer_that_must_not_cross_do_not() {
    let mut tally = Tally::of("fields: of answers");
    for (name, line) in [
        ("keep-alive", "keep-alive: timeout=5"),
        ("proxy-authenticate", "proxy-authenticate: Basic"),
        ("proxy-connection", "proxy-connection: close"),
        ("x-named", "connection: x-named\r\nx-named: 1"),
        ("x-named", "connection: close, X-Named\r\nX-Named: 1"),
        ("upgrade", "upgrade: h2c\r\nconnection: upgrade"),
        ("te", "te: trailers"),
        ("trailer", "trailer: set-cookie, content-length"),
        ("alt-svc", "alt-svc: h2=\":443\""),
    ] {
        let said = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: c=1\r\n{line}\r\n\r\nok");
        let site = Site::answers(said.clone());
        let front = Front::of(site.address);
        let answer = Visitor::connect(front.address).get("/");
        assert_eq!((answer.field(name), answer.field("set-cookie"), answer.text()), (None, Some("c=1"), "ok"), "{}", answer.head);
        tally.both();
        let got = Twin::before(Site::answers(said)).get("/");
        assert_eq!((got.field(name), got.field("set-cookie"), got.text()), (None, Some("c=1"), "ok"), "{got:?}");
        assert_eq!(got.field("connection"), None, "{got:?}");
    }
    tally.holds();
}

#[test]
fn an_answer_cannot_name_away_what_the_visitor_relies_on() {
    let fields = "content-type: text/plain\r\ncache-control: private\r\nset-cookie: c=1\r\n";
    let names = "content-length, content-type, cache-control, set-cookie";
    let said = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{fields}connection: {names}\r\n\r\nok");
    let site = Site::answers(said.clone());
    let front = Front::of(site.address);
    let answer = Visitor::connect(front.address).get("/");
    let got = Twin::before(Site::answers(said)).get("/");
    for name in names.split(", ") {
        assert!(answer.field(name).is_some(), "{name}: {}", answer.head);
        assert!(got.field(name).is_some(), "{name}: {got:?}");
    }
}

#[test]
fn a_head_of_a_page_says_what_a_get_of_it_would() {
    let mut tally = Tally::of("fields: HEAD");
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 500\r\netag: \"1\"\r\nlast-modified: Mon, 23 Nov 2026 00:00:00 GMT\r\ncache-control: public, max-age=60\r\n\r\n";
    let other = page.replace("text/html; charset=utf-8", "image/png");
    for (name, said, fields, kept) in [
        ("a page", page, "accept: text/html\r\nif-none-match: \"1\"\r\n", false),
        ("a page for a program", page, "accept: */*\r\n", true),
        ("an image", other.as_str(), "accept: text/html\r\n", true),
    ] {
        let site = Site::answers(said);
        let front = Front::of(site.address);
        let answer = Visitor::connect(front.address).ask(&format!("HEAD / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        for field in ["content-length", "etag", "last-modified"] {
            assert_eq!(answer.field(field).is_some(), kept, "{name}: {}", answer.head);
        }
        assert_eq!(answer.field("cache-control").unwrap().contains("max-age"), kept, "{name}: {}", answer.head);
        assert!(!site.heads()[0].contains("if-none-match") || kept, "{name}");
        tally.both();
        let mut twin = Twin::before(Site::answers(said));
        let got = twin.ask(&format!("HEAD / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!((got.whole(), got.body.len()), ((200, true), 0), "{name}: {got:?}");
        for field in ["content-length", "etag", "last-modified"] {
            assert_eq!(got.field(field).is_some(), kept, "{name}: {got:?}");
        }
        assert_eq!(got.field("cache-control").unwrap().contains("max-age"), kept, "{name}: {got:?}");
        assert!(!twin.shop.site.heads()[0].contains("if-none-match") || kept, "{name}");
    }
    tally.holds();
}
