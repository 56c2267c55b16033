//! The visits in memory: shards by visit id, two pools each (kept and plain), bounded. A full pool of a shard gives up
//! its visit that was seen longest ago, nearly: a queue with a second chance, so the order is exact only among visits
//! that were not seen again. Must not know the disk.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact::Proof;

use super::Settings;
use super::index::Index;
use super::index::Key;
use super::shared::Shared;
use super::visit::PageView;
use super::visit::Visit;

/// Visits with a proof that are passed over, at each eviction, for one without.
const SPARED: usize = 64;

/// The sharded table and its index. Lock order: a shard, then shards of the index one at a time.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<Mutex<Shard>>,
    index: Index,
    shared: Shared,
    keep: Duration,
    persists: bool,
    /// Sweeps so far: each looks at the next shard.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Shard {
    /// Ids are random and sealed on their way, so nobody can choose some that collide.
    visits: FxHashMap<Uuid, Arc<Visit>>,
    kept: Pool,
    plain: Pool,
    dirty: FxHashSet<Uuid>,
}

/// One pool's members in the order in which they are looked at for eviction.
#[derive(Debug)]
struct Pool {
    queue: VecDeque<(Uuid, UnixMillis)>,
    members: usize,
    bound: usize,
}

impl Table {
    pub(super) fn new(settings: &Settings) -> Self {
        let shards = settings.shards.min(settings.max_visits).min(settings.max_plain).max(1);
        let pool = |bound: usize| Pool { queue: VecDeque::new(), members: 0, bound: (bound / shards).max(1) };
        let shard = || Shard {
            visits: FxHashMap::default(),
            kept: pool(settings.max_visits),
            plain: pool(settings.max_plain),
            dirty: FxHashSet::default(),
        };
        Self {
            shards: (0..shards).map(|_| Mutex::new(shard())).collect(),
            index: Index::new(shards),
            shared: Shared::default(),
            keep: settings.keep,
            persists: settings.path.is_some(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Counts a page view; opens the visit where there is none.
    pub(super) fn page(&self, view: &PageView<'_>) -> Arc<Visit> {
        let Some(mut shard) = self.shard(view.visit) else { return Arc::new(Visit::opened(view)) };
        if let Some(known) = shard.visits.remove(&view.visit) {
            let seen = |visit: &mut Visit| {
                visit.view(view);
                self.shared.share(visit, Some(&known));
            };
            return self.put(&mut shard, Some(&known), seen, &known);
        }
        let mut visit = Visit::opened(view);
        self.shared.share(&mut visit, None);
        self.put(&mut shard, None, |_| (), &Arc::new(visit))
    }

    /// Changes a visit that is there.
    pub(super) fn change(&self, id: Uuid, change: impl FnOnce(&mut Visit)) -> Option<Arc<Visit>> {
        let mut shard = self.shard(id)?;
        let known = shard.visits.remove(&id)?;
        Some(self.put(&mut shard, Some(&known), change, &known))
    }

    /// Changes what is neither a key of a visit nor stored: nothing but the visit itself is touched.
    pub(super) fn touch(&self, id: Uuid, change: impl FnOnce(&mut Visit)) {
        if let Some(mut shard) = self.shard(id)
            && let Some(visit) = shard.visits.get_mut(&id)
        {
            change(Arc::make_mut(visit));
        }
    }

    /// Changes a visit that is there and gives it a key, even one that it had before and lost to another.
    pub(super) fn link(&self, id: Uuid, key: &Key, change: impl FnOnce(&mut Visit)) -> Option<Arc<Visit>> {
        let mut shard = self.shard(id)?;
        let known = shard.visits.remove(&id)?;
        let visit = self.put(&mut shard, Some(&known), change, &known);
        self.index.give(key, id);
        Some(visit)
    }

    /// Puts a visit read from disk back, unless it is known already.
    pub(super) fn restore(&self, mut visit: Visit) {
        self.shared.share(&mut visit, None);
        let Some(mut shard) = self.shard(visit.id) else { return };
        if !shard.visits.contains_key(&visit.id) {
            let visit = Arc::new(visit);
            self.put(&mut shard, None, |_| (), &visit);
            shard.dirty.remove(&visit.id);
        }
    }

    pub(super) fn find(&self, id: Uuid) -> Option<Arc<Visit>> {
        self.shard(id)?.visits.get(&id).cloned()
    }

    pub(super) fn find_by(&self, key: &Key) -> Option<Arc<Visit>> {
        self.find(self.index.find(key)?).filter(|visit| key.is_of(visit))
    }

    pub(super) fn query(&self, utm_content: Option<&str>, limit: usize) -> Vec<Arc<Visit>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let wanted = |visit: &&Arc<Visit>| utm_content.is_none_or(|content| visit.utm.content.as_deref() == Some(content));
            found.extend(shard.visits.values().filter(wanted).cloned());
            found.sort_by_key(|visit| Reverse((visit.last_seen, visit.id)));
            found.truncate(limit);
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).visits.len()).sum()
    }

    /// Forgets visits of the next shard that were not seen for `keep`: none is forgotten so punctually that each second should
    /// bring a look at all of them, 12 to 16 ms for a million. Once all shards had their turn it answers the moment before
    /// which visits are forgotten.
    pub(super) fn sweep(&self, now: UnixMillis) -> Option<UnixMillis> {
        let oldest = now.minus(self.keep);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        if let Some(shard) = self.shards.get(turn) {
            let mut shard = lock(shard);
            let gone: Vec<Uuid> = shard.visits.values().filter(|visit| visit.last_seen < oldest).map(|visit| visit.id).collect();
            for id in gone {
                self.remove(&mut shard, id);
            }
            // New visits wait meanwhile: not for the sake of a few.
            if shard.is_untidy() {
                shard.tidy();
            }
        }
        self.shared.sweep();
        (turn + 1 == self.shards.len()).then_some(oldest)
    }

