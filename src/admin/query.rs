//! What can be asked of visits and events, and how a visit is shown. Must not know who asks.

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact::Proof;
use crate::ledger::Filter;
use crate::ledger::Kind;
use crate::ledger::cut_address;
use crate::verdict::Reason;
use crate::verdict::Verdict;
use crate::visits::Standing;
use crate::visits::Visit;

/// The most rows one answer carries.
const MOST: usize = 1_000;
/// The rows an answer carries where the question names no limit.
const USUAL: usize = 100;

/// `GET /api/visits`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct VisitQuery {
    /// Only visits whose landing had this `utm_content`.
    pub utm_content: Option<String>,
    /// At most so many; 100 unless given, never more than 1,000.
    pub limit: Option<usize>,
}

impl VisitQuery {
    /// The number of rows asked for, bounded.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).min(MOST)
    }
}

/// `GET /api/events`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct EventQuery {
    visit_id: Option<String>,
    event_id: Option<String>,
    utm_content: Option<String>,
    limit: Option<usize>,
}

impl EventQuery {
    pub(super) fn filter(self) -> Filter {
        Filter {
            kind: Some(Kind::Event),
            visit: self.visit_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()),
            event_id: self.event_id,
            utm_content: self.utm_content,
            limit: self.limit.unwrap_or(USUAL).min(MOST),
            ..Filter::default()
        }
    }
}

/// A visit as the API shows it.
pub(super) fn visit(visit: &Visit) -> Value {
    json!({
        "visit_id": visit.id.simple().to_string(),
        "first_seen": visit.first_seen.rfc3339(),
        "last_seen": visit.last_seen.rfc3339(),
        "ip": visit.address.map(cut_address),
        "url": &*visit.landing_url,
        "utm_content": visit.utm.content,
        "pages": visit.pages,
        "network": visit.network.kind.name(),
        "agent": { "kind": visit.agent.kind.name(), "family": &*visit.agent.family },
        "proof": visit.page.proof.map(Proof::name),
        "landing": verdict(&visit.first_verdict),
        "class": visit.verdict.class.name(),
        "score": visit.verdict.score.points(),
        "band": visit.verdict.band.name(),
        "reasons": reasons(&visit.verdict),
        "pixel": visit.verdict.pixel.name(),
    })
}

/// Whether proofs come, as the API shows it.
pub(super) fn proofs(standing: &Standing) -> Value {
    let views = |(views, proven): (u32, u32)| {
        let percent = (views > 0).then(|| u64::from(proven) * 100 / u64::from(views));
        json!({ "views": views, "proven": proven, "percent": percent })
    };
    json!({
        "held_to": !standing.collapsed,
        "off_since": standing.since.map(UnixMillis::rfc3339),
        "lately": views(standing.lately),
        "usually": views(standing.usually),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    json!({ "class": verdict.class.name(), "score": verdict.score.points(), "band": verdict.band.name() })
}

fn reasons(verdict: &Verdict) -> Value {
    let row = |reason: &Reason| json!({ "rule": &*reason.rule, "points": reason.points, "category": reason.category.name() });
    Value::Array(verdict.reasons.iter().map(row).collect())
}
