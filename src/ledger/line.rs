//! The fields of a record and its line of JSON. Must not know where lines go.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::fact::HttpVersion;
use crate::verdict::Reason;

use super::clean;
use super::record::EventRecord;
use super::record::PageRecord;
use super::record::Record;
use super::ring::Kept;
use super::ring::Kind;

/// The version of the records' fields.
const VERSION: u8 = 1;

/// Every field a record can have: the types that have it, its name, what it says. The source of `docs/records.md`.
pub const FIELDS: &[(&str, &str, &str)] = &[
    ("all", "v", "Version of the fields, 1"),
    ("all", "type", "`click`, `page` or `event`"),
    ("all", "time", "When it was decided or tried, RFC 3339 in UTC with milliseconds"),
    ("all", "visit_id", "The visit, 32 hex digits; null for an event that joined none"),
    ("all", "event_id", "The page view's id, or the id the event is sent under"),
    ("all", "utm_content", "The campaign's `utm_content`, percent-encoded as sent"),
    ("all", "score", "0 to 100"),
    ("all", "band", "`human`, `suspect`, `likely_invalid` or `invalid`"),
    ("all", "reasons", "The rules that spoke, each `{rule, points, category}`, heaviest first"),
    ("all", "rules", "Digest of the rules that judged"),
    ("all", "mode", "`observe`, `warn` or `strict`"),
    ("click, page", "ip", "The address cut to /24 or /48; in full where `records.address: full`; null if not known"),
    ("click, page", "url", "The URL; of its query `utm_*` and numeric campaign ids only"),
    ("click, page", "utm_source", "`utm_source`, percent-encoded as sent"),
    ("click, page", "utm_campaign", "`utm_campaign`, percent-encoded as sent"),
    ("click, page", "ad_network", "The network whose click id the URL carries; null for a page without"),
    ("click, page", "class", "`visit`, `skip`, `allow` or `deny`"),
    ("click, page", "category", "Category of the heaviest adverse reason, `none` if there is none"),
    (
        "click, page",
        "action",
        "What was done with the click: `allow`, `tag`, `prove`, `challenge`, `block`, `tarpit`, `redirect` or `limit`",
    ),
    ("click, page", "action_shadow", "What `strict` would have done with the click, where that differs"),
    ("click, page", "score_shadow", "The score if the rules that are only tried counted too"),
    ("click, page", "pixel", "What the Pixel was told: `leave`, `gate` or `withhold`"),
    ("click, page", "network", "Kind of the address's network"),
    ("click, page", "asn", "Number of the autonomous system, or null"),
    ("click, page", "country", "ISO 3166 alpha-2 country, or null"),
    ("click, page", "agent", "Kind of the user agent"),
    ("click, page", "agent_family", "Family of the user agent; empty if not told"),
    ("click, page", "http", "HTTP version of the visitor's own connection, or null behind a trusted proxy"),
    ("click, page", "ja4", "JA4 of the visitor's TLS handshake with us or with a proxy that vouches for it, or null"),
    ("click, page", "h2", "Fingerprint of the visitor's HTTP/2 connection with us, or null"),
    ("event", "event_name", "The event's name as reported"),
    ("event", "source", "`browser` or `backend`; null for a delivery attempt"),
    ("event", "destination", "The destination's name"),
    ("event", "decision", "`forward`, `suppress`, `hold`, `modify`, or `copy` for a copy of an event already taken"),
    ("event", "rule", "The policy row that decided"),
    ("event", "landing_score", "The score of the visit's landing, before anything else was known of it"),
    ("event", "landing_band", "Its band"),
    ("event", "shadow", "In `observe`: what would have been decided"),
    ("event", "leaked", "The Pixel had sent the browser's copy although the event is not to be sent"),
    ("event", "attempt", "Number of the delivery attempt, from 1"),
    ("event", "outcome", "What became of the attempt or the event, as a code"),
    ("event", "joined_by", "What joined it to its visit: `token`, `event_id`, `order`, `fbp`, `fbc`, `external_id`, `client`"),
    ("event", "instead_of", "The id it would have had, which another browser's event had spent before (docs/events.md)"),
];

