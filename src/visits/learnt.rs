//! What visits have taught of the shop as a whole, in the form in which it outlives a restart: how proofs stand, and whether
//! assets come through here. Nothing of a visitor but his coarse network. Must not know the database.

use serde::Deserialize;
use serde::Serialize;

use super::assets;
use super::canary;

/// All of it.
#[derive(Serialize, Deserialize)]
pub(super) struct Learnt {
    pub(super) proofs: canary::Kept,
    pub(super) assets: assets::Kept,
}

impl Learnt {
    /// As text; nothing where it cannot be written down.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a text says; a damaged one, or another version's, says nothing.
    pub(super) fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
