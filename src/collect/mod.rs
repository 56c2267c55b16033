//! Conversion events come in here: from the page's tag and from the shop's back end in Meta's own wire format. Each is
//! checked, hashed, joined to its visit, decided by the rules and committed; only then it is answered. Every answer is
//! JSON. Must not know sockets or how events are delivered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderMap;
use http::Response;
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http_body_util::Full;
use moka::sync::Cache;
use secrecy::SecretString;
use uuid::Uuid;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::collect::graph::Caps;
use crate::collect::reply::Refusal;
use crate::collect::window::MINUTE;
use crate::collect::window::Window;
use crate::event::user;
use crate::fact::Page;
use crate::facts::Sources;
use crate::hosts::Hosts;
use crate::inject::tag;
use crate::ledger::Ledger;
use crate::rules::Policy;
use crate::seal::Keys;
use crate::spool::Spool;
use crate::telemetry::Metrics;
use crate::verdict::Mode;
use crate::visits::Visits;

mod beacon;
mod browser;
mod decide;
mod graph;
mod reopen;
mod reply;
mod rescore;
mod window;

/// A place events go to, as the collector sees it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// Meta's pixel or dataset id.
    pub pixel_id: String,
    /// Our key that back-end clients show; never Meta's token.
    pub key: SecretString,
}

/// Where events of pages go where there are several shops.
#[derive(Clone, Debug)]
pub struct Sites {
    /// By the page's host.
    pub by_host: Hosts<Arc<[Destination]>>,
    /// For all other hosts.
    pub others: Arc<[Destination]>,
}

/// What the operator chose, and the collector's limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path prefix of the tag and the collector on the shop's host.
    pub prefix: String,
    /// How far decisions reach.
    pub mode: Mode,
    /// Whether nothing is measured before the visitor agrees.
    pub consent_required: bool,
    /// Where events go.
    pub destinations: Vec<Destination>,
    /// Which of them events of a page go to; `None` for all. A back end names its destination itself.
    pub sites: Option<Sites>,
    /// The largest body of the tag: 64 KiB, what `sendBeacon` carries.
    pub body_limit: usize,
    /// The largest body of the Graph-compatible door: 4 MiB, 1,000 events of 4 KiB.
    pub graph_body_limit: usize,
    /// The most requests of one destination's key per minute: 200 a second, more than a shop whose back end reports each
    /// event by itself has at its peak, and far less than a client that repeats itself without end.
    pub graph_per_minute: u32,
    /// The most requests with wrong keys per minute that are told so; further ones are told to wait. A misconfigured back
    /// end sends what it would send with the right key.
    pub graph_refused_per_minute: u32,
    /// The most items of one post of the tag: a page sends a handful.
    pub items: usize,
    /// How long a page token proves its view; after it events are taken as unproven.
    pub token_life: Duration,
    /// How long an expired token still takes events; Meta refuses older ones.
    pub token_grace: Duration,
    /// The most posts of one visit per minute: far above what a person does.
    pub posts_per_minute: u32,
    /// The most events of one visit per minute, likewise; those beyond are left out.
    pub events_per_minute: u32,
    /// How personal data is read.
    pub user: user::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "/_cs".to_owned(),
            mode: Mode::Observe,
            consent_required: false,
            destinations: Vec::new(),
            sites: None,
            body_limit: 64 << 10,
            graph_body_limit: 4 << 20,
            graph_per_minute: 12_000,
            graph_refused_per_minute: 600,
            items: 64,
            token_life: Duration::from_hours(24),
            token_grace: Duration::from_hours(7 * 24),
            posts_per_minute: 240,
            events_per_minute: 600,
            user: user::Settings::default(),
        }
    }
}

impl Settings {
    /// The destinations of a page on this host.
    fn of_page(&self, host: &str) -> &[Destination] {
        self.sites.as_ref().map_or(&self.destinations, |sites| sites.by_host.find(host).unwrap_or(&sites.others))
    }
}

/// The collector; one for the whole process.
pub struct Collector {
    settings: Settings,
    policy: Arc<ArcSwap<Policy>>,
    sources: Arc<Sources>,
    visits: Arc<Visits>,
    spool: Spool,
    ledger: Ledger,
    keys: Arc<Keys>,
    metrics: Metrics,
    clock: Clock,
    /// Posts and events of a visit in its current minute; bounded, so that a flood of visits costs no memory.
    posts: Cache<Uuid, Arc<Pace>>,
    caps: Caps,
}

/// How often a visit has come lately.
#[derive(Debug, Default)]
struct Pace {
    posts: Window,
    events: Window,
}

