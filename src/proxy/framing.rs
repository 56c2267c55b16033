//! Refuses requests whose target, `Host` or framing two servers could read differently (RFC 9112 sections 3.2, 6.1 and
//! 11.2). hyper has refused most already; this is what it lets through. Must not know where the request goes.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::Uri;
use http::Version;
use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::proxy::reply::Kind;
use crate::proxy::websocket;

/// Checks a request head and brings its target into origin form; `target_limit` is in bytes.
///
/// Of an absolute target the authority becomes the `Host` (RFC 9112 section 3.2.2).
pub fn check(head: &mut Parts, target_limit: usize) -> Result<(), Kind> {
    // Neither has a place in front of a shop: a tunnel to anywhere, and an echo of the visitor's cookies.
    if head.method == Method::CONNECT && !websocket::translate(head) {
        // What follows is meant for the tunnel and is no HTTP.
        return Err(Kind::TunnelRefused);
    }
    if head.method == Method::TRACE {
        return Err(Kind::MethodRefused);
    }
    if head.version == Version::HTTP_2 {
        check_http2(head)?;
    }
    check_body(&mut head.headers)?;
    check_host(&head.headers, head.version)?;
    check_expectation(&head.headers, head.version)?;
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > target_limit) {
        return Err(Kind::TargetTooLong);
    }
    if head.uri.authority().is_some() {
        take_authority(head)?;
    }
    check_path(&head.uri, &head.method)
}

/// Fields of a head that came over HTTP/2, once its crumbs of cookies are one: as many as the guard allows in HTTP/1.1.
const FIELDS: usize = 100;

/// Turns a head of HTTP/2 into one that says the same in HTTP/1.1 (RFC 9113 section 8): `:authority` becomes the `Host`,
/// crumbs of cookies become one field. What belongs to connections of HTTP/1.1 has no place in it.
fn check_http2(head: &mut Parts) -> Result<(), Kind> {
    const CONNECTION: [header::HeaderName; 4] =
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::HeaderName::from_static("keep-alive")];
    if CONNECTION.iter().any(|name| head.headers.contains_key(name)) {
        return Err(Kind::BadRequest);
    }
    // A path begins with a slash (RFC 9113 section 8.3.1); what lacks it would be given one on its way.
    if head.uri.path_and_query().is_some_and(|target| target.as_str().starts_with('?')) {
        return Err(Kind::BadRequest);
    }
    if let Some(authority) = head.uri.authority().map(http::uri::Authority::as_str) {
        match head.headers.get(header::HOST) {
            Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => return Err(Kind::BadRequest),
            Some(_) => {}
            None => {
                let host = HeaderValue::from_str(authority).map_err(|_| Kind::BadRequest)?;
                head.headers.insert(header::HOST, host);
            }
        }
    }
    let mut crumbs = head.headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let all: Vec<&[u8]> = [first, second].into_iter().chain(crumbs).map(HeaderValue::as_bytes).collect();
        let whole = HeaderValue::from_bytes(&all.join(&b"; "[..])).map_err(|_| Kind::BadRequest)?;
        head.headers.insert(header::COOKIE, whole);
    }
    if head.headers.len() > FIELDS { Err(Kind::FieldsTooLarge) } else { Ok(()) }
}

fn check_body(headers: &mut HeaderMap) -> Result<(), Kind> {
    // Two lengths, be they the same, may be read as either by the next server (RFC 9112 section 6.3).
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Kind::BadRequest);
    }
    if length.is_some_and(|value| value.is_empty() || !value.as_bytes().iter().all(u8::is_ascii_digit)) {
        return Err(Kind::BadRequest);
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(only), None) if length.is_none() && is_chunked(only) => {}
        _ => return Err(Kind::BadRequest),
    }
    // Digits that some read as octal are written anew.
    let padded = length.map(HeaderValue::as_bytes).filter(|digits| digits.len() > 1 && digits.starts_with(b"0"));
    if let Some(digits) = padded {
        let plain = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok()).ok_or(Kind::BadRequest)?;
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(plain));
    }
    Ok(())
}

fn is_chunked(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// HTTP/1.0 knows no `Host`; whoever forwards such a request names one (RFC 9112 section 3.2).
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Kind> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(()),
        (None, _) if version == Version::HTTP_10 => Ok(()),
        _ => Err(Kind::BadRequest),
    }
}

