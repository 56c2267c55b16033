//! Names and types of all facts, as rules are checked against them. Must not know any value.

use crate::fact::words::AgentKind;
use crate::fact::words::Engine;
use crate::fact::words::HttpVersion;
use crate::fact::words::IdShape;
use crate::fact::words::InApp;
use crate::fact::words::NameCase;
use crate::fact::words::NetworkKind;
use crate::fact::words::Os;
use crate::fact::words::Payment;
use crate::fact::words::Proof;
use crate::fact::words::TlsVersion;

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
    HttpVersion = "http.version", Type::Word(HttpVersion::NAMES), "The HTTP version of the visitor's own connection.";
    HttpNames = "http.names", Type::Text, "The names of the request's fields as sent, in their order, between commas; HTTP/2 without those that begin with a colon.";
    HttpNameCase = "http.name_case", Type::Word(NameCase::NAMES), "How those names are written; HTTP/1 only.";
    TlsJa4 = "tls.ja4", Type::Text, "JA4 of the visitor's own handshake, or as the proxy in front vouches.";
    TlsJa4Stable = "tls.ja4_stable", Type::Text, "JA4 without what resuming a session adds or takes away.";
    TlsGrease = "tls.grease", Type::Bool, "The handshake carries GREASE (RFC 8701), as Chromium's and Safari's do.";
    TlsVersion = "tls.version", Type::Word(TlsVersion::NAMES), "The newest TLS version the visitor offers.";
    TlsSni = "tls.sni", Type::Bool, "The handshake names the host.";
    TlsAlpn = "tls.alpn", Type::Text, "The first protocol offered by ALPN; missing without any.";
    H2Fingerprint = "h2.fingerprint", Type::Text, "Settings, window update, priorities and pseudo-header order of the HTTP/2 connection.";
    H2Order = "h2.order", Type::Text, "The order of the first request's pseudo-header fields, as `m,a,s,p`.";
    H2Weight = "h2.weight", Type::Number, "The first HTTP/2 request's weight, 1 to 256; missing if it says none.";
    SpoofedForwarding = "client.spoofed_forwarding", Type::Bool, "Somebody whom nobody trusts said whose request it is, as by `X-Forwarded-For`.";
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