/// The body of a request as far as it came. May hold keys and raw contact data, so it has no `Debug`.
#[derive(Clone)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It is larger than the door takes.
    TooLarge,
    /// It did not come in time.
    Stalled,
    /// It broke off, or its framing is wrong.
    Broken,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Collector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Collector {
    /// A collector over the engines of the process.
    #[expect(clippy::too_many_arguments, reason = "the engines are wired once, in `app`, each under its own name")]
    pub fn new(
        settings: Settings,
        policy: Arc<ArcSwap<Policy>>,
        sources: Arc<Sources>,
        visits: Arc<Visits>,
        spool: Spool,
        ledger: Ledger,
        keys: Arc<Keys>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let posts = Cache::builder().max_capacity(100_000).time_to_idle(MINUTE).build();
        let caps = Caps::new(settings.destinations.len());
        Self { settings, policy, sources, visits, spool, ledger, keys, metrics, clock, posts, caps }
    }

    /// The same collector by other settings. Who has come lately is remembered.
    #[must_use]
    pub fn changed(&self, settings: Settings) -> Self {
        Self {
            caps: self.caps.changed(&self.settings.destinations, &settings.destinations),
            settings,
            policy: Arc::clone(&self.policy),
            sources: Arc::clone(&self.sources),
            visits: Arc::clone(&self.visits),
            spool: self.spool.clone(),
            ledger: self.ledger.clone(),
            keys: Arc::clone(&self.keys),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            posts: self.posts.clone(),
        }
    }

    /// Answers `POST {prefix}/e`, the tag's post. `peer` is the visitor's address through trusted proxies.
    pub async fn browser(&self, head: &Parts, peer: Option<IpAddr>, body: Bytes) -> Response<Full<Bytes>> {
        browser::answer(self, head, peer, &body).await.unwrap_or_else(|refusal| {
            self.metrics.refused_events.with(&[("reason", refusal.reason)]).inc();
            refusal.to_tag()
        })
    }

    /// Answers everything on the Graph-compatible listener, always with Graph-shaped JSON.
    pub async fn graph(&self, head: &Parts, body: Body) -> Response<Full<Bytes>> {
        let (edge, answer) = graph::answer(self, head, body).await;
        let answer = answer.unwrap_or_else(|refusal| {
            self.metrics.refused_events.with(&[("reason", refusal.reason)]).inc();
            refusal.to_graph(&graph::trace())
        });
        self.metrics.graph_requests.with(&[("edge", edge), ("status", answer.status().as_str())]).inc();
        answer
    }

    /// Answers `GET {prefix}/t.js` and `{prefix}/s.js`, the tag's scripts, and whatever else is asked for there.
    pub fn script(&self, head: &Parts) -> Response<Full<Bytes>> {
        let served = match head.uri.path().rsplit('/').next() {
            Some("s.js") => tag::blocking(),
            Some("t.js") => tag::asynchronous(),
            _ => return self.trap(head),
        };
        let takes_gzip = head.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(takes_gzip);
        // A URL with the script's hash never changes its meaning; one without is asked for again.
        let versioned = head.uri.query().is_some_and(|query| query.starts_with("v="));
        if takes_gzip {
            reply::script(served.gzip.clone(), true, versioned)
        } else {
            reply::script(served.plain.clone(), false, versioned)
        }
    }

    /// Whether a visit may post once more in this minute.
    fn may_post(&self, visit: Uuid, now: UnixMillis) -> bool {
        let pace = self.posts.get_with(visit, Arc::default);
        pace.posts.admit(now, self.settings.posts_per_minute).is_ok()
    }

    /// Whether a visit may tell of one more event in this minute: each costs a row, and what Meta is told.
    fn may_tell(&self, visit: Uuid, now: UnixMillis) -> bool {
        let pace = self.posts.get_with(visit, Arc::default);
        pace.events.admit(now, self.settings.events_per_minute).is_ok()
    }
}

/// How many events a body in one of the Graph-compatible endpoint's forms holds; `None` where it is refused. No key is asked
/// for and nothing is done with them.
pub async fn events_in(headers: &HeaderMap, body: Bytes) -> Option<usize> {
    let posted = graph::body::read(headers, Body::Whole(body), Settings::default().graph_body_limit).await.ok()?;
    posted.request().ok().map(|request| request.events.len())
}

/// What a page's script reports in one `proof` item, and how many of its values were malformed; `None` where it is no JSON.
/// No token is asked for and nothing is done with it.
pub fn reported(sources: &Sources, headers: &HeaderMap, item: &[u8]) -> Option<(Page, u32)> {
    serde_json::from_slice(item).ok().map(|item| beacon::read(sources, &item, headers))
}

/// What the Graph-compatible listener says to a connection that is one too many, as bytes on the wire.
pub fn too_many_connections() -> Bytes {
    Refusal::new(503, "connections", 2, "too many connections; try again later").to_wire(&graph::trace())
}

/// What it says where a request's head does not come in time, likewise.
pub fn head_stalled() -> Bytes {
    Refusal::new(408, "head_stalled", 2, "the request did not arrive in time").to_wire(&graph::trace())
}

/// What it says to a request that is refused before it is one.
pub fn malformed(status: u16, reason: &'static str, says: &str) -> Bytes {
    let code = if status == 505 || status == 405 { 2 } else { 100 };
    Refusal::new(status, reason, code, format!("the request cannot be read: {says}")).to_wire(&graph::trace())
}

/// Whether a list of codings takes gzip (RFC 9110 section 12.5.3); a weight of zero forbids it.
fn takes_gzip(codings: &str) -> bool {
    codings.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let forbidden = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !forbidden
    })
}
