//! Reads a TLS `ClientHello` (RFC 8446 section 4.1.2) from its records and writes it as JA4 (`FoxIO`'s description of JA4
//! for TLS clients, BSD-3-Clause; no other method of that family). Must not know HTTP.

use std::fmt::Write as _;

use sha2::Digest as _;
use sha2::Sha256;

use crate::fact::TlsShown;
use crate::fact::TlsVersion;

/// The most bytes that are read for a hello, records' heads included; today's longest are near 2 KiB.
pub const LONGEST: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// Padding, the session ticket, the key of a session to resume, and early data.
const PASSING: [u16; 4] = [21, 35, 41, 42];

/// Why bytes are no `ClientHello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHello {
    /// The first byte is no handshake record's.
    #[error("not TLS")]
    NotTls,
    /// Lengths that do not fit one another, or another message.
    #[error("a broken ClientHello")]
    Broken,
    /// It goes on beyond [`LONGEST`].
    #[error("a ClientHello without an end")]
    Endless,
}

/// What a `ClientHello` offers, in its order, without GREASE (RFC 8701).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The newest version it offers.
    pub version: u16,
    /// Cipher suites.
    pub ciphers: Vec<u16>,
    /// Extensions.
    pub extensions: Vec<u16>,
    /// Signature algorithms.
    pub signatures: Vec<u16>,
    /// The first protocol of ALPN (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// Whether it carries GREASE, as Chromium's and Safari's do.
    pub grease: bool,
}

/// Reads a hello from the beginning of a connection; `None` while bytes are missing.
///
/// # Errors
/// The bytes are no hello.
pub fn read(bytes: &[u8]) -> Result<Option<Hello>, NoHello> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((head, tail)) = rest.split_at_checked(5) else {
            return if rest.first().is_some_and(|kind| *kind != HANDSHAKE) { Err(broken(&message)) } else { more(bytes) };
        };
        let [kind, major, _, high, low] = head else { return Err(NoHello::Broken) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != HANDSHAKE || *major != 3 || length == 0 {
            return Err(broken(&message));
        }
        message.extend_from_slice(tail.get(..length.min(tail.len())).unwrap_or_default());
        if let Some(hello) = whole(&message)? {
            return parse(hello).map(Some).ok_or(NoHello::Broken);
        }
        match tail.get(length..) {
            Some(next) => rest = next,
            None => return more(bytes),
        }
    }
}

/// What is wrong with a record: the first one decides whether it is TLS at all.
fn broken(before: &[u8]) -> NoHello {
    if before.is_empty() { NoHello::NotTls } else { NoHello::Broken }
}

fn more(bytes: &[u8]) -> Result<Option<Hello>, NoHello> {
    if bytes.len() >= LONGEST { Err(NoHello::Endless) } else { Ok(None) }
}

/// The body of the handshake message, if all of it is there.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, NoHello> {
    let Some((head, body)) = message.split_at_checked(4) else {
        return if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) { Err(NoHello::Broken) } else { Ok(None) };
    };
    let [kind, length @ ..] = head else { return Err(NoHello::Broken) };
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    if *kind != CLIENT_HELLO || length > LONGEST { Err(NoHello::Broken) } else { Ok(body.get(..length)) }
}

/// A reader that takes pieces from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (piece, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(piece)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        self.take(bytes).map(|piece| piece.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn short(&mut self) -> Option<u16> {
        self.number(2).and_then(|number| u16::try_from(number).ok())
    }

    /// A piece with its length in front, itself of so many bytes.
    fn vector(&mut self, length: usize) -> Option<Self> {
        let length = self.number(length)?;
        self.take(length).map(Self)
    }
}

