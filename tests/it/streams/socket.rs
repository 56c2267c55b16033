//! `WebSocket` over HTTP/2 (RFC 8441): an extended `CONNECT` of the visitor, an upgrade at the site.

use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use http::Method;
use http::Request;
use tokio::time::timeout;

use crate::door::Shop;
use crate::door::http2::Line;
use crate::door::http2::runtime;
use crate::door::http2::whole;
use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::harness::visitor::field;
use crate::streams::read;

fn connect(protocol: &'static str) -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).uri("https://shop.example/live?a=b").body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    for (name, value) in [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"), ("origin", "https://shop.example")]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// What proves that a key was read.
fn proof(head: &str) -> String {
    use base64::Engine;
    let salted = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", field(head, "sec-websocket-key").unwrap());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

fn grant(talk: &mut Talk, head: &str) {
    let proof = proof(head);
    talk.say(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {proof}\r\nsec-websocket-protocol: chat\r\n\r\n"
    ));
}

/// Opens a stream for a `WebSocket` and waits for its answer.
async fn open(
    line: &mut Line,
    request: Request<()>,
) -> (Result<http::Response<h2::RecvStream>, h2::Error>, h2::SendStream<Bytes>) {
    std::future::poll_fn(|context| line.sender.poll_ready(context)).await.unwrap();
    let (answer, out) = line.sender.send_request(request, false).unwrap();
    (timeout(PATIENCE, answer).await.unwrap(), out)
}

/// Opens a connection and waits until the door has said what it knows.
async fn line(shop: &Shop) -> Line {
    let mut line = Line::open(shop.front.address, shop.h2()).await;
    assert_eq!(line.get("/first").await.unwrap().0.status(), 200);
    assert!(line.sender.is_extended_connect_protocol_enabled());
    line
}

/// A site that answers pages, and plays the script on a connection that is to become a `WebSocket`.
fn site(script: impl Fn(&mut Talk, &str) + Send + Sync + 'static) -> Site {
    Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.contains("upgrade: websocket") {
                script(talk, &head);
                return;
            }
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    })
}

#[test]
fn bytes_cross_both_ways_and_each_side_ends_by_itself() {
    let site = site(|talk, head| {
        grant(talk, head);
        let said = talk.body(5).unwrap();
        talk.say([&said[..], b" back"].concat());
        let rest = talk.rest();
        talk.say([&rest[..], b" and the last word"].concat());
    });
    let shop = Shop::with(site, |_| {});
    runtime().block_on(async {
        let mut line = line(&shop).await;
        let (answer, mut out) = open(&mut line, connect("websocket")).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["sec-websocket-protocol"]), (200, &"chat".parse().unwrap()));
        for name in ["sec-websocket-accept", "connection", "upgrade", "content-length"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let mut body = answer.into_body();
        out.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 10 {
            heard.extend_from_slice(&timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap());
        }
        assert_eq!(heard, b"hello back");
        // Other streams of the connection go on.
        assert_eq!(line.get("/other").await.unwrap().1, b"ok");
        out.send_data(Bytes::from_static(b"bye"), true).unwrap();
        assert_eq!(timeout(PATIENCE, read(&mut body)).await.unwrap().unwrap().0, b"bye and the last word");
    });
    let head = shop.site.heads().into_iter().find(|head| head.contains("upgrade: websocket")).unwrap();
    assert!(head.starts_with("GET /live?a=b HTTP/1.1\r\n"), "{head}");
    for (name, value) in [
        ("host", "shop.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("origin", "https://shop.example"),
        ("x-forwarded-proto", "https"),
    ] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    assert!(!head.contains(":protocol") && !head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
}

#[test]
fn megabytes_cross_whole() {
    let site = site(|talk, head| {
        grant(talk, head);
        let mut got = vec![0; 3_000_000];
        std::io::Read::read_exact(&mut talk.stream, &mut got).unwrap();
        talk.say(&got);
    });
    let shop = Shop::with(site, |_| {});
    runtime().block_on(async {
        let mut line = line(&shop).await;
        let (answer, mut out) = open(&mut line, connect("websocket")).await;
        let mut body = answer.unwrap().into_body();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|place| u8::try_from(place % 251).unwrap()).collect();
        out.send_data(Bytes::from(sent.clone()), true).unwrap();
        assert!(timeout(PATIENCE, read(&mut body)).await.unwrap().unwrap().0 == sent);
    });
}

