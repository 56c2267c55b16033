//! The servers of a shop as one thread asks them: which one a request goes to, and to which it goes when that one fails it.
//! Promises: weights hold exactly on each thread; what may have been sent is sent again only where RFC 9110 section 9.2.2
//! lets it; the last server is asked however it stands. One server without limits is asked as if nothing of this were here.
//! Must not know what is asked.

mod directory;
mod farm;
mod probe;
mod standing;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Request;
use http::Response;
use http::header;
use prometheus_client::metrics::counter::Counter;

use crate::proxy::HostField;
use crate::proxy::Origin;
use crate::proxy::Settings;
use crate::proxy::answer::UpstreamBody;
use crate::proxy::body::VisitorBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::loss::Missed;
use crate::proxy::loss::repeated;
use crate::proxy::reply::Kind;
use crate::proxy::upstream::Opened;
use crate::proxy::upstream::Upstream;

pub use crate::proxy::servers::directory::Directory;
pub use crate::proxy::servers::directory::Report;
pub use crate::proxy::servers::directory::Site;
use crate::proxy::servers::farm::Farm;
pub use crate::proxy::servers::farm::Place;
pub use crate::proxy::servers::standing::Seen;

/// The most servers of one shop: which of them a request has tried fits into one word.
pub const MOST: usize = 64;

/// How many servers one request may be sent to: where they hang, each costs the time to connect.
const ATTEMPTS: u32 = 4;

/// One server of a shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub origin: Origin,
    /// Its share of the requests, beside those of the others.
    pub weight: u32,
    /// The most requests it is given at once, by all threads together; a `WebSocket` is one for as long as it lasts.
    pub connections: Option<u32>,
}

impl Server {
    /// A server with a share of one and no limit.
    pub fn of(origin: Origin) -> Self {
        Self { origin, weight: 1, connections: None }
    }
}

/// The servers of a shop, and how requests are shared out among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// At least one, at most [`MOST`].
    pub servers: Vec<Server>,
    /// How they are checked, if they are.
    pub health: Option<Health>,
    /// How requests wait where all servers have as many as they may have.
    pub queue: Queue,
    /// Failed requests in a row after which a server rests.
    pub failures: u32,
    /// How long it rests at first; each further failure doubles it, up to a minute.
    pub rest: Duration,
}

impl Group {
    /// Servers that are not checked. Three failures in a row are no accident; a restart of a shop takes about 5 s.
    pub fn of(servers: Vec<Server>) -> Self {
        Self { servers, health: None, queue: Queue::default(), failures: 3, rest: Duration::from_secs(5) }
    }

    /// Whether there is nothing to choose, to check or to count.
    fn is_plain(&self) -> bool {
        let unlimited = |server: &Server| server.connections.is_none();
        self.health.is_none() && self.servers.len() == 1 && self.servers.iter().all(unlimited)
    }
}

/// How a server is checked: `GET`, and any 2xx or 3xx will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked for.
    pub path: String,
    /// The `Host` it is asked with; `None` for the shop's first host, or where it has none the server's own name.
    pub host: Option<HeaderValue>,
    /// How often, give or take a tenth.
    pub every: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// Failed checks in a row after which the server is down.
    pub unhealthy_after: u32,
    /// Good checks in a row after which it is up again.
    pub healthy_after: u32,
}

impl Health {
    /// A check of this path by the usual times.
    pub fn of(path: String) -> Self {
        let (every, timeout) = (Duration::from_secs(5), Duration::from_secs(2));
        Self { path, host: None, every, timeout, unhealthy_after: 3, healthy_after: 2 }
    }
}

/// How requests wait for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait.
    pub length: usize,
    /// For how long.
    pub wait: Duration,
}

impl Default for Queue {
    /// A visitor who has waited for 5 s reloads, which makes the queue longer.
    fn default() -> Self {
        Self { length: 1_000, wait: Duration::from_secs(5) }
    }
}

/// The servers of one shop, as one thread asks them.
#[derive(Debug)]
pub struct Servers(Way);

