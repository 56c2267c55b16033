//! The other fields of a request for a page against the claimed browser's family: what they say, which are there, in which
//! order, written how. Must not know points.

use http::header;

use crate::click::Field;
use crate::fact::Accept;
use crate::fact::Encodings;
use crate::fact::Fields;
use crate::fact::Fit;
use crate::fact::HttpVersion;
use crate::fact::Os;
use crate::facts::coherence::claim::Claim;
use crate::facts::coherence::claim::Family;

/// The order of Chromium since 90, HTTP/1 and HTTP/2 alike.
const CHROMIUM: [&str; 16] = [
    "host",
    "connection",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "upgrade-insecure-requests",
    "user-agent",
    "accept",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-user",
    "sec-fetch-dest",
    "referer",
    "accept-encoding",
    "accept-language",
    "priority",
];
/// The order of Firefox since 90, likewise.
const FIREFOX: [&str; 14] = [
    "host",
    "user-agent",
    "accept",
    "accept-language",
    "accept-encoding",
    "referer",
    "connection",
    "upgrade-insecure-requests",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "priority",
    "te",
];

/// `Accept`. Forks leave things away (Brave the signed exchanges), so only what a family never or always has counts.
pub(super) fn accept(claim: &Claim<'_>) -> Option<Accept> {
    let text = claim.field(Field::Accept)?.trim();
    if claim.is_passed_on() || claim.is_own_script() {
        return None;
    }
    // Televisions, consoles and phones before the smartphone ask in whatever words they were built with.
    if text == "*/*" && !matches!(claim.os, None | Some(Os::Other)) {
        return Some(Accept::Any);
    }
    if !claim.is_plain() || claim.major == 0 {
        return None;
    }
    let is_page = text.starts_with("text/html,application/xhtml+xml");
    let is_chromium = holds(text, "image", '/', "apng") || holds(text, "signed", '-', "exchange");
    let fits = match claim.family {
        // Since 59 and 73; forks as old as that are not judged.
        Family::Chromium if claim.major < 75 => return None,
        Family::Chromium => is_page && is_chromium,
        Family::Firefox | Family::Safari => is_page && !is_chromium,
    };
    Some(if fits { Accept::Ok } else { Accept::Odd })
}

/// Whether a text holds two words with a mark between, looked for by the mark.
fn holds(text: &str, before: &str, mark: char, after: &str) -> bool {
    let mut left = "";
    text.split(mark).any(|right| std::mem::replace(&mut left, right).ends_with(before) && right.starts_with(after))
}

/// `Accept-Encoding`. Virus scanners and gateways cut it, so that it says little.
pub(super) fn encodings(claim: &Claim<'_>) -> Option<Encodings> {
    let is_secure = claim.is_secure()?;
    if !claim.is_plain() || !claim.is_from(60, 60, 13) || claim.is_linux_webkit() {
        return None;
    }
    let Some(text) = claim.field(Field::AcceptEncoding) else { return is_secure.then_some(Encodings::Short) };
    let fits = match text.strip_prefix("gzip, deflate") {
        None if matches!(text, "gzip" | "deflate" | "identity" | "") => Encodings::Short,
        // Brotli goes over TLS only.
        Some("") if is_secure => Encodings::Short,
        None => Encodings::Odd,
        Some(rest) => match rest.split(", ").find(|coding| !matches!(*coding, "" | "br" | "zstd" | "dcb" | "dcz")) {
            Some(_) => Encodings::Odd,
            None => Encodings::Ok,
        },
    };
    Some(fits)
}

/// `Accept-Language` as all browsers write it: no spaces, no `*`, each but the first with a smaller weight.
pub(super) fn language(claim: &Claim<'_>) -> Option<Fit> {
    let text = claim.field(Field::AcceptLanguage)?;
    if !claim.is_plain() || claim.is_linux_webkit() {
        return None;
    }
    let mut last = 1_001;
    let fits = text.split(',').enumerate().all(|(at, item)| {
        let (tag, weight) = item.split_once(";q=").map_or((item, None), |(tag, weight)| (tag, Some(weight)));
        let weight = weight.map_or(Some(1_000), thousandths);
        let falls = weight.is_some_and(|weight| weight < last || (at > 0 && weight == last && weight < 1_000));
        last = weight.unwrap_or(0);
        falls && is_tag(tag)
    });
    Some(if fits { Fit::Ok } else { Fit::Wrong })
}

fn is_tag(tag: &str) -> bool {
    let letters = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    letters && tag.len() >= 2 && tag.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

/// A weight below one (`0.9`), in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0.").filter(|digits| (1..=3).contains(&digits.len()))?;
    let number: u32 = digits.parse().ok()?;
    Some(number * [100, 10, 1].get(digits.len() - 1)?)
}

