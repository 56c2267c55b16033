//! The door: accepts connections, keeps their number and their waits within bounds, and hands each request to the room
//! that answers it. Promises: a slow, silent or numerous visitor costs no other visitor anything; a stop lets running
//! answers finish. Must not know what the rooms do.

pub mod admission;
pub mod guard;
pub mod listen;
pub mod preamble;
pub mod route;
pub mod watch;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

pub use crate::server::listen::Running;
pub use crate::server::listen::serve;
pub use crate::server::route::Door;

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
    /// How long a request head may take from its first byte, and a new connection to send one. 30 s for slow phones.
    pub head: Duration,
    /// How long a connection may lie unused between requests. 75 s as nginx has it.
    pub idle: Duration,
    /// How long a visitor may take nothing of what is written to it. 60 s as nginx has it.
    pub write: Duration,
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
    /// How long the body of a conversion event may take. Beacons are small; 10 s is generous.
    pub event_body: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            proxy_protocol: false,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            connections: 10_000,
            per_address: 1_024,
            head: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_mins(1),
            grace: Duration::from_secs(30),
            fields: 100,
            line_limit: 8 * 1024 + 128,
            head_limit: 64 * 1024,
            backlog: 1_024,
            event_body: Duration::from_secs(10),
        }
    }
}
