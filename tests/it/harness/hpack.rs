//! Reads the fields of a head of HTTP/2 (RFC 7541), as a client does whose table is empty: literals, and the entries that
//! both sides know. So a test sees each name and value as bytes. Must not know what they mean.
#![allow(dead_code, reason = "`tests/system` shares this folder")]

/// How many bits each byte has in Huffman's code (RFC 7541 appendix B). Codes of one length follow each other in the order
/// of their bytes, so that these lengths say it all.
const BITS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7,
    6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24,
    23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27,
    26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
    24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The names of the entries that both sides know (RFC 7541 appendix A), from 1.
const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-
    encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-
    since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-
    agent",
    "vary",
    "via",
    "www-authenticate",
];

/// The values that some of them have, by their number.
const VALUES: [(usize, &str); 14] = [
    (2, "GET"),
    (3, "POST"),
    (4, "/"),
    (5, "/index.html"),
    (6, "http"),
    (7, "https"),
    (8, "200"),
    (9, "204"),
    (10, "206"),
    (11, "304"),
    (12, "400"),
    (13, "404"),
    (14, "500"),
    (16, "gzip, deflate"),
];

/// A field as it came.
pub type Field = (String, Vec<u8>);

/// The fields of a whole block.
pub fn fields(block: &[u8]) -> Vec<Field> {
    let (mut block, mut fields) = (block, Vec::new());
    while let Some(first) = block.first().copied() {
        match first {
            // Both name and value are known.
            0x80.. => fields.push(known(number(&mut block, 7))),
            // A change of the table's size.
            0x20..0x40 => drop(number(&mut block, 5)),
            // A literal, with a name that is known or its own.
            _ => {
                let known_as = number(&mut block, if first >= 0x40 { 6 } else { 4 });
                let name = if known_as == 0 { String::from_utf8(text(&mut block)).unwrap() } else { known(known_as).0 };
                fields.push((name, text(&mut block)));
            }
        }
    }
    fields
}

fn known(number: usize) -> Field {
    let value = VALUES.iter().find(|(of, _)| *of == number).map_or("", |(_, value)| value);
    (NAMES[number - 1].to_owned(), value.as_bytes().to_vec())
}

/// A number with a prefix of so many bits (RFC 7541 section 5.1).
fn number(block: &mut &[u8], prefix: u32) -> usize {
    let full = (1 << prefix) - 1;
    let mut take = || {
        let first = block[0];
        *block = &block[1..];
        usize::from(first)
    };
    let mut number = take() & full;
    if number < full {
        return number;
    }
    let mut shift = 0;
    loop {
        let next = take();
        number += (next & 0x7f) << shift;
        shift += 7;
        if next & 0x80 == 0 {
            return number;
        }
    }
}

fn text(block: &mut &[u8]) -> Vec<u8> {
    let coded = block[0] & 0x80 != 0;
    let length = number(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    if coded { decoded(text) } else { text.to_vec() }
}

/// Takes bits until they are the code of a byte; what is left at the end is padding.
fn decoded(coded: &[u8]) -> Vec<u8> {
    let table = codes();
    let (mut bits, mut taken, mut text) = (0_u32, 0_u8, Vec::new());
    for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
        (bits, taken) = (bits << 1 | bit, taken + 1);
        if let Ok(place) = table.binary_search_by_key(&(taken, bits), |(length, code, _)| (*length, *code)) {
            text.push(table[place].2);
            (bits, taken) = (0, 0);
        }
    }
    assert!(taken < 8 && bits == (1 << taken) - 1, "padding that is none");
    text
}

/// Length, code and byte, in order.
fn codes() -> Vec<(u8, u32, u8)> {
    let mut order: Vec<(u8, u8)> = BITS.iter().zip(0..=u8::MAX).map(|(length, byte)| (*length, byte)).collect();
    order.sort_unstable();
    let (mut code, mut before) = (0, 0);
    order
        .into_iter()
        .map(|(length, byte)| {
            code <<= length - before;
            before = length;
            code += 1;
            (length, code - 1, byte)
        })
        .collect()
}

#[test]
fn fields_are_read_as_the_standards_examples_say() {
    // RFC 7541 sections C.4.1 and C.6.1, and a number of section C.1.2.
    let request = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let read: Vec<(String, String)> =
        fields(request).into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect();
    let expected = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(fields(b"\x48\x82\x64\x02"), [(":status".to_owned(), b"302".to_vec())]);
    assert_eq!(number(&mut &b"\x1f\x9a\x0a"[..], 5), 1_337);
}
