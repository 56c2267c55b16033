//! Threads, listeners and connections. Each thread has a runtime, a listener on the shared port and a room of its own;
//! nothing but the book of open connections is shared. Must not know what a request asks.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::proxy;
use crate::proxy::ConnectionState;
use crate::proxy::client::is_trusted;
use crate::proxy::connection::Wait;
use crate::server::Door;
use crate::server::Settings;
use crate::server::admission::Admission;
use crate::server::admission::Ticket;
use crate::server::guard::Fault;
use crate::server::preamble;
use crate::server::route::Room;
use crate::server::watch::Resting;
use crate::server::watch::Scratch;
use crate::server::watch::Timer;
use crate::server::watch::Watched;
use crate::server::watch::scratch;
use crate::telemetry::Metrics;

/// How long a thread rests when no connection can be accepted, as when files have run out.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How much later than the guard the HTTP library finds a head too large.
const HEADROOM: usize = 1_024;

/// A listener with its threads.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Blocks until all threads have ended, which they do after the stop signal: at once where nothing is running,
    /// after the grace at the latest.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a listener thread has panicked");
            }
        }
    }
}

/// Starts the threads; returns when all of them listen. They stop when `stop` becomes true or its sender is gone.
pub fn serve(settings: &Settings, door: &Door, metrics: &Metrics, stop: &watch::Receiver<bool>) -> io::Result<Running> {
    let first = bind(settings.address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..settings.cores.max(1) {
        sockets.push(bind(address)?);
    }
    let admission = Admission::new(settings.connections, settings.per_address, metrics.open_connections.clone());
    let (ready, listening) = sync_channel(sockets.len());
    let mut threads = Vec::with_capacity(sockets.len());
    for (number, socket) in sockets.into_iter().enumerate() {
        let post = Post {
            settings: settings.clone(),
            proxy: match door {
                Door::Shop(front) => Arc::clone(&front.proxy),
                Door::Graph(_) => Arc::default(),
            },
            door: door.clone(),
            admission: admission.clone(),
            counts: Counts::new(metrics),
            stop: stop.clone(),
        };
        let ready = ready.clone();
        threads.push(std::thread::Builder::new().name(format!("door-{number}")).spawn(move || post.run(socket, &ready))?);
    }
    drop(ready);
    for _ in &threads {
        listening.recv().map_err(|_| io::Error::other("a listener thread has ended before it listened"))??;
    }
    Ok(Running { address, threads })
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// What one thread is given.
struct Post {
    settings: Settings,
    proxy: Arc<proxy::Settings>,
    door: Door,
    admission: Admission,
    counts: Counts,
    stop: watch::Receiver<bool>,
}

/// What the door counts by itself: what it refuses never reaches a room.
#[derive(Clone, Debug)]
struct Counts {
    accepted: Counter,
    full: Counter,
    malformed: Counter,
    slow: Counter,
    preamble: Counter,
    /// By [`Fault`].
    faults: Arc<[Counter]>,
}

impl Counts {
    fn new(metrics: &Metrics) -> Self {
        let refused = |kind| metrics.errors.with(&[("kind", kind)]);
        Self {
            accepted: metrics.connections.clone(),
            full: refused("too_many_connections"),
            malformed: refused("malformed"),
            slow: refused("head_stalled"),
            preamble: refused("preamble"),
            faults: Fault::ALL.iter().map(|fault| refused(fault.name())).collect(),
        }
    }
}

impl Post {
    fn run(self, socket: TcpSocket, ready: &SyncSender<io::Result<()>>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        LocalSet::new().block_on(&runtime, async move {
            // The other end waits for each thread's word, so that it is never gone.
            match socket.listen(self.settings.backlog) {
                Ok(listener) => {
                    let _ = ready.send(Ok(()));
                    self.accept(listener).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    }

    async fn accept(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let grace = self.settings.grace;
        let thread = Rc::new(Thread {
            room: Rc::new(Room::new(self.door.clone(), self.settings.event_body)),
            here: Admission::new(usize::MAX, usize::MAX, prometheus_client::metrics::gauge::Gauge::default()),
            scratch: scratch(self.settings.head_limit),
            post: self,
        });
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut stopped => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    thread.post.counts.accepted.inc();
                    if thread.post.settings.proxy_protocol {
                        tokio::task::spawn_local(Rc::clone(&thread).introduce(stream, peer));
                    } else {
                        thread.admit(stream, peer);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(grace, thread.here.empty()).await.is_err() {
            tracing::warn!("connections cut at the end of the grace");
        }
    }
}

/// What the connections of one thread share.
struct Thread {
    post: Post,
    room: Rc<Room>,
    here: Admission,
    scratch: Scratch,
}

impl Thread {
    /// Reads whose connection it is before it is admitted as theirs.
    async fn introduce(self: Rc<Self>, mut stream: TcpStream, peer: SocketAddr) {
        let Post { settings, proxy, counts, admission, .. } = &self.post;
        // A balancer has no share of its own: its connections are counted in all only, as loopback's are.
        let place = admission.admit(Ipv4Addr::LOCALHOST.into());
        if place.is_none() || !is_trusted(&proxy.trusted_proxies, peer.ip().to_canonical()) {
            (if place.is_none() { &counts.full } else { &counts.preamble }).inc();
            return;
        }
        match tokio::time::timeout(settings.head, preamble::read(&mut stream)).await {
            Ok(Ok(visitor)) => {
                drop(place);
                self.admit(stream, visitor.unwrap_or(peer));
            }
            Ok(Err(error)) => {
                counts.preamble.inc();
                tracing::debug!(%error, "connection refused");
            }
            Err(_) => drop(counts.slow.inc()),
        }
    }

    /// Admits a visitor's connection and serves it, or turns it away.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let Post { settings, proxy, counts, admission, stop, .. } = &self.post;
        let Some(ticket) = admission.admit(peer.ip()) else {
            counts.full.inc();
            // Best effort: a full socket buffer on a new connection is not worth waiting for.
            let _ = stream.try_write(self.room.door().full());
            return;
        };
        let held: (Ticket, Option<Ticket>) = (ticket, self.here.admit(peer.ip()));
        let connection = Arc::new(ConnectionState::new(peer, proxy, Box::new(held)));
        // Without it the end of an answer may wait for an acknowledgement; a failure costs time, not correctness.
        let _ = stream.set_nodelay(true);
        let io = Watched::new(stream, Arc::clone(&connection), settings, Arc::clone(&self.scratch));
        let told = (stop.clone(), counts.clone());
        tokio::task::spawn_local(converse(io, connection, Rc::clone(&self.room), settings.clone(), told));
    }
}

/// One connection, from its first byte to its last.
async fn converse(
    io: Watched,
    connection: Arc<ConnectionState>,
    room: Rc<Room>,
    settings: Settings,
    (stop, counts): (watch::Receiver<bool>, Counts),
) {
    connection.begin(Wait::Head, settings.head);
    let idle = settings.idle;
    let service = service_fn(|request| {
        let (room, connection) = (Rc::clone(&room), Arc::clone(&connection));
        connection.end(Wait::Head);
        connection.end(Wait::Idle);
        async move {
            let response = room.answer(&connection, request).await;
            Ok::<_, Infallible>(response.map(|body| Resting::new(body, connection, idle)))
        }
    });
    let mut http = protocol(&settings).serve_connection(io, service).with_upgrades();
    let mut timer = Timer::new();
    let mut stopping = StopSignal::Unseen;
    let mut wake = stop.clone();
    let mut stopped = pin!(wake.wait_for(|stop| *stop));
    let ended = std::future::poll_fn(|context| {
        // Asked once for the wake-up; later polls look at the flag alone.
        if stopping == StopSignal::Unseen && stopped.as_mut().poll(context).is_ready()
            || stopping == StopSignal::Awaited && stop.has_changed().unwrap_or(true)
        {
            stopping = StopSignal::Obeyed;
            Pin::new(&mut http).graceful_shutdown();
        } else if stopping == StopSignal::Unseen {
            stopping = StopSignal::Awaited;
        }
        timer.look(context, &connection);
        if [Wait::Idle, Wait::Head, Wait::Write].into_iter().any(|wait| connection.is_over(wait)) {
            return Poll::Ready(Ended::Late);
        }
        if let Poll::Ready(outcome) = Pin::new(&mut http).poll(context) {
            return Poll::Ready(Ended::Done(outcome));
        }
        timer.set(context, &connection);
        Poll::Pending
    })
    .await;
    // Without parts the connection has become a tunnel.
    let Some(mut parts) = http.into_parts() else { return };
    let fault = parts.io.fault();
    if let Some(counter) = fault.and_then(|fault| counts.faults.get(fault as usize)) {
        counter.inc();
    }
    let word = match ended {
        Ended::Done(Err(error)) => {
            tracing::debug!(%error, "connection ended");
            if fault.is_none() && error.is_parse() {
                counts.malformed.inc();
            }
            fault.filter(|_| is_refusal(&error)).map_or(&[][..], Fault::answer)
        }
        Ended::Late if connection.is_over(Wait::Head) && !parts.read_buf.is_empty() => {
            counts.slow.inc();
            room.door().slow()
        }
        Ended::Late => return,
        Ended::Done(Ok(())) => &[],
    };
    parts.io.part(word, !parts.read_buf.is_empty()).await;
}

/// Whether a connection ended by the guard's word, with nothing said to the visitor.
fn is_refusal(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.and_then(io::Error::get_ref).is_some_and(<dyn std::error::Error + Send + Sync>::is::<Fault>)
}

/// HTTP/1.1 within the door's bounds.
fn protocol(settings: &Settings) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_headers(settings.fields)
        // The guard counts the same bytes and fields, and says which was too much.
        .max_header_size(settings.head_limit.saturating_add(HEADROOM))
        .max_buf_size(settings.head_limit.saturating_add(HEADROOM))
        .half_close(false);
    // The waits of the connection are looked at by its own timer, which costs a request nothing.
    protocol.header_read_timeout(None);
    protocol
}

/// How far the stop signal has come to a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopSignal {
    Unseen,
    Awaited,
    Obeyed,
}

/// How a connection ended.
enum Ended {
    Done(hyper::Result<()>),
    Late,
}
