//! A shop that is spoken to by HTTP/2.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use clicksieve::proxy::Origin;
use clicksieve::proxy::Trust;
use h2::Reason;
use http::Method;
use http::Version;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::door::Authority;
use crate::door::Shop;
use crate::door::http2::Line;
use crate::door::http2::get;
use crate::door::http2::runtime;
use crate::door::http2::whole;
use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::frames;
use crate::harness::frames::Frame;
use crate::harness::frames::flag;
use crate::harness::frames::kind;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::harness::visitor::Visitor;
use crate::streams::StreamSite;
use crate::streams::post;
use crate::streams::read;
use crate::streams::status;

/// A site that answers everything with `ok`.
fn polite() -> StreamSite {
    StreamSite::start(|mut body, mut respond, _| async move {
        let _ = read(&mut body).await;
        let mut out = respond.send_response(status(200), false).unwrap();
        out.send_data(Bytes::from_static(b"ok"), true).unwrap();
    })
}

fn front(site: &StreamSite) -> Front {
    let origin = Origin::parse(&format!("h2c://{}", site.address)).unwrap();
    Front::with(site.address, |_, proxy| proxy.upstream = origin)
}

#[test]
fn visitors_of_both_versions_are_carried_by_one_connection() {
    let site = polite();
    let front = front(&site);
    let mut visitor = Visitor::connect(front.address);
    for _ in 0..3 {
        assert_eq!(visitor.get("/a?b=c").text(), "ok");
    }
    assert_eq!(visitor.ask("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").text(), "ok");
    assert_eq!(
        visitor.ask("POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").text(),
        "ok"
    );
    let came = site.came();
    assert_eq!((came.len(), site.connections()), (5, 1));
    let first = &came[0];
    assert_eq!(first.uri, "http://shop.example/a?b=c");
    assert_eq!((&first.method, first.version), (&Method::GET, Version::HTTP_2));
    for name in ["host", "connection", "transfer-encoding", "keep-alive", "te"] {
        assert!(came.iter().all(|head| !head.headers.contains_key(name)), "{name}");
    }
    assert_eq!(first.headers["x-forwarded-host"], "shop.example");
    assert_eq!(front.metrics.upstream_connections.get(), 1);
}

#[test]
fn many_streams_share_few_connections() {
    let (open, _) = tokio::sync::watch::channel(false);
    let gate = open.clone();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(50);
    let site = StreamSite::with(builder, move |_, mut respond, _| {
        let mut gate = gate.subscribe();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            respond.send_response(status(204), true).unwrap();
        }
    });
    let shop = site.shop();
    runtime().block_on(async {
        let mut lines = Vec::new();
        for _ in 0..2 {
            let mut line = Line::open(shop.front.address, shop.h2()).await;
            let mut answers = Vec::new();
            for number in 0..80 {
                answers.push(line.begin(get(&format!("/{number}"))).await.0);
            }
            lines.push((line, answers));
        }
        until(|| site.came().len() == 160);
        open.send_replace(true);
        for (_, answers) in &mut lines {
            for answer in answers.drain(..) {
                assert_eq!(whole(answer).await.unwrap().0.status(), 204);
            }
        }
    });
    assert!((2..=4).contains(&site.connections()), "{}", site.connections());
}

#[test]
fn an_answer_that_the_site_resets_never_looks_whole() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM] {
        let seen = Arc::new(Notify::new());
        let wait = Arc::clone(&seen);
        let site = StreamSite::start(move |_, mut respond, _| {
            let seen = Arc::clone(&wait);
            async move {
                let mut out = respond.send_response(status(200), false).unwrap();
                out.send_data(Bytes::from_static(b"half"), false).unwrap();
                // A reset takes back what has not left yet, and with it the answer.
                seen.notified().await;
                out.send_reset(reason);
            }
        });
        let shop = site.shop();
        runtime().block_on(async {
            let mut line = Line::open(shop.front.address, shop.h2()).await;
            let (answer, _) = line.begin(get("/")).await;
            let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
            assert_eq!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap(), "half");
            seen.notify_one();
            let error = timeout(PATIENCE, read(&mut body)).await.unwrap().unwrap_err();
            assert!(error.is_reset() && error.is_remote(), "{reason:?}: {error:?}");
            assert!(site.came().len() == 1, "sent twice");
        });
        let front = front(&site);
        let mut visitor = Visitor::connect(front.address);
        visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(visitor.head().unwrap().contains(" 200 "), "{reason:?}");
        seen.notify_one();
        assert_eq!(visitor.chunks(), None, "{reason:?}");
    }
}

