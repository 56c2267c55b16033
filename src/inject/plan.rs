//! Decides from an answer's head whether its body is a page that may be injected, and how (reliability rules: only
//! whole, decodable HTML that a person navigates to). Must not know the body.

use http::HeaderMap;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_DISPOSITION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;

use crate::inject::Settings;
use crate::inject::csp;
use crate::inject::csp::Way;

/// What is done with an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It passes as it is.
    Pass(Why),
    /// The snippet goes in.
    Inject(Injection),
}

/// How the snippet goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// How the script can run.
    pub way: Way,
    /// How the body is coded.
    pub coding: Coding,
    /// Whether the page's policy lets it send events to its own host.
    pub beacon: bool,
    /// Whether no policy speaks of workers, so that a page may make one.
    pub worker: bool,
    /// Who says how the page's characters are coded.
    pub charset: Charset,
}

/// The content coding of a page (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// gzip (RFC 1952), one layer.
    Gzip,
}

/// Where a page's character encoding is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// In the answer's head; no browser looks further.
    Head,
    /// In the page itself if at all. A `<meta charset>` must end within the first 1,024 bytes (WHATWG HTML, section
    /// 4.2.5.4), so what goes in front of it has to be short.
    Page,
}

/// Why a page passes without the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nobody navigates to it: a fragment, an asset, a HEAD or POST.
    NotNavigation,
    /// Not a 200.
    Status,
    /// Not `text/html`.
    NotHtml,
    /// A character encoding that is unknown or not a superset of ASCII.
    Charset,
    /// Part of a page.
    Range,
    /// A download.
    Attachment,
    /// The site forbids transformation.
    NoTransform,
    /// A content coding that is not undone.
    Coding,
    /// There is no body.
    Empty,
    /// The page's Content-Security-Policy leaves no way in.
    Csp,
    /// No place was found within the limit.
    HeadLimit,
    /// The bytes turned out to be UTF-16.
    Utf16,
    /// The page ended before its head began.
    NoHead,
    /// An AMP page, in which scripts of a site's own are not valid.
    Amp,
}

impl Why {
    /// The name used in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotNavigation => "not_navigation",
            Self::Status => "status",
            Self::NotHtml => "not_html",
            Self::Charset => "charset",
            Self::Range => "range",
            Self::Attachment => "attachment",
            Self::NoTransform => "no_transform",
            Self::Coding => "coding",
            Self::Empty => "empty",
            Self::Csp => "csp",
            Self::HeadLimit => "head_limit",
            Self::Utf16 => "utf16",
            Self::NoHead => "no_head",
            Self::Amp => "amp",
        }
    }
}

/// Decides about one answer of the site from its status and head; `address` is the page's URL as its visitor has it.
pub fn plan(_settings: &Settings, navigation: bool, status: StatusCode, headers: &HeaderMap, address: &str) -> Plan {
    match judge(navigation, status, headers, address) {
        Ok(injection) => Plan::Inject(injection),
        Err(why) => Plan::Pass(why),
    }
}

fn judge(navigation: bool, status: StatusCode, headers: &HeaderMap, address: &str) -> Result<Injection, Why> {
    if !navigation {
        return Err(Why::NotNavigation);
    }
    if status != StatusCode::OK {
        return Err(Why::Status);
    }
    let charset = content_type(headers)?;
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Why::Range);
    }
    if text(headers, &CONTENT_DISPOSITION).any(|value| first_word(value, ';').eq_ignore_ascii_case("attachment")) {
        return Err(Why::Attachment);
    }
    if list(headers, &CACHE_CONTROL).any(|word| word.eq_ignore_ascii_case("no-transform")) {
        return Err(Why::NoTransform);
    }
    let coding = coding(headers)?;
    if headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0") {
        return Err(Why::Empty);
    }
    let way = if charset == Charset::Page { csp::short_way(headers, address) } else { csp::way(headers, address) };
    if way == Way::Nothing {
        Err(Why::Csp)
    } else {
        Ok(Injection { way, coding, beacon: csp::beacon(headers, address), worker: csp::worker(headers), charset })
    }
}

fn content_type(headers: &HeaderMap) -> Result<Charset, Why> {
    let mut fields = headers.get_all(CONTENT_TYPE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return Err(Why::NotHtml) };
    let value = field.to_str().map_err(|_| Why::NotHtml)?;
    let mut parts = value.split(';').map(str::trim_ascii);
    if !parts.next().unwrap_or_default().eq_ignore_ascii_case("text/html") {
        return Err(Why::NotHtml);
    }
    let charset = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim_ascii().trim_matches('"').trim_ascii().to_ascii_lowercase());
    // Without a label browsers look at the bytes, and none of what they then choose moves ASCII (a UTF-16 mark is
    // looked for in the body).
    match charset {
        None => Ok(Charset::Page),
        Some(label) if extends_ascii(&label) => Ok(Charset::Head),
        Some(_) => Err(Why::Charset),
    }
}

