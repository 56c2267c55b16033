//! The engines behind a page view, shared by all threads: reads the click, gathers facts, scores, opens the visit, tells
//! the site. One policy snapshot and one clock reading per request. Must not know answers or connections.

use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;
use http::request::Parts;
use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::click;
use crate::click::Click;
use crate::click::Purpose;
use crate::click::Scheme;
use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::fact::Coherence;
use crate::fact::Facts;
use crate::fact::Identity;
use crate::fact::VisitFacts;
use crate::facts;
use crate::facts::Message;
use crate::facts::Sources;
use crate::inject;
use crate::ledger::Ledger;
use crate::ledger::PageRecord;
use crate::proxy::acted;
use crate::proxy::acted::Acted;
use crate::proxy::acted::Visitor;
use crate::proxy::action::Actions;
use crate::proxy::connection::ConnectionState;
use crate::proxy::counts::Counts;
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::RecordKind;
use crate::proxy::first_party::FirstParty;
use crate::proxy::seen::Seen;
use crate::proxy::told;
use crate::proxy::unnamed;
use crate::rules::Policy;
use crate::seal::Keys;
use crate::seal::PageToken;
use crate::seal::VisitCookie;
use crate::telemetry::Metrics;
use crate::verdict::Class;
use crate::verdict::Consent;
use crate::verdict::Mode;
use crate::verdict::PixelAction;
use crate::verdict::Verdict;
use crate::visits::Client;
use crate::visits::PageView;
use crate::visits::Visit;
use crate::visits::Visits;

/// What the scoring part of the proxy is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How far verdicts reach.
    pub mode: Mode,
    /// No cookie, Pixel call or event before the visitor agreed.
    pub consent_required: bool,
    /// Injection.
    pub inject: inject::Settings,
    /// Whether records are written for page views that are not ad clicks, too.
    pub record_pages: bool,
    /// Requests held in a tarpit at once at most; those beyond are refused at once.
    pub held_most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            consent_required: false,
            inject: inject::Settings::default(),
            record_pages: false,
            held_most: 100,
        }
    }
}

/// The engines the exchange works with; one for all threads.
pub struct Shop {
    /// The metrics of the process.
    pub metrics: Metrics,
    pub(super) settings: Arc<Settings>,
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) sources: Arc<Sources>,
    pub(super) visits: Arc<Visits>,
    pub(super) ledger: Ledger,
    pub(super) keys: Arc<Keys>,
    pub(super) counts: Arc<Counts>,
    pub(super) clock: Clock,
    pub(super) actions: Actions,
}

impl fmt::Debug for Shop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shop").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the site is told of requests that are not page views, kept on the connection.
#[derive(Clone, Debug)]
pub struct Known {
    client: u64,
    policy: Arc<Policy>,
    verdict: Verdict,
    reasons: Option<HeaderValue>,
}

