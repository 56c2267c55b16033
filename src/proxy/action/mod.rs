//! What is done with a click beyond serving it: challenge, block, tarpit, redirect, limit. In `strict` it is done, else it is
//! recorded what would have been done.
//! Promises: never to a verified crawler or monitor, to who is classed `skip` or `allow`, or on exempt paths (the handler does
//! not ask for them); a request that is no page view is passed or refused, and challenged or led elsewhere only where the shop
//! answers it with a page; no page is led to another host unless the operator wrote that. Must not know how a verdict is reached.

mod asked;
mod held;
mod limit;
mod page;
mod passes;
mod trial;
mod unviewed;
mod words;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use crate::click;
use crate::click::AdNetwork;
use crate::click::Purpose;
use crate::click::Sent;
use crate::fact::Agent;
use crate::fact::Identity;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::facts;
use crate::inject;
use crate::ledger::PageRecord;
use crate::proxy::action::held::Slot;
use crate::proxy::action::held::Tarpit;
use crate::proxy::action::limit::Client;
use crate::proxy::action::limit::Limits;
use crate::proxy::action::passes::Passes;
use crate::proxy::action::trial::Look;
use crate::proxy::action::trial::Outcome;
use crate::proxy::action::words::Words;
use crate::proxy::body::ProxyBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::exchange::Exchange;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::proxy::shop::client_hash;
use crate::telemetry::Metrics;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Mode;
use crate::verdict::Redirect;
use crate::verdict::Verdict;

pub(super) use crate::proxy::action::unviewed::Unviewed;
pub(super) use crate::proxy::action::unviewed::is_page;

/// When a refused client may ask again, where its status tells of a time.
const LATER: &str = "60";

/// What actions keep: who is held, who has how many requests left, where passes were shown, counters. Shared by all threads.
#[derive(Debug)]
pub(super) struct Actions {
    limits: Arc<Limits>,
    passes: Arc<Passes>,
    tarpit: Tarpit,
    done: [Counter; NAMES.len()],
}

const NAMES: [&str; 8] = ["allow", "tag", "prove", "challenge", "block", "tarpit", "redirect", "limit"];

impl Actions {
    /// Nothing is kept yet.
    pub(super) fn new(metrics: &Metrics, mode: Mode) -> Self {
        Self::over((Arc::default(), Arc::default()), Tarpit::new(metrics.held_clicks.clone()), metrics, mode)
    }

    /// After a reload: who is held and what is left stays.
    pub(super) fn after(&self, metrics: &Metrics, mode: Mode) -> Self {
        Self::over((Arc::clone(&self.limits), Arc::clone(&self.passes)), self.tarpit.clone(), metrics, mode)
    }

    fn over((limits, passes): (Arc<Limits>, Arc<Passes>), tarpit: Tarpit, metrics: &Metrics, mode: Mode) -> Self {
        let done = NAMES.map(|name| metrics.click_actions.with(&[("action", name), ("mode", mode.name())]));
        Self { limits, passes, tarpit, done }
    }

    fn passes(&self) -> &Passes {
        &self.passes
    }

    fn count(&self, name: &str) {
        if let Some(counter) = NAMES.iter().position(|known| *known == name).and_then(|at| self.done.get(at)) {
            counter.inc();
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Order {
    /// It goes on to the shop, and these cookies with its answer.
    Serve(Vec<HeaderValue>),
    /// It is answered so.
    Answer(Response<ProxyBody>),
    /// It is answered so after a while.
    Hold(Duration, Response<ProxyBody>, Slot),
}

impl Order {
    /// A visit that is challenged goes on when the visitor comes back.
    fn with_visit(mut self, done: &str, exchange: &mut Exchange) -> Self {
        if let Self::Answer(answer) = &mut self
            && done == "challenge"
        {
            answer.headers_mut().extend(exchange.cookies.drain(..).map(|cookie| (header::SET_COOKIE, cookie)));
        }
        self
    }

    /// Carries it out; nothing of the request is kept while it is held.
    pub(super) async fn answer(self, connection: &ConnectionState, without_body: bool) -> Response<ProxyBody> {
        let mut response = match self {
            Self::Serve(_) => Response::new(ProxyBody::Empty),
            Self::Answer(response) => response,
            Self::Hold(time, response, slot) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    // Who stops is not held up by those it holds.
                    () = connection.parting() => {}
                }
                drop(slot);
                response
            }
        };
        if without_body {
            *response.body_mut() = ProxyBody::Empty;
        }
        response
    }
}

/// Marks a request that a limit has counted: its answer, if that is judged too, counts no second time.
#[derive(Clone, Copy, Debug)]
struct Counted;

/// A request and its verdict, before anything is done.
struct Case<'a> {
    shop: &'a Shop,
    asked: Asked<'a>,
    verdict: &'a Verdict,
    /// What is to be done with this visit's click.
    click: &'a ClickAction,
    /// Whether it may be challenged and led elsewhere.
    page: bool,
}

