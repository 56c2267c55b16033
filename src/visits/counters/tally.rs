//! What is kept for one key of one counter. Must not know what it counts.

use super::BUCKETS;
use super::burst::Burst;
use super::set::Set;

/// One entry of the table.
#[derive(Clone, Debug)]
pub(super) enum Tally {
    /// How many.
    Ring(Ring),
    /// How many different ones.
    Set(Set),
    /// How many against what is usual.
    Burst(Burst),
}

/// A count in each bucket of the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    newest: u32,
    buckets: [u16; BUCKETS as usize],
}

impl Ring {
    /// Counts one in a bucket; the sum of the window that ends with it. A clock that was set back counts into the newest.
    fn add(&mut self, slot: u32) -> u32 {
        let ahead = slot.saturating_sub(self.newest);
        if ahead > 0 {
            let by = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.buckets.len());
            self.buckets.rotate_right(by);
            self.buckets.iter_mut().take(by).for_each(|bucket| *bucket = 0);
            self.newest = slot;
        }
        if let Some(bucket) = self.buckets.first_mut() {
            *bucket = bucket.saturating_add(1);
        }
        self.buckets.iter().map(|bucket| u32::from(*bucket)).sum()
    }
}

impl Tally {
    pub(super) fn ring() -> Self {
        Self::Ring(Ring::default())
    }

    pub(super) fn set() -> Self {
        Self::Set(Set::default())
    }

    /// Counts one. A key that holds something else (two keys in 2^64 that are the same) counts anew.
    pub(super) fn add(&mut self, slot: u32) -> u32 {
        if !matches!(self, Self::Ring(_)) {
            *self = Self::ring();
        }
        if let Self::Ring(ring) = self { ring.add(slot) } else { 0 }
    }

    /// Puts an element in, known under the second name until now; how many there are.
    pub(super) fn put(&mut self, slot: u32, (element, former): (u32, u32)) -> u32 {
        if !matches!(self, Self::Set(_)) {
            *self = Self::set();
        }
        if let Self::Set(set) = self { set.put(slot, element, former) } else { 0 }
    }

    pub(super) fn burst(&mut self, slot: u32) -> Option<i64> {
        if !matches!(self, Self::Burst(_)) {
            *self = Self::Burst(Burst::default());
        }
        if let Self::Burst(burst) = self { burst.add(slot) } else { None }
    }

    /// Bytes it holds beside itself.
    pub(super) fn heap(&self) -> usize {
        if let Self::Set(set) = self { set.heap() } else { 0 }
    }
}
