//! Marks of apps, browsers, systems and devices, all looked for in one pass over an agent. Promises: what is said of a mark is
//! what a search for it alone would say. Must not know what follows from a mark.

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use aho_corasick::BuildError;

use crate::facts::agent::browsers::APPS;
use crate::facts::agent::browsers::FAMILIES;
use crate::facts::agent::words::ENDINGS;
use crate::facts::agent::words::number;

/// What is looked for; each of them by one word or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    AndroidSystem,
    AndroidTv,
    Appliance,
    Braces,
    Car,
    Chrome,
    ChromeOs,
    ChromeTail,
    Chromium,
    Compatible,
    Console,
    Contact,
    CpuOfIphone,
    Dollar,
    Edge,
    Firefox,
    Gecko,
    Ios,
    LikeGecko,
    LikeGeckoWhole,
    Macintosh,
    Macos,
    Mobile,
    MobileDevice,
    Msie,
    NamedAndroid,
    OldSystem,
    Revision,
    RobotEnding,
    Safari,
    Tablet,
    Television,
    Trident,
    Unix,
    Version,
    Wearable,
    Webkit,
    WebkitVersion,
    WebView,
    Windows,
    WindowsNt,
    WindowsPhone,
    WindowsVersion,
    X11,
}

/// The words of each mark, in the marks' order.
const WORDS: [(Mark, &[&str]); 44] = [
    (Mark::AndroidSystem, &["Android "]),
    (Mark::AndroidTv, &["Android TV"]),
    (
        Mark::Appliance,
        &[
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
            "OpenHarmony",
        ],
    ),
    (Mark::Braces, &["{{"]),
    (Mark::Car, &["Tesla/", "QtCarBrowser"]),
    (Mark::Chrome, &["Chrome/"]),
    (Mark::ChromeOs, &["CrOS"]),
    (Mark::ChromeTail, &[") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"]),
    (Mark::Chromium, &["Chromium/"]),
    (Mark::Compatible, &["compatible"]),
    (Mark::Console, &["PlayStation", "PLAYSTATION", "Nintendo", "Xbox", "XBOX", "Wii", "Steam"]),
    (Mark::Contact, &["http://", "https://", "+www.", "@"]),
    (Mark::CpuOfIphone, &["CPU iPhone OS"]),
    (Mark::Dollar, &["${"]),
    (Mark::Edge, &["Edg/"]),
    (Mark::Firefox, &["Firefox/"]),
    (Mark::Gecko, &["Gecko/"]),
    (Mark::Ios, &["iPhone", "iPad", "iPod"]),
    (Mark::LikeGecko, &["like Gecko"]),
    (Mark::LikeGeckoWhole, &["(KHTML, like Gecko)"]),
    (Mark::Macintosh, &["Macintosh"]),
    (Mark::Macos, &["Mac OS X", "Macintosh", "Mac_PowerPC"]),
    (Mark::Mobile, &["Mobile"]),
    (Mark::MobileDevice, &["Mobile", "iPhone", "iPad", "iPod", "Android", "Phone", "Opera Mini", "MIDP", "Tablet"]),
    (Mark::Msie, &["MSIE "]),
    (Mark::NamedAndroid, &["Android"]),
    (Mark::OldSystem, &["BlackBerry", "BB10", "Symbian", "MIDP", "KAIOS", "Series60", "webOS"]),
    (Mark::Revision, &["rv:"]),
    (Mark::RobotEnding, &ENDINGS),
    (Mark::Safari, &["Safari/"]),
    (
        Mark::Tablet,
        &["iPad", "Tablet", "tablet", "SM-T", "SM-X", "GT-P", "KFTT", "KF", "Kindle", "PlayBook", "Lenovo TB", "Nexus 10"],
    ),
    (
        Mark::Television,
        &[
            "TV",
            "Web0S",
            "SMART-TV",
            "SmartTV",
            "HbbTV",
            "AppleTV",
            "GoogleTV",
            "BRAVIA",
            "AFT",
            "Roku",
            "CrKey",
            "NetCast",
            "VIDAA",
            "Viera",
            "InettvBrowser",
            "DTV",
            "Opera TV",
            "MiBOX",
            "Chromecast",
            "SHIELD",
            "NETTV",
            "Set-top",
            "STB",
        ],
    ),
    (Mark::Trident, &["Trident/"]),
    (Mark::Unix, &["Linux", "X11", "BSD"]),
    (Mark::Version, &["Version"]),
    (Mark::Wearable, &["Watch", "Wear OS", "OculusBrowser", "Quest", "Glass", "VisionOS"]),
    (Mark::Webkit, &["AppleWebKit"]),
    (Mark::WebkitVersion, &["AppleWebKit/"]),
    (Mark::WebView, &["; wv)"]),
    (Mark::Windows, &["Windows", "Win64", "Win98"]),
    (Mark::WindowsNt, &["Windows NT"]),
    (Mark::WindowsPhone, &["Windows Phone"]),
    (Mark::WindowsVersion, &["Windows NT "]),
    (Mark::X11, &["X11;"]),
];

