//! HTTP/2 as visitors meet it: pages, fields, streams side by side, and clients that reset, stall or send too much.

use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::door::Authority;
use crate::door::Shop;
use crate::door::shake;
use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::frames;
use crate::harness::frames::Frame;
use crate::harness::site::Site;
use crate::harness::visitor::field;
use crate::whole::process::Process;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36";

/// A client's connection; how it ended is known in the end.
pub(crate) struct Line {
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) ended: JoinHandle<Result<(), h2::Error>>,
}

impl Line {
    pub(crate) async fn open(address: SocketAddr, client: Arc<ClientConfig>) -> Self {
        Self::with(address, client, &h2::client::Builder::new()).await
    }

    pub(crate) async fn with(address: SocketAddr, client: Arc<ClientConfig>, builder: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = TlsConnector::from(client).connect("shop.example".try_into().unwrap(), stream).await.unwrap();
        let (sender, line) = builder.handshake(stream).await.unwrap();
        Self { sender, ended: tokio::spawn(line) }
    }

    /// Sends a request without a body; its answer's head comes later.
    pub(crate) async fn begin(&mut self, request: Request<()>) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        poll_fn(|context| self.sender.poll_ready(context)).await.unwrap();
        self.sender.send_request(request, true).unwrap()
    }

    pub(crate) async fn ask(&mut self, request: Request<()>) -> Result<(Response<()>, Vec<u8>), h2::Error> {
        let (answer, _) = self.begin(request).await;
        whole(answer).await
    }

    /// Waits for the end and says whether it was announced. A client that is still writing then may see a broken pipe.
    async fn says_goodbye(mut self) -> bool {
        let _ = timeout(PATIENCE, self.ended).await.expect("it closes");
        let error = poll_fn(|context| self.sender.poll_ready(context)).await.unwrap_err();
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<(Response<()>, Vec<u8>), h2::Error> {
        self.ask(get(path)).await
    }
}

/// An answer with its body, within the test's patience.
pub(crate) async fn whole(answer: h2::client::ResponseFuture) -> Result<(Response<()>, Vec<u8>), h2::Error> {
    let read = async {
        let (head, mut body) = answer.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            let _ = body.flow_control().release_capacity(piece.len());
            bytes.extend_from_slice(&piece);
        }
        Ok((Response::from_parts(head, ()), bytes))
    };
    timeout(PATIENCE, read).await.expect("an answer")
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::builder().uri(format!("https://shop.example{path}")).body(()).unwrap()
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

impl Shop {
    pub(crate) fn h2(&self) -> Arc<ClientConfig> {
        self.authority.client(&["h2"])
    }
}

