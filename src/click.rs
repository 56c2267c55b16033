//! What one request says of itself: the ad identifiers and campaign parameters of its URL, how it was asked for,
//! and the client it came from. Pure reading, no judgement. Must not know lists, rules or visits.

mod sent;

use std::net::IpAddr;

use http::HeaderMap;

pub use sent::Field;
pub use sent::Sent;
pub use sent::field_text;

/// The scheme the visitor used towards the outermost edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A network whose ad clicks carry an identifier in the landing URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdNetwork {
    /// Meta, `fbclid`.
    Meta,
    /// Google, `gclid`, `gbraid` or `wbraid`.
    Google,
    /// TikTok, `ttclid`.
    Tiktok,
    /// Microsoft, `msclkid`.
    Microsoft,
    /// Snap, `ScCid`.
    Snap,
    /// Pinterest, `epik`.
    Pinterest,
    /// LinkedIn, `li_fat_id`.
    Linkedin,
    /// X, `twclid`.
    X,
    /// Reddit, `rdt_cid`.
    Reddit,
}

impl AdNetwork {
    /// All networks, in the order of their slots in [`AdIds`].
    pub const ALL: [Self; 9] = [
        Self::Meta,
        Self::Google,
        Self::Tiktok,
        Self::Microsoft,
        Self::Snap,
        Self::Pinterest,
        Self::Linkedin,
        Self::X,
        Self::Reddit,
    ];

    /// The name used in records and rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Google => "google",
            Self::Tiktok => "tiktok",
            Self::Microsoft => "microsoft",
            Self::Snap => "snap",
            Self::Pinterest => "pinterest",
            Self::Linkedin => "linkedin",
            Self::X => "x",
            Self::Reddit => "reddit",
        }
    }

    /// The network whose click identifier a query parameter of this name is; names are matched without case.
    pub fn of_parameter(name: &str) -> Option<Self> {
        const PARAMETERS: [(&str, AdNetwork); 11] = [
            ("fbclid", AdNetwork::Meta),
            ("gclid", AdNetwork::Google),
            ("gbraid", AdNetwork::Google),
            ("wbraid", AdNetwork::Google),
            ("ttclid", AdNetwork::Tiktok),
            ("msclkid", AdNetwork::Microsoft),
            ("sccid", AdNetwork::Snap),
            ("epik", AdNetwork::Pinterest),
            ("li_fat_id", AdNetwork::Linkedin),
            ("twclid", AdNetwork::X),
            ("rdt_cid", AdNetwork::Reddit),
        ];
        // Most parameters are none of these, and longer.
        if !(4..=9).contains(&name.len()) {
            return None;
        }
        PARAMETERS.iter().find(|(parameter, _)| name.eq_ignore_ascii_case(parameter)).map(|(_, network)| *network)
    }
}

/// The ad click identifiers of one URL, as sent: never decoded, trimmed or lower-cased
/// (an altered `fbclid` is reported as modified by Events Manager).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdIds<'a>([Option<&'a str>; AdNetwork::ALL.len()]);

impl<'a> AdIds<'a> {
    /// The identifier of one network; the first where a parameter is repeated.
    pub fn of(&self, network: AdNetwork) -> Option<&'a str> {
        self.0.get(network as usize).copied().flatten()
    }

    /// Whether the URL carries any identifier, that is, whether the request is a click.
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// Networks and identifiers that are there.
    pub fn iter(&self) -> impl Iterator<Item = (AdNetwork, &'a str)> {
        AdNetwork::ALL.into_iter().zip(self.0).filter_map(|(network, id)| id.map(|id| (network, id)))
    }
}

/// The campaign parameters of one URL, percent-encoded as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Campaign<'a> {
    /// `utm_source`.
    pub source: Option<&'a str>,
    /// `utm_medium`.
    pub medium: Option<&'a str>,
    /// `utm_campaign`.
    pub campaign: Option<&'a str>,
    /// `utm_content`.
    pub content: Option<&'a str>,
    /// `utm_term`.
    pub term: Option<&'a str>,
    /// `utm_id`.
    pub id: Option<&'a str>,
}

/// The fields in which a client says why it asks.
const PURPOSES: [Field; 4] = [Field::SecPurpose, Field::Purpose, Field::XPurpose, Field::XMoz];

/// Why a client asks for a page, by `Sec-Purpose`, `Purpose`, `X-Purpose` and `X-Moz`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Somebody wants to see it now.
    #[default]
    View,
    /// It may be wanted later.
    Prefetch,
    /// It is rendered ahead, unseen.
    Prerender,
    /// A thumbnail or link preview is drawn.
    Preview,
}