#[test]
fn a_request_body_that_its_visitor_gives_up_never_looks_whole() {
    for over_streams in [true, false] {
        let (report, outcome) = sync_channel(1);
        let site = StreamSite::start(move |mut body, respond, _| {
            let report = report.clone();
            async move {
                let got = read(&mut body).await.map(|(bytes, _)| bytes);
                let _ = report.send(got.map_err(|error| error.to_string()));
                drop(respond);
            }
        });
        let (report, rest) = sync_channel(1);
        let plain = Site::start(move |talk, _| {
            talk.head();
            let _ = report.send(talk.rest());
        });
        let shop = if over_streams { site.shop() } else { Shop::with(plain, |_| {}) };
        runtime().block_on(async {
            for (round, reason) in [(1, Reason::CANCEL), (2, Reason::NO_ERROR)] {
                let mut line = Line::open(shop.front.address, shop.h2()).await;
                let (answer, mut body) = line.sender.send_request(post("/upload"), false).unwrap();
                body.send_data(Bytes::from_static(b"half"), false).unwrap();
                if over_streams {
                    until(|| site.came().len() == round);
                } else {
                    until(|| shop.site.heads().len() == round);
                }
                body.send_reset(reason);
                drop(answer);
                if over_streams {
                    assert!(outcome.recv_timeout(PATIENCE).unwrap().is_err(), "{reason:?}");
                } else {
                    let rest = rest.recv_timeout(PATIENCE).unwrap();
                    assert!(!rest.ends_with(b"0\r\n\r\n"), "{reason:?}: {rest:?}");
                }
            }
        });
    }
}

#[test]
fn a_visitor_that_leaves_ends_the_stream_at_the_site() {
    let (report, gone) = sync_channel(4);
    let site = StreamSite::start(move |_, mut respond, number| {
        let report = report.clone();
        async move {
            let reason = if number == 0 {
                std::future::poll_fn(|context| respond.poll_reset(context)).await
            } else {
                let mut out = respond.send_response(status(200), false).unwrap();
                out.send_data(Bytes::from_static(b"half"), false).unwrap();
                std::future::poll_fn(|context| out.poll_reset(context)).await
            };
            let _ = report.send(reason);
        }
    });
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, mut stream) = line.begin(get("/ahead")).await;
        until(|| site.came().len() == 1);
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        assert_eq!(gone.recv_timeout(PATIENCE).unwrap().unwrap(), Reason::CANCEL);
        let (answer, mut stream) = line.begin(get("/within")).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "half");
        stream.send_reset(Reason::CANCEL);
        assert_eq!(gone.recv_timeout(PATIENCE).unwrap().unwrap(), Reason::CANCEL);
    });
    assert_eq!(site.connections(), 1, "the connection goes on");
}

/// A site that speaks frames: its preface and settings are exchanged, then the script goes on.
fn framed(script: impl Fn(&mut Talk, usize) + Send + Sync + 'static) -> Site {
    Site::start(move |talk, number| {
        if talk.body(frames::PREFACE.len()).is_some_and(|preface| preface == frames::PREFACE) {
            talk.say(frames::settings(&[]));
            script(talk, number);
        }
    })
}

