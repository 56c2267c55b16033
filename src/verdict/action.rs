//! What is done with a click, and the share of visits it is done to. Must not know how it is done.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use uuid::Uuid;

/// What is done with a click. All but the first three keep the page from the visitor, at least for now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClickAction {
    /// Served as it is.
    Allow,
    /// Served; the upstream learns score and band.
    #[default]
    Tag,
    /// Served; the page is asked for proof that a browser shows it.
    Prove,
    /// A small page of our own comes first, which a browser leaves behind by itself.
    Challenge(Challenge),
    /// Refused with this status.
    Block(StatusCode),
    /// Refused after a while.
    Tarpit {
        /// How long it is held.
        hold: Duration,
        /// With what it is refused then.
        status: StatusCode,
    },
    /// Sent elsewhere.
    Redirect(Arc<Redirect>),
    /// Served so many times, refused beyond.
    Limit(Rate),
}

/// What a challenge asks of a browser, mildest first: who passed one has passed those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trial {
    /// It comes back with a cookie; needs no script.
    Refresh,
    /// Its script runs.
    Js,
    /// Its script finds a number by trying (SHA-256).
    Pow,
}

impl Trial {
    /// All trials, mildest first.
    pub const ALL: [Self; 3] = [Self::Refresh, Self::Js, Self::Pow];

    /// The name used in rules, metrics and towards the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Js => "js",
            Self::Pow => "pow",
        }
    }

    /// The trial of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trial| trial.name() == name)
    }
}

/// A challenge as a rule states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Challenge {
    /// What is asked.
    pub trial: Trial,
    /// For a `pow`: the zero bits its hash must begin with; twice the work for each.
    pub bits: u8,
    /// How long a pass serves.
    pub pass: Duration,
}

/// A redirect as a rule states it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// A path of the own host, or a whole URL where the operator said that another host is meant.
    pub to: String,
    /// Whether click ids and campaign parameters of the request go along.
    pub keep_click_ids: bool,
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// The time in which they come back.
    pub per: Duration,
    /// How many, also at once.
    pub requests: u32,
}

impl ClickAction {
    /// The name used in rules, records and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Tag => "tag",
            Self::Prove => "prove",
            Self::Challenge(_) => "challenge",
            Self::Block(_) => "block",
            Self::Tarpit { .. } => "tarpit",
            Self::Redirect(_) => "redirect",
            Self::Limit(_) => "limit",
        }
    }

    /// Whether the page may be kept from the visitor, which takes the mode `strict`.
    pub fn intervenes(&self) -> bool {
        !matches!(self, Self::Allow | Self::Tag | Self::Prove)
    }
}

/// A click action that takes effect for a share of visits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Of a hundred visits.
    pub percent: u8,
    /// What is done with the clicks of the others.
    pub otherwise: ClickAction,
}

impl Share {
    /// Whether a visit is among them: told by its id alone, so that a visit stays on one side, and one that is among few
    /// is among more.
    pub fn holds(&self, visit: Uuid) -> bool {
        // FNV-1a; the ids' own digits are not evenly spread, since a v7 id begins with the time.
        let hash = visit
            .as_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        (hash ^ (hash >> 32)) % 100 < u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_holds_about_so_many_visits_and_always_the_same_ones() {
        let visits: Vec<Uuid> = (1..=10_000_u128).map(|n| Uuid::from_u128(n.wrapping_mul(0x1234_5678_9ABC_DEF1_2345))).collect();
        let share = |percent: u8| Share { percent, otherwise: ClickAction::Tag };
        let held = |percent: u8| visits.iter().filter(|visit| share(percent).holds(**visit)).count();
        assert_eq!((held(0), held(100)), (0, 10_000));
        assert!((800..1_200).contains(&held(10)), "{}", held(10));
        assert!(visits.iter().all(|visit| !share(10).holds(*visit) || share(30).holds(*visit)));
    }
}
