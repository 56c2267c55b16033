//! Threads, listeners and connections. Each thread has a runtime, a listener on the shared port and a room of its own;
//! nothing but the book of open connections is shared. Must not know what a request asks.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener as StdListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::proxy::ConnectionState;
use crate::proxy::client::is_trusted;
use crate::server::Door;
use crate::server::Settings;
use crate::server::admission::Admission;
use crate::server::admission::Ticket;
use crate::server::converse::Counts;
use crate::server::converse::Talk;
use crate::server::live::Entry;
use crate::server::live::Live;
use crate::server::live::Rooms;
use crate::server::preamble;
use crate::server::wire::Raw;
use crate::telemetry::Metrics;

/// How often a thread says that it turns round.
const BEAT: Duration = Duration::from_secs(1);
/// How long a thread rests when no connection can be accepted, as when files have run out.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A listener with its threads.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    live: Live,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves by.
    pub fn live(&self) -> &Live {
        &self.live
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
    serve_on(settings, door, metrics, stop, Vec::new())
}

/// The same on sockets that listen already, as of a process before; without any, it opens its own. Each has a thread at
/// least, so that no connection waits in one for ever; further threads share them.
pub fn serve_on(
    settings: &Settings,
    door: &Door,
    metrics: &Metrics,
    stop: &watch::Receiver<bool>,
    given: Vec<StdListener>,
) -> io::Result<Running> {
    let sockets = if given.is_empty() { own(settings)? } else { given };
    let address = sockets.first().ok_or(io::ErrorKind::AddrNotAvailable)?.local_addr()?;
    let posts = settings.cores.max(sockets.len());
    let shared: Vec<StdListener> = sockets.iter().cycle().take(posts).map(StdListener::try_clone).collect::<Result<_, _>>()?;
    let admission = Admission::new(settings.connections, settings.per_address, metrics.open_connections.clone());
    let live = Live::new(settings.clone(), door.clone(), admission.clone(), sockets, posts);
    let (ready, listening) = sync_channel(posts);
    let mut threads = Vec::with_capacity(posts);
    for (number, socket) in shared.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let post =
            Post { number, live: live.clone(), admission: admission.clone(), counts: Counts::new(metrics), stop: stop.clone() };
        let ready = ready.clone();
        threads.push(std::thread::Builder::new().name(format!("door-{number}")).spawn(move || post.run(socket, &ready))?);
    }
    drop(ready);
    for _ in &threads {
        listening.recv().map_err(|_| io::Error::other("a listener thread has ended before it listened"))??;
    }
    Ok(Running { address, live, threads })
}

/// A socket for each thread, all on one port: the kernel spreads connections over them.
fn own(settings: &Settings) -> io::Result<Vec<StdListener>> {
    let first = bind(settings.address, settings.backlog)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..settings.cores.max(1) {
        sockets.push(bind(address, settings.backlog)?);
    }
    Ok(sockets)
}

fn bind(address: SocketAddr, backlog: u32) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// What one thread is given.
struct Post {
    number: usize,
    live: Live,
    admission: Admission,
    counts: Counts,
    stop: watch::Receiver<bool>,
}

impl Post {
    fn run(self, socket: StdListener, ready: &SyncSender<io::Result<()>>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        LocalSet::new().block_on(&runtime, async move {
            // The other end waits for each thread's word, so that it is never gone.
            match TcpListener::from_std(socket) {
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
        let (mut changed, mut paused) = (self.live.changed(), self.live.paused());
        let mut waits = *paused.borrow_and_update();
        let (live, number) = (self.live.clone(), self.number);
        tokio::task::spawn_local(async move {
            let mut every = tokio::time::interval(BEAT);
            loop {
                every.tick().await;
                live.beat(number);
            }
        });
        let thread = Rc::new(Thread {
            rooms: Rc::new(Rooms::new(&self.live)),
            here: Admission::new(usize::MAX, usize::MAX, prometheus_client::metrics::gauge::Gauge::default()),
            post: self,
        });
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if !waits => accepted,
                Ok(()) = paused.changed() => {
                    waits = *paused.borrow_and_update();
                    continue;
                }
                // So that what an idle thread holds of the old standing goes.
                Ok(()) = changed.changed() => {
                    thread.rooms.now();
                    continue;
                }
                _ = &mut stopped => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    thread.post.counts.accepted.inc();
                    if thread.rooms.now().settings().proxy_protocol {
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
        thread.post.live.shut();
        let grace = thread.rooms.now().settings().grace;
        if tokio::time::timeout(grace, thread.here.empty()).await.is_err() {
            tracing::warn!("connections cut at the end of the grace");
        }
    }
}

/// What the connections of one thread share.
struct Thread {
    post: Post,
    rooms: Rc<Rooms>,
    here: Admission,
}

impl Thread {
    /// Reads whose connection it is before it is admitted as theirs.
    async fn introduce(self: Rc<Self>, mut stream: TcpStream, peer: SocketAddr) {
        let Post { counts, admission, .. } = &self.post;
        let room = self.rooms.now();
        // A balancer has no share of its own: its connections are counted in all only, as loopback's are.
        let place = admission.admit(Ipv4Addr::LOCALHOST.into());
        if place.is_none() || !is_trusted(&room.fronts().trusted_proxies, peer.ip().to_canonical()) {
            (if place.is_none() { &counts.full } else { &counts.preamble }).inc();
            return;
        }
        match tokio::time::timeout(room.settings().head, preamble::read(&mut stream)).await {
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
        let Post { counts, admission, stop, .. } = &self.post;
        let room = self.rooms.now();
        let pressed = room.settings().pressure.refuses();
        let Some(ticket) = admission.admit(peer.ip()).filter(|_| !pressed) else {
            counts.full.inc();
            // Best effort: a full socket buffer on a new connection is not worth waiting for.
            let _ = stream.try_write(room.door().full());
            return;
        };
        let held: (Ticket, Option<Ticket>) = (ticket, self.here.admit(peer.ip()));
        let connection = Arc::new(ConnectionState::new(peer, room.fronts(), Box::new(held)));
        // Without it the end of an answer may wait for an acknowledgement; a failure costs time, not correctness.
        let _ = stream.set_nodelay(true);
        let raw = Raw::new(stream, Arc::clone(&connection), room.settings().write);
        let talk = Talk {
            connection,
            entry: Entry::new(Rc::clone(&self.rooms), room.generation()),
            settings: Arc::clone(room.settings()),
            scratch: Arc::clone(room.scratch()),
            stop: stop.clone(),
            counts: counts.clone(),
        };
        tokio::task::spawn_local(talk.begin(raw));
    }
}
