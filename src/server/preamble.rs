//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a load balancer that passes bytes on says first
//! whose they are. Promises: not a byte behind the preamble is read; bounded work on any bytes. Must not know who may say it.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// Begins version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Begins version 1.
const WORD: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, with its end.
const LINE: usize = 107;
/// Signature, command, family and length of version 2.
const FIXED: usize = 16;
/// The most that may follow it. Addresses take 36 bytes; the rest are extensions, which are skipped.
const FOLLOWS: usize = 4_096;

/// Why there is no preamble.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes are none.
    #[error("no PROXY protocol preamble of version 1 or 2")]
    Malformed,
    /// The connection failed or ended before its end.
    #[error("the connection ended within the preamble")]
    Ended(#[source] io::Error),
}

/// What is to be done after some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// So many more belong to the preamble for sure.
    More(usize),
    /// It is complete: the visitor's address, or none where the balancer speaks for itself.
    Done(Option<SocketAddr>),
}

/// Reads a preamble: the visitor's address, or none where the balancer speaks for itself (`LOCAL`, `UNKNOWN`).
pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Fault> {
    let mut bytes = Vec::with_capacity(FIXED + 36);
    loop {
        match step(&bytes).ok_or(Fault::Malformed)? {
            Step::Done(visitor) => return Ok(visitor),
            Step::More(count) => {
                let had = bytes.len();
                bytes.resize(had + count, 0);
                io.read_exact(bytes.get_mut(had..).unwrap_or_default()).await.map_err(Fault::Ended)?;
            }
        }
    }
}

/// Looks at the preamble so far; nothing where it is none.
fn step(bytes: &[u8]) -> Option<Step> {
    if bytes.is_empty() {
        // The shorter of `PROXY UNKNOWN\r\n` and version 2's fixed part is longer.
        return Some(Step::More(SIGNATURE.len()));
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    let rest = bytes.strip_prefix(WORD)?;
    if let Some(line) = rest.strip_suffix(b"\r\n") {
        return words(line);
    }
    // One at a time, so that nothing behind the line is read.
    (bytes.len() < LINE && !bytes.contains(&b'\n')).then_some(Step::More(1))
}

fn words(line: &[u8]) -> Option<Step> {
    let text = std::str::from_utf8(line).ok()?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Step::Done(None));
    }
    let words: Vec<&str> = text.split(' ').collect();
    let &[family, source, destination, port, port_here] = words.as_slice() else { return None };
    let (source, destination): (IpAddr, IpAddr) = (source.parse().ok()?, destination.parse().ok()?);
    let of_family = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (port, _) = (number(port)?, number(port_here)?);
    of_family.then(|| Step::Done(Some(SocketAddr::new(source, port))))
}

fn binary(bytes: &[u8]) -> Option<Step> {
    let Some((head, rest)) = bytes.split_at_checked(FIXED) else { return Some(Step::More(FIXED - bytes.len())) };
    let &[command, family, high, low] = head.get(SIGNATURE.len()..)? else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > FOLLOWS {
        return None;
    }
    if rest.len() < length {
        return Some(Step::More(length - rest.len()));
    }
    match command {
        // LOCAL: the balancer's own look at our health.
        0x20 => Some(Step::Done(None)),
        0x21 => visitor(family, rest),
        _ => None,
    }
}

/// The address of a proxied connection; families without one (unspecified, Unix sockets) name nobody.
fn visitor(family: u8, rest: &[u8]) -> Option<Step> {
    let address = match family {
        0x11 => {
            let (addresses, _) = rest.split_first_chunk::<12>()?;
            let &[a, b, c, d, _, _, _, _, high, low, _, _] = addresses;
            SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
        }
        0x21 => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let (_, ports) = rest.split_first_chunk::<16>()?;
            let (port, rest) = ports.split_first_chunk::<2>()?;
            rest.split_first_chunk::<2>()?;
            SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes(*port))
        }
        0x00 | 0x31 | 0x32 => return Some(Step::Done(None)),
        _ => return None,
    };
    Some(Step::Done(Some(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read, and what is left behind it.
    fn given(bytes: &[u8]) -> Option<(Option<String>, usize)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let visitor = runtime.block_on(read(&mut rest)).ok()?;
        Some((visitor.map(|address| address.to_string()), rest.len()))
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: &[u8] = &[203, 0, 113, 9, 192, 0, 2, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn the_line_of_version_1_names_the_visitor() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.9 192.0.2.1 8080 80\r\nGET", Some("203.0.113.9:8080")),
            ("PROXY TCP6 2001:db8::9 2001:db8::1 1 80\r\nGET", Some("[2001:db8::9]:1")),
            ("PROXY UNKNOWN\r\nGET", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET", None),
        ] {
            assert_eq!(given(line.as_bytes()), Some((expected.map(str::to_owned), 3)), "{line:?}");
        }
    }

    #[test]
    fn version_2_names_the_visitor_and_its_extensions_are_skipped() {
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        for (bytes, expected) in [
            (second(0x21, 0x11, V4), Some("203.0.113.9:8080")),
            (second(0x21, 0x11, &[V4, &[4, 0, 3, 1, 2, 3]].concat()), Some("203.0.113.9:8080")),
            (second(0x21, 0x21, &v6), Some("[2001:db8::9]:0")),
            (second(0x20, 0x11, V4), None),
            (second(0x20, 0x00, &[]), None),
            (second(0x21, 0x00, &[1, 2, 3]), None),
            (second(0x21, 0x31, &[0; 216]), None),
        ] {
            let stream = [&bytes[..], b"GET"].concat();
            assert_eq!(given(&stream), Some((expected.map(str::to_owned), 3)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let mut large = second(0x21, 0x11, V4);
        large[14] = 0xff;
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        for bytes in [
            &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.9 192.0.2.1 8080\r\n",
            b"PROXY TCP4 2001:db8::9 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 +1 2\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\nGET",
            b"PROXY  TCP4 203.0.113.9 192.0.2.1 1 2\r\n",
            b"PROXY UDP4 203.0.113.9 192.0.2.1 1 2\r\n",
            b"proxy TCP4 203.0.113.9 192.0.2.1 1 2\r\n",
            long.as_bytes(),
            &second(0x11, 0x11, V4),
            &second(0x22, 0x11, V4),
            &second(0x21, 0x12, V4),
            &second(0x21, 0x11, &V4[..11]),
            &large,
            &SIGNATURE[..],
            b"",
        ] {
            assert_eq!(given(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_never_are_read_for_ever(
            begin in prop_oneof![Just(SIGNATURE.to_vec()), Just(WORD.to_vec()), Just(b"PROXY TCP4 ".to_vec()), Just(Vec::new())],
            rest in prop::collection::vec(any::<u8>(), 0..9_000),
        ) {
            let stream = [begin, rest].concat();
            if let Some((_, left)) = given(&stream) {
                prop_assert!(stream.len() - left <= FIXED + FOLLOWS);
            }
        }
    }
}
