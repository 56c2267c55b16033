//! From one event as a back end sent it to a case: its id, its visit, and what the visit adds to it.
//! Must not know requests or answers.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::collect::Destination;
use crate::collect::decide::Case;
use crate::collect::reply::Refusal;
use crate::cookie;
use crate::event::Event;
use crate::event::EventId;
use crate::event::Source;
use crate::event::parse;
use crate::event::user;
use crate::fact::Agent;
use crate::fact::Network;
use crate::visits::Visit;

/// Reads, joins and completes one event; `path` is its place in the request, `request` what the request says for all.
pub(super) fn case(
    room: &Collector,
    value: &Value,
    path: &str,
    request: &Map<String, Value>,
    to: &Destination,
    now: UnixMillis,
) -> Result<Case, Refusal> {
    let parsed = parse::parse(value, path, Source::Backend, now, &room.settings.user)?;
    room.metrics.stripped_contact_data.inc_by(u64::from(parsed.stripped));
    let mut event = Event { request: request.clone(), ..parsed.event };
    let said = text(&event, "fbp").map(str::to_owned);
    let joined = join(room, &event);
    if let Some((visit, _)) = &joined {
        complete(&mut event, visit);
    }
    if user::is_too_little(&event.user_data) {
        let message = format!("(#100) {path}.user_data: not enough customer information to match a person");
        return Err(Refusal { subcode: Some(2_804_050), ..Refusal::new(400, "invalid_event", 100, message) });
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
        fbp: said,
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
    let text = |key: &str| text(event, key);
    let visits = &room.visits;
    let by = |found: Option<Arc<Visit>>, how| found.map(|visit| (visit, how));
    by(event.id.as_ref().and_then(page_of).and_then(|page| visits.find_page(page)), "event_id")
        .or_else(|| {
            // Whoever guesses an order's number can name it first: a visit with another browser's id is not the buyer's.
            let found = event.order().and_then(|order| visits.find_order(&order));
            by(found.filter(|visit| !are_strangers(text("fbp"), visit.fbp.as_deref())), "order")
        })
        .or_else(|| by(text("fbp").and_then(|fbp| visits.find_fbp(fbp)), "fbp"))
        .or_else(|| by(text("fbc").and_then(|fbc| visits.find_fbc(fbc)), "fbc"))
        .or_else(|| by(externals(event).find_map(|hash| visits.find_external(hash)), "external_id"))
        .or_else(|| {
            let address: IpAddr = text("client_ip_address")?.parse().ok()?;
            by(visits.find_client(address, text("client_user_agent")?), "client")
        })
}

/// Whether both sides name a browser and not the same one.
fn are_strangers(said: Option<&str>, known: Option<&str>) -> bool {
    matches!((said, known), (Some(said), Some(known)) if cookie::bare(said) != cookie::bare(known))
}

fn text<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.user_data.get(key).and_then(Value::as_str)
}

/// The hashed external ids of an event: one text or a list of them.
pub(in crate::collect) fn externals(event: &Event) -> impl Iterator<Item = &str> {
    let value = event.user_data.get("external_id");
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    value.and_then(Value::as_str).into_iter().chain(list.iter().filter_map(Value::as_str))
}

/// Fills in from the visit what the sender left out, or sent as null, empty or in a form that cannot be used.
pub(in crate::collect) fn complete(event: &mut Event, visit: &Visit) {
    let mut fill = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            event.user_data.entry(key).or_insert(Value::String(value));
        }
    };
    fill("client_ip_address", visit.address.map(|address| address.to_string()));
    fill("client_user_agent", Some(visit.user_agent.to_string()));
    fill("fbp", visit.fbp.as_deref().map(str::to_owned));
    fill("fbc", visit.fbc.as_deref().map(str::to_owned));
    if event.source_url.is_none() && event.action_source == "website" && !visit.landing_url.is_empty() {
        event.source_url = Some(parse::clean_link(&visit.landing_url, &mut 0));
    }
}
