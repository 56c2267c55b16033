//! One configured list: where it comes from and what it must be like. Promises: what is shown of it carries no secret. Must not fetch.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::facts::Role;
use crate::lists::Format;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Networks and addresses.
    Networks,
    /// Numbers of autonomous systems.
    Numbers,
    /// A MaxMind DB.
    Database,
}

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Fetched; its query may hold a key.
    Url(Url),
    /// Read.
    File(PathBuf),
}

/// What a new copy must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Per cent of its entries that a list may lose at once.
    pub shrink: u64,
    /// Per cent of its entries that a list may gain at once.
    pub growth: u64,
    /// Bytes, unpacked.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { shrink: 50, growth: 200, bytes: 64 << 20 }
    }
}

/// One configured list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name; that of a shipped list replaces it.
    pub name: String,
    /// What its entries say.
    pub role: Role,
    /// What it holds.
    pub content: Content,
    /// Where it comes from.
    pub origin: Origin,
    /// Its form.
    pub format: Format,
    /// How often it is looked at.
    pub every: Duration,
    /// How long a copy holds.
    pub max_age: Duration,
    /// Whether it is left out when that is past.
    pub disable_when_stale: bool,
    /// What a new copy must keep to.
    pub bounds: Bounds,
    /// Whether no other configured list may hold any of its addresses.
    pub protected: bool,
}

impl Source {
    /// Where it comes from, for people: without user, password and query.
    pub fn shown(&self) -> String {
        match &self.origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Url(url) => shown(url),
        }
    }
}

pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // A URL that cannot have them has none.
    let _ = (url.set_username(""), url.set_password(None));
    url.to_string()
}
