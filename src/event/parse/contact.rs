//! Contact data where it does not belong: in the links and the custom data of events. It is left out, and counted.
//! Must not know events.

use serde_json::Map;
use serde_json::Value;

/// Custom data nests at most this deep.
const DEEPEST: usize = 6;
/// The most keys or items of one level.
const WIDEST: usize = 500;
const LONGEST_LINK: usize = 4_096;
const NAMES: [&str; 24] = [
    "em",
    "email",
    "e_mail",
    "mail",
    "useremail",
    "user_email",
    "customer_email",
    "billing_email",
    "ph",
    "phone",
    "tel",
    "telephone",
    "mobile",
    "billing_phone",
    "first_name",
    "firstname",
    "last_name",
    "lastname",
    "password",
    "token",
    "address",
    "address1",
    "street",
    "dob",
];

/// Custom data without contact-like keys and texts.
pub fn clean_custom(fields: &Map<String, Value>, stripped: &mut u32) -> Map<String, Value> {
    clean_fields(fields, DEEPEST, stripped)
}

fn clean_fields(fields: &Map<String, Value>, depth: usize, stripped: &mut u32) -> Map<String, Value> {
    // A null says nothing, and would keep the other half's value from being filled in.
    let kept = fields.iter().filter(|(_, value)| !value.is_null()).take(WIDEST).filter_map(|(key, value)| {
        let value = if is_contact_name(key) { None } else { clean_value(value, depth, stripped) };
        if value.is_none() {
            *stripped = stripped.saturating_add(1);
        }
        value.map(|value| (key.clone(), value))
    });
    kept.collect()
}

fn clean_value(value: &Value, depth: usize, stripped: &mut u32) -> Option<Value> {
    match value {
        Value::String(text) => (!holds_mail(text)).then(|| value.clone()),
        Value::Array(_) | Value::Object(_) if depth == 0 => None,
        Value::Array(items) => Some(
            items
                .iter()
                .filter(|item| !item.is_null())
                .take(WIDEST)
                .filter_map(|item| clean_value(item, depth - 1, stripped))
                .collect(),
        ),
        Value::Object(fields) => Some(Value::Object(clean_fields(fields, depth - 1, stripped))),
        other => Some(other.clone()),
    }
}

/// A link without user info, fragment and contact-like parameters; the rest stays as sent, byte for byte.
pub fn clean_link(link: &str, stripped: &mut u32) -> String {
    let end = link.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_LINK).unwrap_or(link.len());
    let link = link.get(..end).unwrap_or_default();
    let (link, fragment) = link.split_once('#').map_or((link, None), |(link, fragment)| (link, Some(fragment)));
    if fragment.is_some_and(holds_mail) {
        *stripped = stripped.saturating_add(1);
    }
    let (base, query) = link.split_once('?').map_or((link, None), |(base, query)| (base, Some(query)));
    let base = without_user(base);
    let Some(query) = query else { return base };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let order_key = name == "key" && value.contains("order");
        if is_contact_name(name) || order_key || holds_mail(value) || holds_mail(name) {
            *stripped = stripped.saturating_add(1);
        } else {
            kept.push(pair);
        }
    }
    if kept.is_empty() { base } else { format!("{base}?{}", kept.join("&")) }
}

fn without_user(base: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else { return base.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

fn is_contact_name(name: &str) -> bool {
    let last = name.rsplit(['.', '[']).next().unwrap_or(name).trim_end_matches(']');
    [name, last].iter().any(|name| NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Whether a text holds something like an e-mail address, also percent-encoded, once or twice.
fn holds_mail(text: &str) -> bool {
    let lower = text.to_ascii_lowercase().replace("%2540", "@").replace("%40", "@");
    lower.split_once('@').is_some_and(|(before, after)| {
        before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
            && after
                .split(|c: char| c.is_whitespace() || matches!(c, '/' | '&' | ','))
                .next()
                .is_some_and(|host| host.contains('.'))
    })
}
