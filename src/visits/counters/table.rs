//! The table of all counters' entries: shards, each with two generations. What is touched belongs to the young one; when that
//! has half the room, it becomes the old one, and what was not touched since the last time goes. So an entry is found again
//! at the cost of one look, and the bound holds without a list of who comes next. Must not know what entries count.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use crate::clock::UnixMillis;
use crate::fact::counting::LONGEST_WINDOW;

use super::keys::Hashed;
use super::tally::Tally;

/// Parts of the table, each with its own lock and an equal share of the room.
const SHARDS: usize = 64;
/// What an entry costs at most: a map that has just grown has room for twice its members.
const ENTRY: usize = (size_of::<(u64, Tally)>() + 1) * 16 / 7;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<Mutex<Shard>>,
    /// Bytes that one generation of a shard may have.
    room: usize,
    evicted: AtomicU64,
}

/// Keys are keyed hashes: nobody can choose some that collide.
#[derive(Debug, Default)]
struct Shard {
    young: FxHashMap<u64, Tally>,
    old: FxHashMap<u64, Tally>,
    /// Bytes of the young ones.
    bytes: usize,
    old_bytes: usize,
    turned: UnixMillis,
}

impl Table {
    pub(super) fn new(max_bytes: u64) -> Self {
        let room = usize::try_from(max_bytes).unwrap_or(usize::MAX) / SHARDS / 2;
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), room: room.max(ENTRY), evicted: AtomicU64::new(0) }
    }

    /// Changes the entry of a key, made if there is none under this key or the one before.
    pub(super) fn with<T: Default>(
        &self,
        key: Hashed,
        now: UnixMillis,
        make: impl FnOnce() -> Tally,
        change: impl FnOnce(&mut Tally) -> T,
    ) -> T {
        self.changed(key, now, make, change).unwrap_or_default()
    }

    fn changed<T>(
        &self,
        key: Hashed,
        now: UnixMillis,
        make: impl FnOnce() -> Tally,
        change: impl FnOnce(&mut Tally) -> T,
    ) -> Option<T> {
        let mut shard = self.shard(key.now)?;
        if now.since(shard.turned) > LONGEST_WINDOW {
            // The old ones have outlived every window: they do not count as evicted.
            shard.turn(now);
        }
        if !shard.rejuvenate(key.now) {
            // One lock at a time: the key before leads to another shard.
            drop(shard);
            let tally = self.shard(key.before).and_then(|mut shard| shard.take(key.before)).unwrap_or_else(make);
            shard = self.shard(key.now)?;
            shard.insert(key.now, tally);
        }
        let tally = shard.young.get_mut(&key.now)?;
        let before = tally.heap();
        let answer = change(tally);
        let after = tally.heap();
        shard.bytes = (shard.bytes + after).saturating_sub(before);
        if shard.bytes > self.room {
            self.evicted.fetch_add(shard.old.len() as u64, Ordering::Relaxed);
            shard.turn(now);
        }
        Some(answer)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard)).map(|shard| (shard.bytes + shard.old_bytes) as u64).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard)).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Shard>> {
        // The map itself goes by the low bits.
        self.shards.get(usize::try_from(key >> 58).unwrap_or_default()).map(lock)
    }
}

impl Shard {
    fn turn(&mut self, now: UnixMillis) {
        self.old = std::mem::take(&mut self.young);
        self.old_bytes = std::mem::take(&mut self.bytes);
        self.turned = now;
    }

    /// Whether the key is there; it is young then.
    fn rejuvenate(&mut self, key: u64) -> bool {
        if self.young.contains_key(&key) {
            return true;
        }
        let Some(tally) = self.take(key) else { return false };
        self.insert(key, tally);
        true
    }

    fn take(&mut self, key: u64) -> Option<Tally> {
        if let Some(tally) = self.young.remove(&key) {
            self.bytes = self.bytes.saturating_sub(ENTRY + tally.heap());
            return Some(tally);
        }
        let tally = self.old.remove(&key)?;
        self.old_bytes = self.old_bytes.saturating_sub(ENTRY + tally.heap());
        Some(tally)
    }

    /// Puts an entry in, unless another thread has been faster.
    fn insert(&mut self, key: u64, tally: Tally) {
        if self.young.contains_key(&key) {
            return;
        }
        self.bytes += ENTRY + tally.heap();
        self.young.insert(key, tally);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
