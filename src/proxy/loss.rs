//! What became of a request that got no answer: whose fault it is, and whether it may be sent again. Must not know
//! connections.

use http::Method;
use http::Request;
use http_body::Body;

use crate::proxy::body::BodyError;
use crate::proxy::body::VisitorBody;
use crate::proxy::reply::Kind;

/// How sending failed.
pub(super) enum Failure {
    /// Not a byte went out; here is the request again.
    Unsent(Box<Request<VisitorBody>>),
    /// It went out, and the shop said that it did not look at it.
    Refused,
    /// The connection broke before there was an answer.
    Unanswered(Kind),
    /// It was sent, and what came is no use.
    Lost(Kind),
}

/// Why a server gave no answer, and whether another may be asked.
#[derive(Debug)]
pub enum Missed {
    /// The request was never sent, or is safe to repeat; here it is.
    Unsent(Kind, Box<Request<VisitorBody>>),
    /// It was sent, and the connection broke before there was an answer.
    Unanswered(Kind),
    /// It was sent, and what came is no use.
    Lost(Kind),
}

impl Missed {
    /// What the visitor is told where nobody else is asked.
    pub fn kind(&self) -> Kind {
        let (Self::Unsent(kind, _) | Self::Unanswered(kind) | Self::Lost(kind)) = self;
        *kind
    }
}

impl From<Kind> for Missed {
    /// Where the request is gone: to a server that was never reached it was not sent.
    fn from(kind: Kind) -> Self {
        if matches!(kind, Kind::Unreachable | Kind::Distrusted) { Self::Unanswered(kind) } else { Self::Lost(kind) }
    }
}

/// The same request once more, if it is safe and has no body.
pub(super) fn repeated(request: &Request<VisitorBody>) -> Option<Request<VisitorBody>> {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) && request.body().is_end_stream();
    safe.then(|| {
        let mut again = Request::new(request.body().none_like());
        request.method().clone_into(again.method_mut());
        request.uri().clone_into(again.uri_mut());
        request.headers().clone_into(again.headers_mut());
        again
    })
}

/// Sorts a failure of sending after which the request is gone.
pub(super) fn lost(error: &hyper::Error) -> Failure {
    let broke = error.is_incomplete_message() || error.is_closed() || error.is_canceled() || is_io(error);
    let kind = blame(error);
    if broke && kind == Kind::Broken { Failure::Unanswered(kind) } else { Failure::Lost(kind) }
}

fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// Whether the door stopped reading a body since its trailers have no end.
fn is_too_large(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::FileTooLarge)
}

/// Whose fault it is that a request was lost.
fn blame(error: &hyper::Error) -> Kind {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<BodyError>() {
            Some(BodyError::Stalled) => return Kind::BodyStalled,
            Some(BodyError::Cut(cause)) if is_too_large(cause) => return Kind::FieldsTooLarge,
            Some(BodyError::Cut(_) | BodyError::Reset(_)) => return Kind::BadRequest,
            Some(BodyError::Page(_) | BodyError::Lost) | None => cause = error.source(),
        }
    }
    tracing::debug!(%error, "upstream broke off");
    Kind::Broken
}
