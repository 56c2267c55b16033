//! The rows of a compiled policy. Must not know files.

use std::sync::Arc;

use crate::fact::FactName;
use crate::rules::case::Case;
use crate::rules::condition::Condition;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;

/// The most groups a file may declare; sums are kept in an array of this length.
pub(super) const MOST_GROUPS: usize = 16;

/// What a file says, compiled.
#[derive(Debug)]
pub(super) struct Rows {
    /// Whether actions and decisions take effect.
    pub(super) mode: RuleMode,
    /// Groups, their caps; places are what signals refer to.
    pub(super) groups: Vec<Group>,
    /// The first point of each band, in the order of [`Band::ALL`].
    pub(super) bands: [u8; 4],
    pub(super) classify: Vec<Classify>,
    pub(super) signals: Vec<Signal>,
    pub(super) click: Vec<Row<ClickAction>>,
    pub(super) pixel: Vec<Row<PixelAction>>,
    /// Rows by destination; `*` serves those without rows of their own.
    pub(super) events: Vec<(String, Vec<Row<Decision>>)>,
}

impl Rows {
    /// The ids of all rows, in file order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let events = self.events.iter().flat_map(|(_, rows)| rows.iter().map(|row| &*row.id));
        self.classify
            .iter()
            .map(|row| &*row.id)
            .chain(self.signals.iter().map(|row| &*row.id))
            .chain(self.click.iter().map(|row| &*row.id))
            .chain(self.pixel.iter().map(|row| &*row.id))
            .chain(events)
    }

    /// The facts that conditions ask for.
    pub(super) fn asked(&self) -> Vec<FactName> {
        let mut asked = Vec::new();
        let classify = self.classify.iter().map(|row| &row.condition);
        let signals = self.signals.iter().map(|row| &row.condition);
        let click = self.click.iter().map(|row| &row.guard.condition);
        let pixel = self.pixel.iter().map(|row| &row.guard.condition);
        let events = self.events.iter().flat_map(|(_, rows)| rows.iter().map(|row| &row.guard.condition));
        for condition in classify.chain(signals).chain(click).chain(pixel).chain(events) {
            condition.asks(&mut asked);
        }
        asked
    }

    /// The band of a score.
    pub(super) fn band(&self, points: u8) -> Band {
        Band::ALL.into_iter().zip(self.bands).rev().find(|(_, first)| points >= *first).map_or(Band::Human, |(band, _)| band)
    }

    /// The first point of a band.
    pub(super) fn first_point(&self, band: Band) -> u8 {
        Band::ALL.into_iter().zip(self.bands).find(|(of, _)| *of == band).map_or(0, |(_, first)| first)
    }
}

/// Whether a rule takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RuleMode {
    /// It is only recorded.
    Shadow,
    /// It takes effect.
    #[default]
    Enforce,
}

/// A group of signals that speak of the same thing.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Positive: the most its signals add. Negative: the most they take off.
    pub(super) cap: i32,
}

/// A row that settles what a request is.
#[derive(Debug)]
pub(super) struct Classify {
    pub(super) id: Arc<str>,
    pub(super) condition: Condition,
    pub(super) class: Class,
    pub(super) category: Category,
    pub(super) cases: Vec<Case>,
}

/// How sure a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Proof,
    Probable,
}

/// A scored condition.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) id: Arc<str>,
    pub(super) condition: Condition,
    pub(super) points: i16,
    pub(super) group: usize,
    pub(super) category: Category,
    pub(super) certainty: Certainty,
    pub(super) mode: RuleMode,
    pub(super) cases: Vec<Case>,
}

/// A row of a policy.
#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) id: Arc<str>,
    pub(super) guard: Guard,
    pub(super) action: T,
    pub(super) cases: Vec<Case>,
}

/// When a policy row speaks.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) class: Option<Class>,
    /// The bands it speaks for; empty for all.
    pub(super) bands: Vec<Band>,
    pub(super) condition: Condition,
}

impl Guard {
    /// Whether it holds whatever the verdict and the facts are.
    pub(super) fn is_always(&self) -> bool {
        self.class.is_none() && self.bands.is_empty() && self.condition.is_always()
    }

    /// Whether it speaks for a class and band; the condition is not asked.
    pub(super) fn fits(&self, class: Class, band: Band) -> bool {
        self.class.is_none_or(|wanted| wanted == class) && (self.bands.is_empty() || self.bands.contains(&band))
    }
}