#[derive(Debug)]
enum Way {
    One(Upstream),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    farm: Arc<Farm>,
    pools: Vec<Pool>,
    /// What each server is owed (smooth weighted round robin, as nginx has it).
    owed: RefCell<Vec<i64>>,
    retries: Counter,
}

#[derive(Debug)]
struct Pool {
    upstream: Upstream,
    /// The `Host` that this server is to see in place of the visitor's.
    host: Option<HeaderValue>,
}

/// Which servers a request was sent to.
#[derive(Clone, Copy, Default)]
struct Tried {
    bits: u64,
    count: u32,
}

impl Tried {
    fn holds(self, index: usize) -> bool {
        self.bits >> index & 1 == 1
    }

    fn add(&mut self, index: usize) {
        self.bits |= 1 << index;
        self.count = self.count.saturating_add(1);
    }
}

/// The server a request goes to next.
struct Choice {
    index: usize,
    place: Option<Place>,
    /// It is let through to find out whether a server that rested is well again.
    trial: bool,
}

impl Servers {
    /// The one server that the settings name.
    pub fn one(settings: &Settings, opened: Counter) -> Self {
        Self(Way::One(Upstream::new(settings, opened)))
    }

    /// The servers of a site, each with a pool of its own; `settings` say everything but where they are.
    fn of(site: &Site, farm: &Arc<Farm>, settings: &Settings, opened: &Counter, retries: &Counter) -> Self {
        let pool = |server: &Server| {
            let (upstream, trust) = (server.origin.clone(), site.trust.clone());
            let own = Settings { upstream, trust, directory: None, ..settings.clone() };
            let host = (site.host == HostField::Upstream).then(|| server.origin.field().clone());
            Pool { upstream: Upstream::new(&own, opened.clone()), host }
        };
        let mut pools: Vec<Pool> = farm.group.servers.iter().map(pool).collect();
        if farm.group.is_plain()
            && let Some(pool) = pools.pop()
        {
            return Self(Way::One(pool.upstream));
        }
        let owed = RefCell::new(vec![0; pools.len()]);
        Self(Way::Many(Box::new(Many { farm: Arc::clone(farm), pools, owed, retries: retries.clone() })))
    }