/// No place in a text: texts are shorter.
const NOWHERE: u16 = u16::MAX;

/// What a word that is looked for belongs to.
#[derive(Clone, Copy, Debug)]
enum Of {
    Mark(Mark),
    /// By its place among the apps.
    App(u8),
    /// By its place among the families.
    Family(u8),
}

/// All marks, ready to be looked for.
#[derive(Debug)]
pub(super) struct Marks {
    /// Finds words in any case: some are asked for so, and what is written otherwise is seldom.
    words: AhoCorasick,
    /// What each word belongs to, and how it is written.
    behind: Vec<(Of, &'static str)>,
}

impl Marks {
    pub(super) fn new() -> Result<Self, BuildError> {
        let marks = WORDS.iter().flat_map(|(mark, words)| words.iter().map(|word| (Of::Mark(*mark), *word)));
        let apps = (0_u8..).zip(&APPS).map(|(at, (word, _))| (Of::App(at), *word));
        let families = (0_u8..).zip(&FAMILIES).map(|(at, (word, _))| (Of::Family(at), *word));
        let behind: Vec<_> = marks.chain(apps).chain(families).collect();
        let mut builder = AhoCorasick::builder();
        // Some 500 KiB, one step a byte.
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        Ok(Self { words: builder.build(behind.iter().map(|(_, word)| word))?, behind })
    }

    /// Looks for all marks in a text that is no longer than an agent is looked at.
    pub(super) fn seen<'t>(&self, text: &'t str) -> Seen<'t> {
        let opens = text.find('(').map_or(text.len(), |at| at + 1);
        let closes = text.get(opens..).and_then(|rest| rest.find(')')).map_or(text.len(), |length| opens + length);
        let mut seen = Seen::nothing(text, opens, closes);
        for found in self.words.find_overlapping_iter(text) {
            let Some((of, word)) = self.behind.get(found.pattern().as_usize()) else { continue };
            let place = u16::try_from(found.start()).unwrap_or(NOWHERE);
            let as_written = text.as_bytes().get(found.range()) == Some(word.as_bytes());
            match of {
                Of::App(at) if as_written => seen.app = seen.app.min(*at),
                Of::App(_) => {}
                Of::Family(at) => seen.family(*at, place, as_written),
                Of::Mark(mark) => seen.mark(*mark, found.range(), place, as_written),
            }
        }
        seen
    }
}

/// Where a mark is first.
#[derive(Clone, Copy, Debug)]
struct Places {
    as_written: u16,
    in_any_case: u16,
}

/// What was found in one agent. Marks are meant as they are written, but where any case is said to do.
#[derive(Debug)]
pub(super) struct Seen<'t> {
    text: &'t str,
    /// The first comment, from where to where.
    platform: (usize, usize),
    /// Each a set of marks: those that are there, …
    there: u64,
    /// … that begin where a word begins, …
    begins: u64,
    /// … that end where a word ends, in any case, …
    ends: u64,
    /// … that are there again, …
    again: u64,
    /// … that are in the first comment.
    within: u64,
    places: [Places; WORDS.len()],
    app: u8,
    families: u64,
    /// Where each family is first, in any case.
    family_places: [u16; FAMILIES.len()],
}