#[test]
fn a_page_is_injected_and_its_cookies_are_secure() {
    let shop = Shop::with(Site::answers(crate::whole::html_answer()), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = get("/?fbclid=IwAR0curl-0123456789-0123456789-0123456789-0123456789_aem");
        for (name, value) in [
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", "cross-site"),
            ("user-agent", CHROME),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (head, body) = line.ask(request).await.unwrap();
        let text = String::from_utf8(body).unwrap();
        assert!(head.status() == 200 && text.contains("/_cs/t.js"), "{text}");
        assert_eq!(head.headers()["content-length"], text.len().to_string());
        let cookies: Vec<_> = head.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(cookies.len() >= 3 && cookies.iter().all(|cookie| cookie.contains("; Secure")), "{cookies:?}");
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!head.headers().contains_key(name), "{name}");
        }
    });
    let heads = shop.site.heads();
    assert_eq!(field(&heads[0], "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&heads[0], "host"), Some("shop.example"));
    assert!(heads[0].starts_with("GET /?fbclid=IwAR0curl"), "{heads:?}");
}

#[test]
fn the_shop_is_asked_in_its_own_words() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\nalt-svc: h3=\":443\"\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let shop = Shop::with(Site::answers(answer), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = get("/a");
        for (name, value) in [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3"), ("te", "trailers")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (head, body) = line.ask(request).await.unwrap();
        assert_eq!(body, b"ok");
        let names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
        assert!(
            ["connection", "keep-alive", "transfer-encoding", "alt-svc"].iter().all(|name| !names.contains(name)),
            "{names:?}"
        );
    });
    let head = shop.site.heads().remove(0);
    assert!(head.contains("\r\ncookie: a=1; b=2; c=3\r\n") && head.starts_with("GET /a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nte: trailers\r\n") && head.contains("\r\nconnection: te\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[test]
fn a_host_beside_another_authority_and_tunnels_are_refused() {
    let shop = Shop::open();
    runtime().block_on(async {
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false);
        let mut line = Line::with(shop.front.address, shop.h2(), &builder).await;
        let mut request = get("/");
        request.headers_mut().insert("host", "evil.example".parse().unwrap());
        assert_eq!(line.ask(request).await.unwrap().0.status(), 400);
        let tunnel = Request::builder().method(Method::CONNECT).uri("shop.example:443").body(()).unwrap();
        assert_eq!(line.ask(tunnel).await.unwrap().0.status(), 405);
        // RFC 8441 knows other protocols; no shop of ours does.
        let mut socket = get("/chat");
        *socket.method_mut() = Method::CONNECT;
        socket.extensions_mut().insert(Protocol::from_static("connect-udp"));
        assert_eq!(line.ask(socket).await.unwrap().0.status(), 405);
        assert_eq!(line.get("/after").await.unwrap().1, b"ok");
    });
    assert_eq!(shop.site.heads().len(), 1);
}

#[test]
fn a_body_is_passed_on_and_a_large_answer_comes_whole() {
    let page: Vec<u8> = (0..3_000_000_u32).map(|place| u8::try_from(place % 251).unwrap()).collect();
    let answer = [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len()).as_bytes(), &page].concat();
    let site = Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
            assert_eq!(talk.body(length).unwrap(), vec![b'x'; length]);
            talk.say(&answer);
        }
    });
    let shop = Shop::with(site, |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = get("/upload");
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("content-length", "200000".parse().unwrap());
        let (answer, mut body) = line.sender.send_request(request, false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; 200_000]), true).unwrap();
        assert!(whole(answer).await.unwrap().1 == page);
    });
}

#[test]
fn an_answer_that_is_cut_ends_in_a_reset() {
    let site = Site::start(|talk, number| {
        talk.head();
        let head = if number == 0 { "content-length: 100" } else { "transfer-encoding: chunked" };
        talk.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nhalf\r\n"));
    });
    let shop = Shop::with(site, |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        for path in ["/length", "/chunks"] {
            let error = line.get(path).await.unwrap_err();
            assert!(error.is_reset() && error.is_remote(), "{error:?}");
        }
    });
}

#[test]
fn many_streams_are_answered_each_with_its_own() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let shop = Shop::with(site, |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        // With the first answer the client knows how many streams it may open at once.
        assert_eq!(line.get("/first").await.unwrap().1, b"/first");
        let mut answers = Vec::new();
        for number in 0..400 {
            let path = format!("/{number}");
            answers.push((line.begin(get(&path)).await.0, path));
        }
        for (answer, path) in answers {
            assert_eq!(whole(answer).await.unwrap().1, path.as_bytes());
        }
    });
    assert_eq!(shop.handshakes("full"), 1);
}

/// A site that answers `/slow` when it is told to, and everything else at once.
fn half_slow(wait: std::sync::mpsc::Receiver<()>) -> Site {
    let wait = Mutex::new(wait);
    Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /slow") {
                let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    })
}

#[test]
fn a_slow_stream_holds_up_no_other() {
    let (go, wait) = sync_channel(1);
    let shop = Shop::with(half_slow(wait), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (slow, _) = line.begin(get("/slow")).await;
        for _ in 0..50 {
            assert_eq!(line.get("/").await.unwrap().1, b"ok");
        }
        go.send(()).unwrap();
        assert_eq!(whole(slow).await.unwrap().1, b"ok");
    });
}

