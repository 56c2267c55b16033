//! The middle of both doors: the verdict an event is judged by, the decision for each destination, the row that is
//! committed and the record of it. An event is judged by its visit's newest verdict, made anew with what the event itself
//! shows. Must not know how events come in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::collect::Destination;
use crate::collect::graph;
use crate::collect::reply::Refusal;
use crate::cookie;
use crate::event::Event;
use crate::event::EventId;
use crate::event::Source;
use crate::event::parse;
use crate::fact::Agent;
use crate::fact::EventFacts;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Network;
use crate::fact::Payment;
use crate::fact::Proof;
use crate::ledger::EventRecord;
use crate::ledger::Record;
use crate::rules::Policy;
use crate::spool::NewEvent;
use crate::spool::NewState;
use crate::spool::Release;
use crate::spool::Taken;
use crate::verdict::Change;
use crate::verdict::Decision;
use crate::verdict::Until;
use crate::verdict::Verdict;
use crate::visits::Visit;
use crate::visits::counters::Act;
use crate::visits::counters::Counts;
use crate::visits::counters::Sighting;

/// One event with what both doors found out about it.
pub(super) struct Case {
    pub(super) event: Event,
    pub(super) id: EventId,
    pub(super) aliases: Vec<EventId>,
    pub(super) visit: Option<Arc<Visit>>,
    pub(super) page: Option<Uuid>,
    /// What the token says of the visit, where the visit itself is gone.
    pub(super) landing: Option<Arc<Verdict>>,
    pub(super) joined_by: Option<&'static str>,
    /// The page's own Pixel has sent its copy.
    pub(super) fired: bool,
    /// The `_fbp` of who reports it: the browser's own, or the one that the back end named.
    pub(super) fbp: Option<String>,
    /// The id it is taken under where a stranger's browser has spent its own.
    pub(super) apart: Option<EventId>,
    pub(super) network: Network,
    pub(super) agent: Arc<Agent>,
    pub(super) destinations: Vec<Destination>,
}

