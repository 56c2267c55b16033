//! The one place that turns trouble into an answer: a small page that says what happened and gives nothing away.
//! Must not know how the trouble came about.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use prometheus_client::metrics::counter::Counter;

use crate::proxy::body::ProxyBody;
use crate::telemetry::Metrics;

macro_rules! kinds {
    ($($kind:ident = $name:literal, $status:ident, $says:literal, $close:literal;)+) => {
        /// Why a request is answered by us.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $says] $kind,)+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The name used in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// The status of the answer.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// Whether the connection is closed after the answer, as what follows on it cannot be trusted.
            fn closes(self) -> bool {
                match self { $(Self::$kind => $close,)+ }
            }

            fn page(self) -> Bytes {
                match self { $(Self::$kind => Bytes::from_static(concat!(
                    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>", $says,
                    "</title></head><body><h1>", $says, "</h1></body></html>\n").as_bytes()),)+ }
            }
        }
    };
}

kinds! {
    BadRequest = "bad_request", BAD_REQUEST, "The request was not understood.", true;
    NotFound = "not_found", NOT_FOUND, "There is nothing here.", false;
    MethodRefused = "method_refused", METHOD_NOT_ALLOWED, "The method is not allowed here.", false;
    TunnelRefused = "tunnel_refused", METHOD_NOT_ALLOWED, "There is no tunnel here.", true;
    BodyStalled = "body_stalled", REQUEST_TIMEOUT, "The request did not arrive in time.", true;
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The request is too large.", true;
    ExpectationUnmet = "expectation_unmet", EXPECTATION_FAILED, "The request expects what is not known here.", true;
    FieldsTooLarge = "fields_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The request says too much of itself.", true;
    TargetTooLong = "target_too_long", URI_TOO_LONG, "The address is too long.", true;
    UnknownHost = "unknown_host", MISDIRECTED_REQUEST, "There is no shop of this name here.", false;
    Unreachable = "unreachable", BAD_GATEWAY, "The shop cannot be reached at the moment.", false;
    Distrusted = "distrusted", BAD_GATEWAY, "The shop cannot be reached safely at the moment.", false;
    Broken = "broken", BAD_GATEWAY, "The shop gave no proper answer.", false;
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "The shop is busy. Please try again in a moment.", true;
    QueueFull = "queue_full", SERVICE_UNAVAILABLE, "The shop is busy. Please try again in a moment.", false;
    QueueLate = "queue_late", SERVICE_UNAVAILABLE, "The shop is busy. Please try again in a moment.", false;
    Silent = "silent", GATEWAY_TIMEOUT, "The shop did not answer in time.", false;
}

/// The answer to a request that met trouble; `without_body` for `HEAD`.
pub fn answer(kind: Kind, without_body: bool) -> Response<ProxyBody> {
    let page = kind.page();
    let length = HeaderValue::from(page.len());
    let mut response = Response::new(if without_body { ProxyBody::Empty } else { ProxyBody::full(page) });
    *response.status_mut() = kind.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if kind.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if kind.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if matches!(kind, Kind::MethodRefused | Kind::TunnelRefused) {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    response
}

/// The counters of answers, made once per thread.
#[derive(Clone, Debug)]
pub struct Tally {
    classes: [Counter; 5],
    kinds: Vec<Counter>,
}

impl Tally {
    /// Handles into the process's metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| metrics.requests.with(&[("status", class)])),
            kinds: Kind::ALL.iter().map(|kind| metrics.errors.with(&[("kind", kind.name())])).collect(),
        }
    }

    /// Counts an answer, whoever gave it.
    pub fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
    }

    /// Counts an answer of ours.
    pub fn count_kind(&self, kind: Kind) {
        if let Some(counter) = self.kinds.get(kind as usize) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_head_states_the_length_and_has_no_body() {
        let response = answer(Kind::Unreachable, true);
        assert!(matches!(response.body(), ProxyBody::Empty));
        assert_ne!(response.headers()["content-length"], "0");
    }

    #[test]
    fn no_answer_may_be_stored() {
        for kind in Kind::ALL {
            assert_eq!(answer(*kind, false).headers()["cache-control"], "no-store", "{kind:?}");
        }
    }

    #[test]
    fn each_kind_is_counted_under_its_name() {
        let metrics = Metrics::default();
        Tally::new(&metrics).count_kind(Kind::Silent);
        assert!(metrics.expose().contains("clicksieve_proxy_errors_total{kind=\"silent\"} 1"));
    }
}
