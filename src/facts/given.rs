//! Lists that an operator configures, read and checked, and what is told of every list in use. Must not know where lists come
//! from or how they are fetched.

use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;

use crate::clock::UnixMillis;
use crate::fact::NetworkKind;
use crate::lists::ListSet;

/// What a list's entries say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They have this kind.
    Kind(NetworkKind),
    /// They are the published ranges of this identity's crawlers.
    Identity(&'static str),
    /// Nothing but that they are on the list.
    Plain,
}

/// What a list holds.
#[derive(Clone, Debug)]
pub enum Entries {
    /// Networks and addresses.
    Networks(Vec<IpNetwork>),
    /// Numbers of autonomous systems.
    Numbers(Vec<u32>),
    /// A MaxMind DB.
    Database(Vec<u8>),
}

impl Entries {
    /// How many; a database counts as one.
    pub fn len(&self) -> usize {
        match self {
            Self::Networks(networks) => networks.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Database(_) => 1,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A configured list; it takes the place of a shipped one of the same name.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// What its entries say.
    pub role: Role,
    /// What it holds.
    pub entries: Arc<Entries>,
    /// When it was last known to be current.
    pub as_of: UnixMillis,
    /// How long it holds from then on.
    pub max_age: Duration,
    /// Whether it is left out, and not only said to be old, when it is past its age.
    pub disable_when_stale: bool,
    /// Whether no other configured list may hold any of its addresses.
    pub protected: bool,
    /// Where it comes from, for people; no secrets.
    pub source: String,
}

/// What is told of one list in use.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub name: String,
    /// What its entries say.
    pub role: Role,
    /// How many entries it has.
    pub entries: usize,
    /// When it was last known to be current; a shipped one's snapshot.
    pub as_of: UnixMillis,
    /// Until when it holds; `None` for lists that do not age.
    pub holds_until: Option<UnixMillis>,
    /// Whether that is past.
    pub stale: bool,
    /// Whether it is left out for that.
    pub disabled: bool,
    /// Whether no other configured list may hold any of its addresses.
    pub protected: bool,
    /// `shipped`, a file, or a URL.
    pub source: String,
    /// How many of its entries meet protected addresses, which are not on it.
    pub against_protected: usize,
    /// The first of them.
    pub examples: Vec<IpNetwork>,
    /// Its place in [`crate::fact::Network::lists`], for a list of networks.
    pub place: Option<u8>,
}

/// The kinds that lists give, each with the lists that give it, in the order of their precedence.
#[derive(Debug, Default)]
pub(super) struct Kinds(Vec<(ListSet, NetworkKind)>);

impl Kinds {
    pub(super) fn add(&mut self, kind: NetworkKind, place: u8) {
        match self.0.binary_search_by_key(&kind, |(_, kind)| *kind) {
            Ok(at) => {
                if let Some((lists, _)) = self.0.get_mut(at) {
                    *lists = lists.with(place);
                }
            }
            Err(at) => self.0.insert(at, (ListSet::default().with(place), kind)),
        }
    }

    /// The kind that decides, and the lists that give it.
    pub(super) fn of(&self, lists: ListSet) -> Option<(NetworkKind, ListSet)> {
        let first = self.0.iter().find(|(of_kind, _)| of_kind.0 & lists.0 != 0);
        first.map(|(of_kind, kind)| (*kind, ListSet(of_kind.0 & lists.0)))
    }
}
