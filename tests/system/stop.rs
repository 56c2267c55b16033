//! SIGTERM in the middle of the work: whatever reached the site is answered whole, and the process ends well.

use std::collections::HashSet;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::far::Far;
use crate::far::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;

const VISITORS: usize = 8;
const BEFORE: usize = 300;
const HALF: usize = 40_000;

/// Answers in two halves, each with the path at its end.
fn site() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let half = format!("{}{path:>20}", "h".repeat(HALF));
            talk.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}", 2 * half.len()));
            std::thread::yield_now();
            talk.say(half);
        }
    })
}

/// What one connection came to.
enum Ended {
    /// Its answer came whole.
    Whole,
    /// No byte of an answer came.
    Nothing,
    /// An answer began and did not end.
    Cut(String),
}

fn ask(address: SocketAddr, path: &str) -> Ended {
    let Ok(mut stream) = TcpStream::connect(address) else { return Ended::Nothing };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
    if std::io::Write::write_all(&mut stream, request.as_bytes()).is_err() {
        return Ended::Nothing;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if answer.starts_with("HTTP/1.1 200 ") && body.len() == 2 * (HALF + 20) && body.ends_with(path) {
        Ended::Whole
    } else if answer.is_empty() {
        Ended::Nothing
    } else {
        Ended::Cut(answer.chars().take(200).collect())
    }
}

#[test]
fn a_stop_under_load_answers_whatever_was_accepted_and_ends_well() {
    let mut far = Far::of(site(), "");
    let address = far.shop();
    let answered = Arc::new(AtomicUsize::new(0));
    let whole = Arc::new(Mutex::new(HashSet::new()));
    let visitors: Vec<_> = (0..VISITORS)
        .map(|visitor| {
            let (answered, whole) = (Arc::clone(&answered), Arc::clone(&whole));
            std::thread::spawn(move || {
                for number in 0.. {
                    let path = format!("/{visitor}/{number}");
                    match ask(address, &path) {
                        Ended::Whole => {
                            whole.lock().unwrap().insert(path);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        // The door is shut: nobody who comes later is let in.
                        Ended::Nothing => return,
                        Ended::Cut(answer) => panic!("{path} was cut: {answer:?}"),
                    }
                }
            })
        })
        .collect();
    until("the load is on", || answered.load(Ordering::SeqCst) >= BEFORE);
    far.process.signal("TERM");
    let status = far.process.ended();
    for visitor in visitors {
        visitor.join().unwrap();
    }
    assert_eq!(status.code(), Some(0));
    let said = far.process.last_words();
    assert!(!said.iter().any(|line| line.contains("cut at the end of the grace")), "{said:?}");
    let whole = whole.lock().unwrap();
    for head in far.site.heads() {
        let path = head.split(' ').nth(1).unwrap();
        assert!(whole.contains(path), "{path} reached the site and was not answered");
    }
}
