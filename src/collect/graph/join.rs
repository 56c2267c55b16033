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
use crate::fact::NetworkKind;
use crate::verdict::Band;
use crate::visits::Visit;
use crate::visits::counters::prefix;

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
    // The id of a page view is known to that page and to the site alone: nobody else can have spent it.
    let apart = if page_of(&id).is_none() { id.apart() } else { None };
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
        apart,
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

/// The visit of an event. What others can guess, an order's number or a customer's, counts by itself only where the browser that
/// named it agrees with the one that the back end served; with no more than everybody's agent in common it comes last.
fn join(room: &Collector, event: &Event) -> Option<(Arc<Visit>, &'static str)> {
    let text = |key: &str| text(event, key);
    let visits = &room.visits;
    let by = |found: Option<Arc<Visit>>, how| found.map(|visit| (visit, how));
    let order = event.order().and_then(|order| visits.find_order(&order));
    let customers = || externals(event).filter_map(|hash| visits.find_external(hash));
    let are = |visit: &Arc<Visit>, claim| claim_of(visit, event) == claim;
    let client = || {
        let address: IpAddr = text("client_ip_address")?.parse().ok()?;
        let found = visits.find_client(address, text("client_user_agent")?)?;
        // Behind a carrier's address a robot with everybody's agent is not the customer who has both, too.
        Some(found).filter(|visit| !is_bad(visit) || !is_shared(visit.network.kind))
    };
    let alone = || client().filter(|visit| !is_shared(visit.network.kind));
    by(event.id.as_ref().and_then(page_of).and_then(|page| visits.find_page(page)), "event_id")
        .or_else(|| by(order.clone().filter(|visit| are(visit, Claim::Own)), "order"))
        .or_else(|| by(text("fbp").and_then(|fbp| visits.find_fbp(fbp)), "fbp"))
        .or_else(|| by(text("fbc").and_then(|fbc| visits.find_fbc(fbc)), "fbc"))
        .or_else(|| by(customers().find(|visit| are(visit, Claim::Own)), "external_id"))
        .or_else(|| by(alone(), "client"))
        .or_else(|| by(order.clone().filter(|visit| are(visit, Claim::Likely)), "order"))
        .or_else(|| by(customers().find(|visit| are(visit, Claim::Likely)), "external_id"))
        .or_else(|| by(client(), "client"))
}

/// What a browser that named an order or a customer has to do with the one that the back end served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It is the same, or the back end does not say.
    Own,
    /// It has the same agent, in another network: a buyer on the move, or a stranger with the same telephone.
    Likely,
    /// It is another.
    Strangers,
}

/// Orders that a visit may have named before it is held for one that names all of them.
const FEW_ORDERS: usize = 4;

/// Both can be guessed, so a browser that is known to be another's is a stranger, and so is one that agrees in neither address
/// nor agent. A robot's visit must agree in the network, and so must one that names many orders, or they could take credit and
/// good name from orders that they never made by naming all of them.
fn claim_of(visit: &Visit, event: &Event) -> Claim {
    if let (Some(said), Some(known)) = (text(event, "fbp"), visit.fbp.as_deref()) {
        return if cookie::bare(said) == cookie::bare(known) { Claim::Own } else { Claim::Strangers };
    }
    let said: Option<IpAddr> = text(event, "client_ip_address").and_then(|address| address.parse().ok());
    let (Some(said), Some(known)) = (said, visit.address) else { return Claim::Own };
    if prefix(said) == prefix(known) {
        return Claim::Own;
    }
    let same_agent = text(event, "client_user_agent").is_none_or(|agent| *agent == *visit.user_agent);
    if same_agent && !is_bad(visit) && visit.orders.len() <= FEW_ORDERS { Claim::Likely } else { Claim::Strangers }
}

/// Whether thousands of people are known to come from one address.
fn is_shared(kind: NetworkKind) -> bool {
    matches!(kind, NetworkKind::MobileCarrier | NetworkKind::PrivateRelay | NetworkKind::Corporate)
}

fn is_bad(visit: &Visit) -> bool {
    visit.verdict.band > Band::Suspect
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
