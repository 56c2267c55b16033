//! Whether the threads turn round: each door counts, and one task looks whether it goes on counting. Tells systemd so while it
//! holds. Must not know what threads do.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::standing::Standing;
use crate::app::systemd;

/// How often it is looked; doors count as often.
const LOOK: Duration = Duration::from_secs(1);
/// How long a thread may stand still before it counts as stuck; far above what a busy machine makes of a second.
const STUCK: Duration = Duration::from_secs(10);

/// Looks until the end; `turns` says what was seen last.
pub(super) async fn watch(standing: Arc<Standing>, turns: Arc<AtomicBool>, mut stopped: watch::Receiver<bool>) {
    let watched = systemd::is_watching();
    let mut every = tokio::time::interval(LOOK);
    let mut seen: Vec<(u64, Instant)> = Vec::new();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let (beats, now) = (standing.beats(), Instant::now());
        seen.resize(beats.len(), (u64::MAX, now));
        for (before, beat) in seen.iter_mut().zip(beats) {
            if before.0 != beat {
                *before = (beat, now);
            }
        }
        let all = seen.iter().all(|(_, since)| now.duration_since(*since) < STUCK);
        if turns.swap(all, Ordering::Relaxed) && !all {
            tracing::error!("a thread of a listener stands still");
        }
        if watched && all {
            systemd::alive();
        }
    }
}
