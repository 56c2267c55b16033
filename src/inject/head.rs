//! The heads around an injected page: which requests are navigations, what the site is asked for, and what the answer
//! may still say of itself once a page carries an id of its own. Must not know the body.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::inject::plan::Coding;
use crate::inject::plan::Injection;

/// Whether a person's browser asks for a document to show: a GET with `Sec-Fetch-Dest: document` (Fetch Metadata), by
/// itself or by way of the page's service worker; without fetch metadata, one that accepts `text/html` and is no
/// `XMLHttpRequest`.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if method != Method::GET {
        return false;
    }
    let destination = headers.get("sec-fetch-dest");
    if destination.is_some_and(|destination| destination == "document") {
        return true;
    }
    // A service worker that passes a navigation on sends it with an empty destination, and in Firefox with another mode;
    // what stays in every browser is the field that only navigations get (Upgrade Insecure Requests, section 3.2.1).
    let passed_on = || headers.get(header::UPGRADE_INSECURE_REQUESTS).is_some_and(|value| value == "1");
    if destination.is_some_and(|destination| destination != "empty" || !passed_on()) {
        return false;
    }
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|field| field.to_str().ok());
    accepts.into_iter().any(|field| field.to_ascii_lowercase().contains("text/html"))
        && !headers.get("x-requested-with").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"xmlhttprequest"))
}

/// What [`is_navigation`] reads, as `Vary` names it.
const READ: HeaderValue = HeaderValue::from_static("accept, sec-fetch-dest, upgrade-insecure-requests, x-requested-with");

/// Marks a page that went to no navigation: a cache must not give it to one (RFC 9111, section 4.1), or a robot's copy
/// without the tag would be everybody's for as long as the site lets pages be kept.
pub fn tell_apart(status: StatusCode, headers: &mut HeaderMap) {
    let html = |field: &HeaderValue| field.as_bytes().get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"));
    if status == StatusCode::OK && headers.get(header::CONTENT_TYPE).is_some_and(html) {
        headers.append(header::VARY, READ);
    }
}

/// Asks the site for a whole, fresh page in a coding that can be injected, never one that the visitor did not offer.
/// For navigations only.
pub fn prepare_request(headers: &mut HeaderMap) {
    for name in [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::RANGE,
        header::IF_RANGE,
    ] {
        headers.remove(name);
    }
    let coding = if accepts_gzip(headers) { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
}

/// Whether the visitor accepts gzip (RFC 9110, section 12.5.3): named with a weight above 0, or covered by `*`.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for item in headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok()).flat_map(|f| f.split(','))
    {
        let mut parts = item.split(';').map(str::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

/// Rewrites the answer's head for a page that carries an id: nothing that lets a cache share it or a browser
/// revalidate it, and no length or digest of other bytes. The length is left to [`InjectBody`](crate::inject::InjectBody),
/// whose `size_hint` is exact as soon as it can be.
pub fn rewrite_head(headers: &mut HeaderMap, injection: &Injection, _snippet_len: usize) {
    const STALE: [&str; 7] = ["etag", "last-modified", "content-md5", "digest", "repr-digest", "content-digest", "accept-ranges"];
    for name in STALE {
        headers.remove(HeaderName::from_static(name));
    }
    headers.remove(header::CONTENT_LENGTH);
    keep_from_caches(headers);
    if injection.coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Makes an answer one visitor's alone: no shared cache may keep it, and a browser asks again before it shows it again.
/// A `no-store` of the site stays. Fields that speak to one kind of cache and outrank `Cache-Control` there go: targeted
/// ones (RFC 9213 has them end in `-Cache-Control`) and their forerunners. nginx is told in its own words, as it is often
/// told to ignore everybody else's (`proxy_ignore_headers`).
pub fn keep_from_caches(headers: &mut HeaderMap) {
    const FOR_CACHES: [&str; 5] = ["age", "expires", "pragma", "surrogate-control", "edge-control"];
    for name in FOR_CACHES {
        headers.remove(HeaderName::from_static(name));
    }
    let targeted: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().ends_with("-cache-control")).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
    let stored = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    let no_store = stored.into_iter().flat_map(|f| f.split(',')).any(|word| word.trim_ascii().eq_ignore_ascii_case("no-store"));
    let caching = if no_store { "private, no-cache, no-store" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(HeaderName::from_static("x-accel-expires"), HeaderValue::from_static("0"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::csp::Way;
    use crate::inject::plan::Charset;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_documents_are_navigations() {
        let html = ("accept", "text/html,*/*");
        assert!(is_navigation(&Method::GET, &fields(&[("sec-fetch-dest", "document")])));
        assert!(is_navigation(&Method::GET, &fields(&[html])));
        let (empty, insecure) = (("sec-fetch-dest", "empty"), ("upgrade-insecure-requests", "1"));
        for mode in ["navigate", "same-origin"] {
            assert!(is_navigation(&Method::GET, &fields(&[html, empty, insecure, ("sec-fetch-mode", mode)])), "{mode}");
        }
        for other in [
            &[html, ("sec-fetch-dest", "iframe"), insecure][..],
            &[html, empty],
            &[("accept", "*/*"), empty, insecure],
            &[html, ("x-requested-with", "XMLHttpRequest")],
            &[("accept", "*/*")],
        ] {
            assert!(!is_navigation(&Method::GET, &fields(other)));
        }
        assert!(!is_navigation(&Method::HEAD, &fields(&[html])));
    }

    #[test]
    fn a_page_for_no_navigation_varies_by_what_makes_one() {
        for (status, kind, marked) in [
            (StatusCode::OK, "Text/HTML; charset=utf-8", true),
            (StatusCode::OK, "text/css", false),
            (StatusCode::NOT_FOUND, "text/html", false),
        ] {
            let mut headers = fields(&[("content-type", kind), ("vary", "cookie")]);
            tell_apart(status, &mut headers);
            let all: Vec<&HeaderValue> = headers.get_all("vary").iter().collect();
            assert_eq!(all.contains(&&READ), marked, "{status} {kind}");
            assert_eq!(all[0], "cookie");
        }
    }

    #[test]
    fn gzip_is_asked_for_only_if_the_visitor_offers_it() {
        for (offer, asked) in [("br, gzip;q=0.5", "gzip"), ("gzip;q=0, *", "identity"), ("br", "identity"), ("*", "gzip")] {
            let mut headers = fields(&[("accept-encoding", offer), ("range", "bytes=0-1"), ("if-none-match", "\"a\"")]);
            prepare_request(&mut headers);
            assert_eq!(headers.get("accept-encoding").expect("a field"), asked);
            assert_eq!(headers.len(), 1);
        }
    }

    #[test]
    fn an_injected_page_cannot_be_shared_or_revalidated() {
        let mut headers = fields(&[
            ("etag", "\"a\""),
            ("last-modified", "x"),
            ("age", "1"),
            ("cache-control", "public, max-age=60, No-Store"),
            ("content-length", "12"),
            ("content-encoding", "x-gzip"),
        ]);
        let injection =
            Injection { way: Way::External, coding: Coding::Gzip, beacon: true, worker: true, charset: Charset::Head };
        rewrite_head(&mut headers, &injection, 10);
        let left = [("cache-control", "private, no-cache, no-store"), ("content-encoding", "gzip"), ("x-accel-expires", "0")];
        assert_eq!(headers, fields(&left));
    }
}