/// One expectation is known (RFC 9110 section 10.1.1), and each hop answers it itself; HTTP/1.0 knows none.
fn check_expectation(headers: &HeaderMap, version: Version) -> Result<(), Kind> {
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let met = version == Version::HTTP_10 || headers.get_all(header::EXPECT).iter().all(known);
    if met { Ok(()) } else { Err(Kind::ExpectationUnmet) }
}

/// Refuses an answer whose body has no sure end or is coded for the hop: a transfer coding that is not exactly one `chunked`,
/// or any in HTTP/1.0 (RFC 9112 sections 6.1 and 6.3).
pub fn check_answer<B>(response: &Response<B>) -> Result<(), Kind> {
    let mut codings = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if response.version() != Version::HTTP_10 && is_chunked(only) => Ok(()),
        _ => Err(Kind::Broken),
    }
}

/// Whether the bytes are a host name or address with an optional port, and nothing else: no user, no list, no escape.
pub fn is_authority(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if host.last() != Some(&b']') => host.split_at(colon),
        _ => (host, &[][..]),
    };
    let port = port.get(1..).unwrap_or_default();
    if port.len() > 5 || !port.iter().all(u8::is_ascii_digit) {
        return false;
    }
    match name.strip_prefix(b"[").map(|rest| rest.strip_suffix(b"]")) {
        Some(inner) => inner.is_some_and(|inner| {
            !inner.is_empty() && inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        }),
        None => !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
    }
}

fn check_path(uri: &Uri, method: &Method) -> Result<(), Kind> {
    let path = uri.path();
    if path.starts_with('/') || (path == "*" && method == Method::OPTIONS) { Ok(()) } else { Err(Kind::BadRequest) }
}

