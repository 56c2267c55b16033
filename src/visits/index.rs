//! From a key (page, order, cookie, client) to the visit that has it. Every key is listed by its visit, so that it
//! goes with it. Must not know visits' contents.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::cookie;

use super::visit::Visit;

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
        user_agent.hash(&mut hasher);
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

/// The sharded map of keys.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Mutex<HashMap<Key, Uuid>>>,
    hasher: RandomState,
}

impl Index {
    /// An empty index of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// The visit that has a key.
    pub(super) fn find(&self, key: &Key) -> Option<Uuid> {
        self.with(key, |shard| shard.get(key).copied())
    }

    /// Gives a key to a visit; the newest owner has it.
    pub(super) fn give(&self, key: Key, visit: Uuid) {
        self.with(&key.clone(), |shard| shard.insert(key, visit));
    }

    /// Takes a key from a visit, unless another has it by now.
    pub(super) fn take(&self, key: &Key, visit: Uuid) {
        self.with(key, |shard| {
            if shard.get(key) == Some(&visit) {
                shard.remove(key);
            }
            None::<Uuid>
        });
    }

    /// Keys in all.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn with(&self, key: &Key, act: impl FnOnce(&mut HashMap<Key, Uuid>) -> Option<Uuid>) -> Option<Uuid> {
        let place = usize::try_from(self.hasher.hash_one(key) >> 1).unwrap_or(0) % self.shards.len();
        let shard = self.shards.get(place)?;
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
