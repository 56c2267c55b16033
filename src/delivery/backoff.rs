//! How long to wait after a failure: exponential with full jitter and a ceiling, or as long as the destination asked.
//! Must not know why it failed.

use std::time::Duration;

use rand::RngExt;

/// The waits of one target; a success starts them over.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    ceiling: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `base` up to `ceiling`; the destination may ask for up to `longest`.
    pub(crate) fn new(base: Duration, ceiling: Duration, longest: Duration) -> Self {
        Self { base, ceiling, longest, failures: 0 }
    }

    /// The wait after one more failure. A destination's own wish is kept to, with a little jitter on top, so that
    /// many senders do not come back in one moment.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let most = self.most();
        self.failures = self.failures.saturating_add(1);
        match asked {
            Some(asked) => asked.min(self.longest) + within(self.base),
            None => within(most),
        }
    }

    /// Forgets past failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The upper end of the next wait.
    fn most(&self) -> Duration {
        2_u32
            .checked_pow(self.failures)
            .and_then(|factor| self.base.checked_mul(factor))
            .map_or(self.ceiling, |wait| wait.min(self.ceiling))
    }
}

/// A random wait of at most `most`.
fn within(most: Duration) -> Duration {
    Duration::from_millis(rand::rng().random_range(0..=u64::try_from(most.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_secs(1), Duration::from_mins(10), Duration::from_hours(1))
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_start_over() {
        let mut backoff = backoff();
        let mut most = Vec::new();
        for _ in 0..40 {
            most.push(backoff.most().as_secs());
            let bound = backoff.most();
            assert!(backoff.next(None) <= bound);
        }
        assert_eq!(most[..4], [1, 2, 4, 8]);
        assert_eq!(most[39], 600);
        backoff.reset();
        assert_eq!(backoff.most(), Duration::from_secs(1));
    }

    #[test]
    fn a_wish_is_kept_to_within_its_bound() {
        let mut backoff = backoff();
        let wait = backoff.next(Some(Duration::from_mins(20)));
        assert!(wait >= Duration::from_mins(20) && wait <= Duration::from_secs(1_201), "{wait:?}");
        assert!(backoff.next(Some(Duration::from_hours(1_000))) <= Duration::from_secs(3_601));
    }
}
