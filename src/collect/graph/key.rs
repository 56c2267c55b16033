//! Our keys, wherever Graph clients put Meta's token: the query, the body, `Authorization: Bearer`, the gateway form's
//! `accessKey`. Compared in constant time, never logged. Must not know events.

use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::collect::Destination;

/// Keys looked at per place; no client shows two.
const MOST: usize = 8;

/// The keys that a request's head shows.
pub(super) fn in_head(head: &Parts) -> Vec<String> {
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let in_query = query.filter(|(name, _)| name == "access_token").map(|(_, key)| key.into_owned());
    let fields = head.headers.get_all(AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    in_query.take(MOST).chain(fields.take(MOST).filter_map(bearer)).collect()
}

/// The credentials of the Bearer scheme, whose name knows no case (RFC 9110 section 11.1).
fn bearer(field: &str) -> Option<String> {
    let (scheme, key) = field.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
}

/// Whether one of the keys shown is this destination's; others beside it, such as Meta's own token, do no harm.
pub(super) fn fits<'a>(shown: impl Iterator<Item = &'a str>, destination: &Destination) -> bool {
    let expected = destination.key.expose_secret().as_bytes();
    // An empty key of ours opens nothing.
    !expected.is_empty() && shown.map(|key| bool::from(key.as_bytes().ct_eq(expected))).fold(false, |a, b| a | b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_others_show_no_key() {
        assert_eq!(bearer("bEARER  our-key "), Some("our-key".to_owned()));
        assert_eq!((bearer("Basic our-key"), bearer("our-key")), (None, None));
    }
}
