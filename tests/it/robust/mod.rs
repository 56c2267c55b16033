//! HTTP/1.1 (RFC 9110, RFC 9112) as raw bytes, in tables: what is sent, and what must be so afterwards. Each case has a
//! door and a site of its own. The site reads requests by their framing and keeps them byte for byte.

mod address;
mod fields;
mod frames;
mod h2_bodies;
mod h2_case;
mod h2_frames;
mod h2_heads;
mod informed;
mod limits;
mod origin;
mod parting;
mod passing;
mod refused;
mod twin;

use std::sync::Arc;
use std::sync::Mutex;

use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::site::Talk;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;

/// One request as the site read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Came {
    fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    fn names(&self) -> Vec<&str> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
    }
}

/// A site that keeps what it is asked, and answers each request with its target.
pub(crate) struct Keeper {
    pub(crate) site: Site,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Keeper {
    pub(crate) fn start() -> Self {
        let came = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&came);
        let site = Site::start(move |talk, _| {
            while let Some(request) = read(talk) {
                let target = request.line().split(' ').nth(1).unwrap().to_owned();
                let without_body = request.head.starts_with("HEAD ");
                kept.lock().unwrap().push(request);
                talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", target.len()));
                if !without_body {
                    talk.say(target);
                }
            }
        });
        Self { site, came }
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

/// Reads one request by its framing.
fn read(talk: &mut Talk) -> Option<Came> {
    let head = talk.head()?;
    let mut body = Vec::new();
    if let Some(length) = field(&head, "content-length") {
        body = talk.body(length.parse().unwrap())?;
    } else if field(&head, "transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut talk.stream, &mut line).ok()?;
            let size = usize::from_str_radix(line.trim_end_matches("\r\n"), 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&talk.body(size)?);
            talk.body(2)?;
        }
        // Trailers, if there are any, and the empty line.
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            std::io::BufRead::read_line(&mut talk.stream, &mut line).ok().filter(|read| *read > 0)?;
            if line != "\r\n" {
                body.extend_from_slice(line.as_bytes());
            }
        }
    }
    Some(Came { head, body })
}

/// What came back over one connection, and whether it was closed at the end.
#[derive(Debug)]
pub(crate) struct Said {
    statuses: Vec<u16>,
    bodies: Vec<Vec<u8>>,
    heads: Vec<String>,
    came: Vec<Came>,
    closed: bool,
}

/// Sends bytes on a new connection, and reads `answers` answers; with more than come, to the end of the connection.
fn ask(sent: &[u8], answers: usize) -> Said {
    let keeper = Keeper::start();
    let front = Front::of(keeper.site.address);
    let mut said = ask_at(&front, sent, answers);
    said.came = keeper.came();
    said
}

fn ask_at(front: &Front, sent: &[u8], answers: usize) -> Said {
    let mut visitor = Visitor::connect(front.address);
    visitor.say(sent);
    let mut said = Said { statuses: Vec::new(), bodies: Vec::new(), heads: Vec::new(), came: Vec::new(), closed: false };
    let without_body = sent.starts_with(b"HEAD ");
    while said.statuses.len() < answers {
        let Some(head) = visitor.head() else {
            said.closed = true;
            return said;
        };
        let status: u16 = head[9..12].parse().unwrap();
        let bodiless = without_body || status == 204 || status == 304 || status < 200;
        let body = match field(&head, "content-length") {
            _ if bodiless => Vec::new(),
            Some(length) => visitor.exactly(length.parse().unwrap()),
            None if field(&head, "transfer-encoding").is_some() => visitor.chunks().expect("all chunks"),
            None => visitor.rest(),
        };
        said.statuses.push(status);
        said.heads.push(head);
        said.bodies.push(body);
    }
    said
}

/// As many answers as come until the connection closes.
const ALL: usize = usize::MAX;

/// Waits until a counter has a value.
fn wait_for(front: &Front, line: &str) {
    let end = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while !front.metrics.expose().lines().any(|found| found == line) {
        assert!(tokio::time::Instant::now() < end, "no `{line}` in\n{}", front.metrics.expose());
        std::thread::yield_now();
    }
}
