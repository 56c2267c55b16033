//! How a client opens an HTTP/2 connection (RFC 9113): its settings, the growth of the window, priorities and the order of
//! pseudo-header fields, written in the form that Akamai's 2017 paper on passive fingerprinting made common.
//! Must not know TLS or requests.

use std::fmt::Write as _;

use crate::fact::H2Shown;
use crate::server::shown::names;

/// What every client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The most bytes that are looked at; an opening with a large first request stays below 16 KiB.
pub const LONGEST: usize = 32 * 1024;
/// The most settings or priorities that are noted; clients send fewer than ten.
const MOST: usize = 32;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const HAS_PRIORITY: u8 = 0x20;

/// A stream's priority (RFC 7540 section 5.3; RFC 9113 lets clients go on sending it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// The stream it is about.
    pub stream: u32,
    /// Whether it is exclusive.
    pub exclusive: bool,
    /// The stream it depends on.
    pub dependency: u32,
    /// Its weight, 1 to 256.
    pub weight: u16,
}

/// How a client opened its connection, up to its first request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The first settings, identifiers and values in their order.
    pub settings: Vec<(u16, u32)>,
    /// By how much the connection's window grows, if it does.
    pub window_update: Option<u32>,
    /// Priorities set before the first request.
    pub priorities: Vec<Priority>,
    /// The first request's own priority.
    pub headers_priority: Option<Priority>,
    /// The order of its pseudo-header fields: `m`, `a`, `s`, `p`.
    pub pseudo: Vec<char>,
}

/// Why bytes are no opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOpening {
    /// The preface is another one.
    #[error("not HTTP/2")]
    NotHttp2,
    /// Frames whose lengths do not fit, or another frame within a field block.
    #[error("broken HTTP/2 frames")]
    Broken,
    /// No request within [`LONGEST`].
    #[error("no request in sight")]
    Endless,
}

/// Reads an opening from the beginning of a connection; `None` while bytes are missing.
///
/// # Errors
/// The bytes are no opening.
pub fn read(bytes: &[u8]) -> Result<Option<Opening>, NoOpening> {
    Reader::default().feed(bytes)
}

/// Reads an opening piece by piece; each byte is looked at once, however small the pieces.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// Where the first frame that is not whole begins.
    at: usize,
    opening: Opening,
    /// The first request's field block so far, once it has begun.
    block: Option<Vec<u8>>,
}

impl Reader {
    /// Takes the next bytes; gives the opening once it is whole, and must not be fed after that.
    ///
    /// # Errors
    /// The bytes are no opening.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Opening>, NoOpening> {
        let room = LONGEST.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        if self.at == 0 {
            let common = self.bytes.len().min(PREFACE.len());
            if self.bytes.get(..common) != PREFACE.get(..common) {
                return Err(NoOpening::NotHttp2);
            }
            if common < PREFACE.len() {
                return Ok(None);
            }
            self.at = common;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = bytes.get(self.at..).unwrap_or_default();
        while let Some((head, payload, after)) = frame(rest) {
            if self.take(&head, payload)? {
                return Ok(Some(std::mem::take(&mut self.opening)));
            }
            self.at = self.at.saturating_add(rest.len() - after.len());
            rest = after;
        }
        let is_long = bytes.len() >= LONGEST;
        self.bytes = bytes;
        if is_long { Err(NoOpening::Endless) } else { Ok(None) }
    }

    /// Takes a frame; tells whether the first request's head is whole with it.
    fn take(&mut self, head: &Head, payload: &[u8]) -> Result<bool, NoOpening> {
        if self.block.is_some() && head.kind != CONTINUATION {
            return Err(NoOpening::Broken);
        }
        let opening = &mut self.opening;
        match (head.kind, &mut self.block) {
            (SETTINGS, _) if head.flags & ACK == 0 && opening.settings.is_empty() => opening.settings = settings(payload),
            (WINDOW_UPDATE, _) if head.stream == 0 && opening.window_update.is_none() => {
                opening.window_update = payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff);
            }
            (PRIORITY, _) if opening.priorities.len() < MOST => opening.priorities.extend(priority(head.stream, payload)),
            (HEADERS, block) => {
                let (own, fragment) = fragment(head, payload).ok_or(NoOpening::Broken)?;
                opening.headers_priority = own;
                *block = Some(fragment.to_vec());
            }
            (CONTINUATION, Some(block)) => block.extend_from_slice(payload),
            _ => {}
        }
        let Some(block) = self.block.as_ref().filter(|_| head.flags & END_HEADERS != 0) else { return Ok(false) };
        self.opening.pseudo = names::pseudo(block);
        Ok(true)
    }
}

struct Head {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The first frame, if all of it is there, and what comes behind it.
fn frame(bytes: &[u8]) -> Option<(Head, &[u8], &[u8])> {
    let ([a, b, c, kind, flags, stream @ ..], rest) = bytes.split_first_chunk::<9>()?;
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    let (payload, after) = rest.split_at_checked(length)?;
    Some((Head { kind: *kind, flags: *flags, stream: u32::from_be_bytes(*stream) & 0x7fff_ffff }, payload, after))
}

fn settings(payload: &[u8]) -> Vec<(u16, u32)> {
    let pair = |bytes: &[u8]| match bytes {
        [a, b, value @ ..] => value.try_into().ok().map(|value| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes(value))),
        _ => None,
    };
    payload.chunks_exact(6).take(MOST).filter_map(pair).collect()
}

