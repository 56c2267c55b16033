//! The time, as a value that `app` hands in, so that tests and replays can move it.
//! Must not know what the time is used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Whole seconds since the epoch, the unit of Meta's `event_time`.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// The moment `later` after this one.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The moment `earlier` before this one, never before the epoch.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(earlier.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead (a clock that was set back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, as decision records carry it.
    pub fn rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .map_or_else(String::new, |at| format!("{at:.3}"))
    }
}

/// Where the time comes from: the system, or a hand-moved clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Moved(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is moved with [`Clock::set`].
    pub fn moved(start: UnixMillis) -> Self {
        Self(Source::Moved(Arc::new(AtomicU64::new(start.0))))
    }

    /// Moves a hand-moved clock and all its clones; the system's clock ignores it.
    pub fn set(&self, now: UnixMillis) {
        if let Source::Moved(at) = &self.0 {
            at.store(now.0, Ordering::SeqCst);
        }
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System => UnixMillis(
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            ),
            Source::Moved(at) => UnixMillis(at.load(Ordering::SeqCst)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds() {
        assert_eq!(UnixMillis(1_774_000_000_123).rfc3339(), "2026-03-20T09:46:40.123Z");
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_age() {
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
    }

    #[test]
    fn clones_of_a_moved_clock_move_together() {
        let clock = Clock::moved(UnixMillis(1));
        let copy = clock.clone();
        clock.set(UnixMillis(7));
        assert_eq!(copy.now(), UnixMillis(7));
    }
}
