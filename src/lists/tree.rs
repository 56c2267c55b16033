//! Which lists hold an IPv6 address: leaves of a few intervals below nodes of fixed width, since such addresses cluster. Promises:
//! a look-up allocates nothing. Must not know where the networks come from.

use rustc_hash::FxHashMap;

use crate::lists::ListSet;
use crate::lists::intervals::Bits;
use crate::lists::intervals::Network;
use crate::lists::intervals::WIDTH;
use crate::lists::intervals::intervals;
use crate::lists::intervals::last_begun;

/// Where each of a few intervals begins, and the place of its set; filled up with the last one. It lies in whole lines of the
/// processor's cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Leaf<A> {
    starts: [A; WIDTH],
    places: [u32; WIDTH],
}

/// Leaves below nodes of fixed width.
#[derive(Clone, Debug)]
pub(super) struct Tree<A> {
    /// The first starts of all children of each node, filled up with the last one, the root first; none above a single leaf.
    nodes: Vec<Vec<[A; WIDTH]>>,
    leaves: Vec<Leaf<A>>,
    /// Each distinct set once, so that an interval costs four bytes for it.
    sets: Vec<ListSet>,
}

impl<A> Default for Tree<A> {
    fn default() -> Self {
        Self { nodes: Vec::new(), leaves: Vec::new(), sets: Vec::new() }
    }
}

impl<A: Bits> Tree<A> {
    /// The tree of these networks.
    pub(super) fn over(networks: Vec<Network<A>>) -> Self {
        if networks.is_empty() {
            return Self::default();
        }
        // Room that is not written to costs no memory.
        let mut leaves: Vec<Leaf<A>> = Vec::with_capacity(networks.len() * 2 / WIDTH + 1);
        let (mut sets, mut places) = (Vec::new(), FxHashMap::default());
        let mut last = WIDTH;
        intervals(networks, |start, set| {
            let place = *places.entry(set.0).or_insert_with(|| {
                sets.push(set);
                u32::try_from(sets.len() - 1).unwrap_or(u32::MAX)
            });
            if last == WIDTH {
                leaves.push(Leaf { starts: [start; WIDTH], places: [place; WIDTH] });
                last = 0;
            } else if let Some(leaf) = leaves.last_mut() {
                leaf.starts.iter_mut().skip(last).for_each(|slot| *slot = start);
                leaf.places.iter_mut().skip(last).for_each(|slot| *slot = place);
            }
            last += 1;
        });
        leaves.shrink_to_fit();
        sets.shrink_to_fit();
        Self { nodes: nodes_over(&leaves), leaves, sets }
    }

    /// All lists that hold an address.
    pub(super) fn find(&self, address: A) -> ListSet {
        self.place(address).and_then(|place| self.sets.get(place as usize)).copied().unwrap_or_default()
    }

    /// Whether it holds no network at all.
    pub(super) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// The place of the set that holds an address.
    fn place(&self, address: A) -> Option<u32> {
        let mut at = 0;
        for level in &self.nodes {
            // Only the last node of a level is filled up: what is beyond its last child is its last child.
            let node = level.get(at).or(level.last())?;
            at = at.min(level.len() - 1) * WIDTH + last_begun(node, address);
        }
        let leaf = self.leaves.get(at).or(self.leaves.last())?;
        leaf.places.get(last_begun(&leaf.starts, address)).copied()
    }
}

/// The nodes above these leaves, the root first.
fn nodes_over<A: Bits>(leaves: &[Leaf<A>]) -> Vec<Vec<[A; WIDTH]>> {
    let mut firsts: Vec<A> = leaves.iter().map(|leaf| leaf.starts[0]).collect();
    let mut nodes = Vec::new();
    while firsts.len() > 1 {
        let level: Vec<[A; WIDTH]> = firsts.chunks(WIDTH).map(filled).collect();
        firsts = level.iter().map(|node| node[0]).collect();
        nodes.push(level);
    }
    nodes.reverse();
    nodes
}

/// A node of these starts.
fn filled<A: Bits>(starts: &[A]) -> [A; WIDTH] {
    let last = starts.last().copied().unwrap_or(A::ZERO);
    std::array::from_fn(|at| starts.get(at).copied().unwrap_or(last))
}
