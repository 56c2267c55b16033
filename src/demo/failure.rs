//! The ways in which the mock Graph API fails when it is told to, and what each looks like on the wire.
//! Must not know what is done about them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;
use serde_json::json;

use crate::demo::refusals::Refusal;

/// How long a request hangs when the mock is told to time out; longer than any sensible client waits.
const HANG: Duration = Duration::from_mins(2);
/// The pause between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(500);
/// Bytes of an answer that is far too long.
const HUGE: usize = 1 << 20;

/// A way to fail, for the next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// HTTP 500 with an HTML page.
    ServerError,
    /// HTTP 502 with an HTML page, as a machine in between says it.
    BadGateway,
    /// HTTP 200 with an HTML page, as a network's sign-in page does.
    NoJson,
    /// No answer within two minutes.
    TimeOut,
    /// A head, and then a byte of the body from time to time, for longer than anybody waits.
    Drip,
    /// A success whose body ends before its length.
    Truncated,
    /// A success whose body is a mebibyte long.
    Huge,
    /// HTTP 307 to another path of the mock, which would be seen as a request more.
    Redirect,
    /// The connection is reset without an answer.
    Reset,
    /// Takes the events, then resets the connection: the sender cannot know.
    LostAnswer,
    /// Code 80004 and usage headers that ask for this many minutes of rest.
    Throttle(u32),
    /// Code 190 subcode 463: the token has expired.
    DeadToken,
    /// HTTP 400 with this `error.code`.
    Code(u32),
}

/// The connection is to be closed without an answer, or in the middle of one.
#[derive(Debug, thiserror::Error)]
#[error("connection cut as told")]
pub(super) struct Cut;

/// An answer whose body may be cut.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Cut>>;

/// Fails without a look at the request. [`Failure::LostAnswer`] looks like a reset here.
pub(super) async fn answer(failure: Failure, trace: &str) -> Result<Answer, Cut> {
    Ok(match failure {
        Failure::ServerError => page(500, "<html><body>Sorry, something went wrong.</body></html>"),
        Failure::BadGateway => page(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        Failure::NoJson => page(200, "<!doctype html><title>Sign in to the network</title>"),
        Failure::TimeOut => {
            tokio::time::sleep(HANG).await;
            return Err(Cut);
        }
        Failure::Drip => {
            let bytes = stream::iter(0..).then(|_: u64| async {
                tokio::time::sleep(DRIP).await;
                Ok(Frame::data(Bytes::from_static(b" ")))
            });
            started(StreamBody::new(bytes).boxed_unsync())
        }
        Failure::Truncated => {
            let head = Ok(Frame::data(Bytes::from_static(b"{\"events_rec")));
            let mut cut = started(StreamBody::new(stream::iter([head, Err(Cut)])).boxed_unsync());
            cut.headers_mut().insert("content-length", HeaderValue::from_static("500"));
            cut
        }
        Failure::Huge => json_answer(200, &json!({ "messages": ["x".repeat(HUGE)], "events_received": 1 })),
        Failure::Redirect => {
            let mut answer = page(307, "");
            answer.headers_mut().insert("location", HeaderValue::from_static("/elsewhere"));
            answer
        }
        Failure::Reset | Failure::LostAnswer => return Err(Cut),
        Failure::Throttle(minutes) => throttled(minutes, trace),
        Failure::DeadToken => {
            let refusal = Refusal::lasting(401, 190, Some(463), "Error validating access token: Session has expired");
            json_answer(401, &refusal.body(trace))
        }
        Failure::Code(code) => json_answer(400, &Refusal::lasting(400, code, None, "As the mock was told").body(trace)),
    })
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    let mut answer = page(status, &body.to_string());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json; charset=UTF-8"));
    answer
}

fn page(status: u16, text: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// A success of which nobody knows yet how it ends.
fn started(body: UnsyncBoxBody<Bytes, Cut>) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json; charset=UTF-8"));
    answer
}

fn throttled(minutes: u32, trace: &str) -> Answer {
    let refusal = Refusal {
        transient: true,
        ..Refusal::lasting(
            400,
            80_004,
            Some(2_446_079),
            "There have been too many calls to this ad-account. Wait a bit and try again.",
        )
    };
    let usage = json!({ "1": [{
        "type": "ads_management", "call_count": 100, "total_cputime": 25, "total_time": 25,
        "estimated_time_to_regain_access": minutes, "ads_api_access_tier": "standard_access",
    }] });
    let mut answer = json_answer(400, &refusal.body(trace));
    if let Ok(value) = usage.to_string().parse() {
        answer.headers_mut().insert("x-business-use-case-usage", value);
    }
    answer
}
