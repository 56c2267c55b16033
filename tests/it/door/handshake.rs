//! Handshakes: which certificate is shown, which protocol is chosen, sessions taken up again, and clients that are
//! slow, huge, in pieces, or speak no TLS at all.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::server::Tls;
use clicksieve::server::shown::hello as shown_hello;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::ProtocolVersion;
use rustls::StreamOwned;

use crate::door::Authority;
use crate::door::Shop;
use crate::door::certificates::place;
use crate::door::der;
use crate::door::loaded;
use crate::door::shake;
use crate::door::shown;
use crate::door::tcp;
use crate::door::visitor;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;
use crate::whole;
use crate::whole::process::Process;
use crate::whole::seen;

/// The bytes of a client's first message.
fn hello(client: &Arc<ClientConfig>) -> (ClientConnection, Vec<u8>) {
    let mut session = ClientConnection::new(Arc::clone(client), "shop.example".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    (session, bytes)
}

/// A session whose first message went out by other means.
fn completed(
    session: ClientConnection,
    socket: std::net::TcpStream,
) -> Visitor<StreamOwned<ClientConnection, std::net::TcpStream>> {
    Visitor::over(StreamOwned::new(session, socket))
}

#[test]
fn the_name_chooses_the_certificate_and_the_first_serves_the_rest() {
    let authority = Authority::new();
    let files = [
        authority.issues("first", &["shop.example", "www.shop.example"]),
        authority.issues("wild", &["*.branch.example"]),
        authority.issues("own", &["own.branch.example"]),
    ];
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let front = Front::with(site.address, |server, _| server.tls = Some(Tls::new(loaded(&files)).unwrap()));
    let client = authority.client(&[]);
    for (name, file) in [("shop.example", 0), ("WWW.shop.example", 0), ("north.branch.example", 1), ("own.branch.example", 2)] {
        let stream = shake(front.address, &client, name).unwrap();
        assert!(shown(&stream) == der(&files[file].certificate), "{name}");
    }
    // The client refuses what it is shown for a name that no certificate has, and by what it says it was the first's.
    for name in ["elsewhere.example", "a.b.branch.example", "branch.example"] {
        let refused = shake(front.address, &client, name).unwrap_err().to_string();
        assert!(refused.contains("shop.example"), "{name}: {refused}");
    }
}

#[test]
fn a_page_over_tls_is_asked_by_https() {
    let shop = Shop::open();
    let mut visitor = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    let answer = visitor.ask("GET /a HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-proto: http\r\n\r\n");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(visitor.get("/b").text(), "ok");
    let heads = shop.site.heads();
    assert!(heads.iter().all(|head| field(head, "x-forwarded-proto") == Some("https")), "{heads:?}");
    assert_eq!(shop.handshakes("full"), 1);
}

#[test]
fn cookies_of_a_page_over_tls_are_secure() {
    let site = Site::answers(whole::html_answer());
    let shop = Shop::with(site, |_| {});
    let mut visitor = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    let answer = visitor.ask(
        "GET / HTTP/1.1\r\nhost: shop.example\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\naccept: text/html\r\nuser-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36\r\n\r\n",
    );
    let cookies: Vec<&str> = answer.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")).collect();
    assert!(!cookies.is_empty() && cookies.iter().all(|line| line.contains("; Secure")), "{}", answer.head);
}

#[test]
fn the_door_rather_speaks_http_2_and_leaves_the_choice_to_the_client() {
    let shop = Shop::open();
    for (offered, chosen) in [(&["http/1.1", "h2"][..], Some(&b"h2"[..])), (&["http/1.1"], Some(b"http/1.1")), (&[], None)] {
        let stream = shake(shop.front.address, &shop.authority.client(offered), "shop.example").unwrap();
        assert_eq!(stream.conn.alpn_protocol(), chosen, "{offered:?}");
    }
    // Protocols that have nothing in common end the handshake (RFC 7301 section 3.2).
    assert!(shake(shop.front.address, &shop.authority.client(&["spdy/3"]), "shop.example").is_err());
    shop.until_handshakes("failed", 1);
}

#[test]
fn sessions_are_taken_up_again_in_both_versions_also_after_a_reload() {
    let shop = Shop::open();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&shop.authority.path("ca.pem")).into()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        let kind = || {
            let mut visitor = Visitor::over(shake(shop.front.address, &client, "shop.example").unwrap());
            assert_eq!(visitor.get("/").status, 200);
            let session = visitor.into_inner().conn;
            let named = if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) { 13 } else { 12 };
            (session.handshake_kind().unwrap(), named)
        };
        let (first, named) = kind();
        assert_eq!(first, HandshakeKind::Full, "{named}");
        shop.tls.replace(loaded(&[shop.authority.issues("renewed", &["shop.example"])]));
        assert_eq!(kind(), (HandshakeKind::Resumed, named));
    }
    assert_eq!((shop.handshakes("full"), shop.handshakes("resumed")), (2, 2));
}

