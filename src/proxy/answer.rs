//! The shop's answer on its way: whoever reads it drives the connection it comes over, which goes back to its pool when the
//! answer is complete. Promises: what was cut is told as cut, after what came before it. Must not know how it was asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;

use crate::proxy::body::BodyError;
use crate::proxy::body::passed;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::proxy::multiplex::Guest;
use crate::proxy::servers::Place;
use crate::proxy::upstream::Link;
use crate::proxy::upstream::Upstream;

/// The shop's answer as it comes. It drives the connection it comes over and gives it back when it is complete.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    link: Option<Box<Link>>,
    guest: Option<Guest>,
    home: Upstream,
    visitor: Arc<ConnectionState>,
    failed: Option<BodyError>,
    place: Option<Place>,
}

impl UpstreamBody {
    /// An answer's body. Without `link` and `guest` somebody else drives the connection, or it has ended.
    pub(super) fn new(
        incoming: Incoming,
        link: Option<Box<Link>>,
        guest: Option<Guest>,
        home: Upstream,
        visitor: Arc<ConnectionState>,
    ) -> Self {
        let mut body = Self { incoming, link, guest, home, visitor, failed: None, place: None };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// The server has the request until all of the answer is there.
    #[must_use]
    pub(super) fn hold(mut self, place: Option<Place>) -> Self {
        self.place = place.filter(|_| !self.incoming.is_end_stream());
        self
    }

    /// Tells of a failure at the next poll only: what came before it is written out first, so that the visitor
    /// gets what the shop sent and sees where it was cut.
    fn fail(&mut self, error: BodyError, context: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        (self.link, self.guest, self.place) = (None, None, None);
        self.failed = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn finish(&mut self) {
        self.visitor.end(Wait::Answer);
        self.guest = None;
        if let Some(link) = self.link.take() {
            self.home.give_back(link);
        }
        self.place = None;
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        self.visitor.end(Wait::Answer);
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if this.link.as_mut().is_some_and(|link| link.has_ended(context)) {
            this.link = None;
        }
        match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(frame) => match passed(frame, this.guest.is_some().then_some(&this.incoming)) {
                Some(Ok(frame)) => {
                    this.visitor.end(Wait::Answer);
                    this.guest.iter().for_each(Guest::moved);
                    if this.incoming.is_end_stream() {
                        this.finish();
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Some(Err(error)) if this.guest.is_some() => {
                    tracing::debug!(%error, "upstream broke off");
                    this.fail(BodyError::Lost, context)
                }
                Some(Err(error)) => this.fail(error, context),
                None => {
                    this.finish();
                    Poll::Ready(None)
                }
            },
            Poll::Pending if this.visitor.is_over(Wait::Answer) => this.fail(BodyError::Stalled, context),
            Poll::Pending => {
                this.visitor.begin(Wait::Answer, this.home.body_progress());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
