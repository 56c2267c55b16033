//! From the spool to the destination: one task per target reads what is due, sends it in batches, and settles each
//! event as delivered, retried or parked. An event goes out byte for byte as the spool holds it on every try, and its
//! trouble never stops another target's events. Must not know rules, visits or how events were taken.

mod backoff;
mod meta;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use tokio::sync::watch;
use tracing::error;
use tracing::warn;
use url::Host;
use url::Url;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::delivery::meta::client::Client;
use crate::delivery::worker::Worker;
use crate::ledger::EventRecord;
use crate::ledger::Ledger;
use crate::ledger::Record;
use crate::spool::Expired;
use crate::spool::Spool;
use crate::telemetry::Metrics;

/// How delivery behaves, for all targets alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Events per request, 1 to 1,000 (Meta's limit). 100 by default: one bad event costs at most 15 requests to find.
    pub batch: usize,
    /// Bytes of events per request; a single larger event still goes. 1 MiB by default, as Meta documents no limit.
    pub batch_bytes: usize,
    /// How long a TCP and TLS handshake may take. 3 s by default.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take. 10 s by default: most answers take under 0.6 s, and a needless retry may
    /// count twice.
    pub timeout: Duration,
    /// Bytes of an answer that are read. 64 KiB by default; Meta's answers are under 2 KiB.
    pub answer_bytes: usize,
    /// The first wait after a failure. 1 s by default.
    pub backoff_base: Duration,
    /// The longest wait we choose ourselves. 10 min by default.
    pub backoff_ceiling: Duration,
    /// The longest wait that a destination may ask for. 1 h by default, so that a mistaken answer cannot silence us.
    pub longest_wait: Duration,
    /// How long a target with a dead token or a wrong configuration rests before one event is tried. 1 h by default.
    pub probe: Duration,
    /// How old an event may be when it is sent. By default a minute under the 7 days that Meta takes (100/2804003), so
    /// that none grows too old on its way.
    pub too_old: Duration,
    /// How often the spool is asked although nobody called. 1 s by default; retries become due without a call.
    pub poll: Duration,
    /// Names the sender to Meta: under 23 characters, at least two letters.
    pub partner_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 100,
            batch_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            answer_bytes: 64 << 10,
            backoff_base: Duration::from_secs(1),
            backoff_ceiling: Duration::from_mins(10),
            longest_wait: Duration::from_hours(1),
            probe: Duration::from_hours(1),
            too_old: Duration::from_mins(7 * 24 * 60 - 1),
            poll: Duration::from_secs(1),
            partner_agent: "clicksieve".to_owned(),
        }
    }
}

/// One Meta dataset (pixel) and the way to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The destination's name in configuration, spool, records and metrics.
    pub name: Arc<str>,
    /// The dataset's id, as the path carries it.
    pub pixel_id: String,
    /// The token for this dataset; goes in the body only.
    pub access_token: SecretString,
    /// The app's secret; where it is set, each request carries `appsecret_proof`.
    pub app_secret: Option<SecretString>,
    /// Where the Graph API is: `https://graph.facebook.com`. Plain http is taken for loopback only.
    pub host: Url,
    /// The Graph version, such as `v26.0`.
    pub version: String,
    /// Shows the events under "Test events"; they still count.
    pub test_event_code: Option<String>,
}

/// Why delivery cannot start.
#[derive(Debug, Error)]
pub enum DeliveryError {
    /// The token would travel in the clear.
    #[error("destination `{0}`: the host must be https, or http on loopback")]
    PlainHost(Arc<str>),
    /// The path cannot be built.
    #[error("destination `{0}`: pixel id and version must be plain, such as `1234567890` and `v26.0`")]
    BadPath(Arc<str>),
    /// No cryptography was installed for the process.
    #[error("no TLS provider is installed")]
    NoProvider,
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
}

/// What all workers use.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    spool: Spool,
    ledger: Ledger,
    metrics: Metrics,
    clock: Clock,
}

/// The delivery of all targets.
#[derive(Debug)]
pub struct Delivery {
    workers: Vec<Worker>,
}

impl Delivery {
    /// Checks the targets and builds one worker for each. A `rustls` provider must be installed for the process.
    pub fn new(
        settings: Settings,
        targets: Vec<Target>,
        spool: Spool,
        ledger: Ledger,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, DeliveryError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(DeliveryError::NoProvider);
        }
        let shared = Arc::new(Shared { settings, spool, ledger, metrics, clock });
        let workers = targets
            .into_iter()
            .map(|target| {
                let client = Client::new(&shared.settings, &target)?;
                Ok(Worker::new(shared.clone(), target.name, client))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { workers })
    }

    /// Delivers until `stop` becomes true (or its sender is gone); a request that is under way is finished, which
    /// takes at most [`Settings::timeout`].
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let tasks: Vec<_> = self.workers.into_iter().map(|worker| tokio::spawn(supervise(worker, stop.clone()))).collect();
        for task in tasks {
            let _ = task.await;
        }
    }
}

/// Runs one worker, and starts it anew should it panic: one target's trouble costs no other target anything.
async fn supervise(worker: Worker, stop: watch::Receiver<bool>) {
    while let Err(failure) = tokio::spawn(worker.clone().run(stop.clone())).await {
        error!(destination = worker.destination(), error = %failure, "delivery of a destination broke off and starts anew");
        tokio::time::sleep(worker.rest()).await;
    }
}

/// Leaves a record of each event that grew too old to be sent, and counts it, as for one that was refused for good.
pub fn tell_expired(expired: &[Expired], now: UnixMillis, ledger: &Ledger, metrics: &Metrics) {
    for event in expired {
        let record = EventRecord {
            time: now,
            event_id: event.id.clone(),
            event_name: event.name.clone(),
            destination: event.destination.clone(),
            decision: "parked".into(),
            attempt: (event.attempts > 0).then_some(event.attempts),
            outcome: Some("too_old".into()),
            ..EventRecord::default()
        };
        if !ledger.append(Record::Event(record)) {
            metrics.records_dropped.inc();
        }
        metrics.deliveries.with(&[("destination", &event.destination), ("outcome", "parked")]).inc();
    }
    if let Some(first) = expired.first() {
        warn!(destination = %first.destination, events = expired.len(), "events grew too old to be sent and are parked");
    }
}

/// The address that a target's events are posted to.
fn address(target: &Target) -> Result<Url, DeliveryError> {
    let loopback = match target.host.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if target.host.scheme() != "https" && !(target.host.scheme() == "http" && loopback) {
        return Err(DeliveryError::PlainHost(target.name.clone()));
    }
    let plain = |text: &str, extra: &[u8]| {
        text.len() <= 64
            && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    let fault = || DeliveryError::BadPath(target.name.clone());
    if !plain(&target.pixel_id, b"_-") || !plain(&target.version, b".") {
        return Err(fault());
    }
    let mut address = target.host.clone();
    address.path_segments_mut().map_err(|()| fault())?.pop_if_empty().extend([&target.version, &target.pixel_id, "events"]);
    Ok(address)
}

#[cfg(test)]
mod tests;
