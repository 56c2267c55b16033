//! The errand that keeps one certificate fresh for as long as the process runs: waits until it is due, orders it, keeps it,
//! has it taken, and rests after failures. Must not serve anything.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::server::tls::acme::Challenges;
use crate::server::tls::acme::Settings;
use crate::server::tls::acme::Store;
use crate::server::tls::acme::order;
use crate::server::tls::acme::pace;
use crate::server::tls::acme::wire::Wire;
use crate::server::tls::acme::wire::told;
use crate::server::tls::certificates::Leaf;
use crate::telemetry::Metrics;

/// The longest sleep, so that a clock that was set, or a machine that slept, is noticed.
const LOOK: Duration = Duration::from_hours(1);

/// Has the newest certificate served.
pub type Take = Arc<dyn Fn() + Send + Sync>;

/// Keeps one certificate fresh.
pub struct Errand {
    settings: Settings,
    store: Store,
    challenges: Challenges,
    take: Take,
    clock: Clock,
    issued: Counter,
    failed: Counter,
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Errand").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Errand {
    /// With what it needs of the process.
    pub fn new(settings: Settings, store: Store, challenges: Challenges, take: Take, clock: Clock, metrics: &Metrics) -> Self {
        let outcome = |outcome| metrics.acme_orders.with(&[("outcome", outcome)]);
        Self { settings, store, challenges, take, clock, issued: outcome("issued"), failed: outcome("failed") }
    }

    /// Runs until it is told to stop; an order that is under way then is given up.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        tokio::select! {
            () = self.keep_fresh() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    async fn keep_fresh(&self) {
        let mut failures = 0;
        loop {
            self.until(self.due()).await;
            if failures == 0 {
                tracing::info!(names = ?self.settings.domains, directory = %self.settings.directory, "ordering a certificate");
            }
            let Err((error, asked)) = self.order().await else {
                failures = 0;
                continue;
            };
            failures += 1;
            self.failed.inc();
            let rest = pace::rest(failures, asked, rand::random());
            tracing::error!(
                names = ?self.settings.domains, %error, failures, again_in_seconds = rest.as_secs(),
                "no certificate from the authority; what is in force stays"
            );
            self.until(self.clock.now().plus(rest)).await;
        }
    }

    /// One order, and what came of it.
    async fn order(&self) -> Result<(), (String, Option<Duration>)> {
        self.store.try_out().map_err(|error| (format!("the state folder takes nothing: {error}"), None))?;
        let wire = Wire::new(self.settings.directory_ca.as_deref()).map_err(|error| (told(&error), None))?;
        let issued = order::obtain(&self.settings, &self.store, &wire, &self.challenges).await;
        let issued = issued.map_err(|error| (told(&error), wire.asked()))?;
        self.store.keep_pair(&issued.chain, &issued.key).map_err(|error| (told(&error), None))?;
        // What is kept but of no use would be ordered again and again without a rest.
        let Some(leaf) = self.kept() else {
            return Err(("the authority's certificate is not for the names that were ordered, or its key".to_owned(), None));
        };
        if leaf.until <= self.clock.now() {
            return Err(("the authority's certificate is over already; is the clock of this machine right?".to_owned(), None));
        }
        self.issued.inc();
        let take = Arc::clone(&self.take);
        // It reads files, and may wait for a reload that is under way.
        let _ = tokio::task::spawn_blocking(move || take()).await;
        tracing::info!(names = ?self.settings.domains, until = leaf.until.rfc3339(), "a certificate came from the authority");
        Ok(())
    }

    /// The certificate that is kept, where it is sound and for all the names.
    fn kept(&self) -> Option<Leaf> {
        let leaf = Leaf::read(&self.store.pair()?, self.clock.now())?;
        self.settings.domains.iter().all(|name| leaf.names.contains(name)).then_some(leaf)
    }

    /// When the next order is due; long ago where there is no certificate.
    fn due(&self) -> UnixMillis {
        self.kept().map_or(UnixMillis(0), |leaf| pace::renewal(leaf.from, leaf.until, leaf.spread))
    }

    async fn until(&self, moment: UnixMillis) {
        loop {
            let rest = moment.since(self.clock.now());
            if rest.is_zero() {
                return;
            }
            tokio::time::sleep(rest.min(LOOK)).await;
        }
    }
}
