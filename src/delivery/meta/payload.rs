//! The body of one request. Events stand in it byte for byte as the spool holds them. Must not know how it is sent.

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::delivery::Target;

/// Builds request bodies for one target; what stays the same for each request is encoded once.
#[derive(Clone)]
pub(crate) struct Envelope {
    /// All that follows the events: `],"partner_agent":…}`. Holds the token, so it has no `Debug`.
    tail: String,
}

impl Envelope {
    /// The envelope of a target. The token goes in the body, where Meta documents it and no access log writes it; the
    /// proof is the untimed one that Meta's SDKs send (hex HMAC-SHA256 of the token under the app's secret).
    pub(crate) fn new(target: &Target, partner_agent: &str) -> Self {
        let token = target.access_token.expose_secret();
        let mut tail = format!("],\"partner_agent\":{},\"access_token\":{}", quoted(partner_agent), quoted(token));
        if let Some(secret) = &target.app_secret {
            tail.push_str(",\"appsecret_proof\":");
            tail.push_str(&quoted(&proof(secret.expose_secret(), token)));
        }
        if let Some(code) = &target.test_event_code {
            tail.push_str(",\"test_event_code\":");
            tail.push_str(&quoted(code));
        }
        tail.push('}');
        Self { tail }
    }

    /// The body that carries these events.
    pub(crate) fn body<'a>(&self, events: impl Iterator<Item = &'a str>) -> Vec<u8> {
        let mut body = b"{\"data\":[".to_vec();
        for (n, event) in events.enumerate() {
            if n > 0 {
                body.push(b',');
            }
            body.extend_from_slice(event.as_bytes());
        }
        body.extend_from_slice(self.tail.as_bytes());
        body
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
        let body = String::from_utf8(Envelope::new(&target(), "clicksieve").body(events.into_iter())).unwrap();
        assert_eq!(
            body,
            r#"{"data":[{"b": 1.50,  "a":"\u00e9"},{"event_id":"x"}],"partner_agent":"clicksieve","access_token":"to\"ken"}"#
        );
    }

    #[test]
    fn proof_and_test_code_go_along_only_where_they_are_set() {
        let mut target = target();
        target.app_secret = Some(SecretString::from("key"));
        target.access_token = SecretString::from("The quick brown fox jumps over the lazy dog");
        target.test_event_code = Some("TEST1".into());
        let body: Value = serde_json::from_slice(&Envelope::new(&target, "clicksieve").body(std::iter::empty())).unwrap();
        assert_eq!(body["appsecret_proof"], "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
        assert_eq!(body["test_event_code"], "TEST1");
        assert_eq!(body["data"], json!([]));
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
