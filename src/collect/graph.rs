//! The Graph-compatible door: what Meta's SDKs send when their host is changed to ours, answered as they need it.
//! Nothing is half-taken: one bad event refuses the request and names its path. Must not know the tag.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::Response;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http_body_util::Full;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::collect::Destination;
use crate::collect::decide::Case;
use crate::collect::reply;
use crate::collect::reply::Refusal;
use crate::event::Event;
use crate::event::EventId;
use crate::event::Source;
use crate::event::parse;
use crate::event::user;
use crate::fact::Agent;
use crate::fact::Network;
use crate::visits::Visit;

const MOST_EVENTS: usize = 1_000;

pub(super) fn trace() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("A{}", id.get(..22).unwrap_or(&id))
}

pub(super) async fn answer(room: &Collector, head: &Parts, body: &Bytes) -> Result<Response<Full<Bytes>>, Refusal> {
    let parts: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let is_version = |part: &str| {
        part.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    match (&head.method, parts.as_slice()) {
        // The SDKs' crash reporters: Node's repeats without end unless this answers 200.
        (&Method::GET, [version, "debug_token"]) if is_version(version) => Ok(reply::json(200, &json!({}))),
        (&Method::POST, [version, _, "instruments"]) if is_version(version) => Ok(reply::json(200, &json!({}))),
        (&Method::POST, [version, pixel, "events"]) if is_version(version) => take(room, head, pixel, body).await,
        (_, [version, _, "events"]) if is_version(version) => {
            Err(Refusal::new(405, "method", 100, "(#100) this edge takes POST alone"))
        }
        _ => Err(Refusal::new(404, "path", 2_500, "unknown path components")),
    }
}

async fn take(room: &Collector, head: &Parts, pixel: &str, body: &Bytes) -> Result<Response<Full<Bytes>>, Refusal> {
    if body.len() > room.settings.graph_body_limit {
        return Err(Refusal::new(413, "body_too_large", 1, "the request is too large"));
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|_| Refusal::new(400, "not_json", 100, "(#100) the body must be a JSON object"))?;
    let destination = room.settings.destinations.iter().find(|destination| destination.pixel_id == pixel);
    let destination = destination.ok_or_else(|| {
        let refusal = Refusal::new(400, "unknown_pixel", 100, "unsupported post request: no destination has this pixel id");
        Refusal { subcode: Some(33), ..refusal }
    })?;
    if !shows_key(head, &body, destination) {
        return Err(Refusal::new(401, "key", 190, "invalid OAuth access token"));
    }
    let events = body.get("data").and_then(Value::as_array).ok_or_else(|| missing("data", "must be an array"))?;
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(missing("data", "must hold 1 to 1000 events"));
    }
    let now = room.clock.now();
    let mut cases = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        cases.push(case(room, event, &format!("data[{at}]"), destination, now)?);
    }
    room.take(now, &cases).await?;
    Ok(reply::json(200, &json!({ "events_received": events.len(), "messages": [], "fbtrace_id": trace() })))
}

fn missing(path: &str, what: &str) -> Refusal {
    Refusal::new(400, "invalid_event", 100, format!("(#100) {path}: {what}"))
}

/// Looks for our key where clients put Meta's token: query, body, or `Authorization: Bearer`.
fn shows_key(head: &Parts, body: &Value, destination: &Destination) -> bool {
    let query = head.uri.query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token");
    let in_body = body.get("access_token").and_then(Value::as_str);
    let in_head = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_head = in_head.and_then(|value| value.strip_prefix("Bearer "));
    let expected = destination.key.expose_secret().as_bytes();
    let shown = in_query.as_ref().map(|(_, key)| key.as_ref()).into_iter().chain(in_body).chain(in_head);
    // An empty key of ours opens nothing.
    !expected.is_empty() && shown.map(|key| bool::from(key.as_bytes().ct_eq(expected))).fold(false, |a, b| a | b)
}

fn case(room: &Collector, value: &Value, path: &str, to: &Destination, now: UnixMillis) -> Result<Case, Refusal> {
    let parsed = parse::parse(value, path, Source::Backend, now, &room.settings.user)?;
    room.metrics.stripped_contact_data.inc_by(u64::from(parsed.stripped));
    let mut event = parsed.event;
    let joined = join(room, &event);
    if let Some((visit, _)) = &joined {
        complete(&mut event, visit);
    }
    if user::is_too_little(&event.user_data) {
        let refusal = missing(&format!("{path}.user_data"), "not enough customer information to match a person");
        return Err(Refusal { subcode: Some(2_804_050), ..refusal });
    }
    let own = event.id.clone();
    let order = event.order().filter(|_| event.name == "Purchase");
    let shared = order.as_deref().and_then(EventId::of_order);
    let id = shared.or_else(|| own.clone()).unwrap_or_else(|| EventId::of_page(Uuid::now_v7(), 1));
    let visit = joined.as_ref().map(|(visit, _)| Arc::clone(visit));
    if let (Some(visit), Some(order)) = (&visit, &order) {
        room.visits.link_order(visit.id, order);
    }
    Ok(Case {
        aliases: own.into_iter().filter(|own| *own != id).collect(),
        page: event.id.as_ref().and_then(page_of),
        event,
        id,
        visit,
        landing: None,
        joined_by: joined.map(|(_, by)| by),
        fired: false,
        // The connection is the shop's server, never the visitor: nothing of it may count.
        network: Network::default(),
        agent: Arc::new(Agent::default()),
        destinations: vec![to.clone()],
    })
}

/// The page view whose id an event id is made of.
fn page_of(id: &EventId) -> Option<Uuid> {
    let text = id.text().split('.').next()?;
    (text.len() == 32).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn join(room: &Collector, event: &Event) -> Option<(Arc<Visit>, &'static str)> {
    let text = |key: &str| event.user_data.get(key).and_then(Value::as_str);
    let visits = &room.visits;
    let by = |found: Option<Arc<Visit>>, how| found.map(|visit| (visit, how));
    by(event.id.as_ref().and_then(page_of).and_then(|page| visits.find_page(page)), "event_id")
        .or_else(|| by(event.order().and_then(|order| visits.find_order(&order)), "order"))
        .or_else(|| by(text("fbp").and_then(|fbp| visits.find_fbp(fbp)), "fbp"))
        .or_else(|| by(text("fbc").and_then(|fbc| visits.find_fbc(fbc)), "fbc"))
        .or_else(|| by(text("external_id").and_then(|hash| visits.find_external(hash)), "external_id"))
        .or_else(|| {
            let address: IpAddr = text("client_ip_address")?.parse().ok()?;
            by(visits.find_client(address, text("client_user_agent")?), "client")
        })
}

/// Fills in from the visit what the sender left out.
pub(super) fn complete(event: &mut Event, visit: &Visit) {
    let mut fill = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            event.user_data.entry(key).or_insert(Value::String(value));
        }
    };
    fill("client_ip_address", visit.address.map(|address| address.to_string()));
    fill("client_user_agent", Some(visit.user_agent.to_string()));
    fill("fbp", visit.fbp.as_deref().map(str::to_owned));
    fill("fbc", visit.fbc.as_deref().map(str::to_owned));
    if event.source_url.is_none() && !visit.landing_url.is_empty() {
        event.source_url = Some(parse::clean_link(&visit.landing_url, &mut 0));
    }
}