impl Purpose {
    /// The name used in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Prefetch => "prefetch",
            Self::Prerender => "prerender",
            Self::Preview => "preview",
        }
    }

    /// Reads the purpose a client states; a speculative purpose of any of the fields wins.
    pub fn read(sent: &Sent<'_>) -> Self {
        let stated = PURPOSES.iter().filter_map(|field| sent.text(*field)).map(Self::of_value);
        stated.max_by_key(|purpose| *purpose as u8).unwrap_or_default()
    }

    fn of_value(value: &str) -> Self {
        let says = |word: &str| value.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.eq_ignore_ascii_case(word));
        if says("prerender") {
            Self::Prerender
        } else if says("prefetch") {
            Self::Prefetch
        } else if says("preview") {
            Self::Preview
        } else {
            Self::View
        }
    }
}

/// One request as the scoring rooms see it; it borrows from the request head.
#[derive(Clone, Copy, Debug)]
pub struct Click<'a> {
    /// The client's address through configured trusted proxies; `None` where it cannot be known.
    pub address: Option<IpAddr>,
    /// The scheme the visitor used.
    pub scheme: Scheme,
    /// The path, percent-encoded as sent.
    pub path: &'a str,
    /// The query without `?`, percent-encoded as sent; empty if none.
    pub query: &'a str,
    /// The request's fields.
    pub sent: Sent<'a>,
    /// Ad click identifiers of the URL.
    pub ad_ids: AdIds<'a>,
    /// Campaign parameters of the URL.
    pub campaign: Campaign<'a>,
    /// Why the page is asked for.
    pub purpose: Purpose,
    user_agent: Option<&'a str>,
}

impl<'a> Click<'a> {
    /// Reads a request. One walk over the fields and one over the query, no allocation.
    pub fn read(address: Option<IpAddr>, scheme: Scheme, path: &'a str, query: &'a str, headers: &'a HeaderMap) -> Self {
        let (ad_ids, campaign) = read_query(query);
        let sent = Sent::of(headers);
        let (purpose, user_agent) = (Purpose::read(&sent), sent.text(Field::UserAgent));
        Self { address, scheme, path, query, sent, ad_ids, campaign, purpose, user_agent }
    }

    /// The `User-Agent` field; `None` where it is missing or not visible ASCII.
    pub fn user_agent(&self) -> Option<&'a str> {
        self.user_agent
    }
}

/// The ad identifiers and campaign parameters of a query string.
pub fn read_query(query: &str) -> (AdIds<'_>, Campaign<'_>) {
    let mut ids = AdIds::default();
    let mut campaign = Campaign::default();
    let mut rest = Some(query);
    while let Some(text) = rest {
        // A click's identifier is long, a name short: there a search that looks at many bytes at once spends more on its beginning.
        let (pair, after) = match memchr::memchr(b'&', text.as_bytes()) {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        let at = pair.bytes().position(|byte| byte == b'=');
        let Some((name, value)) = at.and_then(|at| pair.get(..at).zip(pair.get(at + 1..))) else { continue };
        if value.is_empty() {
            continue;
        }
        if let Some(slot) = AdNetwork::of_parameter(name).and_then(|network| ids.0.get_mut(network as usize)) {
            slot.get_or_insert(value);
        } else if let Some(field) = campaign.field(name) {
            field.get_or_insert(value);
        }
    }
    (ids, campaign)
}

impl<'a> Campaign<'a> {
    fn field(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        match name {
            "utm_source" => Some(&mut self.source),
            "utm_medium" => Some(&mut self.medium),
            "utm_campaign" => Some(&mut self.campaign),
            "utm_content" => Some(&mut self.content),
            "utm_term" => Some(&mut self.term),
            "utm_id" => Some(&mut self.id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn click_identifiers_are_kept_as_sent() {
        let (ids, campaign) = read_query("a=1&fbclid=IwAR0-_x%2Fy&utm_source=fb&utm_content=ad%207&gclid=&ScCid=q&fbclid=second");
        assert_eq!(ids.of(AdNetwork::Meta), Some("IwAR0-_x%2Fy"));
        assert_eq!(ids.of(AdNetwork::Google), None);
        assert_eq!(ids.of(AdNetwork::Snap), Some("q"));
        assert_eq!(campaign.content, Some("ad%207"));
        assert!(ids.any());
    }

    #[test]
    fn a_query_without_ad_ids_is_no_click() {
        assert!(!read_query("q=shoes&page=2&xfbclid=1").0.any());
    }

    #[test]
    fn speculative_purposes_are_seen_in_every_field_that_carries_them() {
        for (name, value, purpose) in [
            ("sec-purpose", "prefetch;prerender", Purpose::Prerender),
            ("sec-purpose", "prefetch", Purpose::Prefetch),
            ("x-moz", "prefetch", Purpose::Prefetch),
            ("x-purpose", "preview", Purpose::Preview),
            ("purpose", "something", Purpose::View),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(Purpose::read(&Sent::of(&headers)), purpose, "{name}: {value}");
        }
    }
}
