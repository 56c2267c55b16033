//! A page's body with the snippet in it, streaming. Holds back only what may still have to stand behind the snippet;
//! a broken inner body is an error outward. Must not know heads.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;

use crate::inject::Settings;
use crate::inject::csp::Way;
use crate::inject::gzip::Fit;
use crate::inject::gzip::Gunzip;
use crate::inject::gzip::Gzip;
use crate::inject::gzip::GzipFault;
use crate::inject::gzip::Splice;
use crate::inject::plan::Charset;
use crate::inject::plan::Coding;
use crate::inject::plan::Injection;
use crate::inject::plan::Why;
use crate::inject::scan::Found;
use crate::inject::scan::Scanner;

/// Why a page breaks off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError<E: std::error::Error + 'static> {
    /// The site's body broke off.
    #[error("the site's body broke off")]
    Site(#[source] E),
    /// The site's gzip stream is not whole.
    #[error("the site's gzip stream is not whole")]
    Gzip(#[source] GzipFault),
}

/// Called once if no place was found in the body.
type Miss = Arc<dyn Fn(Why) + Send + Sync>;

pin_project_lite::pin_project! {
    /// An injected page's body.
    #[project = Projection]
    pub struct InjectBody<B> {
        #[pin]
        inner: B,
        mode: Mode,
        inserter: Inserter,
        splice: bool,
        input: Bytes,
        ready: VecDeque<Bytes>,
        trailers: Option<http::HeaderMap>,
        ended: bool,
        miss: Option<Miss>,
    }
}

enum Mode {
    Plain,
    Peek(BytesMut),
    Recode(Box<(Gunzip, Gzip)>),
    Splice(Box<Splice>),
}

/// Finds the place in decoded bytes and puts the snippet there.
struct Inserter {
    scanner: Scanner,
    held: BytesMut,
    snippet: Bytes,
    limit: usize,
    done: bool,
    miss: Option<Why>,
}

impl Inserter {
    fn feed(&mut self, mut piece: Bytes, out: &mut VecDeque<Bytes>) {
        if self.done {
            out.push_back(piece);
            return;
        }
        let start = self.scanner.seen();
        let found = self.scanner.feed(&piece);
        match found {
            Found::At(at) if at <= self.limit => {
                let mut front = std::mem::take(&mut self.held);
                // The place may lie in what was held back; then all of the piece stands behind it.
                let behind = front.split_off(front.len().saturating_sub(start.saturating_sub(at)));
                front.extend_from_slice(&piece.split_to(at.saturating_sub(start).min(piece.len())));
                front.extend_from_slice(&self.snippet);
                front.extend_from_slice(&behind);
                out.push_back(front.freeze());
                out.push_back(piece);
                self.done = true;
            }
            // Judged by where the place may be, not by how much has come, so that no cut of the stream matters.
            Found::More if self.scanner.seen() - self.scanner.undecided() <= self.limit => {
                let keep = self.scanner.undecided();
                if keep > piece.len() {
                    self.held.extend_from_slice(&piece);
                } else {
                    let tail = piece.split_off(piece.len() - keep);
                    out.push_back(std::mem::replace(&mut self.held, BytesMut::from(tail.as_ref())).freeze());
                    out.push_back(piece);
                }
            }
            Found::At(_) | Found::More | Found::Utf16 | Found::Amp => {
                let why = match found {
                    Found::Utf16 => Why::Utf16,
                    Found::Amp => Why::Amp,
                    Found::At(_) | Found::More => Why::HeadLimit,
                };
                self.give_up(why, out);
                out.push_back(piece);
            }
        }
    }

    fn give_up(&mut self, why: Why, out: &mut VecDeque<Bytes>) {
        out.push_back(self.held.split().freeze());
        self.done = true;
        self.miss = Some(why);
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        if !self.done {
            self.give_up(Why::NoHead, out);
        }
    }
}

impl<B> InjectBody<B> {
    /// The body `inner` with `snippet` in it.
    pub fn new(inner: B, injection: &Injection, snippet: Bytes, settings: &Settings) -> Self {
        let mode = match injection.coding {
            Coding::Identity => Mode::Plain,
            Coding::Gzip => Mode::Peek(BytesMut::new()),
        };
        let inserter = Inserter {
            scanner: Scanner::new(),
            held: BytesMut::new(),
            snippet,
            limit: settings.head_limit,
            done: false,
            miss: None,
        };
        let (input, ready) = (Bytes::new(), VecDeque::with_capacity(4));
        // The splice puts a doctype more in front of the page, and a long script leaves a `<meta charset>` no room.
        let room = injection.charset == Charset::Head || injection.way == Way::External;
        Self { inner, mode, inserter, splice: settings.splice && room, input, ready, trailers: None, ended: false, miss: None }
    }

    /// Names who is told, once, if no place is found in the body.
    #[must_use]
    pub fn on_miss(mut self, observer: Arc<dyn Fn(Why) + Send + Sync>) -> Self {
        self.miss = Some(observer);
        self
    }
}

impl<B> InjectBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    /// Waits for the page's first piece. Called before the answer's head is sent, it makes `size_hint` exact where
    /// the place lies in that piece and the site's length is known, so that the head can promise a length.
    /// A fault ends the body.
    pub async fn peek(&mut self) -> Result<(), BodyError<B::Error>> {
        std::future::poll_fn(|context| {
            let mut this = Pin::new(&mut *self).project();
            if !this.ready.is_empty() || *this.ended {
                return Poll::Ready(Ok(()));
            }
            let step = match std::task::ready!(this.inner.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => Machine::of(&mut this).take(frame).map_err(BodyError::Gzip),
                Some(Err(error)) => Err(BodyError::Site(error)),
                None => Machine::of(&mut this).finish().map_err(BodyError::Gzip),
            };
            *this.ended |= step.is_err();
            Poll::Ready(step)
        })
        .await
    }
}

