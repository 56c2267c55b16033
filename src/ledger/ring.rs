//! The newest records in memory, for queries. Bounded. Must not know files.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMillis;

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An ad click.
    Click,
    /// Any other page view.
    Page,
    /// A step of a conversion event.
    Event,
}

impl Kind {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Click, Self::Page, Self::Event];

    /// The name used in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Page => "page",
            Self::Event => "event",
        }
    }

    /// The type of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What records are asked for; `None` lets all through.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<Kind>,
    /// Of this visit.
    pub visit: Option<Uuid>,
    /// With this `event_id`.
    pub event_id: Option<String>,
    /// With this `utm_content`.
    pub utm_content: Option<String>,
    /// Not older than this.
    pub since: Option<UnixMillis>,
    /// At most so many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { kind: None, visit: None, event_id: None, utm_content: None, since: None, limit: 100 }
    }
}

/// One record as the ring keeps it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) time: UnixMillis,
    pub(super) visit: Option<Uuid>,
    pub(super) event_id: String,
    pub(super) utm_content: Option<String>,
    pub(super) line: Arc<str>,
}

/// The newest records.
#[derive(Debug)]
pub(super) struct Ring {
    kept: VecDeque<Kept>,
    bound: usize,
}

impl Ring {
    /// A ring of at most `bound` records.
    pub(super) fn new(bound: usize) -> Self {
        Self { kept: VecDeque::new(), bound }
    }

    /// Adds the newest record; the oldest goes where the ring is full.
    pub(super) fn push(&mut self, record: Kept) {
        while !self.kept.is_empty() && self.kept.len() >= self.bound {
            self.kept.pop_front();
        }
        if self.bound > 0 {
            self.kept.push_back(record);
        }
    }

    /// The lines a filter lets through, newest first.
    pub(super) fn find(&self, filter: &Filter) -> Vec<Arc<str>> {
        self.kept.iter().rev().filter(|kept| lets(filter, kept)).take(filter.limit).map(|kept| Arc::clone(&kept.line)).collect()
    }
}

fn lets(filter: &Filter, kept: &Kept) -> bool {
    filter.kind.is_none_or(|kind| kind == kept.kind)
        && filter.visit.is_none_or(|visit| kept.visit == Some(visit))
        && filter.event_id.as_ref().is_none_or(|id| *id == kept.event_id)
        && filter.utm_content.as_ref().is_none_or(|content| kept.utm_content.as_ref() == Some(content))
        && filter.since.is_none_or(|since| kept.time >= since)
}
