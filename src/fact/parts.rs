//! What is known of an address, an agent, a visit and an event, each by itself. Must not know where it was learnt.

use std::sync::Arc;
use std::time::Duration;

use crate::fact::aged::Aged;
use crate::fact::announcer::AsWords;
use crate::fact::form::AgentForm;
use crate::fact::words::AgentKind;
use crate::fact::words::Engine;
use crate::fact::words::InApp;
use crate::fact::words::NetworkKind;
use crate::fact::words::Os;
use crate::fact::words::Payment;
use crate::lists::ListSet;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its kind; [`NetworkKind::Unknown`] reads as an unknown fact.
    pub kind: NetworkKind,
    /// The number of the autonomous system that announces it.
    pub asn: Option<u32>,
    /// ISO 3166 alpha-2 country, upper case.
    pub country: Option<[u8; 2]>,
    /// The shipped lists it is on.
    pub lists: ListSet,
    /// The crawler whose published range holds it (`facebook`, `googlebot`, …).
    pub crawler: Option<&'static str>,
    /// Whether all lists that give the kind are past their age.
    pub stale: bool,
    /// The identities whose ranges are past their age.
    pub aged: Aged,
    /// What the name of whoever announces it says, where nothing else tells its kind.
    pub words: Option<AsWords>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            kind: NetworkKind::Unknown,
            asn: None,
            country: None,
            lists: ListSet::default(),
            crawler: None,
            stale: false,
            aged: Aged::default(),
            words: None,
        }
    }
}

/// What a user agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its kind.
    pub kind: AgentKind,
    /// Its family, lower case with `_` (`chrome`, `safari`, `headless_chrome`, `curl`, `googlebot`); empty if not told.
    pub family: Arc<str>,
    /// Its engine.
    pub engine: Option<Engine>,
    /// The family's major version.
    pub major: Option<u32>,
    /// The operating system.
    pub os: Option<Os>,
    /// Whether it claims to be a phone or tablet.
    pub mobile: bool,
    /// The app around it.
    pub in_app: Option<InApp>,
    /// The pattern of the shipped robot lists that matches.
    pub robot: Option<Arc<str>>,
    /// The identity a declared crawler claims (`meta`, `google`, `bing`, …).
    pub claims: Option<&'static str>,
    /// What its form shows.
    pub form: AgentForm,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            kind: AgentKind::Unknown,
            family: Arc::from(""),
            engine: None,
            major: None,
            os: None,
            mobile: false,
            in_app: None,
            robot: None,
            claims: None,
            form: AgentForm::default(),
        }
    }
}

/// What is known of who a declared crawler really is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// The agent claims to be nobody special.
    #[default]
    None,
    /// It claims to be a crawler whose ranges are not known here.
    Unverifiable,
    /// It claims to be this crawler and comes from its published range.
    Verified(&'static str),
    /// It claims to be this crawler and does not come from its published range.
    Impostor(&'static str),
}

/// What is known of the visit a request or event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VisitFacts {
    /// Page views so far.
    pub pages: Option<u32>,
    /// Time since the page in question was served.
    pub page_age: Option<Duration>,
    /// Time since the landing.
    pub age: Option<Duration>,
    /// A valid visit cookie came with the request.
    pub returning: Option<bool>,
}

/// What is known of a conversion event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventFacts<'a> {
    /// Its name, case kept.
    pub name: &'a str,
    /// The money behind it.
    pub payment: Payment,
    /// `custom_data.value`, in hundredths of the currency's unit.
    pub value: Option<i64>,
    /// Whether the page's own Pixel reported it (through the tag) or the shop's back end.
    pub from_browser: bool,
    /// Time from the click to the event.
    pub since_click: Option<Duration>,
}
