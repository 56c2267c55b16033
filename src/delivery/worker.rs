//! One target's loop: wait, read what is due, send it, settle it. A batch that Meta refuses for one event's sake is
//! halved until that event stands alone. A target that cannot take anything (dead token, wrong set-up) rests with its
//! events kept, and is tried with a single one from time to time. Must not know how a request looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::delivery::Settings;
use crate::delivery::backoff::Backoff;
use crate::delivery::meta::client::Client;
use crate::delivery::meta::client::Failure;
use crate::delivery::meta::payload;
use crate::delivery::meta::reply;
use crate::delivery::meta::reply::Reply;
use crate::ledger::Ledger;
use crate::ledger::Record;
use crate::spool::DueEvent;
use crate::spool::Outcome;
use crate::spool::Spool;
use crate::spool::SpoolError;
use crate::telemetry::Metrics;

/// The delivery of one target.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    settings: Arc<Settings>,
    destination: Arc<str>,
    client: Client,
    spool: Spool,
    ledger: Ledger,
    clock: Clock,
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
    /// Not before this moment.
    Wait(UnixMillis),
    /// It takes nothing; one event is tried from this moment on.
    Paused(UnixMillis),
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
    /// Each has this outcome; the next part may go.
    Settle(Outcome),
    /// They wait until this moment, and all others with them.
    Wait(UnixMillis),
    /// They are sent again in two halves.
    Halve,
    /// They stay as they are; the target rests.
    Rest,
}

impl Worker {
    /// A worker whose target is thought to be well.
    pub(crate) fn new(
        settings: Arc<Settings>,
        destination: Arc<str>,
        client: Client,
        spool: Spool,
        ledger: Ledger,
        metrics: &Metrics,
        clock: Clock,
    ) -> Self {
        let count = |outcome| metrics.deliveries.with(&[("destination", &destination), ("outcome", outcome)]);
        let counts = Counts {
            delivered: count("delivered"),
            retried: count("retried"),
            repaired: count("repaired"),
            parked: count("parked"),
            paused: count("paused"),
        };
        let backoff = Backoff::new(settings.backoff_base, settings.backoff_ceiling, settings.longest_wait);
        Self { settings, destination, client, spool, ledger, clock, counts, backoff, gate: Gate::Open, warned_of: None }
    }

    /// The destination's name.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// How long nothing is done after something unforeseen.
    pub(crate) fn rest(&self) -> Duration {
        self.settings.poll
    }

    /// Delivers until told to stop. What is not settled then is due again at the next start.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let spool = self.spool.clone();
        loop {
            // Asked for before the spool is read, so that what comes in meanwhile is not slept through.
            let changed = spool.changed().notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let more = match self.turn(&stop).await {
                Ok(more) => more,
                Err(trouble) => {
                    error!(destination = %self.destination, error = %trouble, "the spool failed; its events wait");
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
                () = tokio::time::sleep(self.settings.poll) => {}
                told = stop.wait_for(|stop| *stop) => {
                    drop(told);
                    return;
                }
            }
        }
    }

    /// One look at the spool; says whether another one is worth while at once.
    async fn turn(&mut self, stop: &watch::Receiver<bool>) -> Result<bool, SpoolError> {
        let now = self.clock.now();
        let limit = match self.gate {
            Gate::Wait(until) | Gate::Paused(until) if now < until => return Ok(false),
            Gate::Paused(_) => 1,
            Gate::Open | Gate::Wait(_) => self.settings.batch,
        };
        let due = self.spool.due(&self.destination, now, limit).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let batch = self.sift(due, now).await?;
        if !batch.is_empty() {
            self.deliver(batch, stop).await?;
        }
        Ok(true)
    }

    /// Parks what cannot be sent at all, and takes as many of the others as fit in a request.
    async fn sift(&self, due: Vec<DueEvent>, now: UnixMillis) -> Result<Vec<DueEvent>, SpoolError> {
        let mut batch = Vec::with_capacity(due.len());
        let mut parked = Vec::new();
        let mut bytes = 0_usize;
        for event in due {
            let reason = if now.since(UnixMillis(event.time.saturating_mul(1_000))) > self.settings.too_old {
                Some("expired")
            } else if payload::is_object(&event.body) {
                None
            } else {
                Some("unreadable_body")
            };
            if let Some(reason) = reason {
                parked.push((event, Outcome::Parked(reason.to_owned())));
                continue;
            }
            bytes = bytes.saturating_add(event.body.len());
            if bytes > self.settings.batch_bytes && !batch.is_empty() {
                break;
            }
            batch.push(event);
        }
        self.settle(parked).await?;
        Ok(batch)
    }

    /// Sends a batch; halves it as long as Meta refuses it for one event's sake.
    async fn deliver(&mut self, batch: Vec<DueEvent>, stop: &watch::Receiver<bool>) -> Result<(), SpoolError> {
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            if *stop.borrow() {
                return Ok(());
            }
            let reply = self.ask(&part).await;
            match self.judge(&part, reply) {
                Step::Settle(outcome) => self.settle(part.into_iter().map(|event| (event, outcome.clone())).collect()).await?,
                Step::Wait(until) => {
                    return self.settle(part.into_iter().map(|event| (event, Outcome::RetryAt(until))).collect()).await;
                }
                Step::Halve => {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Step::Rest => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends one request and sorts what comes of it.
    async fn ask(&mut self, part: &[DueEvent]) -> Reply {
        match self.client.send(part.iter().map(|event| event.body.as_str())).await {
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
                Step::Settle(Outcome::Delivered)
            }
            Reply::Retry { reason, after } => {
                let wait = self.backoff.next(after);
                let until = self.clock.now().plus(wait);
                self.gate = if matches!(self.gate, Gate::Paused(_)) { Gate::Paused(until) } else { Gate::Wait(until) };
                let wait = wait.as_secs_f32();
                warn!(destination = %self.destination, reason, wait, events = part.len(), "the destination did not take events; they wait");
                Step::Wait(until)
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
                    return Step::Settle(Outcome::Replace(body));
                }
                warn!(destination = %self.destination, reason, event = event.id, "an event was refused for good and is parked");
                Step::Settle(Outcome::Parked(reason))
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
        self.gate = Gate::Paused(self.clock.now().plus(self.settings.probe));
        Step::Rest
    }

    /// Writes outcomes down: in the spool first, then in metrics and records.
    async fn settle(&self, events: Vec<(DueEvent, Outcome)>) -> Result<(), SpoolError> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        self.spool.settle(now, events.iter().map(|(event, outcome)| (event.row, outcome.clone())).collect()).await?;
        for (event, outcome) in &events {
            match outcome {
                Outcome::Delivered => self.counts.delivered.inc(),
                Outcome::RetryAt(_) => self.counts.retried.inc(),
                Outcome::Replace(_) => self.counts.repaired.inc(),
                Outcome::Parked(_) => self.counts.parked.inc(),
            };
            self.record(event, outcome, now);
        }
        Ok(())
    }

    /// The decision record of a delivery that came to an end.
    fn record(&self, _event: &DueEvent, _outcome: &Outcome, now: UnixMillis) {
        self.ledger.append(Record::Event(crate::ledger::EventRecord { time: now }));
    }
}
