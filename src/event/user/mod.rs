//! Personal data of one event: each key of Meta's `user_data` normalised by the documentation's rule and hashed with
//! SHA-256, or checked and passed where Meta wants it plain. Raw values do not leave this module; what cannot be used
//! is left out and counted, never an error. Must not know where the data came from.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Map;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

use crate::cookie;

mod one;
mod places;
mod rules;

pub use one::Normal;
pub use one::Unusable;
pub use one::value;

/// The longest raw value that is looked at; an e-mail has at most 254 bytes.
const LONGEST_VALUE: usize = 512;
/// The longest user agent that is passed.
const LONGEST_AGENT: usize = 1_024;
/// The most values of one key that are used.
const MOST_VALUES: usize = 10;

/// Keys that Meta wants hashed.
pub const HASHED: [&str; 17] = [
    "em",
    "ph",
    "fn",
    "ln",
    "ge",
    "db",
    "ct",
    "st",
    "zp",
    "country",
    "external_id",
    "f5first",
    "f5last",
    "fi",
    "dobd",
    "dobm",
    "doby",
];
/// Keys that Meta wants as they are.
pub const PLAIN: [&str; 14] = [
    "client_ip_address",
    "client_user_agent",
    "fbc",
    "fbp",
    "subscription_id",
    "lead_id",
    "fb_login_id",
    "madid",
    "anon_id",
    "page_id",
    "page_scoped_user_id",
    "ctwa_clid",
    "ig_account_id",
    "ig_sid",
];

/// How values are read.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Calling code (`49`) put before phone numbers that are written without one, that is with a single leading zero.
    /// None by default: a guessed country makes a wrong person.
    pub default_country_code: Option<String>,
    /// In how many forms names, cities and zip codes are hashed.
    pub forms: Forms,
}

/// In how many forms a value is hashed that Meta's own tools normalise in different ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forms {
    /// In the documentation's alone: Meta does not say whether several hashes for one person help.
    #[default]
    One,
    /// In that of each tool.
    Every,
}

/// User data that may be stored and sent, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cleaned {
    /// Meta's keys; every value a text or a list of texts, `lead_id` and its like a number where one came.
    pub user_data: Map<String, Value>,
    /// Keys Meta does not know; it refuses a whole request for one.
    pub unknown: u32,
    /// Values that could not be used.
    pub refused: u32,
}

/// Normalises and hashes the user data of one event. Never fails; `null`, empty texts and nulls in lists are nothing.
pub fn clean(raw: &Map<String, Value>, settings: &Settings) -> Cleaned {
    let mut cleaned = Cleaned::default();
    for (name, value) in raw {
        let key = key_of(name);
        if HASHED.contains(&key) {
            take_hashed(&mut cleaned, key, value, settings);
        } else if PLAIN.contains(&key) {
            take_plain(&mut cleaned, key, value);
        } else {
            cleaned.unknown += 1;
        }
    }
    cleaned
}

/// The normalised form of a raw value before hashing, by the documentation's rule; `None` where it cannot be used.
/// Values that are hashes already and keys that are not hashed give `None` too.
pub fn normalise(key: &str, raw: &str, settings: &Settings) -> Option<String> {
    if raw.len() > LONGEST_VALUE || !HASHED.contains(&key) {
        return None;
    }
    let trimmed = rules::trim(raw);
    if trimmed.is_empty() || rules::says_nothing(trimmed) || as_hash(trimmed).is_some() {
        return None;
    }
    rules::apply(key, trimmed, settings)
}

/// What goes on the wire for one raw value of a hashed key: the hash, or the value itself if it is a hash already.
pub fn hashed(key: &str, raw: &str, settings: &Settings) -> Option<String> {
    if raw.len() > LONGEST_VALUE {
        return None;
    }
    as_hash(rules::trim(raw)).or_else(|| normalise(key, raw, settings).map(|value| digest(&value)))
}

/// SHA-256 of a text in lower-case hex.
pub fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing into a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// A value that is a hash already, lower-cased: SHA-256, also with the param builder's suffix of 2 or 8 characters
/// (whose case counts), or MD5.
pub fn as_hash(text: &str) -> Option<String> {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if matches!(text.len(), 32 | 64) && is_hex(text) {
        return Some(text.to_ascii_lowercase());
    }
    let (hash, suffix) = text.split_once('.')?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = hash.len() == 64 && is_hex(hash) && matches!(suffix.len(), 2 | 8) && suffix.bytes().all(safe);
    fits.then(|| format!("{}.{suffix}", hash.to_ascii_lowercase()))
}

/// Names under which shops' Pixels and SDK users give the same keys.
fn key_of(name: &str) -> &str {
    match name {
        "email" => "em",
        "phone" => "ph",
        "first_name" => "fn",
        "last_name" => "ln",
        "gender" => "ge",
        "city" => "ct",
        "state" => "st",
        "zip" => "zp",
        other => other,
    }
}

