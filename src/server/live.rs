//! What a listener serves by, exchanged while connections stand: each thread has a room of its own and makes a new one when
//! it meets a newer standing. Promises: a request is answered by one standing from its first line to its last; a thread
//! without requests lets the old one go, too. Must not know what changed, or why.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::proxy::ConnectionState;
use crate::server::Door;
use crate::server::Settings;
use crate::server::admission::Admission;
use crate::server::route::Room;

/// The standing of one listener; clones share it.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    /// What a request looks at; the number of the newest standing.
    generation: AtomicU64,
    standing: ArcSwap<Standing>,
    admission: Admission,
    changed: watch::Sender<u64>,
    paused: watch::Sender<bool>,
    /// The listening sockets, for as long as anybody accepts from them.
    sockets: Mutex<Vec<TcpListener>>,
    /// What each thread counts while it turns round.
    beats: Box<[AtomicU64]>,
}

/// What is served by until something newer comes.
struct Standing {
    generation: u64,
    settings: Arc<Settings>,
    door: Door,
}

impl fmt::Debug for Live {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Live").field("generation", &self.0.generation).finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(settings: Settings, door: Door, admission: Admission, sockets: Vec<TcpListener>, threads: usize) -> Self {
        let standing = Standing { generation: 0, settings: Arc::new(settings), door };
        Self(Arc::new(Shared {
            generation: AtomicU64::new(0),
            standing: ArcSwap::from_pointee(standing),
            admission,
            changed: watch::channel(0).0,
            paused: watch::channel(false).0,
            sockets: Mutex::new(sockets),
            beats: (0..threads).map(|_| AtomicU64::new(0)).collect(),
        }))
    }

    /// Serves by these from the next request on, also on connections that stand. What belongs to the listener itself
    /// (its address, its threads, whether it speaks TLS) stays; the bounds of a head, of HTTP/2 and of a visitor's waits
    /// for bytes hold for new connections.
    pub fn replace(&self, settings: &Settings, door: &Door) {
        let shared = &self.0;
        let old = shared.standing.load();
        let settings = Settings { tls: old.settings.tls.clone(), ..settings.clone() };
        shared.admission.bound(settings.connections, settings.per_address);
        let generation = old.generation + 1;
        shared.standing.store(Arc::new(Standing { generation, settings: Arc::new(settings), door: door.clone() }));
        shared.generation.store(generation, Ordering::Release);
        shared.changed.send_replace(generation);
    }

    /// Lets new connections wait in their queue, or accepts them again. Whatever was accepted goes on.
    pub fn pause(&self, pause: bool) {
        self.0.paused.send_replace(pause);
    }

    /// The listening sockets once more, for a process that goes on with them.
    ///
    /// # Errors
    /// The system is out of files.
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner).iter().map(TcpListener::try_clone).collect()
    }

    /// Lets go of the sockets, so that they close with the threads' own.
    pub(super) fn shut(&self) {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What each thread has counted, once a second.
    pub fn beats(&self) -> impl Iterator<Item = u64> {
        self.0.beats.iter().map(|beat| beat.load(Ordering::Relaxed))
    }

    /// One more turn of a thread.
    pub(super) fn beat(&self, thread: usize) {
        if let Some(beat) = self.0.beats.get(thread) {
            beat.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Told whether new connections wait.
    pub(super) fn paused(&self) -> watch::Receiver<bool> {
        self.0.paused.subscribe()
    }

    /// Told of each newer standing.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}

/// The room of one thread, made anew when the standing is newer.
pub(super) struct Rooms {
    live: Live,
    here: RefCell<Rc<Room>>,
}

impl Rooms {
    pub(super) fn new(live: &Live) -> Self {
        Self { live: live.clone(), here: RefCell::new(Rc::new(made(live))) }
    }

    /// The room of now.
    pub(super) fn now(&self) -> Rc<Room> {
        let mut here = self.here.borrow_mut();
        if here.generation() != self.live.0.generation.load(Ordering::Acquire) {
            *here = Rc::new(made(&self.live));
        }
        Rc::clone(&here)
    }
}

fn made(live: &Live) -> Room {
    let standing = live.0.standing.load();
    Room::new(standing.door.clone(), Arc::clone(&standing.settings), standing.generation)
}

/// One connection's way to the room of now.
pub(super) struct Entry {
    rooms: Rc<Rooms>,
    seen: Cell<u64>,
}

impl Entry {
    /// The way of a connection that was admitted by a room of this generation.
    pub(super) fn new(rooms: Rc<Rooms>, generation: u64) -> Self {
        Self { rooms, seen: Cell::new(generation) }
    }

    /// The room for the connection's next request. Whether its peer is trusted is asked again where that may have changed.
    pub(super) fn room(&self, connection: &ConnectionState) -> Rc<Room> {
        let room = self.rooms.now();
        if self.seen.replace(room.generation()) != room.generation() {
            connection.trust_by(room.fronts());
        }
        room
    }
}
