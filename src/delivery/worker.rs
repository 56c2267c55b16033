//! One target's loop: wait, read what is due, send it, settle it. A batch that Meta refuses for one event's sake is
//! halved until that event stands alone. A target that cannot take anything (dead token, wrong set-up) rests with its
//! events kept, and is tried with a single one from time to time. Must not know how a request looks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::Map;
use serde_json::Value;
use tokio::sync::watch;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::clock::UnixMillis;
use crate::delivery::Shared;
use crate::delivery::backoff::Backoff;
use crate::delivery::meta::client::Client;
use crate::delivery::meta::client::Failure;
use crate::delivery::meta::payload;
use crate::delivery::meta::reply;
use crate::delivery::meta::reply::Reply;
use crate::ledger::EventRecord;
use crate::ledger::Record;
use crate::spool::DueEvent;
use crate::spool::Outcome;
use crate::spool::SpoolError;

/// How often settling is tried.
const WRITE_TRIES: u32 = 5;

/// The delivery of one target.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    destination: Arc<str>,
    client: Client,
    counts: Counts,
    backoff: Backoff,
    gate: Gate,
    warned_of: Option<String>,
}

/// Whether the target may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// As often as there is something to send.
    Open,
    /// Not before this wait is over.
    Wait(Wait),
    /// It takes nothing; one event is tried once this wait is over.
    Paused(Wait),
}

/// A wait from one moment to another; over, too, when the clock was set back to before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    from: UnixMillis,
    to: UnixMillis,
}

impl Wait {
    fn lasts(self, now: UnixMillis) -> bool {
        (self.from..self.to).contains(&now)
    }
}

/// The outcomes as they are counted.
#[derive(Clone, Debug)]
struct Counts {
    delivered: Counter,
    retried: Counter,
    repaired: Counter,
    parked: Counter,
    paused: Counter,
}

/// What an answer does to the events that were sent.
enum Step {
    /// Each has this outcome, for this reason; the next part may go.
    Settle(Outcome, String),
    /// They were tried in vain and wait until this moment, and all others with them.
    Wait(UnixMillis, String),
    /// They are sent again in two halves.
    Halve,
    /// They count as not tried; the target rests.
    Rest,
}

impl Worker {
    /// A worker whose target is thought to be well.
    pub(crate) fn new(shared: Arc<Shared>, destination: Arc<str>, client: Client) -> Self {
        let count = |outcome| shared.metrics.deliveries.with(&[("destination", &destination), ("outcome", outcome)]);
        let counts = Counts {
            delivered: count("delivered"),
            retried: count("retried"),
            repaired: count("repaired"),
            parked: count("parked"),
            paused: count("paused"),
        };
        let settings = &shared.settings;
        let backoff = Backoff::new(settings.backoff_base, settings.backoff_ceiling, settings.longest_wait);
        Self { shared, destination, client, counts, backoff, gate: Gate::Open, warned_of: None }
    }

    /// The destination's name.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// How long nothing is done after something unforeseen.
    pub(crate) fn rest(&self) -> Duration {
        self.shared.settings.poll
    }

