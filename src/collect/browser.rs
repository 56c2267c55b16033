//! The tag's door: `POST {prefix}/e`. What matters (address, agent, time) comes from the connection and the head; the
//! body names events of a page view that its sealed token proves. Must not know the Graph-compatible door's callers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::ORIGIN;
use http::header::SET_COOKIE;
use http::header::USER_AGENT;
use http::request::Parts;
use http_body_util::Full;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::click::Purpose;
use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::collect::Destination;
use crate::collect::beacon;
use crate::collect::decide::Case;
use crate::collect::graph;
use crate::collect::reopen;
use crate::collect::reply;
use crate::collect::reply::Refusal;
use crate::cookie;
use crate::event::Event;
use crate::event::EventId;
use crate::event::Source;
use crate::event::parse;
use crate::event::user;
use crate::fact::Proof;
use crate::seal::PageToken;
use crate::spool::Release;
use crate::verdict::Class;
use crate::verdict::Consent;
use crate::verdict::PixelAction;
use crate::visits::Use;
use crate::visits::Visit;

mod consent;

/// What the items of one post have brought together.
struct Post<'a> {
    room: &'a Collector,
    head: &'a Parts,
    peer: Option<IpAddr>,
    now: UnixMillis,
    token: PageToken,
    /// The token is past its life: events are taken, but prove nothing.
    expired: bool,
    /// It may be another client's: events are taken, but prove nothing.
    doubtful: bool,
    visit: Option<Arc<Visit>>,
    user_data: Map<String, Value>,
    cases: Vec<Case>,
    cookies: Vec<String>,
    renewed: Option<Uuid>,
    /// How often consent has been told.
    consents: u8,
}

pub(super) async fn answer(
    room: &Collector,
    head: &Parts,
    peer: Option<IpAddr>,
    body: &Bytes,
) -> Result<Response<Full<Bytes>>, Refusal> {
    check_head(room, head, body)?;
    let bad = |reason| Refusal::new(400, reason, 100, reason);
    let body: Value = serde_json::from_slice(body).map_err(|_| bad("not_json"))?;
    let text = body.get("t").and_then(Value::as_str).ok_or_else(|| bad("no_token"))?;
    let items = body.get("k").and_then(Value::as_array).ok_or_else(|| bad("no_items"))?;
    if items.len() > room.settings.items {
        return Err(bad("too_many_items"));
    }
    let token = room.keys.open_page(text).map_err(|_| Refusal::new(403, "token", 100, "token"))?;
    let now = room.clock.now();
    let age = now.since(token.issued);
    if age > room.settings.token_grace {
        return Err(Refusal::new(403, "token_expired", 100, "token expired"));
    }
    if !room.may_post(token.visit, now) {
        return Err(Refusal::new(429, "rate", 4, "too many posts"));
    }
    let used = room.whose(&token, &head.headers, peer, now);
    if used == Use::Replayed {
        return Err(Refusal::new(403, "replayed", 100, "token"));
    }
    let expired = age > room.settings.token_life;
    let known = room.visits.find_page(token.page).or_else(|| room.visits.find(token.visit));
    let visit = known.or_else(|| (!expired && token.class == Class::Visit).then(|| reopen::visit(room, head, peer, &token)));
    let mut post = Post {
        room,
        head,
        peer,
        now,
        token,
        expired,
        doubtful: used == Use::Doubtful,
        visit,
        user_data: Map::new(),
        cases: Vec::new(),
        cookies: Vec::new(),
        renewed: None,
        consents: 0,
    };
    // Proof first: what the page proves counts for the events that stand before it in the same post.
    let (proofs, others): (Vec<&Value>, Vec<&Value>) =
        items.iter().partition(|item| item.get("k").and_then(Value::as_str) == Some("proof"));
    // However many a post brings, the visit is judged and the spool is asked once.
    if proofs.iter().filter(|item| post.report(item)).count() > 0 {
        post.prove().await?;
    }
    for item in others {
        post.item(item).await?;
    }
    room.take(now, &post.cases).await?;
    // What the events showed counts for the answer.
    post.visit = post.visit.as_ref().and_then(|visit| room.visits.find(visit.id)).or(post.visit);
    Ok(post.finish())
}

