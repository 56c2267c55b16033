//! Which identities' published ranges are too old to call anybody an impostor. Must not know dates.

use crate::fact::names::identity_names;

/// A set of identities that crawlers claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged(u64);

impl Aged {
    /// The set with one more; names that no rule knows are left out.
    #[must_use]
    pub fn with(self, identity: &str) -> Self {
        Self(self.0 | bit(identity))
    }

    /// Whether an identity is in the set.
    pub fn has(self, identity: &str) -> bool {
        self.0 & bit(identity) != 0
    }
}

fn bit(identity: &str) -> u64 {
    let place = identity_names().iter().position(|name| *name == identity).and_then(|place| u32::try_from(place).ok());
    place.and_then(|place| 1_u64.checked_shl(place)).unwrap_or(0)
}
