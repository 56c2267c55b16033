//! What Meta's Conversions API refuses, written down a second time from Meta's own pages so that the product's reading
//! of them is checked by another one. Must not use `event` or `delivery`.

use std::net::IpAddr;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

const DAY: u64 = 86_400;
const MOST_EVENTS: usize = 1_000;

/// Keys whose values must be SHA-256 in lower-case hex ("Customer Information Parameters").
const HASHED: [&str; 16] =
    ["em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "f5first", "f5last", "fi", "dobd", "dobm", "doby"];
/// Keys that are sent as they are.
const PLAIN: [&str; 15] = [
    "external_id",
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
const ACTION_SOURCES: [&str; 9] =
    ["email", "website", "app", "phone_call", "chat", "physical_store", "system_generated", "business_messaging", "other"];
/// An event whose keys all lie in one of these cannot be matched ("Customer Information Parameters", invalid combinations).
const TOO_LITTLE: [&[&str]; 4] =
    [&["ct", "country", "st", "zp", "ge", "client_user_agent"], &["db", "client_user_agent"], &["fn", "ge"], &["ln", "ge"]];

/// An error as the Graph API words it. The whole request is refused for the first event that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: u32,
    /// `error.error_subcode`.
    pub subcode: Option<u32>,
    /// `error.message`.
    pub message: String,
    /// `error.is_transient`.
    pub transient: bool,
}

impl Refusal {
    /// A refusal that stays the same however often the request is repeated.
    pub fn lasting(status: u16, code: u32, subcode: Option<u32>, message: impl Into<String>) -> Self {
        Self { status, code, subcode, message: message.into(), transient: false }
    }

    /// The answer's body.
    pub fn body(&self, trace: &str) -> Value {
        let kind = if self.code == 190 || self.code == 104 { "OAuthException" } else { "GraphMethodException" };
        let mut error = json!({
            "message": self.message, "type": kind, "code": self.code, "is_transient": self.transient, "fbtrace_id": trace,
        });
        if let (Some(subcode), Some(fields)) = (self.subcode, error.as_object_mut()) {
            fields.insert("error_subcode".to_owned(), json!(subcode));
        }
        json!({ "error": error })
    }
}

fn wrong(subcode: u32, message: impl Into<String>) -> Refusal {
    Refusal::lasting(400, 100, Some(subcode), message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::lasting(400, 100, None, message)
}

fn parameter(path: &str, what: &str) -> Refusal {
    wrong(2_804_019, format!("Server Side Api Parameter Error: {path}: {what}"))
}

/// The events of a request's body, or why the whole request is refused. `now` is in seconds since the epoch.
pub fn examine(body: &Value, now: u64) -> Result<Vec<Value>, Refusal> {
    let Some(data) = body.get("data") else { return Err(invalid("(#100) The parameter data is required")) };
    let Some(events) = data.as_array() else { return Err(invalid("(#100) Param data must be an array.")) };
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(invalid(format!("(#100) Param data must hold 1 to {MOST_EVENTS} events.")));
    }
    for (at, event) in events.iter().enumerate() {
        let path = format!("data[{at}]");
        let Some(event) = event.as_object() else { return Err(parameter(&path, "must be an object")) };
        examine_event(event, &path, now)?;
    }
    Ok(events.clone())
}

fn examine_event(event: &Map<String, Value>, path: &str, now: u64) -> Result<(), Refusal> {
    let name = event.get("event_name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let Some(name) = name else { return Err(parameter(&format!("{path}[event_name]"), "missing or not a string")) };
    let source = event.get("action_source").and_then(Value::as_str).filter(|source| ACTION_SOURCES.contains(source));
    let Some(source) = source else { return Err(parameter(&format!("{path}[action_source]"), "missing or unknown")) };
    examine_time(event, source, path, now)?;
    if event.get("event_id").is_some_and(|id| !id.is_null() && id.as_str().is_none_or(str::is_empty)) {
        return Err(parameter(&format!("{path}[event_id]"), "must be a string"));
    }
    if event.get("opt_out").is_some_and(|flag| !flag.is_boolean()) {
        return Err(parameter(&format!("{path}[opt_out]"), "must be a boolean"));
    }
    let Some(user) = event.get("user_data").and_then(Value::as_object) else {
        return Err(parameter(&format!("{path}[user_data]"), "missing or not an object"));
    };
    examine_user(user, path)?;
    if source == "website" {
        examine_website(event, user, path)?;
    }
    if name == "Purchase" {
        examine_purchase(event, path)?;
    }
    Ok(())
}

fn examine_time(event: &Map<String, Value>, source: &str, path: &str, now: u64) -> Result<(), Refusal> {
    let Some(time) = event.get("event_time").and_then(Value::as_u64) else {
        return Err(parameter(&format!("{path}[event_time]"), "missing or not an integer in seconds"));
    };
    if time > now.saturating_add(DAY) {
        return Err(parameter(&format!("{path}[event_time]"), "lies in the future; seconds are wanted"));
    }
    let oldest = if source == "physical_store" { 62 * DAY } else { 7 * DAY };
    if now.saturating_sub(time) > oldest {
        return Err(wrong(2_804_003, format!("{path}[event_time]: the timestamp is too old; at most {} days", oldest / DAY)));
    }
    Ok(())
}

fn examine_website(event: &Map<String, Value>, user: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let url = event.get("event_source_url").and_then(Value::as_str).unwrap_or_default();
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(parameter(&format!("{path}[event_source_url]"), "required for website events"));
    }
    if user.get("client_user_agent").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(parameter(&format!("{path}[user_data][client_user_agent]"), "required for website events"));
    }
    Ok(())
}

