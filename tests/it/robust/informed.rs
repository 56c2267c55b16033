//! Answers ahead of the answer, expectations and upgrades (RFC 9110 sections 7.8, 10.1.1 and 15.2).

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::robust::ALL;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::twin;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn who_waits_for_100_gets_it_when_the_body_is_wanted_and_the_site_never_hears_of_it() {
    let mut tally = Tally::of("informed: expectations");
    for (name, framing, body) in
        [("a length", "content-length: 3", "abc"), ("chunks", "transfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")]
    {
        for expectation in ["100-continue", "100-Continue"] {
            let keeper = Keeper::start();
            let front = Front::of(keeper.site.address);
            let mut visitor = Visitor::connect(front.address);
            let first = visitor.ask(&format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\nexpect: {expectation}\r\n\r\n"));
            assert_eq!(first.status, 100, "{name}");
            visitor.say(body);
            assert_eq!(visitor.answer(false).text(), "/", "{name}");
            assert_eq!(visitor.get("/next").text(), "/next", "{name}");
            let came = keeper.came();
            assert_eq!((&came[0].body[..], came[0].field("expect"), came.len()), (&b"abc"[..], None, 2), "{name}");
            // Over HTTP/2 hyper has no way to say 100; clients do not wait for it without an end (RFC 9110 section 10.1.1).
            let sent = format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\nexpect: {expectation}\r\n\r\n{body}");
            let form = tally.row(twin::form(sent.as_bytes())).unwrap();
            let keeper = Keeper::start();
            let mut twin = Twin::of(&keeper);
            assert_eq!((twin.tell(&form).text(), twin.get("/next").text()), ("/", "/next"), "{name}");
            let came = keeper.came();
            assert_eq!((&came[0].body[..], came[0].field("expect"), came.len()), (&b"abc"[..], None, 2), "{name}");
        }
    }
    tally.holds();
}

#[test]
fn who_does_not_wait_for_100_gets_one_answer() {
    let said =
        ask(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\nabc{NEXT}").as_bytes(), 3);
    let last: Vec<u16> = said.statuses.iter().copied().filter(|status| *status != 100).take(2).collect();
    assert_eq!((last, said.came.len()), (vec![200, 200], 2));
}

#[test]
fn another_expectation_is_not_met() {
    let mut tally = Tally::of("informed: other expectations");
    for value in ["tea", "100-continue, tea", "", "100"] {
        let said =
            ask(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: {value}\r\n\r\nabc{NEXT}").as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed, said.came.len()), (vec![417], true, 0), "{value}");
        let sent = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: {value}\r\n\r\nabc");
        let form = tally.row(twin::form(sent.as_bytes())).unwrap();
        let keeper = Keeper::start();
        let mut twin = Twin::of(&keeper);
        let got = twin.tell(&form);
        assert_eq!((got.whole(), keeper.came().len()), ((417, true), 0), "{value}");
        assert!(twin.is_in_step(&got, "/next"), "{value}");
    }
    tally.holds();
}

#[test]
fn a_refused_expectation_asks_for_no_body() {
    let site = Site::start(|talk, _| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
        }
    });
    let front = Front::of(site.address);
    let said = crate::robust::ask_at(
        &front,
        b"GET /_cs/other HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
        1,
    );
    assert_eq!(said.statuses, [404]);
    assert_eq!(site.connections(), 0);
    let mut twin = Twin::before(site);
    let got = twin.ask("GET /_cs/other HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!((got.whole(), got.ahead, twin.shop.site.connections()), ((404, true), 0, 0));
}

#[test]
fn answers_ahead_of_the_answer_are_consumed() {
    let mut tally = Tally::of("informed: ahead");
    for (name, ahead) in [
        ("100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("102", "HTTP/1.1 102 Processing\r\n\r\n"),
        ("103", "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"),
        ("an unknown one", "HTTP/1.1 199 Soon\r\n\r\n"),
        ("three of them", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"),
        ("one that names a length", "HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\n"),
    ] {
        let hints = || {
            Site::start(move |talk, _| {
                while talk.head().is_some() {
                    talk.say(ahead);
                    talk.say(OK);
                }
            })
        };
        let site = hints();
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        assert_eq!((visitor.get("/").text(), visitor.get("/").text()), ("ok", "ok"), "{name}");
        assert_eq!(site.connections(), 1, "{name}");
        tally.both();
        let mut twin = Twin::before(hints());
        for _ in 0..2 {
            let got = twin.get("/");
            assert_eq!((got.text(), got.ahead), ("ok", 0), "{name}");
        }
        assert_eq!(twin.shop.site.connections(), 1, "{name}");
    }
    tally.holds();
}

#[test]
fn answers_ahead_of_the_answer_do_not_go_on_for_ever() {
    let site = Site::start(|talk, _| {
        talk.head();
        let many = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
        while std::io::Write::write_all(talk.stream.get_mut(), many.as_bytes()).is_ok() {}
    });
    let front = Front::of(site.address);
    assert_eq!(Visitor::connect(front.address).get("/").status, 502);
    assert_eq!(Twin::before(site).get("/").whole(), (502, true));
}

#[test]
fn an_upgrade_that_was_not_asked_for_is_no_answer() {
    let mut tally = Tally::of("informed: upgrades");
    for (name, request, fields) in [
        ("unasked", "", "upgrade: websocket\r\nconnection: upgrade\r\n"),
        ("asked for HTTP/2", "connection: upgrade\r\nupgrade: h2c\r\n", "upgrade: h2c\r\nconnection: upgrade\r\n"),
        ("asked for another", "connection: upgrade\r\nupgrade: websocket\r\n", "upgrade: h2c\r\nconnection: upgrade\r\n"),
        ("asked, and nothing named", "connection: upgrade\r\nupgrade: websocket\r\n", ""),
    ] {
        let said = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        let site = Site::answers(said.clone());
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        assert_eq!(visitor.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{request}\r\n")).status, 502, "{name}");
        let Some(form) = tally.row(twin::form(format!("GET / HTTP/1.1\r\nhost: a\r\n{request}\r\n").as_bytes())) else {
            continue;
        };
        assert_eq!(Twin::before(Site::answers(said)).tell(&form).whole(), (502, true), "{name}");
    }
    tally.holds();
}

#[test]
fn what_follows_a_refused_upgrade_is_read_as_http() {
    let ask = "GET /live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let keeper = Keeper::start();
    let front = Front::of(keeper.site.address);
    let said = crate::robust::ask_at(&front, format!("{ask}{NEXT}").as_bytes(), 2);
    assert_eq!(said.bodies, [&b"/live"[..], b"/next"]);
    assert_eq!(keeper.came().len(), 2);
    for behind in ["\u{81}\u{5}hello", "GET /smuggled HTTP/1.1\nhost: a\n\n"] {
        let keeper = Keeper::start();
        let front = Front::of(keeper.site.address);
        let said = crate::robust::ask_at(&front, format!("{ask}{behind}\r\n\r\n").as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed, keeper.came().len()), (vec![200, 400], true, 1), "{behind:?}");
    }
}

#[test]
fn an_old_visitor_gets_no_upgrade() {
    let said = ask(b"GET / HTTP/1.0\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 1);
    assert_eq!((said.statuses, said.came[0].field("upgrade")), (vec![200], None));
}
