//! Names, types and units of all facts: what is known about a click, a visit or an event, without judgement.
//! A fact may be unknown; an unknown fact never counts against a visitor. Must not know rules or points.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;
use serde::{Deserialize, Serialize};

use crate::click::{AdNetwork, Purpose, Scheme};
pub use crate::lists::ListSet;

macro_rules! words {
    ($(#[$says:meta])* $kind:ident { $($(#[$variant_says:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$says])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $kind { $($(#[$variant_says])* #[serde(rename = $name)] $variant,)+ }

        impl $kind {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The names of all values, in order.
            pub const NAMES: &'static [&'static str] = &[$($name,)+];

            /// The name used in rules, records and batch output.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The value of that name.
            pub fn of_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

words! {
    /// What kind of network an address belongs to; the first that applies in this order of the lists
    /// (private relay, corporate, crawler, then tor, vpn, open proxy, then cloud, datacenter).
    NetworkKind {
        /// iCloud Private Relay and its like: paying people.
        PrivateRelay = "private_relay",
        /// Office gateways.
        Corporate = "corporate",
        /// A published range of a crawler's operator.
        Crawler = "crawler",
        /// A Tor exit.
        Tor = "tor",
        /// A commercial VPN.
        Vpn = "vpn",
        /// A listed open proxy.
        OpenProxy = "open_proxy",
        /// A cloud provider's published range.
        Cloud = "cloud",
        /// A datacenter network or hosting ASN.
        Datacenter = "datacenter",
        /// A mobile carrier.
        MobileCarrier = "mobile_carrier",
        /// A consumer access network.
        Residential = "residential",
        /// Reserved or unrouted space.
        Bogon = "bogon",
        /// Nothing is known.
        Unknown = "unknown",
    }
}

words! {
    /// What a user agent says it is.
    AgentKind {
        /// A browser.
        Browser = "browser",
        /// A browser inside an app (Facebook, Instagram, TikTok, …) or a WebView.
        InApp = "in_app",
        /// An HTTP library or command-line client.
        Library = "library",
        /// A browser that says it has no window.
        Headless = "headless",
        /// A declared crawler, spider or link-preview fetcher.
        Crawler = "crawler",
        /// An uptime or performance monitor.
        Monitor = "monitor",
        /// A scanner, downloader, feed reader or other tool.
        Tool = "tool",
        /// The field is missing or empty.
        Empty = "empty",
        /// None of these could be told.
        Unknown = "unknown",
    }
}

words! {
    /// The engine family a user agent claims.
    Engine {
        /// Chromium: Chrome, Edge, Opera, Samsung Internet, Android WebView.
        Chromium = "chromium",
        /// Gecko: Firefox.
        Gecko = "gecko",
        /// WebKit: Safari and every browser on iOS.
        Webkit = "webkit",
        /// Trident: Internet Explorer.
        Trident = "trident",
    }
}

words! {
    /// The operating system a user agent claims.
    Os {
        /// Windows.
        Windows = "windows",
        /// macOS.
        Macos = "macos",
        /// iOS or iPadOS.
        Ios = "ios",
        /// Android.
        Android = "android",
        /// Desktop Linux.
        Linux = "linux",
        /// ChromeOS.
        Chromeos = "chromeos",
        /// A television, console or other device.
        Other = "other",
    }
}

words! {
    /// The app around an in-app browser.
    InApp {
        /// Facebook (`FBAN`, `FBAV`, `FB_IAB`).
        Facebook = "facebook",
        /// Instagram.
        Instagram = "instagram",
        /// Messenger.
        Messenger = "messenger",
        /// TikTok (`musical_ly`, `BytedanceWebview`).
        Tiktok = "tiktok",
        /// Snapchat.
        Snapchat = "snapchat",
        /// Pinterest.
        Pinterest = "pinterest",
        /// LinkedIn.
        Linkedin = "linkedin",
        /// X.
        X = "x",
        /// Line.
        Line = "line",
        /// WeChat.
        Wechat = "wechat",
        /// The Google app.
        Google = "google",
        /// Another app's WebView.
        Other = "other",
    }
}

words! {
    /// Whether an ad identifier has the shape its network gives it.
    IdShape {
        /// The URL carries none.
        Absent = "absent",
        /// It looks like one.
        Ok = "ok",
        /// It cannot be one: template text, a wrong alphabet or length.
        Malformed = "malformed",
    }
}

words! {
    /// Whether the page's script has run.
    Proof {
        /// The signed beacon came.
        Present = "present",
        /// It did not come, though the page could have sent it.
        Absent = "absent",
    }
}

words! {
    /// What is known of the money behind an event.
    Payment {
        /// The shop's back end reported it through an authenticated door.
        Captured = "captured",
        /// Only the browser says so.
        Claimed = "claimed",
    }
}

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
}

impl Default for Network {
    fn default() -> Self {
        Self { kind: NetworkKind::Unknown, asn: None, country: None, lists: ListSet::default(), crawler: None }
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

/// What the page's script reported; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Whether the script has run; unknown where no proof was possible.
    pub proof: Option<Proof>,
    /// `navigator.webdriver` or a driver's global was seen.
    pub webdriver: Option<bool>,
    /// A pointer, touch, key or scroll event was seen.
    pub interaction: Option<bool>,
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

/// All facts about one request or event; what rules are evaluated on. It borrows, so building it costs no allocation.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What is known of the address.
    pub network: &'a Network,
    /// What the agent says.
    pub agent: &'a Agent,
    /// Who a declared crawler really is.
    pub identity: Identity,
    /// The request's fields; `None` where no request is at hand (all header facts are then unknown).
    pub headers: Option<&'a HeaderMap>,
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

/// The type of a fact, by which rules are checked when they are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A duration such as `20s`; compared in milliseconds.
    Duration,
    /// Free text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An address, to be matched with `in` and a list.
    Address,
}

macro_rules! fact_names {
    ($($variant:ident = $name:literal $(| $alias:literal)*, $kind:expr, $says:literal;)+) => {
        /// The name of a fact in a rule file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FactName { $(#[doc = $says] $variant,)+ }

        impl FactName {
            /// All names, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The canonical name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The fact of that name or alias.
            pub fn of_name(name: &str) -> Option<Self> {
                match name { $($name $(| $alias)* => Some(Self::$variant),)+ _ => None }
            }

            /// The fact's type.
            pub fn kind(self) -> Type {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// What the fact says, for generated documentation.
            pub fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)+ }
            }
        }
    };
}

const IDENTITY_NAMES: &[&str] = &[
    "meta",
    "google",
    "bing",
    "apple",
    "duckduckgo",
    "yandex",
    "openai",
    "anthropic",
    "perplexity",
    "telegram",
    "x",
    "pinterest",
    "linkedin",
    "ahrefs",
    "semrush",
    "uptimerobot",
    "pingdom",
    "statuscake",
    "betterstack",
    "kagi",
    "censys",
    "shodan",
];
const PURPOSE_NAMES: &[&str] = &["view", "prefetch", "prerender", "preview"];
const AD_NETWORK_NAMES: &[&str] = &["meta", "google", "tiktok", "microsoft", "snap", "pinterest", "linkedin", "x", "reddit"];

/// The identities a declared crawler can claim and be verified for.
pub fn identity_names() -> &'static [&'static str] {
    IDENTITY_NAMES
}

