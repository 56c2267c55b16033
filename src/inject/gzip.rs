//! gzip pages (RFC 1952): a checked, streaming decoder and encoder for any page, and the splice that puts a stored
//! deflate block in front of the site's compressed stream for ordinary ones. Must not know http bodies.

use bytes::Bytes;
use bytes::BytesMut;
use crc32fast::Hasher;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use flate2::write::GzEncoder;
use std::io::Write;

use crate::inject::scan::Found;
use crate::inject::scan::Scanner;

/// What is wrong with a gzip page. The visitor's answer breaks off, as a page cut in the middle must.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GzipFault {
    /// No gzip header, or one of unknown kind.
    #[error("bad gzip header")]
    Header,
    /// The deflate stream is broken.
    #[error("bad deflate stream")]
    Deflate,
    /// Checksum or length differ from the trailer's.
    #[error("gzip checksum or length does not match")]
    Checksum,
    /// The stream ends too early.
    #[error("gzip stream ends too early")]
    Truncated,
    /// The page could not be encoded again.
    #[error("page could not be encoded")]
    Encode,
}

/// Compressed bytes read at a time: deflate grows at most 1,032-fold, so at most about 1 MiB is held at once.
const SLICE: usize = 1024;
/// A header longer than this is no web server's.
const HEADER_LIMIT: usize = 4096;
/// Decoded bytes looked at for the splice.
const PEEK: usize = 1024;
/// A page of 4,294,901,760 bytes, whose length field looks like the mark of a flush, has more compressed bytes than this.
const FLUSHABLE: usize = 4_000_000;
const DOCTYPE: &[u8] = b"<!DOCTYPE html>";

/// The length of the gzip header, `None` while it is incomplete (RFC 1952, section 2.3).
fn header_len(bytes: &[u8]) -> Result<Option<usize>, GzipFault> {
    if !bytes.iter().zip([0x1F, 0x8B, 8]).all(|(byte, magic)| *byte == magic) || bytes.len() > HEADER_LIMIT {
        return Err(GzipFault::Header);
    }
    let Some(flags) = bytes.get(3).copied() else { return Ok(None) };
    if flags & 0xE0 != 0 {
        return Err(GzipFault::Header);
    }
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(&[low, high]) = bytes.get(at..at + 2) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) else { return Ok(None) };
            at += end + 1;
        }
    }
    at += usize::from(flags & 2);
    Ok((bytes.len() >= at).then_some(at))
}

enum Part {
    Header,
    Deflate,
    Trailer,
    Behind,
}

/// A decoder fed piece by piece; several members follow one another, bytes that are no member are ignored.
pub(crate) struct Gunzip {
    part: Part,
    kept: BytesMut,
    inflate: Decompress,
    crc: Hasher,
    members: usize,
}

impl Gunzip {
    pub(crate) fn new() -> Self {
        Self { part: Part::Header, kept: BytesMut::new(), inflate: Decompress::new(false), crc: Hasher::new(), members: 0 }
    }