/// Decides what becomes of a request that was looked at; a page view's record says it.
pub(super) fn decide(shop: &Shop, head: &mut Parts, exchange: Option<&mut Exchange>, asked: Asked<'_>) -> Order {
    let Some(exchange) = exchange else { return of_no_view(shop, head, asked) };
    let page = exchange.navigation;
    let Some((_, record)) = &mut exchange.record else { return Order::Serve(Vec::new()) };
    if shop.settings.mode == Mode::Strict
        && record.verdict.class == Class::Skip
        && Purpose::read(&Sent::of(&head.headers)) != Purpose::View
    {
        let order = ahead(shop, head, record, asked);
        shop.actions.count(record.action);
        return order;
    }
    if !record.verdict.click_of(record.visit).intervenes() {
        shop.actions.count(record.action);
        return Order::Serve(Vec::new());
    }
    let verdict = Arc::clone(&record.verdict);
    let click = verdict.click_of(record.visit);
    let case = Case { shop, asked, verdict: &verdict, click, page };
    let (order, done) = match case.is_protected(&record.network, &record.agent) {
        true => (Order::Serve(Vec::new()), ClickAction::Allow.name()),
        false if case.is_live() => case.order(head),
        false => {
            record.action_shadow = Some(click.name());
            (Order::Serve(Vec::new()), case.gentle())
        }
    };
    record.action = done;
    shop.actions.count(done);
    order.with_visit(done, exchange)
}

/// Whoever asks for a page ahead of time says so himself: it must not open what a view would not. Where something would be done
/// with the view, there is nothing to fetch ahead; a browser then asks again once somebody goes there.
fn ahead(shop: &Shop, head: &mut Parts, record: &mut PageRecord, asked: Asked<'_>) -> Order {
    let verdict = shop.judged(asked, head);
    let case = Case { shop, asked, verdict: &verdict, click: verdict.click_of(record.visit), page: false };
    record.action = ClickAction::Allow.name();
    if case.is_protected(&record.network, &record.agent) {
        return Order::Serve(Vec::new());
    }
    let (order, done) = match case.click {
        ClickAction::Challenge(_) | ClickAction::Redirect(_) => {
            let answer = refusal(words::of(&head.headers), StatusCode::SERVICE_UNAVAILABLE, LATER);
            (Order::Answer(answer), ClickAction::Block(StatusCode::SERVICE_UNAVAILABLE).name())
        }
        _ => case.order(head),
    };
    if !matches!(order, Order::Serve(_)) {
        record.action = done;
    }
    order
}

/// A `HEAD` of a page is answered as a `GET` would be. Everything else that is no page view is refused only where what is known
/// of address and agent says so, and what is known of its visit does not say otherwise.
fn of_no_view(shop: &Shop, head: &mut Parts, asked: Asked<'_>) -> Order {
    let serve = Order::Serve(Vec::new());
    if shop.settings.mode != Mode::Strict {
        return serve;
    }
    let looks = head.method == Method::HEAD && inject::is_navigation(&Method::GET, &head.headers);
    let verdict = if looks { Some(shop.judged(asked, head)) } else { known(asked) };
    let Some(verdict) = verdict.filter(|verdict| verdict.click.intervenes()) else { return serve };
    let agent = head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let (network, known_agent) = shop.client(asked.address, agent);
    let carried = shop.carried(&head.headers, shop.now()).map(|carried| carried.visit);
    let visit = carried.unwrap_or_else(|| stand_in(asked.address, agent));
    let case = Case { shop, asked, verdict: &verdict, click: verdict.click_of(visit), page: looks };
    let trusted = !looks && carried.is_some_and(|visit| shop.was_refused(visit) == Some(false));
    if trusted || case.is_protected(&network, &known_agent) || !case.is_live() {
        return serve;
    }
    let (order, done) = case.order(head);
    if !matches!(order, Order::Serve(_)) {
        shop.actions.count(done);
    }
    order
}