fact_names! {
    NetIp = "net.ip" | "network.ip", Type::Address, "The client's address through trusted proxies.";
    NetKind = "net.kind" | "network.kind", Type::Word(NetworkKind::NAMES), "What kind of network the address belongs to.";
    NetAsn = "net.asn" | "network.asn", Type::Number, "The number of the autonomous system that announces the address.";
    NetCountry = "net.country" | "network.country", Type::Text, "ISO 3166 alpha-2 country of the address, upper case.";
    UaKind = "ua.kind" | "agent.kind", Type::Word(AgentKind::NAMES), "What the user agent says it is.";
    UaFamily = "ua.family" | "agent.family", Type::Text, "The agent's family, such as `chrome`, `safari`, `headless_chrome`, `curl`.";
    UaEngine = "ua.engine" | "agent.engine", Type::Word(Engine::NAMES), "The engine the agent claims.";
    UaMajor = "ua.major" | "agent.major", Type::Number, "The agent's major version.";
    UaOs = "ua.os" | "agent.os", Type::Word(Os::NAMES), "The operating system the agent claims.";
    UaMobile = "ua.mobile" | "agent.mobile", Type::Bool, "The agent claims to be a phone or tablet.";
    UaRobot = "ua.known_robot" | "agent.robot", Type::Bool, "A pattern of the shipped robot lists matches the agent.";
    ClientInApp = "client.in_app" | "agent.in_app", Type::Word(InApp::NAMES), "The app around an in-app browser; missing in a plain browser.";
    ClientReturning = "client.returning", Type::Bool, "A valid visit cookie came with the request.";
    Identity = "identity", Type::Word(IDENTITY_NAMES), "The verified identity of a declared crawler; missing for everybody else.";
    IdentityImpostor = "identity.claimed_but_unverified", Type::Bool, "The agent claims a crawler's identity from outside its published ranges.";
    HttpPurpose = "http.purpose", Type::Word(PURPOSE_NAMES), "Why the page is asked for.";
    HttpScheme = "http.scheme", Type::Word(&["http", "https"]), "The scheme the visitor used.";
    HttpHost = "http.host", Type::Text, "The host asked for, without port, lower case.";
    HttpPath = "http.path", Type::Text, "The path asked for.";
    ClickNetwork = "click.network", Type::Word(AD_NETWORK_NAMES), "The ad network of the URL's click identifier; missing without one.";
    ClickId = "click.id", Type::Text, "The URL's click identifier; missing without one.";
    ClickFbclidShape = "click.fbclid.shape", Type::Word(IdShape::NAMES), "Whether `fbclid` has the shape Meta gives it.";
    ClickGclidShape = "click.gclid.shape", Type::Word(IdShape::NAMES), "Whether `gclid` has the shape Google gives it.";
    UtmSource = "utm.source", Type::Text, "`utm_source` of the URL; missing without one.";
    UtmCampaign = "utm.campaign", Type::Text, "`utm_campaign` of the URL; missing without one.";
    PageProof = "page.proof", Type::Word(Proof::NAMES), "Whether the page's script has run.";
    PageAge = "page.age", Type::Duration, "Time since the page was served.";
    PageWebdriver = "page.webdriver", Type::Bool, "The page saw `navigator.webdriver` or a driver's global.";
    PageInteraction = "page.interaction", Type::Bool, "The page saw a pointer, touch, key or scroll event.";
    SessionPages = "session.pages" | "visit.pages", Type::Number, "Page views in the visit.";
    SessionAge = "session.age" | "visit.age", Type::Duration, "Time since the visit's landing.";
    EventName = "event.name", Type::Text, "The conversion event's name.";
    EventPayment = "event.payment", Type::Word(Payment::NAMES), "`captured` only for a copy from an authenticated back-end door.";
    EventValue = "event.value", Type::Number, "`custom_data.value` in hundredths of the currency's unit.";
    EventFromBrowser = "event.from_browser", Type::Bool, "Only the browser reported the event.";
    EventSinceClick = "event.since_click", Type::Duration, "Time from the click to the event.";
}

