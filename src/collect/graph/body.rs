//! The forms in which Graph clients send one request, read into one: a JSON object, a urlencoded form, a multipart form;
//! in a form `data` is JSON text. Bounded in bytes, fields and names, also after unpacking. The shown keys are read before
//! the events are, so that nobody without a key has a tree of values built. Must not know keys or events.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::stream;
use http::HeaderMap;
use http::HeaderName;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use multer::Constraints;
use multer::Multipart;
use multer::SizeLimit;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Map;
use serde_json::Value;

use crate::collect::Body;
use crate::collect::reply::Refusal;

const MOST_EVENTS: usize = 1_000;
/// Fields of a form: one for each of 1,000 events, as clients that repeat `data` send them, and some more.
const MOST_FIELDS: usize = 1_100;
/// The longest name of a form's field that is looked at; those we know have at most 15 bytes.
const LONGEST_NAME: usize = 64;
/// The longest request-level value of a form that is kept.
const LONGEST_TEXT: usize = 1_024;
/// The fields in which a key may be shown: Meta's own, and the gateway form's.
const KEYS: [&str; 2] = ["access_token", "accessKey"];

/// One request's body in whichever form it came. Holds keys and raw contact data, so it has no `Debug`.
pub(in crate::collect) enum Posted {
    /// A JSON object, not yet read but for its keys.
    Json(Bytes, Vec<String>),
    /// The fields of a form in their order.
    Form(Vec<(String, String)>),
}

/// What a request holds once its key is known to fit. Holds raw contact data, so it has no `Debug`.
pub(in crate::collect) struct Request {
    /// The events, each as it came.
    pub(in crate::collect) events: Vec<Value>,
    /// The other fields by name.
    pub(in crate::collect) fields: Map<String, Value>,
}

/// Reads a body that came in whole; `limit` bounds it after unpacking.
pub(in crate::collect) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Posted, Refusal> {
    let bytes = match body {
        Body::Whole(bytes) if bytes.len() <= limit => unpack(headers, bytes, limit)?,
        Body::Whole(_) | Body::TooLarge => return Err(too_large()),
        Body::Stalled => return Err(Refusal::new(408, "body_stalled", 2, "the request did not arrive in time")),
        Body::Broken => return Err(wrong("body_broken", "the body broke off")),
    };
    // Some Windows clients put a byte-order mark before JSON (RFC 8259 section 8.1 lets us ignore it).
    let bytes = if bytes.starts_with(b"\xef\xbb\xbf") { bytes.slice(3..) } else { bytes };
    let kind = text(headers, &CONTENT_TYPE);
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        // No form of ours begins so, whatever the sender says it is.
        Some(b'{') => {
            let keys = serde_json::from_slice::<Shown>(&bytes).map_err(|_| no_json())?.keys();
            Ok(Posted::Json(bytes, keys))
        }
        _ if essence == "multipart/form-data" => multipart(kind, bytes, limit).await,
        None => Err(wrong("empty_body", "the body is empty")),
        Some(_) if essence.ends_with("json") => Err(no_json()),
        Some(b'[' | b'"') => Err(no_json()),
        Some(_) => urlencoded(&bytes),
    }
}

impl Posted {
    /// The keys that the body shows.
    pub(in crate::collect) fn keys(&self) -> impl Iterator<Item = &str> {
        let (json, form) = match self {
            Self::Json(_, keys) => (keys.as_slice(), [].as_slice()),
            Self::Form(fields) => ([].as_slice(), fields.as_slice()),
        };
        let form = form.iter().filter(|(name, _)| KEYS.contains(&name.as_str())).map(|(_, value)| value.as_str());
        json.iter().map(String::as_str).chain(form)
    }

    /// Reads the events and what else the request says.
    pub(in crate::collect) fn request(self) -> Result<Request, Refusal> {
        match self {
            Self::Json(bytes, _) => {
                let mut fields: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| no_json())?;
                let data = fields.remove("data").unwrap_or_default();
                let data = if let Value::String(text) = data { vec![parsed(&text)?] } else { vec![data] };
                Ok(Request { events: events(data)?, fields })
            }
            Self::Form(form) => {
                let mut data = Vec::new();
                let mut fields = Map::new();
                for (name, value) in form {
                    if name == "data" {
                        data.push(parsed(&value)?);
                    } else if value.len() <= LONGEST_TEXT {
                        fields.insert(name, Value::String(value));
                    }
                }
                Ok(Request { events: events(data)?, fields })
            }
        }
    }
}

/// The events of all `data` fields. A single field must be a list, as Graph wants it; a field for each event comes from
/// HTTP libraries that are given the Python SDK's parameters and spread the list.
fn events(data: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    let mut found = Vec::new();
    let alone = data.len() == 1;
    for value in data {
        match value {
            Value::Array(items) => found.extend(items),
            Value::Object(_) if !alone => found.push(value),
            Value::Null => return Err(wrong("invalid_event", "data: the parameter is required")),
            _ => return Err(wrong("invalid_event", "data: must be an array")),
        }
    }
    if found.is_empty() || found.len() > MOST_EVENTS {
        return Err(wrong("invalid_event", "data: must hold 1 to 1000 events"));
    }
    for (at, event) in found.iter_mut().enumerate() {
        if let Value::String(text) = event {
            let read = serde_json::from_str(text);
            *event = read.map_err(|_| wrong("invalid_event", format!("data[{at}]: must be an object or its JSON text")))?;
        }
    }
    Ok(found)
}

