//! The connection against the claimed browser's family: what all versions of a family do, never one fingerprint. A virus
//! scanner or an office's gateway puts its own connection in place of the browser's. Must not know points.

use crate::fact::H2Family;
use crate::fact::Os;
use crate::fact::TlsFamily;
use crate::fact::TlsVersion;
use crate::facts::coherence::claim::Claim;
use crate::facts::coherence::claim::Family;

/// The weights that Chromium gives by importance (`Spdy3PriorityToHttp2Weight`): the first request need not be a page.
const WEIGHTS: [u16; 8] = [256, 220, 183, 147, 110, 74, 37, 1];

/// The handshake.
pub(super) fn tls(claim: &Claim<'_>) -> Option<TlsFamily> {
    let tls = claim.facts.shown.tls?;
    let (grease, version, sni, alpn) = (tls.grease?, tls.version?, tls.sni?, tls.alpn.as_deref()?);
    // TLS 1.3, HTTP/2 and GREASE are as old as these; what is older, and consoles, are not judged. Safari has the TLS of its
    // system: 14 and 15 also run on macOS 10.14 and 10.15, whose TLS is older.
    if !claim.is_from(75, 65, 16) || claim.is_linux_webkit() || matches!(claim.os, None | Some(Os::Other)) {
        return None;
    }
    let host = claim.facts.host.unwrap_or_default();
    let is_literal = host.starts_with('[') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Some(match claim.family {
        _ if !sni && !is_literal => TlsFamily::NoSni,
        _ if version < TlsVersion::OneThree => TlsFamily::Old,
        Family::Chromium | Family::Safari if !grease => TlsFamily::NoGrease,
        Family::Firefox if grease => TlsFamily::Grease,
        _ if alpn != "h2" => TlsFamily::NoH2,
        _ => TlsFamily::Ok,
    })
}

/// The opening of HTTP/2.
pub(super) fn h2(claim: &Claim<'_>) -> Option<H2Family> {
    let h2 = claim.facts.shown.h2?;
    // No browser puts anything before the method; libraries do.
    if !h2.order.starts_with('m') {
        return Some(H2Family::Order);
    }
    // Apps may fetch a page by a network library of their own; that its handshake is another's already says so.
    if claim.is_in_app() || claim.major == 0 || claim.is_linux_webkit() || matches!(claim.os, None | Some(Os::Other)) {
        return None;
    }
    // Chromium before 80 and its forks did not bound the list of fields.
    if claim.family == Family::Chromium && claim.major < 80 {
        return None;
    }
    let in_order = match claim.family {
        Family::Chromium => &*h2.order == "m,a,s,p",
        Family::Firefox => &*h2.order == "m,p,a,s",
        Family::Safari => matches!(&*h2.order, "m,s,p,a" | "m,s,a,p"),
    };
    let settings = h2.fingerprint.split('|').next().unwrap_or_default();
    // RFC 9113, section 6.5.2: 1 table size, 4 window, 5 frame size, 6 list size.
    let [mut table, mut window, mut frame, mut list] = [false; 4];
    for pair in settings.split(';') {
        match pair.split(':').next() {
            Some("1") => table = true,
            Some("4") => window = true,
            Some("5") => frame = true,
            Some("6") => list = true,
            _ => {}
        }
    }
    let is_set = match claim.family {
        Family::Chromium => table && window && list && !frame,
        Family::Firefox => table && window && frame && !list,
        Family::Safari => window && !list,
    };
    let is_weighed = match (claim.family, h2.weight) {
        (Family::Chromium, Some(weight)) => WEIGHTS.contains(&weight),
        (Family::Firefox, Some(weight)) => weight < 256,
        _ => true,
    };
    Some(match (in_order, is_set, is_weighed) {
        (false, ..) => H2Family::Order,
        (_, false, _) => H2Family::Settings,
        (.., false) => H2Family::Weight,
        _ => H2Family::Ok,
    })
}