fn parse(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader(body);
    let mut hello = Hello { version: reader.short()?, ..Hello::default() };
    reader.take(32)?;
    reader.vector(1)?;
    hello.ciphers = hello.numbers(reader.vector(2)?);
    reader.vector(1)?;
    // Old clients end here.
    let Some(mut extensions) = reader.vector(2) else { return reader.0.is_empty().then_some(hello) };
    while !extensions.0.is_empty() {
        let kind = extensions.short()?;
        let content = extensions.vector(2)?;
        if is_grease(kind) {
            hello.grease = true;
            continue;
        }
        hello.extensions.push(kind);
        hello.extension(kind, content);
    }
    Some(hello)
}

impl Hello {
    /// Reads what an extension holds; one that does not read says nothing.
    fn extension(&mut self, kind: u16, mut content: Reader<'_>) {
        match kind {
            SIGNATURE_ALGORITHMS => self.signatures = content.vector(2).map(|list| self.numbers(list)).unwrap_or_default(),
            SUPPORTED_VERSIONS => {
                let offered = content.vector(1).map(|list| self.numbers(list)).unwrap_or_default();
                self.version = offered.into_iter().max().unwrap_or(self.version);
            }
            ALPN => {
                let first = content.vector(2).and_then(|mut list| list.vector(1));
                self.alpn = first.map(|first| first.0.to_vec()).filter(|first| !first.is_empty());
            }
            _ => {}
        }
    }

    /// Numbers of two bytes without GREASE, whose presence is noted.
    fn numbers(&mut self, mut list: Reader<'_>) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let Some(number) = list.short() {
            if is_grease(number) {
                self.grease = true;
            } else {
                numbers.push(number);
            }
        }
        numbers
    }

    /// The fingerprint: `t13d1517h2_8daaf6152771_cb7bf5808d99`.
    pub fn ja4(&self) -> String {
        let (head, ciphers, extensions) = self.parts();
        format!("{head}_{}_{}", digest(&ciphers), digest(&extensions))
    }

    /// What rules and records are told of it.
    pub fn shown(&self) -> TlsShown {
        let version = match self.version {
            0x0304 => TlsVersion::OneThree,
            0x0303 => TlsVersion::OneTwo,
            0x0302 => TlsVersion::OneOne,
            0x0301 => TlsVersion::OneZero,
            _ => TlsVersion::Other,
        };
        let alpn = self.alpn.as_deref().map_or(Some(""), |name| std::str::from_utf8(name).ok());
        TlsShown {
            ja4: self.ja4().into(),
            ja4_stable: Some(self.stable().ja4().into()),
            grease: Some(self.grease),
            version: Some(version),
            sni: Some(self.extensions.contains(&SERVER_NAME)),
            alpn: alpn.map(Into::into),
        }
    }

    /// The same hello without what comes and goes with the resumption of a session, or pads it.
    fn stable(&self) -> Self {
        let extensions = self.extensions.iter().copied().filter(|kind| !PASSING.contains(kind)).collect();
        Self { extensions, ..self.clone() }
    }

    /// The same with the lists in place of their hashes.
    pub fn ja4_raw(&self) -> String {
        let (head, ciphers, extensions) = self.parts();
        format!("{head}_{ciphers}_{extensions}")
    }

    fn parts(&self) -> (String, String, String) {
        let version = match self.version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let named = if self.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let head = format!("t{version}{named}{ciphers:02}{extensions:02}{}", ends(self.alpn.as_deref()));
        let mut sorted = self.ciphers.clone();
        sorted.sort_unstable();
        let mut kept: Vec<u16> = self.extensions.iter().copied().filter(|kind| !matches!(*kind, SERVER_NAME | ALPN)).collect();
        kept.sort_unstable();
        let mut tail = listed(&kept);
        if !self.signatures.is_empty() {
            let _ = write!(tail, "_{}", listed(&self.signatures));
        }
        (head, listed(&sorted), tail)
    }
}