impl Known {
    /// The verdict.
    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl Shop {
    /// The engines of one process, wired.
    #[expect(clippy::too_many_arguments, reason = "each engine is handed in by name, once, in `app`")]
    pub fn new(
        settings: Settings,
        policy: Arc<ArcSwap<Policy>>,
        sources: Arc<Sources>,
        visits: Arc<Visits>,
        ledger: Ledger,
        keys: Arc<Keys>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let (settings, counts) = (Arc::new(settings), Arc::new(Counts::new(metrics.clone())));
        let actions = Actions::new(&metrics, settings.mode);
        Self { metrics, settings, policy, sources, visits, ledger, keys, counts, clock, actions }
    }

    /// The same after a reload: what click actions keep of clients stays.
    #[must_use]
    pub fn following(mut self, before: &Self) -> Self {
        self.actions = before.actions.after(&self.metrics, self.settings.mode);
        self
    }

    pub(super) fn look(self: &Arc<Self>, asked: Asked<'_>, parts: &mut Parts) -> Option<Exchange> {
        let navigation = inject::is_navigation(&parts.method, &parts.headers);
        if !navigation && !is_bare_click(parts) {
            self.tell_of_client(asked.connection.known(), asked, parts);
            return None;
        }
        let exchange = self.page_view(asked, parts, navigation);
        if navigation {
            inject::prepare_request(&mut parts.headers);
        }
        Some(exchange)
    }

    /// A request that is no page view: the verdict follows from address and agent alone, since the fields of a fetch or an
    /// image differ from a page's. One look at the connection's memory when nothing changed.
    fn tell_of_client(&self, memory: &ArcSwapOption<Known>, asked: Asked<'_>, parts: &mut Parts) {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let client = client_hash(asked.address, agent);
        if acted::is_asset(parts) {
            self.visits.assets().mark(Client::of(asked.address, agent.unwrap_or_default()), self.clock.now());
        }
        let policy = self.policy.load();
        let known = memory.load();
        if let Some(known) = known.as_ref().filter(|known| known.client == client && Arc::ptr_eq(&known.policy, &policy)) {
            told::tell(&mut parts.headers, &known.verdict, known.reasons.clone());
            return;
        }
        let (network, said, agent) = (self.sources.network(asked.address), agent, self.sources.agent(agent));
        let mut facts = Facts::unknown(&network, &agent);
        facts.address = asked.address;
        facts.user_agent = said;
        facts.identity = self.sources.identity(asked.address, &network, &agent);
        let verdict = policy.score(&facts);
        let reasons = told::reasons_field(&verdict);
        let identity = facts.identity;
        told::tell(&mut parts.headers, &verdict, reasons.clone());
        // What is being asked for now will be known at the next request.
        if identity == Identity::Unverifiable {
            return;
        }
        memory.store(Some(Arc::new(Known { client, policy: Arc::clone(&policy), verdict, reasons })));
    }

    fn page_view(self: &Arc<Self>, asked: Asked<'_>, head: &mut Parts, navigation: bool) -> Exchange {
        let now = self.clock.now();
        let policy = self.policy.load();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or(""));
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let click = Click::read(asked.address, asked.scheme, path, query, &head.headers);
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let (network, agent) = (self.sources.network(asked.address), self.sources.agent(click.user_agent()));
        let (carried, before) = self.goes_on(&head.headers, asked.address, &agent, now);
        let seen = Seen::of(asked, head, &policy);
        unnamed::note(asked.connection, &head.headers, asked.forwarded, &self.metrics);
        let mut facts = facts::gather(&click, &network, &agent);
        facts.identity = self.sources.identity(asked.address, &network, &agent);
        facts.signed = Some(self.sources.signed(&message(head, asked.scheme, host), now));
        facts.shown = seen.facts();
        facts.visit = visit_facts(carried, before.as_deref(), now);
        if Coherence::NAMES.iter().any(|name| policy.asks(*name)) {
            facts.coherence = facts::coherence(&facts);
        }
        facts.challenge = self.challenge(asked, &head.headers, &policy);
        let visit = carried.map_or_else(|| new_id(now), |carried| carried.visit);
        let walk = acted::walk(&click, target);
        let known = Visitor { visit, fresh: carried.is_none(), before: before.as_deref(), walk, now };
        let acted = Acted::view(&self.visits, &policy, &facts, known, click.user_agent());
        let verdict = acted.judge(&policy, &mut facts, before.as_deref());
        let token = self.token(&verdict, visit, click.purpose, now);
        let consent = self.consent(carried.is_some());
        let url = format!("{}://{host}{}", asked.scheme.name(), target);
        let own = FirstParty::of(self, &click, host, &token, consent, carried);
        let view = PageView {
            visit,
            page: token.page,
            now,
            address: asked.address,
            user_agent: click.user_agent().unwrap_or(""),
            network,
            agent: Arc::clone(&agent),
            identity: facts.identity,
            url: &url,
            ad_ids: click.ad_ids,
            campaign: click.campaign,
            fbp: own.fbp.as_deref(),
            fbc: own.fbc.as_deref(),
            verdict: Arc::clone(&verdict),
            consent,
            walk,
        };
        let kind = if click.ad_ids.any() { RecordKind::Click } else { RecordKind::Page };
        self.counts.page(&verdict, kind);
        let mut record = self.record(&view, token.pixel, policy.digest());
        if verdict.class != Class::Skip || click.purpose != Purpose::View {
            self.visits.page(view);
        }
        (record.http, record.tls, record.h2, record.url) = (seen.version, seen.tls, seen.h2, url);
        told::tell_page(&mut head.headers, &record.verdict, &token);
        Exchange { shop: Arc::clone(self), navigation, token, consent, cookies: own.set, record: Some((kind, record)) }
    }

