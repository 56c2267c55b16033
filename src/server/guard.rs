//! Follows the framing of what a visitor sends, request after request, ahead of the HTTP library, and stops at the first
//! thing that two servers could read differently (RFC 9112 sections 2.2, 5, 6, 7 and 11.2). Promises: bounded memory and
//! work on any bytes; what passed is framed in one way only. Must not know what is asked.

macro_rules! faults {
    ($($fault:ident = $name:literal, $answer:ident, $says:literal;)+) => {
        /// Why a stream is stopped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Fault {
            $(#[doc = $says] #[error($says)] $fault,)+
        }

        impl Fault {
            /// All faults.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)+];

            /// The name used in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)+ }
            }

            /// The status of the refusal.
            pub fn status(self) -> u16 {
                // `HTTP/1.1 `, then three digits.
                let digits = self.answer().get(9..12).unwrap_or_default();
                digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')))
            }

            /// What the visitor is told, as bytes on the wire.
            pub fn answer(self) -> &'static [u8] {
                match self { $(Self::$fault => $answer,)+ }
            }
        }
    };
}

const MALFORMED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";
const TOO_LONG: &[u8] = b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";

const NO_TUNNEL: &[u8] = b"HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";

const VERSION: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncache-control: no-store\r\ncontent-length: 0\r\n\r\n";

faults! {
    LineEnd = "line_end", MALFORMED, "a line that ends without CR, or a CR within a line (RFC 9112 section 2.2)";
    Control = "control_character", MALFORMED, "a control character in a line (RFC 9110 section 5.5)";
    Folded = "folded_field", MALFORMED, "a field line that begins with white space (RFC 9112 section 5.2)";
    RequestLine = "request_line", MALFORMED, "no request line of HTTP/1.0 or 1.1, or a target with a fragment (RFC 9112 section 3)";
    Version = "version", VERSION, "a request line of another HTTP than 1 (RFC 9110 section 15.6.6)";
    Field = "field_line", MALFORMED, "a field line without a name and colon, or with white space between them (RFC 9112 section 5.1)";
    Length = "content_length", MALFORMED, "a length that is no number, is said twice, or stands beside a coding (RFC 9112 section 6.3)";
    Coding = "transfer_coding", MALFORMED, "a transfer coding that is not exactly one `chunked`, or any in HTTP/1.0 (RFC 9112 section 6.1)";
    Chunk = "chunk", MALFORMED, "a chunk whose size or end is not as it must be (RFC 9112 section 7.1)";
    Tunnel = "tunnel_refused", NO_TUNNEL, "a tunnel is asked for, and what follows would be no HTTP (RFC 9110 section 9.3.6)";
    TargetTooLong = "target_too_long", TOO_LONG, "a request line without an end";
    HeadTooLarge = "head_too_large", TOO_LARGE, "a head without an end";
    TooManyFields = "too_many_fields", TOO_LARGE, "a head of too many fields";
    TrailersTooLarge = "trailers_too_large", TOO_LARGE, "trailers without an end, or of too many fields";
}

/// How much a visitor may say.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request line.
    pub line: usize,
    /// Bytes of a head, and of trailers.
    pub head: usize,
    /// Fields of a head, and of trailers.
    pub fields: usize,
}

/// Bytes of a chunk's size with its extensions; they have no use today.
const CHUNK_LINE: usize = 1_024;
/// Empty lines before a request, which old clients send (RFC 9112 section 2.2).
const EMPTY_LINES: u8 = 4;

/// How a request's body is framed, as far as its head was read.
#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    old: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request line, after so many empty lines.
    Start(u8),
    /// Within the fields of a head.
    Fields,
    /// So many bytes of a body are to come.
    Body(u64),
    /// A chunk's size is to come.
    Size,
    /// So many bytes of a chunk and the CRLF behind it are to come.
    Chunk(u64),
    /// Within trailers.
    Trailers,
    /// An upgrade was asked for: what comes next is HTTP unless it was granted.
    Asked,
    /// The bytes are no HTTP any more.
    Tunnel,
}