impl Collector {
    /// Decides and commits the events of one post, in one transaction; they are durable when it returns.
    pub(super) async fn take(&self, now: UnixMillis, cases: &[Case]) -> Result<(), Refusal> {
        let policy = self.policy.load_full();
        let (mut rows, mut records) = (Vec::new(), Vec::new());
        for case in cases {
            let acted = self.acted(&policy, case, now);
            let facts = self.facts(case, &acted, now);
            let verdict = self.verdict(&policy, case, &facts);
            for destination in &case.destinations {
                let (row, record) = self.judge(&policy, case, destination, (&facts, &verdict), now);
                rows.push(row);
                records.push(record);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        for case in cases {
            for (visit, external) in case.visit.iter().flat_map(|visit| graph::externals(&case.event).map(move |id| (visit, id)))
            {
                self.visits.link_external(visit.id, external);
            }
        }
        // Each once, however many events of a name came.
        let due: BTreeSet<(Uuid, String)> = rows
            .iter()
            .filter(|row| row.state == NewState::Due)
            .filter_map(|row| row.visit.map(|visit| (visit, row.name.clone())))
            .collect();
        let taken = self.spool.commit(now, rows).await?;
        for (mut record, taken) in records.into_iter().zip(taken) {
            match taken {
                Taken::New => {}
                Taken::Copy(_) => record.decision = "copy".into(),
                Taken::Apart(id) => record.instead_of = Some(std::mem::replace(&mut record.event_id, id.text().to_owned())),
            }
            let source = record.source.map_or("", Source::name);
            self.metrics.events.with(&[("source", source), ("decision", &record.decision)]).inc();
            self.ledger.append(Record::Event(record));
        }
        for (visit, name) in due {
            self.spool.release(visit, Release::Event(name), now).await?;
        }
        Ok(())
    }

    fn judge(
        &self,
        policy: &Policy,
        case: &Case,
        destination: &Destination,
        (facts, verdict): (&Facts<'_>, &Verdict),
        now: UnixMillis,
    ) -> (NewEvent, EventRecord) {
        let ruling = policy.decide(verdict, facts, &destination.name);
        let decided = ruling.decision.name();
        let enforced = self.settings.mode.enforces();
        let decision = match ruling.decision {
            _ if !enforced => Decision::Forward,
            // What it would wait for is there already.
            Decision::Hold { until: Until::JsProof, .. } if facts.page.proof == Some(Proof::Present) => Decision::Forward,
            decision => decision,
        };
        let mut body = parse::wire(&case.event, &case.id);
        let state = match &decision {
            Decision::Forward => NewState::Due,
            Decision::Suppress => NewState::Suppressed,
            Decision::Hold { until, patience, then, replay_on } => {
                NewState::Held { until: *until, release_at: now.plus(*patience), then: *then, replay_on: replay_on.clone() }
            }
            Decision::Modify(change) => {
                apply(&mut body, change, verdict);
                NewState::Due
            }
        };
        let visit = case.visit.as_ref();
        let record = EventRecord {
            time: now,
            visit: visit.map(|visit| visit.id),
            event_id: case.id.text().to_owned(),
            event_name: case.event.name.clone(),
            source: Some(case.event.source),
            destination: Arc::clone(&destination.name),
            decision: decision.name().to_owned().into(),
            rule: Some(ruling.rule),
            reasons: Arc::clone(&verdict.reasons),
            score: Some(verdict.score),
            band: Some(verdict.band),
            landing: visit.map(|visit| (visit.first_verdict.score, visit.first_verdict.band)),
            shadow: (!enforced).then(|| decided.to_owned().into()),
            leaked: case.fired && decided != "forward",
            joined_by: case.joined_by.map(Into::into),
            utm_content: visit.and_then(|visit| visit.utm.content.clone()),
            rules: Some(Arc::from(policy.digest())),
            mode: Some(self.settings.mode),
            ..EventRecord::default()
        };
        let row = NewEvent {
            destination: Arc::clone(&destination.name),
            name: case.event.name.clone(),
            id: case.id.clone(),
            aliases: case.aliases.clone(),
            source: case.event.source,
            visit: visit.map(|visit| visit.id),
            time: case.event.time,
            body: Value::Object(body).to_string(),
            fbp: case.fbp.as_deref().map(|fbp| cookie::bare(fbp).to_owned()),
            apart: case.apart.clone(),
            state,
        };
        (row, record)
    }

    /// Counts an event; what is known of behaviour with it.
    fn acted(&self, policy: &Policy, case: &Case, now: UnixMillis) -> Acted {
        let Some(visit) = case.visit.as_deref() else { return Acted::default() };
        let (name, id) = (case.event.name.as_str(), case.id.text());
        let click_id = visit.ad_ids.first().map(|(_, id)| id.as_str());
        let seen = Sighting {
            act: Act::Event { name, id },
            now,
            visit: visit.id,
            fresh: false,
            address: visit.address,
            network: visit.network.kind,
            asn: visit.network.asn,
            user_agent: &visit.user_agent,
            ja4: "",
            click_id,
            again: true,
            campaign: visit.utm.campaign.as_deref(),
        };
        let counters = self.visits.counters();
        Acted {
            counts: counters.count(policy.counters(), &seen),
            since_page: Some(now.since(visit.last_page_at)),
            repeats: policy.asks(FactName::EventRepeats).then(|| counters.repeats(now, visit.id, name, id)),
        }
    }

    fn facts<'a>(&self, case: &'a Case, acted: &'a Acted, now: UnixMillis) -> Facts<'a> {
        let visit = case.visit.as_deref();
        let mut facts =
            visit.map_or_else(|| Facts::unknown(&case.network, &case.agent), |visit| self.facts_of(visit, case.page, now));
        facts.behaviour.counts = &acted.counts;
        (facts.behaviour.since_page, facts.behaviour.repeats) = (acted.since_page, acted.repeats);
        let captured = case.event.source == Source::Backend;
        facts.event = Some(EventFacts {
            name: &case.event.name,
            payment: if captured { Payment::Captured } else { Payment::Claimed },
            value: parse::value_of(&case.event.custom_data).map(hundredths),
            from_browser: !captured,
            since_click: visit.and_then(|visit| visit.clicked_at).map(|at| now.since(at)),
        });
        facts
    }

    /// The verdict an event is judged by. Without a visit and without a client of its own (a back-end event that joins
    /// nobody) only the event is known.
    fn verdict(&self, policy: &Policy, case: &Case, facts: &Facts<'_>) -> Arc<Verdict> {
        match (&case.visit, &case.landing) {
            (Some(visit), _) => Arc::clone(&self.rescore(policy, visit, facts).verdict),
            (None, Some(landing)) => Arc::new(policy.rescore(facts, landing)),
            (None, None) => Arc::new(policy.score(facts)),
        }
    }
}

/// What an event adds to what is known of behaviour.
#[derive(Default)]
struct Acted {
    counts: Counts,
    since_page: Option<Duration>,
    repeats: Option<u32>,
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is what an absurd value deserves")]
fn hundredths(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

/// Applies what a rule changes. Paths are one or two keys, such as `opt_out` or `user_data.fbc`.
fn apply(body: &mut Map<String, Value>, change: &Change, verdict: &Verdict) {
    if let Some(name) = &change.rename {
        body.insert("event_name".to_owned(), Value::from(name.as_str()));
    }
    for path in &change.drop {
        match path.split_once('.') {
            Some((outer, inner)) => {
                if let Some(fields) = body.get_mut(outer).and_then(Value::as_object_mut) {
                    fields.remove(inner);
                }
            }
            None => {
                body.remove(path);
            }
        }
    }
    for (path, value) in &change.set {
        let value = match value {
            Value::String(text) => {
                Value::from(text.replace("{band}", verdict.band.name()).replace("{score}", &verdict.score.points().to_string()))
            }
            other => other.clone(),
        };
        let (outer, inner) = path.split_once('.').unwrap_or((path, ""));
        if inner.is_empty() {
            body.insert(outer.to_owned(), value);
        } else if let Some(fields) = body.entry(outer).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
            fields.insert(inner.to_owned(), value);
        }
    }
    if change.opt_out {
        body.insert("opt_out".to_owned(), Value::Bool(true));
    }
}
