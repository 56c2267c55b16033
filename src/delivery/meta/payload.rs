//! The body of one request. Events stand in it byte for byte as the spool holds them, but for what their own request said
//! for all its events, which goes into the envelope again. Must not know how it is sent.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use serde_json::Map;
use serde_json::Value;

use crate::delivery::Target;
use crate::event::REQUEST;

/// Builds request bodies for one target; what stays the same for each request is encoded once.
#[derive(Clone)]
pub(crate) struct Envelope {
    /// What follows the events in any case: `],"access_token":…`. Holds the token, so it has no `Debug`.
    tail: String,
    /// What follows where the events' own request did not say otherwise.
    usual: Map<String, Value>,
}

impl Envelope {
    /// The envelope of a target. The token goes in the body, where Meta documents it and no access log writes it; the
    /// proof is the untimed one that Meta's SDKs send (hex HMAC-SHA256 of the token under the app's secret).
    pub(crate) fn new(target: &Target, partner_agent: &str) -> Self {
        let token = target.access_token.expose_secret();
        let mut tail = format!("],\"access_token\":{}", quoted(token));
        if let Some(secret) = &target.app_secret {
            tail.push_str(",\"appsecret_proof\":");
            tail.push_str(&quoted(&proof(secret.expose_secret(), token)));
        }
        let mut usual = Map::new();
        usual.insert("partner_agent".to_owned(), Value::from(partner_agent));
        if let Some(code) = &target.test_event_code {
            usual.insert("test_event_code".to_owned(), Value::from(code.as_str()));
        }
        Self { tail, usual }
    }

    /// The body that carries these events, all of which came with `request`.
    pub(crate) fn body<'a>(&self, events: impl Iterator<Item = &'a str>, request: &Map<String, Value>) -> Vec<u8> {
        let mut body = b"{\"data\":[".to_vec();
        for (n, event) in events.enumerate() {
            if n > 0 {
                body.push(b',');
            }
            body.extend_from_slice(event.as_bytes());
        }
        body.extend_from_slice(self.tail.as_bytes());
        let own = request.iter();
        let usual = self.usual.iter().filter(|(name, _)| !request.contains_key(*name));
        for (name, value) in own.chain(usual) {
            body.extend_from_slice(format!(",{}:{value}", quoted(name)).as_bytes());
        }
        body.push(b'}');
        body
    }
}

/// A stored event as it is sent, and what its request said for all its events.
pub(crate) fn parted(event: &str) -> (Cow<'_, str>, Map<String, Value>) {
    // Nearly all events have nothing of the kind and are sent as they are stored.
    let parsed = event.contains(REQUEST).then(|| serde_json::from_str::<Map<String, Value>>(event).ok()).flatten();
    match parsed.map(|mut fields| (fields.remove(REQUEST), fields)) {
        Some((Some(Value::Object(request)), fields)) => (Cow::Owned(Value::Object(fields).to_string()), request),
        _ => (Cow::Borrowed(event), Map::new()),
    }
}

/// Whether a stored event is one JSON object, so that it cannot break the request around it.
pub(crate) fn is_object(event: &str) -> bool {
    event.starts_with('{') && serde_json::from_str::<IgnoredAny>(event).is_ok()
}

/// The event without one key of its `user_data`; nothing if it has no such key.
pub(crate) fn without(event: &str, key: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(event).ok()?;
    event.get_mut("user_data")?.as_object_mut()?.remove(key)?;
    Some(event.to_string())
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// `appsecret_proof`: lower-case hex of HMAC-SHA256, key = app secret, message = token.
fn proof(secret: &str, token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in hmac::sign(&key, token.as_bytes()).as_ref() {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    fn target() -> Target {
        Target {
            name: "meta".into(),
            pixel_id: "1".into(),
            access_token: SecretString::from("to\"ken"),
            app_secret: None,
            host: "https://graph.facebook.com".parse().unwrap(),
            version: "v26.0".into(),
            test_event_code: None,
        }
    }

    #[test]
    fn events_stand_in_the_body_byte_for_byte() {
        let events = [r#"{"b": 1.50,  "a":"\u00e9"}"#, r#"{"event_id":"x"}"#];
        let body = String::from_utf8(Envelope::new(&target(), "clicksieve").body(events.into_iter(), &Map::new())).unwrap();
        assert_eq!(
            body,
            r#"{"data":[{"b": 1.50,  "a":"\u00e9"},{"event_id":"x"}],"access_token":"to\"ken","partner_agent":"clicksieve"}"#
        );
    }

    #[test]
    fn proof_and_test_code_go_along_only_where_they_are_set() {
        let mut target = target();
        target.app_secret = Some(SecretString::from("key"));
        target.access_token = SecretString::from("The quick brown fox jumps over the lazy dog");
        target.test_event_code = Some("TEST1".into());
        let body: Value =
            serde_json::from_slice(&Envelope::new(&target, "clicksieve").body(std::iter::empty(), &Map::new())).unwrap();
        assert_eq!(body["appsecret_proof"], "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
        assert_eq!(body["test_event_code"], "TEST1");
        assert_eq!(body["data"], json!([]));
    }

    #[test]
    fn what_a_request_said_for_its_events_goes_along_in_place_of_the_usual() {
        let stored = r#"{"event_id":"x","~request":{"test_event_code":"T2","upload_tag":"a\"b"}}"#;
        let (event, request) = parted(stored);
        assert_eq!(event, r#"{"event_id":"x"}"#);
        let target = Target { test_event_code: Some("T1".into()), ..target() };
        let body = Envelope::new(&target, "clicksieve").body(std::iter::once(event.as_ref()), &request);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["test_event_code"], &body["upload_tag"]), (&json!("T2"), &json!("a\"b")));
        assert_eq!((&body["partner_agent"], &body["data"]), (&json!("clicksieve"), &json!([{ "event_id": "x" }])));
    }

    #[test]
    fn a_property_of_that_name_deeper_in_an_event_stays() {
        let stored = r#"{"custom_data":{"~request":{"access_token":"mine"}}}"#;
        assert_eq!(parted(stored), (Cow::Borrowed(stored), Map::new()));
    }

    #[test]
    fn a_key_is_dropped_only_where_it_stands() {
        let event = r#"{"event_id":"x","user_data":{"fbc":"bad","em":["h"]}}"#;
        let repaired: Value = serde_json::from_str(&without(event, "fbc").unwrap()).unwrap();
        assert_eq!(repaired, json!({"event_id":"x","user_data":{"em":["h"]}}));
        assert_eq!(without(event, "lead_id"), None);
        assert_eq!(without("{}", "fbc"), None);
    }

    #[test]
    fn only_one_whole_object_may_stand_in_a_request() {
        assert!(is_object(r#"{"a":1}"#));
        for broken in ["", "[]", "{", r#"{"a":1},{"b":2}"#, "{}]"] {
            assert!(!is_object(broken), "{broken}");
        }
    }
}
