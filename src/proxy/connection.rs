//! What the door knows of one visitor's connection, and the deadlines that run on it. Deadlines are plain numbers:
//! the door keeps one timer per connection and looks at them, so that a request starts no timer of its own.
//! Must not know who waits for what.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::click::Scheme;
use crate::fact::H2Shown;
use crate::fact::TlsShown;
use crate::proxy::Settings;
use crate::proxy::client;
use crate::proxy::shop::Known;

/// Something that must not last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing has been asked on the connection.
    Idle,
    /// A request head has begun and is not complete.
    Head,
    /// The visitor does not take what is written.
    Write,
    /// The visitor's request body stands still.
    RequestBody,
    /// The shop owes the head or the next piece of its answer.
    Answer,
}

const WAITS: usize = 5;
/// The slot's wait is not running.
const NONE: u64 = u64::MAX;
/// The slot's wait has lasted too long.
const OVER: u64 = 0;

/// One visitor's connection.
pub struct ConnectionState {
    peer: SocketAddr,
    trusted: AtomicBool,
    peer_value: HeaderValue,
    opened: Instant,
    slots: [AtomicU64; WAITS],
    known: ArcSwapOption<Known>,
    tls: OnceLock<Arc<TlsShown>>,
    h2: OnceLock<Arc<H2Shown>>,
    /// How many heads came whole, and the names of the last one's fields, each with a comma behind it.
    heard: Mutex<(u32, Vec<u8>)>,
    /// Requests that were begun.
    asked: AtomicU32,
    tunnelled: AtomicBool,
    encrypted: AtomicBool,
    /// We want to end it; who holds it up is told.
    parting: AtomicBool,
    told: Notify,
    /// The connection that a stream belongs to.
    above: Option<Arc<Self>>,
    _held: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ConnectionState").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

impl ConnectionState {
    /// A connection from `peer`; `held` is dropped when neither a request nor a tunnel needs the connection any more.
    pub fn new(peer: SocketAddr, settings: &Settings, held: Box<dyn Any + Send + Sync>) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self {
            trusted: AtomicBool::new(client::is_trusted(&settings.trusted_proxies, peer.ip())),
            peer_value: client::address_value(peer.ip()),
            peer,
            opened: Instant::now(),
            slots: [const { AtomicU64::new(NONE) }; WAITS],
            known: ArcSwapOption::empty(),
            tls: OnceLock::new(),
            h2: OnceLock::new(),
            heard: Mutex::default(),
            asked: AtomicU32::new(0),
            tunnelled: AtomicBool::new(false),
            encrypted: AtomicBool::new(false),
            parting: AtomicBool::new(false),
            told: Notify::new(),
            above: None,
            _held: held,
        }
    }

