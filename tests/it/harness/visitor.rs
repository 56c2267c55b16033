//! A visitor that writes raw bytes and reads answers by their framing.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

use crate::harness::PATIENCE;

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a field in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A connection of a visitor.
pub struct Visitor<S = TcpStream>(BufReader<S>);

impl Visitor {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }
}

impl<S: Read + Write> Visitor<S> {
    /// Over a connection that stands already.
    #[allow(dead_code, reason = "`tests/system` shares this file")]
    pub fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// The connection itself.
    #[allow(dead_code, reason = "`tests/system` shares this file")]
    pub fn into_inner(self) -> S {
        self.0.into_inner()
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"))
    }

    pub fn ask(&mut self, request: &str) -> Answer {
        self.say(request);
        self.answer(request.starts_with("HEAD"))
    }

    pub fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads one answer; panics where it is cut.
    pub fn answer(&mut self, without_body: bool) -> Answer {
        let head = self.head().expect("an answer");
        let status: u16 = head[9..12].parse().unwrap();
        let body = if without_body || status == 204 || status == 304 || status < 200 {
            Vec::new()
        } else if let Some(length) = field(&head, "content-length") {
            self.exactly(length.parse().unwrap())
        } else if field(&head, "transfer-encoding").is_some() {
            self.chunks().expect("all chunks")
        } else {
            self.rest()
        };
        Answer { status, head, body }
    }

    /// A chunked body; nothing where it is cut before its last chunk.
    pub fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.0.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim_end(), 16).ok()?;
            let mut piece = vec![0; size + 2];
            self.0.read_exact(&mut piece).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&piece[..size]);
        }
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.fill_buf(), Ok([]))
            || self.0.fill_buf().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}