fn priority(stream: u32, payload: &[u8]) -> Option<Priority> {
    let ([a, b, c, d, weight], _) = payload.split_first_chunk::<5>()?;
    let dependency = u32::from_be_bytes([*a, *b, *c, *d]);
    Some(Priority {
        stream,
        exclusive: dependency >> 31 == 1,
        dependency: dependency & 0x7fff_ffff,
        weight: u16::from(*weight) + 1,
    })
}

/// The priority and the piece of a field block that a HEADERS frame carries.
fn fragment<'a>(head: &Head, payload: &'a [u8]) -> Option<(Option<Priority>, &'a [u8])> {
    let mut rest = payload;
    if head.flags & PADDED != 0 {
        let (length, behind) = rest.split_first()?;
        rest = behind.get(..behind.len().checked_sub(usize::from(*length))?)?;
    }
    if head.flags & HAS_PRIORITY == 0 {
        return Some((None, rest));
    }
    Some((Some(priority(head.stream, rest)?), rest.get(5..)?))
}

impl Opening {
    /// What rules and records are told of it.
    pub fn shown(&self) -> H2Shown {
        let mut order = String::new();
        for letter in &self.pseudo {
            if !order.is_empty() {
                order.push(',');
            }
            order.push(*letter);
        }
        let weight = self.headers_priority.map(|own| own.weight);
        H2Shown { fingerprint: self.akamai().into(), order: order.into(), weight }
    }

    /// Settings, window update, priorities and pseudo-header order: `1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p`.
    pub fn akamai(&self) -> String {
        let mut text = String::new();
        for (at, (identifier, value)) in self.settings.iter().enumerate() {
            let _ = write!(text, "{}{identifier}:{value}", if at > 0 { ";" } else { "" });
        }
        match self.window_update {
            Some(growth) => drop(write!(text, "|{growth}|")),
            None => text.push_str("|00|"),
        }
        if self.priorities.is_empty() {
            text.push('0');
        }
        for (at, set) in self.priorities.iter().enumerate() {
            let Priority { stream, exclusive, dependency, weight } = set;
            let _ = write!(text, "{}{stream}:{}:{dependency}:{weight}", if at > 0 { "," } else { "" }, u8::from(*exclusive));
        }
        for (at, letter) in self.pseudo.iter().enumerate() {
            let _ = write!(text, "{}{letter}", if at > 0 { "," } else { "|" });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// An old Firefox's way: priorities of streams that carry nothing, and a padded request in two pieces.
    fn opening() -> Vec<u8> {
        [
            PREFACE.to_vec(),
            framed(SETTINGS, 0, 0, &[0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 0, 0]),
            framed(WINDOW_UPDATE, 0, 0, &0x00be_0001_u32.to_be_bytes()),
            framed(PRIORITY, 0, 3, &[0, 0, 0, 0, 200]),
            framed(PRIORITY, 0, 5, &[0x80, 0, 0, 3, 100]),
            framed(HEADERS, PADDED | HAS_PRIORITY, 15, &[2, 0x80, 0, 0, 13, 41, 0x82, 0x84, 0, 0]),
            framed(CONTINUATION, END_HEADERS, 15, &[0x41, 1, b'a', 0x87, 0x90]),
        ]
        .concat()
    }

    #[test]
    fn an_opening_is_read_once_its_first_request_is_whole() {
        let bytes = opening();
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Ok(None), "{end}");
        }
        let read = read(&bytes).unwrap().unwrap();
        assert_eq!(read.akamai(), "1:65536;4:131072|12451841|3:0:0:201,5:1:3:101|m,p,a,s");
        assert_eq!(read.headers_priority, Some(Priority { stream: 15, exclusive: true, dependency: 13, weight: 42 }));
    }

    #[test]
    fn what_is_no_opening_is_told() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(NoOpening::NotHttp2));
        let within = [PREFACE.to_vec(), framed(HEADERS, 0, 1, &[0x82]), framed(SETTINGS, 0, 0, &[])].concat();
        assert_eq!(read(&within), Err(NoOpening::Broken));
        let padded = [PREFACE.to_vec(), framed(HEADERS, PADDED | END_HEADERS, 1, &[9, 0x82])].concat();
        assert_eq!(read(&padded), Err(NoOpening::Broken));
        let mut reader = Reader::default();
        let bytes = opening();
        let (last, first) = bytes.split_last().unwrap();
        assert!(first.iter().all(|byte| reader.feed(&[*byte]) == Ok(None)), "byte by byte");
        assert_eq!(reader.feed(&[*last]).unwrap().unwrap().shown().order.as_ref(), "m,p,a,s");
        let silent = [PREFACE.to_vec(), framed(6, 0, 0, &[0; 8]).repeat(2_000)].concat();
        assert_eq!(read(&silent), Err(NoOpening::Endless));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..200, value in any::<u8>()) {
            let _ = read(&[PREFACE, &tail].concat()).map(|opening| opening.map(|opening| opening.akamai()));
            let mut changed = opening();
            let place = at % changed.len();
            changed[place] = value;
            let _ = read(&changed).map(|opening| opening.map(|opening| opening.akamai()));
        }
    }
}
