//! Bodies that nobody holds: bytes that follow from their place, written and checked piece by piece.

use std::io::BufRead;
use std::io::Write;

/// A byte's value is its place modulo this; a prime, so that no buffer's size hides a shift.
const PERIOD: usize = 251;
const PIECE: usize = 1 << 16;

/// Checks that bytes come in their places.
pub(super) struct Flow {
    ring: Vec<u8>,
    at: u64,
    any: bool,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { ring: ring(), at: 0, any: false }
    }

    /// Counts only.
    pub(super) fn any() -> Self {
        Self { any: true, ..Self::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let from = usize::try_from(self.at % PERIOD as u64).unwrap();
            assert!(self.any || *piece == self.ring[from..from + piece.len()], "other bytes after {}", self.at);
            self.at += piece.len() as u64;
        }
    }
}

fn ring() -> Vec<u8> {
    (0..PIECE + PERIOD).map(|at| u8::try_from(at % PERIOD).unwrap()).collect()
}

/// Writes so many bytes, in chunks or as they are; stops where the other side is gone.
pub(super) fn pour(stream: &mut impl Write, length: u64, chunked: bool) {
    let ring = ring();
    let mut at = 0;
    while at < length {
        let from = usize::try_from(at % PERIOD as u64).unwrap();
        let size = PIECE.min(usize::try_from(length - at).unwrap());
        let piece = &ring[from..from + size];
        let written = if chunked {
            write!(stream, "{size:x}\r\n").and_then(|()| stream.write_all(piece)).and_then(|()| stream.write_all(b"\r\n"))
        } else {
            stream.write_all(piece)
        };
        if written.is_err() {
            return;
        }
        at += size as u64;
    }
    if chunked {
        // Who left before the end does not want it.
        let _ = stream.write_all(b"0\r\n\r\n");
    }
}

/// Reads a body of that length, or in chunks, to its end; how long it was, nothing where it was cut.
pub(super) fn take(stream: &mut impl BufRead, length: Option<u64>, mut flow: Flow) -> Option<u64> {
    if let Some(length) = length {
        return part(stream, length, &mut flow).then_some(flow.at);
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim_end(), 16).ok()?;
        if !part(stream, size, &mut flow) {
            return None;
        }
        let mut end = [0; 2];
        stream.read_exact(&mut end).ok()?;
        if size == 0 {
            return Some(flow.at);
        }
    }
}

fn part(stream: &mut impl BufRead, length: u64, flow: &mut Flow) -> bool {
    let mut left = length;
    while left > 0 {
        let Ok(found) = stream.fill_buf() else { return false };
        let size = found.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if size == 0 {
            return false;
        }
        flow.take(&found[..size]);
        stream.consume(size);
        left -= size as u64;
    }
    true
}
