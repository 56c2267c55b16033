//! First-party cookies: reading one out of a `Cookie` field and building the `Set-Cookie` values of `_fbp`, `_fbc` and
//! the visit cookie in the forms Meta documents (capi "fbp and fbc"). Must not know when they may be set.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

use crate::click::Scheme;
use crate::clock::UnixMillis;

/// The name of the sealed visit cookie.
pub const VISIT: &str = "_cs_v";
/// The name of Meta's browser-id cookie.
pub const FBP: &str = "_fbp";
/// The name of Meta's click-id cookie.
pub const FBC: &str = "_fbc";

/// Meta's cookies live 90 days ("`ClickID` and the `fbp` and `fbc` parameters").
const META_SECONDS: u32 = 90 * 86_400;
/// A visit is kept 7 days, like what is stored of it.
const VISIT_SECONDS: u32 = 7 * 86_400;
/// `subdomainIndex` of a cookie on the registrable domain: `com` is 0, `example.com` 1, `www.example.com` 2.
const REGISTRABLE: u8 = 1;

/// The first value of a cookie; borrowed from the fields as sent.
pub fn find<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    all(headers, name).next()
}

/// All values of a cookie: a browser may have one for the host and one for the domain, or for several paths.
pub fn all<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok()).flat_map(move |field| {
        field.split(';').filter_map(move |pair| {
            let (found, value) = pair.trim_start().split_once('=')?;
            (found == name).then(|| value.trim_end().trim_matches('"'))
        })
    })
}

/// The domain that cookies of a host are set on: the registrable one by the Public Suffix List. Addresses, single-label
/// names and public suffixes give none; their cookies are host-only. `host` may carry a port.
pub fn domain(host: &str) -> Option<&str> {
    let bare = if host.starts_with('[') { return None } else { host.split(':').next()? };
    let bare = bare.trim_end_matches('.');
    if bare.parse::<IpAddr>().is_ok() || !bare.contains('.') {
        return None;
    }
    psl::domain_str(bare)
}

/// A fresh `_fbp` value; `random` should be drawn anew for each.
pub fn new_fbp(now: UnixMillis, random: u64) -> String {
    // Meta's own script draws at most ten digits.
    format!("fb.{REGISTRABLE}.{}.{}", now.0, 1_000_000_000 + random % 9_000_000_000)
}

/// A fresh `_fbc` value for a click id as it stands in the URL; never decoded, trimmed or lower-cased.
pub fn new_fbc(now: UnixMillis, fbclid: &str) -> Option<String> {
    let plain = fbclid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (plain && !fbclid.is_empty() && fbclid.len() <= 500).then(|| format!("fb.{REGISTRABLE}.{}.{fbclid}", now.0))
}

/// The `_fbc` value to set for a landing, if one is to be set: there is none yet, or it holds another click id.
pub fn fbc_to_set(stored: Option<&str>, fbclid: Option<&str>, now: UnixMillis) -> Option<String> {
    let fbclid = fbclid?;
    if stored.and_then(payload).is_some_and(|stored| stored == fbclid) {
        return None;
    }
    new_fbc(now, fbclid)
}

/// The payload of an `fb.<digits>.<digits>.<payload>[.<2 or 8 characters>]` value; `None` where it has not that form.
pub fn payload(value: &str) -> Option<&str> {
    let mut parts = value.split('.');
    let digits = |part: &str| !part.is_empty() && part.len() <= 16 && part.bytes().all(|byte| byte.is_ascii_digit());
    let safe =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if parts.next()? != "fb" || !digits(parts.next()?) || !digits(parts.next()?) {
        return None;
    }
    let payload = parts.next().filter(|part| safe(part))?;
    let suffix = parts.next();
    let fits = suffix.is_none_or(|suffix| matches!(suffix.len(), 2 | 8) && safe(suffix)) && parts.next().is_none();
    fits.then_some(payload)
}

/// Such a value without its fifth part, which the param builder adds and changes while the cookie stays the same one.
pub fn bare(value: &str) -> &str {
    let fifth = value.match_indices('.').nth(3);
    fifth.and_then(|(at, _)| value.get(..at)).unwrap_or(value)
}

/// `Set-Cookie` of `_fbp` or `_fbc`: 90 days, readable by Meta's script.
pub fn set_meta(name: &str, value: &str, host: &str, scheme: Scheme) -> String {
    set(name, value, META_SECONDS, host, scheme)
}

/// `Set-Cookie` of the visit cookie: 7 days, hidden from scripts.
pub fn set_visit(sealed: &str, host: &str, scheme: Scheme) -> String {
    let mut cookie = set(VISIT, sealed, VISIT_SECONDS, host, scheme);
    cookie.push_str("; HttpOnly");
    cookie
}

fn set(name: &str, value: &str, seconds: u32, host: &str, scheme: Scheme) -> String {
    let mut cookie = format!("{name}={value}; Max-Age={seconds}; Path=/; SameSite=Lax");
    if let Some(domain) = domain(host) {
        cookie.push_str("; Domain=");
        cookie.push_str(domain);
    }
    if scheme == Scheme::Https {
        cookie.push_str("; Secure");
    }
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_others_and_not_by_a_part_of_its_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a_fbp=1; x; b=2"));
        headers.append(COOKIE, HeaderValue::from_static("_fbp=fb.1.2.3; _fbp=later"));
        assert_eq!(find(&headers, FBP), Some("fb.1.2.3"));
        assert_eq!(find(&headers, FBC), None);
    }

    #[test]
    fn cookies_stand_on_the_registrable_domain_or_on_the_host_alone() {
        for (host, expected) in [
            ("www.shop.example.co.uk:8443", Some("example.co.uk")),
            ("example.com", Some("example.com")),
            ("localhost:8080", None),
            ("203.0.113.9", None),
            ("[2001:db8::1]:443", None),
            ("co.uk", None),
        ] {
            assert_eq!(domain(host), expected, "{host}");
        }
    }

    #[test]
    fn a_click_cookie_is_set_only_for_a_click_it_does_not_hold() {
        let now = UnixMillis(1_774_000_000_123);
        assert_eq!(fbc_to_set(None, Some("IwAR-_x"), now).as_deref(), Some("fb.1.1774000000123.IwAR-_x"));
        assert_eq!(fbc_to_set(Some("fb.1.1.IwAR-_x.AQICAQMC"), Some("IwAR-_x"), now), None);
        assert_eq!(fbc_to_set(Some("fb.1.1.old"), Some("new"), now).as_deref(), Some("fb.1.1774000000123.new"));
        assert_eq!(fbc_to_set(None, Some("bad;Domain=evil"), now), None);
    }

    #[test]
    fn the_param_builders_part_makes_no_other_cookie() {
        assert_eq!(bare("fb.1.1774000000123.42.AQICAQMC"), "fb.1.1774000000123.42");
        assert_eq!((bare("fb.1.1774000000123.42"), bare("")), ("fb.1.1774000000123.42", ""));
    }

    #[test]
    fn set_cookies_carry_what_their_kind_needs() {
        assert_eq!(
            set_visit("v", "www.example.com", Scheme::Https),
            "_cs_v=v; Max-Age=604800; Path=/; SameSite=Lax; Domain=example.com; Secure; HttpOnly"
        );
        assert_eq!(set_meta(FBP, "fb.1.2.3", "localhost", Scheme::Http), "_fbp=fb.1.2.3; Max-Age=7776000; Path=/; SameSite=Lax");
    }
}
