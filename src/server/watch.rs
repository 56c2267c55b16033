//! The visitor's connection under watch: which waits begin and end with its bytes, and the one timer per connection that
//! looks at them. Must not know requests.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use tokio::time::Sleep;

use crate::proxy::ProxyBody;
use crate::proxy::body::BodyError;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::server::Settings;
use crate::server::guard::Guard;
use crate::server::wire::Wire;

/// How far ahead a timer is set while nothing is waited for.
const FAR: Duration = Duration::from_hours(1);

/// What one thread reads into before it is looked at; only one connection reads at a time.
pub type Scratch = Arc<Mutex<Box<[u8]>>>;

/// A scratch of this many bytes.
pub fn scratch(bytes: usize) -> Scratch {
    Arc::new(Mutex::new(vec![0; bytes].into_boxed_slice()))
}

/// A visitor's connection.
#[derive(Debug)]
pub struct Watched {
    io: TokioIo<Wire>,
    connection: Arc<ConnectionState>,
    scratch: Scratch,
    /// `None` once a fault was found: nothing more is read.
    guard: Option<Guard>,
    head: Duration,
}

impl Watched {
    /// HTTP/1.1 over a connection whose visitor has the settings' time to complete a request head once begun.
    pub fn new(wire: Wire, connection: Arc<ConnectionState>, settings: &Settings, scratch: Scratch) -> Self {
        let guard = Some(Guard::new(settings.head_limit.saturating_mul(2)));
        Self { io: TokioIo::new(wire), connection, scratch, guard, head: settings.head }
    }

    /// Reads what there is and passes on what is sound. A fault is passed on as a NUL, which no head and no chunk may
    /// hold: the HTTP library refuses it in its own order, after the answers that are due before.
    fn read_sound(&mut self, context: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let Some(guard) = &mut self.guard else { return Poll::Ready(Ok(())) };
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let room = scratch.len().min(buffer.remaining());
        let mut read = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(self.io.inner_mut()).poll_read(context, &mut read))?;
        let bytes = read.filled();
        match guard.follow(bytes, self.connection.is_tunnelled()) {
            Ok(()) => buffer.put_slice(bytes),
            Err((sound, fault)) => {
                tracing::debug!(?fault, "request refused");
                buffer.put_slice(bytes.get(..sound).unwrap_or_default());
                buffer.put_slice(b"\0");
                self.guard = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The connection itself.
    pub fn wire(&mut self) -> &mut Wire {
        self.io.inner_mut()
    }
}

impl Read for Watched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.read_sound(context, buffer);
        // The first bytes after a rest begin a head.
        if read.is_ready() && this.connection.is_waiting(Wait::Idle) {
            this.connection.end(Wait::Idle);
            this.connection.begin(Wait::Head, this.head);
        }
        read
    }
}

impl Write for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, pieces)
    }
}

/// An answer's body that begins the connection's rest when it is gone.
#[derive(Debug)]
pub struct Resting {
    body: ProxyBody,
    connection: Arc<ConnectionState>,
    idle: Duration,
}

impl Resting {
    /// After `body` the connection may rest for `idle`.
    pub fn new(body: ProxyBody, connection: Arc<ConnectionState>, idle: Duration) -> Self {
        Self { body, connection, idle }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.connection.restart(Wait::Idle, self.idle);
    }
}

impl Body for Resting {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The timer of one connection. It is set anew only when a wait ends before it would ring, which waits of one length
/// after another never do: a request usually sets no timer at all.
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// A timer that waits for nothing yet.
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(FAR)) }
    }

    /// Looks at the waits if it is time to; call it before the connection is polled.
    pub fn look(&mut self, context: &mut Context<'_>, connection: &ConnectionState) {
        while self.sleep.as_mut().poll(context).is_ready() {
            connection.look();
            let next = connection.next_look().unwrap_or_else(|| Instant::now() + FAR);
            self.sleep.as_mut().reset(next);
        }
    }

    /// Makes sure that it rings when the next wait is over; call it after the connection was polled.
    pub fn set(&mut self, context: &mut Context<'_>, connection: &ConnectionState) {
        let Some(next) = connection.next_look().filter(|next| *next < self.sleep.deadline()) else { return };
        self.sleep.as_mut().reset(next);
        if self.sleep.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}
