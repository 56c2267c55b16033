//! What agents are taken for: samples, in-app browsers, old phones, hostile text.

use super::*;
use crate::fact::Engine;
use crate::fact::InApp;
use crate::fact::Os;
use crate::lists::shipped;
use proptest::prelude::*;
use std::sync::LazyLock;

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let file = |path: &str| (path.to_owned(), shipped(path).unwrap().bytes().unwrap());
    Reader::load(&file("bot-ua/crawler-user-agents.json"), &file("bot-ua/well-known-bots.json")).unwrap()
});

macro_rules! lines {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/agents/", $name)).lines()
    };
}

fn of(agent: &str) -> Agent {
    READER.read(agent)
}

fn is_robot(agent: &Agent) -> bool {
    use AgentKind::*;
    agent.robot.is_some() || matches!(agent.kind, Library | Headless | Crawler | Monitor | Tool)
}

#[test]
fn declared_robots_are_told_from_people() {
    let missed: Vec<&str> = lines!("robots.txt").filter(|agent| !is_robot(&of(agent))).collect();
    assert_eq!(missed, Vec::<&str>::new());
    let accused: Vec<&str> = lines!("people.txt").filter(|agent| is_robot(&of(agent))).collect();
    assert_eq!(accused, Vec::<&str>::new());
}

#[test]
fn browsers_inside_apps_are_people() {
    for line in lines!("in-app.txt") {
        let (app, agent) = line.split_once(' ').unwrap();
        let read = of(agent);
        assert!(!is_robot(&read), "{agent}: {read:?}");
        assert_eq!((read.kind, read.in_app, read.mobile), (AgentKind::InApp, InApp::of_name(app), true), "{agent}");
    }
}

#[test]
fn phones_named_like_bots_televisions_consoles_and_old_browsers_are_people() {
    for agent in lines!("devices.txt") {
        let read = of(agent);
        assert!(!is_robot(&read), "{agent}: {read:?}");
        assert_eq!(read.kind, AgentKind::Browser, "{agent}: {read:?}");
    }
}

#[test]
fn text_browsers_are_people() {
    for (agent, family) in [
        ("Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.7.8", "lynx"),
        ("w3m/0.5.3+git20230121", "w3m"),
        ("Links (2.28; Linux 6.1.0 x86_64; GNU C 12.2; text)", "links"),
        ("ELinks/0.13.2 (textmode; Linux; 80x25-2)", "elinks"),
        ("NetSurf/3.10 (Linux)", "netsurf"),
        ("URL/Emacs Emacs/28.2 (TTY; x86_64-pc-linux-gnu)", "eww"),
    ] {
        let read = of(agent);
        assert_eq!((read.kind, &*read.family), (AgentKind::Browser, family), "{agent}: {read:?}");
    }
}

#[test]
fn browsers_show_family_version_engine_and_system() {
    let table = [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "chrome",
            126,
            Engine::Chromium,
            Os::Windows,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/125.0.0.0",
            "edge",
            125,
            Engine::Chromium,
            Os::Windows,
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            "safari",
            17,
            Engine::Webkit,
            Os::Macos,
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "firefox", 127, Engine::Gecko, Os::Linux),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1",
            "chrome",
            125,
            Engine::Webkit,
            Os::Ios,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
            "samsung_internet",
            25,
            Engine::Chromium,
            Os::Android,
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "chrome",
            126,
            Engine::Chromium,
            Os::Chromeos,
        ),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "ie", 11, Engine::Trident, Os::Windows),
    ];
    for (agent, family, major, engine, os) in table {
        let read = of(agent);
        assert_eq!((&*read.family, read.major, read.engine, read.os), (family, Some(major), Some(engine), Some(os)), "{agent}");
        assert_eq!(read.kind, AgentKind::Browser);
    }
}

