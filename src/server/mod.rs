//! The door: accepts connections, keeps their number and their waits within bounds, and hands each request to the room
//! that answers it. Promises: a slow, silent or numerous visitor costs no other visitor anything; a stop lets running
//! answers finish. Must not know what the rooms do.

pub mod access;
pub mod admission;
pub mod converse;
pub mod guard;
pub mod listen;
pub mod live;
pub mod preamble;
pub mod pressure;
pub mod route;
pub mod shown;
pub mod streams;
pub mod tls;
pub mod watch;
pub mod wire;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;

use crate::clock::Clock;
use crate::ledger::Access;

pub use crate::server::listen::Running;
pub use crate::server::listen::serve;
pub use crate::server::listen::serve_on;
pub use crate::server::live::Live;
pub use crate::server::pressure::Press;
pub use crate::server::pressure::Pressure;
pub use crate::server::route::Door;
pub use crate::server::tls::Tls;

/// What the door can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens. With port 0 the system chooses one port for all threads.
    pub address: SocketAddr,
    /// Whether trusted peers, and nobody else, connect, and say first whose connection it is (PROXY protocol).
    pub proxy_protocol: bool,
    /// Threads, each with a listener and a pool of its own.
    pub cores: usize,
    /// Connections in all. 10,000 take some 240 MiB.
    pub connections: usize,
    /// Connections of one address (of one /64 for IPv6); loopback has no such limit, as a proxy in front comes from there.
    pub per_address: usize,
    /// TLS; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Proofs for an authority that this plain listener gives (RFC 8555 section 8.3).
    pub challenges: Option<tls::acme::Challenges>,
    /// How long a TLS handshake may take. 10 s: three round trips of the slowest phone with one segment lost.
    pub handshake: Duration,
    /// `Strict-Transport-Security` (RFC 6797) for what is answered over TLS, where the shop says none.
    pub hsts: Option<HeaderValue>,
    /// How long a request head may take from its first byte, and a new connection to send one. 30 s for slow phones.
    pub head: Duration,
    /// How long a connection may lie unused between requests. 75 s as nginx has it.
    pub idle: Duration,
    /// How long a visitor may take nothing of what is written to it. 60 s as nginx has it.
    pub write: Duration,
    /// How long a connection is read on after its last word, for a visitor who is still sending and would miss it.
    pub linger: Duration,
    /// How long running answers may last after a stop. Container platforms kill after 30 s.
    pub grace: Duration,
    /// Fields of a request head. 100 is hyper's own bound.
    pub fields: usize,
    /// Bytes of a request line: the 8 KiB of a target with room for the method.
    pub line_limit: usize,
    /// Bytes of a request head. 64 KiB: long cookies fit, endless heads do not.
    pub head_limit: usize,
    /// Connections that wait to be accepted, per thread.
    pub backlog: u32,
    /// The bounds of HTTP/2, which a visitor may choose under TLS.
    pub http2: streams::Limits,
    /// How long the body of a conversion event may take. Beacons are small; 10 s is generous.
    pub event_body: Duration,
    /// How hard pressed the process is.
    pub pressure: Pressure,
    /// The access log, where one is kept.
    pub log: Option<Log>,
}

/// An access log and the clock of its lines.
#[derive(Clone, Debug)]
pub struct Log {
    /// Where lines are told.
    pub access: Access,
    /// When requests came.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            proxy_protocol: false,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            connections: 10_000,
            per_address: 1_024,
            tls: None,
            challenges: None,
            handshake: Duration::from_secs(10),
            hsts: None,
            head: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_mins(1),
            linger: Duration::from_secs(2),
            grace: Duration::from_secs(30),
            fields: 100,
            line_limit: 8 * 1024 + 128,
            head_limit: 64 * 1024,
            backlog: 1_024,
            http2: streams::Limits::default(),
            event_body: Duration::from_secs(10),
            pressure: Pressure::default(),
            log: None,
        }
    }
}

/// `Strict-Transport-Security` for so long (RFC 6797 section 6.1).
pub fn hsts(age: Duration) -> HeaderValue {
    // Digits and letters always make a field value.
    HeaderValue::from_str(&format!("max-age={}", age.as_secs())).unwrap_or_else(|_| HeaderValue::from_static("max-age=0"))
}
