//! The servers of one shop as all threads share them: how they stand, how many requests each has at once, and who waits
//! for a place. Promises: never more requests at a server than it may have; who waits is served in turn, and who leaves gives
//! up the turn; waiting holds up nobody else. Must not know connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::proxy::reply::Kind;
use crate::proxy::servers::Group;
use crate::proxy::servers::Server;
use crate::proxy::servers::standing::Standing;
use crate::telemetry::Metrics;

/// One server with what all threads know of it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) server: Server,
    pub(super) standing: Standing,
    under_way: AtomicU32,
}

impl Member {
    /// Requests it has now.
    pub(super) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Whether it has as many requests as it may have.
    pub(super) fn is_full(&self) -> bool {
        self.server.connections.is_some_and(|most| self.under_way() >= most)
    }

    fn enter(&self) -> bool {
        let most = self.server.connections.unwrap_or(u32::MAX);
        let more = |now: u32| (now < most).then(|| now.saturating_add(1));
        self.under_way.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }
}

/// The servers of one shop.
#[derive(Debug)]
pub(super) struct Farm {
    pub(super) group: Group,
    pub(super) members: Vec<Member>,
    /// Some server may have only so many requests at once; without that nothing is counted.
    limited: bool,
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
    length: Gauge,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiters: VecDeque<(u64, oneshot::Sender<Place>)>,
}

/// A request's place at a server; dropping it gives it to whoever waits longest.
#[derive(Debug)]
pub struct Place {
    farm: Arc<Farm>,
    index: usize,
}

impl Place {
    /// Which server it is at.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(member) = self.farm.members.get(self.index) {
            member.under_way.fetch_sub(1, Ordering::SeqCst);
        }
        self.farm.next();
    }
}

/// A turn in the queue; dropping it gives it up.
struct Turn<'a> {
    farm: &'a Arc<Farm>,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.farm.queue();
        queue.waiters.retain(|(number, _)| *number != self.number);
        self.farm.count(&queue);
    }
}

impl Farm {
    /// The servers of a group, all of them thought well of.
    pub(super) fn new(group: Group, metrics: &Metrics, clock: &Clock) -> Self {
        let member = |server: &Server| {
            let name = server.origin.authority();
            // Of a server that nobody watches nobody knows.
            let up = if group.is_plain() { Gauge::default() } else { metrics.upstream_up.with(&[("server", name)]) };
            Member {
                server: server.clone(),
                standing: Standing::new(name, group.failures, group.rest, clock.clone(), up),
                under_way: AtomicU32::new(0),
            }
        };
        Self {
            members: group.servers.iter().map(member).collect(),
            limited: group.servers.iter().any(|server| server.connections.is_some()),
            group,
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
            length: metrics.upstream_queue.clone(),
        }
    }

    /// Whether requests are counted at all.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether somebody waits already, whom nobody may overtake.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// A place at this server, unless it is full.
    pub(super) fn enter(self: &Arc<Self>, index: usize) -> Option<Place> {
        self.members.get(index)?.enter().then(|| Place { farm: Arc::clone(self), index })
    }

    /// Waits for a place at any server.
    pub(super) async fn wait(self: &Arc<Self>) -> Result<Place, Kind> {
        let (sender, place) = oneshot::channel();
        // Given up when this ends, however it ends. A place that is handed over at that moment goes on to the next.
        let _turn = self.line_up(sender)?;
        match timeout(self.group.queue.wait, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Kind::QueueLate),
        }
    }

    fn line_up(self: &Arc<Self>, sender: oneshot::Sender<Place>) -> Result<Turn<'_>, Kind> {
        let mut queue = self.queue();
        if queue.waiters.len() >= self.group.queue.length {
            return Err(Kind::QueueFull);
        }
        let number = queue.next;
        queue.next = number.wrapping_add(1);
        queue.waiters.push_back((number, sender));
        self.count(&queue);
        drop(queue);
        let turn = Turn { farm: self, number };
        // A place that was left before anybody waited is nobody's: it is looked for once more.
        self.next();
        Ok(turn)
    }

    /// Gives free places to those who wait longest.
    fn next(self: &Arc<Self>) {
        while self.is_awaited() {
            let mut queue = self.queue();
            let Some(place) = (!queue.waiters.is_empty()).then(|| self.free()).flatten() else { return };
            let waiter = queue.waiters.pop_front();
            self.count(&queue);
            // What comes back is dropped below, where the lock is held no more.
            drop(queue);
            let back = waiter.map(|(_, sender)| sender.send(place));
            drop(back);
        }
    }

    /// A place at any server that is in; at any at all where none is.
    fn free(self: &Arc<Self>) -> Option<Place> {
        let any_in = self.members.iter().any(|member| member.standing.is_in());
        let fit = |member: &Member| !any_in || member.standing.is_in();
        let mut fitting = self.members.iter().enumerate().filter(|(_, member)| fit(member));
        fitting.find_map(|(index, _)| self.enter(index))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, queue: &Queue) {
        let before = self.waiting.swap(queue.waiters.len(), Ordering::SeqCst);
        let (before, now) = (i64::try_from(before).unwrap_or(0), i64::try_from(queue.waiters.len()).unwrap_or(0));
        self.length.inc_by(now.saturating_sub(before));
    }
}
