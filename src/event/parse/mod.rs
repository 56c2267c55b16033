//! One Meta event object as a client sends it -> [`Event`], or an error that names the path and carries the Graph API's
//! numbers. Contact data in URLs and custom data is left out and counted. Must not know doors or destinations.

use serde_json::Map;
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::Event;
use crate::event::EventId;
use crate::event::REQUEST;
use crate::event::Source;
use crate::event::user;

mod contact;

pub use contact::clean_custom;
pub use contact::clean_link;

const DAY: u64 = 86_400;
/// A time in seconds from here on lies in the year 5138; in milliseconds it is 1973.
const IN_MILLISECONDS: u64 = 100_000_000_000;
const ACTION_SOURCES: [&str; 9] =
    ["email", "website", "app", "phone_call", "chat", "physical_store", "system_generated", "business_messaging", "other"];
/// Event-level keys that go along as they are; others are dropped, since Meta refuses what it does not know.
const EXTRA: [&str; 12] = [
    "opt_out",
    "data_processing_options",
    "data_processing_options_country",
    "data_processing_options_state",
    "original_event_data",
    "customer_segmentation",
    "attribution_data",
    "app_data",
    "messaging_channel",
    "advanced_measurement_table",
    "is_app_install",
    "referrer_url",
];

/// Why an event is refused, as the Graph API words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct ParseError {
    /// Where, such as `data[0].event_time`.
    pub path: String,
    /// What is wrong; never a value that could be personal.
    pub what: &'static str,
    /// `error.error_subcode` beside code 100.
    pub subcode: u32,
}

/// An event and what was left out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The event.
    pub event: Event,
    /// Contact-like parameters and keys removed from URLs and custom data.
    pub stripped: u32,
    /// Unknown keys and unusable values of user data.
    pub unusable: u32,
}

/// Reads one event object; `path` is its place in the request. A time ahead of `now` becomes `now`, one older than
/// 7 days (62 for `physical_store`) is refused, as Meta refuses the whole request for it.
pub fn parse(
    value: &Value,
    path: &str,
    source: Source,
    now: UnixMillis,
    settings: &user::Settings,
) -> Result<Parsed, ParseError> {
    let wrong = |field: &str, what, subcode| ParseError { path: format!("{path}{field}"), what, subcode };
    let parameter = |field: &str, what| wrong(field, what, 2_804_019);
    let object = value.as_object().ok_or_else(|| parameter("", "must be an object"))?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("event_name").filter(|name| name.chars().count() <= 50 && !name.chars().any(char::is_control));
    let name = name.ok_or_else(|| parameter(".event_name", "must be a text of 1 to 50 characters"))?;
    let action_source = text("action_source").filter(|source| ACTION_SOURCES.contains(source));
    let action_source = action_source.ok_or_else(|| parameter(".action_source", "missing or not one that Meta knows"))?;
    let time = event_time(object, action_source, now).map_err(|(what, subcode)| wrong(".event_time", what, subcode))?;
    let id = match object.get("event_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return Err(parameter(".event_id", "must be a text")),
    };
    let id = match id {
        None => None,
        Some(id) => {
            Some(EventId::parse(&id).ok_or_else(|| parameter(".event_id", "must be 1 to 128 bytes without control characters"))?)
        }
    };
    let empty = Map::new();
    let optional = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(&empty),
        Some(Value::Object(fields)) => Ok(fields),
        // An object without fields as PHP writes it.
        Some(Value::Array(items)) if items.is_empty() => Ok(&empty),
        Some(_) => Err(parameter(&format!(".{key}"), "must be an object")),
    };
    let cleaned = user::clean(optional("user_data")?, settings);
    let mut stripped = 0;
    let mut custom_data = clean_custom(optional("custom_data")?, &mut stripped);
    // The same order is a text in the browser's half.
    if let Some(order @ Value::Number(_)) = custom_data.get_mut("order_id") {
        *order = Value::String(order.to_string());
    }
    if name == "Purchase" && !has_amount(&custom_data) {
        return Err(wrong(".custom_data", "a Purchase needs `value` and `currency`", 2_804_009));
    }
    let source_url = text("event_source_url").map(|url| clean_link(url, &mut stripped));
    let event = Event {
        name: name.to_owned(),
        time,
        id,
        source,
        action_source: action_source.to_owned(),
        source_url,
        user_data: cleaned.user_data,
        custom_data,
        extra: extra(object, &mut stripped),
        request: Map::new(),
    };
    Ok(Parsed { event, stripped, unusable: cleaned.unknown.saturating_add(cleaned.refused) })
}