fn parsed(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| wrong("invalid_event", "data: must be JSON"))
}

/// Unpacks a body that came packed; only gzip is taken, as no SDK packs at all.
fn unpack(headers: &HeaderMap, bytes: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let coding = text(headers, &CONTENT_ENCODING).trim().to_ascii_lowercase();
    match coding.as_str() {
        "" | "identity" => Ok(bytes),
        "gzip" | "x-gzip" => {
            let mut plain = Vec::new();
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            let unpacked = MultiGzDecoder::new(bytes.as_ref()).take(most).read_to_end(&mut plain);
            match unpacked {
                Ok(size) if size > limit => Err(too_large()),
                Ok(_) => Ok(Bytes::from(plain)),
                Err(_) => Err(wrong("coding", "the body is not the gzip it says it is")),
            }
        }
        _ => Err(Refusal::new(415, "coding", 100, "(#100) the body may be sent plain or with `Content-Encoding: gzip`")),
    }
}

fn urlencoded(bytes: &[u8]) -> Result<Posted, Refusal> {
    let mut fields = Vec::new();
    for (name, value) in url::form_urlencoded::parse(bytes) {
        put(&mut fields, &name, value)?;
    }
    Ok(Posted::Form(fields))
}

async fn multipart(kind: &str, bytes: Bytes, limit: usize) -> Result<Posted, Refusal> {
    let broken = |_: multer::Error| wrong("not_multipart", "the multipart body cannot be read");
    let boundary = multer::parse_boundary(kind).map_err(broken)?;
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let bounds = Constraints::new().size_limit(SizeLimit::new().whole_stream(limit).per_field(limit));
    let whole = stream::once(std::future::ready(Ok::<_, Infallible>(bytes)));
    let mut parts = Multipart::with_constraints(whole, boundary, bounds);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        let value = part.bytes().await.map_err(broken)?;
        put(&mut fields, &name, String::from_utf8_lossy(&value))?;
    }
    Ok(Posted::Form(fields))
}

fn put(fields: &mut Vec<(String, String)>, name: &str, value: Cow<'_, str>) -> Result<(), Refusal> {
    if fields.len() >= MOST_FIELDS {
        return Err(wrong("too_many_fields", "too many fields"));
    }
    if name.len() <= LONGEST_NAME {
        fields.push((name.to_owned(), value.into_owned()));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn wrong(reason: &'static str, what: impl fmt::Display) -> Refusal {
    Refusal::new(400, reason, 100, format!("(#100) {what}"))
}

fn no_json() -> Refusal {
    wrong("not_json", "the body must be a JSON object or a form")
}

fn too_large() -> Refusal {
    // Not code 1, which clients take for trouble that passes.
    Refusal::new(413, "body_too_large", 100, "(#100) the request is too large; send fewer events at once")
}

/// The keys of a JSON body; everything else is passed over without being kept.
#[derive(Deserialize)]
struct Shown {
    access_token: Option<Key>,
    #[serde(rename = "accessKey")]
    access_key: Option<Key>,
}

/// A key, or something that cannot be one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Text(String),
    Other(IgnoredAny),
}

impl Shown {
    fn keys(self) -> Vec<String> {
        let text = |key| if let Key::Text(text) = key { Some(text) } else { None };
        [self.access_token, self.access_key].into_iter().flatten().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read_as(kind: &'static str, bytes: Vec<u8>) -> Result<Request, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read(&headers, Body::Whole(Bytes::from(bytes)), 10_000))?.request()
    }

    #[test]
    fn fields_are_bounded_in_number_and_unknown_long_names_are_passed_over() {
        let event = "data=%5B%7B%7D%5D";
        let many = "a=1&".repeat(MOST_FIELDS);
        assert_eq!(
            read_as("application/x-www-form-urlencoded", format!("{many}{event}").into()).err().unwrap().reason,
            "too_many_fields"
        );
        let long = format!("{}=1&{event}", "n".repeat(LONGEST_NAME + 1));
        let request = read_as("application/x-www-form-urlencoded", long.into()).ok().unwrap();
        assert_eq!((request.events.len(), request.fields.len()), (1, 0));
    }

    #[test]
    fn events_that_are_texts_in_a_text_are_read_once_and_no_deeper() {
        let twice = serde_json::json!({ "data": serde_json::json!([r#"{"a":1}"#]).to_string() }).to_string();
        assert_eq!(read_as("", twice.into()).ok().unwrap().events, [serde_json::json!({ "a": 1 })]);
        let deeper = serde_json::json!({ "data": [r#""{}""#] }).to_string();
        assert_eq!(read_as("", deeper.into()).ok().unwrap().events, [serde_json::json!("{}")]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(
            kind in prop::sample::select(vec!["", "application/json", "text/plain", "multipart/form-data; boundary=x", "multipart/form-data"]),
            start in prop::sample::select(vec!["", "{\"data\":", "data=", "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = read_as(kind, [start.as_bytes(), &rest].concat());
        }
    }
}
