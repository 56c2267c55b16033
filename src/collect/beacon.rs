//! What the page's script reports (`proof`): read value by value, each bounded, and judged here against the request that
//! brought it. What is malformed is unknown and counted; a hostile report can only lower trust. And whose token it is that
//! somebody shows, and who followed the link that nobody sees. Must not know rules or events.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Response;
use http::header::ACCEPT_LANGUAGE;
use http::header::USER_AGENT;
use http::request::Parts;
use http_body_util::Full;
use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::click::Purpose;
use crate::click::Sent;
use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::collect::reply;
use crate::cookie;
use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Agreement;
use crate::fact::ClickMoves;
use crate::fact::Deed;
use crate::fact::Engine;
use crate::fact::Look;
use crate::fact::Os;
use crate::fact::Page;
use crate::fact::Proof;
use crate::fact::Zone;
use crate::facts::Sources;
use crate::seal::PageToken;
use crate::visits::Holder;
use crate::visits::Use;
use crate::visits::Visit;

/// The first Chrome whose `navigator.webdriver` is there whether or not it is driven (Chrome 89, "navigator.webdriver").
const WEBDRIVER_SINCE: u32 = 90;
/// Mouse moves before a first click below which the pointer jumped: people who were recorded made 29 or more, programs 0 or 1.
const FEW_MOVES: u64 = 3;
/// The largest sizes and counts that are believed.
const MOST_PIXELS: u64 = 65_535;
const MOST_MOVES: u64 = 1_000_000;
const DAY_MILLIS: u64 = 86_400_000;
/// How long ago a page was served of which a visit that shows another's token says nothing.
const LATELY: Duration = Duration::from_mins(10);

/// Reads the facts of one `proof` item; how many of its values were malformed stands beside.
pub(super) fn read(sources: &Sources, item: &Value, headers: &HeaderMap) -> (Page, u32) {
    let empty = Map::new();
    let mut reader = Reader { facts: item.get("facts").and_then(Value::as_object).unwrap_or(&empty), faults: 0 };
    let claimed = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let request = sources.agent(claimed);
    let seen = reader.text("agent", 1_024).map(|text| sources.agent(Some(text)));
    let languages = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let mut page = reader.page();
    page.languages = reader.text("language", 35).and_then(|language| speaks(language, languages?));
    page.agent = seen.as_deref().and_then(|seen| same_agent(seen, &request));
    // A browser that hides its system does so in the field alone, so the platform is held against what the page sees.
    let agent = seen.as_deref().unwrap_or(&request);
    reader.judge(agent, &mut page);
    if request.kind == AgentKind::InApp || agent.kind == AgentKind::InApp {
        as_in_app(&mut page);
    }
    (page, reader.faults)
}

/// An app's web view says what its app wants of agent, platform and languages, and has no window.
fn as_in_app(page: &mut Page) {
    page.webdriver_odd = None;
    page.patched = None;
    (page.agent, page.platform, page.worker, page.languages) = (None, None, None, None);
    (page.window, page.pointer) = (None, None);
}

struct Reader<'a> {
    facts: &'a Map<String, Value>,
    faults: u32,
}

impl<'a> Reader<'a> {
    fn page(&mut self) -> Page {
        let first = self.number("first", DAY_MILLIS).map(Duration::from_millis);
        let moves = self.number("moves", MOST_MOVES);
        let whole = self.facts.contains_key("visible");
        let zone = self.text("zone", Zone::LONGEST);
        let deed = self.text("kind", 16);
        let (timezone, interaction_kind) = (zone.and_then(Zone::of), deed.and_then(Deed::of_name));
        self.faults += u32::from(zone.is_some() != timezone.is_some()) + u32::from(deed.is_some() != interaction_kind.is_some());
        let worker = self.flag("worker");
        Page {
            proof: Some(Proof::Present),
            webdriver: self.flag("webdriver"),
            interaction: self.flag("interaction"),
            driver: self.flag("driver"),
            patched: self.flag("patched"),
            untrusted: self.flag("untrusted"),
            software_gl: self.flag("software"),
            visible: self.flag("visible"),
            trap_form: self.flag("form"),
            worker: worker.map(|differs| if differs { Agreement::Mismatch } else { Agreement::Ok }),
            click_moves: match moves {
                Some(moves) if moves < FEW_MOVES => Some(ClickMoves::Few),
                Some(_) => Some(ClickMoves::Ok),
                None => whole.then_some(ClickMoves::None),
            },
            timezone,
            interaction_kind,
            first_interaction: first,
            ..Page::default()
        }
    }

