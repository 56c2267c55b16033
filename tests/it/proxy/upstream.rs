//! Connections to the site: used again, never trusted blindly, and no request sent twice.

use std::net::Shutdown;
use std::sync::mpsc::sync_channel;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn one_connection_serves_many_requests_of_many_visitors() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    for _ in 0..3 {
        let mut visitor = Visitor::connect(front.address);
        for _ in 0..3 {
            assert_eq!(visitor.get("/").text(), "ok");
        }
    }
    assert_eq!((site.connections(), site.heads().len()), (1, 9));
    assert!(front.metrics.expose().contains("clicksieve_requests_total{status=\"2xx\"} 9"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say(["/1", "/2", "/3"].map(|path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).concat());
    let all: Vec<String> = (0..3).map(|_| visitor.answer(false).text().to_owned()).collect();
    assert_eq!(all, ["/1", "/2", "/3"]);
}

#[test]
fn a_site_that_is_down_gets_a_502_page() {
    let front = Front::of(Site::nobody());
    let mut visitor = Visitor::connect(front.address);
    let answer = visitor.get("/");
    assert_eq!((answer.status, answer.field("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(answer.text().contains("cannot be reached"));
    let head = visitor.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (502, 0));
    assert_eq!(visitor.get("/").status, 502);
}

#[test]
fn a_site_that_speaks_nonsense_gets_a_502_page() {
    let site = Site::answers("SSH-2.0-shop\r\n\r\n");
    assert_eq!(Visitor::connect(Front::of(site.address).address).get("/").status, 502);
}

#[test]
fn a_post_is_not_sent_again_after_the_site_closed_midway() {
    let site = Site::start(|talk, number| {
        talk.head();
        talk.body(3);
        if number == 0 {
            talk.say(OK);
            talk.head();
            talk.body(3);
        }
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(visitor.ask(post).status, 200);
    assert_eq!(visitor.ask(post).status, 502);
    assert_eq!((site.connections(), site.heads().len()), (1, 2));
}

#[test]
fn a_connection_that_the_site_closed_while_unused_is_replaced_unseen() {
    let (report, closed) = sync_channel(4);
    let site = Site::start(move |talk, _| {
        talk.head();
        talk.body(3);
        talk.say(OK);
        talk.stream.get_mut().shutdown(Shutdown::Both).unwrap();
        report.send(()).unwrap();
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    for number in 1..=3 {
        let answer = visitor.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!((answer.status, answer.text()), (200, "ok"));
        assert_eq!(site.connections(), number);
        closed.recv_timeout(PATIENCE).unwrap();
        // Whoever comes now is accepted by a look at all sockets, which finds the closed one, too.
        assert_eq!(Visitor::connect(front.address).get("/_cs/t.js").status, 200);
    }
}

#[test]
fn a_connection_with_surplus_bytes_is_not_used_again() {
    let site = Site::start(|talk, _| {
        while talk.head().is_some() {
            talk.say(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"));
        }
    });
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    for number in 1..=3 {
        assert_eq!(visitor.get("/").text(), "ok");
        assert_eq!(site.connections(), number);
    }
}

#[test]
fn a_connection_whose_answer_was_not_read_is_not_used_again() {
    let site = Site::start(|talk, number| {
        talk.head();
        if number == 0 {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nstart");
            talk.rest();
        } else {
            talk.say(OK);
        }
    });
    let front = Front::of(site.address);
    let mut leaves = Visitor::connect(front.address);
    leaves.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    leaves.head().unwrap();
    drop(leaves);
    assert_eq!(Visitor::connect(front.address).get("/").text(), "ok");
    assert_eq!(site.connections(), 2);
}

#[test]
fn answers_ahead_of_the_answer_are_passed_over() {
    let site = Site::answers(format!("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n{OK}"));
    let answer = Visitor::connect(Front::of(site.address).address).get("/");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.0 200 OK\r\n\r\nto the end");
    });
    assert_eq!(Visitor::connect(Front::of(site.address).address).get("/").text(), "to the end");
}

#[test]
fn connections_beyond_the_limit_are_turned_away() {
    let site = Site::answers(OK);
    let front = Front::with(site.address, |server, _| server.connections = 1);
    let mut first = Visitor::connect(front.address);
    assert_eq!(first.get("/").status, 200);
    assert!(Visitor::connect(front.address).rest().starts_with(b"HTTP/1.1 503 "));
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn a_panic_costs_its_own_connection_only() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let mut other = Visitor::connect(front.address);
    assert_eq!(other.get("/").status, 200);
    let mut unlucky = Visitor::connect(front.address);
    unlucky.say("POST /_cs/e HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\npanic");
    assert!(unlucky.is_closed());
    assert_eq!((other.get("/").status, Visitor::connect(front.address).get("/").status), (200, 200));
}

#[test]
fn an_old_visitor_gets_chunks_as_a_body_that_ends_with_the_connection() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n");
    let front = Front::of(site.address);
    let answer = Visitor::connect(front.address).ask("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    assert_eq!((answer.text(), answer.field("transfer-encoding")), ("wxyz", None));
}

#[test]
fn every_thread_listens_on_the_one_port() {
    let site = Site::answers(OK);
    let front = Front::with(site.address, |server, _| server.cores = 3);
    for _ in 0..30 {
        assert_eq!(Visitor::connect(front.address).get("/").status, 200);
    }
    // Each thread has a pool of its own, and the kernel spreads connections over all of them.
    assert!((2..=3).contains(&site.connections()), "{}", site.connections());
}
