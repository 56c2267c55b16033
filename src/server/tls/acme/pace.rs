//! When a certificate is renewed, and how long to rest after a failure. Pure. Promises: at most a handful of tries a day
//! once it keeps failing, and none before the authority wants one. Must not know the clock.

use std::time::Duration;

use crate::clock::UnixMillis;

const MINUTE: Duration = Duration::from_mins(1);
/// Rests after the first, second, … failure; the last one from then on. Let's Encrypt allows five failed proofs of a name an
/// hour; its clients are asked to back off to once a day or so.
const RESTS: [Duration; 5] =
    [Duration::from_secs(5), MINUTE, MINUTE.saturating_mul(10), MINUTE.saturating_mul(60), MINUTE.saturating_mul(360)];
/// The longest rest that an authority's word is taken for.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// When to renew: at two thirds of its life, as Let's Encrypt advises, and up to a thirtieth later, so that not everybody
/// comes at once. `spread` is any number that stays with the certificate.
pub(super) fn renewal(from: UnixMillis, until: UnixMillis, spread: u16) -> UnixMillis {
    let life = until.since(from);
    from.plus(life * 2 / 3 + life / 30 * u32::from(spread) / u32::from(u16::MAX))
}

/// How long to rest after so many failures in a row; `asked` is what the authority wants (`Retry-After`).
pub(super) fn rest(failures: usize, asked: Option<Duration>, spread: u16) -> Duration {
    let usual = RESTS.get(failures.saturating_sub(1)).or(RESTS.last()).copied().unwrap_or(MINUTE);
    let usual = usual + usual / 10 * u32::from(spread) / u32::from(u16::MAX);
    usual.max(asked.unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_certificate_of_ninety_days_is_renewed_between_its_60th_and_63rd() {
        let from = UnixMillis(1_000);
        let at = |spread| renewal(from, from.plus(DAY * 90), spread).since(from);
        assert_eq!((at(0), at(u16::MAX)), (DAY * 60, DAY * 63));
    }

    #[test]
    fn what_keeps_failing_is_tried_a_handful_of_times_a_day() {
        let mut passed = Duration::ZERO;
        let tries = (1..).take_while(|failures| {
            passed += rest(*failures, None, 0);
            passed < DAY
        });
        assert_eq!(tries.count(), 7);
        let hour: Duration = (1..=4).map(|failures| rest(failures, None, 0)).sum();
        assert!(hour > Duration::from_hours(1), "fewer than five an hour: {hour:?}");
        assert!(rest(100, None, u16::MAX) > rest(100, None, 0));
    }

    #[test]
    fn the_authoritys_own_word_is_kept_unless_it_is_absurd() {
        assert_eq!(rest(1, Some(DAY), 0), DAY);
        assert_eq!(rest(9, Some(MINUTE), 0), Duration::from_hours(6));
        assert_eq!(rest(1, Some(DAY * 3_650), 0), DAY * 7);
    }
}