#[test]
fn robots_show_kind_family_and_the_identity_they_claim() {
    let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36";
    let headless = format!("Mozilla/5.0 (X11; Linux x86_64) {chrome}");
    let table = [
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            AgentKind::Crawler,
            "facebookexternalhit",
            Some("meta"),
        ),
        (
            "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
            AgentKind::Crawler,
            "meta_external",
            Some("meta"),
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            AgentKind::Crawler,
            "googlebot",
            Some("google"),
        ),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", AgentKind::Crawler, "bingbot", Some("bing")),
        ("TelegramBot (like TwitterBot)", AgentKind::Crawler, "telegrambot", Some("telegram")),
        ("curl/8.5.0", AgentKind::Library, "curl", None),
        ("python-requests/2.31.0", AgentKind::Library, "python_requests", None),
        ("Go-http-client/1.1", AgentKind::Library, "go_http_client", None),
        ("okhttp/4.12.0", AgentKind::Library, "okhttp", None),
        (&headless, AgentKind::Headless, "headless_chrome", None),
        ("Mozilla/5.0 (compatible; ShinyNewBot/1.0; x)", AgentKind::Crawler, "shinynewbot", None),
        ("Mozilla/5.0 (compatible; price watch; team@watch.example)", AgentKind::Crawler, "team_watch_example", None),
        ("some-tool/3", AgentKind::Tool, "some_tool", None),
        ("   ", AgentKind::Empty, "", None),
    ];
    for (agent, kind, family, claims) in table {
        let read = of(agent);
        assert_eq!((read.kind, &*read.family, read.claims), (kind, family, claims), "{agent}");
    }
}

#[test]
fn broken_pattern_files_are_refused_with_their_place() {
    let good = ("b".to_owned(), b"[]".to_vec());
    let faults = Reader::load(&("a.json".to_owned(), b"[\n{\"patern\": 1}]".to_vec()), &good).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 2));
    let faults = Reader::load(&("a.json".to_owned(), b"[{\"pattern\": \"(\"}]".to_vec()), &good).unwrap_err();
    assert!(faults[0].message.contains("do not compile"), "{}", faults[0]);
}

proptest! {
    #[test]
    fn hostile_agents_never_panic(text in ".{0,300}", long in "\\PC{900,1200}") {
        of(&text);
        assert!(bounded(&long).len() <= LIMIT);
        of(&long);
    }

    #[test]
    fn pieces_of_agents_in_any_order_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "Mozilla/5.0 ", "(", ")", "Chrome/", "Edg", "rv:", "é", "@", "http://", "bot", "[FBAN/", "Version/99999999999999", "Java/", "MSIE ", ";", "\u{1f600}",
    ]), 0..12)) {
        of(&pieces.concat());
    }
}

/// What of an agent's form is odd.
fn odd(agent: &str) -> (Option<bool>, Option<bool>, Option<bool>) {
    let form = of(agent).form;
    (form.impossible, form.altered, form.future)
}

const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";

#[test]
fn agents_that_no_browser_sends_are_impossible() {
    let iphone = "iPhone; CPU iPhone OS 17_0 like Mac OS X";
    for agent in [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15"
            .to_owned(),
        format!("Mozilla/5.0 ({iphone}) {WEBKIT} Firefox/120.0 Mobile Safari/537.36"),
        "Mozilla/5.0 (iPhone; Trident/7.0; rv:11.0) like Gecko".to_owned(),
        format!("Mozilla/5.0 (Windows NT 11.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"),
        format!("Mozilla/5.0 (Windows NT 10.0; Android 14; K) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"),
        format!("Mozilla/5.0 (Macintosh; X11; Linux x86_64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"),
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/121.0".to_owned(),
        "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20231201 Firefox/121.0".to_owned(),
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/531.1 (KHTML, like Gecko) Chrome/101.0.0.0 Safari/531.1"
            .to_owned(),
        format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/118.0.0.0"),
        format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Chrome/120.0.0.0 Safari/537.36"),
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
            .to_owned(),
        format!("User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"),
    ] {
        assert_eq!(odd(&agent).0, Some(true), "{agent}");
    }
}

#[test]
fn odd_agents_of_people_are_possible() {
    for agent in lines!("devices.txt").chain(lines!("in-app.txt")).chain([
        // Windows Phone says the others' names; a clone's model; Firefox while `rv:` stood still; forks that say more; a toolbar.
        "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537",
        "Mozilla/5.0 (Linux; Android 4.1.5; iPhone5 Build/IMM76D) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/29.0.1547.72 Mobile Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0",
        "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:60.0) Gecko/20100101 Firefox/60.0 SeaMonkey/2.53.5",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1) ; SLCC2)",
        "Mozilla/5.0 (Windows; U; Windows NT 6.1; en-US) AppleWebKit/533.20.25 (KHTML, like Gecko) Version/5.0.4 Safari/533.20.27",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/125.0 Mobile/15E148 Safari/605.1.15",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
    ]) {
        // In front of agents of apps their file says the app.
        let agent = agent.find("Mozilla").map_or(agent, |at| &agent[at..]);
        let (impossible, altered, future) = odd(agent);
        assert!(impossible != Some(true) && altered != Some(true) && future != Some(true), "{agent}: {:?}", of(agent).form);
    }
}