    /// Delivers until told to stop. What is not settled then is due again at the next start.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let shared = self.shared.clone();
        loop {
            // Asked for before the spool is read, so that what comes in meanwhile is not slept through.
            let changed = shared.spool.changed().notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let more = match self.turn(&stop).await {
                Ok(more) => more,
                Err(trouble) => {
                    error!(destination = %self.destination, error = &trouble as &(dyn Error + 'static), "the spool failed; its events wait");
                    false
                }
            };
            if *stop.borrow() {
                return;
            }
            if more {
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(self.shared.settings.poll) => {}
                told = stop.wait_for(|stop| *stop) => {
                    drop(told);
                    return;
                }
            }
        }
    }

    /// One look at the spool; says whether another one is worth while at once.
    async fn turn(&mut self, stop: &watch::Receiver<bool>) -> Result<bool, SpoolError> {
        let now = self.shared.clock.now();
        let limit = match self.gate {
            Gate::Wait(wait) | Gate::Paused(wait) if wait.lasts(now) => return Ok(false),
            Gate::Paused(_) => 1,
            Gate::Open | Gate::Wait(_) => self.shared.settings.batch,
        };
        let due = self.shared.spool.due(&self.destination, now, limit).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let batch = self.sift(due, now).await?;
        if !batch.is_empty() {
            self.deliver(batch, stop).await?;
        }
        Ok(true)
    }

    /// Parks what cannot be sent at all, takes as many of the others as fit in a request, and gives the rest back.
    async fn sift(&self, due: Vec<DueEvent>, now: UnixMillis) -> Result<Vec<DueEvent>, SpoolError> {
        let mut batch: Vec<DueEvent> = Vec::with_capacity(due.len());
        let (mut old, mut unreadable, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0_usize;
        for event in due {
            if now.since(UnixMillis(event.time.saturating_mul(1_000))) > self.shared.settings.too_old {
                old.push(event);
            } else if !payload::is_object(&event.body) {
                unreadable.push(event);
            } else if !batch.is_empty() && bytes.saturating_add(event.body.len()) > self.shared.settings.batch_bytes {
                beyond.push(event);
            } else {
                bytes = bytes.saturating_add(event.body.len());
                batch.push(event);
            }
        }
        self.settle(old, &Outcome::Parked("too_old".to_owned()), "too_old").await?;
        self.settle(unreadable, &Outcome::Parked("unreadable_body".to_owned()), "unreadable_body").await?;
        self.give_back(beyond, now).await?;
        Ok(batch)
    }

    /// Sends a batch; halves it as long as Meta refuses it for one event's sake.
    async fn deliver(&mut self, batch: Vec<DueEvent>, stop: &watch::Receiver<bool>) -> Result<(), SpoolError> {
        let mut parts = by_request(batch);
        while let Some(mut part) = parts.pop() {
            if *stop.borrow() {
                parts.push(part);
                break;
            }
            let reply = self.ask(&part).await;
            match self.judge(&part, reply) {
                Step::Settle(outcome, reason) => self.settle(part, &outcome, &reason).await?,
                Step::Halve => {
                    let second = part.split_off(part.len() / 2);
                    parts.push(second);
                    parts.push(part);
                }
                Step::Wait(until, reason) => {
                    self.settle(part, &Outcome::RetryAt(until), &reason).await?;
                    return self.give_back(parts.into_iter().flatten().collect(), until).await;
                }
                Step::Rest => {
                    parts.push(part);
                    break;
                }
            }
        }
        // Due at once: the gate holds them back here, and a restart with a new token need not wait for a probe.
        self.give_back(parts.into_iter().flatten().collect(), self.shared.clock.now()).await
    }

    /// Sends one request and sorts what comes of it.
    async fn ask(&mut self, part: &[DueEvent]) -> Reply {
        let parted: Vec<_> = part.iter().map(|event| payload::parted(&event.body)).collect();
        let said = parted.first().map(|(_, said)| said.clone()).unwrap_or_default();
        match self.client.send(parted.iter().map(|(event, _)| event.as_ref()), &said).await {
            Ok(exchange) => {
                if exchange.version_warning.is_some() && exchange.version_warning != self.warned_of {
                    let warning = exchange.version_warning.as_deref().unwrap_or_default();
                    warn!(destination = %self.destination, warning, "the destination warns of its Graph version");
                    self.warned_of = exchange.version_warning;
                }
                reply::sort(&exchange.answer)
            }
            Err(failure) => Reply::Retry { reason: Failure::name(failure).to_owned(), after: None },
        }
    }

    /// Draws the consequence of a reply for the target, and says what becomes of the events.
    fn judge(&mut self, part: &[DueEvent], reply: Reply) -> Step {
        match reply {
            Reply::Accepted { received } => {
                self.alive();
                if usize::try_from(received) != Ok(part.len()) {
                    warn!(destination = %self.destination, sent = part.len(), received, "the destination counts other than we do");
                }
                Step::Settle(Outcome::Delivered, "accepted".to_owned())
            }
            Reply::Retry { reason, after } => {
                let wait = self.backoff.next(after);
                let from = self.shared.clock.now();
                let until = from.plus(wait);
                let closed = Wait { from, to: until };
                self.gate = if matches!(self.gate, Gate::Paused(_)) { Gate::Paused(closed) } else { Gate::Wait(closed) };
                let wait = wait.as_secs_f32();
                warn!(destination = %self.destination, reason, wait, events = part.len(), "the destination did not take events; they wait");
                Step::Wait(until, reason)
            }
            Reply::DeadToken { reason } => self.pause(&reason, "the access token is dead: make a new one; events are kept meanwhile"),
            Reply::Misconfigured { reason } => {
                self.pause(&reason, "the destination refuses every event: check its pixel id, its token's rights and the app secret; events are kept meanwhile")
            }
            Reply::BadEvent { reason, without } => {
                self.alive();
                let [event] = part else { return Step::Halve };
                if let Some(body) = without.and_then(|key| payload::without(&event.body, key)) {
                    info!(destination = %self.destination, reason, event = event.id, "an event is sent again without a key that was refused");
                    return Step::Settle(Outcome::Replace(body), reason);
                }
                warn!(destination = %self.destination, reason, event = event.id, "an event was refused for good and is parked");
                Step::Settle(Outcome::Parked(reason.clone()), reason)
            }
        }
    }

    /// The target answers again, or still.
    fn alive(&mut self) {
        if matches!(self.gate, Gate::Paused(_)) {
            info!(destination = %self.destination, "the destination takes events again");
        }
        self.gate = Gate::Open;
        self.backoff.reset();
    }

    /// Lets the target rest; says so once, not at each try.
    fn pause(&mut self, reason: &str, advice: &str) -> Step {
        if matches!(self.gate, Gate::Paused(_)) {
            debug!(destination = %self.destination, reason, "the destination still refuses everything");
        } else {
            self.counts.paused.inc();
            error!(destination = %self.destination, reason, "{advice}");
        }
        let from = self.shared.clock.now();
        self.gate = Gate::Paused(Wait { from, to: from.plus(self.shared.settings.probe) });
        Step::Rest
    }

    /// Writes an outcome down: in the spool first, then in metrics and records.
    async fn settle(&self, events: Vec<DueEvent>, outcome: &Outcome, reason: &str) -> Result<(), SpoolError> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.shared.clock.now();
        self.write(events.iter().map(|event| (event.row, outcome.clone())).collect()).await?;
        let (decision, count) = match outcome {
            Outcome::Delivered => ("delivered", &self.counts.delivered),
            Outcome::RetryAt(_) => ("retried", &self.counts.retried),
            Outcome::Replace(_) => ("repaired", &self.counts.repaired),
            Outcome::Parked(_) => ("parked", &self.counts.parked),
        };
        for event in events {
            let record = EventRecord {
                time: now,
                event_id: event.id,
                event_name: event.name,
                destination: event.destination,
                decision: decision.into(),
                attempt: Some(event.attempts.saturating_add(1)),
                outcome: Some(reason.to_owned().into()),
                ..EventRecord::default()
            };
            if !self.shared.ledger.append(Record::Event(record)) {
                self.shared.metrics.records_dropped.inc();
            }
            // Last, so that who sees the count finds the rest done.
            count.inc();
        }
        Ok(())
    }

    /// Ends the claim on events that were not tried.
    async fn give_back(&self, events: Vec<DueEvent>, due: UnixMillis) -> Result<(), SpoolError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write(events.iter().map(|event| (event.row, Outcome::RetryAt(due))).collect()).await
    }

