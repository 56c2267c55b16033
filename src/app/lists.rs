//! How lists stand, for people and for metrics. Must not load any.

use serde_json::Value;
use serde_json::json;

use crate::clock::UnixMillis;
use crate::facts::About;
use crate::facts::Knowledge;
use crate::facts::Role;
use crate::refresh::lists::Board;
use crate::refresh::lists::Source;
use crate::telemetry::Metrics;

/// Tells the metrics of all lists in force.
pub(super) fn tell(knowledge: &Knowledge, metrics: &Metrics) {
    metrics.list_entries.clear();
    metrics.list_as_of.clear();
    for about in knowledge.about() {
        let label = [("list", about.name.as_str())];
        metrics.list_entries.with(&label).set(i64::try_from(about.entries).unwrap_or(i64::MAX));
        metrics.list_as_of.with(&label).set(i64::try_from(about.as_of.seconds()).unwrap_or(i64::MAX));
    }
}

/// All lists in force, then those that are configured and not there yet; with a board, what became of the last look at each.
pub fn report(knowledge: &Knowledge, sources: &[Source], board: Option<&Board>) -> Value {
    let about = knowledge.about();
    let waits = |source: &&Source| !about.iter().any(|about| about.name == source.name && about.source == source.shown());
    let absent = sources.iter().filter(waits).map(|source| {
        let mut row = json!({ "name": source.name, "source": source.shown(), "state": "missing", "entries": 0 });
        say_role(&mut row, source.role);
        row
    });
    let rows = about.iter().map(in_force).chain(absent).map(|mut row| {
        let standing = board.zip(row.get("name").and_then(Value::as_str)).and_then(|(board, name)| board.standing(name));
        if let (Some(standing), Some(fields)) = (standing.filter(|standing| !standing.outcome.is_empty()), row.as_object_mut()) {
            // What was heard since need not be in the tables yet.
            if matches!(standing.outcome, "taken" | "unchanged") {
                fields.insert("as_of".to_owned(), json!(standing.looked_at.rfc3339()));
            }
            let last = json!({ "outcome": standing.outcome, "says": standing.says, "at": standing.looked_at.rfc3339() });
            fields.insert("last".to_owned(), last);
            fields.insert("due".to_owned(), json!(standing.due.rfc3339()));
        }
        row
    });
    Value::Array(rows.collect())
}

/// One list in force.
pub fn in_force(about: &About) -> Value {
    let state = match (about.disabled, about.stale) {
        (true, _) => "disabled",
        (false, true) => "stale",
        (false, false) => "fresh",
    };
    let mut row = json!({
        "name": about.name,
        "source": about.source,
        "state": state,
        "entries": about.entries,
        "as_of": about.as_of.rfc3339(),
        "holds_until": about.holds_until.map(UnixMillis::rfc3339),
        "protected": about.protected,
        "against_protected": about.against_protected,
    });
    say_role(&mut row, about.role);
    row
}

fn say_role(row: &mut Value, role: Role) {
    let Some(fields) = row.as_object_mut() else { return };
    let (kind, identity) = match role {
        Role::Kind(kind) => (Some(kind.name()), None),
        Role::Identity(identity) => (Some("crawler"), Some(identity)),
        Role::Plain => (None, None),
    };
    fields.insert("kind".to_owned(), json!(kind));
    fields.insert("identity".to_owned(), json!(identity));
}
