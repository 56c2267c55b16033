//! All facts: what is known about a click, a visit or an event, without judgement. A fact may be unknown; an unknown fact
//! never counts against a visitor. Must not know rules or points.

mod aged;
mod announcer;
mod behaviour;
mod challenge;
mod codes;
mod coherence;
pub mod counting;
#[cfg(test)]
pub(crate) mod drawn;
mod form;
mod names;
mod page;
mod parts;
mod shown;
mod words;

use std::net::IpAddr;
use std::time::Duration;

use http::header::HeaderName;

use crate::click::AdNetwork;
use crate::click::Field;
use crate::click::Purpose;
use crate::click::Scheme;
use crate::click::Sent;
use crate::click::field_text;

pub use crate::lists::ListSet;
pub use aged::Aged;
pub use announcer::AsWords;
pub use behaviour::Behaviour;
pub use challenge::ChallengeFacts;
pub use coherence::Accept;
pub use coherence::Coherence;
pub use coherence::Encodings;
pub use coherence::FetchMetadata;
pub use coherence::Fields;
pub use coherence::Fit;
pub use coherence::H2Family;
pub use coherence::HintsAgent;
pub use coherence::HintsForm;
pub use coherence::TlsFamily;
pub use form::AgentForm;
pub use names::FactName;
pub use names::Type;
pub use names::identity_names;
pub use page::Page;
pub use page::Zone;
pub use parts::Agent;
pub use parts::EventFacts;
pub use parts::Identity;
pub use parts::Network;
pub use parts::VisitFacts;
pub use shown::H2Shown;
pub use shown::Shown;
pub use shown::TlsShown;
pub use words::AgentKind;
pub use words::Agreement;
pub use words::ClickMoves;
pub use words::Counter;
pub use words::Deed;
pub use words::Device;
pub use words::Distinct;
pub use words::Engine;
pub use words::HttpVersion;
pub use words::IdShape;
pub use words::InApp;
pub use words::Look;
pub use words::NameCase;
pub use words::NetworkKind;
pub use words::Os;
pub use words::Payment;
pub use words::Proof;
pub use words::Signed;
pub use words::TlsVersion;

/// All facts about one request or event; what rules are evaluated on. It borrows, so building it costs no allocation.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What is known of the address.
    pub network: &'a Network,
    /// What the agent says.
    pub agent: &'a Agent,
    /// The user agent as sent.
    pub user_agent: Option<&'a str>,
    /// Who a declared crawler really is.
    pub identity: Identity,
    /// The request's fields; `None` where no request is at hand (all header facts are then unknown).
    pub sent: Option<Sent<'a>>,
    /// What the visitor's connection shows.
    pub shown: Shown<'a>,
    /// The scheme the visitor used.
    pub scheme: Option<Scheme>,
    /// Host without port, lower case.
    pub host: Option<&'a str>,
    /// The path.
    pub path: Option<&'a str>,
    /// Why the page was asked for.
    pub purpose: Option<Purpose>,
    /// The first ad identifier of the URL and its network.
    pub click_id: Option<(AdNetwork, &'a str)>,
    /// The shape of `fbclid`.
    pub fbclid: Option<IdShape>,
    /// The shape of `gclid`.
    pub gclid: Option<IdShape>,
    /// `utm_source` as sent.
    pub utm_source: Option<&'a str>,
    /// `utm_campaign` as sent.
    pub utm_campaign: Option<&'a str>,
    /// What the page reported.
    pub page: Page,
    /// The visit.
    pub visit: VisitFacts,
    /// The event, where one is judged.
    pub event: Option<EventFacts<'a>>,
    /// Whether the request agrees with itself.
    pub coherence: Coherence,
    /// What is known of behaviour over time.
    pub behaviour: Behaviour<'a>,
    /// How the signature of an automated client stands; `None` where no request is at hand.
    pub signed: Option<Signed>,
    /// The challenge of a click action.
    pub challenge: ChallengeFacts,
}

