//! What the form of an agent shows beside its names: device, age, and what no browser says. Each test is a mechanism that
//! holds for a whole family; where a fork, an app or an old device may differ the answer is `unknown`. Must not know robots.

use crate::fact::Agent;
use crate::fact::AgentForm;
use crate::fact::AgentKind;
use crate::fact::Device;
use crate::fact::Os;
use crate::facts::agent::marks::Mark;
use crate::facts::agent::marks::Seen;

/// The newest stable majors, as of 2026-11-01, of families that update themselves within weeks. Being older than this table
/// makes nobody look older.
const NEWEST: [(&str, u32); 3] = [("chrome", 156), ("edge", 156), ("firefox", 156)];
/// So many majors ahead of the table are taken for granted: more than two years at the fastest pace there is (Chromium's,
/// every two weeks since 153).
const AHEAD: u32 = 60;
/// Versions of Windows NT that were ever sent; Windows 11 sends 10.0.
const WINDOWS: [&str; 11] = ["4.0", "5.0", "5.01", "5.1", "5.2", "6.0", "6.1", "6.2", "6.3", "6.4", "10.0"];

/// What the form of an agent shows, once its names are read.
pub(super) fn of(seen: &Seen<'_>, read: &Agent) -> AgentForm {
    let person = matches!(read.kind, AgentKind::Browser | AgentKind::InApp);
    let plain = read.kind == AgentKind::Browser;
    let known = person && !read.family.is_empty() && read.os.is_some();
    let judged = !matches!(read.kind, AgentKind::Unknown | AgentKind::Empty);
    let device = person.then(|| device(seen, read)).flatten();
    let (behind, future) = age(seen, read, device);
    AgentForm {
        device,
        behind: behind.filter(|_| plain),
        future: future.filter(|_| plain),
        impossible: person.then(|| is_impossible(seen)),
        altered: plain.then(|| is_unreduced(seen) || is_chrome_on_ios(seen)),
        known_browser: (judged || seen.text().starts_with("Mozilla/")).then_some(known && read.robot.is_none()),
    }
}

fn device(seen: &Seen<'_>, read: &Agent) -> Option<Device> {
    let is_large = read.os == Some(Os::Android) && !seen.has(Mark::Mobile) && !seen.has(Mark::WebView);
    Some(if seen.begins(Mark::Console) {
        Device::Console
    } else if seen.begins(Mark::Television) {
        Device::Tv
    } else if seen.begins(Mark::Car) {
        Device::Car
    } else if seen.begins(Mark::Wearable) {
        Device::Wearable
    } else if seen.begins(Mark::Tablet) || is_large {
        Device::Tablet
    } else if read.mobile {
        Device::Phone
    } else {
        match read.os? {
            Os::Windows | Os::Macos | Os::Linux | Os::Chromeos => Device::Desktop,
            Os::Ios | Os::Android => Device::Phone,
            Os::Other => return None,
        }
    })
}

/// Majors behind the newest known, and whether the version lies in the future. Devices whose last update came long ago are
/// left out of the first: televisions, consoles, Windows before 10 (last Chrome 109), Android before 10, all of iOS.
fn age(seen: &Seen<'_>, read: &Agent, device: Option<Device>) -> (Option<u32>, Option<bool>) {
    let newest = NEWEST.iter().find(|(family, _)| *family == &*read.family).map(|(_, newest)| *newest);
    let (Some(newest), Some(major)) = (newest, read.major) else { return (None, None) };
    let updates = match read.os {
        Some(Os::Windows) => seen.after(Mark::WindowsVersion).is_some_and(|after| version(after) == "10.0"),
        Some(Os::Android) => seen.number_after(Mark::NamedAndroid).is_some_and(|major| major >= 10),
        Some(Os::Macos | Os::Linux | Os::Chromeos) => true,
        _ => false,
    };
    let of_a_person = matches!(device, Some(Device::Desktop | Device::Phone | Device::Tablet));
    (Some(newest.saturating_sub(major)).filter(|_| updates && of_a_person), Some(major > newest + AHEAD))
}

/// The digits and dots that a text begins with.
fn version(text: &str) -> &str {
    let length = text.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(text.len());
    text.get(..length).unwrap_or_default()
}

/// Whether an agent contradicts itself as no browser does.
fn is_impossible(seen: &Seen<'_>) -> bool {
    let platform = seen.platform();
    let windows = platform_version(seen, platform);
    is_quoted(seen)
        || windows.is_some_and(|version| !WINDOWS.contains(&version))
        || contradicts(seen, platform)
        || is_foreign_to_ios(seen, platform)
        || (windows.is_some() && is_safari(seen) && seen.number_after(Mark::Version).is_some_and(|major| major >= 6))
        || is_wrong_gecko(seen)
        || is_wrong_chromium(seen)
}

/// The version of Windows NT that the platform names.
fn platform_version<'t>(seen: &Seen<'t>, platform: &'t str) -> Option<&'t str> {
    if !seen.in_platform(Mark::WindowsVersion) {
        return None;
    }
    platform.split_once("Windows NT ").map(|(_, after)| version(after))
}

