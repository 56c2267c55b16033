//! The visitor's connection under watch: which waits begin and end with its bytes, the one timer per connection that looks
//! at them, and how it is parted from. Must not know requests.

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
use futures_util::FutureExt;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::timeout;

use crate::proxy::ProxyBody;
use crate::proxy::body::BodyError;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::server::Settings;
use crate::server::access::Told;
use crate::server::guard::Fault;
use crate::server::guard::Guard;
use crate::server::guard::Limits;
use crate::server::wire::Wire;

/// How far ahead a timer is set while nothing is waited for.
const FAR: Duration = Duration::from_hours(1);

/// How much is read and dropped after the last word. A socket that is closed with bytes unread resets the connection, and the
/// reset may overtake the answer (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 16 << 20;
const LINGER_PIECE: usize = 16 << 10;

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
    guard: Guard,
    /// Heads of which the connection was told.
    heads: u32,
    /// Once it was found nothing more is read.
    fault: Option<Fault>,
    /// The visitor has said that nothing more will come.
    ended: bool,
    head: Duration,
    linger: Duration,
}

impl Watched {
    /// HTTP/1.1 over a connection whose visitor has the settings' time to complete a request head once begun.
    pub fn new(wire: Wire, connection: Arc<ConnectionState>, settings: &Settings, scratch: Scratch) -> Self {
        let limits = Limits { line: settings.line_limit, head: settings.head_limit, fields: settings.fields };
        Self {
            io: TokioIo::new(wire),
            connection,
            scratch,
            guard: Guard::new(limits),
            heads: 0,
            fault: None,
            ended: false,
            head: settings.head,
            linger: settings.linger,
        }
    }

    /// Reads what there is and passes on what is sound. A fault is an error of the next read. In a head, one letter stands
    /// in for the line: an unfinished head, which the HTTP library comes to after the answers that are due before.
    fn read_sound(&mut self, context: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(stop(fault)));
        }
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let room = scratch.len().min(buffer.remaining());
        let mut read = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(self.io.inner_mut()).poll_read(context, &mut read))?;
        let bytes = read.filled();
        self.ended = bytes.is_empty() && room > 0;
        if let Err((sound, fault)) = self.guard.follow(bytes, self.connection.is_tunnelled()) {
            tracing::debug!(%fault, "request refused");
            self.fault = Some(fault);
            buffer.put_slice(bytes.get(..sound).unwrap_or_default());
            if self.guard.is_in_head() {
                buffer.put_slice(b"X");
            } else if sound == 0 {
                return Poll::Ready(Err(stop(fault)));
            }
        } else {
            buffer.put_slice(bytes);
        }
        let (heads, names) = self.guard.last_head();
        if heads != self.heads {
            self.heads = heads;
            self.connection.heard(heads, names);
        }
        Poll::Ready(Ok(()))
    }

    /// Why the visitor was read no further.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Says a last word and closes so that the visitor gets it, and what was said before: while it may still be sending,
    /// what comes is read and dropped, so much and so long. `unread` says that something it sent was not looked at.
    pub async fn part(&mut self, word: &[u8], unread: bool) {
        if word.is_empty() && self.ended {
            return;
        }
        let sending = unread || !word.is_empty() || self.fault.is_some() || !self.guard.is_at_rest();
        let io = self.io.inner_mut();
        let parting = async {
            io.write_all(word).await?;
            io.shutdown().await?;
            let (mut piece, mut left) = (vec![0; LINGER_PIECE], LINGER_BYTES);
            let first = if sending { Some(io.read(&mut piece).await) } else { io.read(&mut piece).now_or_never() };
            let mut read = first.unwrap_or(Ok(0))?;
            while read > 0 && left > 0 {
                left = left.saturating_sub(read);
                read = io.read(&mut piece).await?;
            }
            Ok::<_, io::Error>(())
        };
        // A visitor that is gone, or goes on for ever, has no claim to more.
        let _ = timeout(self.linger, parting).await;
    }
}

/// The error of a read that a fault ends. Rooms know by its kind what was too large, and tell so where a body broke off.
fn stop(fault: Fault) -> io::Error {
    let kind = if fault == Fault::TrailersTooLarge { io::ErrorKind::FileTooLarge } else { io::ErrorKind::InvalidData };
    io::Error::new(kind, fault)
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
    told: Option<Box<Told>>,
}

impl Resting {
    /// After `body` the connection may rest for `idle`; the access log is told of it, where there is one.
    pub fn new(body: ProxyBody, connection: Arc<ConnectionState>, idle: Duration, told: Option<Box<Told>>) -> Self {
        Self { body, connection, idle, told }
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
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Some(told) = &mut this.told
            && let Poll::Ready(Some(Ok(frame))) = &polled
        {
            told.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
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