    /// One stream of an HTTP/2 connection: its waits are its own, so that streams neither hold up nor cover each other;
    /// everything else is the connection's, which stays open for as long.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> Self {
        Self {
            peer: self.peer,
            trusted: AtomicBool::new(self.is_trusted()),
            peer_value: self.peer_value.clone(),
            opened: self.opened,
            slots: [const { AtomicU64::new(NONE) }; WAITS],
            known: ArcSwapOption::empty(),
            tls: OnceLock::new(),
            h2: OnceLock::new(),
            heard: Mutex::default(),
            asked: AtomicU32::new(0),
            tunnelled: AtomicBool::new(false),
            encrypted: AtomicBool::new(self.encrypted.load(Ordering::Relaxed)),
            parting: AtomicBool::new(false),
            told: Notify::new(),
            above: Some(Arc::clone(self)),
            _held: Box::new(()),
        }
    }

    /// What the site was last told of the client, for requests that are no page views.
    pub fn known(&self) -> &ArcSwapOption<Known> {
        self.above.as_ref().map_or(&self.known, |above| above.known())
    }

    /// The address of the TCP peer; a mapped IPv4 address is given as IPv4.
    pub fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The peer's address as a field value, made once for all requests of the connection.
    pub fn peer_value(&self) -> &HeaderValue {
        &self.peer_value
    }

    /// Whether the peer is one of the trusted proxies.
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    /// Asks again whether the peer is one of the trusted proxies, as others may be trusted now.
    pub fn trust_by(&self, settings: &Settings) {
        self.trusted.store(client::is_trusted(&settings.trusted_proxies, self.peer.ip()), Ordering::Relaxed);
    }

    /// The shop has granted an upgrade: what the visitor sends from now on is no HTTP.
    pub fn tunnel(&self) {
        self.tunnelled.store(true, Ordering::Relaxed);
    }

    /// Whether an upgrade was granted.
    pub fn is_tunnelled(&self) -> bool {
        self.tunnelled.load(Ordering::Relaxed)
    }

    /// The visitor has shaken hands with us: what is asked over the connection is asked by `https`.
    pub fn encrypt(&self) {
        self.encrypted.store(true, Ordering::Relaxed);
    }

    /// Notes what the handshake shows.
    pub fn show_tls(&self, shown: TlsShown) {
        // Only the first handshake of a connection is the client's own.
        let _ = self.tls.set(Arc::new(shown));
    }

    /// Notes what the opening of HTTP/2 shows.
    pub fn show_h2(&self, shown: H2Shown) {
        let _ = self.h2.set(Arc::new(shown));
    }

    /// What the visitor's handshake shows; not known without TLS of ours, nor behind a trusted proxy, which shows its own.
    pub fn tls(&self) -> Option<&Arc<TlsShown>> {
        let connection = self.above.as_deref().unwrap_or(self);
        if self.is_trusted() { None } else { connection.tls.get() }
    }

    /// What the visitor's HTTP/2 shows, likewise.
    pub fn h2(&self) -> Option<&Arc<H2Shown>> {
        let connection = self.above.as_deref().unwrap_or(self);
        if self.is_trusted() { None } else { connection.h2.get() }
    }

    /// Whether the connection is a stream of HTTP/2.
    pub fn is_stream(&self) -> bool {
        self.above.is_some()
    }

    /// Notes the names of the fields of the head that came last, the how-manieth it was.
    pub fn heard(&self, heads: u32, names: &[u8]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.0 = heads;
        heard.1.clear();
        heard.1.extend_from_slice(names);
    }

    /// A request begins: its head is whole, and the rest before it over.
    pub fn ask(&self) {
        self.end(Wait::Head);
        self.end(Wait::Idle);
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// The names of the fields of the request that began last, as they were sent, between commas; not known where another
    /// head has come since.
    pub fn names(&self) -> Option<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = heard.0 == self.asked.load(Ordering::Relaxed);
        let names = std::str::from_utf8(heard.1.strip_suffix(b",")?).ok()?;
        is_its.then(|| names.to_owned())
    }

    /// The process wants to end it, as it stops.
    pub fn part(&self) {
        self.parting.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Comes when the process wants to end the connection.
    pub async fn parting(&self) {
        let connection = self.above.as_deref().unwrap_or(self);
        // Waits before it looks, so that it misses nothing in between.
        let told = connection.told.notified();
        if !connection.parting.load(Ordering::Acquire) {
            told.await;
        }
    }

    /// The scheme of what is asked over the connection itself.
    pub fn scheme(&self) -> Scheme {
        if self.encrypted.load(Ordering::Relaxed) { Scheme::Https } else { Scheme::Http }
    }

    /// Starts a wait unless it is running already.
    pub fn begin(&self, wait: Wait, patience: Duration) {
        if self.slot(wait).load(Ordering::Relaxed) == NONE {
            self.restart(wait, patience);
        }
    }

    /// Starts a wait anew.
    pub fn restart(&self, wait: Wait, patience: Duration) {
        let end = self.elapsed().saturating_add(millis(patience)).clamp(OVER + 1, NONE - 1);
        self.slot(wait).store(end, Ordering::Relaxed);
    }

    /// What was waited for has come.
    pub fn end(&self, wait: Wait) {
        self.slot(wait).store(NONE, Ordering::Relaxed);
    }

    /// Whether a wait is running or over.
    pub fn is_waiting(&self, wait: Wait) -> bool {
        self.slot(wait).load(Ordering::Relaxed) != NONE
    }

    /// Whether a wait has lasted too long, as [`ConnectionState::look`] found.
    pub fn is_over(&self, wait: Wait) -> bool {
        self.slot(wait).load(Ordering::Relaxed) == OVER
    }

    /// Marks the waits that have lasted too long.
    pub fn look(&self) {
        let now = self.elapsed();
        for slot in &self.slots {
            if slot.load(Ordering::Relaxed) <= now {
                slot.store(OVER, Ordering::Relaxed);
            }
        }
    }

    /// When to look next: the end of the wait that ends first.
    pub fn next_look(&self) -> Option<Instant> {
        let running = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|end| *end != NONE && *end != OVER);
        running.min().and_then(|end| self.opened.checked_add(Duration::from_millis(end)))
    }

    fn slot(&self, wait: Wait) -> &AtomicU64 {
        let [idle, head, write, request_body, answer] = &self.slots;
        match wait {
            Wait::Idle => idle,
            Wait::Head => head,
            Wait::Write => write,
            Wait::RequestBody => request_body,
            Wait::Answer => answer,
        }
    }

    fn elapsed(&self) -> u64 {
        millis(self.opened.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ConnectionState {
        ConnectionState::new("[::ffff:192.0.2.7]:9".parse().unwrap(), &Settings::default(), Box::new(()))
    }

    #[test]
    fn a_wait_is_over_only_after_its_patience() {
        let state = state();
        state.begin(Wait::Head, Duration::ZERO);
        state.begin(Wait::Idle, Duration::from_mins(1));
        state.begin(Wait::Idle, Duration::ZERO);
        while !state.is_over(Wait::Head) {
            std::thread::yield_now();
            state.look();
        }
        assert!(state.is_waiting(Wait::Idle) && !state.is_over(Wait::Idle));
    }

    #[test]
    fn a_stream_waits_by_itself_and_knows_what_its_connection_knows() {
        let connection = Arc::new(state());
        connection.encrypt();
        let stream = connection.stream();
        connection.begin(Wait::Write, Duration::from_mins(1));
        stream.begin(Wait::Answer, Duration::from_mins(1));
        assert!(!stream.is_waiting(Wait::Write) && !connection.is_waiting(Wait::Answer));
        assert_eq!((stream.scheme(), stream.peer()), (Scheme::Https, connection.peer()));
        assert!(std::ptr::eq(stream.known(), connection.known()));
    }

    #[test]
    fn the_next_look_is_at_the_first_end() {
        let state = state();
        assert_eq!(state.next_look(), None);
        state.restart(Wait::Answer, Duration::from_mins(1));
        let late = state.next_look().unwrap();
        state.restart(Wait::Write, Duration::from_secs(5));
        assert!(state.next_look().unwrap() < late);
        state.end(Wait::Write);
        assert_eq!(state.next_look(), Some(late));
    }

    #[test]
    fn a_mapped_peer_is_an_ipv4_peer() {
        assert_eq!(state().peer().to_string(), "192.0.2.7");
        assert_eq!(state().peer_value(), "192.0.2.7");
    }
}
