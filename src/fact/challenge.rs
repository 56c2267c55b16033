//! What is known of a challenge that a click action put before the visitor. Must not know how it is checked.

/// What is known of a visitor's challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChallengeFacts {
    /// Whether the visitor has passed one not long ago; unknown where nobody looked.
    pub passed: Option<bool>,
}

impl ChallengeFacts {
    /// The words of the fact.
    pub const NAMES: &'static [&'static str] = &["passed", "absent"];

    /// The fact's word.
    pub fn name(self) -> Option<&'static str> {
        self.passed.map(|passed| if passed { "passed" } else { "absent" })
    }
}
