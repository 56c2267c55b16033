//! Fetch metadata (W3C Fetch Metadata Request Headers) of a request for a page. Must not know points.

use crate::click::Field;
use crate::fact::FetchMetadata;
use crate::fact::Os;
use crate::facts::coherence::claim::Claim;
use crate::facts::coherence::claim::Family;

const SITES: [&str; 4] = ["none", "same-origin", "same-site", "cross-site"];
const MODES: [&str; 6] = ["navigate", "nested-navigate", "cors", "no-cors", "same-origin", "websocket"];

/// Whether the metadata are those of a page that a browser opens.
pub(super) fn metadata(claim: &Claim<'_>) -> Option<FetchMetadata> {
    // Browsers send them over TLS only; what a service worker passes on carries the worker's.
    if claim.is_secure() != Some(true) || claim.is_passed_on() {
        return None;
    }
    let fields = [Field::FetchSite, Field::FetchMode, Field::FetchDest];
    let came = fields.iter().filter(|field| claim.has(**field)).count();
    if came == 0 {
        let sends = claim.is_plain() && claim.is_from(80, 90, 17) && !claim.is_linux_webkit();
        return sends.then_some(FetchMetadata::Absent);
    }
    let [site, mode, dest] = fields.map(|field| claim.field(field));
    let is_known = |word: Option<&str>, words: &[&str]| word.is_none_or(|word| words.contains(&word));
    let user = claim.has(Field::FetchUser) && claim.field(Field::FetchUser) != Some("?1");
    if user || !is_known(site, &SITES) || !is_known(mode, &MODES) {
        return Some(FetchMetadata::Malformed);
    }
    if dest == Some("document") && mode.is_some_and(|mode| mode != "navigate") {
        return Some(FetchMetadata::NotNavigation);
    }
    if came < fields.len() {
        return Some(FetchMetadata::Partial);
    }
    Some(referred(claim, site.unwrap_or_default()).unwrap_or(FetchMetadata::Ok))
}

/// What is wrong between `Sec-Fetch-Site` and `Referer`, if anything.
fn referred(claim: &Claim<'_>, site: &str) -> Option<FetchMetadata> {
    let is_referred = claim.has(Field::Referer);
    match site {
        // Apps of phones may hand a page to a browser, and to their own, with a `Referer` of their choice; what Safari says of
        // pages that it opens again is not measured.
        "none" if is_referred && claim.is_plain() && claim.family != Family::Safari && claim.os != Some(Os::Android) => {
            Some(FetchMetadata::NoneWithReferer)
        }
        // Behind a proxy the host asked for need not be the one that the visitor sees.
        "same-origin" if is_referred && claim.version().is_some() && !claim.is_forwarded() => {
            let (referer, host) = (claim.referer_host()?, claim.facts.host?);
            (!referer.eq_ignore_ascii_case(host)).then_some(FetchMetadata::ForeignReferer)
        }
        "same-origin" | "same-site" if !is_referred => Some(FetchMetadata::OwnWithoutReferer),
        _ => None,
    }
}
