//! What bytes to and from the shop travel over: a socket, or TLS on one. Must not know HTTP.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::proxy::trust::Trust;

/// A connection to the shop.
#[derive(Debug)]
pub enum Line {
    /// The socket itself.
    Plain(TcpStream),
    /// TLS on it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    /// Connects, and shakes hands with `host` where there is somebody to trust.
    pub(super) async fn open(host: &str, port: u16, trust: Option<&Trust>) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        // Without it the end of a request may wait for an acknowledgement; a failure costs time, not correctness.
        let _ = stream.set_nodelay(true);
        let Some(Trust(config)) = trust else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(config.clone()).connect(name, stream).await?;
        Ok(Self::Tls(Box::new(tls)))
    }
}

impl Line {
    /// Whether the other side chose another protocol when it was asked by ALPN; without TLS nobody is asked.
    pub(super) fn is_other_than_h2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.get_ref().1.alpn_protocol() != Some(b"h2"))
    }
}

type Cause = dyn std::error::Error + Send + Sync;

/// Whether the other side is not who it should be, or does not speak TLS as we do.
pub(super) fn is_distrust(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<Cause>::is::<rustls::Error>)
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(context, pieces),
        }
    }
}