#[test]
fn a_reload_changes_new_handshakes_and_no_open_connection() {
    let shop = Shop::open();
    let old = der(&shop.authority.path("shop.pem"));
    let mut open = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    assert_eq!(open.get("/").status, 200);
    let renewed = shop.authority.issues("renewed", &["shop.example"]);
    shop.tls.replace(loaded(std::slice::from_ref(&renewed)));
    assert_eq!(open.get("/").status, 200);
    let fresh = shake(shop.front.address, &shop.authority.client(&["http/1.1"]), "shop.example").unwrap();
    assert!(shown(&fresh) == der(&renewed.certificate) && shown(&fresh) != old);
    assert_eq!(shop.site.heads().len(), 2);
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let shop = Shop::open();
    let mut plain = Visitor::connect(shop.front.address);
    let answer = plain.ask("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!((answer.status, answer.text()), (400, "this port speaks TLS: the address is https://\n"));
    drop(plain);
    shop.until_handshakes("plain_http", 1);
    assert_eq!(shop.site.connections(), 0);
}

#[test]
fn a_hello_in_single_bytes_is_a_hello() {
    let shop = Shop::open();
    let (session, bytes) = hello(&shop.authority.client(&["http/1.1"]));
    let mut socket = tcp(shop.front.address);
    for byte in bytes {
        socket.write_all(&[byte]).unwrap();
    }
    assert_eq!(completed(session, socket).get("/").text(), "ok");
}

#[test]
fn a_hello_over_many_records_is_a_hello() {
    let shop = Shop::open();
    for piece in [1, 50, 500] {
        let (session, bytes) = hello(&shop.authority.client(&["http/1.1"]));
        let cut: Vec<u8> = bytes[5..]
            .chunks(piece)
            .flat_map(|part| [&[22, 3, 1], &u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat())
            .collect();
        let mut socket = tcp(shop.front.address);
        socket.write_all(&cut).unwrap();
        assert_eq!(completed(session, socket).get("/").text(), "ok", "{piece}");
    }
}

#[test]
fn what_is_huge_or_no_hello_is_cut_and_counted() {
    let shop = Shop::open();
    let huge = [&[22, 3, 1, 0x40, 0, 1, 1, 0, 0][..], &vec![0; 20_000]].concat();
    for bytes in [&huge[..], b"\x00\x01\x02", b"\x80\x2e\x01\x00\x02", &[22, 3, 1, 0, 1, 2]] {
        let mut socket = tcp(shop.front.address);
        // It may be cut before all of it is written.
        let _ = socket.write_all(bytes);
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    shop.until_handshakes("failed", 4);
    assert_eq!(visitor(&shop.front, &shop.authority.client(&[])).get("/").status, 200);
}

#[test]
fn a_handshake_that_takes_too_long_is_cut() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let shop = Shop::with(site, |server| server.handshake = Duration::from_millis(50));
    let (_, bytes) = hello(&shop.authority.client(&[]));
    for begun in [&[][..], &bytes[..20], &bytes] {
        let mut socket = tcp(shop.front.address);
        socket.write_all(begun).unwrap();
        // It ends although this end is open.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    shop.until_handshakes("slow", 3);
}

#[test]
fn a_client_that_leaves_within_the_handshake_costs_nothing() {
    let shop = Shop::open();
    let (_, bytes) = hello(&shop.authority.client(&[]));
    for end in [0, 3, 100, bytes.len()] {
        let mut socket = tcp(shop.front.address);
        socket.write_all(&bytes[..end]).unwrap();
        socket.shutdown(Shutdown::Both).unwrap();
    }
    shop.until_handshakes("failed", 4);
    crate::door::until(|| shop.front.metrics.open_connections.get() == 0);
}

#[test]
fn a_websocket_crosses_tls_to_its_last_byte() {
    let large: Vec<u8> = (0..6_000_000_u32).map(|place| u8::try_from(place % 251).unwrap()).collect();
    let sent = large.clone();
    let site = Site::start(move |talk, _| {
        talk.head().unwrap();
        talk.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
        // The visitor's word comes first, so that all of it is on its way while nobody reads.
        assert_eq!(talk.body(5).unwrap(), b"12345");
        talk.say(&sent);
        // Not closed before the visitor has all: nothing but a flush brings the last bytes.
        talk.rest();
    });
    let shop = Shop::with(site, |_| {});
    let mut visitor = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    let asked = "GET /live HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    assert_eq!(visitor.ask(asked).status, 101);
    visitor.say("12345");
    assert!(visitor.exactly(large.len()) == large);
}

#[test]
fn heads_over_tls_are_guarded_as_plain_ones() {
    let shop = Shop::open();
    let mut visitor = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    let answer = visitor.ask("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(shop.site.connections(), 0);
}

#[test]
fn a_head_over_tls_that_stalls_is_told_so() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    // So long that the visitor has said its half by then.
    let shop = Shop::with(site, |server| server.head = Duration::from_secs(2));
    let mut visitor = visitor(&shop.front, &shop.authority.client(&["http/1.1"]));
    visitor.say("GET / HTTP/1.1\r\nhost:");
    assert_eq!(visitor.answer(false).status, 408);
}

#[test]
fn a_click_is_recorded_with_what_the_handshake_showed_and_a_trusted_proxys_without() {
    let authority = Authority::new();
    authority.issues("shop", &["shop.example"]);
    let page = whole::html_answer();
    for trusts in [false, true] {
        let site = Site::answers(page.clone());
        let config = place(&authority, &site);
        if !trusts {
            let text = std::fs::read_to_string(&config).unwrap().replace("trusted_proxies: [127.0.0.1]\n", "");
            std::fs::write(&config, text).unwrap();
        }
        let mut process = Process::start(&config);
        let (session, bytes) = hello(&authority.client(&["http/1.1"]));
        let mut socket = tcp(process.shop);
        socket.write_all(&bytes).unwrap();
        let answer = completed(session, socket).ask(&format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", seen::chrome()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        process.signal("TERM");
        assert!(process.ended().success());
        let records = std::fs::read_to_string(authority.path("state/records.jsonl")).unwrap();
        let record: serde_json::Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
        let shown = shown_hello::read(&bytes).unwrap().unwrap().ja4();
        let expected = if trusts { serde_json::Value::Null } else { shown.into() };
        assert_eq!(record["ja4"], expected, "{record}");
    }
}