#[test]
fn a_full_version_is_odd_in_chrome_itself_only_and_its_name_on_ios() {
    for (agent, altered) in [
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.6099.109 Safari/537.36"), Some(true)),
        (format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/124.0.6367.82 Mobile Safari/537.36"), Some(true)),
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"), Some(false)),
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/109.0.5414.120 Safari/537.36"), Some(false)),
        (
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.6099.109 Safari/537.36 OPR/106.0.4998.19"),
            Some(false),
        ),
        (
            format!(
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} CMAC 2.1.2.01; Chrome/118.0.5993.119 Safari/537.36"
            ),
            Some(false),
        ),
        (
            format!("Mozilla/5.0 (iPhone; CPU iPhone OS 11_0 like Mac OS X) {WEBKIT} Chrome/50.0.6160.1188 Mobile Safari/537.36"),
            Some(true),
        ),
        // A WebView keeps its full version.
        (
            format!(
                "Mozilla/5.0 (Linux; Android 14; SM-A546B Build/UP1A; wv) {WEBKIT} Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36"
            ),
            None,
        ),
    ] {
        assert_eq!(odd(&agent).1, altered, "{agent}");
    }
}

#[test]
fn only_browsers_that_update_themselves_are_behind() {
    let chrome = |platform: &str, major: u32| format!("Mozilla/5.0 ({platform}) {WEBKIT} Chrome/{major}.0.0.0 Safari/537.36");
    for (agent, behind) in [
        (chrome("Windows NT 10.0; Win64; x64", 131), Some(25)),
        (chrome("Windows NT 10.0; Win64; x64", 400), Some(0)),
        // Nobody gives these any update.
        (chrome("Windows NT 6.1; Win64; x64", 109), None),
        (chrome("Linux; Android 6.0.1; SM-G920F", 106), None),
        (chrome("Linux; Android 9; BRAVIA 4K GB Build/PTT1", 90), None),
        (chrome("X11; Linux armv7l; Web0S; Linux/SmartTV", 79), None),
        ("Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/92.0.4515.90 Mobile/15E148 Safari/604.1".to_owned(), None),
        ("Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1".to_owned(), None),
        (format!("Mozilla/5.0 (Linux; Android 13; Pixel 6 Build/T; wv) {WEBKIT} Version/4.0 Chrome/100.0.0.0 Mobile Safari/537.36"), None),
    ] {
        assert_eq!(of(&agent).form.behind, behind, "{agent}");
    }
    assert_eq!(of(&chrome("Windows NT 10.0; Win64; x64", 217)).form.future, Some(true));
    assert_eq!(of(&chrome("Windows NT 10.0; Win64; x64", 216)).form.future, Some(false));
}

#[test]
fn devices_are_told_by_class() {
    use crate::fact::Device;
    let safari = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
    for (agent, device) in [
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"), Device::Desktop),
        (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"), Device::Desktop),
        (format!("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) {safari}"), Device::Phone),
        (format!("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) {safari}"), Device::Tablet),
        (format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36"), Device::Phone),
        (format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"), Device::Tablet),
        (format!("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) {WEBKIT} Version/6.0 TV Safari/537.36"), Device::Tv),
        (
            format!("Mozilla/5.0 (Linux; Android 9; AFTKA Build/PS7) {WEBKIT} Chrome/100.0.4896.127 Mobile Safari/537.36"),
            Device::Tv,
        ),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/5.10) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15"
                .to_owned(),
            Device::Console,
        ),
        (
            format!(
                "Mozilla/5.0 (Linux; Android 12; Quest 3) {WEBKIT} OculusBrowser/30.0.0.2.30 Chrome/118.0.0.0 VR Safari/537.36"
            ),
            Device::Wearable,
        ),
        (
            format!(
                "Mozilla/5.0 (X11; GNU/Linux) {WEBKIT} Chromium/79.0.3945.130 Chrome/79.0.3945.130 Safari/537.36 Tesla/2021.44"
            ),
            Device::Car,
        ),
    ] {
        assert_eq!(of(&agent).form.device, Some(device), "{agent}");
    }
}

#[test]
fn a_known_browser_is_one_by_name_and_no_robot() {
    let chrome = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36");
    for (agent, known) in [
        (chrome.as_str(), Some(true)),
        (&format!("{chrome} ShinyBot/1.0"), Some(false)),
        ("Mozilla/5.0", Some(false)),
        ("curl/8.5.0", Some(false)),
        ("", None),
    ] {
        assert_eq!(of(agent).form.known_browser, known, "{agent}");
    }
}
