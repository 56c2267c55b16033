//! Dates in rules that come while the process runs: each day, rules are taken as they are on it. No request waits for it, and no
//! file is read. Must not know which dates there are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::reload::Reloader;
use crate::clock::Clock;

/// How often it is looked which day it is.
const LOOK: Duration = Duration::from_secs(1);
/// Dates are days of UTC, all of one length.
const DAY: u64 = 24 * 60 * 60;

/// Looks until the end.
pub(super) async fn watch(reloader: Arc<Reloader>, clock: Clock, mut ending: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = ending.wait_for(|ending| *ending) => return,
        }
        let today = clock.now().seconds() / DAY;
        if seen.replace(today) != Some(today) && reloader.aside(Reloader::take_dates).await.is_none() {
            tracing::error!("rules whose date has come stay as they are until the next day or reload");
        }
    }
}