/// A record as the ring keeps it, with its line.
pub(super) fn kept(record: &Record, full_address: bool) -> Kept {
    let (kind, time, visit) = match record {
        Record::Click(page) => (Kind::Click, page.time, Some(page.visit)),
        Record::Page(page) => (Kind::Page, page.time, Some(page.visit)),
        Record::Event(event) => (Kind::Event, event.time, event.visit),
    };
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("v", json!(VERSION));
    put("type", json!(kind.name()));
    put("time", json!(time.rfc3339()));
    put("visit_id", json!(visit.map(|visit| visit.simple().to_string())));
    match record {
        Record::Click(page) | Record::Page(page) => page_fields(page, full_address, &mut put),
        Record::Event(event) => event_fields(event, &mut put),
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (event_id, utm_content) = (text("event_id").unwrap_or_default(), text("utm_content"));
    let line: Arc<str> = Value::Object(fields).to_string().into();
    Kept { kind, time, visit, event_id, utm_content, line }
}

fn page_fields(page: &PageRecord, full_address: bool, put: &mut impl FnMut(&str, Value)) {
    let url = clean::clean_url(&page.url);
    let address = page.address.map(|address| if full_address { address.to_string() } else { clean::cut_address(address) });
    let country = page.network.country.map(|letters| letters.map(char::from).iter().collect::<String>());
    put("event_id", json!(page.page.simple().to_string()));
    put("ip", json!(address));
    put("utm_content", json!(clean::parameter(&url, "utm_content")));
    put("utm_source", json!(clean::parameter(&url, "utm_source")));
    put("utm_campaign", json!(clean::parameter(&url, "utm_campaign")));
    put("ad_network", json!(clean::ad_network(&page.url).map(crate::click::AdNetwork::name)));
    put("url", json!(url));
    put("class", json!(page.verdict.class.name()));
    put("score", json!(page.verdict.score));
    put("band", json!(page.verdict.band));
    put("category", json!(page.verdict.category().name()));
    put("reasons", reasons(&page.verdict.reasons));
    put("action", json!(page.action));
    put("action_shadow", json!(page.action_shadow));
    put("score_shadow", json!(page.verdict.shadow));
    put("pixel", json!(page.pixel));
    put("network", json!(page.network.kind));
    put("asn", json!(page.network.asn));
    put("country", json!(country));
    put("agent", json!(page.agent.kind));
    put("agent_family", json!(page.agent.family));
    put("http", json!(page.http.map(HttpVersion::name)));
    put("ja4", json!(page.tls.as_deref().map(|tls| &tls.ja4)));
    put("h2", json!(page.h2.as_deref().map(|h2| &h2.fingerprint)));
    put("rules", json!(page.rules));
    put("mode", json!(page.mode));
}

fn event_fields(event: &EventRecord, put: &mut impl FnMut(&str, Value)) {
    put("event_id", json!(event.event_id));
    put("event_name", json!(event.event_name));
    put("source", json!(event.source.map(crate::event::Source::name)));
    put("destination", json!(event.destination));
    put("decision", json!(event.decision));
    put("rule", json!(event.rule));
    put("reasons", reasons(&event.reasons));
    put("score", json!(event.score));
    put("band", json!(event.band));
    put("landing_score", json!(event.landing.map(|(score, _)| score)));
    put("landing_band", json!(event.landing.map(|(_, band)| band)));
    put("shadow", json!(event.shadow));
    put("leaked", json!(event.leaked));
    put("attempt", json!(event.attempt));
    put("outcome", json!(event.outcome));
    put("joined_by", json!(event.joined_by));
    put("instead_of", json!(event.instead_of));
    put("utm_content", json!(event.utm_content.as_deref().map(clean::masked)));
    put("rules", json!(event.rules));
    put("mode", json!(event.mode));
}

fn reasons(reasons: &[Reason]) -> Value {
    reasons
        .iter()
        .map(|reason| json!({ "rule": reason.rule, "points": reason.points, "category": reason.category.name() }))
        .collect()
}
