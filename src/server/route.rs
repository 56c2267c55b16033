//! Which room answers a request. The rooms other than the proxy are reached through values that `app` hands in; of the
//! collector's it knows only the word for how far a body came.
//! Must not know sockets.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::collect::Body;
use crate::proxy;
use crate::proxy::Bypass;
use crate::proxy::ConnectionState;
use crate::proxy::Proxy;
use crate::proxy::ProxyBody;
use crate::proxy::Shop;
use crate::proxy::reply;
use crate::proxy::reply::Kind;
use crate::proxy::websocket;
use crate::server::Settings;
use crate::server::access::Told;
use crate::server::guard::Fault;
use crate::server::watch::Scratch;
use crate::server::watch::scratch;

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response<Full<Bytes>>>>>;
/// Takes events from a page: head, client address, body.
pub type Browser = Arc<dyn Fn(Parts, Option<IpAddr>, Bytes) -> Answering + Send + Sync>;
/// Gives the tag.
pub type Script = Arc<dyn Fn(&Parts) -> Response<Full<Bytes>> + Send + Sync>;
/// Takes events from a back end: head, and the body as far as it came, since trouble with it is told in that room's words.
pub type Graph = Arc<dyn Fn(Parts, Body) -> Answering + Send + Sync>;
/// Words for a refusal, as bytes on the wire.
pub type Refused = Arc<dyn Fn(u16, &'static str, &str) -> Bytes + Send + Sync>;

/// What stands behind a listener; each thread builds its own room from it.
#[derive(Clone)]
pub enum Door {
    /// The shop with the collector under its prefix.
    Shop(ShopDoor),
    /// Plain HTTP in front of that shop's TLS: sends everybody there, but passes on what proves who owns the host.
    Redirect(ShopDoor),
    /// The Graph-compatible endpoint.
    Graph(GraphDoor),
}

/// What stands behind the shop's listener.
#[derive(Clone)]
pub struct ShopDoor {
    /// The proxy's settings.
    pub proxy: Arc<proxy::Settings>,
    /// What the proxy's threads share.
    pub shop: Arc<Shop>,
    /// The switch that makes it a plain proxy.
    pub bypass: Bypass,
    /// Where the collector lives on the shop's host: `/_cs`, without a slash at its end.
    pub prefix: Arc<str>,
    /// Where it lived before a reload: pages that are open still speak to it there.
    pub former: Arc<[Arc<str>]>,
    /// `POST {prefix}/e`.
    pub browser: Browser,
    /// `GET {prefix}/t.js` and `GET {prefix}/s.js`, and the link that nobody sees.
    pub script: Script,
    /// The largest body the collector takes, in bytes.
    pub body_limit: usize,
}

/// What stands behind the Graph-compatible listener.
#[derive(Clone)]
pub struct GraphDoor {
    /// Every request.
    pub graph: Graph,
    /// What is said to a connection that is one too many, as bytes on the wire.
    pub full: Bytes,
    /// What is said where a head takes too long, likewise.
    pub slow: Bytes,
    /// What is said to a request that is refused before it is one: its status, its name in metrics, what is wrong.
    pub refused: Refused,
    /// The largest body it takes, in bytes.
    pub body_limit: usize,
}

/// The answer to a visitor's connection that is one too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";
/// The answer to a visitor's head that takes too long.
const SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Door {
    /// What is said to a connection that is one too many.
    pub(super) fn full(&self) -> &[u8] {
        match self {
            Self::Shop(_) | Self::Redirect(_) => FULL,
            Self::Graph(graph) => &graph.full,
        }
    }

    /// What is said to a request that the guard refuses.
    pub(super) fn refused(&self, fault: Fault) -> Bytes {
        match self {
            Self::Shop(_) | Self::Redirect(_) => Bytes::from_static(fault.answer()),
            Self::Graph(graph) => (graph.refused)(fault.status(), fault.name(), &fault.to_string()),
        }
    }

    /// What is said where a head takes too long.
    pub(super) fn slow(&self) -> &[u8] {
        match self {
            Self::Shop(_) | Self::Redirect(_) => SLOW,
            Self::Graph(graph) => &graph.slow,
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Shop(_) => "Door::Shop",
            Self::Redirect(_) => "Door::Redirect",
            Self::Graph(_) => "Door::Graph",
        })
    }
}