    /// Takes at most one slice off the input and appends what it decodes to.
    pub(crate) fn feed(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<(), GzipFault> {
        match self.part {
            Part::Header => {
                self.kept.extend_from_slice(&input.split_to(input.len().min(SLICE)));
                self.header(input)
            }
            Part::Deflate => self.deflate(input, out),
            Part::Trailer => {
                self.kept.extend_from_slice(&input.split_to(input.len().min(8 - self.kept.len())));
                self.trailer()
            }
            Part::Behind => {
                input.clear();
                Ok(())
            }
        }
    }

    /// Whether the stream may end here.
    pub(crate) fn finish(&self) -> Result<(), GzipFault> {
        let between = matches!(self.part, Part::Header) && self.kept.is_empty() && self.members > 0;
        if between || matches!(self.part, Part::Behind) { Ok(()) } else { Err(GzipFault::Truncated) }
    }

    fn header(&mut self, input: &mut Bytes) -> Result<(), GzipFault> {
        match header_len(&self.kept) {
            Ok(None) => Ok(()),
            Ok(Some(len)) => {
                let mut rest = self.kept.split_off(len);
                self.kept.clear();
                rest.extend_from_slice(input);
                *input = rest.freeze();
                self.part = Part::Deflate;
                Ok(())
            }
            Err(_) if self.members > 0 => {
                self.part = Part::Behind;
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    fn deflate(&mut self, input: &mut Bytes, out: &mut Vec<u8>) -> Result<(), GzipFault> {
        let mut slice = input.split_to(input.len().min(SLICE));
        loop {
            out.reserve(16 * 1024);
            let (before, start) = (self.inflate.total_in(), out.len());
            let status = self.inflate.decompress_vec(&slice, out, FlushDecompress::None).map_err(|_| GzipFault::Deflate)?;
            let used = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            self.crc.update(out.get(start..).unwrap_or_default());
            let _ = slice.split_to(used.min(slice.len()));
            if status == Status::StreamEnd {
                let mut rest = BytesMut::from(slice.as_ref());
                rest.extend_from_slice(input);
                *input = rest.freeze();
                self.part = Part::Trailer;
                return Ok(());
            }
            // Output that fills its room may have more behind it; without room left over all of the slice is read.
            if slice.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
            if used == 0 && out.len() == start {
                return Err(GzipFault::Deflate);
            }
        }
    }

    fn trailer(&mut self) -> Result<(), GzipFault> {
        let Ok(trailer) = <[u8; 8]>::try_from(self.kept.as_ref()) else { return Ok(()) };
        let crc = std::mem::replace(&mut self.crc, Hasher::new()).finalize();
        let size = (self.inflate.total_out() & 0xFFFF_FFFF).to_le_bytes();
        if !trailer.iter().eq(crc.to_le_bytes().iter().chain(size.iter().take(4))) {
            return Err(GzipFault::Checksum);
        }
        self.kept.clear();
        self.inflate.reset(false);
        self.members += 1;
        self.part = Part::Header;
        Ok(())
    }
}

/// An encoder at the fastest level, whose output is taken piece by piece.
pub(crate) struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    dirty: bool,
}

impl Gzip {
    pub(crate) fn new() -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::fast()), dirty: false }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), GzipFault> {
        self.dirty = true;
        self.encoder.write_all(bytes).map_err(|_| GzipFault::Encode)
    }

    /// What is encoded so far.
    pub(crate) fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(self.encoder.get_mut()))
    }

    /// Everything written so far in a form that can be decoded; empty if nothing is new.
    pub(crate) fn flush(&mut self) -> Result<Bytes, GzipFault> {
        if std::mem::take(&mut self.dirty) {
            self.encoder.flush().map_err(|_| GzipFault::Encode)?;
        }
        Ok(self.take())
    }

    /// The end of the stream.
    pub(crate) fn finish(&mut self) -> Result<Bytes, GzipFault> {
        self.encoder.try_finish().map_err(|_| GzipFault::Encode)?;
        Ok(self.take())
    }
}

/// Whether a page's compressed opening allows the splice.
pub(crate) enum Fit {
    Yes(Splice, Bytes),
    No,
    More,
}

/// A splice under way: holds back the site's trailer, to patch it at the end.
pub(crate) struct Splice {
    tail: BytesMut,
    seen: usize,
    prefix: Hasher,
    len: u32,
}

