//! Sealed values that visitors carry for us: the page token and the visit cookie. Authenticated encryption, so that
//! nobody reads their score or makes their own. Must not know how they travel.

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::verdict::{Class, PixelAction, Score};

/// What a page carries so that the collector knows which view an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The page view's id, which is the id of its first event of each name.
    pub page: Uuid,
    /// The visit.
    pub visit: Uuid,
    /// When it was sealed.
    pub issued: UnixMillis,
    /// The class at that time.
    pub class: Class,
    /// The score at that time.
    pub score: Score,
    /// What the Pixel was told to do.
    pub pixel: PixelAction,
}

/// What a visitor's cookie carries so that a restart or another replica understands the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitCookie {
    /// The visit.
    pub visit: Uuid,
    /// When it began.
    pub first_seen: UnixMillis,
    /// The class at landing.
    pub class: Class,
    /// The score at landing.
    pub score: Score,
    /// A digest of the click ids of the landing; 0 for none.
    pub clicks: u64,
}
