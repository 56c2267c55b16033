//! Looks at each list when it is due, for as long as the process runs. Promises: a source in trouble is asked less and less often, and
//! holds up no other for longer than one exchange. Must not touch what is in force itself: it is handed the means.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::refresh::lists;
use crate::refresh::lists::Client;
use crate::refresh::lists::Origin;
use crate::refresh::lists::Outcome;
use crate::refresh::lists::Source;
use crate::telemetry::Metrics;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// The first wait after a failure; it doubles up to the source's own interval.
const FIRST_WAIT: Duration = Duration::from_mins(1);

/// How a source stands, as its errand saw it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it was looked at last.
    pub looked_at: UnixMillis,
    /// When it will be looked at next.
    pub due: UnixMillis,
    /// `taken`, `unchanged`, `refused` or `failed`.
    pub outcome: &'static str,
    /// What went wrong.
    pub says: String,
    failures: u32,
}

/// How all sources stand; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, Standing>>>);

impl Board {
    /// How a source stands, if it was looked at since the start.
    pub fn standing(&self, name: &str) -> Option<Standing> {
        self.lock().get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asked for a list by its name, and for two moments.
pub type IsBehind = Box<dyn Fn(&str, UnixMillis, UnixMillis) -> bool + Send + Sync>;

/// What an errand is handed to put lists in force.
pub struct Hands {
    /// Loads all lists anew and puts them in force; blocks.
    pub take: Arc<dyn Fn() + Send + Sync>,
    /// When the next list in force grows too old.
    pub holds_until: Box<dyn Fn() -> Option<UnixMillis> + Send + Sync>,
    /// Whether a list in force is older than what came at the first moment, or will be too old at the second.
    pub is_behind: IsBehind,
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hands").finish_non_exhaustive()
    }
}

/// Keeps lists current.
#[derive(Debug)]
pub struct Errand {
    sources: watch::Receiver<Vec<Source>>,
    folder: PathBuf,
    client: Client,
    hands: Hands,
    board: Board,
    clock: Clock,
    metrics: Metrics,
    /// For which list's age all were loaded anew last.
    tried: Option<UnixMillis>,
}

impl Errand {
    /// An errand for the newest of these sources, whose copies lie in `folder`.
    pub fn new(
        sources: watch::Receiver<Vec<Source>>,
        folder: PathBuf,
        client: Client,
        hands: Hands,
        board: Board,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self { sources, folder, client, hands, board, clock, metrics, tried: None }
    }

    /// Runs until it is told to end.
    pub async fn run(mut self, mut ending: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(TICK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                _ = ending.wait_for(|ending| *ending) => return,
            }
            tokio::select! {
                () = self.look() => {}
                _ = ending.wait_for(|ending| *ending) => return,
            }
        }
    }

    async fn look(&mut self) {
        let sources = self.sources.borrow_and_update().clone();
        self.board.lock().retain(|name, _| sources.iter().any(|source| source.name == *name));
        let mut news = false;
        for source in sources.iter().filter(|source| matches!(source.origin, Origin::Url(_))) {
            let now = self.clock.now();
            if self.due(source).await > now {
                continue;
            }
            let outcome = lists::refresh(source, &self.folder, &self.client, now, false).await;
            self.note(source, &outcome, now);
            // Exchanging tables has a price, so a list that is known to be current grows younger only when that is worth it.
            let by = now.plus(source.every.saturating_mul(2));
            news |= match &outcome {
                Outcome::Taken(_) => true,
                Outcome::Unchanged(since) => (self.hands.is_behind)(&source.name, *since, by),
                Outcome::Refused(_) | Outcome::Failed(_) => false,
            };
        }
        let past = (self.hands.holds_until)().filter(|until| *until < self.clock.now());
        // What cannot be loaded would otherwise be tried each second.
        if news || (past.is_some() && past != self.tried) {
            self.tried = past;
            let take = Arc::clone(&self.hands.take);
            // Reading all lists takes a while.
            let _ = tokio::task::spawn_blocking(move || take()).await;
        }
    }

    async fn due(&self, source: &Source) -> UnixMillis {
        if let Some(standing) = self.board.standing(&source.name) {
            return standing.due;
        }
        let (of, folder) = (source.clone(), self.folder.clone());
        let due = tokio::task::spawn_blocking(move || lists::due(&of, &folder)).await.unwrap_or_default();
        self.board.lock().insert(source.name.clone(), Standing { due, ..Standing::default() });
        due
    }

    fn note(&self, source: &Source, outcome: &Outcome, now: UnixMillis) {
        let (name, outcome_name, says) = (source.name.as_str(), outcome.name(), outcome.says());
        self.metrics.list_refreshes.with(&[("list", name), ("outcome", outcome_name)]).inc();
        let url = source.shown();
        match outcome {
            Outcome::Taken(entries) => tracing::info!(list = name, url, entries, "a new list is taken"),
            Outcome::Unchanged(_) => tracing::debug!(list = name, url, "the list is as it was"),
            Outcome::Refused(_) => tracing::error!(list = name, url, why = says, "a list is refused; the last good one stays"),
            Outcome::Failed(_) => {
                tracing::warn!(list = name, url, why = says, "a list could not be fetched; the last good one stays");
            }
        }
        let well = matches!(outcome, Outcome::Taken(_) | Outcome::Unchanged(_));
        if well {
            self.metrics.list_as_of.with(&[("list", name)]).set(i64::try_from(now.seconds()).unwrap_or(i64::MAX));
        }
        let mut board = self.board.lock();
        let standing = board.entry(source.name.clone()).or_default();
        standing.failures = if well { 0 } else { standing.failures.saturating_add(1) };
        let wait = if well { source.every } else { wait(standing.failures).min(source.every) };
        *standing = Standing { looked_at: now, due: now.plus(wait), outcome: outcome_name, says, failures: standing.failures };
    }
}

/// One minute, two, four, …
fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
}