/// The next request's stream.
fn asked(talk: &mut Talk) -> Option<u32> {
    loop {
        let frame = Frame::read(&mut talk.stream)?;
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => talk.say(frames::frame(kind::SETTINGS, flag::ACK, 0, b"")),
            kind::HEADERS => return Some(frame.stream),
            _ => {}
        }
    }
}

fn answers(talk: &mut Talk, stream: u32) {
    talk.say(frames::headers(stream, flag::END_STREAM, &[(":status", "204")]));
}

fn front_of(site: &Site) -> Front {
    let origin = Origin::parse(&format!("h2c://{}", site.address)).unwrap();
    Front::with(site.address, |_, proxy| proxy.upstream = origin)
}

fn ask(front: &Front, method: &str, body: &str) -> u16 {
    let length = if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    Visitor::connect(front.address).ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\n{length}\r\n{body}")).status
}

/// How a site deals with a request on a stream.
type Script = fn(&mut Talk, u32);

#[test]
fn what_the_site_did_not_look_at_is_sent_once_more_and_nothing_else() {
    let refuse = |talk: &mut Talk, stream: u32| talk.say(frames::reset(stream, Reason::REFUSED_STREAM));
    let farewell = |talk: &mut Talk, _: u32| {
        talk.say(frames::goaway(0, Reason::NO_ERROR));
        talk.rest();
    };
    let cancel = |talk: &mut Talk, stream: u32| talk.say(frames::reset(stream, Reason::CANCEL));
    let inner = |talk: &mut Talk, stream: u32| talk.say(frames::reset(stream, Reason::INTERNAL_ERROR));
    let looked = |talk: &mut Talk, stream: u32| {
        talk.say(frames::goaway(stream, Reason::INTERNAL_ERROR));
        let _ = talk.stream.get_mut().shutdown(std::net::Shutdown::Both);
    };
    let cases: [(&str, Script, &str, &str, u16, usize); 9] = [
        ("refused", refuse, "GET", "", 204, 2),
        ("refused, of any method", refuse, "POST", "", 204, 2),
        ("refused, but a body is gone", refuse, "POST", "abc", 502, 1),
        ("a farewell before it", farewell, "POST", "", 204, 2),
        ("a farewell before a body", farewell, "PUT", "abc", 502, 1),
        ("cancelled", cancel, "GET", "", 502, 1),
        ("a fault within", inner, "GET", "", 502, 1),
        ("a farewell after it", looked, "GET", "", 502, 1),
        ("a farewell after it, of any method", looked, "POST", "", 502, 1),
    ];
    for (name, fault, method, body, expected, seen) in cases {
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let site = framed(move |talk, _| {
            while let Some(stream) = asked(talk) {
                if counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                    fault(talk, stream);
                } else {
                    answers(talk, stream);
                }
            }
        });
        let front = front_of(&site);
        assert_eq!(ask(&front, method, body), expected, "{name}");
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), seen, "{name}");
        // The next request is in step.
        assert_eq!(ask(&front, "GET", ""), 204, "{name}");
    }
}

#[test]
fn a_kept_connection_that_breaks_costs_a_safe_request_nothing() {
    for (method, expected) in [("GET", 204), ("POST", 502)] {
        let site = framed(|talk, number| {
            let first = asked(talk).unwrap();
            answers(talk, first);
            if number == 0 {
                asked(talk);
                let _ = talk.stream.get_mut().shutdown(std::net::Shutdown::Both);
            } else {
                while let Some(stream) = asked(talk) {
                    answers(talk, stream);
                }
            }
        });
        let front = front_of(&site);
        assert_eq!(ask(&front, "GET", ""), 204);
        assert_eq!(ask(&front, method, ""), expected, "{method}");
    }
}

