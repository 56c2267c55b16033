//! Reads a client's whole first message, over as many records and segments as it comes in, before TLS sees a byte of
//! it (RFC 8446 sections 4 and 5.1). Promises: bounded memory on any bytes. Must not know what is in the message.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// The longest message: one record's worth. A browser's has 0.5 to 2 KiB.
const LONGEST_HELLO: usize = 16 * 1024;
/// The most that is read before a message is whole: the longest one, and the heads of the records it may be cut into.
pub(super) const LONGEST: u64 = 2 * LONGEST_HELLO as u64;

/// Bytes before a record's content: type, version, length.
const RECORD_HEAD: usize = 5;
/// Bytes before a handshake message's content: type, length.
const MESSAGE_HEAD: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What a client began with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// The records of a whole `ClientHello`, and what came in one read with their end.
    Whole(BytesMut),
    /// A request of plain HTTP.
    Plain,
    /// Neither, or too much of it.
    Other,
}

/// Reads until the message is whole or cannot become one.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let mut bytes = BytesMut::with_capacity(2 * 1024);
    loop {
        if from.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match look(&bytes) {
            Look::Whole => return Ok(Hello::Whole(bytes)),
            // Methods are upper-case letters in practice; no TLS record type is one.
            Look::Other if bytes.first().is_some_and(u8::is_ascii_uppercase) => return Ok(Hello::Plain),
            Look::Other => return Ok(Hello::Other),
            Look::More if bytes.len() as u64 >= LONGEST => return Ok(Hello::Other),
            Look::More => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    Whole,
    More,
    Other,
}

/// How far a message has come.
fn look(bytes: &[u8]) -> Look {
    let (mut rest, mut have, mut head) = (bytes, 0_usize, [0_u8; MESSAGE_HEAD]);
    loop {
        match rest.first() {
            None => return Look::More,
            Some(&HANDSHAKE) => {}
            Some(_) => return Look::Other,
        }
        let Some((record, content)) = rest.split_at_checked(RECORD_HEAD) else { return Look::More };
        let &[_, major, _, high, low] = record else { return Look::Other };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || length == 0 || length > LONGEST_HELLO {
            return Look::Other;
        }
        let come = content.get(..length).unwrap_or(content);
        for (place, byte) in head.iter_mut().skip(have).zip(come) {
            *place = *byte;
        }
        have += come.len();
        let [kind, size @ ..] = head;
        if kind != CLIENT_HELLO && have > 0 {
            return Look::Other;
        }
        let [high, middle, low] = size.map(usize::from);
        let size = (high << 16 | middle << 8 | low) + MESSAGE_HEAD;
        if have >= MESSAGE_HEAD && size > LONGEST_HELLO {
            return Look::Other;
        }
        if have >= MESSAGE_HEAD && have >= size {
            return Look::Whole;
        }
        let Some(next) = content.get(length..) else { return Look::More };
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message of so many bytes, cut into records of at most `piece`.
    fn records(size: usize, piece: usize) -> Vec<u8> {
        let length = u32::try_from(size).unwrap().to_be_bytes();
        let mut message = vec![CLIENT_HELLO, length[1], length[2], length[3]];
        message.resize(MESSAGE_HEAD + size, 7);
        let record = |part: &[u8]| {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1, length[0], length[1]], part].concat()
        };
        message.chunks(piece).flat_map(record).collect()
    }

    #[test]
    fn a_message_is_whole_with_its_last_byte_and_not_before() {
        for piece in [1, 2, 3, 5, 100, 16_000] {
            let bytes = records(300, piece);
            assert!((0..bytes.len()).all(|end| look(&bytes[..end]) == Look::More), "{piece}");
            assert_eq!(look(&bytes), Look::Whole, "{piece}");
        }
    }

    #[test]
    fn what_is_no_hello_is_known_at_once() {
        assert_eq!(look(b"G"), Look::Other);
        assert_eq!(look(&[HANDSHAKE, 2, 0, 0, 5]), Look::Other);
        assert_eq!(look(&[HANDSHAKE, 3, 1, 0, 0]), Look::Other);
        assert_eq!(look(&[HANDSHAKE, 3, 1, 0, 1, 2]), Look::Other);
    }

    #[test]
    fn a_message_that_says_it_is_huge_is_none() {
        assert_eq!(look(&[HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 1, 0, 0]), Look::Other);
        assert_eq!(look(&[HANDSHAKE, 3, 1, 0xff, 0xff]), Look::Other);
    }

    #[tokio::test]
    async fn records_without_an_end_are_read_only_so_far() {
        let mut endless = records(16_000, 1);
        endless.truncate(90_000);
        let mut from = &endless[..];
        assert_eq!(read(&mut from).await.unwrap(), Hello::Other);
        assert!(u64::try_from(endless.len() - from.len()).unwrap() < 2 * LONGEST);
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            look(&bytes);
        }
    }
}