impl Splice {
    /// Looks at the first compressed bytes; a fit yields everything of them that can go out, the snippet in front.
    pub(crate) fn fit(raw: &BytesMut, snippet: &[u8]) -> Fit {
        let header = match header_len(raw.get(..raw.len().min(HEADER_LIMIT)).unwrap_or_default()) {
            Ok(None) => return Fit::More,
            // Extra fields mark streams of several members (block gzip), whose trailers lie in the middle.
            Ok(Some(len)) if raw.get(3).is_some_and(|flags| flags & 4 == 0) => len,
            _ => return Fit::No,
        };
        let mut decoded = Vec::with_capacity(PEEK);
        let packed = raw.get(header..).unwrap_or_default();
        let Ok(status) = Decompress::new(false).decompress_vec(packed, &mut decoded, FlushDecompress::None) else {
            return Fit::No;
        };
        let mut scanner = Scanner::new();
        match scanner.feed(&decoded) {
            Found::At(at) if scanner.plain() && opens_plainly(decoded.get(..at).unwrap_or_default()) => {}
            Found::More if status != Status::StreamEnd && decoded.len() < PEEK && raw.len() < HEADER_LIMIT => return Fit::More,
            _ => return Fit::No,
        }
        let len = DOCTYPE.len() + snippet.len();
        let Ok(short) = u16::try_from(len) else { return Fit::No };
        let mut out = BytesMut::with_capacity(raw.len() + len + 5);
        out.extend_from_slice(raw.get(..header).unwrap_or_default());
        // RFC 1951, section 3.2.4: not the last block, stored; length and its complement. It ends on a byte, where
        // the site's own first block expects to begin.
        out.extend_from_slice(&[0]);
        out.extend_from_slice(&short.to_le_bytes());
        out.extend_from_slice(&(!short).to_le_bytes());
        out.extend_from_slice(DOCTYPE);
        out.extend_from_slice(snippet);
        let mut prefix = Hasher::new();
        prefix.update(DOCTYPE);
        prefix.update(snippet);
        let mut splice = Self { tail: BytesMut::new(), seen: 0, prefix, len: u32::from(short) };
        let (first, second) = splice.feed(Bytes::copy_from_slice(packed));
        out.extend_from_slice(&first);
        out.extend_from_slice(&second);
        Fit::Yes(splice, out.freeze())
    }

    /// Bytes held back.
    pub(crate) fn held(&self) -> usize {
        self.tail.len()
    }

    /// Passes a piece on but for the last eight bytes seen; either part may be empty.
    pub(crate) fn feed(&mut self, mut piece: Bytes) -> (Bytes, Bytes) {
        self.seen = self.seen.saturating_add(piece.len());
        if piece.len() >= 8 {
            let tail = piece.split_off(piece.len() - 8);
            let before = std::mem::replace(&mut self.tail, BytesMut::from(tail.as_ref())).freeze();
            return (before, piece);
        }
        self.tail.extend_from_slice(&piece);
        let ready = self.tail.len().saturating_sub(8);
        (self.tail.split_to(ready).freeze(), Bytes::new())
    }

    /// What need not be held back while the site pauses: behind a flush's empty stored block (RFC 1951, section 3.2.4)
    /// more deflate blocks follow, so the bytes held are no trailer.
    pub(crate) fn flush(&mut self) -> Bytes {
        let mark = self.tail.ends_with(&[0, 0, 0xFF, 0xFF]) && self.seen < FLUSHABLE;
        if mark { self.tail.split().freeze() } else { Bytes::new() }
    }

    /// The patched trailer.
    pub(crate) fn finish(&mut self) -> Result<Bytes, GzipFault> {
        let Ok(trailer) = <[u8; 8]>::try_from(self.tail.as_ref()) else { return Err(GzipFault::Truncated) };
        self.tail.clear();
        let [low, high] = [u64::from_le_bytes(trailer) & 0xFFFF_FFFF, u64::from_le_bytes(trailer) >> 32];
        let (crc, size) = (u32::try_from(low).unwrap_or(0), u32::try_from(high).unwrap_or(0));
        self.prefix.combine(&Hasher::new_with_initial_len(crc, u64::from(size)));
        let crc = self.prefix.clone().finalize().to_le_bytes();
        let size = size.wrapping_add(self.len).to_le_bytes();
        Ok(crc.into_iter().chain(size).collect())
    }
}

/// `<!doctype html>`, white space, `<html …>`, white space, `<head>` (the scanner saw to the rest).
fn opens_plainly(opening: &[u8]) -> bool {
    let opening = opening.trim_ascii_start();
    let doctype = opening.get(..DOCTYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DOCTYPE));
    let head =
        opening.len().checked_sub(6).and_then(|at| opening.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(b"<head>"));
    doctype && head
}