/// The value of one fact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not known: no condition on it holds, nor does its negation.
    Unknown,
    /// Known to be missing (a field the request does not have): only `missing: true` holds.
    Missing,
    /// Yes or no.
    Bool(bool),
    /// A whole number; durations are in milliseconds.
    Number(i64),
    /// Text.
    Text(&'a str),
    /// An address.
    Address(IpAddr),
}

impl<'a> Facts<'a> {
    /// Facts of which nothing is known but network and agent; the base that callers extend with `..`.
    pub fn unknown(network: &'a Network, agent: &'a Agent) -> Self {
        Self {
            address: None,
            network,
            agent,
            user_agent: None,
            identity: Identity::None,
            sent: None,
            shown: Shown::default(),
            scheme: None,
            host: None,
            path: None,
            purpose: None,
            click_id: None,
            fbclid: None,
            gclid: None,
            utm_source: None,
            utm_campaign: None,
            page: Page::default(),
            visit: VisitFacts::default(),
            event: None,
            coherence: Coherence::default(),
            behaviour: Behaviour::default(),
            signed: None,
            challenge: ChallengeFacts::default(),
        }
    }

    /// The value of a fact.
    pub fn value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::NetIp
            | FactName::NetKind
            | FactName::NetAsn
            | FactName::NetCountry
            | FactName::NetStale
            | FactName::NetAsWords => self.network_value(name),
            FactName::UaKind
            | FactName::UaFamily
            | FactName::UaEngine
            | FactName::UaMajor
            | FactName::UaOs
            | FactName::UaMobile
            | FactName::UaRobot
            | FactName::ClientInApp
            | FactName::Identity
            | FactName::IdentityImpostor => self.agent_value(name),
            FactName::UaDevice
            | FactName::UaBehind
            | FactName::UaFuture
            | FactName::UaImpossible
            | FactName::UaAltered
            | FactName::UaKnownBrowser
            | FactName::IdentityClaim
            | FactName::IdentityUnverified
            | FactName::AgentSigned => self.form_value(name),
            FactName::HttpVersion
            | FactName::HttpNames
            | FactName::HttpNameCase
            | FactName::TlsJa4
            | FactName::TlsJa4Stable
            | FactName::TlsGrease
            | FactName::TlsVersion
            | FactName::TlsSni
            | FactName::TlsAlpn
            | FactName::H2Fingerprint
            | FactName::H2Order
            | FactName::H2Weight
            | FactName::SpoofedForwarding => self.shown_value(name),
            _ => self.request_value(name),
        }
    }

    fn request_value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::HttpPurpose => known(self.purpose, |purpose| Value::Text(purpose.name())),
            FactName::HttpScheme => known(self.scheme, |scheme| Value::Text(scheme.name())),
            FactName::HttpHost => known(self.host, Value::Text),
            FactName::HttpPath => known(self.path, Value::Text),
            FactName::ClickNetwork => self.of_url(self.click_id.map(|(network, _)| network.name())),
            FactName::ClickId => self.of_url(self.click_id.map(|(_, id)| id)),
            FactName::UtmSource => self.of_url(self.utm_source),
            FactName::UtmCampaign => self.of_url(self.utm_campaign),
            FactName::ClickFbclidShape => known(self.fbclid, |shape| Value::Text(shape.name())),
            FactName::ClickGclidShape => known(self.gclid, |shape| Value::Text(shape.name())),
            FactName::ClientChallenge => known(self.challenge.name(), Value::Text),
            _ => self.coherence.value(name).unwrap_or_else(|| self.visit_value(name)),
        }
    }

    fn visit_value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::PageProof => known(self.page.proof, |proof| Value::Text(proof.name())),
            FactName::PageWebdriver => known(self.page.webdriver, Value::Bool),
            FactName::PageInteraction => known(self.page.interaction, Value::Bool),
            FactName::PageAge => known(self.visit.page_age, millis),
            FactName::SessionPages => known(self.visit.pages, |pages| Value::Number(i64::from(pages))),
            FactName::SessionAge => known(self.visit.age, millis),
            FactName::ClientReturning => known(self.visit.returning, Value::Bool),
            FactName::EventName => known(self.event, |event| Value::Text(event.name)),
            FactName::EventPayment => known(self.event, |event| Value::Text(event.payment.name())),
            FactName::EventFromBrowser => known(self.event, |event| Value::Bool(event.from_browser)),
            FactName::EventValue => known(self.event.and_then(|event| event.value), Value::Number),
            FactName::EventSinceClick => known(self.event.and_then(|event| event.since_click), millis),
            FactName::VisitSecondPageAfter
            | FactName::VisitAssets
            | FactName::VisitCadence
            | FactName::VisitFastestStep
            | FactName::VisitMedianStep
            | FactName::BurstCampaignAsn
            | FactName::EventSincePage
            | FactName::EventRepeats => self.behaviour.value(name),
            _ => self.page.value(name).unwrap_or(Value::Unknown),
        }
    }

    /// The value of a request field; the first where it is repeated.
    pub fn header(&self, name: &HeaderName) -> Value<'_> {
        match self.sent {
            None => Value::Unknown,
            Some(sent) => match sent.all().get(name) {
                None => Value::Missing,
                Some(value) => known(field_text(value), Value::Text),
            },
        }
    }

    /// The value of a field that is gathered.
    pub fn field(&self, field: Field) -> Value<'_> {
        match self.sent {
            None => Value::Unknown,
            Some(sent) => match sent.value(field) {
                None => Value::Missing,
                Some(value) => known(field_text(value), Value::Text),
            },
        }
    }

    fn network_value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::NetIp => known(self.address, Value::Address),
            FactName::NetKind | FactName::NetStale if self.network.kind == NetworkKind::Unknown => Value::Unknown,
            FactName::NetKind => Value::Text(self.network.kind.name()),
            FactName::NetAsn => known(self.network.asn, |asn| Value::Number(i64::from(asn))),
            FactName::NetStale => Value::Bool(self.network.stale),
            FactName::NetAsWords => known(self.network.words, |words| match words {
                AsWords::Hosting => Value::Text("hosting"),
                AsWords::Nothing => Value::Missing,
            }),
            _ => match &self.network.country {
                Some(code) => std::str::from_utf8(code).map_or(Value::Unknown, Value::Text),
                None => Value::Unknown,
            },
        }
    }

    fn agent_value(&self, name: FactName) -> Value<'_> {
        let agent = self.agent;
        match name {
            FactName::UaKind if agent.kind == AgentKind::Unknown => Value::Unknown,
            FactName::UaKind => Value::Text(agent.kind.name()),
            FactName::UaFamily if agent.family.is_empty() => Value::Unknown,
            FactName::UaFamily => Value::Text(&agent.family),
            FactName::UaEngine => known(agent.engine, |engine| Value::Text(engine.name())),
            FactName::UaMajor => known(agent.major, |major| Value::Number(i64::from(major))),
            FactName::UaOs => known(agent.os, |os| Value::Text(os.name())),
            FactName::UaMobile => known(agent.os, |_| Value::Bool(agent.mobile)),
            // An agent that was read and fits no pattern is known to fit none, whatever it is.
            FactName::UaRobot if agent.form.known_browser.is_none() && agent.kind == AgentKind::Unknown => Value::Unknown,
            FactName::UaRobot => Value::Bool(agent.robot.is_some()),
            FactName::ClientInApp => match (agent.in_app, agent.kind) {
                (Some(app), _) => Value::Text(app.name()),
                (None, AgentKind::Unknown) => Value::Unknown,
                (None, _) => Value::Missing,
            },
            FactName::Identity => match self.identity {
                Identity::Verified(name) => Value::Text(name),
                Identity::Unverifiable => Value::Unknown,
                Identity::None | Identity::Impostor(_) => Value::Missing,
            },
            _ => match self.identity {
                Identity::Impostor(_) => Value::Bool(true),
                Identity::Unverifiable => Value::Unknown,
                Identity::None | Identity::Verified(_) => Value::Bool(false),
            },
        }
    }

    fn shown_value(&self, name: FactName) -> Value<'_> {
        let Shown { version, tls, h2, names, spoofed_forwarding } = self.shown;
        match name {
            FactName::HttpVersion => known(version, |version| Value::Text(version.name())),
            FactName::HttpNames => known(names, Value::Text),
            FactName::HttpNameCase => known(self.shown.name_case(), |case| Value::Text(case.name())),
            FactName::TlsJa4 => known(tls, |tls| Value::Text(&tls.ja4)),
            FactName::TlsJa4Stable => known(tls.and_then(|tls| tls.ja4_stable.as_deref()), Value::Text),
            FactName::TlsGrease => known(tls.and_then(|tls| tls.grease), Value::Bool),
            FactName::TlsVersion => known(tls.and_then(|tls| tls.version), |version| Value::Text(version.name())),
            FactName::TlsSni => known(tls.and_then(|tls| tls.sni), Value::Bool),
            FactName::TlsAlpn => match tls.and_then(|tls| tls.alpn.as_deref()) {
                Some("") => Value::Missing,
                alpn => known(alpn, Value::Text),
            },
            FactName::H2Fingerprint => known(h2, |h2| Value::Text(&h2.fingerprint)),
            FactName::H2Order => known(h2, |h2| Value::Text(&h2.order)),
            FactName::H2Weight => known(h2, |h2| h2.weight.map_or(Value::Missing, |weight| Value::Number(i64::from(weight)))),
            _ => known(spoofed_forwarding, Value::Bool),
        }
    }

    /// A part of the URL: unknown where no request is at hand, missing where the URL lacks it.
    fn of_url(&self, part: Option<&'a str>) -> Value<'a> {
        match part {
            Some(text) => Value::Text(text),
            None if self.path.is_some() => Value::Missing,
            None => Value::Unknown,
        }
    }
}

