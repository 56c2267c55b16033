//! Fields behind a body (RFC 9110 section 6.5): which may cross, and how both sides say that they take them. HTTP/1.1 carries
//! only those that a `Trailer` field names ahead of the body. Must not know bodies or connections.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::proxy::headers;

/// Fields that count only ahead of a body: framing, routing, request modifiers, authentication, cookies, what says how the
/// body is to be read or kept (RFC 9110 section 6.5.1). Late ones would be read by one server and not by the next.
const AHEAD: &[&str] = &[
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "content-type",
    "content-range",
    "host",
    "connection",
    "trailer",
    "authorization",
    "www-authenticate",
    "authentication-info",
    "cookie",
    "set-cookie",
    "cache-control",
    "expires",
    "age",
    "date",
    "vary",
    "pragma",
    "location",
    "retry-after",
    "max-forwards",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "content-security-policy",
    "strict-transport-security",
    "alt-svc",
];

/// Whether a field may stand behind a body.
fn may_trail(name: &HeaderName) -> bool {
    !AHEAD.contains(&name.as_str()) && !headers::is_ours_or_the_hops(name.as_str())
}

/// The trailers that may cross; nothing where none may.
pub(super) fn crossing(mut trailers: HeaderMap) -> Option<HeaderMap> {
    let wrong: Vec<HeaderName> = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in wrong {
        trailers.remove(name);
    }
    if trailers.is_empty() { None } else { Some(trailers) }
}

/// What a head says of trailers, read before the fields of its hop are removed from it.
#[derive(Debug, Default)]
pub(super) struct Said {
    wanted: bool,
    announced: Option<HeaderValue>,
}

impl Said {
    /// Reads `TE` and `Trailer`.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let wanted = tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case(b"trailers"));
        let names = tokens(headers, &header::TRAILER).filter_map(|token| HeaderName::from_bytes(token).ok());
        let names: Vec<HeaderName> = names.filter(may_trail).collect();
        let announced = if names.is_empty() { None } else { HeaderValue::from_str(&list(&names)).ok() };
        Self { wanted, announced }
    }

    /// Says the same on the next hop. `TE` belongs to the hop, and so `Connection` names it (RFC 9110 section 10.1.4).
    pub(super) fn say(self, headers: &mut HeaderMap) {
        if self.wanted {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        self.announce(headers);
    }

    /// Says only what will stand behind the body.
    pub(super) fn announce(self, headers: &mut HeaderMap) {
        if let Some(names) = self.announced {
            headers.insert(header::TRAILER, names);
        }
    }
}

fn list(names: &[HeaderName]) -> String {
    names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_counts_only_ahead_of_a_body_does_not_cross_behind_it() {
        for name in
            AHEAD.iter().chain(&["x-forwarded-for", "x-clicksieve-score", "x_forwarded_for", "keep-alive", "te", "upgrade"])
        {
            assert_eq!(crossing(map(&[(name, "1")])), None, "{name}");
        }
        let kept = crossing(map(&[("grpc-status", "0"), ("host", "b"), ("etag", "1"), ("server-timing", "a")])).unwrap();
        assert_eq!(kept.len(), 3);
    }

    #[test]
    fn a_head_says_the_same_of_trailers_on_the_next_hop() {
        let said = Said::read(&map(&[("te", "gzip;q=0.5, Trailers"), ("trailer", "X-Sum, host, x[]")]));
        let mut headers = HeaderMap::new();
        said.say(&mut headers);
        assert_eq!(
            (&headers["te"], &headers["connection"], &headers["trailer"]),
            (&HeaderValue::from_static("trailers"), &HeaderValue::from_static("te"), &HeaderValue::from_static("x-sum"))
        );
    }
}