#[test]
fn each_stream_has_a_wait_of_its_own_for_the_shop() {
    let (_never, wait) = sync_channel(1);
    let shop = Shop::with_proxy(half_slow(wait), |_| {}, |proxy| proxy.first_byte = Duration::from_secs(2));
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (slow, _) = line.begin(get("/slow")).await;
        // Answers on other streams, each of which begins and ends waits, keep the slow one's neither running nor from ending.
        let slow = tokio::spawn(whole(slow));
        while !slow.is_finished() {
            assert_eq!(line.get("/").await.unwrap().0.status(), 200);
        }
        assert_eq!(slow.await.unwrap().unwrap().0.status(), 504);
        assert_eq!(line.get("/").await.unwrap().1, b"ok");
    });
}

#[test]
fn a_stream_whose_visitor_takes_nothing_is_reset_and_the_others_go_on() {
    let page = vec![b'x'; 1_000_000];
    let large = [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len()).as_bytes(), &page].concat();
    let site = Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /large") {
                talk.say(&large);
            } else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    let shop = Shop::with(site, |server| server.write = Duration::from_millis(300));
    runtime().block_on(async {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(65_535).initial_connection_window_size(10_000_000);
        let mut line = Line::with(shop.front.address, shop.h2(), &builder).await;
        let (answer, _) = line.begin(get("/large")).await;
        let mut body = answer.await.unwrap().into_body();
        let stalled = async {
            // Takes the first window and gives no more.
            loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    other => return other,
                }
            }
        };
        let error = timeout(PATIENCE, stalled).await.unwrap().unwrap().unwrap_err();
        assert!(error.is_reset(), "{error:?}");
        assert_eq!(line.get("/").await.unwrap().1, b"ok");
    });
}

#[test]
fn a_request_body_that_stands_still_costs_its_own_stream_only() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("POST") {
                talk.rest();
                return;
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let shop = Shop::with_proxy(site, |_| {}, |proxy| proxy.body_progress = Duration::from_millis(200));
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = get("/upload");
        *request.method_mut() = Method::POST;
        let (answer, mut body) = line.sender.send_request(request, false).unwrap();
        // It stands still with or without these, should they come too late.
        let _ = body.send_data(Bytes::from_static(b"some"), false);
        let stalled = tokio::spawn(whole(answer));
        while !stalled.is_finished() {
            assert_eq!(line.get("/").await.unwrap().0.status(), 200);
        }
        assert_eq!(stalled.await.unwrap().unwrap().0.status(), 408);
    });
}

/// Opens streams and resets each at once, over connections that are each ended for it. Said as frames, since the
/// library takes back what it has not sent yet.
fn storm(address: SocketAddr, client: &Arc<ClientConfig>, resets: u32) {
    const EACH: u32 = 100;
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example"), (":path", "/reset")];
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        [frames::headers(stream, frames::flag::END_STREAM, &fields), frames::reset(stream, h2::Reason::CANCEL)].concat()
    };
    let resets_of_one: Vec<u8> = (0..EACH).flat_map(reset).collect();
    let said = [frames::PREFACE, &frames::settings(&[]), &resets_of_one].concat();
    for _ in 0..resets / EACH {
        let mut stream = shake(address, client, "shop.example").unwrap();
        // It may be ended before all is said.
        let _ = stream.write_all(&said);
        let farewell = std::iter::from_fn(|| Frame::read(&mut stream)).find(|frame| frame.kind == frames::kind::GOAWAY);
        assert_eq!(farewell.expect("nobody stopped it").reason(), h2::Reason::ENHANCE_YOUR_CALM);
    }
}

