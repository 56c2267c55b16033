//! What a page's script reported of the browser it ran in, and what was learnt of a page's traps. All of it comes from
//! outside: it was checked before it came here, and what a later report says can only lower trust. Must not know how it
//! travelled.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::fact::FactName;
use crate::fact::Value;
use crate::fact::words::Agreement;
use crate::fact::words::ClickMoves;
use crate::fact::words::Deed;
use crate::fact::words::Look;
use crate::fact::words::Proof;

/// What the page's script reported; `None` is unknown. Reports of earlier versions lack the newer fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Whether the script has run; unknown where no proof was possible.
    pub proof: Option<Proof>,
    /// `navigator.webdriver` or a driver's global was seen.
    pub webdriver: Option<bool>,
    /// A pointer, touch, key or scroll event was seen.
    pub interaction: Option<bool>,
    /// A driver left its marks in the page.
    pub driver: Option<bool>,
    /// `navigator.webdriver` is missing where it should be, or was replaced.
    pub webdriver_odd: Option<bool>,
    /// The platform against the agent.
    pub platform: Option<Agreement>,
    /// The page's agent against the request's.
    pub agent: Option<Agreement>,
    /// A worker against the page.
    pub worker: Option<Agreement>,
    /// The languages against the request's.
    pub languages: Option<Agreement>,
    /// The window against the screen.
    pub window: Option<Look>,
    /// Whether there is anything to point with.
    pub pointer: Option<Look>,
    /// The browser's own functions were wrapped.
    pub patched: Option<bool>,
    /// How the pointer came to the first mouse click.
    pub click_moves: Option<ClickMoves>,
    /// Only events that a script made were seen.
    pub untrusted: Option<bool>,
    /// The page is drawn by the processor.
    pub software_gl: Option<bool>,
    /// The browser's time zone.
    pub timezone: Option<Zone>,
    /// Time from the page's start to the first true interaction.
    pub first_interaction: Option<Duration>,
    /// What that interaction was.
    pub interaction_kind: Option<Deed>,
    /// The page was visible at least once.
    pub visible: Option<bool>,
    /// This visitor sent a proof that belongs to another.
    pub replayed: Option<bool>,
    /// A link that nobody sees was followed.
    pub trap_link: Option<bool>,
    /// A field that nobody sees was filled.
    pub trap_form: Option<bool>,
}

impl Page {
    /// Merges a later report. What speaks against the visitor stays, and so does what was proved; a later page cannot take
    /// it back. Only a pointer that jumped is forgiven once it moved: a page may open right under a pointer at rest.
    pub fn merge(&mut self, newer: &Self) {
        self.proof = match (self.proof, newer.proof) {
            (Some(Proof::Present), _) | (_, Some(Proof::Present)) => Some(Proof::Present),
            (known, None) => known,
            (_, newer) => newer,
        };
        for (known, newer) in [
            (&mut self.webdriver, newer.webdriver),
            (&mut self.interaction, newer.interaction),
            (&mut self.driver, newer.driver),
            (&mut self.webdriver_odd, newer.webdriver_odd),
            (&mut self.patched, newer.patched),
            (&mut self.untrusted, newer.untrusted),
            (&mut self.software_gl, newer.software_gl),
            (&mut self.visible, newer.visible),
            (&mut self.replayed, newer.replayed),
            (&mut self.trap_link, newer.trap_link),
            (&mut self.trap_form, newer.trap_form),
        ] {
            *known = higher(*known, newer);
        }
        self.platform = higher(self.platform, newer.platform);
        self.agent = higher(self.agent, newer.agent);
        self.worker = higher(self.worker, newer.worker);
        self.languages = higher(self.languages, newer.languages);
        self.window = higher(self.window, newer.window);
        self.pointer = higher(self.pointer, newer.pointer);
        self.click_moves = higher(self.click_moves, newer.click_moves);
        self.timezone = newer.timezone.or(self.timezone);
        self.first_interaction = self.first_interaction.or(newer.first_interaction);
        self.interaction_kind = self.interaction_kind.or(newer.interaction_kind);
        if self.interaction == Some(true) && self.untrusted.is_some() {
            self.untrusted = Some(false);
        }
    }