    /// Settles in the spool, insisting a little: what Meta has and the spool does not know of is sent twice.
    async fn write(&self, outcomes: Vec<(i64, Outcome)>) -> Result<(), SpoolError> {
        let mut tries = 1;
        loop {
            match self.shared.spool.settle(self.shared.clock.now(), outcomes.clone()).await {
                Err(trouble) if tries < WRITE_TRIES && !matches!(trouble, SpoolError::Closed) => {
                    warn!(destination = %self.destination, error = &trouble as &(dyn Error + 'static), "the spool could not settle events; trying again");
                    tries += 1;
                    tokio::time::sleep(self.shared.settings.poll).await;
                }
                ended => return ended,
            }
        }
    }
}

/// The events in parts that may share a request: those whose own requests said the same for all their events. The part of
/// the oldest event stands last, as it is to go first.
fn by_request(batch: Vec<DueEvent>) -> Vec<Vec<DueEvent>> {
    let mut parts: Vec<(Map<String, Value>, Vec<DueEvent>)> = Vec::new();
    for event in batch {
        let (_, said) = payload::parted(&event.body);
        match parts.iter_mut().find(|(known, _)| *known == said) {
            Some((_, part)) => part.push(event),
            None => parts.push((said, vec![event])),
        }
    }
    parts.into_iter().rev().map(|(_, part)| part).collect()
}