#[test]
fn answers_ahead_of_the_answer_are_consumed_and_do_not_go_on_for_ever() {
    let site = framed(|talk, _| {
        while let Some(stream) = asked(talk) {
            for early in ["100", "103", "199"] {
                talk.say(frames::headers(stream, 0, &[(":status", early), ("link", "</a.css>; rel=preload")]));
            }
            answers(talk, stream);
        }
    });
    let front = front_of(&site);
    assert_eq!((ask(&front, "GET", ""), ask(&front, "GET", "")), (204, 204));
    let endless = framed(|talk, _| {
        while let Some(stream) = asked(talk) {
            let many = frames::headers(stream, 0, &[(":status", "103")]).repeat(1_000);
            while std::io::Write::write_all(talk.stream.get_mut(), &many).is_ok() {}
        }
    });
    assert_eq!(ask(&front_of(&endless), "GET", ""), 502);
}

#[test]
fn what_is_no_http2_is_a_502() {
    let cases: [(&str, Vec<u8>); 8] = [
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("nothing", Vec::new()),
        ("a frame too large", frames::frame(kind::DATA, 0, 1, &vec![0; 20_000])),
        ("data before a head", [frames::settings(&[]), frames::frame(kind::DATA, 0, 1, b"x")].concat()),
        ("no status", [frames::settings(&[]), frames::headers(1, flag::END_STREAM, &[("x", "1")])].concat()),
        (
            "a head of a name in capitals",
            [frames::settings(&[]), frames::headers(1, flag::END_STREAM, &[(":status", "200"), ("X", "1")])].concat(),
        ),
        ("a push", [frames::settings(&[]), frames::frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2])].concat()),
        (
            "less than its length",
            [frames::settings(&[]), frames::headers(1, flag::END_STREAM, &[(":status", "200"), ("content-length", "5")])]
                .concat(),
        ),
    ];
    for (name, said) in cases {
        let site = Site::start(move |talk, _| {
            talk.body(frames::PREFACE.len());
            while let Some(frame) = Frame::read(&mut talk.stream) {
                if frame.kind == kind::HEADERS {
                    talk.say(&said);
                    let _ = talk.stream.get_mut().shutdown(std::net::Shutdown::Write);
                }
            }
        });
        let mut visitor = Visitor::connect(front_of(&site).address);
        visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let head = visitor.head();
        assert!(head.is_none_or(|head| head.contains(" 502 ")), "{name}");
    }
}

#[test]
fn a_body_that_stands_still_is_a_408_and_a_site_that_says_nothing_a_504() {
    let site = StreamSite::start(|mut body, respond, _| async move {
        let _ = read(&mut body).await;
        std::future::pending::<()>().await;
        drop(respond);
    });
    let shop = site.shop_with(|_, proxy| {
        proxy.body_progress = Duration::from_millis(200);
        proxy.first_byte = Duration::from_millis(400);
    });
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, mut body) = line.sender.send_request(post("/"), false).unwrap();
        // It stands still with or without these, should they come too late.
        let _ = body.send_data(Bytes::from_static(b"some"), false);
        assert_eq!(whole(answer).await.unwrap().0.status(), 408);
        assert_eq!(line.get("/").await.unwrap().0.status(), 504);
    });
}

#[test]
fn an_answer_before_the_end_of_the_request_crosses() {
    let (report, ended) = sync_channel(1);
    let site = StreamSite::start(move |mut body, mut respond, _| {
        let report = report.clone();
        async move {
            // The visitor has said what it says before the answer ends its stream.
            let _ = body.data().await;
            respond.send_response(status(413), true).unwrap();
            let _ = report.send(read(&mut body).await.is_err());
        }
    });
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, mut body) = line.sender.send_request(post("/"), false).unwrap();
        body.send_data(Bytes::from_static(b"start"), false).unwrap();
        assert_eq!(whole(answer).await.unwrap().0.status(), 413);
    });
    assert!(ended.recv_timeout(PATIENCE).unwrap(), "the rest was waited for");
}

