//! Requests that two servers could read differently are refused, and the connection with them.

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Sends the request and a second one behind it; gives the statuses of all answers until the connection closes.
fn statuses(request: &str) -> (Vec<u16>, usize) {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    visitor.say(request);
    let mut all = Vec::new();
    while let Some(head) = visitor.head() {
        all.push(head[9..12].parse().unwrap());
        if let Some(length) = crate::harness::visitor::field(&head, "content-length") {
            visitor.exactly(length.parse().unwrap());
        }
    }
    (all, site.heads().len())
}

#[test]
fn a_doubled_missing_or_broken_host_is_refused_and_the_connection_closed() {
    for fields in ["host: a\r\nhost: b\r\n", "", "host: a b\r\n", "host: u@a\r\n"] {
        let smuggled = "GET /second HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(statuses(&format!("GET / HTTP/1.1\r\n{fields}\r\n{smuggled}")), (vec![400], 0), "{fields:?}");
    }
}

#[test]
fn two_ways_to_say_a_length_never_leave_a_second_request_behind() {
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for fields in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 4, 4\r\n",
        "content-length: +4\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding : chunked\r\n",
    ] {
        let (answers, forwarded) = statuses(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}"));
        assert_eq!((answers, forwarded), (vec![400], 0), "{fields:?}");
    }
}

#[test]
fn what_two_servers_could_read_differently_is_refused_and_the_connection_closed() {
    let body = "0\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n";
    for request in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity, chunked\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: b\r\n\tc\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx : b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nnothing\r\n\r\n",
        "GET / HTTP/1.3\r\nhost: a\r\n\r\n",
        "GET /\r\n\r\n",
    ] {
        let (answers, forwarded) = statuses(&format!("{request}{body}"));
        assert_eq!((answers, forwarded), (vec![400], 0), "{request:?}");
    }
}

#[test]
fn a_faulty_head_behind_a_sound_request_is_refused_after_its_answer() {
    let (answers, forwarded) = statuses("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\nhost: a\n\n");
    assert_eq!((answers, forwarded), (vec![200, 400], 1));
}

#[test]
fn a_chunk_that_is_none_ends_the_request_and_the_connection() {
    for body in ["3\nabc\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n"]
    {
        let site = Site::start(|talk, _| {
            talk.head();
            talk.rest();
        });
        let front = Front::of(site.address);
        let mut visitor = Visitor::connect(front.address);
        visitor.say(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}GET /b HTTP/1.1\r\nhost: a\r\n\r\n"
        ));
        assert_eq!(visitor.answer(false).status, 400, "{body:?}");
        assert!(visitor.is_closed(), "{body:?}");
        assert!(site.heads().iter().all(|head| !head.contains("/b")), "{body:?}");
    }
}

#[test]
fn chunks_in_an_old_request_are_refused() {
    assert_eq!(statuses("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), (vec![400], 0));
}

#[test]
fn heads_beyond_their_limits_are_refused() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9_000));
    assert_eq!(statuses(&long), (vec![414], 0));
    let many = (0..120).map(|number| format!("x-{number}: 1")).collect::<Vec<_>>().join("\r\n");
    assert_eq!(statuses(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n\r\n")).0, [431]);
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(70_000));
    assert_eq!(statuses(&large).0, [431]);
}

#[test]
fn tunnels_to_elsewhere_are_refused() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let mut visitor = Visitor::connect(front.address);
    assert_eq!(visitor.ask("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n").status, 405);
    assert!(visitor.is_closed());
    assert_eq!(site.connections(), 0);
}

#[test]
fn an_absolute_target_names_the_host() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let answer = Visitor::connect(front.address).ask("GET http://b.example/x?y HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status, 200);
    let head = site.heads().pop().unwrap();
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n") && head.contains("host: b.example\r\n"), "{head}");
}

#[test]
fn an_answer_with_two_lengths_crosses_with_one() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n");
    let front = Front::of(site.address);
    let answer = Visitor::connect(front.address).get("/");
    assert_eq!((answer.field("content-length"), answer.text()), (None, "wxyz"), "{}", answer.head);
}

#[test]
fn an_answer_that_says_its_length_twice_says_it_once() {
    for lengths in ["content-length: 2\r\ncontent-length: 2", "content-length: 2, 2"] {
        let site = Site::answers(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok"));
        let front = Front::of(site.address);
        let answer = Visitor::connect(front.address).get("/");
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{}", answer.head);
        assert_eq!(answer.head.matches("content-length: 2\r\n").count(), 1, "{}", answer.head);
    }
}

#[test]
fn an_answer_with_differing_lengths_is_refused() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc");
    let front = Front::of(site.address);
    assert_eq!(Visitor::connect(front.address).get("/").status, 502);
}

#[test]
fn bytes_that_are_no_request_harm_nobody() {
    let site = Site::answers(OK);
    let front = Front::of(site.address);
    let mut noise: u32 = 7;
    for length in [1, 10, 100, 1_000, 100_000] {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise.to_be_bytes()[0]
            })
            .collect();
        let mut stream = std::net::TcpStream::connect(front.address).unwrap();
        // The door may have closed before all is written.
        let _ = std::io::Write::write_all(&mut stream, &bytes);
    }
    assert_eq!(Visitor::connect(front.address).get("/").status, 200);
    assert_eq!(site.connections(), 1);
}
