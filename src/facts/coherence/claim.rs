//! Which browser a request claims to come from, as far as coherence needs it: the family that made its engine, its version
//! and system, and what of the request can be known. Must not judge.

use http::HeaderName;

use crate::click::Field;
use crate::click::Scheme;
use crate::click::Sent;
use crate::fact::AgentKind;
use crate::fact::Device;
use crate::fact::Engine;
use crate::fact::Facts;
use crate::fact::HttpVersion;
use crate::fact::Os;
use crate::facts::coherence::hints::Brands;

/// Who made the network code: all browsers of a family speak alike, whatever they call themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Chrome, Edge, Opera, Samsung Internet, Android's WebView.
    Chromium,
    /// Firefox but for iOS.
    Firefox,
    /// Safari, everything on iOS, and WebKit on Linux.
    Safari,
}

/// Families whose browsers are built on an engine's name and version but ask for pages in words of their own, or through
/// servers of their maker.
const REBUILT: [&str; 4] = ["uc", "qq", "puffin", "silk"];

/// What a request claims, with the request itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) family: Family,
    /// The version of the engine's family; 0 where it is not told.
    pub(super) major: u32,
    pub(super) os: Option<Os>,
    /// The brands among the hints, where Chromium's family sent any.
    pub(super) brands: Option<Brands<'a>>,
    sent: Sent<'a>,
    agent: &'a str,
}

impl<'a> Claim<'a> {
    /// The claim of a browser's request for a page; `None` if it does not claim to be of a known family.
    pub(super) fn of(facts: &'a Facts<'a>, sent: Sent<'a>) -> Option<Self> {
        let agent = sent.text(Field::UserAgent)?;
        // Edge before 79 calls itself Chrome and is neither that nor anything else that is known here.
        if agent.contains(" Edge/") {
            return None;
        }
        let os = facts.agent.os;
        let (family, major) = match facts.agent.engine? {
            Engine::Chromium => (Family::Chromium, version(agent, "Chrome").or_else(|| version(agent, "Chromium"))),
            Engine::Gecko => (Family::Firefox, version(agent, "Firefox")),
            // Apps on iOS name no version of Safari: it comes with the system.
            Engine::Webkit if os == Some(Os::Ios) => {
                (Family::Safari, agent.split_once(" OS ").and_then(|(_, after)| number(after)))
            }
            Engine::Webkit => (Family::Safari, version(agent, "Version")),
            Engine::Trident => return None,
        };
        let listed = if family == Family::Chromium { sent.text(Field::ChUa) } else { None };
        let (major, brands) = (major.unwrap_or(0), listed.map(Brands::read));
        Some(Self { facts, family, major, os, brands, sent, agent })
    }

    /// Whether the claim is of Chromium from this version on, or Firefox, or Safari; 0 stands for none of that family.
    pub(super) fn is_from(&self, chromium: u32, firefox: u32, safari: u32) -> bool {
        let from = match self.family {
            Family::Chromium => chromium,
            Family::Firefox => firefox,
            Family::Safari => safari,
        };
        from > 0 && self.major >= from
    }

    /// Whether it is a browser of its own on a computer or phone: apps' browsers, televisions, consoles, cars and glasses go
    /// their own ways, and so do browsers that rebuilt the engine or let servers of theirs fetch pages.
    pub(super) fn is_plain(&self) -> bool {
        let of_its_own =
            matches!(self.facts.agent.form.device, Some(Device::Tv | Device::Console | Device::Car | Device::Wearable));
        let is_rebuilt = REBUILT.contains(&&*self.facts.agent.family);
        !self.is_in_app() && !of_its_own && !is_rebuilt && !matches!(self.os, None | Some(Os::Other))
    }

    /// Whether an app is around the browser.
    pub(super) fn is_in_app(&self) -> bool {
        self.facts.agent.kind == AgentKind::InApp || self.facts.agent.in_app.is_some()
    }

    /// Whether it is Safari's engine with another network library below: WebKit on Linux.
    pub(super) fn is_linux_webkit(&self) -> bool {
        self.family == Family::Safari && !matches!(self.os, Some(Os::Ios | Os::Macos))
    }

    /// Whether the agent calls itself mobile as Chromium does it: tablets do not.
    pub(super) fn says_mobile(&self) -> bool {
        self.agent.match_indices('M').any(|(at, _)| self.agent.get(at..).is_some_and(|rest| rest.starts_with("Mobile")))
    }

    /// Whether the visitor used TLS; unknown without a scheme.
    pub(super) fn is_secure(&self) -> Option<bool> {
        self.facts.scheme.map(|scheme| scheme == Scheme::Https)
    }

    /// The HTTP version of the visitor's own connection, and so whether there is one.
    pub(super) fn version(&self) -> Option<HttpVersion> {
        self.facts.shown.version
    }

    /// Whether the visitor's own connection speaks HTTP/1.
    pub(super) fn is_http_1(&self) -> bool {
        matches!(self.version(), Some(HttpVersion::OneZero | HttpVersion::OneOne))
    }

    /// Whether somebody stood between, as far as the request says. No browser speaks HTTP/1.0, and nginx does so to the
    /// server behind it unless it is told otherwise (`proxy_http_version`).
    pub(super) fn is_forwarded(&self) -> bool {
        self.version() == Some(HttpVersion::OneZero)
            || self.facts.shown.spoofed_forwarding != Some(false)
            || self.has(Field::Via)
            || self.has(Field::Forwarded)
    }

    /// A field's text; `None` where it lacks or is not visible ASCII.
    pub(super) fn field(&self, field: Field) -> Option<&'a str> {
        self.sent.text(field)
    }

    /// The names of all fields, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a HeaderName> {
        self.sent.all().keys()
    }

    /// Whether a field is there.
    pub(super) fn has(&self, field: Field) -> bool {
        self.sent.has(field)
    }

    /// Whether a service worker may have passed the request on, with fields of its own.
    pub(super) fn is_passed_on(&self) -> bool {
        self.field(Field::FetchDest) == Some("empty")
    }

    /// Whether a script of the shop's own page may have asked: not told from a navigation without fetch metadata.
    pub(super) fn is_own_script(&self) -> bool {
        !self.has(Field::FetchDest) && self.referer_host().is_some_and(|host| Some(host) == self.facts.host)
    }

    /// The host of the `Referer`, without port.
    pub(super) fn referer_host(&self) -> Option<&'a str> {
        self.sent.referer_host()
    }

    /// Whether a plain Chrome names more than its major version. Chrome says `x.0.0.0` everywhere since 113 (User-Agent
    /// Reduction, phase 6), and companies could not turn that off any more from 120 on; programs built on it still do.
    pub(super) fn names_full_version(&self) -> Option<bool> {
        if self.family != Family::Chromium || self.major < 120 || !self.is_plain() {
            return None;
        }
        let (before, rest) = product(self.agent, "Chrome")?;
        let (version, products) = rest.split_once(' ')?;
        if !before.ends_with("(KHTML, like Gecko) ") || !matches!(products, "Safari/537.36" | "Mobile Safari/537.36") {
            return None;
        }
        Some(!version.ends_with(".0.0.0"))
    }
}

/// What stands before and behind the first of a product's name with its `/`.
fn product<'a>(agent: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = agent.match_indices('/').filter_map(|(at, _)| Some((agent.get(..at)?, agent.get(at + 1..)?)));
    parts.find_map(|(before, after)| before.strip_suffix(name).map(|before| (before, after)))
}

/// The version of a product.
fn version(agent: &str, name: &str) -> Option<u32> {
    number(product(agent, name)?.1)
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u32> {
    let length = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(..length)?.parse().ok()
}