/// What the door of one thread leads to.
pub struct Room {
    door: Door,
    proxy: Option<Proxy>,
    fronts: Arc<proxy::Settings>,
    settings: Arc<Settings>,
    scratch: Scratch,
    generation: u64,
}

impl fmt::Debug for Room {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.door.fmt(out)
    }
}

impl Room {
    /// The rooms of one thread; `generation` numbers what they were made of.
    pub fn new(door: Door, settings: Arc<Settings>, generation: u64) -> Self {
        let (proxy, fronts) = match &door {
            Door::Shop(shop) | Door::Redirect(shop) => {
                let proxy = Proxy::new(Arc::clone(&shop.proxy), Arc::clone(&shop.shop), shop.bypass.clone());
                (Some(proxy), Arc::clone(&shop.proxy))
            }
            Door::Graph(_) => (None, Arc::default()),
        };
        let scratch = scratch(settings.head_limit);
        Self { door, proxy, fronts, settings, scratch, generation }
    }

    /// The settings of the door.
    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Whose forwarding fields are believed.
    pub(super) fn fronts(&self) -> &proxy::Settings {
        &self.fronts
    }

    /// What the thread reads into.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The number of what it was made of.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// A request as the access log is to tell of it, where there is one.
    pub(super) fn told<B>(
        &self,
        connection: &ConnectionState,
        protocol: &'static str,
        request: &Request<B>,
    ) -> Option<Box<Told>> {
        self.settings.log.as_ref().map(|log| Box::new(Told::begin(log, &self.fronts, connection, protocol, request)))
    }

    /// The door that leads here.
    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Answers one request.
    pub async fn answer(&self, connection: &Arc<ConnectionState>, request: Request<Incoming>) -> Response<ProxyBody> {
        let (head, body) = request.into_parts();
        match (&self.door, &self.proxy) {
            (Door::Shop(shop), Some(proxy)) => self.shop(shop, proxy, connection, head, body).await,
            (Door::Graph(graph), _) => {
                let body = timeout(self.settings.event_body, swallowed(body, graph.body_limit)).await.unwrap_or(Body::Stalled);
                (graph.graph)(head, body).await.map(ProxyBody::Full)
            }
            (Door::Redirect(_), Some(proxy)) => self.redirect(proxy, connection, head, body).await,
            (Door::Shop(_) | Door::Redirect(_), None) => reply::answer(Kind::NotFound, head.method == Method::HEAD),
        }
    }

    async fn shop(
        &self,
        shop: &ShopDoor,
        proxy: &Proxy,
        connection: &Arc<ConnectionState>,
        mut head: Parts,
        body: Incoming,
    ) -> Response<ProxyBody> {
        let without_body = head.method == Method::HEAD;
        if let Err(kind) = proxy.check(&mut head) {
            return proxy.refuse(kind, without_body);
        }
        match placed(shop, head.uri.path()) {
            Place::Shop => proxy.serve(connection, head, body).await,
            Place::Events if head.method == Method::POST => match self.read(body, shop.body_limit).await {
                Ok(body) => {
                    let address = proxy.client(connection, &head).address;
                    proxy.counted((shop.browser)(head, address, body).await.map(ProxyBody::Full))
                }
                Err(kind) => proxy.refuse(kind, without_body),
            },
            _ if websocket::is_extended(&head) => proxy.refuse(Kind::TunnelRefused, without_body),
            Place::Script if head.method == Method::GET || without_body => {
                proxy.counted((shop.script)(&head).map(ProxyBody::Full))
            }
            Place::Events | Place::Script => proxy.refuse(Kind::MethodRefused, without_body),
            Place::Nowhere => proxy.refuse(Kind::NotFound, without_body),
        }
    }

