//! A connection to the shop that counts what is read from it, so that answers ahead of an answer (1xx) cannot go on for
//! ever: the HTTP library passes over any number of them. Must not know what the bytes say.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// The bytes read since the last request was sent.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// Begins anew.
    pub fn restart(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// How many they are.
    pub fn read(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    count: Count,
    most: usize,
}

impl<S> Counted<S> {
    /// Counts what is read from `inner` in `count`.
    pub fn new(inner: S, count: Count) -> Self {
        Self { inner, count, most: usize::MAX }
    }

    /// The same; beyond `most` bytes reading fails.
    pub fn within(inner: S, count: Count, most: usize) -> Self {
        Self { inner, count, most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.count.read() > this.most {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "nothing but noise comes")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        this.count.0.fetch_add(buffer.filled().len().saturating_sub(before), Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, pieces)
    }
}