fn known<'a, T>(fact: Option<T>, value: impl FnOnce(T) -> Value<'a>) -> Value<'a> {
    fact.map_or(Value::Unknown, value)
}

fn millis<'a>(duration: Duration) -> Value<'a> {
    Value::Number(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn every_fact_name_is_found_by_its_own_name_and_only_once() {
        for name in FactName::ALL {
            assert_eq!(FactName::of_name(name.name()), Some(*name));
        }
    }

    #[test]
    fn of_unknown_facts_all_are_unknown_but_what_is_known_of_nobody_special() {
        let (network, agent) = (Network::default(), Agent::default());
        let facts = Facts::unknown(&network, &agent);
        for name in FactName::ALL {
            let value = facts.value(*name);
            let tame = matches!(value, Value::Unknown | Value::Missing | Value::Bool(false));
            assert!(tame, "{}: {value:?}", name.name());
        }
    }

    #[test]
    fn a_field_a_request_lacks_is_missing_and_without_a_request_unknown() {
        let (network, agent, headers) = (Network::default(), Agent::default(), HeaderMap::new());
        let name = HeaderName::from_static("sec-ch-ua");
        let mut facts = Facts::unknown(&network, &agent);
        assert_eq!(facts.header(&name), Value::Unknown);
        facts.sent = Some(Sent::of(&headers));
        assert_eq!(facts.header(&name), Value::Missing);
    }

    #[test]
    fn the_old_names_of_network_and_agent_facts_are_aliases() {
        assert_eq!(FactName::of_name("network.kind"), Some(FactName::NetKind));
        assert_eq!(FactName::of_name("agent.kind"), Some(FactName::UaKind));
    }
}
