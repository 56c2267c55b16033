//! From what is counted to keyed hashes. The key changes once in the longest window, and the one before still finds what
//! was counted under it; older ones are gone, so that nothing can be followed for longer. Must not know counts.

use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact::counting::LONGEST_WINDOW;

use super::millis;

/// What is hashed. Variants keep values of different kinds apart.
#[derive(Debug, Hash)]
pub(super) enum Mark<'a> {
    Visit(Uuid),
    /// What clients without a cookie have in common: address prefix, agent, handshake.
    Shape(Option<IpAddr>, &'a str, &'a str),
    Address(IpAddr),
    Prefix(IpAddr),
    Click(&'a str),
    Campaign(&'a str),
    CampaignAsn(&'a str, u32),
    Event(&'a str),
    Named(Uuid, &'a str),
}

/// A value under today's key, and under the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) now: u64,
    pub(super) before: u64,
}

impl Hashed {
    /// The key of this value in one counter.
    pub(super) fn of(self, counter: u64) -> Self {
        Self { now: mixed(self.now ^ counter), before: mixed(self.before ^ counter) }
    }

    /// The value as an element of a set, under both keys.
    pub(super) fn element(self) -> (u32, u32) {
        let low = |hash: u64| u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default();
        (low(self.now), low(self.before))
    }
}

/// The finalizer of `SplitMix64`: the hash is keyed already, this only keeps counters apart.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The two live keys.
#[derive(Debug)]
pub(super) struct Keys(ArcSwap<Pair>);

#[derive(Clone, Debug)]
struct Pair {
    day: u64,
    now: RandomState,
    before: RandomState,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self(ArcSwap::from_pointee(Pair { day: 0, now: RandomState::new(), before: RandomState::new() }))
    }

    /// A value under the keys of that day.
    pub(super) fn of(&self, now: UnixMillis, mark: &Mark<'_>) -> Hashed {
        let day = now.0 / millis(LONGEST_WINDOW);
        let mut pair = self.0.load();
        if pair.day < day {
            drop(pair);
            self.turn(day);
            pair = self.0.load();
        }
        Hashed { now: pair.now.hash_one(mark), before: pair.before.hash_one(mark) }
    }

    fn turn(&self, day: u64) {
        let fresh = RandomState::new();
        self.0.rcu(|pair| {
            if pair.day >= day {
                return Arc::clone(pair);
            }
            Arc::new(Pair { day, now: fresh.clone(), before: pair.now.clone() })
        });
    }
}