impl<'a> Facts<'a> {
    /// Facts of which nothing is known but network and agent; the base that callers extend with `..`.
    pub fn unknown(network: &'a Network, agent: &'a Agent) -> Self {
        Self {
            address: None,
            network,
            agent,
            identity: Identity::None,
            headers: None,
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
        }
    }

    /// The value of a fact.
    pub fn value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::NetIp | FactName::NetKind | FactName::NetAsn | FactName::NetCountry => self.network_value(name),
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
        }
    }

    /// The value of a request field; the first where it is repeated.
    pub fn header(&self, name: &HeaderName) -> Value<'_> {
        match self.headers {
            None => Value::Unknown,
            Some(headers) => match headers.get(name) {
                None => Value::Missing,
                Some(value) => value.to_str().map_or(Value::Unknown, Value::Text),
            },
        }
    }

    fn network_value(&self, name: FactName) -> Value<'_> {
        match name {
            FactName::NetIp => known(self.address, Value::Address),
            FactName::NetKind if self.network.kind == NetworkKind::Unknown => Value::Unknown,
            FactName::NetKind => Value::Text(self.network.kind.name()),
            FactName::NetAsn => known(self.network.asn, |asn| Value::Number(i64::from(asn))),
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
            FactName::UaRobot if agent.kind == AgentKind::Unknown && agent.robot.is_none() => Value::Unknown,
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
        facts.headers = Some(&headers);
        assert_eq!(facts.header(&name), Value::Missing);
    }

    #[test]
    fn the_old_names_of_network_and_agent_facts_are_aliases() {
        assert_eq!(FactName::of_name("network.kind"), Some(FactName::NetKind));
        assert_eq!(FactName::of_name("agent.kind"), Some(FactName::UaKind));
    }
}
