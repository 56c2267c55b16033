//! An HTTP/2 opening of any bytes behind the preface is read or refused, and alike however it is cut.
#![no_main]

use clicksieve::server::shown::opening;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let opened = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], bytes].concat();
    let whole = opening::read(&opened);
    if let Ok(Some(read)) = &whole {
        let shown = read.shown();
        assert!(shown.fingerprint.len() < 4_096 && shown.fingerprint.ends_with(&*shown.order));
    }
    let mut reader = opening::Reader::default();
    let mut pieces = opened.chunks(usize::from(cut).max(1)).map(|piece| reader.feed(piece));
    let found = pieces.find(|outcome| *outcome != Ok(None)).unwrap_or(Ok(None));
    assert_eq!(whole, found);
});
