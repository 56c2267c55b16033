//! Pages with the tag in them, in the order in which they were served, until their script has had its time. In parts, each with
//! its own lock. Bounded: where too many wait, the newest are not watched, and of them nothing is concluded. Must not know what
//! is concluded.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;

/// How long a page's script has to prove that it ran.
pub(super) const TIME_TO_PROVE: Duration = Duration::from_secs(20);
/// Pages that wait at most: twenty seconds of ten thousand a second, in 5 MB.
const MOST: usize = 200_000;
/// Parts, by visit: each page with the tag goes to one.
const PARTS: usize = 16;

/// One page that was served with the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its visit.
    pub visit: Uuid,
    /// When it was asked for.
    pub at: UnixMillis,
}

/// The pages that wait.
#[derive(Debug)]
pub(super) struct Watch {
    parts: Vec<Mutex<VecDeque<Watched>>>,
    /// Where the next look begins.
    turn: AtomicUsize,
}

impl Default for Watch {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), turn: AtomicUsize::new(0) }
    }
}

impl Watch {
    pub(super) fn push(&self, watched: Watched) {
        // Visit ids are random in their low half.
        let place = usize::try_from(watched.visit.as_u128() & u128::from(u32::MAX)).unwrap_or(0) % PARTS;
        let Some(mut waiting) = self.parts.get(place).map(lock) else { return };
        if waiting.len() < MOST / PARTS {
            waiting.push_back(watched);
        }
    }

    /// Those whose time is over, oldest first, at most so many.
    pub(super) fn take(&self, now: UnixMillis, most: usize) -> Vec<Watched> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % PARTS;
        let mut over = Vec::new();
        for part in self.parts.iter().cycle().skip(turn).take(PARTS) {
            let mut waiting = lock(part);
            let left = most.saturating_sub(over.len());
            let count = waiting.iter().take(left).take_while(|watched| now.since(watched.at) >= TIME_TO_PROVE).count();
            over.extend(waiting.drain(..count));
        }
        over.sort_by_key(|watched| watched.at);
        over
    }
}

fn lock(part: &Mutex<VecDeque<Watched>>) -> MutexGuard<'_, VecDeque<Watched>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const START: UnixMillis = UnixMillis(1_774_000_000_000);

    fn page(number: u64) -> Watched {
        Watched { visit: Uuid::from_u128(u128::from(number)), at: UnixMillis(START.0 + number) }
    }

    #[test]
    fn pages_are_told_once_when_their_time_is_over_and_oldest_first() {
        let watch = Watch::default();
        (0..100).for_each(|number| watch.push(page(number)));
        assert_eq!(watch.take(page(0).at.plus(TIME_TO_PROVE).minus(Duration::from_millis(1)), 1_000), []);
        assert_eq!(watch.take(page(39).at.plus(TIME_TO_PROVE), 1_000), (0..40).map(page).collect::<Vec<_>>());
        assert_eq!(watch.take(page(99).at.plus(TIME_TO_PROVE), 1_000), (40..100).map(page).collect::<Vec<_>>());
    }

    #[test]
    fn where_more_are_over_than_are_asked_for_all_come_in_the_end() {
        let (watch, later) = (Watch::default(), START.plus(Duration::from_hours(1)));
        (0..100).for_each(|number| watch.push(page(number)));
        let told: Vec<Vec<Watched>> = (0..20).map(|_| watch.take(later, 5)).collect();
        assert!(told.iter().all(|told| told.len() == 5));
        assert_eq!(told.iter().flatten().map(|watched| watched.visit).collect::<BTreeSet<_>>().len(), 100);
    }

    #[test]
    fn a_flood_of_pages_is_bounded() {
        let watch = Watch::default();
        (0..2 * MOST as u64).for_each(|number| watch.push(page(number)));
        assert_eq!(watch.take(START.plus(Duration::from_hours(1)), usize::MAX).len(), MOST);
    }
}
