//! What the tables that single threads keep of their answers have in common: of which load an answer is, and where it lies.
//! Must not know what is remembered.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Marks one load of what answers come from; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// One that nobody had before.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// As a number, to be kept where all threads look.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Of such a number.
    pub fn of(number: u64) -> Self {
        Self(number)
    }
}

/// The place of a hash among so many; by its lower bits, which [`rustc_hash`] turns its best ones into.
pub fn place(hash: u64, places: usize) -> usize {
    u64::try_from(places)
        .ok()
        .and_then(|places| hash.checked_rem(places))
        .and_then(|place| usize::try_from(place).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_lies_in_the_table() {
        assert_eq!([0, 511, 512, u64::MAX].map(|hash| place(hash, 512)), [0, 511, 0, 511]);
        assert_eq!(place(7, 0), 0);
    }

    #[test]
    fn no_two_loads_are_one() {
        let (one, other) = (Epoch::fresh(), Epoch::fresh());
        assert_ne!(one, other);
        assert_eq!(Epoch::of(one.number()), one);
    }
}