fn take_hashed(cleaned: &mut Cleaned, key: &str, value: &Value, settings: &Settings) {
    let mut found: Vec<String> = match cleaned.user_data.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    for raw in texts(value, &mut cleaned.refused) {
        match hashed(key, &raw, settings) {
            Some(hash) if !found.contains(&hash) => found.push(hash),
            Some(_) => {}
            None => cleaned.refused += 1,
        }
        if settings.forms == Forms::Every && found.len() < MOST_VALUES {
            let others = other_forms(key, &raw, settings);
            found.extend(others.filter(|hash| !found.contains(hash)).collect::<BTreeSet<_>>());
        }
    }
    put(&mut cleaned.user_data, key, found);
}

/// The hashes of the forms that Meta's own tools give a value which has a normal form here.
fn other_forms(key: &str, raw: &str, settings: &Settings) -> impl Iterator<Item = String> {
    let usable = normalise(key, raw, settings).is_some();
    let forms = usable.then(|| rules::other_forms(key, rules::trim(raw))).into_iter().flatten();
    forms.filter(|form| !form.is_empty()).map(|form| digest(&form))
}

fn put(user_data: &mut Map<String, Value>, key: &str, mut found: Vec<String>) {
    let value = match found.len() {
        0 => return,
        1 => Value::String(found.swap_remove(0)),
        _ => Value::Array(found.into_iter().map(Value::String).collect()),
    };
    user_data.insert(key.to_owned(), value);
}

fn take_plain(cleaned: &mut Cleaned, key: &str, value: &Value) {
    if let (Value::Number(number), "lead_id" | "fb_login_id" | "page_id" | "ig_account_id") = (value, key) {
        if number.is_u64() {
            cleaned.user_data.insert(key.to_owned(), value.clone());
        } else {
            cleaned.refused += 1;
        }
        return;
    }
    let Some(raw) = texts(value, &mut cleaned.refused).into_iter().next() else { return };
    match plain(key, &raw) {
        Some(text) => {
            cleaned.user_data.insert(key.to_owned(), Value::String(text));
        }
        None => cleaned.refused += 1,
    }
}

/// Checks one value of a key that is not hashed.
fn plain(key: &str, raw: &str) -> Option<String> {
    let trimmed = rules::trim(raw);
    if rules::says_nothing(trimmed) {
        return None;
    }
    match key {
        "client_ip_address" => address(trimmed),
        "client_user_agent" => printable(trimmed, LONGEST_AGENT),
        "fbc" | "fbp" => cookie::payload(trimmed).filter(|_| trimmed.len() <= LONGEST_VALUE).map(|_| trimmed.to_owned()),
        "lead_id" | "fb_login_id" => digits(trimmed),
        // Contact data under a key that is stored unhashed would leave the house raw.
        _ => printable(trimmed, 256).filter(|text| !text.contains('@')),
    }
}

/// An address, perhaps with the param builder's suffix; the suffix is dropped, since what we store must parse.
fn address(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let (bare, suffix) = text.rsplit_once('.')?;
    let address = bare.parse::<IpAddr>().ok()?;
    matches!(suffix.len(), 2 | 8).then(|| address.to_string())
}

