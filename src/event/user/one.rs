//! One value of one key, for people who ask why a match is missing: what it becomes before and after hashing, or why it
//! is not used. The same rules as for events. Must not know events.

use crate::event::user::HASHED;
use crate::event::user::LONGEST_VALUE;
use crate::event::user::PLAIN;
use crate::event::user::Settings;
use crate::event::user::as_hash;
use crate::event::user::digest;
use crate::event::user::key_of;
use crate::event::user::plain;
use crate::event::user::rules;

/// What one value becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// The value before it is hashed; for keys that are not hashed the same as `output`.
    pub normalized: String,
    /// What goes on the wire.
    pub output: String,
}

/// Why a value is not used; the event goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Meta refuses a whole request for a key it does not know.
    #[error("Meta knows no such key")]
    UnknownKey,
    /// Nothing real is so long.
    #[error("longer than 512 bytes")]
    TooLong,
    /// `null`, `undefined` and their like: a template's gap.
    #[error("a word for nothing")]
    SaysNothing,
    /// Not a value of this key.
    #[error("not usable as a value of this key")]
    Malformed,
}

/// What one value of one key becomes; `None` for an empty text, which is no value.
///
/// # Errors
/// The value or the key cannot be used.
pub fn value(name: &str, raw: &str, settings: &Settings) -> Result<Option<Normal>, Unusable> {
    let key = key_of(name);
    let is_hashed = HASHED.contains(&key);
    if !is_hashed && !PLAIN.contains(&key) && key != "currency" {
        return Err(Unusable::UnknownKey);
    }
    let trimmed = rules::trim(raw);
    if trimmed.is_empty() {
        return Ok(None);
    }
    if is_hashed && raw.len() > LONGEST_VALUE {
        return Err(Unusable::TooLong);
    }
    if rules::says_nothing(trimmed) {
        return Err(Unusable::SaysNothing);
    }
    let same = |text: String| Normal { normalized: text.clone(), output: text };
    let normal = if !is_hashed {
        if key == "currency" { currency(trimmed) } else { plain(key, raw) }.map(same)
    } else if let Some(hash) = as_hash(trimmed) {
        Some(same(hash))
    } else {
        rules::apply(key, trimmed, settings).map(|normalized| Normal { output: digest(&normalized), normalized })
    };
    normal.map(Some).ok_or(Unusable::Malformed)
}

/// A currency's ISO 4217 letters; Meta takes either case.
fn currency(text: &str) -> Option<String> {
    (text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_alphabetic())).then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::user::hashed;
    use proptest::prelude::*;

    #[test]
    fn a_value_shows_what_it_becomes_or_why_it_is_not_used() {
        let of = |name: &str, raw: &str| value(name, raw, &Settings::default());
        let mail = of("email", " A@B.com ").unwrap().unwrap();
        assert_eq!((mail.normalized.as_str(), mail.output), ("a@b.com", digest("a@b.com")));
        let hash = digest("x").to_uppercase();
        assert_eq!(of("em", &hash).unwrap().unwrap().output, hash.to_lowercase());
        assert_eq!(of("client_ip_address", " 2001:DB8::1 ").unwrap().unwrap().output, "2001:db8::1");
        assert_eq!(of("currency", "eur").unwrap().unwrap().output, "EUR");
        assert_eq!(of("em", " ").unwrap(), None);
        assert_eq!(of("em", "null"), Err(Unusable::SaysNothing));
        assert_eq!(of("em", "nobody"), Err(Unusable::Malformed));
        assert_eq!(of("em", &"a".repeat(600)), Err(Unusable::TooLong));
        assert_eq!(of("shoe_size", "43"), Err(Unusable::UnknownKey));
    }

    proptest! {
        #[test]
        fn it_is_what_an_event_would_carry(key in 0..HASHED.len(), raw in "\\PC{0,40}") {
            let settings = Settings::default();
            let shown = value(HASHED[key], &raw, &settings).ok().flatten().map(|normal| normal.output);
            prop_assert_eq!(shown, hashed(HASHED[key], &raw, &settings));
        }
    }
}
