//! Disjoint intervals of addresses in order, each with the set of lists that hold it; made of networks by one walk. Promises:
//! neighbours differ in their sets, and the first interval begins at the lowest address. Must not know how an interval is found.

use crate::lists::ListSet;

/// An address as a number.
pub(super) trait Bits: Copy + Ord {
    const ZERO: Self;
    /// All bits behind a prefix.
    fn behind(prefix: u8) -> Self;
    fn or(self, other: Self) -> Self;
    fn next(self) -> Option<Self>;
}

macro_rules! bits {
    ($($of:ty),*) => {
        $(impl Bits for $of {
            const ZERO: Self = 0;

            fn behind(prefix: u8) -> Self {
                Self::MAX.checked_shr(prefix.into()).unwrap_or(0)
            }

            fn or(self, other: Self) -> Self {
                self | other
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        })*
    };
}

bits!(u32, u64, u128);

/// Starts that are compared at once.
pub(super) const WIDTH: usize = 16;

/// The last of these starts, in their order, that is not behind an address, or else the first. No branch that could be guessed
/// wrong: a wrong guess costs as much as the rest of a look-up, and the steps before and after wait for it.
#[inline]
pub(super) fn last_begun<A: Copy + Ord>(starts: &[A; WIDTH], address: A) -> usize {
    let mut at = 0;
    for step in [8, 4, 2, 1] {
        at += step * usize::from(starts.get((at + step) % WIDTH).is_some_and(|start| *start <= address));
    }
    at
}

/// A network as its first address, its prefix and the place of its list; of IPv4 8 bytes, since they are many for a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<A> {
    pub(super) first: A,
    pub(super) prefix: u8,
    pub(super) place: u8,
}

/// Tells where each interval of these networks begins, and its set. Networks are nested or apart, so those that hold an address
/// are a stack: each with the set of it and all around it.
pub(super) fn intervals<A: Bits>(mut networks: Vec<Network<A>>, each: impl FnMut(A, ListSet)) {
    networks.sort_unstable_by_key(|network| (network.first, network.prefix));
    let mut walk = Walk { begun: (A::ZERO, ListSet::default()), told: None, each };
    let mut around: Vec<(A, ListSet)> = Vec::new();
    for network in networks {
        walk.leave(&mut around, Some(network.first));
        let set = around.last().map_or(ListSet::default(), |(_, set)| *set).with(network.place);
        walk.begin(network.first, set);
        let end = network.first.or(A::behind(network.prefix));
        match around.last_mut() {
            // What ends at the same address ends together.
            Some(outer) if outer.0 == end => outer.1 = set,
            _ => around.push((end, set)),
        }
    }
    walk.leave(&mut around, None);
    walk.settle();
}

struct Walk<A, F> {
    /// The interval that was begun last: another may still begin at the same address, or it may differ in nothing.
    begun: (A, ListSet),
    told: Option<ListSet>,
    each: F,
}

impl<A: Bits, F: FnMut(A, ListSet)> Walk<A, F> {
    /// Leaves the networks that end before an address, or all.
    fn leave(&mut self, around: &mut Vec<(A, ListSet)>, before: Option<A>) {
        while let Some((end, _)) = around.pop_if(|(end, _)| before.is_none_or(|before| *end < before)) {
            if let Some(after) = end.next() {
                self.begin(after, around.last().map_or(ListSet::default(), |(_, set)| *set));
            }
        }
    }

    fn begin(&mut self, at: A, set: ListSet) {
        if self.begun.0 != at {
            self.settle();
        }
        self.begun = (at, set);
    }

    /// Tells of the interval that was begun last, where it differs from the one before it.
    fn settle(&mut self) {
        let (start, set) = self.begun;
        if self.told != Some(set) {
            self.told = Some(set);
            (self.each)(start, set);
        }
    }
}
