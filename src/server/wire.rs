//! What a visitor's bytes come over: a socket, or TLS on one. The write wait follows what the socket itself takes, so
//! that it is the same for both. Must not know HTTP.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::server::shown::opening;

/// A visitor's socket.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    connection: Arc<ConnectionState>,
    write: Duration,
}

impl Raw {
    /// A socket whose visitor may take nothing for so long.
    pub fn new(stream: TcpStream, connection: Arc<ConnectionState>, write: Duration) -> Self {
        Self { stream, connection, write }
    }

    fn written<T>(&self, outcome: Poll<T>) -> Poll<T> {
        if outcome.is_pending() {
            self.connection.begin(Wait::Write, self.write);
        } else if self.connection.is_waiting(Wait::Write) {
            self.connection.end(Wait::Write);
        }
        outcome
    }
}

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(outcome)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.written(outcome)
    }
}

/// A visitor's connection.
#[derive(Debug)]
pub enum Wire {
    /// The socket itself.
    Plain(Raw),
    /// TLS on it.
    Tls(Box<Shaken>),
}

/// A connection that stands under TLS.
#[derive(Debug)]
pub struct Shaken {
    stream: TlsStream<Raw>,
    /// Looks at how HTTP/2 begins, for as long as it does.
    opening: Option<opening::Reader>,
}

impl Shaken {
    fn look(&mut self, bytes: &[u8]) {
        let Some(reader) = &mut self.opening else { return };
        match reader.feed(bytes) {
            Ok(None) => return,
            Ok(Some(opening)) => self.stream.get_ref().0.connection.show_h2(opening.shown()),
            Err(none) => tracing::debug!(%none, "HTTP/2 begins oddly"),
        }
        self.opening = None;
    }
}

impl Wire {
    /// A connection that has shaken hands.
    pub fn shaken(stream: TlsStream<Raw>) -> Self {
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Self::Tls(Box::new(Shaken { stream, opening: is_h2.then(opening::Reader::default) }))
    }

    /// Whether the bytes travel under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the client chose HTTP/2 by ALPN.
    pub fn is_h2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_read(context, buffer),
            Self::Tls(tls) => {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut tls.stream).poll_read(context, buffer))?;
                tls.look(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_flush(context),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(raw) => raw.is_write_vectored(),
            Self::Tls(tls) => tls.stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(raw) => Pin::new(raw).poll_write_vectored(context, pieces),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write_vectored(context, pieces),
        }
    }
}