    /// Takes the visits of all shards that changed since the last call and are to be stored.
    pub(super) fn take_dirty(&self) -> Vec<Arc<Visit>> {
        let mut changed = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let ids = std::mem::take(&mut shard.dirty);
            changed.extend(ids.iter().filter_map(|id| shard.visits.get(id).cloned()));
        }
        changed
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.index.len()
    }

    fn shard(&self, id: Uuid) -> Option<MutexGuard<'_, Shard>> {
        // Visit ids are ours and random in their low half; a forged one costs its own shard only, which is bounded.
        let low = usize::try_from(id.as_u128() & u128::from(u32::MAX)).unwrap_or(0);
        self.shards.get(low % self.shards.len()).map(lock)
    }

    /// Stores a changed or new visit that stands outside the map: index, pools, bounds, dirt.
    fn put(&self, shard: &mut Shard, known: Option<&Visit>, change: impl FnOnce(&mut Visit), visit: &Arc<Visit>) -> Arc<Visit> {
        let mut visit = Arc::clone(visit);
        if known.is_some() {
            change(Arc::make_mut(&mut visit));
        }
        self.reindex(known, &visit);
        shard.join(known.map(Visit::is_kept), &visit);
        if self.persists && visit.is_kept() {
            shard.dirty.insert(visit.id);
        }
        shard.visits.insert(visit.id, Arc::clone(&visit));
        while let Some(id) = shard.excess(visit.is_kept(), visit.id) {
            self.remove(shard, id);
        }
        visit
    }

    /// Takes away the keys a visit has no more, gives it those it has anew. Its cookies and its client are given again
    /// each time, since the newest visit has them; a link that went to another visit stays there.
    fn reindex(&self, known: Option<&Visit>, visit: &Visit) {
        let keys = Key::all_of(visit);
        let before = known.map(Key::all_of).unwrap_or_default();
        // A visit has few keys: some that collide on purpose cost no more than a walk along all of them.
        let kept: FxHashSet<&Key> = keys.iter().collect();
        for key in before.iter().filter(|key| !kept.contains(key)) {
            self.index.take(key, visit.id);
        }
        let before: FxHashSet<&Key> = before.iter().collect();
        for key in keys.iter().filter(|key| key.is_shared() || !before.contains(key)) {
            self.index.give(key, visit.id);
        }
    }

    fn remove(&self, shard: &mut Shard, id: Uuid) {
        let Some(visit) = shard.visits.remove(&id) else { return };
        for key in Key::all_of(&visit) {
            self.index.take(&key, id);
        }
        shard.pool(visit.is_kept()).members -= 1;
        shard.dirty.remove(&id);
    }
}

impl Shard {
    fn pool(&mut self, kept: bool) -> &mut Pool {
        if kept { &mut self.kept } else { &mut self.plain }
    }

    /// Counts a visit into its pool; one that changes pools leaves a stale entry behind, which is skipped later.
    fn join(&mut self, was_kept: Option<bool>, visit: &Visit) {
        let is_kept = visit.is_kept();
        if was_kept == Some(is_kept) {
            return;
        }
        if let Some(was_kept) = was_kept {
            self.pool(was_kept).members -= 1;
        }
        let pool = self.pool(is_kept);
        pool.members += 1;
        pool.queue.push_back((visit.id, visit.last_seen));
        if pool.queue.len() > pool.bound.saturating_mul(2) {
            self.tidy();
        }
    }

    /// The visit a pool over its bound gives up; never `newest`, which has just come.
    fn excess(&mut self, kept: bool, newest: Uuid) -> Option<Uuid> {
        let pool = if kept { &mut self.kept } else { &mut self.plain };
        if pool.members <= pool.bound {
            return None;
        }
        let mut to_spare = SPARED.min(pool.queue.len());
        // Each entry gets one second chance, and is spared once at most, so four times the queue is the end of it.
        for _ in 0..=pool.queue.len().saturating_mul(4) {
            let (id, seen) = pool.queue.pop_front()?;
            match self.visits.get(&id) {
                Some(visit) if visit.is_kept() != kept => {}
                Some(visit) if visit.last_seen > seen || id == newest => pool.queue.push_back((id, visit.last_seen)),
                // A click identifier is made up as fast as a page is asked for; those who proved themselves stay as long as others
                // can go.
                Some(visit) if to_spare > 0 && visit.page.proof == Some(Proof::Present) => {
                    to_spare -= 1;
                    pool.queue.push_back((id, visit.last_seen));
                }
                Some(_) => return Some(id),
                None => {}
            }
        }
        None
    }

    /// Whether a queue has a quarter more entries than members.
    fn is_untidy(&self) -> bool {
        [&self.kept, &self.plain].into_iter().any(|pool| pool.queue.len() > pool.members + pool.members / 4)
    }

    /// Drops stale entries of both queues.
    fn tidy(&mut self) {
        let visits = &self.visits;
        for (pool, kept) in [(&mut self.kept, true), (&mut self.plain, false)] {
            let mut listed = FxHashSet::default();
            pool.queue.retain(|(id, _)| visits.get(id).is_some_and(|visit| visit.is_kept() == kept) && listed.insert(*id));
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