impl<'t> Seen<'t> {
    fn nothing(text: &'t str, opens: usize, closes: usize) -> Self {
        Self {
            text,
            platform: (opens, closes),
            there: 0,
            begins: 0,
            ends: 0,
            again: 0,
            within: 0,
            places: [Places { as_written: NOWHERE, in_any_case: NOWHERE }; WORDS.len()],
            app: u8::MAX,
            families: 0,
            family_places: [NOWHERE; FAMILIES.len()],
        }
    }

    fn family(&mut self, at: u8, place: u16, as_written: bool) {
        if as_written {
            self.families |= 1 << at;
        }
        if let Some(first) = self.family_places.get_mut(usize::from(at)) {
            *first = place.min(*first);
        }
    }

    fn mark(&mut self, mark: Mark, range: std::ops::Range<usize>, place: u16, as_written: bool) {
        let bit = 1_u64 << mark as u8;
        let is_letter = |at: usize| self.text.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric);
        if !is_letter(range.end) {
            self.ends |= bit;
        }
        if let Some(places) = self.places.get_mut(mark as usize) {
            places.in_any_case = place.min(places.in_any_case);
            if as_written {
                places.as_written = place.min(places.as_written);
            }
        }
        if !as_written {
            return;
        }
        if !is_letter(range.start.wrapping_sub(1)) {
            self.begins |= bit;
        }
        if range.start >= self.platform.0 && range.end <= self.platform.1 {
            self.within |= bit;
        }
        self.again |= self.there & bit;
        self.there |= bit;
    }

    /// The agent.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The first comment, which names the platform.
    pub(super) fn platform(&self) -> &'t str {
        self.text.get(self.platform.0..self.platform.1).unwrap_or_default()
    }

    /// Whether a mark is there.
    pub(super) fn has(&self, mark: Mark) -> bool {
        self.there & 1 << mark as u8 != 0
    }

    /// Whether a mark is there at the beginning of a word.
    pub(super) fn begins(&self, mark: Mark) -> bool {
        self.begins & 1 << mark as u8 != 0
    }

    /// Whether a mark is there at the end of a word, in any case.
    pub(super) fn ends(&self, mark: Mark) -> bool {
        self.ends & 1 << mark as u8 != 0
    }

    /// Whether a mark of one word is there twice or more.
    pub(super) fn repeats(&self, mark: Mark) -> bool {
        self.again & 1 << mark as u8 != 0
    }

    /// Whether a mark is in the first comment.
    pub(super) fn in_platform(&self, mark: Mark) -> bool {
        self.within & 1 << mark as u8 != 0
    }

    /// Where a mark is first.
    pub(super) fn place(&self, mark: Mark) -> Option<usize> {
        self.places.get(mark as usize).filter(|places| places.as_written != NOWHERE).map(|places| usize::from(places.as_written))
    }

    /// What follows the first of a mark of one word.
    pub(super) fn after(&self, mark: Mark) -> Option<&'t str> {
        self.text.get(self.place(mark)? + length(mark)?..)
    }

    /// The number behind the first of a mark of one word, in any case.
    pub(super) fn number_after(&self, mark: Mark) -> Option<u32> {
        let places = self.places.get(mark as usize).filter(|places| places.in_any_case != NOWHERE)?;
        number(self.text.get(usize::from(places.in_any_case) + length(mark)?..)?)
    }

    /// The first app of the table that is there, by its place.
    pub(super) fn app(&self) -> Option<usize> {
        Some(usize::from(self.app)).filter(|at| *at < APPS.len())
    }

    /// The first family of the table that is there with a version, by its place, and the version.
    pub(super) fn versioned_family(&self) -> Option<(usize, u32)> {
        let mut left = self.families;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let word = FAMILIES.get(at).map(|(word, _)| word.len());
            let place = self.family_places.get(at).map(|place| usize::from(*place));
            let after = word.zip(place).and_then(|(length, place)| self.text.get(place + length..));
            if let Some(version) = after.and_then(number) {
                return Some((at, version));
            }
            left &= left - 1;
        }
        None
    }
}

/// The length of a mark's first word.
fn length(mark: Mark) -> Option<usize> {
    WORDS.get(mark as usize).and_then(|(_, words)| words.first()).map(|word| word.len())
}

#[cfg(test)]
mod tests;