fn event_time(object: &Map<String, Value>, action_source: &str, now: UnixMillis) -> Result<u64, (&'static str, u32)> {
    let time = match object.get("event_time") {
        Some(Value::Number(number)) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Some(Value::String(text)) => text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(whole)),
        _ => None,
    };
    let time = time.ok_or(("must be seconds since 1970", 2_804_019))?;
    if time >= IN_MILLISECONDS {
        return Err(("is in milliseconds; Meta wants seconds since 1970", 2_804_019));
    }
    let oldest = if action_source == "physical_store" { 62 * DAY } else { 7 * DAY };
    if now.seconds().saturating_sub(time) > oldest {
        return Err(("the event is too old; Meta takes 7 days", 2_804_003));
    }
    Ok(time.min(now.seconds()))
}

/// The whole seconds of a time that came with a fraction, as Python's `time.time()` gives it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are looked at before")]
fn whole(time: f64) -> Option<u64> {
    (0.0..=1e15).contains(&time).then_some(time as u64)
}

/// Whether custom data names an amount and its currency.
pub fn has_amount(custom_data: &Map<String, Value>) -> bool {
    value_of(custom_data).is_some()
        && custom_data
            .get("currency")
            .and_then(Value::as_str)
            .is_some_and(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// `custom_data.value` as a number, also where it is written as text.
pub fn value_of(custom_data: &Map<String, Value>) -> Option<f64> {
    let value = custom_data.get("value")?;
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn extra(object: &Map<String, Value>, stripped: &mut u32) -> Map<String, Value> {
    let mut extra = Map::new();
    for (key, value) in object.iter().filter(|(key, value)| EXTRA.contains(&key.as_str()) && !value.is_null()) {
        let value = match value {
            Value::String(link) if key == "referrer_url" => Value::String(clean_link(link, stripped)),
            Value::Object(fields) => Value::Object(clean_custom(fields, stripped)),
            other if key == "opt_out" => Value::Bool(is_true(other)),
            other => other.clone(),
        };
        extra.insert(key.clone(), value);
    }
    extra
}

/// A flag as forms and loosely typed languages write it. What cannot be read is taken as set: it asks for less use of data.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "0" | "false"),
        _ => true,
    }
}

/// The event as the Conversions API takes it, under an id; what its request says stands beside it under [`REQUEST`].
pub fn wire(event: &Event, id: &EventId) -> Map<String, Value> {
    let mut body = event.extra.clone();
    if !event.request.is_empty() {
        body.insert(REQUEST.to_owned(), Value::Object(event.request.clone()));
    }
    body.insert("event_name".to_owned(), Value::from(event.name.as_str()));
    body.insert("event_time".to_owned(), Value::from(event.time));
    body.insert("event_id".to_owned(), Value::from(id.text()));
    body.insert("action_source".to_owned(), Value::from(event.action_source.as_str()));
    if let Some(url) = &event.source_url {
        body.insert("event_source_url".to_owned(), Value::from(url.as_str()));
    }
    body.insert("user_data".to_owned(), Value::Object(event.user_data.clone()));
    if !event.custom_data.is_empty() {
        body.insert("custom_data".to_owned(), Value::Object(event.custom_data.clone()));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: UnixMillis = UnixMillis(1_774_000_000_000);

    fn read(value: &Value) -> Result<Parsed, ParseError> {
        parse(value, "data[0]", Source::Backend, NOW, &user::Settings::default())
    }

    #[test]
    fn each_fault_is_named_with_its_path_and_metas_number() {
        for (event, path, subcode) in [
            (json!([]), "data[0]", 2_804_019),
            (json!({ "event_time": 1 }), "data[0].event_name", 2_804_019),
            (json!({ "event_name": "Lead", "event_time": 1_774_000_000 }), "data[0].action_source", 2_804_019),
            (json!({ "event_name": "Lead", "action_source": "website", "event_time": 1 }), "data[0].event_time", 2_804_003),
            (
                json!({ "event_name": "Purchase", "action_source": "website", "event_time": 1_774_000_000 }),
                "data[0].custom_data",
                2_804_009,
            ),
        ] {
            let error = read(&event).unwrap_err();
            assert_eq!((error.path.as_str(), error.subcode), (path, subcode));
        }
    }

    #[test]
    fn contact_data_in_links_and_custom_data_is_stripped_and_the_rest_kept() {
        let parsed = read(&json!({
            "event_name": "Lead", "action_source": "website", "event_time": 1_999_000_000,
            "event_source_url": "https://shop.example/p?email=a%40b.com&utm_source=x&key=wc_order_1#a@b.com",
            "custom_data": { "email": "a@b.com", "note": "call a@b.com", "colour": "red", "contents": [{ "id": "1", "phone": "1" }] },
        }))
        .unwrap();
        assert_eq!(parsed.event.source_url.as_deref(), Some("https://shop.example/p?utm_source=x"));
        assert_eq!(parsed.event.custom_data, *json!({ "colour": "red", "contents": [{ "id": "1" }] }).as_object().unwrap());
        assert_eq!((parsed.event.time, parsed.stripped), (1_774_000_000, 6));
    }

    #[test]
    fn times_are_taken_as_languages_write_them_and_milliseconds_are_refused() {
        let lead = |time: Value| read(&json!({ "event_name": "Lead", "action_source": "website", "event_time": time }));
        for time in
            [json!(1_773_999_000), json!("1773999000"), json!(" 1773999000 "), json!(1_773_999_000.75), json!("1773999000.2")]
        {
            assert_eq!(lead(time.clone()).unwrap().event.time, 1_773_999_000, "{time}");
        }
        for time in [json!(1_773_999_000_000_u64), json!("1773999000000"), json!(1.773_999_000_5e12)] {
            let error = lead(time).unwrap_err();
            assert_eq!((error.subcode, error.what), (2_804_019, "is in milliseconds; Meta wants seconds since 1970"));
        }
        for time in [json!(null), json!(-1), json!("soon"), json!([1_773_999_000]), json!(f64::MAX)] {
            assert_eq!(lead(time).unwrap_err().what, "must be seconds since 1970");
        }
    }

    #[test]
    fn nulls_are_nothing_and_numbers_are_taken_where_texts_are_meant() {
        let parsed = read(&json!({
            "event_name": "Purchase", "action_source": "website", "event_time": 1_773_999_000, "event_id": 17,
            "event_source_url": null, "opt_out": "false", "data_processing_options": null, "referrer_url": null,
            "user_data": { "external_id": 7, "zp": [94_035, null], "ge": [null], "fbc": "", "client_ip_address": null },
            "custom_data": { "value": "11.50", "currency": "usd", "order_id": 1_001, "contents": [null], "status": null },
        }))
        .unwrap();
        let event = parsed.event;
        assert_eq!((event.id.unwrap().text(), event.source_url), ("17", None));
        assert_eq!(event.extra, *json!({ "opt_out": false }).as_object().unwrap());
        let data = json!({ "external_id": user::digest("7"), "zp": user::digest("94035") });
        assert_eq!(event.user_data, *data.as_object().unwrap());
        let custom = json!({ "value": "11.50", "currency": "usd", "order_id": "1001", "contents": [] });
        assert_eq!(event.custom_data, *custom.as_object().unwrap());
        assert_eq!((parsed.stripped, parsed.unusable), (0, 0));
    }

    #[test]
    fn an_empty_list_is_an_object_without_fields_and_a_full_one_is_none() {
        let lead = |key: &str, value: Value| {
            let mut event = json!({ "event_name": "Lead", "action_source": "website", "event_time": 1_773_999_000 });
            event[key] = value;
            read(&event)
        };
        assert!(lead("custom_data", json!([])).is_ok() && lead("user_data", json!([])).is_ok());
        assert_eq!(lead("custom_data", json!([1])).unwrap_err().path, "data[0].custom_data");
    }

    #[test]
    fn what_a_param_builder_appends_to_links_and_hashes_stays() {
        let url = "https://www.shop.example/p?fbclid=AbC.AQICAQMC";
        let hash = format!("{}.AQICAQMC", user::digest("a@b.com"));
        let parsed = read(&json!({
            "event_name": "Lead", "action_source": "website", "event_time": 1_773_999_000, "event_source_url": url,
            "referrer_url": url, "user_data": { "em": hash, "ph": format!("{}.AQ", user::digest("1")) },
        }));
        let event = parsed.unwrap().event;
        assert_eq!((event.source_url.as_deref(), &event.extra["referrer_url"]), (Some(url), &json!(url)));
        assert_eq!((&event.user_data["em"], event.user_data["ph"].as_str().unwrap().len()), (&json!(hash), 67));
    }

    proptest! {
        #[test]
        fn no_json_makes_reading_panic(name in "\\PC{0,60}", url in "\\PC{0,80}", id in "\\PC{0,20}", time in any::<i64>()) {
            let _ = read(&json!({ "event_name": name, "action_source": "website", "event_time": time, "event_id": id, "event_source_url": url }));
        }
    }
}
