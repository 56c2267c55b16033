//! From a key (page, order, cookie, client) to the visit that has it. Every key is listed by its visit, so that it
//! goes with it; here it is a keyed hash, since keys are many, and whoever is found is asked whether the key is his. Must not
//! know where visits are kept.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustc_hash::FxHashMap;
use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::cookie;

use super::visit::Visit;
use super::visit::agent_kept;

/// What a visit can be found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Page(Uuid),
    Order(Arc<str>),
    Fbp(Arc<str>),
    Fbc(Arc<str>),
    External(Arc<str>),
    Client(IpAddr, u64),
}

impl Key {
    /// The key of an address and agent. The agent's hash is unkeyed: who forges it must share the address anyway.
    pub(super) fn client(address: IpAddr, user_agent: &str) -> Self {
        let mut hasher = FxHasher::default();
        agent_kept(user_agent).hash(&mut hasher);
        Self::Client(address, hasher.finish())
    }

    /// The key of an `_fbp`, in whatever form a param builder has left it.
    pub(super) fn fbp(value: &str) -> Self {
        Self::Fbp(cookie::bare(value).into())
    }

    /// The key of an `_fbc`, likewise.
    pub(super) fn fbc(value: &str) -> Self {
        Self::Fbc(cookie::bare(value).into())
    }

    /// Whether several visits have such a key in turn.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Fbp(_) | Self::Fbc(_) | Self::Client(..))
    }

    /// Whether it is a key of a visit.
    pub(super) fn is_of(&self, visit: &Visit) -> bool {
        let has = |links: &[Arc<str>], link: &Arc<str>| links.iter().any(|known| known == link);
        let is = |value: &Option<Arc<str>>, wanted: &Arc<str>| {
            value.as_deref().is_some_and(|value| cookie::bare(value) == cookie::bare(wanted))
        };
        match self {
            Self::Page(page) => visit.served(*page).is_some(),
            Self::Order(order) => has(&visit.orders, order),
            Self::External(hash) => has(&visit.externals, hash),
            Self::Fbp(value) => is(&visit.fbp, value),
            Self::Fbc(value) => is(&visit.fbc, value),
            Self::Client(address, _) => visit.address == Some(*address) && *self == Self::client(*address, &visit.user_agent),
        }
    }

    /// All keys of a visit. Bounded: pages and links have their limits, the others are one each.
    pub(super) fn all_of(visit: &Visit) -> Vec<Self> {
        let mut keys: Vec<Self> = visit.recent_pages.iter().map(|(page, _)| Self::Page(*page)).collect();
        keys.extend(visit.orders.iter().cloned().map(Self::Order));
        keys.extend(visit.externals.iter().cloned().map(Self::External));
        keys.extend(visit.fbp.iter().map(|value| Self::Fbp(bare(value))));
        keys.extend(visit.fbc.iter().map(|value| Self::Fbc(bare(value))));
        keys.extend(visit.address.map(|address| Self::client(address, &visit.user_agent)));
        keys
    }
}

/// The value itself where it has no fifth part, which is nearly always.
fn bare(value: &Arc<str>) -> Arc<str> {
    let bare = cookie::bare(value);
    if bare.len() == value.len() { Arc::clone(value) } else { bare.into() }
}

/// The sharded map of keys' hashes. Two keys with the same one, of millions in 2^64, would cost the older its visit.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Mutex<FxHashMap<u64, Uuid>>>,
    hasher: RandomState,
}

impl Index {
    /// An empty index of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// The visit that has a key, if it is one of its keys.
    pub(super) fn find(&self, key: &Key) -> Option<Uuid> {
        self.with(key, |shard, key| shard.get(&key).copied())
    }

    /// Gives a key to a visit; the newest owner has it.
    pub(super) fn give(&self, key: &Key, visit: Uuid) {
        self.with(key, |shard, key| shard.insert(key, visit));
    }

    /// Takes a key from a visit, unless another has it by now.
    pub(super) fn take(&self, key: &Key, visit: Uuid) {
        self.with(key, |shard, key| {
            if shard.get(&key) == Some(&visit) {
                shard.remove(&key);
            }
            None::<Uuid>
        });
    }

    /// Keys in all.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn with(&self, key: &Key, act: impl FnOnce(&mut FxHashMap<u64, Uuid>, u64) -> Option<Uuid>) -> Option<Uuid> {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash >> 1).unwrap_or(0) % self.shards.len();
        let shard = self.shards.get(place)?;
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), hash)
    }
}
