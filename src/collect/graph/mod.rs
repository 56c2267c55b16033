//! The Graph-compatible door: what Meta's SDKs send when their host is changed to ours, answered as they need it, which
//! is Graph-shaped JSON whatever goes wrong. Nothing is half-taken: one bad event refuses the request and names its path.
//! Must not know the tag.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Response;
use http::request::Parts;
use http_body_util::Full;
use secrecy::ExposeSecret as _;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::collect::Body;
use crate::collect::Collector;
use crate::collect::Destination;
use crate::collect::graph::body::Request;
use crate::collect::reply;
use crate::collect::reply::Refusal;
use crate::collect::window::Window;

pub(super) mod body;
mod join;
mod key;

pub(super) use join::complete;
pub(super) use join::externals;

/// Request-level fields that go on to the destination with the request's events (Meta, "Parameters"). Keys and proofs
/// do not: they are for our door alone.
const CARRIED: [&str; 6] = ["test_event_code", "partner_agent", "namespace_id", "upload_id", "upload_tag", "upload_source"];
/// The longest value of one that goes on; Meta's own partner agents have at most 23 characters.
const LONGEST_CARRIED: usize = 128;

/// How often each key, and everybody without one, has come lately.
#[derive(Debug)]
pub(super) struct Caps {
    /// One for each destination, in their order.
    destinations: Vec<Arc<Window>>,
    /// One for all requests with a wrong key, whatever key that is, so that guesses cost no memory.
    refused: Arc<Window>,
}

impl Caps {
    /// Caps for so many destinations.
    pub(super) fn new(destinations: usize) -> Self {
        Self { destinations: (0..destinations).map(|_| Arc::default()).collect(), refused: Arc::default() }
    }

    /// Caps for these destinations; who has come lately under a pixel is remembered.
    pub(super) fn changed(&self, before: &[Destination], now: &[Destination]) -> Self {
        let kept = |destination: &Destination| {
            let mut known = before.iter().zip(&self.destinations);
            let window = known.find(|(before, _)| before.pixel_id == destination.pixel_id).map(|(_, window)| Arc::clone(window));
            window.unwrap_or_default()
        };
        Self { destinations: now.iter().map(kept).collect(), refused: Arc::clone(&self.refused) }
    }
}

/// A fresh `fbtrace_id`.
pub(super) fn trace() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("A{}", id.get(..22).unwrap_or(&id))
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge<'a> {
    /// `/v{N}.{M}/{pixel}/events`.
    Events(&'a str),
    /// `/capi/{pixel}/events`, the gateway form of the PHP and Java SDKs.
    Gateway(&'a str),
    /// The crash reporters of the Node SDK (`debug_token`) and of both (`instruments`).
    Crash,
    /// Nothing of ours.
    Nowhere,
}

impl<'a> Edge<'a> {
    fn of(path: &'a str) -> Self {
        let mut parts = path.trim_matches('/').split('/');
        let parts = (parts.next().unwrap_or_default(), parts.next(), parts.next(), parts.next());
        let numbers = |part: &str| part.split('.').all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        let versioned = parts.0.strip_prefix('v').is_some_and(numbers);
        match parts {
            (_, Some(pixel), Some("events"), None) if versioned => Self::Events(pixel),
            ("capi", Some(pixel), Some("events"), None) => Self::Gateway(pixel),
            (_, Some("debug_token"), None, None) | (_, Some(_), Some("instruments"), None) if versioned => Self::Crash,
            _ => Self::Nowhere,
        }
    }

    /// The label of the metric.
    fn name(self) -> &'static str {
        match self {
            Self::Events(_) => "events",
            Self::Gateway(_) => "gateway",
            Self::Crash => "crash",
            Self::Nowhere => "other",
        }
    }
}