/// What only a program's mistake brings along: the field's own name, quotes, a template that nobody filled in.
fn is_quoted(seen: &Seen<'_>) -> bool {
    let begins = |mark: &str| seen.text().get(..mark.len()).is_some_and(|head| head.eq_ignore_ascii_case(mark));
    begins("\"") || begins("'") || begins("user-agent:") || seen.has(Mark::Dollar) || seen.has(Mark::Braces)
}

/// Two systems at once. Windows Phone says both others to be given their pages; emulators and clones name models.
fn contradicts(seen: &Seen<'_>, platform: &str) -> bool {
    let apple = platform.starts_with("iPhone") || platform.starts_with("iPad") || platform.starts_with("iPod");
    let systems = [
        seen.in_platform(Mark::WindowsNt),
        seen.in_platform(Mark::AndroidSystem),
        apple || seen.in_platform(Mark::CpuOfIphone),
        seen.in_platform(Mark::Macintosh),
        seen.in_platform(Mark::X11),
    ];
    !seen.has(Mark::WindowsPhone) && systems.iter().filter(|system| **system).count() > 1
}

fn is_ios(platform: &str) -> bool {
    ["iPhone;", "iPad;", "iPod"].iter().any(|device| platform.starts_with(device))
}

/// All browsers of iOS draw with WebKit and none says another's name (Firefox says `FxiOS`, Edge `EdgiOS`).
fn is_foreign_to_ios(seen: &Seen<'_>, platform: &str) -> bool {
    let foreign = [Mark::Trident, Mark::Gecko, Mark::Firefox, Mark::Edge, Mark::Msie];
    is_ios(platform) && foreign.iter().any(|mark| seen.begins(*mark))
}

fn is_safari(seen: &Seen<'_>) -> bool {
    seen.has(Mark::Safari) && !seen.has(Mark::Chrome) && !seen.has(Mark::Chromium)
}

/// Firefox says its version three times alike (`rv:` stood still at 109 from 110 to 119), and `Gecko/` is a frozen date on
/// desktops and the version on Android. Forks that say more are left alone.
fn is_wrong_gecko(seen: &Seen<'_>) -> bool {
    let Some(major) = seen.number_after(Mark::Firefox).filter(|major| *major >= 17) else { return false };
    let fork = seen.after(Mark::Firefox).is_some_and(|after| after.contains(' ')) || seen.has(Mark::LikeGecko);
    if fork || seen.has(Mark::Compatible) {
        return false;
    }
    let alike = |other: u32| other == major || (other == 109 && (110..=119).contains(&major));
    let revision = seen.number_after(Mark::Revision);
    let gecko = seen.after(Mark::Gecko).map(|after| version(after).split('.').next().unwrap_or_default());
    revision.is_some_and(|revision| !alike(revision))
        || gecko.is_none_or(|gecko| gecko != "20100101" && gecko.parse() != Ok(major))
        || seen.repeats(Mark::Firefox)
}

/// Chromium froze `AppleWebKit/537.36` with version 28 and never wrote it otherwise since; Edge has Chromium's major.
/// Old forks were careless, so versions before 60 are left alone.
fn is_wrong_chromium(seen: &Seen<'_>) -> bool {
    let Some(major) = seen.number_after(Mark::Chrome).filter(|major| *major >= 60) else { return false };
    let edge = seen.number_after(Mark::Edge).is_some_and(|edge| edge != major);
    let frozen = seen.after(Mark::WebkitVersion).is_some_and(|after| version(after) == "537.36");
    let unbalanced = count(seen.text(), b'(') != count(seen.text(), b')');
    let doubled = [Mark::Chrome, Mark::WebkitVersion, Mark::Safari].iter().any(|mark| seen.repeats(*mark));
    edge || !frozen || !seen.has(Mark::LikeGeckoWhole) || unbalanced || doubled
}

fn count(text: &str, mark: u8) -> usize {
    text.bytes().filter(|byte| *byte == mark).count()
}

/// Chrome says `CriOS` on iOS. One in forty of the browsers in `tests/it/data/agents/train` says `Chrome/` with made-up
/// numbers: a tool that hides people sends it, so that it weighs less than what is impossible.
fn is_chrome_on_ios(seen: &Seen<'_>) -> bool {
    seen.begins(Mark::Chrome) && is_ios(seen.platform())
}

/// Whether an agent that is Chrome's to the last word carries a full version, which Chrome left out step by step until 110.
/// `WebViews`, forks and apps say more words, or keep the full version: they are not looked at.
fn is_unreduced(seen: &Seen<'_>) -> bool {
    let (Some(named), Some(after)) = (seen.after(Mark::Chrome), seen.after(Mark::ChromeTail)) else { return false };
    let version = version(named);
    let Some((sent, rest)) = after.split_once(' ') else { return false };
    let bare = sent == version && matches!(rest, "Safari/537.36" | "Mobile Safari/537.36") && !seen.has(Mark::WebView);
    let (major, minor) = version.split_once('.').unwrap_or((version, ""));
    bare && major.parse::<u32>().is_ok_and(|major| major >= 110) && minor != "0.0.0"
}
