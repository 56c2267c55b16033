//! Texts that many visits have in common, kept once: agents, and the campaign parameters of an ad. In parts, each with its own
//! lock, of which none is held while another is taken. Bounded; what no visit has any more goes when its part is swept. Must
//! not know where visits are kept.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use super::visit::Utm;
use super::visit::Visit;

/// Different ones of each: a busy shop sees 5,000 agents a day and has fewer ads. Those beyond are each visit's own.
const MOST: usize = 65_536;
/// Parts of each, one of which is swept at a time: what came and went is let go of after so many sweeps at the latest.
pub(super) const PARTS: usize = 32;

/// What visits share.
#[derive(Debug)]
pub(super) struct Shared {
    agents: Texts<str>,
    campaigns: Texts<Utm>,
    /// What all visits without a campaign have; it would lead all of them to the same part.
    no_campaign: Arc<Utm>,
    turn: AtomicUsize,
}

impl Default for Shared {
    fn default() -> Self {
        let (agents, campaigns) = (Texts::bounded(MOST), Texts::bounded(MOST));
        Self { agents, campaigns, no_campaign: Arc::default(), turn: AtomicUsize::new(0) }
    }
}

impl Shared {
    /// Has a visit share what others have too; of one that was known, what is new in it.
    pub(super) fn share(&self, visit: &mut Visit, known: Option<&Visit>) {
        if known.is_none_or(|known| !Arc::ptr_eq(&known.user_agent, &visit.user_agent)) {
            self.agents.one_of(&mut visit.user_agent);
        }
        if known.is_none_or(|known| !Arc::ptr_eq(&known.utm, &visit.utm)) {
            if *visit.utm == *self.no_campaign {
                visit.utm = Arc::clone(&self.no_campaign);
            } else {
                self.campaigns.one_of(&mut visit.utm);
            }
        }
    }

    /// Lets go of what no visit has, in one part of each; the next call goes on with the next one.
    pub(super) fn sweep(&self) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % PARTS;
        self.agents.sweep(turn);
        self.campaigns.sweep(turn);
    }
}

/// Texts of one kind by their hashes. Texts come from outside, so the hash is keyed: nobody can choose some that collide.
#[derive(Debug)]
struct Texts<T: ?Sized> {
    parts: Vec<Mutex<Part<T>>>,
    hasher: RandomState,
    /// The most texts of a part.
    bound: usize,
}

type Part<T> = FxHashMap<u64, Arc<T>>;

impl<T: ?Sized + Eq + Hash> Texts<T> {
    fn bounded(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, hasher: RandomState::new(), bound: (most / PARTS).max(1) }
    }

    /// Puts what is kept of that text in its place; keeps it where there is none.
    fn one_of(&self, value: &mut Arc<T>) {
        let hash = self.hasher.hash_one(&**value);
        let Some(mut part) = self.part(hash) else { return };
        match part.get(&hash).cloned() {
            Some(known) => {
                drop(part);
                // Of two texts with the same hash, of 2^64, the newer one is its visit's own.
                if known == *value {
                    *value = known;
                }
            }
            None if part.len() < self.bound => drop(part.insert(hash, Arc::clone(value))),
            None => {}
        }
    }

    fn sweep(&self, turn: usize) {
        if let Some(part) = self.parts.get(turn) {
            lock(part).retain(|_, text| Arc::strong_count(text) > 1);
        }
    }

    fn part(&self, hash: u64) -> Option<MutexGuard<'_, Part<T>>> {
        // The map itself goes by other bits of the product.
        self.parts.get(usize::try_from(hash >> 32).unwrap_or_default() % PARTS).map(lock)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

fn lock<T: ?Sized>(part: &Mutex<Part<T>>) -> MutexGuard<'_, Part<T>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn texts(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|n| Arc::from(format!("agent {n}"))).collect()
    }

    #[test]
    fn equal_texts_are_one_allocation_whichever_threads_bring_them() {
        let shared = Texts::bounded(MOST);
        let bring = || {
            let mut own = texts(500);
            for text in &mut own {
                shared.one_of(text);
            }
            own
        };
        let brought: Vec<Vec<Arc<str>>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(bring)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(shared.len(), 500);
        for texts in &brought {
            assert!(texts.iter().zip(&brought[0]).all(|(one, other)| Arc::ptr_eq(one, other)));
        }
    }

    #[test]
    fn texts_beyond_the_bound_are_each_visits_own_and_those_within_are_still_shared() {
        let shared = Texts::bounded(PARTS * 4);
        let (mut first, mut again) = (texts(1_000), texts(1_000));
        first.iter_mut().chain(&mut again).for_each(|text| shared.one_of(text));
        let alike = first.iter().zip(&again).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
        assert_eq!((alike, first == again), (PARTS * 4, true));
        assert_eq!(shared.len(), PARTS * 4);
    }

    #[test]
    fn each_sweep_forgets_in_one_part_and_all_parts_have_their_turn() {
        let shared = Shared::default();
        let mut all = texts(2_000);
        for text in &mut all {
            shared.agents.one_of(text);
        }
        let held = all.split_off(1_500);
        drop(all);
        shared.sweep();
        assert!((1_500..2_000).contains(&shared.agents.len()), "one part of {PARTS}: {}", shared.agents.len());
        (1..PARTS).for_each(|_| shared.sweep());
        assert_eq!(shared.agents.len(), held.len());
        let mut again: Arc<str> = Arc::from(&*held[7]);
        shared.agents.one_of(&mut again);
        assert!(Arc::ptr_eq(&again, &held[7]));
    }

    #[test]
    fn a_text_is_shared_while_another_part_is_held() {
        let shared: Texts<str> = Texts::bounded(MOST);
        let mut all = texts(200);
        let place = |text: &Arc<str>| usize::try_from(shared.hasher.hash_one(&**text) >> 32).unwrap() % PARTS;
        let held = place(&all[0]);
        let _held = lock(&shared.parts[held]);
        // Whoever took the held part here would wait for himself.
        let others: Vec<&mut Arc<str>> = all.iter_mut().filter(|text| place(text) != held).collect();
        let count = others.len();
        for text in others {
            shared.one_of(text);
        }
        assert!(count > 100);
    }
}
