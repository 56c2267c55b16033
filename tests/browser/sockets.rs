//! A `WebSocket` that a page opens over the HTTP/2 connection it came by (RFC 8441). A browser falls back to HTTP/1.1 by itself
//! where that fails, so the connections are counted.

use std::io::Read;

use aws_lc_rs::digest;
use base64::Engine;
use clicksieve::clock::Clock;
use clicksieve::server::Tls;
use clicksieve::server::tls::certificates::Certificates;
use clicksieve::server::tls::certificates::Files;

use crate::driver::Browser;
use crate::driver::Make;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::harness::visitor::field;

const PAGE: &str = "<!doctype html><html><head><title>live</title></head><body></body></html>";

/// Grants the upgrade and echoes one short message.
fn echo(talk: &mut Talk, head: &str) {
    let salted = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", field(head, "sec-websocket-key").unwrap());
    let proof = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
    let proof = base64::engine::general_purpose::STANDARD.encode(proof);
    talk.say(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {proof}\r\n\r\n"
    ));
    let mut frame = [0; 6];
    talk.stream.read_exact(&mut frame).unwrap();
    let length = frame[1] & 0x7f;
    let coded = talk.body(usize::from(length)).unwrap();
    let text: Vec<u8> = coded.iter().zip(frame[2..].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    talk.say([&[0x81, length][..], &text].concat());
    talk.rest();
}

fn certificates(folder: &std::path::Path) -> Certificates {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = Files { certificate: folder.join("shop.pem"), key: folder.join("shop.key") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    Certificates::load(&[files], Clock::system().now()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[tokio::test]
async fn a_page_opens_a_websocket_over_its_own_connection() {
    for make in Make::ALL {
        let site = Site::start(|talk, _| {
            while let Some(head) = talk.head() {
                if head.contains("upgrade: websocket") {
                    return echo(talk, &head);
                }
                talk.say(format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{PAGE}", PAGE.len()));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::new(certificates(folder.path())).unwrap();
        let front = Front::with(site.address, |server, _| server.tls = Some(tls));
        let browser = Browser::of(make).await;
        browser.open(&format!("https://localhost:{}/", front.address.port())).await;
        let protocol = "return performance.getEntriesByType('navigation')[0].nextHopProtocol";
        assert_eq!(browser.run(protocol).await, "h2", "{make:?}");
        let shaken =
            || ["full", "resumed"].map(|kind| front.metrics.handshakes.with(&[("outcome", kind)]).get()).iter().sum::<u64>();
        let before = shaken();
        let talk = "return new Promise((done) => { const socket = new WebSocket(`wss://${location.host}/live`);\
                    socket.onopen = () => socket.send('hello'); socket.onmessage = (said) => done(said.data);\
                    socket.onerror = () => done('failed') })";
        assert_eq!(browser.run(talk).await, "hello", "{make:?}");
        assert_eq!(shaken(), before, "{make:?} opened another connection for it");
        assert!(site.heads().iter().any(|head| head.starts_with("GET /live HTTP/1.1\r\n")), "{make:?}");
        browser.close().await;
    }
}
