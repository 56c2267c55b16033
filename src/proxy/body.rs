//! Bodies on their way: the visitor's towards the shop, and what the visitor gets. Both stream, both stand still only
//! so long. Must not know what is in them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::Full;
use hyper::body::Incoming;

use crate::inject;
use crate::inject::GzipFault;
use crate::inject::InjectBody;
use crate::proxy::answer::UpstreamBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::proxy::trailers;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The other side broke off or broke the rules.
    #[error("the body was cut off")]
    Cut(#[source] hyper::Error),
    /// The other side gave it up: its stream was reset before its end.
    #[error("the body was given up")]
    Reset(#[source] h2::Error),
    /// The shop gave up its answer, for reasons that are not the visitor's: some would read as a clean end, or as leave to ask
    /// once more.
    #[error("the shop gave up its answer")]
    Lost,
    /// It stood still for too long.
    #[error("the body stood still")]
    Stalled,
    /// The shop's page is not what its coding says.
    #[error("the page's coding is broken")]
    Page(#[source] GzipFault),
}

impl BodyError {
    /// The word for a body that nobody will complete (RFC 9113 section 7, `CANCEL`).
    pub(super) fn given_up() -> Self {
        Self::Reset(h2::Reason::CANCEL.into())
    }
}

/// A visitor's request body. Each piece that comes gives the shop new time to answer.
#[derive(Debug)]
pub struct VisitorBody {
    incoming: Option<Incoming>,
    connection: Arc<ConnectionState>,
    progress: Duration,
    first_byte: Duration,
    /// It came over a stream of HTTP/2.
    stream: bool,
}

impl VisitorBody {
    /// The body of a request of some version that came over `connection`.
    pub fn new(
        incoming: Incoming,
        version: Version,
        connection: Arc<ConnectionState>,
        progress: Duration,
        first_byte: Duration,
    ) -> Self {
        Self { incoming: Some(incoming), connection, progress, first_byte, stream: version == Version::HTTP_2 }
    }

    /// The body of a request like this one's, which has none.
    #[must_use]
    pub fn none_like(&self) -> Self {
        Self { incoming: None, connection: Arc::clone(&self.connection), ..*self }
    }
}

impl Drop for VisitorBody {
    fn drop(&mut self) {
        self.connection.end(Wait::RequestBody);
    }
}

impl Body for VisitorBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        match Pin::new(&mut *incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                this.connection.end(Wait::RequestBody);
                this.connection.restart(Wait::Answer, this.first_byte);
                Poll::Ready(passed(frame, this.stream.then_some(incoming)))
            }
            Poll::Pending if this.connection.is_over(Wait::RequestBody) => Poll::Ready(Some(Err(BodyError::Stalled))),
            Poll::Pending => {
                this.connection.begin(Wait::RequestBody, this.progress);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A frame as it may cross: without trailers that may not. The HTTP library takes a stream that was given up (`CANCEL`,
/// `NO_ERROR`) for one that has ended; `stream` is the body where it came over one, and knows better.
pub(super) fn passed(
    frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    stream: Option<&Incoming>,
) -> Option<Result<Frame<Bytes>, BodyError>> {
    match frame {
        Some(Ok(frame)) => match frame.into_trailers() {
            Ok(all) => trailers::crossing(all).map(|all| Ok(Frame::trailers(all))),
            Err(data) => Some(Ok(data)),
        },
        Some(Err(error)) => Some(Err(BodyError::Cut(error))),
        None if stream.is_some_and(|body| !body.is_end_stream()) => Some(Err(BodyError::given_up())),
        None => None,
    }
}

/// What a visitor gets.
pub enum ProxyBody {
    /// The shop's bytes as they come.
    Upstream(UpstreamBody),
    /// The shop's page with the snippet put into it.
    Injected(Box<InjectBody<UpstreamBody>>),
    /// Bytes of our own.
    Full(Full<Bytes>),
    /// Nothing.
    Empty,
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Upstream(_) => "Upstream",
            Self::Injected(_) => "Injected",
            Self::Full(_) => "Full",
            Self::Empty => "Empty",
        })
    }
}

impl ProxyBody {
    /// A body of our own.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Full::new(bytes.into()))
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Injected(body) => match std::task::ready!(Pin::new(body.as_mut()).poll_frame(context)) {
                // What the site says of its own bytes does not hold for a page that has more of them.
                Some(Ok(frame)) if frame.is_trailers() => Poll::Ready(None),
                frame => Poll::Ready(frame.map(|frame| {
                    frame.map_err(|error| match error {
                        inject::BodyError::Site(error) => error,
                        inject::BodyError::Gzip(fault) => BodyError::Page(fault),
                    })
                })),
            },
            Self::Full(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Injected(body) => body.is_end_stream(),
            Self::Full(body) => body.is_end_stream(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Injected(body) => body.size_hint(),
            Self::Full(body) => body.size_hint(),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}
