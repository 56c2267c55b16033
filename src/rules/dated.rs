//! The days from which rows of a file are past their date, and what a policy is compiled anew from when one of them has come:
//! the text and the lists as they were loaded, so that what became of the files since counts for nothing. Must not know the
//! time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;

use crate::clock::UnixMillis;
use crate::rules::about::About;
use crate::rules::list::List;

/// The lists of a file by their names; `None` where one has faults.
pub(super) type Lists = BTreeMap<String, Option<Arc<List>>>;

/// The dates that a file's rows and scopes carry.
#[derive(Debug, Default)]
pub(super) struct Dates {
    days: BTreeSet<Date>,
    /// The ids of those that have no effect any more.
    ended: Vec<Arc<str>>,
}

impl Dates {
    /// Notes what a row or scope says of itself.
    pub(super) fn note(&mut self, id: Option<&Arc<str>>, about: &About) {
        self.days.extend(about.expires);
        self.ended.extend(id.filter(|_| about.disabled).cloned());
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// The ids of those that have no effect any more.
    pub(super) fn ended(&self) -> &[Arc<str>] {
        &self.ended
    }

    /// Whether other rows are past their date on one day than on the other; the later one need not be the second, as a clock
    /// can be set back.
    pub(super) fn differ(&self, one: Date, other: Date) -> bool {
        let come = |day: Date| self.days.range(..=day).count();
        come(one) != come(other)
    }
}

/// What a policy with dates was compiled from, and on which day.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: String,
    pub(super) bytes: Box<[u8]>,
    pub(super) lists: Lists,
    pub(super) digest: String,
    pub(super) day: Date,
}

/// The day of a moment, in UTC.
pub(super) fn day(now: UnixMillis) -> Option<Date> {
    now.rfc3339().split('T').next()?.parse().ok()
}
