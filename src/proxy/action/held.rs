//! The tarpit: requests that wait for nothing. Promises: never more than so many at once, and beyond its connection nothing is
//! kept of one. Must not know why it waits.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;

/// Room for so many, shared by all threads.
#[derive(Clone, Debug)]
pub(super) struct Tarpit {
    held: Arc<AtomicUsize>,
    gauge: Gauge,
}

/// One that is held; dropping it makes room.
#[derive(Debug)]
pub(in crate::proxy) struct Slot(Tarpit);

impl Tarpit {
    /// An empty one.
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { held: Arc::default(), gauge }
    }

    /// Takes a place, where fewer than `most` are taken.
    pub(super) fn enter(&self, most: usize) -> Option<Slot> {
        let more = |held: usize| (held < most).then(|| held.saturating_add(1));
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        self.gauge.inc();
        Some(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_again_when_one_leaves() {
        let tarpit = Tarpit::new(Gauge::default());
        let first = tarpit.enter(2).unwrap();
        let _second = tarpit.enter(2).unwrap();
        assert!(tarpit.enter(2).is_none());
        drop(first);
        assert!(tarpit.clone().enter(2).is_some());
        assert_eq!(tarpit.gauge.get(), 1);
    }
}
