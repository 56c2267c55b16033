//! Browsers, apps with a browser inside, and their platform, recognised positively.
//! Must not know robots: it takes an agent at its word.

use std::sync::Arc;

use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Engine;
use crate::fact::InApp;
use crate::fact::Os;
use crate::facts::agent::words::version_after;

/// Marks of apps, the most particular first (Instagram and Messenger carry Facebook's marks too).
const APPS: [(&str, InApp); 31] = [
    ("Instagram", InApp::Instagram),
    ("FBAN/Messenger", InApp::Messenger),
    ("MessengerForiOS", InApp::Messenger),
    ("FB_IAB/Orca", InApp::Messenger),
    ("MESSENGER", InApp::Messenger),
    ("FBAN/", InApp::Facebook),
    ("FBAV/", InApp::Facebook),
    ("FB_IAB", InApp::Facebook),
    ("FBIOS", InApp::Facebook),
    ("MetaIAB", InApp::Facebook),
    ("musical_ly", InApp::Tiktok),
    ("BytedanceWebview", InApp::Tiktok),
    ("ByteLocale", InApp::Tiktok),
    ("TikTok", InApp::Tiktok),
    ("trill_", InApp::Tiktok),
    ("Snapchat", InApp::Snapchat),
    ("[Pinterest/", InApp::Pinterest),
    ("Pinterest for", InApp::Pinterest),
    ("LinkedInApp", InApp::Linkedin),
    ("Twitter for", InApp::X),
    ("TwitterAndroid", InApp::X),
    ("Twitter/", InApp::X),
    (" Line/", InApp::Line),
    ("MicroMessenger", InApp::Wechat),
    ("GSA/", InApp::Google),
    ("; wv)", InApp::Other),
    ("KAKAOTALK", InApp::Other),
    ("NAVER(inapp", InApp::Other),
    ("Flipboard/", InApp::Other),
    ("DuckDuckGo/", InApp::Other),
    ("Reddit/", InApp::Other),
];

/// Families by their mark, the most particular first: nearly all of them also call themselves Chrome or Safari.
const FAMILIES: [(&str, &str); 43] = [
    ("EdgA", "edge"),
    ("EdgiOS", "edge"),
    ("Edg", "edge"),
    ("Edge", "edge"),
    ("OPR", "opera"),
    ("OPiOS", "opera"),
    ("OPT", "opera"),
    ("OPX", "opera"),
    ("Opera Mini", "opera"),
    ("Opera", "opera"),
    ("SamsungBrowser", "samsung_internet"),
    ("UCBrowser", "uc"),
    ("UCWEB", "uc"),
    ("YaBrowser", "yandex"),
    ("Vivaldi", "vivaldi"),
    ("MiuiBrowser", "miui"),
    ("HuaweiBrowser", "huawei"),
    ("HeyTapBrowser", "heytap"),
    ("VivoBrowser", "vivo"),
    ("MQQBrowser", "qq"),
    ("QQBrowser", "qq"),
    ("Whale", "whale"),
    ("Silk", "silk"),
    ("DuckDuckGo", "duckduckgo"),
    ("Ddg", "duckduckgo"),
    ("Puffin", "puffin"),
    ("Maxthon", "maxthon"),
    ("PaleMoon", "pale_moon"),
    ("SeaMonkey", "seamonkey"),
    ("Focus", "firefox"),
    ("FxiOS", "firefox"),
    ("CriOS", "chrome"),
    ("Firefox", "firefox"),
    ("MSIE", "ie"),
    ("IEMobile", "ie"),
    ("Chromium", "chrome"),
    ("Chrome", "chrome"),
    ("Konqueror", "konqueror"),
    ("NokiaBrowser", "nokia"),
    ("BrowserNG", "nokia"),
    ("BlackBerry", "blackberry"),
    ("NetFront", "netfront"),
    ("PlayStation", "playstation"),
];

/// Reads an agent as a browser; of kind `unknown` where nothing of a browser is in it.
pub(super) fn read(text: &str) -> Agent {
    let (os, mobile) = platform(text);
    let in_app = APPS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, app)| *app).filter(|_| os.is_some());
    let web = text.starts_with("Mozilla/") || text.starts_with("Opera/");
    let (family, major) = family(text, os);
    let kind = match (in_app, web || !family.is_empty()) {
        (Some(_), true) => AgentKind::InApp,
        (None, true) if !family.is_empty() || os.is_some() => AgentKind::Browser,
        _ => AgentKind::Unknown,
    };
    let in_app = in_app.filter(|_| kind == AgentKind::InApp);
    Agent { kind, family: Arc::from(family), engine: engine(text, os), major, os, mobile, in_app, robot: None, claims: None }
}

fn family(text: &str, os: Option<Os>) -> (&'static str, Option<u32>) {
    if let Some((mark, family)) = FAMILIES.iter().find(|(mark, _)| text.contains(mark) && version_after(text, mark).is_some()) {
        return (family, version_after(text, mark));
    }
    if text.contains("Trident/") {
        return ("ie", version_after(text, "rv"));
    }
    if text.contains("Safari/") || (os == Some(Os::Ios) && text.contains("AppleWebKit")) {
        let family = if os == Some(Os::Android) { "android_browser" } else { "safari" };
        return (family, version_after(text, "Version"));
    }
    ("", None)
}

fn engine(text: &str, os: Option<Os>) -> Option<Engine> {
    if text.contains("Trident/") || text.contains("MSIE ") {
        Some(Engine::Trident)
    } else if os == Some(Os::Ios) {
        Some(Engine::Webkit)
    } else if text.contains("Chrome/") || text.contains("Chromium/") {
        Some(Engine::Chromium)
    } else if text.contains("AppleWebKit") {
        Some(Engine::Webkit)
    } else {
        text.contains("Gecko/").then_some(Engine::Gecko)
    }
}

fn platform(text: &str) -> (Option<Os>, bool) {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let os = if has(&[
        "Web0S",
        "WebOS",
        "Tizen",
        "SMART-TV",
        "SmartTV",
        "PlayStation",
        "Nintendo",
        "Xbox",
        "HbbTV",
        "Roku",
        "AppleTV",
    ]) {
        Some(Os::Other)
    } else if has(&["Windows", "Win64", "Win98"]) {
        Some(Os::Windows)
    } else if has(&["iPhone", "iPad", "iPod"]) {
        Some(Os::Ios)
    } else if has(&["Android"]) {
        Some(Os::Android)
    } else if has(&["CrOS"]) {
        Some(Os::Chromeos)
    } else if has(&["Mac OS X", "Macintosh", "Mac_PowerPC"]) {
        Some(Os::Macos)
    } else if has(&["Linux", "X11", "BSD"]) {
        Some(Os::Linux)
    } else {
        has(&["BlackBerry", "BB10", "Symbian", "MIDP", "KAIOS", "Series60", "webOS"]).then_some(Os::Other)
    };
    (os, has(&["Mobile", "iPhone", "iPad", "iPod", "Android", "Phone", "Opera Mini", "MIDP", "Tablet"]) && !has(&["Android TV"]))
}