#[test]
fn what_the_site_does_not_grant_is_no_tunnel() {
    for (name, said, expected) in [
        ("a refusal", "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
        ("a redirect", "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", 302),
        ("a page", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 502),
        ("a 101 without proof", "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 502),
        (
            "a 101 with another's proof",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
        ("another protocol", "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", 502),
    ] {
        let shop = Shop::with(site(move |talk, _| talk.say(said)), |_| {});
        runtime().block_on(async {
            let mut line = line(&shop).await;
            let (answer, _) = open(&mut line, connect("websocket")).await;
            assert_eq!(answer.unwrap().status().as_u16(), expected, "{name}");
            assert_eq!(line.get("/next").await.unwrap().1, b"ok", "{name}");
        });
    }
}

#[test]
fn other_tunnels_and_our_own_paths_are_refused() {
    let shop = Shop::with(site(|_, _| {}), |_| {});
    runtime().block_on(async {
        let mut line = line(&shop).await;
        for protocol in ["connect-udp", "connect-ip", "WebSocket", "websockets"] {
            let (answer, _) = open(&mut line, connect(protocol)).await;
            assert_eq!(answer.unwrap().status(), 405, "{protocol}");
        }
        let plain = Request::builder().method(Method::CONNECT).uri("shop.example:443").body(()).unwrap();
        assert_eq!(line.ask(plain).await.unwrap().0.status(), 405);
        let mut own = connect("websocket");
        *own.uri_mut() = "https://shop.example/_cs/t.js".parse().unwrap();
        assert_eq!(open(&mut line, own).await.0.unwrap().status(), 405);
        assert_eq!(line.get("/next").await.unwrap().1, b"ok");
    });
    assert!(shop.site.heads().iter().all(|head| !head.contains("upgrade")));
}

#[test]
fn a_silent_tunnel_is_closed_and_frees_its_connection() {
    let shop = Shop::with_proxy(
        site(|talk, head| {
            grant(talk, head);
            talk.rest();
        }),
        |server| server.idle = Duration::from_secs(1),
        |proxy| proxy.tunnel_idle = Duration::from_secs(2),
    );
    runtime().block_on(async {
        let mut line = line(&shop).await;
        let (answer, out) = open(&mut line, connect("websocket")).await;
        let mut body = answer.unwrap().into_body();
        // The connection's rest begins only behind it.
        let _ = timeout(PATIENCE, read(&mut body)).await.unwrap();
        drop(out);
        drop(line.sender);
        let _ = timeout(PATIENCE, line.ended).await.expect("it closes");
    });
    until(|| shop.front.metrics.open_connections.get() == 0);
}

#[test]
fn a_visitor_that_leaves_a_tunnel_is_seen_to_leave_by_the_site() {
    let (report, left) = std::sync::mpsc::sync_channel(1);
    let shop = Shop::with(
        site(move |talk, head| {
            grant(talk, head);
            talk.rest();
            let _ = report.send(());
        }),
        |_| {},
    );
    runtime().block_on(async {
        let mut line = line(&shop).await;
        let (answer, mut out) = open(&mut line, connect("websocket")).await;
        answer.unwrap();
        out.send_reset(h2::Reason::CANCEL);
        left.recv_timeout(PATIENCE).unwrap();
        let (answer, _) = line.begin(crate::door::http2::get("/next")).await;
        assert_eq!(whole(answer).await.unwrap().1, b"ok");
    });
}
