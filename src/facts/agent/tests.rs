//! What agents are taken for: samples, in-app browsers, old phones, hostile text.

use super::*;
use crate::fact::Engine;
use crate::fact::InApp;
use crate::fact::Os;
use crate::lists::shipped;
use proptest::prelude::*;
use std::sync::LazyLock;

static ROBOTS: LazyLock<Robots> = LazyLock::new(|| {
    let file = |path: &str| (path.to_owned(), shipped(path).unwrap().bytes().unwrap());
    Robots::load(&file("bot-ua/crawler-user-agents.json"), &file("bot-ua/well-known-bots.json")).unwrap()
});

macro_rules! lines {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/agents/", $name)).lines()
    };
}

fn of(agent: &str) -> Agent {
    read(&ROBOTS, agent)
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
    let faults = Robots::load(&("a.json".to_owned(), b"[\n{\"patern\": 1}]".to_vec()), &good).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 2));
    let faults = Robots::load(&("a.json".to_owned(), b"[{\"pattern\": \"(\"}]".to_vec()), &good).unwrap_err();
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
