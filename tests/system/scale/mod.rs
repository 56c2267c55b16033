//! Bodies of a gibibyte, hundreds of slow visitors, and peers that vanish: carried in little memory, and nobody else waits.

mod bytes;
mod slow;
mod vanish;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::far::Far;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::field;
use crate::scale::bytes::Flow;
use crate::usage;
use crate::whole::seen;

const BODY: u64 = 1 << 30;
/// What may be in use above the memory of an idle process.
const ROOM: u64 = 64 << 20;
/// Mebibytes of the packed page.
const UNPACKED: usize = 256;
const OPENING: &str = "<!doctype html><html><head><title>Big</title></head><body>";

/// One way in which a body crosses.
type Way = fn(&Far);

/// Sends and takes bodies of any size, made up as they go.
fn site() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let html = head.starts_with("GET /page") || head.starts_with("GET /packed");
            let kind = if html { "text/html; charset=utf-8" } else { "application/octet-stream" };
            if head.starts_with("POST") {
                let chunked = field(&head, "transfer-encoding").is_some();
                let length = field(&head, "content-length").map(|length| length.parse().unwrap());
                assert!(chunked || length.is_some(), "{head}");
                let taken = bytes::take(&mut talk.stream, length, Flow::new());
                let said = taken.map_or_else(|| "cut".to_owned(), |length| length.to_string());
                talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()));
            } else if head.starts_with("GET /packed") {
                let bomb = bomb();
                talk.say(format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                    bomb.len()
                ));
                talk.say(bomb);
            } else if head.starts_with("GET /small") {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            } else if html {
                talk.say(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"));
                talk.say(format!("{:x}\r\n{OPENING}\r\n", OPENING.len()));
                bytes::pour(talk.stream.get_mut(), BODY, true);
            } else {
                talk.say(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {BODY}\r\n\r\n"));
                bytes::pour(talk.stream.get_mut(), BODY, false);
            }
        }
    })
}

/// A page that is a thousand times as large unpacked, and whose opening keeps it from being spliced.
fn bomb() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"<!doctype html><!-- a comment --><html><head><title>Big</title></head><body>").unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..UNPACKED {
        packed.write_all(&piece).unwrap();
    }
    packed.finish().unwrap()
}

/// A connection whose answer's head has been read.
fn asked(far: &Far, request: &str) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(far.shop()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::with_capacity(1 << 18, stream);
    let head = head(&mut stream);
    (stream, head)
}

fn head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "no whole head: {head:?}");
    }
    head
}

fn downloads(far: &Far) {
    let (mut stream, head) = asked(far, "GET /file HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(field(&head, "content-length"), Some(BODY.to_string().as_str()), "{head}");
    assert_eq!(bytes::take(&mut stream, Some(BODY), Flow::new()), Some(BODY));
}

/// A page of that size gets its tag, and the rest streams through.
fn views(far: &Far) {
    let lines = seen::chrome();
    let (mut stream, head) = asked(far, &format!("GET /page HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n"));
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"), "{head}");
    let page = bytes::take(&mut stream, None, Flow::any()).expect("a whole page");
    let tag = page.checked_sub(BODY + OPENING.len() as u64).expect("no byte less");
    assert!((1..4_096).contains(&tag), "{tag} bytes were put in");
}

/// A packed page is unpacked to be injected, and packed again, as it streams.
fn unpacks(far: &Far) {
    let lines = seen::chrome();
    let request = format!("GET /packed HTTP/1.1\r\nhost: shop.example\r\naccept-encoding: gzip\r\n{lines}\r\n");
    let (mut stream, head) = asked(far, &request);
    assert_eq!(field(&head, "content-encoding"), Some("gzip"), "{head}");
    let length = field(&head, "content-length").map(|length| length.parse().unwrap());
    assert!(bytes::take(&mut stream, length, Flow::any()).expect("a whole page") > 0);
}

fn uploads(far: &Far, chunked: bool) {
    let mut stream = TcpStream::connect(far.shop()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let framing = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {BODY}") };
    write!(stream, "POST /up HTTP/1.1\r\nhost: shop.example\r\n{framing}\r\n\r\n").unwrap();
    bytes::pour(&mut stream, BODY, chunked);
    let mut stream = BufReader::new(stream);
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut said = vec![0; field(&head, "content-length").unwrap().parse().unwrap()];
    std::io::Read::read_exact(&mut stream, &mut said).unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), BODY.to_string());
}

#[test]
fn a_gibibyte_crosses_either_way_in_little_memory() {
    let far = Far::of(site(), "");
    asked(&far, "GET /small HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let idle = usage::resident(&far.process);
    let ways: [(&str, Way); 5] = [
        ("a download", downloads),
        ("a page", views),
        ("a packed page", unpacks),
        ("an upload with its length", |far| uploads(far, false)),
        ("an upload in chunks", |far| uploads(far, true)),
    ];
    for (what, crosses) in ways {
        usage::forget_peak(&far.process);
        crosses(&far);
        let more = usage::peak(&far.process).saturating_sub(idle);
        println!("{what}: {} KiB above {} KiB", more >> 10, idle >> 10);
        assert!(more < ROOM, "{what} took {} KiB above {} KiB", more >> 10, idle >> 10);
    }
}