fn printable(text: &str, longest: usize) -> Option<String> {
    (text.len() <= longest && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn digits(text: &str) -> Option<String> {
    (text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

/// The texts of a scalar or a list of scalars; empty ones are nothing, other things are counted as refused.
fn texts(value: &Value, refused: &mut u32) -> Vec<String> {
    let one = |value: &Value, refused: &mut u32| match value {
        Value::String(text) if !rules::trim(text).is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null => None,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            *refused += 1;
            None
        }
    };
    match value {
        Value::Array(items) => {
            *refused += u32::try_from(items.len().saturating_sub(MOST_VALUES)).unwrap_or(u32::MAX);
            items.iter().take(MOST_VALUES).filter_map(|item| one(item, refused)).collect()
        }
        other => one(other, refused).into_iter().collect(),
    }
}

/// Whether the keys are too few for Meta to match anybody (error 100/2804050): all of them lie in one of the
/// documented combinations, or there are none.
pub fn is_too_little(user_data: &Map<String, Value>) -> bool {
    const TOO_LITTLE: [&[&str]; 4] =
        [&["ct", "country", "st", "zp", "ge", "client_user_agent"], &["db", "client_user_agent"], &["fn", "ge"], &["ln", "ge"]];
    TOO_LITTLE.iter().any(|keys| user_data.keys().all(|key| keys.contains(&key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn cleaned(raw: &Value) -> Cleaned {
        clean(raw.as_object().unwrap(), &Settings::default())
    }

    fn normal(key: &str, raw: &str) -> Option<String> {
        normalise(key, raw, &Settings::default())
    }

    #[test]
    fn values_are_normalised_by_the_documentations_rule() {
        for (key, raw, expected) in [
            ("em", " John_Smith@gmail.com ", Some("john_smith@gmail.com")),
            ("em", "\u{feff}bom@example.com", Some("bom@example.com")),
            ("em", "a@b", None),
            ("em", "A@B.COM, c@d.com", None),
            ("ph", "US phone number (650)555-1212", Some("6505551212")),
            ("ph", "+44 (0)20 7946 0958", Some("442079460958")),
            ("ph", "0044 20 7946 0958", Some("442079460958")),
            ("ph", "１６５０５５５１２１２", Some("16505551212")),
            ("ph", "+١ ٦٥٠ ٥٥٥ ١٢١٢", Some("16505551212")),
            ("ph", "12345", None),
            ("fn", "O'Brien", Some("obrien")),
            ("fn", "Mary Jane", Some("mary jane")),
            ("fn", "Valéry", Some("valéry")),
            ("fn", "undefined", None),
            ("db", "2/16/1997", Some("19970216")),
            ("db", "1997-02-16", Some("19970216")),
            ("db", "16/02/1997", Some("19970216")),
            ("db", "19970230", None),
            ("ct", "Washington, D.C.", Some("washingtondc")),
            ("ct", "Köln", Some("köln")),
            ("st", "California", Some("ca")),
            ("st", "US-CA", Some("ca")),
            ("zp", "94035-1234", Some("94035")),
            ("zp", "M1 1AE", Some("m11ae")),
            ("country", "United States", Some("us")),
            ("country", "ZZ", None),
            ("ge", "Female", Some("f")),
            ("external_id", " USER123 ", Some("USER123")),
            ("doby", "1997", Some("1997")),
            ("dobm", "2", Some("02")),
        ] {
            assert_eq!(normal(key, raw).as_deref(), expected, "{key}: {raw}");
        }
    }

    #[test]
    fn hashes_are_kept_with_their_suffix_and_md5_as_well() {
        let sha = "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F";
        let kept = cleaned(&json!({ "em": format!("{sha}.ABcDEFGh"), "ph": ["D41D8CD98F00B204E9800998ECF8427E", sha] }));
        assert_eq!(kept.user_data["em"], json!(format!("{}.ABcDEFGh", sha.to_lowercase())));
        assert_eq!(kept.user_data["ph"], json!(["d41d8cd98f00b204e9800998ecf8427e", sha.to_lowercase()]));
    }

    #[test]
    fn nulls_empty_texts_and_unknown_keys_are_left_out_and_counted_apart() {
        let kept = cleaned(&json!({
            "ge": [null], "zp": [], "fbc": "", "client_ip_address": "", "click_id": "x", "em": ["null", null, "A@b.com", " a@B.com "],
        }));
        assert_eq!(kept.user_data, *json!({ "em": digest("a@b.com") }).as_object().unwrap());
        assert_eq!((kept.unknown, kept.refused), (1, 1));
    }

    #[test]
    fn a_local_number_gets_the_configured_country_and_no_guessed_one() {
        let settings = Settings { default_country_code: Some("49".to_owned()), ..Settings::default() };
        assert_eq!(normalise("ph", "030 1234567", &settings).as_deref(), Some("49301234567"));
        assert_eq!(normalise("ph", "+44 20 7946 0958", &settings).as_deref(), Some("442079460958"));
        assert_eq!(normal("ph", "030 1234567").as_deref(), Some("301234567"));
    }

    #[test]
    fn meta_cookies_pass_verbatim_and_malformed_ones_do_not() {
        let kept = cleaned(&json!({ "fbc": "fb.1.1774000000123.Iw-AR_x.AQICAQMC", "fbp": "nonsense", "lead_id": 123 }));
        assert_eq!(kept.user_data, *json!({ "fbc": "fb.1.1774000000123.Iw-AR_x.AQICAQMC", "lead_id": 123 }).as_object().unwrap());
        assert_eq!(kept.refused, 1);
    }

    #[test]
    fn an_agent_alone_is_too_little_and_with_an_address_enough() {
        assert!(is_too_little(&cleaned(&json!({ "client_user_agent": "x" })).user_data));
        assert!(!is_too_little(&cleaned(&json!({ "client_user_agent": "x", "client_ip_address": "203.0.113.9" })).user_data));
    }

    proptest! {
        #[test]
        fn no_raw_mail_address_comes_out_whatever_key_it_stands_under(key in 0..HASHED.len() + PLAIN.len(), name in "[a-z]{1,12}") {
            let key = HASHED.iter().chain(&PLAIN).nth(key).unwrap();
            if *key == "client_user_agent" { return Ok(()); }
            let mail = format!("{name}@shop.example");
            let out = serde_json::to_string(&cleaned(&json!({ *key: mail.clone() })).user_data).unwrap();
            prop_assert!(!out.contains(&mail), "{out}");
        }

        #[test]
        fn no_text_makes_normalising_panic(key in 0..HASHED.len(), raw in "\\PC{0,80}") {
            let _ = hashed(HASHED[key], &raw, &Settings { default_country_code: Some("1".to_owned()), forms: Forms::Every });
        }
    }
}
