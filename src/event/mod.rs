//! The conversion event: its id, its parts, and the personal data in it, which is normalised and hashed at the first
//! hop. What stands here may be stored; raw contact data never leaves [`user`]. Must not know rules or the spool.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

pub mod parse;
pub mod user;

/// The key that the browser's and the server's copy of an event share, together with the event's name.
/// 1 to 128 bytes of visible ASCII.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Box<str>);

/// How the ids begin that no browser may claim.
const APART: &str = "backend.";

/// The key of a stored event body under which stands what its request said for all its events (`test_event_code` and its
/// like); no part of the event itself.
pub const REQUEST: &str = "~request";

impl EventId {
    /// The longest id that is taken.
    pub const LONGEST: usize = 128;

    /// The id of the `n`-th event of one name on a page view, counted from 1: the page's own id for the first,
    /// `<page id>.<n>` for each later one.
    pub fn of_page(page: Uuid, n: u32) -> Self {
        if n <= 1 { Self(page.simple().to_string().into()) } else { Self(format!("{}.{n}", page.simple()).into()) }
    }

    /// The id of a Purchase with an order id: `o.<order id>` in both halves, so that a re-opened thank-you page is
    /// the same event. An order id that is too long or not visible ASCII gives none.
    pub fn of_order(order: &str) -> Option<Self> {
        Self::parse(&format!("o.{order}"))
    }

    /// The id of a back end's event whose own id a stranger's browser has spent: `backend.<id>`. None where it would be too
    /// long.
    pub fn apart(&self) -> Option<Self> {
        Self::parse(&format!("{APART}{}", self.0))
    }

    /// Whether only back ends may use it.
    pub fn is_back_ends(&self) -> bool {
        self.0.starts_with(APART)
    }

    /// Takes an id as a client sends it.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// The id's text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EventId({})", self.0)
    }
}

/// Which half reported an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The page's tag; anybody may have written it.
    Browser,
    /// An authenticated back-end door.
    Backend,
}

impl Source {
    /// The name used in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Backend => "backend",
        }
    }
}

/// One conversion event, ready to be joined and judged: its user data is hashed already.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name, case kept; 1 to 50 characters.
    pub name: String,
    /// When it happened, seconds since the epoch; never changed once taken.
    pub time: u64,
    /// The id the sender gave, if any.
    pub id: Option<EventId>,
    /// Which half reported it.
    pub source: Source,
    /// `action_source`.
    pub action_source: String,
    /// `event_source_url`, without contact-like parameters.
    pub source_url: Option<String>,
    /// Hashed and plain matching keys in Meta's names, every value a text or a list of texts.
    pub user_data: Map<String, Value>,
    /// `custom_data`, without contact-like keys.
    pub custom_data: Map<String, Value>,
    /// Further known keys that go along as they are (`opt_out`, `data_processing_options`, `referrer_url`, …).
    pub extra: Map<String, Value>,
    /// What the request that brought it says for all its events.
    pub request: Map<String, Value>,
}

impl Event {
    /// `custom_data.order_id` as text.
    pub fn order(&self) -> Option<String> {
        match self.custom_data.get("order_id")? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_of_a_name_has_the_pages_id_and_later_ones_count_on() {
        let page = Uuid::from_u128(7);
        assert_eq!(EventId::of_page(page, 1).text(), "00000000000000000000000000000007");
        assert_eq!(EventId::of_page(page, 3).text(), "00000000000000000000000000000007.3");
    }

    #[test]
    fn an_id_apart_is_told_from_those_that_browsers_use() {
        let order = EventId::of_order("A-100").unwrap();
        let apart = order.apart().unwrap();
        assert_eq!(apart.text(), "backend.o.A-100");
        assert!(apart.is_back_ends() && !order.is_back_ends());
        assert_eq!(EventId::of_order(&"9".repeat(126)).unwrap().apart(), None);
    }

    #[test]
    fn an_order_id_that_could_not_be_an_event_id_gives_none() {
        assert_eq!(EventId::of_order("A-100").map(|id| id.to_string()), Some("o.A-100".to_owned()));
        assert_eq!(EventId::of_order("a b"), None);
        assert_eq!(EventId::of_order(&"9".repeat(200)), None);
    }
}