#[test]
fn http2_by_tls_is_chosen_where_the_site_knows_it_and_http1_where_it_does_not() {
    let authority = Authority::new();
    let backend = Shop::with(Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), |_| {});
    let old = crate::door::upstream::SafeSite::start(
        &authority.issues("old", &["shop.example"]),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    for (address, ca, connections) in
        [(backend.front.address, backend.authority.path("ca.pem"), 1), (old.address, authority.path("ca.pem"), 2)]
    {
        let front = Front::with(Site::nobody(), |_, proxy| {
            proxy.upstream = Origin::parse(&format!("https://localhost:{}", address.port())).unwrap().offering_http2();
            proxy.trust = Some(Trust::of_file(&ca).unwrap());
        });
        let first = Visitor::connect(front.address).get("/").status;
        // The certificates are for another name: nobody is asked.
        assert_eq!((first, front.metrics.errors.with(&[("kind", "distrusted")]).get()), (502, 1), "{connections}");
    }
    let files = authority.issues("both", &["localhost"]);
    let old = crate::door::upstream::SafeSite::start(&files, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let tls = clicksieve::server::Tls::new(crate::door::loaded(&[files])).unwrap();
    // Our own door is a server that knows both.
    let new = Front::with(site.address, |server, _| server.tls = Some(tls));
    for address in [old.address, new.address] {
        let front = Front::with(Site::nobody(), |_, proxy| {
            proxy.upstream = Origin::parse(&format!("https://localhost:{}", address.port())).unwrap().offering_http2();
            proxy.trust = Some(Trust::of_file(&authority.path("ca.pem")).unwrap());
        });
        let mut first = Visitor::connect(front.address);
        let mut second = Visitor::connect(front.address);
        for _ in 0..3 {
            assert_eq!((first.get("/").text(), second.get("/").text()), ("ok", "ok"));
        }
        assert_eq!(front.metrics.upstream_connections.get(), 1);
    }
    // Over a stream nothing of a connection is said: the door behind would have refused it.
    assert_eq!(site.heads().len(), 6);
}

#[test]
fn a_site_without_anybody_is_a_502_for_all_at_once() {
    let origin = Origin::parse(&format!("h2c://{}", Site::nobody())).unwrap();
    let front = Front::with(Site::nobody(), |_, proxy| proxy.upstream = origin);
    let mut visitors: Vec<Visitor> = (0..10).map(|_| Visitor::connect(front.address)).collect();
    for visitor in &mut visitors {
        visitor.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }
    assert!(visitors.iter_mut().all(|visitor| visitor.answer(false).status == 502));
}

#[test]
fn a_slow_visitor_holds_up_no_other_stream() {
    let page = Bytes::from(vec![b'x'; 3_000_000]);
    let site = StreamSite::start(move |_, mut respond, number| {
        let page = page.clone();
        async move {
            let mut out = respond.send_response(status(200), false).unwrap();
            let _ = out.send_data(if number == 0 { page } else { Bytes::from_static(b"ok") }, true);
        }
    });
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, _) = line.begin(get("/large")).await;
        let mut large = answer.await.unwrap().into_body();
        let mut other = Line::open(shop.front.address, shop.h2()).await;
        for _ in 0..20 {
            assert_eq!(other.get("/").await.unwrap().1, b"ok");
        }
        assert_eq!(timeout(PATIENCE, read(&mut large)).await.unwrap().unwrap().0.len(), 3_000_000);
    });
    assert_eq!(site.connections(), 1);
}

#[test]
fn a_trace_of_the_visitors_connection_never_reaches_the_site() {
    let site = polite();
    let front = front(&site);
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, x-secret\r\nx-secret: 1\r\nkeep-alive: 5\r\nte: gzip, trailers\r\nupgrade: h2c\r\n\r\n";
    assert_eq!(Visitor::connect(front.address).ask(request).text(), "ok");
    let head = site.came().remove(0).headers;
    assert!(["connection", "x-secret", "keep-alive", "upgrade"].iter().all(|name| !head.contains_key(*name)), "{head:?}");
    assert_eq!(head["te"], "trailers");
}
