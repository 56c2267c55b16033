//! Names and types of all facts, as rules are checked against them. Must not know any value.

use crate::fact::announcer::AsWords;
use crate::fact::challenge::ChallengeFacts;
use crate::fact::coherence::Accept;
use crate::fact::coherence::Encodings;
use crate::fact::coherence::FetchMetadata;
use crate::fact::coherence::Fields;
use crate::fact::coherence::Fit;
use crate::fact::coherence::H2Family;
use crate::fact::coherence::HintsAgent;
use crate::fact::coherence::HintsForm;
use crate::fact::coherence::TlsFamily;
use crate::fact::words::AgentKind;
use crate::fact::words::Agreement;
use crate::fact::words::ClickMoves;
use crate::fact::words::Deed;
use crate::fact::words::Device;
use crate::fact::words::Engine;
use crate::fact::words::HttpVersion;
use crate::fact::words::IdShape;
use crate::fact::words::InApp;
use crate::fact::words::Look;
use crate::fact::words::NameCase;
use crate::fact::words::NetworkKind;
use crate::fact::words::Os;
use crate::fact::words::Payment;
use crate::fact::words::Proof;
use crate::fact::words::Signed;
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
    "tiktok",
    "baidu",
    "seznam",
    "naver",
    "petal",
    "yahoo",
    "amazon",
    "commoncrawl",
    "slack",
    "whatsapp",
    "discord",
    "snapchat",
    "skype",
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
    HintsForm = "hints.form", Type::Word(HintsForm::NAMES), "Whether the client hints are those that the claimed browser sends over TLS; `foreign`: it sends none ever.";
    HintsBrands = "hints.brands", Type::Word(Fit::NAMES), "Whether the made-up brand of `Sec-CH-UA` is the one that Chromium derives from its version.";
    HintsAgent = "hints.agent", Type::Word(HintsAgent::NAMES), "Whether the client hints and the user agent say the same; else what they differ in.";
    FetchMetadata = "fetch.metadata", Type::Word(FetchMetadata::NAMES), "Whether the fetch metadata are those of a browser that opens a page; else what is wrong.";
    HttpAccept = "http.accept", Type::Word(Accept::NAMES), "Whether `Accept` is what the claimed browser sends for a page; `any`: `*/*` alone.";
    HttpEncodings = "http.encodings", Type::Word(Encodings::NAMES), "Whether `Accept-Encoding` is what the claimed browser sends; `short`: less than it can read.";
    HttpLanguage = "http.language", Type::Word(Fit::NAMES), "Whether `Accept-Language` is written as browsers write it.";
    HttpOrder = "http.order", Type::Word(Fit::NAMES), "Whether the fields stand in the order of the claimed browser; fields that come and go do not count.";
    HttpCase = "http.case", Type::Word(Fit::NAMES), "Whether the names of the fields are written as browsers write them; HTTP/1 only.";
    HttpFields = "http.fields", Type::Word(Fields::NAMES), "Whether a field is there that the claimed browser never sends, or one lacks that it always sends.";
    HttpSecureOnly = "http.secure_only", Type::Bool, "Over plain HTTP came what browsers say over TLS only.";
    TlsFamily = "tls.family", Type::Word(TlsFamily::NAMES), "Whether the handshake is of the claimed browser's family; else what is not.";
    H2Family = "h2.family", Type::Word(H2Family::NAMES), "Whether the HTTP/2 connection opens as in the claimed browser's family; else what does not.";
    UaFullVersion = "ua.full_version", Type::Bool, "A plain Chrome names more than its major version, which Chrome stopped doing.";
    PageDriver = "page.driver", Type::Bool, "A driver left its marks in the page: globals or attributes of its own.";
    PageWebdriverOdd = "page.webdriver_odd", Type::Bool, "`navigator.webdriver` is gone where the claimed browser has it, or was replaced.";
    PagePlatform = "page.platform", Type::Word(Agreement::NAMES), "The platform the page sees against the agent's.";
    PageAgent = "page.agent", Type::Word(Agreement::NAMES), "The agent the page sees against the request's.";
    PageWorker = "page.worker", Type::Word(Agreement::NAMES), "What a worker sees of the browser against what the page sees.";
    PageLanguages = "page.languages", Type::Word(Agreement::NAMES), "The first language the page sees against those of the request.";
    PageWindow = "page.window", Type::Word(Look::NAMES), "A desktop's window against its screen.";
    PagePointer = "page.pointer", Type::Word(Look::NAMES), "Whether a desktop has anything to point with.";
    PagePatched = "page.patched", Type::Bool, "The browser's own functions are wrapped to hide something.";
    PageClickMoves = "page.click_moves", Type::Word(ClickMoves::NAMES), "How the pointer came to the first mouse click; `none` without one, as by touch and keyboard.";
    PageUntrusted = "page.untrusted", Type::Bool, "The page saw presses and keys that a script made, and none that a person made.";
    PageSoftwareGl = "page.software_gl", Type::Bool, "The processor draws what a graphics card should.";
    PageTimezone = "page.timezone", Type::Text, "The browser's time zone, as `Europe/Berlin`.";
    PageFirstInteraction = "page.first_interaction", Type::Duration, "Time from the page's start to the first true interaction.";
    PageInteractionKind = "page.interaction_kind", Type::Word(Deed::NAMES), "What that interaction was.";
    PageVisible = "page.visible", Type::Bool, "The page was visible at least once.";
    PageReplayed = "page.replayed", Type::Bool, "The visitor sent a page's proof that belongs to another visitor.";
    TrapLink = "trap.link", Type::Bool, "A link was followed that nobody sees.";
    TrapForm = "trap.form", Type::Bool, "A field was filled that nobody sees.";
    VisitSecondPageAfter = "visit.second_page_after", Type::Duration, "Time from the visit's landing to its second page view.";
    VisitAssets = "visit.assets", Type::Bool, "The landing was followed by style sheets, scripts, images or fonts; not known for ten seconds, nor where the shop's do not come through clicksieve.";
    VisitCadence = "visit.cadence", Type::Number, "How much the times between the visit's page views vary, in hundredths of their mean; from seven page views on.";
    VisitFastestStep = "visit.fastest_step", Type::Duration, "The shortest time from a page to the next one that was reached from it.";
    VisitMedianStep = "visit.median_step", Type::Duration, "The usual one of these times; from four of them on.";
    BurstCampaignAsn = "burst.campaign_asn", Type::Number, "How far the last ten minutes' clicks of the campaign from this network stand above what is usual, in standard deviations.";
    EventSincePage = "event.since_page", Type::Duration, "Time from the visit's newest page view to the event.";
    EventRepeats = "event.repeats", Type::Number, "Events of the same name that the visit had before, within an hour; copies of one event count once.";
    UaDevice = "ua.device" | "agent.device", Type::Word(Device::NAMES), "The class of device the agent claims.";
    UaBehind = "ua.behind", Type::Number, "Majors behind the newest known of a family that updates itself; unknown on televisions, consoles, old systems, iOS and in apps.";
    UaFuture = "ua.future", Type::Bool, "The agent's version is one that nobody can have yet.";
    UaImpossible = "ua.impossible", Type::Bool, "The agent contradicts itself as no browser does.";
    UaAltered = "ua.altered", Type::Bool, "The agent is one that only a tool sends, people's own included: Chrome with a full version since 110, or Chrome's name on iOS.";
    UaKnownBrowser = "ua.known_browser", Type::Bool, "The agent is a browser known by name, on a known system, and no known robot.";
    IdentityClaim = "identity.claim", Type::Word(IDENTITY_NAMES), "The identity a declared crawler claims, verified or not; missing for everybody else.";
    IdentityUnverified = "identity.unverified", Type::Bool, "The agent claims an identity, and nothing published or asked so far says whether it is true.";
    AgentSigned = "agent.signed", Type::Word(Signed::NAMES), "How the request's signature as an automated client stands (RFC 9421, tag `web-bot-auth`).";
    ClientChallenge = "client.challenge", Type::Word(ChallengeFacts::NAMES), "Whether the visitor passed a challenge of a click action not long ago.";
    NetStale = "net.stale", Type::Bool, "Every list that says the network's kind is past its age.";
    NetAsWords = "net.as_words", Type::Word(AsWords::NAMES), "What the name of whoever announces the address says, where its kind is not known; missing if nothing.";
}
