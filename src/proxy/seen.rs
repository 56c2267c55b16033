//! What one request and its connection show, put together for its scoring: only from who connects to us itself, or vouched
//! for by a trusted proxy. Must not know what it means.

use std::sync::Arc;

use http::HeaderName;
use http::HeaderValue;
use http::Version;
use http::header;
use http::request::Parts;

use crate::fact::FactName;
use crate::fact::H2Shown;
use crate::fact::HttpVersion;
use crate::fact::Shown;
use crate::fact::TlsShown;
use crate::proxy::connection::ConnectionState;
use crate::proxy::shop::Asked;
use crate::proxy::unnamed;
use crate::rules::Policy;

/// What is shown, held for as long as the request is scored.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) version: Option<HttpVersion>,
    pub(super) tls: Option<Arc<TlsShown>>,
    pub(super) h2: Option<Arc<H2Shown>>,
    names: Option<String>,
    spoofed_forwarding: Option<bool>,
}

impl Seen {
    /// What a request shows.
    pub(super) fn of(asked: Asked<'_>, head: &Parts, policy: &Policy) -> Self {
        let Asked { connection, ja4, forwarded, .. } = asked;
        if connection.is_trusted() {
            let tls = ja4.and_then(|field| head.headers.get(field)).and_then(vouched);
            return Self { tls, ..Self::default() };
        }
        if unnamed::hides(connection, &head.headers) {
            return Self::default();
        }
        // Dear, and few rules look at them.
        let of_order = [FactName::HttpOrder, FactName::HttpCase].into_iter().any(|name| policy.asks(name));
        // HTTP/2's are read off the request itself where only their order counts.
        let wanted = policy.asks(FactName::HttpNames)
            || policy.asks(FactName::HttpNameCase)
            || (of_order && head.version != Version::HTTP_2);
        Self {
            version: version(head.version),
            tls: connection.tls().cloned(),
            h2: connection.h2().cloned(),
            names: wanted.then(|| names(connection, head)).flatten(),
            spoofed_forwarding: Some(forwarded),
        }
    }

    /// The same as facts.
    pub(super) fn facts(&self) -> Shown<'_> {
        Shown {
            version: self.version,
            tls: self.tls.as_deref(),
            h2: self.h2.as_deref(),
            names: self.names.as_deref(),
            spoofed_forwarding: self.spoofed_forwarding,
        }
    }
}

fn version(version: Version) -> Option<HttpVersion> {
    match version {
        Version::HTTP_10 => Some(HttpVersion::OneZero),
        Version::HTTP_11 => Some(HttpVersion::OneOne),
        Version::HTTP_2 => Some(HttpVersion::Two),
        _ => None,
    }
}

/// The names in their order. HTTP/2 names the host elsewhere, and what stands there by now is ours.
fn names(connection: &ConnectionState, head: &Parts) -> Option<String> {
    if !connection.is_stream() {
        return connection.names();
    }
    let names = head.headers.keys().filter(|name| **name != header::HOST).map(HeaderName::as_str);
    Some(names.collect::<Vec<_>>().join(","))
}

/// A JA4 that a trusted proxy says; anything of another shape is none.
fn vouched(value: &HeaderValue) -> Option<Arc<TlsShown>> {
    let text = value.to_str().ok()?;
    is_ja4(text).then(|| Arc::new(TlsShown { ja4: text.into(), ..TlsShown::default() }))
}

/// Whether a text has the shape of a JA4: `t13d1517h2_8daaf6152771_cb7bf5808d99`.
fn is_ja4(text: &str) -> bool {
    let mut parts = text.split('_');
    let (head, ciphers, extensions) = (parts.next(), parts.next(), parts.next());
    let digest = |part: Option<&str>| part.is_some_and(|part| part.len() == 12 && part.bytes().all(is_hex));
    let named = head.is_some_and(|head| head.len() == 10 && head.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    named && digest(ciphers) && digest(extensions) && parts.next().is_none()
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_shape_of_a_ja4_is_one() {
        assert!(is_ja4("t13d1517h2_8daaf6152771_cb7bf5808d99") && is_ja4("q13i0310h3_55b375c5d22e_cd85d2d88918"));
        for other in [
            "",
            "t13d1517h2",
            "t13d1517h2_8daaf6152771",
            "t13d1517h2_8DAAF6152771_cb7bf5808d99",
            "t13d1517h2_8daaf6152771_cb7bf5808d99_x",
            "t13d1517h_8daaf6152771_cb7bf5808d99",
        ] {
            assert!(!is_ja4(other), "{other}");
        }
    }
}
