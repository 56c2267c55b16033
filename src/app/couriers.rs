//! The delivery of each destination as a task of its own, so that a reload changes one without touching the others.
//! Promises: what a destination was sent is noted before another task of its own begins. Must not know what is sent.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use secrecy::ExposeSecret;
use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::state::Engines;
use crate::clock::Clock;
use crate::delivery;
use crate::delivery::Delivery;
use crate::delivery::Target;
use crate::telemetry::Metrics;

/// The tasks that deliver.
#[derive(Debug)]
pub(super) struct Couriers {
    side: Handle,
    metrics: Metrics,
    clock: Clock,
    running: Mutex<Vec<Courier>>,
}

#[derive(Debug)]
struct Courier {
    target: Target,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Couriers {
    /// Nobody delivers yet.
    pub(super) fn new(side: Handle, metrics: Metrics, clock: Clock) -> Self {
        Self { side, metrics, clock, running: Mutex::default() }
    }

    /// Delivers to these from now on: those that are as before go on, others end when what they are sending is answered.
    /// The names of those that are no more.
    pub(super) fn send_to(&self, targets: Vec<Target>, engines: &Engines) -> Vec<String> {
        let mut running = self.lock();
        let mut before = std::mem::take(&mut *running);
        for target in targets {
            let known = before.iter().position(|courier| courier.target.name == target.name).map(|at| before.swap_remove(at));
            match known {
                Some(courier) if is_same(&courier.target, &target) => running.push(courier),
                known => running.extend(self.courier(target, known, engines)),
            }
        }
        before.into_iter().map(|courier| courier.end().0).collect()
    }

    /// Ends them all; returns when what they were sending is answered and noted.
    pub(super) async fn end(&self) {
        let all = std::mem::take(&mut *self.lock());
        let ending: Vec<_> = all.into_iter().map(|courier| courier.end().1).collect();
        for task in ending {
            // One that panicked has nothing more to note.
            let _ = task.await;
        }
    }

    fn courier(&self, target: Target, before: Option<Courier>, engines: &Engines) -> Option<Courier> {
        let before = before.map(|courier| courier.end().1);
        let (stop, stopped) = watch::channel(false);
        let built = Delivery::new(
            delivery::Settings::default(),
            vec![target.clone()],
            engines.spool.clone(),
            engines.ledger.clone(),
            self.metrics.clone(),
            self.clock.clone(),
        );
        let delivery = built
            .inspect_err(
                |error| tracing::error!(destination = %target.name, %error, "nothing will be delivered; events are kept"),
            )
            .ok()?;
        let task = self.side.spawn(async move {
            if let Some(before) = before {
                // It may have panicked; its events are due again when their lease is over.
                let _ = before.await;
            }
            delivery.run(stopped).await;
        });
        Some(Courier { target, stop, task })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Courier>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier {
    fn end(self) -> (String, JoinHandle<()>) {
        self.stop.send_replace(true);
        (self.target.name.to_string(), self.task)
    }
}

fn is_same(one: &Target, other: &Target) -> bool {
    let secret = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    // Secrets do not show, so that they are compared by themselves.
    format!("{one:?}") == format!("{other:?}")
        && one.access_token.expose_secret() == other.access_token.expose_secret()
        && secret(&one.app_secret) == secret(&other.app_secret)
}