    /// Sends a request in origin form and waits for the head of its answer.
    pub async fn send(
        &self,
        request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Kind> {
        match &self.0 {
            Way::One(upstream) => upstream.send(request, visitor).await.map_err(|missed| missed.kind()),
            // Boxed, so that a request to a shop of one server is no larger for it.
            Way::Many(many) => Box::pin(many.send(request, visitor)).await,
        }
    }

    /// Opens a connection that belongs to no pool, with the server's `Host` where it is to see its own.
    pub(super) async fn open(&self) -> Result<Entrance, Kind> {
        match &self.0 {
            Way::One(upstream) => {
                let opened = upstream.open().await?;
                Ok(Entrance { upstream: upstream.clone(), opened, host: None, place: None })
            }
            Way::Many(many) => Box::pin(many.open()).await,
        }
    }
}

/// A connection of its own to a server.
pub(super) struct Entrance {
    pub(super) upstream: Upstream,
    pub(super) opened: Opened,
    pub(super) host: Option<HeaderValue>,
    pub(super) place: Option<Place>,
}

impl Many {
    async fn send(
        &self,
        mut request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Kind> {
        let mut again = (self.pools.len() > 1).then(|| repeated(&request)).flatten();
        let (mut tried, mut last) = (Tried::default(), Kind::Unreachable);
        while let Some(Choice { index, place, trial }) = self.choose(tried, last).await? {
            let Some((pool, member)) = self.pools.get(index).zip(self.farm.members.get(index)) else { break };
            if let Some(host) = &pool.host {
                request.headers_mut().insert(header::HOST, host.clone());
            }
            let missed = match pool.upstream.send(request, visitor).await {
                Ok(response) => {
                    member.standing.answered();
                    return Ok(response.map(|body| body.hold(place)));
                }
                Err(missed) => missed,
            };
            // Others may have the place while this one goes elsewhere.
            drop(place);
            last = missed.kind();
            self.note(index, last, trial);
            tried.add(index);
            request = match missed {
                Missed::Unsent(_, request) => *request,
                Missed::Unanswered(kind) => again.take().ok_or(kind)?,
                Missed::Lost(kind) => return Err(kind),
            };
        }
        Err(last)
    }

    async fn open(&self) -> Result<Entrance, Kind> {
        let (mut tried, mut last) = (Tried::default(), Kind::Unreachable);
        while let Some(Choice { index, place, trial }) = self.choose(tried, last).await? {
            let Some((pool, member)) = self.pools.get(index).zip(self.farm.members.get(index)) else { break };
            match pool.upstream.open().await {
                Ok(opened) => {
                    member.standing.answered();
                    return Ok(Entrance { upstream: pool.upstream.clone(), opened, host: pool.host.clone(), place });
                }
                Err(kind) => {
                    last = kind;
                    self.note(index, kind, trial);
                    tried.add(index);
                }
            }
        }
        Err(last)
    }

    /// A failure counts against the server unless it is the visitor's own.
    fn note(&self, index: usize, kind: Kind, trial: bool) {
        let servers = matches!(kind, Kind::Unreachable | Kind::Distrusted | Kind::Broken | Kind::Silent);
        if let Some(member) = self.farm.members.get(index).filter(|_| servers) {
            member.standing.failed(kind.name(), trial);
        }
    }

    /// The next server for a request; nothing where no server is left that it may go to, `last` being why.
    async fn choose(&self, tried: Tried, last: Kind) -> Result<Option<Choice>, Kind> {
        if tried.count == ATTEMPTS || (0..self.pools.len()).all(|index| tried.holds(index)) {
            return Ok(None);
        }
        if tried.count > 0 {
            tracing::debug!(kind = last.name(), "a request goes to another server");
            self.retries.inc();
        }
        if let Some(choice) = self.trial(tried) {
            return Ok(Some(choice));
        }
        let choice = if self.farm.is_awaited() { None } else { self.by_weight(tried) };
        if choice.is_some() {
            return Ok(choice);
        }
        let place = self.farm.wait().await?;
        Ok(Some(Choice { index: place.index(), place: Some(place), trial: false }))
    }

    fn trial(&self, tried: Tried) -> Option<Choice> {
        let mut members = self.farm.members.iter().enumerate();
        let (index, _) = members.find(|(index, member)| !tried.holds(*index) && member.standing.may_be_tried())?;
        Some(Choice { index, place: self.place(index)?, trial: true })
    }

    /// The untried server that is owed most among those that are in, or among all where none is; nothing where all are full.
    fn by_weight(&self, tried: Tried) -> Option<Choice> {
        let members = &self.farm.members;
        let any_in = (0..).zip(members).any(|(index, member)| !tried.holds(index) && member.standing.is_in());
        loop {
            let mut owed = self.owed.borrow_mut();
            let mut best: Option<(usize, i64)> = None;
            let mut sum = 0;
            for ((index, member), owed) in (0..).zip(members).zip(owed.iter_mut()) {
                if tried.holds(index) || (any_in && !member.standing.is_in()) || member.is_full() {
                    continue;
                }
                let weight = i64::from(member.server.weight);
                sum += weight;
                *owed += weight;
                if best.is_none_or(|(_, most)| *owed > most) {
                    best = Some((index, *owed));
                }
            }
            let (index, _) = best?;
            if let Some(owed) = owed.get_mut(index) {
                *owed -= sum;
            }
            // Another thread may have taken the last place just now.
            if let Some(place) = self.place(index) {
                return Some(Choice { index, place, trial: false });
            }
        }
    }

    /// A place at a server, which is none where nothing is counted.
    #[expect(clippy::option_option, reason = "outside: whether the server takes it; inside: whether anybody counts")]
    fn place(&self, index: usize) -> Option<Option<Place>> {
        if self.farm.is_limited() { self.farm.enter(index).map(Some) } else { Some(None) }
    }
}