    /// What can only be told beside an agent.
    fn judge(&mut self, agent: &Agent, page: &mut Page) {
        let touch = self.number("touch", 255);
        let (gone, odd) = (self.flag("gone"), self.flag("odd"));
        let chromium = agent.engine == Some(Engine::Chromium) && agent.major.is_some_and(|major| major >= WEBDRIVER_SINCE);
        page.webdriver_odd = odd.map(|odd| odd || chromium && gone == Some(true));
        let (platform, hint) = (self.text("platform", 64), self.text("hint", 32));
        page.platform = same_platform(agent, platform, hint, touch.unwrap_or(0));
        let sizes = self.sizes("sizes");
        let fine = self.flag("fine");
        if is_desktop(agent) {
            page.window =
                sizes.map(|[wide, high, across, down]| if fits(wide, across) && fits(high, down) { Look::Ok } else { Look::Odd });
            page.pointer = fine.zip(touch).map(|(fine, touch)| if fine || touch > 0 { Look::Ok } else { Look::Odd });
        }
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.value(key, Value::as_bool)
    }

    fn text(&mut self, key: &str, longest: usize) -> Option<&'a str> {
        self.value(key, |value| value.as_str().filter(|text| text.len() <= longest && !text.chars().any(char::is_control)))
    }

    fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        self.value(key, |value| value.as_u64().filter(|number| *number <= most))
    }

    fn sizes(&mut self, key: &str) -> Option<[u64; 4]> {
        self.value(key, |value| {
            let sizes: Option<Vec<u64>> = value.as_array()?.iter().map(Value::as_u64).collect();
            <[u64; 4]>::try_from(sizes?).ok().filter(|sizes| sizes.iter().all(|size| *size <= MOST_PIXELS))
        })
    }

    fn value<T>(&mut self, key: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.facts.get(key).filter(|value| !value.is_null())?;
        let read = read(value);
        self.faults += u32::from(read.is_none());
        read
    }
}

fn is_desktop(agent: &Agent) -> bool {
    matches!(agent.os, Some(Os::Windows | Os::Macos | Os::Linux)) && !agent.mobile
}

/// Whether a window's side fits its screen's. Maximised windows stand out by their borders, and a scaled second screen counts
/// in other pixels. A size of zero says nothing.
fn fits(screen: u64, window: u64) -> bool {
    screen == 0 || window <= screen + screen / 10 + 64
}

/// Whether two agents are the same browser. Firefox that hides its system does so in the field and not in the page.
fn same_agent(page: &Agent, request: &Agent) -> Option<Agreement> {
    if page.family.is_empty() || request.family.is_empty() {
        return None;
    }
    let system = page.os == request.os || request.engine == Some(Engine::Gecko);
    let same = page.family == request.family && page.major == request.major && system;
    Some(if same { Agreement::Ok } else { Agreement::Mismatch })
}

