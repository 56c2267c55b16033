//! Streams that live long, through the whole process: server-sent events arrive as they are sent, `WebSocket` frames cross
//! both ways, and its close is clean.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use crate::far::Far;
use crate::harness::PATIENCE;
use crate::harness::site::Site;

const EVENTS: usize = 100;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn connected(far: &Far, request: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(far.shop()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream)
}

fn head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "no whole head: {head:?}");
    }
    head
}

#[test]
fn each_server_sent_event_arrives_before_the_next_is_sent() {
    let (next, wait) = sync_channel::<usize>(1);
    let wait = Mutex::new(wait);
    let site = Site::start(move |talk, _| {
        talk.head();
        talk.say(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
        );
        // The next is sent only when the one before it was seen.
        while let Ok(number) = wait.lock().unwrap().recv_timeout(PATIENCE) {
            let event = format!("id: {number}\ndata: event {number}\n\n");
            talk.say(format!("{:x}\r\n{event}\r\n", event.len()));
            if number + 1 == EVENTS {
                talk.say("0\r\n\r\n");
                return;
            }
        }
    });
    let far = Far::of(site, "");
    let accept = "accept: text/event-stream\r\naccept-encoding: gzip, br\r\n";
    let mut stream = connected(&far, &format!("GET /live HTTP/1.1\r\nhost: shop.example\r\n{accept}\r\n"));
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/event-stream"), "{head}");
    for number in 0..EVENTS {
        next.send(number).unwrap();
        let mut seen = String::new();
        while !seen.ends_with("\n\n\r\n") {
            assert!(stream.read_line(&mut seen).unwrap() > 0, "{seen:?}");
        }
        assert!(seen.contains(&format!("data: event {number}\n")), "{seen:?}");
    }
    let mut end = [0; 5];
    stream.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

/// Writes a frame (RFC 6455, section 5.2); a client's is masked.
fn write_frame(stream: &mut impl Write, kind: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        length @ 0..=125 => frame.push(masked | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(masked | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(masked | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    frame.extend(mask.iter().flatten());
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    stream.write_all(&frame).unwrap();
}

/// Reads a frame, unmasked where it was masked; nothing at the end.
fn read_frame(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut exactly = |length: usize| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let start = exactly(2)?;
    let number = |bytes: Vec<u8>| bytes.into_iter().fold(0_usize, |number, byte| number << 8 | usize::from(byte));
    let length = match start[1] & 0x7f {
        126 => number(exactly(2)?),
        127 => number(exactly(8)?),
        short => usize::from(short),
    };
    let key = if start[1] & 0x80 > 0 { exactly(4)? } else { vec![0; 4] };
    let payload = exactly(length)?;
    Some((start[0] & 0x0f, payload.into_iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect()))
}

#[test]
fn web_socket_frames_of_any_size_are_echoed_and_the_close_is_clean() {
    let (report, ended) = sync_channel(1);
    let site = Site::start(move |talk, _| {
        talk.head();
        talk.say(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: x\r\n\r\n",
        );
        while let Some((kind, payload)) = read_frame(&mut talk.stream) {
            let answer = if kind == PING { PONG } else { kind };
            write_frame(talk.stream.get_mut(), answer, &payload, None);
            if kind == CLOSE {
                break;
            }
        }
        // The visitor's end reaches the site as an end.
        report.send(talk.rest().len()).unwrap();
    });
    let far = Far::of(site, "");
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";
    let mut stream = connected(&far, &format!("GET /live HTTP/1.1\r\nhost: shop.example\r\n{upgrade}\r\n"));
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
    for (round, size) in [0, 1, 125, 126, 4_096, 65_535, 65_536, 300_000].into_iter().enumerate() {
        let kind = if round % 2 == 0 { TEXT } else { BINARY };
        let payload: Vec<u8> = (0..size).map(|at: usize| u8::try_from(at % 251).unwrap()).collect();
        write_frame(stream.get_mut(), kind, &payload, Some([1, 2, 3, 4]));
        assert!(read_frame(&mut stream) == Some((kind, payload)), "{size} bytes");
    }
    write_frame(stream.get_mut(), PING, b"still there?", Some([9, 8, 7, 6]));
    assert_eq!(read_frame(&mut stream), Some((PONG, b"still there?".to_vec())));
    write_frame(stream.get_mut(), CLOSE, &1_000_u16.to_be_bytes(), Some([4, 3, 2, 1]));
    assert_eq!(read_frame(&mut stream), Some((CLOSE, 1_000_u16.to_be_bytes().to_vec())));
    stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), 0);
    assert_eq!(read_frame(&mut stream), None);
    far.until_left();
}
