//! The fields of a request that are looked at again and again, gathered in one walk over them all. Must not judge.

use http::HeaderMap;
use http::HeaderValue;

/// Up to here looking at each byte is cheaper than looking at many at once.
const SHORT: usize = 32;

/// A field's text; `None` where it is not visible ASCII. It is what [`HeaderValue::to_str`] says: a value holds no control
/// character but the tab, so what is ASCII is visible.
pub fn field_text(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    if bytes.len() < SHORT {
        return value.to_str().ok();
    }
    // No early end, so that many are looked at in one step.
    let all = bytes.iter().fold(0, |all, byte| all | byte);
    if all.is_ascii() { std::str::from_utf8(bytes).ok() } else { None }
}

/// A field that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is called what the field is called")]
pub enum Field {
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    ChUa,
    ChUaMobile,
    ChUaPlatform,
    Connection,
    FetchDest,
    FetchMode,
    FetchSite,
    FetchUser,
    Forwarded,
    Gpc,
    Host,
    Http2Settings,
    Priority,
    Purpose,
    Referer,
    SecPurpose,
    Te,
    UpgradeInsecureRequests,
    UserAgent,
    Via,
    XMoz,
    XPurpose,
}

impl Field {
    /// The field of a name in lower case; `None` for those that are not gathered.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "accept" => Self::Accept,
            "accept-encoding" => Self::AcceptEncoding,
            "accept-language" => Self::AcceptLanguage,
            "sec-ch-ua" => Self::ChUa,
            "sec-ch-ua-mobile" => Self::ChUaMobile,
            "sec-ch-ua-platform" => Self::ChUaPlatform,
            "connection" => Self::Connection,
            "sec-fetch-dest" => Self::FetchDest,
            "sec-fetch-mode" => Self::FetchMode,
            "sec-fetch-site" => Self::FetchSite,
            "sec-fetch-user" => Self::FetchUser,
            "forwarded" => Self::Forwarded,
            "sec-gpc" => Self::Gpc,
            "host" => Self::Host,
            "http2-settings" => Self::Http2Settings,
            "priority" => Self::Priority,
            "purpose" => Self::Purpose,
            "referer" => Self::Referer,
            "sec-purpose" => Self::SecPurpose,
            "te" => Self::Te,
            "upgrade-insecure-requests" => Self::UpgradeInsecureRequests,
            "user-agent" => Self::UserAgent,
            "via" => Self::Via,
            "x-moz" => Self::XMoz,
            "x-purpose" => Self::XPurpose,
            _ => return None,
        })
    }
}

/// How many there are.
const FIELDS: usize = Field::XPurpose as usize + 1;

/// All fields of a request, and the first of each name that is gathered.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    all: &'a HeaderMap,
    gathered: [Option<&'a HeaderValue>; FIELDS],
    /// Which came first, second and so on; behind the last of them all bits are set.
    order: [u8; FIELDS],
}

impl<'a> Sent<'a> {
    /// Walks over them once.
    pub fn of(all: &'a HeaderMap) -> Self {
        let mut fields = Self { all, gathered: [None; FIELDS], order: [u8::MAX; FIELDS] };
        let mut places = fields.order.iter_mut();
        for (name, value) in all {
            let Some(field) = Field::of(name.as_str()) else { continue };
            let Some(slot @ None) = fields.gathered.get_mut(field as usize) else { continue };
            *slot = Some(value);
            if let Some(place) = places.next() {
                *place = field as u8;
            }
        }
        fields
    }

    /// All of them.
    pub fn all(&self) -> &'a HeaderMap {
        self.all
    }

    /// Whether a field came.
    pub fn has(&self, field: Field) -> bool {
        self.value(field).is_some()
    }

    /// A field as sent.
    pub fn value(&self, field: Field) -> Option<&'a HeaderValue> {
        self.gathered.get(field as usize).copied().flatten()
    }

    /// A field's text; `None` where it lacks or is not visible ASCII.
    pub fn text(&self, field: Field) -> Option<&'a str> {
        self.value(field).and_then(field_text)
    }

    /// In which order the gathered ones came, by their numbers; the same bytes are the same fields.
    pub fn order(&self) -> &[u8] {
        &self.order
    }

    /// The host of the `Referer`, without port.
    pub fn referer_host(&self) -> Option<&'a str> {
        let rest = self.text(Field::Referer)?.split_once("://")?.1;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        (!host.is_empty()).then_some(host)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn each_field_is_found_by_its_name_and_the_first_counts() {
        let map = map(&[("x-other", "1"), ("accept", "a"), ("via", "v"), ("accept", "b"), ("x-purpose", "p")]);
        let fields = Sent::of(&map);
        assert_eq!((fields.text(Field::Accept), fields.text(Field::XPurpose)), (Some("a"), Some("p")));
        assert!(fields.has(Field::Via) && !fields.has(Field::Host));
        assert_eq!(fields.order()[..4], [Field::Accept as u8, Field::Via as u8, Field::XPurpose as u8, u8::MAX]);
        assert_eq!(fields.all().len(), 5);
    }

    proptest! {
        #[test]
        fn a_text_is_what_the_field_says_of_itself(
            bytes in prop::collection::vec(any::<u8>(), 0..6),
            before in prop::collection::vec(b' '..=b'~', 0..40),
        ) {
            let bytes = [before, bytes].concat();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                prop_assert_eq!(field_text(&value), value.to_str().ok());
            }
        }
    }

    #[test]
    fn the_host_of_a_referer_is_read_without_its_port() {
        for (referer, host) in [
            ("https://shop.example/a?b#c", Some("shop.example")),
            ("https://shop.example:8443", Some("shop.example")),
            ("https://[2001:db8::1]/", Some("[2001:db8::1]")),
            ("about:client", None),
            ("https:///a", None),
        ] {
            assert_eq!(Sent::of(&map(&[("referer", referer)])).referer_host(), host, "{referer}");
        }
    }
}