/// The framing of one connection's requests.
#[derive(Debug)]
pub struct Guard {
    state: State,
    framing: Framing,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes of the head or of the trailers so far.
    read: usize,
    /// Their fields.
    fields: usize,
    /// Heads that came whole.
    heads: u32,
    /// The names of the last head's fields, each with a comma behind it.
    names: Vec<u8>,
    limits: Limits,
}

impl Guard {
    /// A guard at the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Start(0),
            framing: Framing::default(),
            line: Vec::new(),
            read: 0,
            fields: 0,
            heads: 0,
            names: Vec::new(),
            limits,
        }
    }

    /// Whether a fault that was found lies in a head, so that nobody has begun to answer the request.
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Start(_) | State::Fields)
    }

    /// How many heads have come whole, and the names of the last one's fields as they were sent, each with a comma behind it.
    pub fn last_head(&self) -> (u32, &[u8]) {
        (self.heads, &self.names)
    }

    /// Whether all that came is whole requests.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Start(_) | State::Asked | State::Tunnel) && self.read == 0
    }

    /// Follows the next bytes. `tunnelled` says whether an upgrade has been granted.
    ///
    /// # Errors
    /// The fault, and how many of the bytes come before its line; the guard must not be fed again.
    pub fn follow(&mut self, bytes: &[u8], tunnelled: bool) -> Result<(), (usize, Fault)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let passed = match self.state {
                State::Tunnel => return Ok(()),
                State::Asked => {
                    self.state = if tunnelled { State::Tunnel } else { State::Start(0) };
                    0
                }
                State::Body(left) => self.skip(left, rest.len()),
                State::Chunk(left) => self.chunk(left, rest).map_err(|fault| (at, fault))?,
                State::Start(_) | State::Fields | State::Size | State::Trailers => {
                    self.lines(rest).map_err(|fault| (at, fault))?
                }
            };
            rest = rest.get(passed..).unwrap_or_default();
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, have: usize) -> usize {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(have);
        let left = left.saturating_sub(passed as u64);
        self.state = if left == 0 { self.after() } else { State::Body(left) };
        passed
    }

    fn chunk(&mut self, left: u64, rest: &[u8]) -> Result<usize, Fault> {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left.saturating_sub(passed as u64);
        // The last two are the line end behind the data.
        let end = |place: u64| match place {
            2 => Some(b'\r'),
            1 => Some(b'\n'),
            _ => None,
        };
        for (byte, place) in rest.iter().take(passed).rev().zip(left + 1..).take(2) {
            if end(place).is_some_and(|wanted| wanted != *byte) {
                return Err(Fault::Chunk);
            }
        }
        self.state = if left == 0 { State::Size } else { State::Chunk(left) };
        Ok(passed)
    }

    /// Takes one line, or keeps what there is of it.
    fn lines(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        let end = memchr::memchr(b'\n', rest);
        let piece = end.and_then(|end| rest.get(..=end)).unwrap_or(rest);
        self.read = self.read.saturating_add(piece.len());
        let (limit, fault) = match self.state {
            State::Size => (CHUNK_LINE, Fault::Chunk),
            State::Start(_) => (self.limits.line, Fault::TargetTooLong),
            State::Trailers => (self.limits.head, Fault::TrailersTooLarge),
            _ => (self.limits.head, Fault::HeadTooLarge),
        };
        if self.read > limit {
            return Err(fault);
        }
        if end.is_none() {
            self.line.extend_from_slice(piece);
        } else if self.line.is_empty() {
            self.line(piece)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            self.line(&line)?;
            line.clear();
            self.line = line;
        }
        Ok(piece.len())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = line.strip_suffix(b"\r\n").ok_or(Fault::LineEnd)?;
        if has_control(text) {
            return Err(if memchr::memchr(b'\r', text).is_some() { Fault::LineEnd } else { Fault::Control });
        }
        match self.state {
            State::Start(empty) if text.is_empty() => {
                self.read = 0;
                self.state = State::Start(empty + 1);
                if empty < EMPTY_LINES { Ok(()) } else { Err(Fault::RequestLine) }
            }
            State::Start(_) => {
                self.framing = Framing { old: text.ends_with(b" HTTP/1.0"), ..Framing::default() };
                self.names.clear();
                self.state = State::Fields;
                // A fragment is no part of a target; who cuts it off and who does not would ask for two pages.
                let known = self.framing.old || text.ends_with(b" HTTP/1.1");
                let fragment = text.split(|byte| *byte == b' ').nth(1).is_some_and(|target| target.contains(&b'#'));
                if text.starts_with(b"CONNECT ") {
                    return Err(Fault::Tunnel);
                }
                match known {
                    true if !fragment => Ok(()),
                    false if is_other_version(text) => Err(Fault::Version),
                    _ => Err(Fault::RequestLine),
                }
            }
            State::Fields if text.is_empty() => {
                self.end_head();
                Ok(())
            }
            State::Fields => {
                self.count(Fault::TooManyFields)?;
                self.field(text)
            }
            State::Trailers if text.is_empty() => {
                self.state = self.after();
                Ok(())
            }
            State::Trailers => {
                self.count(Fault::TrailersTooLarge)?;
                field(text).map(drop)
            }
            _ => {
                let size = size(text).ok_or(Fault::Chunk)?;
                self.read = 0;
                self.state = if size == 0 { State::Trailers } else { State::Chunk(size.saturating_add(2)) };
                Ok(())
            }
        }
    }

    fn count(&mut self, fault: Fault) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > self.limits.fields { Err(fault) } else { Ok(()) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        let (name, value) = field(line)?;
        self.names.extend_from_slice(name);
        self.names.push(b',');
        if name.eq_ignore_ascii_case(b"content-length") {
            let twice = self.framing.length.is_some();
            self.framing.length = Some(length(value).filter(|_| !twice && !self.framing.chunked).ok_or(Fault::Length)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let once = !self.framing.chunked && !self.framing.old;
            if !once || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::Coding);
            }
            if self.framing.length.is_some() {
                return Err(Fault::Length);
            }
            self.framing.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.framing.upgrade = true;
        }
        Ok(())
    }

    /// The head has ended: what follows?
    fn end_head(&mut self) {
        self.heads = self.heads.wrapping_add(1);
        (self.read, self.fields) = (0, 0);
        self.state = match self.framing {
            Framing { chunked: true, .. } => State::Size,
            Framing { length: Some(length), .. } if length > 0 => State::Body(length),
            _ => self.after(),
        };
    }

    /// What follows a whole request.
    fn after(&mut self) -> State {
        (self.read, self.fields) = (0, 0);
        if self.framing.upgrade { State::Asked } else { State::Start(0) }
    }
}