    /// The record of a page view, but for its URL and what its connection shows.
    fn record(&self, view: &PageView<'_>, pixel: PixelAction, rules: &str) -> PageRecord {
        PageRecord {
            time: view.now,
            visit: view.visit,
            page: view.page,
            address: view.address,
            url: String::new(),
            verdict: Arc::clone(&view.verdict),
            pixel,
            network: view.network,
            agent: Arc::clone(&view.agent),
            http: None,
            tls: None,
            h2: None,
            rules: rules.into(),
            mode: self.settings.mode,
            action: view.verdict.click_of(view.visit).name(),
            action_shadow: None,
        }
    }

    fn token(&self, verdict: &Verdict, visit: Uuid, purpose: Purpose, now: UnixMillis) -> PageToken {
        PageToken {
            page: new_id(now),
            visit,
            issued: now,
            class: verdict.class,
            score: verdict.score,
            pixel: self.pixel(verdict, purpose),
        }
    }

    /// What the Pixel is told: nothing in `observe`; a page fetched ahead waits for proof instead of being withheld, since
    /// a person may still look at it.
    fn pixel(&self, verdict: &Verdict, purpose: Purpose) -> PixelAction {
        match verdict.pixel {
            _ if !self.settings.mode.enforces() => PixelAction::Leave,
            PixelAction::Withhold if verdict.class == Class::Skip && purpose != Purpose::View => PixelAction::Gate,
            pixel => pixel,
        }
    }

    pub(super) fn seal_visit(&self, token: &PageToken, click: &Click<'_>) -> String {
        let ids: Vec<&[u8]> = click.ad_ids.iter().map(|(_, id)| id.as_bytes()).collect();
        let cookie = VisitCookie {
            visit: token.visit,
            first_seen: token.issued,
            class: token.class,
            score: token.score,
            clicks: if ids.is_empty() { 0 } else { self.keys.digest(&ids) },
        };
        self.keys.seal_visit(&cookie, rand::random())
    }

    /// Where consent is required, the visit cookie is set only once it was given, so that it stands for it.
    fn consent(&self, has_cookie: bool) -> Consent {
        match (self.settings.consent_required, has_cookie) {
            (false, _) => Consent::NotRequired,
            (true, true) => Consent::Granted,
            (true, false) => Consent::Waiting,
        }
    }
}

/// A request without fetch metadata that carries an ad identifier is a click even where it does not ask for HTML
/// (`Accept: */*`): most libraries that replay ad links look so.
fn is_bare_click(parts: &Parts) -> bool {
    parts.method == Method::GET
        && !parts.headers.contains_key("sec-fetch-dest")
        && parts.uri.query().is_some_and(|query| click::read_query(query).0.any())
}

pub(super) fn visit_facts(carried: Option<VisitCookie>, before: Option<&Visit>, now: UnixMillis) -> VisitFacts {
    VisitFacts {
        pages: before.map(|visit| visit.pages),
        page_age: None,
        age: carried.map(|carried| now.since(carried.first_seen)),
        returning: Some(carried.is_some()),
    }
}

/// What of a request an automated client can have signed.
pub(super) fn message<'a>(head: &'a Parts, scheme: Scheme, authority: &'a str) -> Message<'a> {
    let (path, query) = (head.uri.path(), head.uri.query());
    Message { method: head.method.as_str(), scheme: scheme.name(), authority, path, query, headers: &head.headers }
}

/// Where a request came from, as far as the room established it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) connection: &'a ConnectionState,
    pub(super) address: Option<IpAddr>,
    pub(super) scheme: Scheme,
    /// The field in which a trusted proxy says the visitor's JA4.
    pub(super) ja4: Option<&'a HeaderName>,
    /// Whether the request said whose it is.
    pub(super) forwarded: bool,
}

pub(super) fn client_hash(address: Option<IpAddr>, agent: Option<&str>) -> u64 {
    let mut hasher = FxHasher::default();
    (address, agent).hash(&mut hasher);
    hasher.finish()
}

/// An unguessable id that sorts by time (RFC 9562 section 5.7).
fn new_id(now: UnixMillis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.0, &rand::random()).into_uuid()
}