/// Whether the platform that the page sees can be the agent's; `hint` is that of the user agent's data.
fn same_platform(agent: &Agent, platform: Option<&str>, hint: Option<&str>, touch: u64) -> Option<Agreement> {
    let claimed = agent.os.filter(|os| *os != Os::Other)?;
    // A phone that shows a page as on a desktop claims a desktop's system.
    let as_desktop = touch > 0 && !agent.mobile;
    let by_platform =
        platform.and_then(Kin::of_platform).map(|(kin, is_phone)| kin == Kin::of(claimed) || as_desktop && is_phone);
    let by_hint = hint.and_then(|hint| match hint {
        // Chromium knows where it runs; nothing is what an agent set by a program leaves.
        "" => (agent.engine == Some(Engine::Chromium)).then_some(false),
        "Windows" => Some(claimed == Os::Windows),
        "macOS" => Some(matches!(claimed, Os::Macos | Os::Ios)),
        "Android" => Some(matches!(claimed, Os::Android | Os::Chromeos) || as_desktop),
        "Linux" => Some(claimed == Os::Linux || touch > 0 && claimed == Os::Android),
        "Chrome OS" | "Chromium OS" => Some(matches!(claimed, Os::Chromeos | Os::Android | Os::Linux)),
        _ => None,
    });
    match (by_platform, by_hint) {
        (None, None) => None,
        (Some(false), _) | (_, Some(false)) => Some(Agreement::Mismatch),
        _ => Some(Agreement::Ok),
    }
}

/// Systems that `navigator.platform` cannot tell apart: iPads say that they are Macs, and Android and ChromeOS are Linux.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Windows,
    Apple,
    Linux,
}

impl Kin {
    fn of(os: Os) -> Self {
        match os {
            Os::Windows => Self::Windows,
            Os::Macos | Os::Ios => Self::Apple,
            _ => Self::Linux,
        }
    }

    /// The kin, and whether it is a phone's or tablet's.
    fn of_platform(platform: &str) -> Option<(Self, bool)> {
        let begins = |words: &[&str]| words.iter().any(|word| platform.starts_with(word));
        if begins(&["Win"]) {
            Some((Self::Windows, false))
        } else if begins(&["Mac", "iPhone", "iPad", "iPod"]) {
            Some((Self::Apple, true))
        } else if begins(&["Linux", "Android"]) {
            Some((Self::Linux, begins(&["Linux a", "Android"])))
        } else {
            None
        }
    }
}