fn take_authority(head: &mut Parts) -> Result<(), Kind> {
    let uri = std::mem::take(&mut head.uri).into_parts();
    let known = uri.scheme.is_some_and(|scheme| scheme == http::uri::Scheme::HTTP || scheme == http::uri::Scheme::HTTPS);
    let authority = uri.authority.filter(|authority| known && is_authority(authority.as_str().as_bytes()));
    let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()).ok_or(Kind::BadRequest)?;
    head.headers.insert(header::HOST, host);
    head.uri = Uri::from(match uri.path_and_query {
        Some(target) if target.as_str().starts_with('/') => target,
        // Its text begins with a slash, which its bytes lack.
        Some(target) => target.to_string().parse().map_err(|_| Kind::BadRequest)?,
        None => PathAndQuery::from_static("/"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(method: &str, target: &str, fields: &[(&'static str, &'static str)]) -> Result<(String, String), Kind> {
        let mut head = http::Request::builder().method(method).uri(target).body(()).unwrap().into_parts().0;
        for (name, value) in fields {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        check(&mut head, 100)?;
        Ok((head.uri.to_string(), head.headers["host"].to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_plain_request_passes() {
        assert_eq!(checked("GET", "/a?b=c", &[("host", "shop.example:8080")]), Ok(("/a?b=c".into(), "shop.example:8080".into())));
    }

    #[test]
    fn a_host_that_is_missing_doubled_or_no_authority_is_refused() {
        assert_eq!(checked("GET", "/", &[]), Err(Kind::BadRequest));
        assert_eq!(checked("GET", "/", &[("host", "a"), ("host", "a")]), Err(Kind::BadRequest));
        for host in ["", "a b", "a,b", "u@a", "a/b", "a:b", "a:123456", "[::1", "[]", "a]", ":80", "\u{e9}"] {
            assert!(!is_authority(host.as_bytes()), "{host}");
        }
        for host in ["a", "a.b-c_d", "192.0.2.1:80", "[2001:db8::1]", "[::1]:8080", "a:"] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_coding_other_than_one_chunked_is_refused() {
        let host = ("host", "a");
        assert!(checked("POST", "/", &[host, ("transfer-encoding", "Chunked")]).is_ok());
        assert_eq!(checked("POST", "/", &[host, ("transfer-encoding", "gzip, chunked")]), Err(Kind::BadRequest));
        let doubled = [host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(checked("POST", "/", &doubled), Err(Kind::BadRequest));
        assert_eq!(
            checked("POST", "/", &[host, ("transfer-encoding", "chunked"), ("content-length", "3")]),
            Err(Kind::BadRequest)
        );
        assert_eq!(checked("POST", "/", &[host, ("content-length", "+3")]), Err(Kind::BadRequest));
        let lengths = [host, ("content-length", "3"), ("content-length", "03")];
        assert_eq!(checked("POST", "/", &lengths), Err(Kind::BadRequest));
    }

    #[test]
    fn a_length_is_written_without_zeros_before_it() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("0004"));
        check_body(&mut headers).unwrap();
        assert_eq!(headers["content-length"], "4");
    }

    #[test]
    fn only_one_expectation_is_known() {
        assert!(checked("POST", "/", &[("host", "a"), ("expect", "100-Continue")]).is_ok());
        for value in ["200-ok", "100-continue, x", ""] {
            assert_eq!(checked("POST", "/", &[("host", "a"), ("expect", value)]), Err(Kind::ExpectationUnmet), "{value}");
        }
    }

    #[test]
    fn an_answer_coded_for_the_hop_is_refused() {
        let answer = |version, coding| {
            check_answer(&Response::builder().version(version).header("transfer-encoding", coding).body(()).unwrap())
        };
        assert_eq!(answer(Version::HTTP_11, "Chunked"), Ok(()));
        for coding in ["gzip, chunked", "identity", "xchunked", "chunked, chunked"] {
            assert_eq!(answer(Version::HTTP_11, coding), Err(Kind::Broken), "{coding}");
        }
        assert_eq!(answer(Version::HTTP_10, "chunked"), Err(Kind::Broken));
    }

    #[test]
    fn an_absolute_target_gives_host_and_path() {
        assert_eq!(checked("GET", "http://b.example/x?y", &[("host", "a")]), Ok(("/x?y".into(), "b.example".into())));
        assert_eq!(checked("GET", "http://b.example", &[("host", "a")]), Ok(("/".into(), "b.example".into())));
        assert_eq!(checked("GET", "http://b.example?y", &[("host", "a")]), Ok(("/?y".into(), "b.example".into())));
        assert_eq!(checked("GET", "ftp://b.example/", &[("host", "a")]), Err(Kind::BadRequest));
        assert_eq!(checked("GET", "http://u@b.example/", &[("host", "a")]), Err(Kind::BadRequest));
    }

    fn checked2(target: &str, fields: &[(&'static str, &'static str)]) -> Result<HeaderMap, Kind> {
        let request = http::Request::builder().version(Version::HTTP_2).uri(target);
        let mut head = request.body(()).unwrap().into_parts().0;
        for (name, value) in fields {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        check(&mut head, 100).map(|()| head.headers)
    }

    #[test]
    fn the_authority_of_http2_is_the_host_unless_another_is_named() {
        assert_eq!(checked2("https://b.example/x", &[]).unwrap()["host"], "b.example");
        assert_eq!(checked2("https://b.example/x", &[("host", "B.example")]).unwrap()["host"], "b.example");
        assert_eq!(checked2("https://b.example/x", &[("host", "a.example")]), Err(Kind::BadRequest));
        assert_eq!(checked2("https://u@b.example/x", &[]), Err(Kind::BadRequest));
        assert_eq!(checked2("/x", &[]), Err(Kind::BadRequest));
        assert_eq!(checked2("/x", &[("host", "a.example")]).unwrap()["host"], "a.example");
    }

    #[test]
    fn crumbs_of_cookies_become_one_field() {
        let headers = checked2("https://b.example/", &[("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]).unwrap();
        let cookies: Vec<&HeaderValue> = headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn fields_of_http1_connections_have_no_place_in_http2() {
        for (name, value) in
            [("connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("keep-alive", "5")]
        {
            assert_eq!(checked2("https://b.example/", &[(name, value)]), Err(Kind::BadRequest), "{name}");
        }
    }

    #[test]
    fn a_target_beyond_the_limit_is_too_long() {
        assert_eq!(checked("GET", &format!("/{}", "a".repeat(100)), &[("host", "a")]), Err(Kind::TargetTooLong));
    }

    #[test]
    fn tunnels_and_traces_are_refused() {
        assert_eq!(checked("CONNECT", "b.example:443", &[("host", "a")]), Err(Kind::TunnelRefused));
        assert_eq!(checked("TRACE", "/", &[("host", "a")]), Err(Kind::MethodRefused));
    }

    #[test]
    fn only_options_may_ask_the_server_as_a_whole() {
        assert!(checked("OPTIONS", "*", &[("host", "a")]).is_ok());
        assert_eq!(checked("GET", "*", &[("host", "a")]), Err(Kind::BadRequest));
    }
}