/// Whether a label (WHATWG Encoding, section 4.2) is one of the encodings in which bytes below 0x40 are always ASCII.
fn extends_ascii(label: &str) -> bool {
    const WHOLE: [&str; 22] = [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "latin1",
        "l1",
        "gbk",
        "gb2312",
        "gb_2312-80",
        "gb18030",
        "big5",
        "big5-hkscs",
        "shift_jis",
        "shift-jis",
        "sjis",
        "x-sjis",
        "windows-31j",
        "ks_c_5601-1987",
        "macintosh",
        "koi8-r",
        "koi8-u",
        "tis-620",
    ];
    const FAMILIES: [&str; 7] = ["windows-125", "cp125", "x-cp125", "iso-8859-", "iso8859-", "euc-", "windows-874"];
    WHOLE.contains(&label) || FAMILIES.iter().any(|family| label.starts_with(family))
}

fn coding(headers: &HeaderMap) -> Result<Coding, Why> {
    let mut coding = Coding::Identity;
    if headers.get_all(CONTENT_ENCODING).iter().any(|field| field.to_str().is_err()) {
        return Err(Why::Coding);
    }
    for word in list(headers, &CONTENT_ENCODING) {
        let gzip = word.eq_ignore_ascii_case("gzip") || word.eq_ignore_ascii_case("x-gzip");
        match (gzip, coding) {
            (true, Coding::Identity) => coding = Coding::Gzip,
            _ if word.eq_ignore_ascii_case("identity") => {}
            _ => return Err(Why::Coding),
        }
    }
    Ok(coding)
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|field| field.to_str().ok())
}

fn list<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    text(headers, name).flat_map(|value| value.split(',')).map(str::trim_ascii).filter(|word| !word.is_empty())
}

fn first_word(value: &str, end: char) -> &str {
    value.split(end).next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(status: u16, fields: &[(&'static str, &'static str)]) -> Plan {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a field value"));
        }
        plan(&Settings::default(), true, StatusCode::from_u16(status).expect("a status"), &headers, "https://shop.example/")
    }

    fn html(fields: &[(&'static str, &'static str)]) -> Plan {
        let mut all = vec![("content-type", "text/html; charset=\"UTF-8\"")];
        all.extend_from_slice(fields);
        plan_of(200, &all)
    }

    #[test]
    fn an_ordinary_page_is_injected() {
        let injection = |coding| {
            Plan::Inject(Injection {
                way: Way::Inline { nonce: None },
                coding,
                beacon: true,
                worker: true,
                charset: Charset::Head,
            })
        };
        assert_eq!(html(&[]), injection(Coding::Identity));
        assert_eq!(html(&[("content-encoding", "identity, x-gzip")]), injection(Coding::Gzip));
        assert_eq!(html(&[("content-security-policy", "img-src 'self'")]), injection(Coding::Identity));
    }

    #[test]
    fn a_page_that_names_its_charset_itself_gets_the_short_markup() {
        let way = |policy| {
            let fields = [("content-type", "Text/HTML; x=y"), ("content-security-policy", policy)];
            let Plan::Inject(injection) = plan_of(200, &fields) else { panic!("not injected") };
            assert_eq!(injection.charset, Charset::Page);
            injection.way
        };
        assert_eq!(way("img-src 'self'"), Way::External);
        assert_eq!(way("script-src 'self' 'nonce-a'"), Way::External);
        assert_eq!(way("script-src 'nonce-a'"), Way::Inline { nonce: Some("a".to_owned()) });
    }

    #[test]
    fn what_is_not_a_whole_decodable_page_passes_with_its_reason() {
        for (name, value, why) in [
            ("content-range", "bytes 0-9/90", Why::Range),
            ("content-disposition", "Attachment; filename=x", Why::Attachment),
            ("cache-control", "public, no-transform", Why::NoTransform),
            ("content-encoding", "br", Why::Coding),
            ("content-encoding", "gzip, gzip", Why::Coding),
            ("content-length", "0", Why::Empty),
            ("content-security-policy", "script-src 'none'", Why::Csp),
        ] {
            assert_eq!(html(&[(name, value)]), Plan::Pass(why));
        }
    }

    #[test]
    fn other_types_charsets_and_statuses_pass() {
        assert_eq!(plan_of(200, &[("content-type", "application/xhtml+xml")]), Plan::Pass(Why::NotHtml));
        assert_eq!(plan_of(200, &[]), Plan::Pass(Why::NotHtml));
        for label in ["text/html; charset=utf-16le", "text/html;charset=iso-2022-jp", "text/html;charset=utf-7"] {
            assert_eq!(plan_of(200, &[("content-type", label)]), Plan::Pass(Why::Charset));
        }
        for status in [204, 206, 304, 404, 500] {
            assert_eq!(plan_of(status, &[("content-type", "text/html")]), Plan::Pass(Why::Status));
        }
        let headers = HeaderMap::new();
        assert_eq!(plan(&Settings::default(), false, StatusCode::OK, &headers, ""), Plan::Pass(Why::NotNavigation));
    }
}