fn check_head(room: &Collector, head: &Parts, body: &Bytes) -> Result<(), Refusal> {
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let kind = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !matches!(kind, "text/plain" | "application/json") {
        return Err(Refusal::new(415, "content_type", 100, "content type"));
    }
    if body.len() > room.settings.body_limit {
        return Err(Refusal::new(413, "body_too_large", 100, "body too large"));
    }
    let host = host(head);
    let origin = text(ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    match (origin, host) {
        (Some(origin), host) if host.is_none_or(|host| !host.eq_ignore_ascii_case(origin)) => {
            Err(Refusal::new(403, "origin", 100, "origin"))
        }
        _ => Ok(()),
    }
}

/// The host that a page posts to, which is its own.
fn host(head: &Parts) -> Option<&str> {
    let field = head.headers.get(HOST).and_then(|value| value.to_str().ok());
    field.or_else(|| head.uri.authority().map(http::uri::Authority::as_str))
}

impl Post<'_> {
    async fn item(&mut self, item: &Value) -> Result<(), Refusal> {
        match item.get("k").and_then(Value::as_str) {
            Some("match") => {
                if let Some(data) = item.get("data").and_then(Value::as_object) {
                    self.user_data.extend(user::clean(data, &self.room.settings.user).user_data);
                }
            }
            Some("event") if self.is_for_another_pixel(item) => {
                self.room.metrics.refused_events.with(&[("reason", "other_pixel")]).inc();
            }
            Some("event") if !self.room.may_tell(self.token.visit, self.now) => {
                self.room.metrics.refused_events.with(&[("reason", "rate")]).inc();
            }
            Some("event") => {
                if let Some(case) = self.event(item) {
                    self.cases.push(case);
                } else {
                    self.room.metrics.refused_events.with(&[("reason", "invalid_item")]).inc();
                }
            }
            Some("consent") => self.consent(item).await?,
            // Each takes a place among the page views that are remembered.
            Some("renew") if self.renewed.is_none() => {
                let page = Uuid::now_v7();
                self.visit = self.room.visits.renew(self.token.visit, page, self.now).or(self.visit.take());
                self.renewed = Some(page);
            }
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, item: &Value) -> Option<Case> {
        let text = |key: &str| item.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if self.room.settings.consent_required && !self.agreed() {
            return None;
        }
        let name = text("name").filter(|name| name.chars().count() <= 50 && !name.chars().any(char::is_control))?;
        let mut stripped = 0;
        let empty = Map::new();
        let params = item.get("params").and_then(Value::as_object).unwrap_or(&empty);
        let claimed = item.get("time").and_then(Value::as_u64).unwrap_or_default();
        let earliest = self.token.issued.seconds().saturating_sub(60);
        let time = if (earliest..=self.now.seconds()).contains(&claimed) { claimed } else { self.now.seconds() };
        let mut event = Event {
            name: name.to_owned(),
            time,
            id: text("id").and_then(EventId::parse),
            source: Source::Browser,
            action_source: "website".to_owned(),
            source_url: text("url").map(|url| parse::clean_link(url, &mut stripped)),
            user_data: self.user_data.clone(),
            custom_data: parse::clean_custom(params, &mut stripped),
            extra: Map::new(),
            request: Map::new(),
        };
        if let Some(referrer) = text("ref") {
            event.extra.insert("referrer_url".to_owned(), Value::from(parse::clean_link(referrer, &mut stripped)));
        }
        self.room.metrics.stripped_contact_data.inc_by(u64::from(stripped));
        let id = self.id_of(item, &event)?;
        if name == "Purchase" && !parse::has_amount(&event.custom_data) {
            return None;
        }
        self.complete(&mut event);
        if let (Some(visit), Some(order)) = (&self.visit, event.order()) {
            self.room.visits.link_order(visit.id, &order);
        }
        let agent = self.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Some(Case {
            aliases: Vec::new(),
            visit: self.visit.clone(),
            page: Some(self.token.page),
            landing: Some(Arc::new(reopen::landing(&self.token))),
            joined_by: self.visit.is_some().then_some("token"),
            fired: text("pixel") == Some("fired"),
            apart: None,
            fbp: event.user_data.get("fbp").and_then(Value::as_str).map(str::to_owned),
            network: self.room.sources.network(self.peer),
            agent: self.room.sources.agent(agent),
            destinations: self.destinations(item),
            event,
            id,
        })
    }

    /// Whether the visitor agreed: the visit says so, or where it is not known any more, the visit cookie, which is set only
    /// then.
    fn agreed(&self) -> bool {
        self.visit.as_ref().map_or_else(|| reopen::carries_visit(self.room, self.head), |visit| visit.consent == Consent::Granted)
    }

    /// The id both halves agree on; `None` where the tag's differs from what the token proves.
    fn id_of(&self, item: &Value, event: &Event) -> Option<EventId> {
        let claimed = event.id.clone().filter(|id| !id.is_back_ends())?;
        if item.get("own").and_then(Value::as_bool) == Some(true) {
            return Some(claimed);
        }
        let n = item.get("n").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        let order = event.order().filter(|_| event.name == "Purchase").and_then(|order| EventId::of_order(&order));
        let expected = order.unwrap_or_else(|| EventId::of_page(self.token.page, n));
        (claimed == expected).then_some(claimed)
    }

    fn complete(&self, event: &mut Event) {
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                event.user_data.insert(key.to_owned(), Value::from(value));
            }
        };
        let headers = &self.head.headers;
        set("client_ip_address", self.peer.map(|peer| peer.to_string()).as_deref());
        set("client_user_agent", headers.get(USER_AGENT).and_then(|value| value.to_str().ok()));
        set("fbp", cookie::find(headers, cookie::FBP).filter(|value| cookie::payload(value).is_some()));
        set("fbc", cookie::find(headers, cookie::FBC).filter(|value| cookie::payload(value).is_some()));
        if headers.get("sec-gpc").is_some_and(|value| value == "1") {
            event.extra.insert("data_processing_options".to_owned(), json!(["LDU"]));
            event.extra.insert("data_processing_options_country".to_owned(), json!(0));
            event.extra.insert("data_processing_options_state".to_owned(), json!(0));
        }
        if let Some(visit) = &self.visit {
            graph::complete(event, visit);
        }
    }

    /// The destinations whose pixels the event went to; all where it names none of them.
    fn destinations(&self, item: &Value) -> Vec<Destination> {
        let named: Vec<Destination> = self.named(item).cloned().collect();
        if named.is_empty() { self.own().to_vec() } else { named }
    }

    /// `fbq('trackSingle', …)` to a pixel that is nobody's destination: no other pixel had this event.
    fn is_for_another_pixel(&self, item: &Value) -> bool {
        item.get("single").and_then(Value::as_bool) == Some(true) && self.named(item).next().is_none()
    }

    fn named(&self, item: &Value) -> impl Iterator<Item = &Destination> {
        let pixels = item.get("pixels").and_then(Value::as_array);
        let named =
            move |to: &&Destination| pixels.is_some_and(|pixels| pixels.iter().any(|pixel| pixel == to.pixel_id.as_str()));
        self.own().iter().filter(named)
    }

    /// The destinations of the page's shop.
    fn own(&self) -> &[Destination] {
        self.room.settings.of_page(host(self.head).unwrap_or_default())
    }

    /// Merges what the page's script reports; whether there is a visit that it counts for.
    fn report(&mut self, item: &Value) -> bool {
        if self.expired || self.doubtful {
            return false;
        }
        self.room.metrics.proofs.inc();
        let (page, faults) = beacon::read(&self.room.sources, item, &self.head.headers);
        self.room.metrics.malformed_facts.inc_by(u64::from(faults));
        let Some(visit) = self.room.visits.report(self.token.visit, page, self.now) else { return false };
        self.visit = Some(visit);
        true
    }

    /// Judges the visit by what its page has reported, and settles what waits for that.
    async fn prove(&mut self) -> Result<(), Refusal> {
        let Some(visit) = self.visit.take() else { return Ok(()) };
        let policy = self.room.policy.load_full();
        let counts = self.room.looked_at(&policy, &visit, self.now);
        let mut facts = self.room.facts_of(&visit, Some(self.token.page), self.now);
        // A page that was fetched ahead is nobody's until its script runs: then somebody looks at it.
        (facts.purpose, facts.behaviour.counts) = (Some(Purpose::View), &counts);
        let visit = self.room.rescore(&policy, &visit, &facts);
        self.visit = Some(Arc::clone(&visit));
        if visit.verdict.pixel == PixelAction::Withhold {
            self.room.spool.suppress_held(visit.id, self.now).await?;
        } else {
            self.room.spool.release(visit.id, Release::Proof, self.now).await?;
        }
        Ok(())
    }

    /// What the Pixel is told now: a gate opens with the proof it waits for.
    fn pixel(&self) -> PixelAction {
        if !self.room.settings.mode.enforces() {
            return PixelAction::Leave;
        }
        let proven = self.visit.as_ref().is_some_and(|visit| visit.page.proof == Some(Proof::Present));
        match self.visit.as_ref().map_or(self.token.pixel, |visit| visit.verdict.pixel) {
            PixelAction::Gate if proven => PixelAction::Leave,
            pixel => pixel,
        }
    }

    fn finish(self) -> Response<Full<Bytes>> {
        let pixel = self.pixel();
        let mut body = json!({ "ok": true, "pixel": pixel.name() });
        if let (Some(page), Some(fields)) = (self.renewed, body.as_object_mut()) {
            let token = PageToken { page, issued: self.now, pixel, ..self.token };
            fields.insert("p".to_owned(), Value::from(page.simple().to_string()));
            fields.insert("t".to_owned(), Value::from(self.room.keys.seal_page(&token, rand::random())));
        }
        let mut answer = reply::json(200, &body);
        for value in self.cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
            answer.headers_mut().append(SET_COOKIE, value);
        }
        answer
    }
}