#[test]
fn ten_thousand_resets_end_the_connections_that_send_them_and_nothing_else() {
    let shop = Shop::open();
    runtime().block_on(async {
        let mut other = Line::open(shop.front.address, shop.h2()).await;
        assert_eq!(other.get("/").await.unwrap().1, b"ok");
        storm(shop.front.address, &shop.h2(), 10_000);
        assert_eq!(other.get("/").await.unwrap().1, b"ok");
    });
    until(|| shop.front.metrics.errors.with(&[("kind", "too_many_resets")]).get() > 0);
    until(|| shop.front.metrics.open_connections.get() == 0);
}

/// What a process has in memory, in KiB.
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn resets_leave_nothing_behind_in_memory() {
    let authority = Authority::new();
    authority.issues("shop", &["shop.example"]);
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let process = Process::start(&crate::door::certificates::place(&authority, &site));
    runtime().block_on(async {
        let client = authority.client(&["h2"]);
        storm(process.shop, &client, 2_000);
        let before = memory(&process);
        storm(process.shop, &client, 10_000);
        let grown = memory(&process).saturating_sub(before);
        assert!(grown < 16 * 1024, "{grown} KiB more after 10,000 resets");
        assert_eq!(Line::open(process.shop, client).await.get("/").await.unwrap().1, b"ok");
    });
}

#[test]
fn requests_that_are_given_up_free_their_places() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /never") {
                talk.rest();
                return;
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let shop = Shop::with(site, |server| server.http2.streams = 10);
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        for round in 1..=20 {
            // Each has reached the shop before it is given up, so that no budget of early resets is used up.
            let mut streams = Vec::new();
            for _ in 0..10 {
                streams.push(line.begin(get("/never")).await);
            }
            until(|| shop.site.heads().iter().filter(|head| head.starts_with("GET /never")).count() == round * 10);
            for (_, stream) in &mut streams {
                stream.send_reset(h2::Reason::CANCEL);
            }
            drop(streams);
            assert_eq!(line.get("/").await.unwrap().1, b"ok", "round {round}");
        }
    });
}

#[test]
fn a_head_that_is_too_large_gets_431() {
    let shop = Shop::open();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = get("/");
        request.headers_mut().insert("x-large", "x".repeat(70_000).parse().unwrap());
        match line.ask(request).await {
            Ok((head, _)) => assert_eq!(head.status(), 431),
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(line.get("/").await.unwrap().1, b"ok");
    });
    assert_eq!(shop.site.heads().len(), 1);
}

#[test]
fn a_stop_says_goodbye_and_lets_running_streams_finish() {
    let (go, wait) = sync_channel(1);
    let shop = Shop::with(half_slow(wait), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut unused = Line::open(shop.front.address, shop.h2()).await;
        assert_eq!(unused.get("/").await.unwrap().1, b"ok");
        let (slow, _) = line.begin(get("/slow")).await;
        until(|| shop.site.heads().len() == 2);
        shop.front.stop();
        assert!(unused.says_goodbye().await);
        go.send(()).unwrap();
        assert_eq!(whole(slow).await.unwrap().1, b"ok");
        assert!(line.says_goodbye().await);
    });
    shop.front.join();
}

#[test]
fn a_connection_that_rests_too_long_is_closed_with_a_goodbye() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let shop = Shop::with(site, |server| server.idle = Duration::from_millis(100));
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        assert_eq!(line.get("/").await.unwrap().1, b"ok");
        assert!(line.says_goodbye().await);
    });
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let shop = Shop::with(Site::answers(""), |server| server.head = Duration::from_millis(100));
    runtime().block_on(async {
        let line = Line::open(shop.front.address, shop.h2()).await;
        let _ = timeout(PATIENCE, line.ended).await.expect("it closes");
    });
    until(|| shop.front.metrics.open_connections.get() == 0);
}

#[test]
fn trailers_of_an_answer_reach_the_visitor() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n";
    let shop = Shop::with(Site::answers(answer), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, _) = line.begin(get("/")).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "ok");
        let trailers: Option<HeaderMap> = body.trailers().await.unwrap();
        assert_eq!(trailers.unwrap()["x-sum"], "1");
    });
}
