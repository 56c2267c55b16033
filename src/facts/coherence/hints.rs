//! Client hints (User-Agent Client Hints, section 3) against themselves and against the user agent. Must not know points.

use std::ops::RangeInclusive;

use crate::click::Field;
use crate::fact::Fit;
use crate::fact::HintsAgent;
use crate::fact::HintsForm;
use crate::fact::Os;
use crate::facts::coherence::claim::Claim;
use crate::facts::coherence::claim::Family;

/// The versions for which the rule of the made-up brand is known: Chromium's `GetGreasedUserAgentBrandVersion`, which took
/// this form before 110. What comes long after the newest version seen may follow another rule, and is not judged.
const GREASED: RangeInclusive<u32> = 110..=199;
/// More brands than any browser sends; the rest is not looked at.
const MOST_BRANDS: usize = 8;

/// What a list of brands says, read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brands<'a> {
    /// Whether all of it are brands.
    is_sound: bool,
    count: usize,
    /// The version of the brand that all of the family carry.
    chromium: Option<u32>,
    /// The place, name and version of the first made-up brand.
    made_up: Option<(usize, &'a str, &'a str)>,
}

impl<'a> Brands<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut brands = Self { is_sound: true, count: 0, chromium: None, made_up: None };
        let mut chromium = None;
        for (place, brand) in brand_list(text).enumerate() {
            brands.count += 1;
            match brand {
                None => brands.is_sound = false,
                Some(("Chromium", version)) => _ = chromium.get_or_insert(version),
                Some((name, version)) if brands.made_up.is_none() && is_made_up(name) => {
                    brands.made_up = Some((place, name, version));
                }
                Some(_) => {}
            }
        }
        brands.chromium = chromium.and_then(|version| version.parse().ok());
        brands
    }
}

/// The hints as such.
pub(super) fn form(claim: &Claim<'_>) -> Option<HintsForm> {
    let came = [Field::ChUa, Field::ChUaMobile, Field::ChUaPlatform].iter().filter(|field| claim.has(**field)).count();
    if claim.family != Family::Chromium {
        // WebKit on Linux may be anything that took its name.
        let foreign = came > 0 && !claim.is_linux_webkit();
        return if came == 0 { Some(HintsForm::Ok) } else { foreign.then_some(HintsForm::Foreign) };
    }
    if claim.is_secure() != Some(true) {
        return None;
    }
    if came == 0 {
        return (claim.is_plain() && claim.major >= 90).then_some(HintsForm::Absent);
    }
    let (mobile, platform) = (claim.field(Field::ChUaMobile), claim.field(Field::ChUaPlatform));
    let is_malformed = claim.brands.is_some_and(|brands| !brands.is_sound)
        || mobile.is_some_and(|text| !matches!(text, "?0" | "?1"))
        || platform.is_some_and(|text| quoted(text).is_none());
    match came {
        _ if is_malformed => Some(HintsForm::Malformed),
        3 => Some(HintsForm::Ok),
        // The platform comes unasked since 93.
        _ => (claim.is_plain() && claim.major >= 95).then_some(HintsForm::Partial),
    }
}

/// The made-up brand: Chromium derives its name, its version and its place among three brands from its own major version,
/// so that a list edited by hand, or one of another version, seldom fits.
pub(super) fn brands(claim: &Claim<'_>) -> Option<Fit> {
    if claim.family != Family::Chromium {
        return None;
    }
    let brands = claim.brands?;
    // The list need not fit the agent here, but itself: what differs from the agent is another fact.
    let major = brands.chromium.unwrap_or(claim.major);
    if !GREASED.contains(&major) {
        return None;
    }
    let Some((place, name, version)) = brands.made_up else { return Some(Fit::Wrong) };
    let fits = name == made_up_name(major)?
        && version == made_up_version(major)?
        && (brands.count != 3 || place == made_up_place(major)?);
    Some(if fits && brands.chromium.is_some() { Fit::Ok } else { Fit::Wrong })
}

