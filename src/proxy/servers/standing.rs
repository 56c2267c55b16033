//! Whether one server is fit to be asked: what its requests met and what its checks found, shared by all threads.
//! A healthy server costs a request three reads of atomics. Must not know how a server is chosen or checked.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::clock::UnixMillis;

/// The longest rest of a server whose requests fail, unless the first one is longer already.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// How often a rest may double; far beyond [`LONGEST_REST`].
const DOUBLINGS: u32 = 16;

/// The state of one server.
#[derive(Debug)]
pub(super) struct Standing {
    name: String,
    began: Instant,
    clock: Clock,
    limit: u32,
    rest: Duration,
    /// Requests in a row that failed.
    failures: AtomicU32,
    /// Until when it rests, in milliseconds since `began`; 0 where it does not.
    until: AtomicU64,
    /// Its checks have failed.
    down: AtomicBool,
    told: Mutex<Told>,
    up: Gauge,
}

#[derive(Debug)]
struct Told {
    since: UnixMillis,
    resting: Option<String>,
    down: Option<String>,
    rests: u32,
}

impl Told {
    fn why(&self) -> Option<&String> {
        self.down.as_ref().or(self.resting.as_ref())
    }

    fn is_in(&self) -> bool {
        self.why().is_none()
    }
}

/// What the operator is told of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `in`, `resting` (its requests failed), or `down` (its checks failed).
    pub state: &'static str,
    /// Since when.
    pub since: UnixMillis,
    /// Why it is not in.
    pub why: Option<String>,
}

impl Standing {
    /// A server that is thought well of. It rests after `limit` failures in a row, at first for `rest`.
    pub(super) fn new(name: &str, limit: u32, rest: Duration, clock: Clock, up: Gauge) -> Self {
        up.set(1);
        Self {
            name: name.to_owned(),
            began: Instant::now(),
            told: Mutex::new(Told { since: clock.now(), resting: None, down: None, rests: 0 }),
            clock,
            limit: limit.max(1),
            rest,
            failures: AtomicU32::new(0),
            until: AtomicU64::new(0),
            down: AtomicBool::new(false),
            up,
        }
    }

    /// Whether it is neither down nor resting.
    pub(super) fn is_in(&self) -> bool {
        !self.down.load(Ordering::Relaxed) && self.until.load(Ordering::Relaxed) == 0
    }

    /// Whether its rest is over and the caller is the one who may try it; everybody else waits for what comes of that.
    pub(super) fn may_be_tried(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0 && self.may_be_tried_at(millis(self.began.elapsed()))
    }

    fn may_be_tried_at(&self, now: u64) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 || self.down.load(Ordering::Relaxed) {
            return false;
        }
        let next = now.saturating_add(millis(self.rest)).max(1);
        now >= until && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It has answered a request.
    pub(super) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.until.load(Ordering::Relaxed) != 0 {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if self.until.swap(0, Ordering::Relaxed) != 0 {
                let was_in = told.is_in();
                (told.rests, told.resting) = (0, None);
                self.tell(&mut told, was_in);
            }
        }
    }

    /// It has failed a request. `tried` is set where [`Standing::may_be_tried`] let the request through.
    pub(super) fn failed(&self, why: &str, tried: bool) {
        self.failed_at(millis(self.began.elapsed()), why, tried);
    }

    fn failed_at(&self, now: u64, why: &str, tried: bool) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let resting = self.until.load(Ordering::Relaxed) != 0;
        if !tried && (resting || failures < self.limit) {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !tried && self.until.load(Ordering::Relaxed) != 0 {
            return;
        }
        let rest = self.rest.saturating_mul(1 << told.rests.min(DOUBLINGS)).min(LONGEST_REST.max(self.rest));
        told.rests = told.rests.saturating_add(1);
        self.until.store(now.saturating_add(millis(rest)).max(1), Ordering::Relaxed);
        let was_in = told.is_in();
        told.resting = Some(why.to_owned());
        self.tell(&mut told, was_in);
    }

    /// Its checks have settled: it is up, or down and why.
    pub(super) fn checked(&self, found: Result<(), String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let down = found.is_err();
        if self.down.swap(down, Ordering::Relaxed) != down {
            let was_in = told.is_in();
            told.down = found.err();
            self.tell(&mut told, was_in);
        }
    }

    fn tell(&self, told: &mut Told, was_in: bool) {
        let is_in = told.is_in();
        if was_in == is_in {
            return;
        }
        self.up.set(i64::from(is_in));
        told.since = self.clock.now();
        if let Some(why) = told.why() {
            tracing::warn!(server = %self.name, %why, "a server of the shop is out");
        } else {
            tracing::info!(server = %self.name, "a server of the shop is in again");
        }
    }

    /// What the operator is told.
    pub(super) fn seen(&self) -> Seen {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match (&told.down, &told.resting) {
            (Some(_), _) => "down",
            (None, Some(_)) => "resting",
            (None, None) => "in",
        };
        Seen { state, since: told.since, why: told.why().cloned() }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(limit: u32) -> Standing {
        Standing::new("s:1", limit, Duration::from_secs(5), Clock::system(), Gauge::default())
    }

    #[test]
    fn a_server_rests_after_failures_in_a_row_and_longer_each_time() {
        let (server, mut now) = (standing(3), 100);
        server.failed_at(now, "unreachable", false);
        server.failed_at(now, "unreachable", false);
        server.answered();
        server.failed_at(now, "unreachable", false);
        server.failed_at(now, "unreachable", false);
        assert!(server.is_in());
        server.failed_at(now, "unreachable", false);
        assert_eq!((server.is_in(), server.seen().state, server.up.get()), (false, "resting", 0));
        server.failed_at(now, "unreachable", false);
        for rest in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
            assert!(!server.may_be_tried_at(now + rest - 1), "{rest}");
            now += rest;
            assert!(server.may_be_tried_at(now), "{rest}");
            server.failed_at(now, "unreachable", true);
        }
        server.answered();
        assert_eq!((server.is_in(), server.seen().why, server.up.get()), (true, None, 1));
    }

    #[test]
    fn one_request_tries_a_rested_server_and_others_wait_for_what_comes_of_it() {
        let server = standing(1);
        server.failed_at(0, "broken", false);
        assert!(server.may_be_tried_at(5_000) && !server.may_be_tried_at(5_000) && !server.is_in());
        assert!(server.may_be_tried_at(10_000), "whoever tried it never came back");
    }

    #[test]
    fn a_server_is_in_where_neither_checks_nor_requests_say_otherwise() {
        let server = standing(1);
        server.failed_at(0, "broken", false);
        server.checked(Err("answered 500".to_owned()));
        assert_eq!((server.seen().state, server.seen().why.as_deref()), ("down", Some("answered 500")));
        server.checked(Ok(()));
        assert_eq!((server.seen().state, server.seen().why.as_deref(), server.up.get()), ("resting", Some("broken"), 0));
        server.answered();
        assert!(server.is_in() && server.up.get() == 1);
    }
}