/// The order of the fields that the family is known to send.
pub(super) fn order(claim: &Claim<'_>) -> Option<Fit> {
    let known: &[&str] = match claim.family {
        Family::Chromium if claim.major >= 90 => &CHROMIUM,
        Family::Firefox if claim.major >= 90 => &FIREFOX,
        _ => return None,
    };
    if !claim.is_plain() || claim.is_passed_on() || claim.is_own_script() || claim.is_forwarded() {
        return None;
    }
    // Brave, which says so by Sec-GPC, puts the languages elsewhere.
    let skipped = claim.has(Field::Gpc).then_some("accept-language");
    let mut last = 0;
    let mut rises = |name: &str| {
        // Names are each known once, so that it does not matter where the search begins; most are where the last one was.
        let places = (last..known.len()).chain(0..last);
        let is = |known: &&str| known.eq_ignore_ascii_case(name) && Some(*known) != skipped;
        let place = places.into_iter().find(|place| known.get(*place).is_some_and(is));
        let fits = place.is_none_or(|place| place >= last);
        last = place.unwrap_or(last);
        fits
    };
    let fits = match (claim.facts.shown.names, claim.version()?) {
        (Some(names), _) => names.split(',').all(&mut rises),
        // HTTP/2 names the host elsewhere, and what stands there by now is ours.
        (None, HttpVersion::Two) => claim.names().filter(|name| **name != header::HOST).all(|name| rises(name.as_str())),
        (None, _) => return None,
    };
    Some(if fits { Fit::Ok } else { Fit::Wrong })
}

/// How names are written over HTTP/1: with capitals, but for Chromium's client hints.
pub(super) fn case(claim: &Claim<'_>) -> Option<Fit> {
    if !claim.is_plain() || !claim.is_http_1() || claim.is_forwarded() {
        return None;
    }
    let names = claim.facts.shown.names?;
    let known = |name: &&str| CHROMIUM.iter().any(|known| known.eq_ignore_ascii_case(name));
    let is_hint = |name: &str| name.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("sec-ch-"));
    let is_title = |name: &str| name.split('-').all(|word| word.starts_with(|letter: char| letter.is_ascii_uppercase()));
    let is_lower = |name: &str| !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut judged = names.split(',').filter(known);
    if judged.clone().all(is_lower) {
        // A box in between that writes all names small is more likely than a browser's fault.
        return None;
    }
    Some(if judged.all(|name| if is_hint(name) { is_lower(name) } else { is_title(name) }) { Fit::Ok } else { Fit::Wrong })
}

/// Fields that the family always sends with a page, or never.
pub(super) fn presence(claim: &Claim<'_>) -> Option<Fields> {
    // Who takes HTTP/2 and passes it on as HTTP/1 brings fields along that belong to the former.
    let is_passed_on = claim.is_passed_on() || claim.is_forwarded();
    if !claim.is_plain() || is_passed_on || claim.is_own_script() || claim.version().is_none() {
        return None;
    }
    let is_chromium = claim.is_from(90, 0, 0);
    // Upgrading in the clear died out before browsers took HTTP/2 up: RFC 9113, section 3.1.
    let is_upgrade = claim.has(Field::Http2Settings);
    let is_trailing = claim.family == Family::Chromium && claim.has(Field::Te);
    // Chromium tells its priority (RFC 9218) in HTTP/2 and HTTP/3 only.
    let is_ranked = is_chromium && claim.is_http_1() && claim.has(Field::Priority);
    if is_upgrade || is_trailing || is_ranked {
        return Some(Fields::Foreign);
    }
    let is_whole = !claim.is_from(90, 90, 0) || claim.has(Field::UpgradeInsecureRequests);
    let is_kept = !claim.is_from(90, 90, 0) || claim.version() != Some(HttpVersion::OneOne) || claim.has(Field::Connection);
    Some(if is_whole && is_kept { Fields::Ok } else { Fields::Missing })
}

/// What browsers keep for TLS (client hints, fetch metadata, Brotli) over plain HTTP. A device of its own counts as safe to
/// them (Secure Contexts, section 3.1).
pub(super) fn secure_only(claim: &Claim<'_>) -> Option<bool> {
    let host = claim.facts.host?;
    let is_own = host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host.starts_with('[');
    if claim.is_secure() != Some(false) || claim.version().is_none() || claim.is_forwarded() || is_own {
        return None;
    }
    let fields = [Field::ChUa, Field::FetchSite, Field::FetchMode, Field::FetchDest];
    let encodings = claim.field(Field::AcceptEncoding).unwrap_or_default();
    let is_coded = encodings.split(',').any(|coding| matches!(coding.trim(), "br" | "zstd"));
    Some(is_coded || fields.iter().any(|field| claim.has(*field)))
}