fn examine_purchase(event: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let custom = event.get("custom_data").and_then(Value::as_object);
    let value = custom.and_then(|custom| custom.get("value"));
    let number = value.and_then(Value::as_f64).or_else(|| value.and_then(Value::as_str).and_then(|text| text.parse().ok()));
    if number.is_none_or(|number| !number.is_finite() || number < 0.0) {
        return Err(wrong(2_804_009, format!("{path}[custom_data][value]: a Purchase needs a value")));
    }
    let currency = custom.and_then(|custom| custom.get("currency")).and_then(Value::as_str).unwrap_or_default();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(parameter(&format!("{path}[custom_data][currency]"), "a Purchase needs an ISO 4217 currency"));
    }
    Ok(())
}

fn examine_user(user: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let mut present = Vec::new();
    for (key, value) in user {
        let here = format!("{path}[user_data][{key}]");
        let hashed = HASHED.contains(&key.as_str());
        if !hashed && !PLAIN.contains(&key.as_str()) {
            return Err(parameter(&here, "unexpected parameter"));
        }
        let texts = texts(value).ok_or_else(|| parameter(&here, "must be a string or a list of strings"))?;
        if hashed && !texts.iter().all(|text| is_digest(text)) {
            return Err(invalid(format!("(#100) Invalid parameter: {here} must be hashed with SHA-256")));
        }
        if texts.iter().any(|text| !text.is_empty()) {
            examine_plain(key, &texts, &here)?;
            present.push(key.as_str());
        }
    }
    if TOO_LITTLE.iter().any(|little| present.iter().all(|key| little.contains(key))) {
        return Err(wrong(2_804_050, format!("{path}[user_data]: not enough customer information to match a person")));
    }
    Ok(())
}

fn examine_plain(key: &str, texts: &[String], here: &str) -> Result<(), Refusal> {
    let all = |good: fn(&str) -> bool| texts.iter().all(|text| good(text));
    match key {
        "fbc" if !all(is_click_id) => Err(wrong(2_804_001, format!("{here}: malformed fbc"))),
        "fbp" if !all(is_click_id) => Err(parameter(here, "malformed fbp")),
        "client_ip_address" if !all(|text| text.parse::<IpAddr>().is_ok()) => Err(parameter(here, "not an IP address")),
        "lead_id" if !all(|text| text.bytes().all(|byte| byte.is_ascii_digit())) => {
            Err(wrong(2_804_036, format!("{here}: malformed lead id")))
        }
        _ => Ok(()),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::Bool(_) | Value::Object(_) => None,
    }
}

/// SHA-256 in lower-case hex, with the param builder's suffix of 2 or 8 characters if there is one.
fn is_digest(text: &str) -> bool {
    let (digest, suffix) = text.split_once('.').map_or((text, None), |(digest, suffix)| (digest, Some(suffix)));
    let hex = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex && suffix.is_none_or(|suffix| matches!(suffix.len(), 2 | 8) && suffix.bytes().all(is_url_safe))
}

/// `fb.<index>.<creation time in milliseconds>.<payload>`, perhaps with the param builder's fifth part.
fn is_click_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let digits = |part: &str, least: usize| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit());
    let payload = |part: &str| !part.is_empty() && part.bytes().all(is_url_safe);
    match parts.as_slice() {
        ["fb", index, time, rest] => digits(index, 1) && digits(time, 13) && payload(rest),
        ["fb", index, time, rest, suffix] => {
            digits(index, 1) && digits(time, 13) && payload(rest) && matches!(suffix.len(), 2 | 8) && payload(suffix)
        }
        _ => false,
    }
}

fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