    async fn read(&self, body: Incoming, limit: usize) -> Result<Bytes, Kind> {
        // What says that it is too large is not waited for.
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(Kind::BodyTooLarge);
        }
        match timeout(self.settings.event_body, Limited::new(body, limit).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Kind::BodyTooLarge),
            Ok(Err(_)) => Err(Kind::BadRequest),
            Err(_) => Err(Kind::BodyStalled),
        }
    }

    /// Sends a request to the same address by `https`, on the port that goes without saying. By 308 and not 301, so that a
    /// form or an event that is posted stays a post (RFC 9110 section 15.4.9); path and query, and so click ids, stay as
    /// they are.
    async fn redirect(
        &self,
        proxy: &Proxy,
        connection: &Arc<ConnectionState>,
        mut head: Parts,
        body: Incoming,
    ) -> Response<ProxyBody> {
        let without_body = head.method == Method::HEAD;
        if let Err(kind) = proxy.check(&mut head) {
            return proxy.refuse(kind, without_body);
        }
        if let Some(token) = head.uri.path().strip_prefix(CHALLENGES) {
            return match self.settings.challenges.as_ref().and_then(|challenges| challenges.answer(token)) {
                Some(answer) => proxy.counted(Response::new(ProxyBody::Full(Full::from(answer)))),
                // Somebody else's, as the shop's own client's.
                None => proxy.serve(connection, head, body).await,
            };
        }
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let address = format!("https://{name}{}", if target == "*" { "/" } else { target });
        let Ok(address) = HeaderValue::from_str(&address) else { return proxy.refuse(Kind::BadRequest, without_body) };
        let mut response = Response::new(ProxyBody::Empty);
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(header::LOCATION, address);
        proxy.counted(response)
    }
}

/// Where authorities look for their proofs (RFC 8555 section 8.3); they ask by plain HTTP.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// How many times the limit is read and dropped before a body is left unread.
const SWALLOWED: usize = 4;

/// A body of at most `limit` bytes. One that is somewhat larger is read to its end all the same: who is answered while still
/// writing, and then cut off, sees a broken connection instead of the answer.
async fn swallowed(mut body: Incoming, limit: usize) -> Body {
    let most = limit.saturating_mul(SWALLOWED);
    let (mut whole, mut size) = (BytesMut::new(), 0_usize);
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Body::TooLarge;
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > most {
            return Body::TooLarge;
        }
        if size > limit {
            whole = BytesMut::new();
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if size > limit { Body::TooLarge } else { Body::Whole(whole.freeze()) }
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Shop,
    Events,
    Script,
    Nowhere,
}

/// By the prefix of now, or else by those before it.
fn placed(shop: &ShopDoor, path: &str) -> Place {
    let mut former = shop.former.iter().map(|prefix| place(prefix, path));
    match place(&shop.prefix, path) {
        Place::Shop => former.find(|place| *place != Place::Shop).unwrap_or(Place::Shop),
        place => place,
    }
}

fn place(prefix: &str, path: &str) -> Place {
    match path.strip_prefix(prefix) {
        Some("/e") => Place::Events,
        Some("/t.js" | "/s.js") => Place::Script,
        Some(rest) if is_trap(rest) => Place::Script,
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Place::Nowhere,
        _ => Place::Shop,
    }
}

/// The link that nobody sees ends in the id of its page, 32 hex digits, so that no list can hold it.
fn is_trap(rest: &str) -> bool {
    let id = rest.strip_prefix('/').unwrap_or_default();
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_as_a_whole_segment_is_ours() {
        assert_eq!(place("/_cs", "/_cs/e"), Place::Events);
        assert_eq!((place("/_cs", "/_cs/t.js"), place("/_cs", "/_cs/s.js")), (Place::Script, Place::Script));
        assert_eq!(place("/_cs", &format!("/_cs/{}", "0a".repeat(16))), Place::Script);
        assert_eq!(place("/_cs", &format!("/_cs/{}", "0A".repeat(16))), Place::Nowhere);
        assert_eq!((place("/_cs", "/_cs"), place("/_cs", "/_cs/e/x")), (Place::Nowhere, Place::Nowhere));
        assert_eq!((place("/_cs", "/_css/e"), place("/_cs", "/shop/_cs/e")), (Place::Shop, Place::Shop));
    }
}