impl Case<'_> {
    /// Whether it is done or only recorded.
    fn is_live(&self) -> bool {
        self.shop.settings.mode == Mode::Strict
    }

    /// What a page is shown to must be what Meta's and other reviewers are shown (cloaking), also where they do not say who
    /// they are: whatever comes from a published range is left alone, whatever the rules say.
    fn is_protected(&self, network: &Network, agent: &Agent) -> bool {
        let verified = matches!(facts::identity(network, agent), Identity::Verified(_));
        verified || network.crawler.is_some() || matches!(self.verdict.class, Class::Skip | Class::Allow)
    }

    /// What is done instead.
    fn gentle(&self) -> &'static str {
        match self.click {
            ClickAction::Limit(_) => ClickAction::Tag.name(),
            _ if self.shop.settings.mode.enforces() => ClickAction::Prove.name(),
            _ => ClickAction::Tag.name(),
        }
    }

    /// Does it; says under what name.
    fn order(&self, head: &mut Parts) -> (Order, &'static str) {
        let serve = |name| (Order::Serve(Vec::new()), name);
        let words = words::of(&head.headers);
        let name = self.click.name();
        match self.click {
            ClickAction::Allow | ClickAction::Tag | ClickAction::Prove => serve(name),
            ClickAction::Challenge(_) | ClickAction::Redirect(_) if !self.page => serve(self.gentle()),
            ClickAction::Challenge(challenge) => {
                let look = Look::of(self.shop, self.asked, &head.headers, *challenge);
                let (outcome, trial) = (look.judge(head), look.trial().name());
                let tell = |word| {
                    self.shop.metrics.challenges.with(&[("kind", trial), ("outcome", word)]).inc();
                };
                match outcome {
                    Outcome::Passed(set) => {
                        set.iter().take(1).for_each(|_| tell("passed"));
                        (Order::Serve(set), self.gentle())
                    }
                    Outcome::Led(answer) => (Order::Answer(answer), self.gentle()),
                    Outcome::Given(answer, again) => {
                        if again {
                            tell("failed");
                        }
                        tell("issued");
                        (Order::Answer(answer), name)
                    }
                    Outcome::GaveUp(answer) => {
                        tell("gave_up");
                        (Order::Answer(answer), name)
                    }
                }
            }
            ClickAction::Block(status) => (Order::Answer(refusal(words, *status, LATER)), name),
            ClickAction::Tarpit { hold, status } => {
                let answer = refusal(words, *status, LATER);
                match self.shop.actions.tarpit.enter(self.shop.settings.held_most) {
                    Some(slot) => (Order::Hold(*hold, answer, slot), name),
                    None => (Order::Answer(answer), "block"),
                }
            }
            ClickAction::Redirect(redirect) => match elsewhere(redirect, head) {
                Some(answer) => (Order::Answer(answer), name),
                None => serve(self.gentle()),
            },
            ClickAction::Limit(_) if head.extensions.get::<Counted>().is_some() => serve(self.gentle()),
            ClickAction::Limit(rate) => {
                // Nobody is counted by an address that is not known.
                let Some(address) = self.asked.address else { return serve(self.gentle()) };
                head.extensions.insert(Counted);
                let (shared, now) = (is_shared(self.shop, address), self.shop.now());
                let visit = self.shop.carried(&head.headers, now).map(|carried| carried.visit);
                let agent = head.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
                match self.shop.actions.limits.take(&Client { address, shared, agent, visit }, *rate, now) {
                    Ok(()) => serve(self.gentle()),
                    Err(wait) => {
                        let seconds = wait.as_millis().div_ceil(1_000).max(1).to_string();
                        (Order::Answer(refusal(words, StatusCode::TOO_MANY_REQUESTS, &seconds)), name)
                    }
                }
            }
        }
    }
}

/// What the site was told of the connection's client, where anything is to be done about it.
fn known(asked: Asked<'_>) -> Option<Verdict> {
    let known = asked.connection.known().load();
    known.as_ref().map(|known| known.verdict()).filter(|verdict| verdict.click.intervenes()).cloned()
}

/// Whether an address is known to be one of many people at once; one of reserved space is that of a proxy in front.
fn is_shared(shop: &Shop, address: IpAddr) -> bool {
    let kind = shop.sources.network(Some(address)).kind;
    matches!(kind, NetworkKind::MobileCarrier | NetworkKind::PrivateRelay | NetworkKind::Corporate | NetworkKind::Bogon)
}

/// Stands for the visit of who carries none, so that a share of such clients is always the same one.
fn stand_in(address: Option<IpAddr>, agent: Option<&str>) -> Uuid {
    let hash = client_hash(address, agent);
    Uuid::from_u64_pair(hash, hash)
}

fn refusal(words: &Words, status: StatusCode, later: &str) -> Response<ProxyBody> {
    let mut answer = page::refusal(words, status).answer();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        answer.headers_mut().extend(HeaderValue::from_str(later).ok().map(|later| (header::RETRY_AFTER, later)));
    }
    answer
}

/// The answer that leads elsewhere; nothing where the request is there already.
fn elsewhere(redirect: &Redirect, head: &Parts) -> Option<Response<ProxyBody>> {
    let is_there = redirect.to.split('?').next() == Some(head.uri.path());
    if is_there {
        return None;
    }
    let mut to = redirect.to.clone();
    if redirect.keep_click_ids {
        for pair in head.uri.query().unwrap_or_default().split('&').filter(|pair| goes_along(pair)) {
            to.push(if to.contains('?') { '&' } else { '?' });
            to.push_str(pair);
        }
    }
    let mut response = Response::new(ProxyBody::Empty);
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&to).ok()?);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    page::kept_by_nobody(&mut response);
    Some(response)
}

fn goes_along(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    AdNetwork::of_parameter(name).is_some()
        || (name.starts_with("utm_") && click::read_query(pair).1 != click::Campaign::default())
}

/// Puts cookies into an answer.
pub(super) fn set_cookies(headers: &mut HeaderMap, cookies: Vec<HeaderValue>) {
    if cookies.is_empty() {
        return;
    }
    headers.extend(cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie)));
    inject::keep_from_caches(headers);
}
