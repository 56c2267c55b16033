//! Each limit has its own status and its own count, and what stays within it passes.

use std::time::Duration;

use h2::Reason;

use crate::door::Shop;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::robust::ALL;
use crate::robust::Keeper;
use crate::robust::ask;
use crate::robust::ask_at;
use crate::robust::twin;
use crate::robust::twin::End;
use crate::robust::twin::Form;
use crate::robust::twin::Got;
use crate::robust::twin::Tally;
use crate::robust::twin::Twin;
use crate::robust::wait_for;

/// Whether it was refused over HTTP/2, where the library lets go of a visitor whose head has no end.
fn is_refused(form: &Form, got: &Got, status: u16) -> bool {
    let calm = got.end == End::Goaway(Reason::ENHANCE_YOUR_CALM);
    got.is_refused(status) || (form.is_endless() && (calm || got.is_refused(431)))
}

fn fields(count: usize) -> String {
    (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat()
}

#[test]
fn what_is_too_much_is_refused_by_its_own_name() {
    let mut tally = Tally::of("limits: too much");
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    for (name, sent, status) in [
        ("target_too_long", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(8_192)), 414),
        ("target_too_long", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9_000)), 414),
        ("target_too_long", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(300_000)), 414),
        ("target_too_long", format!("GET /?{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9_000)), 414),
        ("target_too_long", "A".repeat(100_000), 414),
        ("head_too_large", get(&format!("x: {}\r\n", "a".repeat(66_000))), 431),
        ("head_too_large", get(&format!("x: {}\r\n", "a".repeat(3_000_000))), 431),
        ("head_too_large", get(&format!("{}: 1\r\n", "a".repeat(66_000))), 431),
        ("head_too_large", get(&format!("x: {}\r\n", "a".repeat(8_000)).repeat(9)), 431),
        ("too_many_fields", get(&fields(100)), 431),
        ("too_many_fields", get(&fields(5_000)), 431),
        ("line_end", "GET / HTTP/1.1\nhost: a\n\n".to_owned(), 400),
        ("control_character", get("x: \0\r\n"), 400),
        ("folded_field", get("x: 1\r\n 2\r\n"), 400),
        ("request_line", "GET /\r\n\r\n".to_owned(), 400),
        ("field_line", get("x : 1\r\n"), 400),
        ("content_length", get("content-length: 1\r\ncontent-length: 2\r\n"), 400),
        ("transfer_coding", get("transfer-encoding: gzip\r\n"), 400),
        ("bad_request", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("expectation_unmet", get("expect: tea\r\n"), 417),
        ("malformed", get("x[]: 1\r\n"), 400),
    ] {
        let keeper = Keeper::start();
        let front = Front::of(keeper.site.address);
        let said = ask_at(&front, sent.as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed), (vec![status], true), "{name}: {sent:.80}");
        assert_eq!(keeper.came().len(), 0, "{name}");
        wait_for(&front, &format!("clicksieve_proxy_errors_total{{kind=\"{name}\"}} 1"));
        let Some(form) = tally.row(twin::form(sent.as_bytes())) else { continue };
        let keeper = Keeper::start();
        let mut twin = Twin::of(&keeper);
        let got = twin.tell(&form);
        assert!(is_refused(&form, &got, status), "{name} over HTTP/2: {got:?}, {sent:.80}");
        assert_eq!(keeper.came().len(), 0, "{name}");
        assert!(twin.is_in_step(&got, "/next"), "{name}");
    }
    tally.holds();
}

#[test]
fn what_is_just_within_the_limits_passes() {
    let mut tally = Tally::of("limits: within");
    for (name, sent) in [
        ("a target of 8 KiB", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(8_191))),
        ("100 fields", format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(99))),
        ("a value of 60 KiB", format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(60 << 10))),
        ("a name of 30 KiB", format!("GET / HTTP/1.1\r\nhost: a\r\n{}: 1\r\n\r\n", "a".repeat(30 << 10))),
        ("a long method", format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "A".repeat(64))),
    ] {
        let said = ask(sent.as_bytes(), 1);
        assert_eq!((said.statuses, said.came.len()), (vec![200], 1), "{name}");
        let form = tally.row(twin::form(sent.as_bytes())).unwrap();
        let keeper = Keeper::start();
        let got = Twin::of(&keeper).tell(&form);
        assert_eq!((got.whole(), keeper.came().len()), ((200, true), 1), "{name} over HTTP/2");
    }
    tally.holds();
}

