//! A set of row numbers. As many as files usually have lie in place, so that nothing is allocated for them; those beyond are
//! held too. Must not know rows.

/// Numbers that lie in place.
const NEAR: usize = 256;
/// The words they lie in.
pub(super) type Near = [u64; NEAR / 64];

/// Numbers, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    near: Near,
    far: Vec<u64>,
}

impl Set {
    /// The set of numbers that all lie in place.
    pub(super) fn of(near: Near) -> Self {
        Self { near, far: Vec::new() }
    }

    /// All of it, where all of it lies in place.
    pub(super) fn near(&self) -> Option<&Near> {
        self.far.is_empty().then_some(&self.near)
    }

    /// Puts a number in.
    pub(super) fn insert(&mut self, number: usize) {
        let (place, bit) = (number / 64, 1_u64 << (number % 64));
        if let Some(word) = self.near.get_mut(place) {
            *word |= bit;
            return;
        }
        let place = place - self.near.len();
        if self.far.len() <= place {
            self.far.resize(place + 1, 0);
        }
        if let Some(word) = self.far.get_mut(place) {
            *word |= bit;
        }
    }

    /// Whether a number is in it.
    pub(super) fn has(&self, number: usize) -> bool {
        let place = number / 64;
        let word = self.near.get(place).or_else(|| self.far.get(place - self.near.len()));
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.near == Near::default() && self.far.iter().all(|word| *word == 0)
    }

    /// Its numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let numbers = |(place, word): (usize, u64)| {
            let bits = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
            let bits = bits.take_while(|word| *word != 0).map(u64::trailing_zeros);
            bits.filter_map(move |bit| Some(place * 64 + usize::try_from(bit).ok()?))
        };
        self.words().enumerate().flat_map(numbers)
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.near.iter().chain(&self.far).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_tells_it_in_order(numbers in prop::collection::btree_set(0_usize..2_000, 0..40)) {
            let mut set = Set::default();
            numbers.iter().rev().for_each(|number| set.insert(*number));
            prop_assert_eq!(set.iter().collect::<BTreeSet<usize>>(), numbers.clone());
            prop_assert!(set.iter().is_sorted());
            prop_assert_eq!(set.is_empty(), numbers.is_empty());
            prop_assert!((0..2_000).all(|number| set.has(number) == numbers.contains(&number)));
            prop_assert_eq!(set.near().is_some(), numbers.iter().all(|number| *number < NEAR));
        }
    }
}