    /// The value of one of these facts; unknown for all others.
    pub(super) fn value(&self, name: FactName) -> Option<Value<'_>> {
        let agreement = |fact: Option<Agreement>| fact.map_or(Value::Unknown, |word| Value::Text(word.name()));
        let fit = |fact: Option<Look>| fact.map_or(Value::Unknown, |word| Value::Text(word.name()));
        let flag = |fact: Option<bool>| fact.map_or(Value::Unknown, Value::Bool);
        Some(match name {
            FactName::PageDriver => flag(self.driver),
            FactName::PageWebdriverOdd => flag(self.webdriver_odd),
            FactName::PagePlatform => agreement(self.platform),
            FactName::PageAgent => agreement(self.agent),
            FactName::PageWorker => agreement(self.worker),
            FactName::PageLanguages => agreement(self.languages),
            FactName::PageWindow => fit(self.window),
            FactName::PagePointer => fit(self.pointer),
            FactName::PagePatched => flag(self.patched),
            FactName::PageClickMoves => self.click_moves.map_or(Value::Unknown, |moves| Value::Text(moves.name())),
            FactName::PageUntrusted => flag(self.untrusted),
            FactName::PageSoftwareGl => flag(self.software_gl),
            FactName::PageTimezone => self.timezone.as_ref().map_or(Value::Unknown, |zone| Value::Text(zone.name())),
            FactName::PageFirstInteraction => self
                .first_interaction
                .map_or(Value::Unknown, |time| Value::Number(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))),
            FactName::PageInteractionKind => self.interaction_kind.map_or(Value::Unknown, |deed| Value::Text(deed.name())),
            FactName::PageVisible => flag(self.visible),
            FactName::PageReplayed => flag(self.replayed),
            FactName::TrapLink => flag(self.trap_link),
            FactName::TrapForm => flag(self.trap_form),
            _ => return None,
        })
    }
}

/// The worse of two reports, as the words are ordered; what is known stays known.
fn higher<T: Ord>(known: Option<T>, newer: Option<T>) -> Option<T> {
    known.max(newer)
}

/// The name of a time zone of the IANA database, kept in place: visits are many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    text: [u8; Self::LONGEST],
    length: u8,
}

impl Zone {
    /// The longest name: `America/Argentina/ComodRivadavia`.
    pub const LONGEST: usize = 32;

    /// A name of letters, digits, `/`, `_`, `+` and `-`; nothing else is one.
    pub fn of(name: &str) -> Option<Self> {
        let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-'));
        let mut text = [0; Self::LONGEST];
        text.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let length = u8::try_from(name.len()).ok()?;
        (fits && length > 0).then_some(Self { text, length })
    }

    /// The name.
    pub fn name(&self) -> &str {
        let text = self.text.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of(&name).ok_or_else(|| serde::de::Error::custom("no name of a time zone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_against_the_visitor_stays_and_a_pointer_that_moves_is_forgiven() {
        let mut page = Page {
            platform: Some(Agreement::Mismatch),
            window: Some(Look::Odd),
            replayed: Some(true),
            click_moves: Some(ClickMoves::Few),
            untrusted: Some(true),
            first_interaction: Some(Duration::from_secs(1)),
            ..Page::default()
        };
        page.merge(&Page {
            platform: Some(Agreement::Ok),
            window: Some(Look::Ok),
            replayed: Some(false),
            click_moves: Some(ClickMoves::Ok),
            untrusted: Some(true),
            interaction: Some(true),
            first_interaction: Some(Duration::from_secs(9)),
            ..Page::default()
        });
        assert_eq!((page.platform, page.window, page.replayed), (Some(Agreement::Mismatch), Some(Look::Odd), Some(true)));
        assert_eq!((page.click_moves, page.untrusted), (Some(ClickMoves::Ok), Some(false)));
        assert_eq!(page.first_interaction, Some(Duration::from_secs(1)));
        let known = page;
        page.merge(&Page::default());
        assert_eq!(page, known);
    }

    #[test]
    fn a_zone_is_a_name_and_nothing_else() {
        for name in ["America/Argentina/ComodRivadavia", "Etc/GMT+12", "UTC"] {
            assert_eq!(Zone::of(name).map(|zone| zone.name().to_owned()).as_deref(), Some(name));
        }
        for name in ["", "America/Argentina/ComodRivadaviaX", "Europe/Z\u{fc}rich", "a b", "<b>"] {
            assert_eq!(Zone::of(name), None, "{name}");
        }
    }

    #[test]
    fn a_report_of_an_earlier_version_is_read() {
        let page: Page = serde_json::from_str(r#"{"proof":"present","webdriver":false,"interaction":true}"#).unwrap();
        assert_eq!((page.proof, page.interaction, page.trap_link), (Some(Proof::Present), Some(true), None));
        let full = Page { timezone: Zone::of("Europe/Berlin"), first_interaction: Some(Duration::from_millis(7)), ..page };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<Page>(&text).unwrap(), full);
    }
}