/// The hints against the user agent. Apps set agents of their own choice over the hints of the system's WebView.
pub(super) fn agent(claim: &Claim<'_>) -> Option<HintsAgent> {
    if claim.family != Family::Chromium || !claim.is_plain() {
        return None;
    }
    let version = claim.brands.and_then(|brands| brands.chromium).map(|version| version == claim.major);
    let hinted = claim.field(Field::ChUaPlatform).and_then(quoted).and_then(system);
    let platform = hinted.map(|system| fits(system, claim.os));
    // Some browsers of phones that ask for the desktop's page change the agent and leave the hint.
    let is_as_desktop = hinted == Some(Os::Android) && claim.os == Some(Os::Linux);
    let device = match claim.field(Field::ChUaMobile).filter(|_| !is_as_desktop) {
        Some("?1") => Some(claim.says_mobile()),
        Some("?0") => Some(!claim.says_mobile()),
        _ => None,
    };
    match (version, platform, device) {
        (Some(false), ..) => Some(HintsAgent::Version),
        (_, Some(false), _) => Some(HintsAgent::Platform),
        (_, _, Some(false)) => Some(HintsAgent::Device),
        (None, None, None) => None,
        _ => Some(HintsAgent::Ok),
    }
}

/// A phone that asks for the desktop's page calls itself Linux.
fn fits(hinted: Os, claimed: Option<Os>) -> bool {
    claimed == Some(hinted) || (hinted == Os::Android && claimed == Some(Os::Linux))
}

/// The systems that `Sec-CH-UA-Platform` names; of others nothing is known.
fn system(name: &str) -> Option<Os> {
    match name {
        "Windows" => Some(Os::Windows),
        "macOS" | "Mac OS X" => Some(Os::Macos),
        "Linux" => Some(Os::Linux),
        "Android" => Some(Os::Android),
        "Chrome OS" | "Chromium OS" => Some(Os::Chromeos),
        "iOS" => Some(Os::Ios),
        _ => None,
    }
}

/// The brands of a list with their versions, `None` for what is no brand. Names hold commas and semicolons, so that they
/// are read between their quotation marks.
fn brand_list(text: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    let mut rest = Some(text);
    let brands = std::iter::from_fn(move || {
        let text = rest?;
        let read = brand(text);
        rest = read.and_then(|(_, _, after)| after);
        Some(read.map(|(name, version, _)| (name, version)))
    });
    brands.take(MOST_BRANDS)
}

/// The first brand, its version, and what follows behind a comma.
fn brand(text: &str) -> Option<(&str, &str, Option<&str>)> {
    let (name, rest) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    let (version, rest) = rest.strip_prefix(";v=\"")?.split_once('"')?;
    let rest = rest.trim();
    let after = if rest.is_empty() { None } else { Some(rest.strip_prefix(',')?) };
    Some((name, version, after))
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))
}

/// Whether a name is the made-up one in any version's writing: `Not`, `A`, `Brand` with signs between.
fn is_made_up(name: &str) -> bool {
    let letters = name.bytes().filter(u8::is_ascii_alphabetic);
    letters.eq(b"NotABrand".iter().copied())
}

fn sign(at: u32) -> Option<char> {
    [' ', '(', ':', '-', '.', '/', ')', ';', '=', '?', '_'].get(usize::try_from(at % 11).ok()?).copied()
}

/// The name as parts, compared without putting it together.
struct MadeUp(char, char);

impl PartialEq<MadeUp> for &str {
    fn eq(&self, other: &MadeUp) -> bool {
        let inner = self.strip_prefix("Not").and_then(|rest| rest.strip_prefix(other.0)).and_then(|rest| rest.strip_prefix('A'));
        inner.and_then(|rest| rest.strip_prefix(other.1)) == Some("Brand")
    }
}

fn made_up_name(major: u32) -> Option<MadeUp> {
    Some(MadeUp(sign(major)?, sign(major + 1)?))
}

fn made_up_version(major: u32) -> Option<&'static str> {
    ["8", "99", "24"].get(usize::try_from(major % 3).ok()?).copied()
}

fn made_up_place(major: u32) -> Option<usize> {
    [0, 0, 1, 1, 2, 2].get(usize::try_from(major % 6).ok()?).copied()
}