/// Answers a request, and says under which name it counts.
pub(super) async fn answer(room: &Collector, head: &Parts, body: Body) -> (&'static str, Result<Response<Full<Bytes>>, Refusal>) {
    let edge = Edge::of(head.uri.path());
    let answer = match (edge, &head.method) {
        // Node's reporter asks again without end unless this answers 200. What it says of the crash goes nowhere.
        (Edge::Crash, _) => Ok(reply::json(200, &json!({}))),
        (Edge::Events(pixel), &Method::POST) => take(room, head, pixel, body, 200).await,
        // The SDKs count any other status than 202 as a failure.
        (Edge::Gateway(pixel), &Method::POST) => take(room, head, pixel, body, 202).await,
        (Edge::Events(_) | Edge::Gateway(_), _) => Err(Refusal::new(405, "method", 100, "(#100) this edge takes POST alone")),
        (Edge::Nowhere, _) => Err(Refusal::new(404, "path", 2_500, "unknown path components")),
    };
    (edge.name(), answer)
}

async fn take(room: &Collector, head: &Parts, pixel: &str, body: Body, status: u16) -> Result<Response<Full<Bytes>>, Refusal> {
    let now = room.clock.now();
    let posted = body::read(&head.headers, body, room.settings.graph_body_limit).await?;
    let in_head = key::in_head(head);
    let shown = || in_head.iter().map(String::as_str).chain(posted.keys());
    let destination = admit(room, pixel, now, |destination| key::fits(shown(), destination))?;
    let Request { events, fields } = posted.request()?;
    let request = carried(&fields);
    let mut cases = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        cases.push(join::case(room, event, &format!("data[{at}]"), &request, destination, now)?);
    }
    room.take(now, &cases).await?;
    Ok(reply::json(status, &json!({ "events_received": events.len(), "messages": [], "fbtrace_id": trace() })))
}

/// The destination of a pixel, if the key fits and neither it nor wrong ones came too often. Which pixels there are is
/// told only to who has a key.
fn admit<'a>(
    room: &'a Collector,
    pixel: &str,
    now: UnixMillis,
    fits: impl Fn(&Destination) -> bool,
) -> Result<&'a Destination, Refusal> {
    let settings = &room.settings;
    let mut known = settings.destinations.iter().zip(&room.caps.destinations);
    if let Some((destination, window)) = known.find(|(destination, _)| destination.pixel_id == pixel)
        && fits(destination)
    {
        return window.admit(now, settings.graph_per_minute).map_or_else(|rest| Err(too_often(rest)), |()| Ok(destination));
    }
    room.caps.refused.admit(now, settings.graph_refused_per_minute).map_err(too_often)?;
    if settings.destinations.iter().any(|destination| destination.pixel_id != pixel && fits(destination)) {
        let refusal = Refusal::new(400, "unknown_pixel", 100, "unsupported post request: this key is for no such pixel id");
        return Err(Refusal { subcode: Some(33), ..refusal });
    }
    if settings.destinations.iter().all(|destination| destination.key.expose_secret().is_empty()) {
        return Err(Refusal::new(401, "key", 190, "invalid OAuth access token: no destination has a `key` in the configuration"));
    }
    Err(Refusal::new(401, "key", 190, "invalid OAuth access token: send the destination's `key` of the configuration"))
}

fn too_often(rest: Duration) -> Refusal {
    let refusal = Refusal::new(429, "rate", 4, "(#4) application request limit reached");
    Refusal { retry_after: Some(rest.as_secs().saturating_add(1)), ..refusal }
}

/// What a request says for all its events.
fn carried(fields: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let fits = |text: &String| (1..=LONGEST_CARRIED).contains(&text.len()) && !text.chars().any(char::is_control);
    let kept = |name: &&str| Some(((*name).to_owned(), Value::String(fields.get(*name).and_then(text).filter(fits)?)));
    CARRIED.iter().filter_map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_edges_whatever_the_version() {
        for (path, edge) in [
            ("/v26.0/123/events", Edge::Events("123")),
            ("/v3.2/123/events/", Edge::Events("123")),
            ("/capi/123/events", Edge::Gateway("123")),
            ("/v24.0/debug_token", Edge::Crash),
            ("/v26.0/None/instruments", Edge::Crash),
            ("/version/123/events", Edge::Nowhere),
            ("/v/123/events", Edge::Nowhere),
            ("/v26.0/123/events/more", Edge::Nowhere),
            ("/", Edge::Nowhere),
        ] {
            assert_eq!(Edge::of(path), edge, "{path}");
        }
    }
}