/// Whether a request line ends in a version of HTTP that is well formed and not 1 (RFC 9112 section 2.3).
fn is_other_version(line: &[u8]) -> bool {
    let version = line.rsplit(|byte| *byte == b' ').next().and_then(|word| word.strip_prefix(b"HTTP/"));
    version.is_some_and(
        |digits| matches!(digits, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1'),
    )
}

/// A field line's name and value; white space around the value is no part of it (RFC 9110 section 5.5).
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if line.first().is_some_and(|first| matches!(first, b' ' | b'\t')) {
        return Err(Fault::Folded);
    }
    let colon = memchr::memchr(b':', line).filter(|colon| *colon > 0).ok_or(Fault::Field)?;
    let (name, value) = line.split_at(colon);
    if name.last().is_some_and(|last| matches!(last, b' ' | b'\t')) {
        return Err(Fault::Field);
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// Whether a line holds a control character other than a tab. Eight bytes at a time, as it is asked of every line: only a word
/// with a control character, be it a tab, is looked at byte by byte.
fn has_control(line: &[u8]) -> bool {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let Some(last) = line.last_chunk::<8>() else { return line.iter().any(control) };
    let mut words = line.as_chunks::<8>().0.iter().chain([last]);
    words.any(|word| may_hold_control(u64::from_ne_bytes(*word)) && word.iter().any(control))
}

/// Whether one of eight bytes is below a space or is the delete character. Taking a number from each byte at once borrows from
/// the next one only where a byte was smaller, which is found anyway.
const fn may_hold_control(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let deletes = word ^ (ONES * 0x7f);
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = deletes.wrapping_sub(ONES) & !deletes;
    (low | delete) & HIGHS != 0
}

/// Digits and nothing else; no sign, no list.
fn length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// A chunk's size: hexadecimal digits, then nothing or extensions.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok().filter(|size| *size < u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a guard finds in a stream that comes in pieces of some size.
    fn fault(stream: &[u8], piece: usize) -> Option<Fault> {
        let mut guard = Guard::new(Limits { line: 8_192, head: 65_536, fields: 100 });
        stream.chunks(piece).find_map(|bytes| guard.follow(bytes, false).err()).map(|(_, fault)| fault)
    }

    fn guard() -> Guard {
        Guard::new(Limits { line: 100, head: 1_000, fields: 3 })
    }

    fn found(stream: &str) -> Option<Fault> {
        let whole = fault(stream.as_bytes(), usize::MAX);
        for piece in [1, 2, 3, 7, 16] {
            assert_eq!(fault(stream.as_bytes(), piece), whole, "{stream:?} in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..24 {
                let mut line = vec![b'a'; 24];
                line[at] = byte;
                assert_eq!(has_control(&line), byte == 0x7f || (byte < b' ' && byte != b'\t'), "{byte} at {at}");
            }
        }
        assert!(has_control(b"a\tb\x01cdef") && !has_control(b"\t\t\t\t\t\t\t\t \xff\xff\xff\xff\xff\xff\xff\xff"));
    }

    #[test]
    fn the_names_of_the_last_head_are_kept_as_they_were_sent() {
        let mut guard = guard();
        guard.follow(b"GET / HTTP/1.1\r\nHost: a\r\nX-y:b\r\n", false).unwrap();
        assert_eq!(guard.last_head().0, 0);
        guard.follow(b"\r\n", false).unwrap();
        assert_eq!(guard.last_head(), (1, &b"Host,X-y,"[..]));
        guard.follow(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", false).unwrap();
        assert_eq!(guard.last_head(), (2, &b"host,"[..]));
    }

    #[test]
    fn requests_in_a_row_are_followed_whatever_their_bodies() {
        for stream in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
            "\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\na\nb\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Empty:\r\nX: a: b\t\r\n\r\n",
        ] {
            assert_eq!(found(stream), None, "{stream:?}");
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_a_fault() {
        let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        for (stream, expected) in [
            ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), Fault::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(), Fault::LineEnd),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n".to_owned(), Fault::LineEnd),
            ("\nGET / HTTP/1.1\r\n\r\n".to_owned(), Fault::LineEnd),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n".to_owned(), Fault::Folded),
            ("GET / HTTP/1.1\r\n X: a\r\n\r\n".to_owned(), Fault::Folded),
            ("GET /\r\n\r\n".to_owned(), Fault::RequestLine),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), Fault::Version),
            ("GET / HTTP/1.2\r\n\r\n".to_owned(), Fault::RequestLine),
            ("\r\n\r\n\r\n\r\n\r\n\r\n".to_owned(), Fault::RequestLine),
            ("GET / HTTP/1.1\r\nX : a\r\n\r\n".to_owned(), Fault::Field),
            ("GET / HTTP/1.1\r\nX\r\n\r\n".to_owned(), Fault::Field),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n".to_owned(), Fault::Field),
            (post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), Fault::Length),
            (post("Content-Length: 3, 3\r\n", "abc"), Fault::Length),
            (post("Content-Length: +3\r\n", "abc"), Fault::Length),
            (post("Content-Length: 0x3\r\n", "abc"), Fault::Length),
            (post("Content-Length:\r\n", "abc"), Fault::Length),
            (post("Content-Length: 99999999999999999999\r\n", ""), Fault::Length),
            (post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), Fault::Length),
            (post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), Fault::Length),
            (post("Transfer-Encoding: gzip, chunked\r\n", ""), Fault::Coding),
            (post("Transfer-Encoding: xchunked\r\n", ""), Fault::Coding),
            (post("Transfer-Encoding: \u{b}chunked\r\n", ""), Fault::Control),
            (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), Fault::Coding),
            (post("Transfer-Encoding: identity\r\n", ""), Fault::Coding),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), Fault::Coding),
            (post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "3\r\nabc\n0\r\n\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "3\nabc\r\n"), Fault::LineEnd),
            (post("Transfer-Encoding: chunked\r\n", "-3\r\nabc\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", " 3\r\nabc\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n"), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", &format!("3;{}\r\n", "x".repeat(2_000))), Fault::Chunk),
            (post("Transfer-Encoding: chunked\r\n", "0\r\n x: 1\r\n\r\n"), Fault::Folded),
            (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000)), Fault::HeadTooLarge),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(101)), Fault::TooManyFields),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9_000)), Fault::TargetTooLong),
            (post("Transfer-Encoding: chunked\r\n", &format!("0\r\n{}\r\n", "X: a\r\n".repeat(101))), Fault::TrailersTooLarge),
            (post("Transfer-Encoding: chunked\r\n", &format!("0\r\nX: {}\r\n", "a".repeat(70_000))), Fault::TrailersTooLarge),
            ("CONNECT a:443 HTTP/1.1\r\n\r\n".to_owned(), Fault::Tunnel),
            ("GET /a#b HTTP/1.1\r\n\r\n".to_owned(), Fault::RequestLine),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n".to_owned(), Fault::Control),
            ("GET / HTTP/1.1\r\nX: a\u{7f}b\r\n\r\n".to_owned(), Fault::Control),
        ] {
            assert_eq!(found(&stream), Some(expected), "{stream:?}");
        }
    }

    #[test]
    fn bytes_behind_a_granted_upgrade_are_no_http_and_behind_a_refused_one_are() {
        let ask = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        let mut granted = guard();
        assert_eq!(granted.follow(ask, false), Ok(()));
        assert_eq!(granted.follow(b"\x81\x05hello\n", true), Ok(()));
        let mut refused = guard();
        assert_eq!(refused.follow(ask, false), Ok(()));
        assert_eq!(refused.follow(b"\x81\x05hello\n", false), Err((0, Fault::LineEnd)));
    }

    #[test]
    fn each_refusal_has_its_status() {
        let of = |status| Fault::ALL.iter().filter(|fault| fault.status() == status).count();
        assert_eq!((of(405), of(414), of(431), of(505)), (1, 1, 3, 1));
        assert_eq!(of(400), Fault::ALL.len() - 6);
    }

    #[test]
    fn the_bytes_before_the_faulty_line_are_named() {
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n";
        assert_eq!(guard().follow(stream, false), Err((25, Fault::Field)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_are_read_alike_however_they_are_cut(
            pieces in prop::collection::vec(prop_oneof![
                Just(&b"POST / HTTP/1.1\r\n"[..]), Just(&b"Transfer-Encoding: chunked\r\n"[..]), Just(&b"Content-Length: 4\r\n"[..]),
                Just(&b"\r\n"[..]), Just(&b"3\r\n"[..]), Just(&b"abc"[..]), Just(&b"0\r\n"[..]), Just(&b"\n"[..]), Just(&b"\0"[..]),
                Just(&b"ffffffff\r\n"[..]), Just(&b"Upgrade: x\r\n"[..]), Just(&b":"[..]),
            ], 0..14),
            cut in 1_usize..9,
        ) {
            let stream = pieces.concat();
            prop_assert_eq!(fault(&stream, usize::MAX), fault(&stream, cut));
        }
    }
}
