//! Browsers, apps with a browser inside, and their platform, recognised positively.
//! Must not know robots: it takes an agent at its word.

use std::sync::Arc;

use crate::fact::Agent;
use crate::fact::AgentForm;
use crate::fact::AgentKind;
use crate::fact::Engine;
use crate::fact::InApp;
use crate::fact::Os;
use crate::facts::agent::marks::Mark;
use crate::facts::agent::marks::Seen;
use crate::facts::agent::words::version_after;

/// Marks of apps, the most particular first (Instagram and Messenger carry Facebook's marks too).
pub(super) const APPS: [(&str, InApp); 31] = [
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
pub(super) const FAMILIES: [(&str, &str); 43] = [
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

/// The names of families, each shared by all agents of it.
#[derive(Debug)]
pub(super) struct Names {
    of_marks: Vec<Arc<str>>,
    ie: Arc<str>,
    safari: Arc<str>,
    android: Arc<str>,
    none: Arc<str>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            of_marks: FAMILIES.iter().map(|(_, family)| Arc::from(*family)).collect(),
            ie: Arc::from("ie"),
            safari: Arc::from("safari"),
            android: Arc::from("android_browser"),
            none: Arc::from(""),
        }
    }

    /// Reads an agent as a browser; of kind `unknown` where nothing of a browser is in it.
    pub(super) fn read(&self, seen: &Seen<'_>) -> Agent {
        let (os, mobile) = platform(seen);
        let in_app = seen.app().and_then(|at| APPS.get(at)).map(|(_, app)| *app).filter(|_| os.is_some());
        let web = seen.text().starts_with("Mozilla/") || seen.text().starts_with("Opera/");
        let (family, major) = self.family(seen, os);
        let kind = match (in_app, web || !family.is_empty()) {
            (Some(_), true) => AgentKind::InApp,
            (None, true) if !family.is_empty() || os.is_some() => AgentKind::Browser,
            _ => AgentKind::Unknown,
        };
        let in_app = in_app.filter(|_| kind == AgentKind::InApp);
        let (robot, claims, form) = (None, None, AgentForm::default());
        Agent { kind, family: Arc::clone(family), engine: engine(seen, os), major, os, mobile, in_app, robot, claims, form }
    }

    fn family(&self, seen: &Seen<'_>, os: Option<Os>) -> (&Arc<str>, Option<u32>) {
        if let Some((at, major)) = seen.versioned_family() {
            return (self.of_marks.get(at).unwrap_or(&self.none), Some(major));
        }
        if seen.has(Mark::Trident) {
            return (&self.ie, version_after(seen.text(), "rv"));
        }
        if seen.has(Mark::Safari) || (os == Some(Os::Ios) && seen.has(Mark::Webkit)) {
            let family = if os == Some(Os::Android) { &self.android } else { &self.safari };
            return (family, seen.number_after(Mark::Version));
        }
        (&self.none, None)
    }
}

fn engine(seen: &Seen<'_>, os: Option<Os>) -> Option<Engine> {
    if seen.has(Mark::Trident) || seen.has(Mark::Msie) {
        Some(Engine::Trident)
    } else if os == Some(Os::Ios) {
        Some(Engine::Webkit)
    } else if seen.has(Mark::Chrome) || seen.has(Mark::Chromium) {
        Some(Engine::Chromium)
    } else if seen.has(Mark::Webkit) {
        Some(Engine::Webkit)
    } else {
        seen.has(Mark::Gecko).then_some(Engine::Gecko)
    }
}

fn platform(seen: &Seen<'_>) -> (Option<Os>, bool) {
    let os = if seen.has(Mark::Appliance) {
        Some(Os::Other)
    } else if seen.has(Mark::Windows) {
        Some(Os::Windows)
    } else if seen.has(Mark::Ios) {
        Some(Os::Ios)
    } else if seen.has(Mark::NamedAndroid) {
        Some(Os::Android)
    } else if seen.has(Mark::ChromeOs) {
        Some(Os::Chromeos)
    } else if seen.has(Mark::Macos) {
        Some(Os::Macos)
    } else if seen.has(Mark::Unix) {
        Some(Os::Linux)
    } else {
        seen.has(Mark::OldSystem).then_some(Os::Other)
    };
    (os, seen.has(Mark::MobileDevice) && !seen.has(Mark::AndroidTv))
}
