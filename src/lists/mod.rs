//! Lists of networks, numbers and words: reading them with all faults at once, and frozen tables that answer for an
//! address which lists hold it. Promises: hostile bytes never panic; a loaded table never fails.
//! Must not know what a list means for a visitor.

mod feed;
mod file;
mod format;
mod intervals;
mod lines;
mod mmdb;
mod network;
mod prefixes;
mod ranges;
mod shipped;
mod table;
mod text;
mod tree;

pub use file::read_file;
pub use format::Column;
pub use format::Format;
pub use mmdb::Anonymity;
pub use mmdb::Mmdb;
pub use mmdb::Record;
pub use prefixes::PrefixTable;
pub use ranges::Ranges;
pub use ranges::Reach;
pub use shipped::SHIPPED;
pub use shipped::Shipped;
pub use shipped::shipped;
pub use text::parse_numbers;
pub use text::parse_prefixes;
pub use text::parse_words;

/// A set of lists an address is on, by the list's place in the loaded lists; at most 64 lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListSet(pub u64);

impl ListSet {
    /// The set with one more list; a place of 64 and above is ignored.
    #[must_use]
    pub fn with(self, place: u8) -> Self {
        Self(self.0 | 1_u64.checked_shl(u32::from(place)).unwrap_or(0))
    }

    /// Whether the list at a place is in the set.
    pub fn has(self, place: u8) -> bool {
        self.0 & 1_u64.checked_shl(u32::from(place)).unwrap_or(0) != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The places in the set, ascending.
    pub fn places(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |place| self.has(*place))
    }
}
