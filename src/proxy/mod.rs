//! One request on its way: checked, its client found, forwarded to the shop, and the answer streamed back.
//! Promises: a page is served whatever else fails, a cut answer stays visibly cut, what may not be repeated is never sent twice.
//! One [`Proxy`] per thread. Must not know sockets of visitors, the collector, delivery or files of configuration.

mod acted;
mod action;
pub mod ahead;
pub mod answer;
pub mod body;
pub mod bypass;
mod carried;
pub mod client;
pub mod connection;
mod counts;
pub mod exchange;
mod first_party;
pub mod framing;
pub mod handler;
pub mod headers;
pub mod line;
mod loss;
pub mod multiplex;
pub mod origin;
pub mod reply;
pub mod rewrite;
mod seen;
pub mod servers;
pub mod shop;
mod sites;
mod told;
mod trailers;
pub mod trust;
pub mod tunnel;
mod unnamed;
pub mod upstream;
pub mod websocket;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnetwork::IpNetwork;

pub use crate::proxy::body::ProxyBody;
pub use crate::proxy::bypass::Bypass;
pub use crate::proxy::client::AddressField;
pub use crate::proxy::connection::ConnectionState;
pub use crate::proxy::exchange::Exchange;
pub use crate::proxy::exchange::Noted;
pub use crate::proxy::handler::Proxy;
pub use crate::proxy::origin::Origin;
pub use crate::proxy::servers::Directory;
pub use crate::proxy::shop::Shop;
pub use crate::proxy::trust::Trust;

/// Which `Host` the shop sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostField {
    /// The visitor's, so that the shop writes links to itself as the visitor knows it.
    #[default]
    Keep,
    /// The upstream's own name and port.
    Upstream,
}

/// A change of the `Domain` of cookies that the shop sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDomain {
    /// The domain the shop writes, without a leading dot.
    pub from: String,
    /// What stands there instead; empty leaves the attribute out, so that the cookie belongs to the visitor's host.
    pub to: String,
}

/// What the room can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shop, where it is one server; where there is a directory, the server that is meant where a request names no host.
    pub upstream: Origin,
    /// Whose word is taken for the shop's certificate; must be there where the shop is reached by TLS.
    pub trust: Option<Trust>,
    /// Which `Host` the shop sees.
    pub host: HostField,
    /// Whether a `Location` that names the upstream is rewritten to the visitor's scheme and host.
    pub rewrite_location: bool,
    /// Whether and how the domain of the shop's cookies is changed.
    pub cookie_domain: Option<CookieDomain>,
    /// The shops and their servers, where one server with the five settings above would not say it all.
    pub directory: Option<Arc<Directory>>,
    /// Peers whose `X-Forwarded-*` fields are believed. Empty: nobody's.
    pub trusted_proxies: Vec<IpNetwork>,
    /// The field in which they name the client.
    pub client_field: AddressField,
    /// The field in which they say the JA4 of the visitor's handshake with them; `None` where they do not.
    pub ja4_field: Option<HeaderName>,
    /// How long a connection to the shop may take to open. A shop stands near; 5 s is two lost SYNs.
    pub connect: Duration,
    /// How long the shop may take to begin its answer once the request moves no more. 60 s as nginx and Apache have it.
    pub first_byte: Duration,
    /// How long either body may stand still. 60 s as nginx has it.
    pub body_progress: Duration,
    /// How long a tunnel may stand still. An hour: `WebSocket` applications ping every minute or so.
    pub tunnel_idle: Duration,
    /// Connections to the shop that each thread keeps while they are unused. 64 holds a burst's worth.
    pub idle_connections: usize,
    /// How long an unused connection is kept. 4 s stays below the 5 s after which Node and Apache hang up.
    pub idle_age: Duration,
    /// The longest request target in bytes. 8 KiB as R1 of common servers; longer ones get 414.
    pub target_limit: usize,
    /// The largest response head in bytes that the shop may send. 64 KiB, far above what shops send.
    pub answer_head_limit: usize,
    /// Path prefixes that are never scored and never injected: machine-to-machine calls that no person sees.
    pub exempt: Vec<String>,
    /// Whether answers carry [`Noted`] for the door's log.
    pub notes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upstream: Origin::local(3000),
            trust: None,
            host: HostField::Keep,
            rewrite_location: false,
            cookie_domain: None,
            directory: None,
            trusted_proxies: Vec::new(),
            client_field: AddressField::default(),
            ja4_field: None,
            connect: Duration::from_secs(5),
            first_byte: Duration::from_mins(1),
            body_progress: Duration::from_mins(1),
            tunnel_idle: Duration::from_hours(1),
            idle_connections: 64,
            idle_age: Duration::from_secs(4),
            target_limit: 8 * 1024,
            answer_head_limit: 64 * 1024,
            exempt: bypass::DEFAULT_EXEMPT.iter().map(|path| (*path).to_owned()).collect(),
            notes: false,
        }
    }
}