/// The body's parts without the inner body, for the steps that do not read it.
struct Machine<'a> {
    mode: &'a mut Mode,
    inserter: &'a mut Inserter,
    splice: bool,
    input: &'a mut Bytes,
    ready: &'a mut VecDeque<Bytes>,
    trailers: &'a mut Option<http::HeaderMap>,
    ended: &'a mut bool,
    miss: &'a mut Option<Miss>,
}

impl<'a> Machine<'a> {
    fn of<B>(this: &'a mut Projection<'_, B>) -> Self {
        Self {
            mode: this.mode,
            inserter: this.inserter,
            splice: *this.splice,
            input: this.input,
            ready: this.ready,
            trailers: this.trailers,
            ended: this.ended,
            miss: this.miss,
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), GzipFault> {
        match frame.into_data() {
            Ok(piece) => {
                self.absorb(piece);
                Ok(())
            }
            Err(frame) => {
                *self.trailers = frame.into_trailers().ok();
                self.finish()
            }
        }
    }

    fn absorb(&mut self, piece: Bytes) {
        match self.mode {
            Mode::Plain => self.inserter.feed(piece, self.ready),
            Mode::Recode(_) => *self.input = piece,
            Mode::Splice(splice) => {
                let (before, piece) = splice.feed(piece);
                self.ready.extend([before, piece]);
            }
            Mode::Peek(raw) => {
                raw.extend_from_slice(&piece);
                let fit = if self.splice { Splice::fit(raw, &self.inserter.snippet) } else { Fit::No };
                match fit {
                    Fit::More => {}
                    Fit::No => self.recode(),
                    Fit::Yes(splice, front) => {
                        self.ready.push_back(front);
                        *self.mode = Mode::Splice(Box::new(splice));
                        self.inserter.done = true;
                    }
                }
            }
        }
        self.tell();
    }

    /// Leaves the splice aside: the page is decoded and encoded again.
    fn recode(&mut self) {
        if let Mode::Peek(raw) = self.mode {
            *self.input = raw.split().freeze();
            *self.mode = Mode::Recode(Box::new((Gunzip::new(), Gzip::new())));
        }
    }

    /// Decodes and encodes one slice of the input.
    fn work(&mut self) -> Result<(), GzipFault> {
        let Mode::Recode(pair) = self.mode else { return Ok(()) };
        let (gunzip, gzip) = pair.as_mut();
        let mut decoded = Vec::new();
        gunzip.feed(self.input, &mut decoded)?;
        if !decoded.is_empty() {
            let mut pieces = VecDeque::with_capacity(3);
            self.inserter.feed(Bytes::from(decoded), &mut pieces);
            for piece in pieces {
                gzip.write(&piece)?;
            }
            self.ready.push_back(gzip.take());
        }
        self.tell();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), GzipFault> {
        match self.mode {
            Mode::Recode(pair) => self.ready.push_back(pair.1.flush()?),
            Mode::Splice(splice) => self.ready.push_back(splice.flush()),
            Mode::Plain | Mode::Peek(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), GzipFault> {
        *self.ended = true;
        self.recode();
        while !self.input.is_empty() {
            self.work()?;
        }
        match self.mode {
            Mode::Plain | Mode::Peek(_) => self.inserter.finish(self.ready),
            Mode::Splice(splice) => self.ready.push_back(splice.finish()?),
            Mode::Recode(pair) => {
                pair.0.finish()?;
                let mut pieces = VecDeque::new();
                self.inserter.finish(&mut pieces);
                for piece in pieces {
                    pair.1.write(&piece)?;
                }
                self.ready.push_back(pair.1.finish()?);
            }
        }
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        if let Some(why) = self.inserter.miss.take()
            && let Some(observer) = self.miss.take()
        {
            observer(why);
        }
    }
}

impl<B> Body for InjectBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + 'static,
{
    type Data = Bytes;
    type Error = BodyError<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        loop {
            while let Some(piece) = this.ready.pop_front() {
                if !piece.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
            if *this.ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let step = if this.input.is_empty() {
                match this.inner.as_mut().poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => Machine::of(&mut this).take(frame),
                    Poll::Ready(None) => Machine::of(&mut this).finish(),
                    Poll::Ready(Some(Err(error))) => {
                        *this.ended = true;
                        return Poll::Ready(Some(Err(BodyError::Site(error))));
                    }
                    Poll::Pending => {
                        let flushed = Machine::of(&mut this).flush();
                        if flushed.is_ok() && this.ready.iter().all(Bytes::is_empty) {
                            this.ready.clear();
                            return Poll::Pending;
                        }
                        flushed
                    }
                }
            } else {
                Machine::of(&mut this).work()
            };
            if let Err(fault) = step {
                *this.ended = true;
                this.ready.clear();
                *this.trailers = None;
                return Poll::Ready(Some(Err(BodyError::Gzip(fault))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.trailers.is_none() && self.ready.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let decided = self.inserter.done && matches!(self.mode, Mode::Plain | Mode::Splice(_));
        let rest = if self.ended { Some(0) } else { self.inner.size_hint().exact().filter(|_| decided) };
        let held = if let (Mode::Splice(splice), false) = (&self.mode, self.ended) { splice.held() } else { 0 };
        let queued = held + self.ready.iter().map(Bytes::len).sum::<usize>();
        match rest {
            Some(rest) => SizeHint::with_exact(rest + queued as u64),
            None => SizeHint::new(),
        }
    }
}
