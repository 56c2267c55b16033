//! The rows of a compiled policy. Must not know files.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::fact::FactName;
use crate::rules::about::About;
use crate::rules::bands::Bands;
use crate::rules::case::Case;
use crate::rules::condition::Condition;
use crate::rules::dated::Dates;
use crate::rules::declared::Declared;
use crate::rules::index::Index;
use crate::rules::scopes::Scopes;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;

/// The most groups a file may declare; sums are kept in an array of this length.
pub(super) const MOST_GROUPS: usize = 16;
/// From here on a single signal makes a visit `likely_invalid`, which takes a proof.
pub(super) const PROOF_FROM: i16 = 60;

/// What a file says, compiled.
#[derive(Debug)]
pub(super) struct Rows {
    /// Whether actions and decisions take effect.
    pub(super) mode: RuleMode,
    /// Groups, their caps; places are what signals refer to.
    pub(super) groups: Vec<Group>,
    /// Where the bands begin.
    pub(super) bands: Bands,
    /// Kinds of network and identities of the file's own.
    pub(super) declared: Declared,
    pub(super) classify: Vec<Classify>,
    pub(super) signals: Vec<Signal>,
    /// Classify rows, and behind them signals, arranged for evaluation.
    pub(super) index: Index,
    /// The numbers of these rows by their ids; rows past their date have none.
    pub(super) numbers: FxHashMap<Arc<str>, usize>,
    /// Whether rows on clicks or the Pixel ask for more than class and band.
    pub(super) actions_ask: bool,
    pub(super) click: Vec<Row<ClickAction>>,
    pub(super) pixel: Vec<Row<PixelAction>>,
    /// Rows by destination; `*` serves those without rows of their own.
    pub(super) events: Vec<(String, Vec<Row<Decision>>)>,
    /// Parts of the shop that are judged otherwise.
    pub(super) scopes: Scopes,
    /// When rows are past their date.
    pub(super) dates: Dates,
}

impl Rows {
    /// All rows with what they say of themselves and their condition: classify, signals, then the policy of the file and
    /// of its scopes.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &About, &Condition)> {
        let classify = self.classify.iter().map(|row| (&row.id, &row.about, &row.condition));
        let signals = self.signals.iter().map(|row| (&row.id, &row.about, &row.condition));
        let scopes = self.scopes.iter();
        let click = self.click.iter().chain(scopes.flat_map(|scope| scope.click.iter().flatten())).map(Row::parts);
        let scopes = self.scopes.iter();
        let pixel = self.pixel.iter().chain(scopes.flat_map(|scope| scope.pixel.iter().flatten())).map(Row::parts);
        let scopes = self.scopes.iter();
        let events = self.events.iter().chain(scopes.flat_map(|scope| scope.events.iter().flatten()));
        let events = events.flat_map(|(_, rows)| rows.iter().map(Row::parts));
        classify.chain(signals).chain(click).chain(pixel).chain(events)
    }

    /// The number of the classify row or signal of that id.
    pub(super) fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// Whether conditions ask for each fact, in the order of [`FactName::ALL`].
    pub(super) fn asked(&self) -> [bool; FactName::ALL.len()] {
        let mut asked = Vec::new();
        for (_, _, condition) in self.all() {
            condition.asks(&mut asked);
        }
        std::array::from_fn(|place| FactName::ALL.get(place).is_some_and(|name| asked.contains(name)))
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
    /// It is past its time.
    Off,
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
    pub(super) mode: RuleMode,
    pub(super) about: About,
    pub(super) at: Place,
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
    pub(super) about: About,
    pub(super) cases: Vec<Case>,
}

/// Line and column of a row.
pub(super) type Place = (u32, u32);

/// A row of a policy.
#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) id: Arc<str>,
    pub(super) guard: Guard,
    pub(super) action: T,
    pub(super) mode: RuleMode,
    /// The share of visits it takes effect for, in hundredths; `None` is all.
    pub(super) percent: Option<u8>,
    pub(super) about: About,
    pub(super) at: Place,
    pub(super) cases: Vec<Case>,
}

impl<T> Row<T> {
    fn parts(&self) -> (&Arc<str>, &About, &Condition) {
        (&self.id, &self.about, &self.guard.condition)
    }
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

    /// Whether it speaks wherever `other` does, whatever the facts are.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let classes = self.class.is_none() || self.class == other.class;
        let bands = |of: &Self| if of.bands.is_empty() { Band::ALL.to_vec() } else { of.bands.clone() };
        let own = bands(self);
        self.condition.is_always() && classes && bands(other).iter().all(|band| own.contains(band))
    }

    /// Whether it speaks for a class and band; the condition is not asked.
    pub(super) fn fits(&self, class: Class, band: Band) -> bool {
        self.class.is_none_or(|wanted| wanted == class) && (self.bands.is_empty() || self.bands.contains(&band))
    }
}