/// Values set aside so that servers learn to skip what they do not know: two equal bytes that end in `a`.
fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// First and last letter of a protocol's name, or of its hexadecimal form where they are no letters or digits.
fn ends(protocol: Option<&[u8]>) -> String {
    let Some((first, last)) = protocol.and_then(|name| name.first().zip(name.last())) else { return "00".to_owned() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(*first), char::from(*last)].iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 0x0f)
}

fn listed(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for (at, number) in numbers.iter().enumerate() {
        let _ = write!(text, "{}{number:04x}", if at > 0 { "," } else { "" });
    }
    text
}

/// The first twelve digits of a list's hash; zeros for an empty list.
fn digest(list: &str) -> String {
    if list.is_empty() {
        return "0".repeat(12);
    }
    let mut text = String::with_capacity(12);
    for byte in Sha256::digest(list.as_bytes()).iter().take(6) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A hello with one cipher suite and these extensions, in records of so many bytes.
    fn hello(extensions: &[(u16, &[u8])], record: usize) -> Vec<u8> {
        let mut list = Vec::new();
        for (kind, content) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            list.extend(*content);
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x1a, 0x1a, 0x13, 0x01, 1, 0]);
        body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
        body.extend(list);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO], &length[1..], &body].concat();
        let head = |piece: &[u8]| [&[HANDSHAKE, 3, 1][..], &u16::try_from(piece.len()).unwrap().to_be_bytes(), piece].concat();
        message.chunks(record).flat_map(head).collect()
    }

    #[test]
    fn a_hello_is_read_from_any_records_once_it_is_whole() {
        let extensions: &[(u16, &[u8])] =
            &[(0x2a2a, &[]), (ALPN, &[0, 3, 2, b'h', b'2']), (SUPPORTED_VERSIONS, &[4, 0x3a, 0x3a, 3, 4])];
        for record in [1, 5, 40, 16_000] {
            let bytes = hello(extensions, record);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Ok(None), "{record} {end}");
            }
            let read = read(&bytes).unwrap().unwrap();
            assert_eq!(
                (read.version, &*read.ciphers, &*read.extensions, read.grease),
                (0x0304, &[0x1301][..], &[ALPN, SUPPORTED_VERSIONS][..], true)
            );
            assert!(read.ja4().starts_with("t13i0102h2_"), "{}", read.ja4());
        }
    }

    #[test]
    fn odd_protocol_names_and_empty_lists_have_their_forms() {
        assert_eq!((ends(None), ends(Some(b"h2")), ends(Some(b"h"))), ("00".to_owned(), "h2".to_owned(), "hh".to_owned()));
        assert_eq!(ends(Some(&[0xab, 0xcd])), "ad");
        assert_eq!(Hello::default().ja4(), "t00i000000_000000000000_000000000000");
    }

    #[test]
    fn what_is_no_hello_is_told() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(NoHello::NotTls));
        assert_eq!(read(b"G"), Err(NoHello::NotTls));
        assert_eq!(read(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Err(NoHello::Broken));
        assert_eq!(read(&[22, 3, 1, 0, 0]), Err(NoHello::NotTls));
        assert_eq!(read(&[22, 3, 1, 0, 4, 1, 0xff, 0, 0]), Err(NoHello::Broken));
        let mut cut = hello(&[(ALPN, &[0, 3])], 16_000);
        let place = cut.len() - 3;
        cut[place] = 9;
        assert_eq!(read(&cut), Err(NoHello::Broken));
        assert_eq!(read(&[22, 3, 1, 0, 1, 1].repeat(3_000)), Err(NoHello::Broken));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..300, value in any::<u8>()) {
            let _ = read(&bytes);
            let mut changed = hello(&[(SIGNATURE_ALGORITHMS, &[0, 2, 4, 3]), (ALPN, &[0, 3, 2, b'h', b'2'])], 30);
            let place = at % changed.len();
            changed[place] = value;
            let _ = read(&changed).map(|hello| hello.map(|hello| hello.ja4()));
        }
    }
}