#[test]
fn chunks_and_trailers_have_their_limits_and_counts() {
    let mut tally = Tally::of("limits: trailers");
    for (name, body, status) in [
        ("chunk", format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(4_000)), 400),
        ("chunk", format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(4_000)), 400),
        ("trailers_too_large", format!("0\r\n{}\r\n", fields(101)), 431),
        ("trailers_too_large", format!("0\r\nx: {}\r\n\r\n", "a".repeat(70_000)), 431),
    ] {
        let site = Site::start(|talk, _| drop(talk.rest()));
        let front = Front::of(site.address);
        let sent = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let said = ask_at(&front, sent.as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed), (vec![status], true), "{name}");
        wait_for(&front, &format!("clicksieve_proxy_errors_total{{kind=\"{name}\"}} 1"));
        let Some(form) = tally.row(twin::form(sent.as_bytes())) else { continue };
        let keeper = Keeper::start();
        let got = Twin::of(&keeper).tell(&form);
        // There the library keeps 64 KiB of fields and drops what is beyond; of what nobody announced nothing crosses.
        assert_eq!((got.whole(), &keeper.came()[0].body[..]), ((200, true), &b""[..]), "{name} over HTTP/2");
    }
    tally.holds();
}

#[test]
fn an_event_that_is_too_large_is_refused_before_it_is_read() {
    let mut tally = Tally::of("limits: events");
    let front = Front::of(Site::nobody());
    for (name, sent) in [
        ("by its length", "POST /_cs/e HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n".to_owned()),
        (
            "by its chunks",
            format!("POST /_cs/e HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n", "x".repeat(1_001)),
        ),
    ] {
        let said = ask_at(&front, sent.as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed), (vec![413], true), "{name}");
        let form = tally.row(twin::form(sent.as_bytes())).unwrap();
        assert_eq!(Twin::before(Site::answers("")).tell(&form).whole(), (413, true), "{name} over HTTP/2");
    }
    tally.holds();
}

#[test]
fn who_is_too_slow_is_told_so() {
    // So long that a visitor has said its half by then.
    let enough = Duration::from_secs(2);
    let short = Duration::from_millis(100);
    for (name, sent) in [
        ("half a request line", "GET /"),
        ("half a head", "GET / HTTP/1.1\r\nhost: a\r\n"),
        ("an empty line before nothing", "\r\n"),
        ("half a field", "GET / HTTP/1.1\r\nhost: a\r\nx: 1"),
    ] {
        let front = Front::with(Site::nobody(), |server, _| server.head = enough);
        let said = ask_at(&front, sent.as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed), (vec![408], true), "{name}");
        wait_for(&front, "clicksieve_proxy_errors_total{kind=\"head_stalled\"} 1");
    }
    let mut tally = Tally::of("limits: slow bodies");
    for (name, body) in [
        ("half a body", "content-length: 10\r\n\r\nhalf"),
        ("no body", "content-length: 10\r\n\r\n"),
        ("half a chunk", "transfer-encoding: chunked\r\n\r\na\r\nhalf"),
        ("no last chunk", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ] {
        let site = Site::start(|talk, _| drop(talk.rest()));
        let front = Front::with(site.address, |_, proxy| proxy.body_progress = short);
        let said = ask_at(&front, format!("POST / HTTP/1.1\r\nhost: a\r\n{body}").as_bytes(), ALL);
        assert_eq!((said.statuses, said.closed), (vec![408], true), "{name}");
        wait_for(&front, "clicksieve_proxy_errors_total{kind=\"body_stalled\"} 1");
        let Some(form) = tally.row(twin::form(format!("POST / HTTP/1.1\r\nhost: a\r\n{body}").as_bytes())) else { continue };
        let site = Site::start(|talk, _| drop(talk.rest()));
        let mut twin = Twin::over(Shop::with_proxy(site, |_| {}, |proxy| proxy.body_progress = short));
        assert_eq!(twin.tell(&form).whole(), (408, true), "{name} over HTTP/2");
        wait_for(&twin.shop.front, "clicksieve_proxy_errors_total{kind=\"body_stalled\"} 1");
        assert_eq!(twin.get("/_cs/other").whole(), (404, true), "{name} over HTTP/2");
    }
    tally.holds();
}

#[test]
fn a_second_head_that_is_slow_is_told_so_too() {
    let keeper = Keeper::start();
    let front = Front::with(keeper.site.address, |server, _| server.head = Duration::from_secs(2));
    let mut visitor = Visitor::connect(front.address);
    assert_eq!(visitor.get("/").status, 200);
    visitor.say("GET /late HTTP/1.1\r\n");
    assert!(visitor.rest().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(keeper.came().len(), 1);
}