/// Whether the page's first language is among those of the request, by its base: fields are cut to one language nowadays.
fn speaks(language: &str, field: &str) -> Option<Agreement> {
    let base = |tag: &str| tag.trim().split(['-', ';', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let wanted = base(language);
    if wanted.is_empty() || field.contains('*') {
        return None;
    }
    let spoken = field.split(',').any(|tag| base(tag) == wanted);
    Some(if spoken { Agreement::Ok } else { Agreement::Mismatch })
}

impl Collector {
    /// Judges whose token a post shows. The visit of a client that shows another's is marked, if its own cookie names it: an
    /// address is shared by too many. And if it was served a page of its own just now and says nothing of that: who meets
    /// another's token in a page that some cache has kept proves his own pages.
    pub(super) fn whose(&self, token: &PageToken, headers: &HeaderMap, peer: Option<IpAddr>, now: UnixMillis) -> Use {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let carried = self.carried(headers).filter(|visit| *visit != token.visit);
        let used = self.visits.used(token.page, Holder::of(peer, agent), carried, now);
        if used == Use::Replayed {
            self.metrics.replayed_proofs.inc();
            let replayed = Page { replayed: Some(true), ..Page::default() };
            let thief = carried.and_then(|visit| self.visits.find(visit)).filter(|visit| keeps_silent(visit, now));
            if let Some(visit) = thief.and_then(|visit| self.visits.report(visit.id, replayed, now)) {
                self.judge_again(&visit, now);
            }
        }
        used
    }

    fn carried(&self, headers: &HeaderMap) -> Option<Uuid> {
        self.keys.open_visit(cookie::find(headers, cookie::VISIT)?).ok().map(|cookie| cookie.visit)
    }

    /// Answers whoever follows the link that nobody sees: with nothing, and never by the shop.
    pub(super) fn trap(&self, head: &Parts) -> Response<Full<Bytes>> {
        let page = head.uri.path().rsplit('/').next().and_then(|name| Uuid::try_parse(name).ok());
        let agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let looked = head.method == Method::GET && Purpose::read(&Sent::of(&head.headers)) == Purpose::View;
        if let Some(page) = page.filter(|_| looked)
            && let now = self.clock.now()
            && let Some(visit) = self.visits.trapped(page, Holder::of(None, agent), now)
        {
            self.metrics.traps.inc();
            self.judge_again(&visit, now);
        }
        reply::nothing()
    }

    /// Judges a visit by what its page has shown since.
    fn judge_again(&self, visit: &Arc<Visit>, now: UnixMillis) {
        self.rescore(&self.policy.load(), visit, &self.facts_of(visit, None, now));
    }
}

/// Whether a visit's newest page was served lately and has proved nothing yet.
fn keeps_silent(visit: &Visit, now: UnixMillis) -> bool {
    now.since(visit.last_page_at) < LATELY && visit.proved_at.is_none_or(|proved| proved < visit.last_page_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(os: Os, engine: Engine, mobile: bool) -> Agent {
        let kind = AgentKind::Browser;
        Agent { kind, family: "f".into(), engine: Some(engine), major: Some(150), os: Some(os), mobile, ..Agent::default() }
    }

    fn told(facts: &Value, agent: &Agent) -> (Page, u32) {
        let empty = Map::new();
        let mut reader = Reader { facts: facts.as_object().unwrap_or(&empty), faults: 0 };
        let mut page = reader.page();
        reader.judge(agent, &mut page);
        (page, reader.faults)
    }

    #[test]
    fn platforms_that_people_have_agree() {
        for (os, mobile, platform, hint, touch) in [
            (Os::Windows, false, "Win32", Some("Windows"), 0),
            (Os::Macos, false, "MacIntel", Some("macOS"), 0),
            // An iPad that says it is a Mac, and an iPhone that shows a page as on one.
            (Os::Macos, false, "MacIntel", None, 5),
            (Os::Macos, false, "iPhone", None, 5),
            (Os::Ios, true, "iPhone", None, 5),
            (Os::Android, true, "Linux armv81", Some("Android"), 5),
            // Android that shows a page as on a desktop.
            (Os::Linux, false, "Linux armv81", Some("Linux"), 5),
            (Os::Windows, false, "Linux aarch64", None, 5),
            (Os::Chromeos, false, "Linux x86_64", Some("Chrome OS"), 0),
            (Os::Linux, false, "Linux x86_64", None, 0),
        ] {
            let agent = agent(os, if hint.is_some() { Engine::Chromium } else { Engine::Webkit }, mobile);
            assert_eq!(same_platform(&agent, Some(platform), hint, touch), Some(Agreement::Ok), "{os:?} {platform}");
        }
    }

    #[test]
    fn platforms_that_contradict_the_agent_are_told() {
        for (os, mobile, platform, hint, touch) in [
            (Os::Windows, false, "Linux x86_64", Some("Windows"), 0),
            (Os::Macos, false, "Linux x86_64", None, 0),
            (Os::Ios, true, "Linux x86_64", None, 1),
            (Os::Android, true, "Linux x86_64", Some("Linux"), 0),
            (Os::Windows, false, "Win32", Some(""), 0),
            (Os::Windows, false, "Linux aarch64", None, 0),
        ] {
            let agent = agent(os, Engine::Chromium, mobile);
            assert_eq!(same_platform(&agent, Some(platform), hint, touch), Some(Agreement::Mismatch), "{os:?} {platform}");
        }
        assert_eq!(same_platform(&agent(Os::Other, Engine::Chromium, false), Some("Win32"), None, 0), None);
        assert_eq!(same_platform(&agent(Os::Linux, Engine::Gecko, false), Some("FreeBSD amd64"), None, 0), None);
    }

    #[test]
    fn hostile_values_are_unknown_and_counted() {
        let desktop = agent(Os::Windows, Engine::Chromium, false);
        let (page, faults) = told(
            &serde_json::json!({
                "webdriver": "no", "interaction": 1, "driver": [], "moves": -1, "first": 1e300, "touch": 256, "kind": "dance",
                "zone": "<script>", "sizes": [1, 2, 3], "platform": "x".repeat(65), "hint": "a\u{0}b", "visible": {}, "software": null,
                "never heard of": [[[]]],
            }),
            &desktop,
        );
        assert_eq!(faults, 12);
        let nothing = Page { proof: Some(Proof::Present), click_moves: Some(ClickMoves::None), ..Page::default() };
        assert_eq!(page, nothing);
        for odd in [serde_json::json!(null), serde_json::json!([]), serde_json::json!("x")] {
            assert_eq!(told(&odd, &desktop), (Page { proof: Some(Proof::Present), ..Page::default() }, 0));
        }
    }

    #[test]
    fn a_window_larger_than_its_screen_is_odd_and_borders_are_not() {
        let desktop = agent(Os::Windows, Engine::Chromium, false);
        let window = |sizes: [u64; 4]| told(&serde_json::json!({ "sizes": sizes }), &desktop).0.window;
        assert_eq!(window([800, 600, 1_366, 768]), Some(Look::Odd));
        assert_eq!(window([1_920, 1_080, 1_936, 1_056]), Some(Look::Ok));
        assert_eq!(window([1_366, 768, 1_368, 765]), Some(Look::Ok));
        assert_eq!(window([0, 0, 0, 0]), Some(Look::Ok));
        let phone = agent(Os::Android, Engine::Chromium, true);
        assert_eq!(told(&serde_json::json!({ "sizes": [412, 915, 980, 2_000] }), &phone).0.window, None);
    }

    #[test]
    fn a_pointer_that_jumps_is_told_and_a_keyboard_is_left_alone() {
        let desktop = agent(Os::Windows, Engine::Chromium, false);
        let moves = |facts: Value| told(&facts, &desktop).0.click_moves;
        assert_eq!(moves(serde_json::json!({ "moves": 1 })), Some(ClickMoves::Few));
        assert_eq!(moves(serde_json::json!({ "moves": 3 })), Some(ClickMoves::Ok));
        assert_eq!(moves(serde_json::json!({ "visible": true })), Some(ClickMoves::None));
        assert_eq!(moves(serde_json::json!({ "webdriver": false })), None);
    }

    #[test]
    fn webdriver_is_missed_only_where_the_claimed_browser_has_it() {
        let facts = || serde_json::json!({ "odd": false, "gone": true });
        let odd = |agent: &Agent| told(&facts(), agent).0.webdriver_odd;
        assert_eq!(odd(&agent(Os::Windows, Engine::Chromium, false)), Some(true));
        assert_eq!(odd(&Agent { major: Some(80), ..agent(Os::Android, Engine::Chromium, true) }), Some(false));
        assert_eq!(odd(&agent(Os::Ios, Engine::Webkit, true)), Some(false));
    }

    #[test]
    fn languages_are_compared_by_their_base() {
        assert_eq!(speaks("de-AT", "de,en;q=0.5"), Some(Agreement::Ok));
        assert_eq!(speaks("en-US", "de-DE, en;q=0.5"), Some(Agreement::Ok));
        assert_eq!(speaks("en-US", "ru-RU,ru;q=0.9"), Some(Agreement::Mismatch));
        assert_eq!((speaks("", "de"), speaks("de", "*")), (None, None));
    }

    #[test]
    fn firefox_may_hide_its_system_in_the_field_and_nobody_else() {
        let linux = |engine| agent(Os::Linux, engine, false);
        let windows = |engine| agent(Os::Windows, engine, false);
        assert_eq!(same_agent(&linux(Engine::Gecko), &windows(Engine::Gecko)), Some(Agreement::Ok));
        assert_eq!(same_agent(&linux(Engine::Chromium), &windows(Engine::Chromium)), Some(Agreement::Mismatch));
        assert_eq!(same_agent(&Agent::default(), &windows(Engine::Chromium)), None);
    }
}
