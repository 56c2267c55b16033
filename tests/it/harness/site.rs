//! A shop's server as a script: each accepted connection is played by a function on a thread of its own.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::harness::PATIENCE;

/// A fake site on a port of its own.
pub struct Site {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Plays `script` on every connection; the second argument counts connections from 0.
    pub fn start(script: impl Fn(&mut Talk, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (script, count, seen) = (Arc::new(script), Arc::clone(&connections), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (script, heads) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    script(&mut Talk { stream: BufReader::new(stream), heads }, number);
                });
            }
        });
        Self { address, connections, heads }
    }

    /// Answers every request on every connection with the same bytes.
    pub fn answers(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |talk, _| {
            while talk.head().is_some() {
                talk.say(&bytes);
            }
        })
    }

    /// A port where nobody listens, nor ever will: it is held, since a port that is only free may be the next listener's.
    pub fn nobody() -> SocketAddr {
        static HELD: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = held.local_addr().unwrap().as_socket().unwrap();
        HELD.lock().unwrap().push(held);
        address
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The request heads that came, in lower case as hyper writes names.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// One connection to the fake site.
pub struct Talk {
    pub stream: BufReader<TcpStream>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    /// The next request head, if one comes whole.
    pub fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        self.heads.lock().unwrap().push(head.clone());
        Some(head)
    }

    /// So many bytes of a request body.
    pub fn body(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// The rest until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    /// Writes bytes; a peer that is gone is no fault of the test.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }
}
