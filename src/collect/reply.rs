//! Answers of both doors and the one table that turns refusals into them. Must not know events.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ALLOW;
use http::header::CACHE_CONTROL;
use http::header::CONNECTION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use http::header::VARY;
use http_body_util::Full;
use serde_json::Value;
use serde_json::json;

use crate::event::parse::ParseError;
use crate::spool::SpoolError;

/// Why a post is refused; nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The label of the metric, and the tag's `error`.
    pub(super) reason: &'static str,
    pub(super) code: u32,
    pub(super) subcode: Option<u32>,
    pub(super) message: String,
    /// Seconds after which it may be tried again, where trying again is of use.
    pub(super) retry_after: Option<u64>,
}

/// The type of every answer of both doors.
const GRAPH_TYPE: &str = "application/json; charset=utf-8";
/// How long a sender waits where nothing says it better: a full spool empties within seconds once its destination answers.
const PAUSE: u64 = 30;

impl Refusal {
    pub(super) fn new(status: u16, reason: &'static str, code: u32, message: impl Into<String>) -> Self {
        let retry_after = matches!(status, 429 | 503).then_some(PAUSE);
        Self { status, reason, code, subcode: None, message: message.into(), retry_after }
    }

    pub(super) fn to_tag(&self) -> Response<Full<Bytes>> {
        self.finish(json(self.status, &json!({ "ok": false, "error": self.reason })))
    }

    fn error(&self, trace: &str) -> Value {
        // As Graph sorts them: an object or method that is not there, and everything else.
        let kind = if self.subcode == Some(33) || self.status == 405 { "GraphMethodException" } else { "OAuthException" };
        let mut error = json!({
            "message": self.message, "type": kind, "code": self.code,
            "is_transient": matches!(self.status, 408 | 429 | 503), "fbtrace_id": trace,
        });
        if let (Some(subcode), Some(fields)) = (self.subcode, error.as_object_mut()) {
            fields.insert("error_subcode".to_owned(), Value::from(subcode));
        }
        json!({ "error": error })
    }

    /// The answer as Meta's SDKs need it: anything else makes them crash instead of raising their own error.
    pub(super) fn to_graph(&self, trace: &str) -> Response<Full<Bytes>> {
        let mut answer = self.finish(json(self.status, &self.error(trace)));
        // What is left of the body is not read, so that the connection cannot be used again.
        if matches!(self.status, 408 | 413) || self.reason == "body_broken" {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == 405 {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }

    /// The same as bytes on the wire, for a connection that is refused before there is a request to answer.
    pub(super) fn to_wire(&self, trace: &str) -> Bytes {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let after = self.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        let body = self.error(trace).to_string();
        let length = body.len();
        Bytes::from(format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {GRAPH_TYPE}\r\ncache-control: no-store\r\n\
             {after}content-length: {length}\r\n\r\n{body}"
        ))
    }

    fn finish(&self, mut answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        let message = format!("(#100) {error}");
        Self { subcode: Some(error.subcode), ..Self::new(400, "invalid_event", 100, message) }
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        let reason = if matches!(error, SpoolError::Full(_)) { "spool_full" } else { "spool" };
        Self::new(503, reason, 2, "the event could not be stored; send it again later")
    }
}

/// A JSON answer that no cache keeps.
pub(super) fn json(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRAPH_TYPE));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// No content, for nobody's index.
pub(super) fn nothing() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    answer
}

/// A script of the tag.
pub(super) fn script(body: Bytes, is_gzip: bool, versioned: bool) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    let cache = if versioned { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if is_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}
