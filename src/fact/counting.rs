//! The words of counters: what a rule file lets be counted, by whom, and over what time. Promises: two counters that count
//! the same have the same [`Counted::id`], in whatever file they stand. Must not know any count.

use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHasher;

use crate::fact::NetworkKind;
use crate::fact::words::Counter;
use crate::fact::words::Distinct;

/// The most counters of one rule file: each costs every page view a look.
pub const MOST_COUNTERS: usize = 32;
/// The longest time a counter looks back.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// The shortest: a bucket of a window is a tenth of it.
pub const SHORTEST_WINDOW: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Page views.
    Views,
    /// Conversion events, of this name in lower case or of any; copies of one event count once.
    Events(Option<Box<str>>),
    /// How many different ones came with page views.
    Distinct(Distinct),
}

/// One counter as a rule file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name, asked for as `counter.NAME`.
    pub name: Arc<str>,
    /// What it counts.
    pub what: What,
    /// Whom it counts that of.
    pub by: Counter,
    /// How far it looks back.
    pub window: Duration,
    /// The same for counters that count the same.
    pub id: u64,
}

impl Counted {
    /// A counter.
    pub fn new(name: &str, what: What, by: Counter, window: Duration) -> Self {
        let mut hasher = FxHasher::default();
        (&what, by, window).hash(&mut hasher);
        Self { name: Arc::from(name), what, by, window, id: hasher.finish() }
    }
}

/// Whether one address of such a network stands for one household: behind a carrier, a relay or an office stand thousands
/// of people, and where the network is unknown nobody can tell. Counters by address know nothing there.
pub fn stands_for_few(kind: NetworkKind) -> bool {
    !matches!(
        kind,
        NetworkKind::Unknown
            | NetworkKind::MobileCarrier
            | NetworkKind::PrivateRelay
            | NetworkKind::Corporate
            // Reserved space: everybody behind a proxy that nobody named under `trusted_proxies`.
            | NetworkKind::Bogon
    )
}
