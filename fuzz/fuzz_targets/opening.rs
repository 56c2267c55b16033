//! An HTTP/2 opening of any bytes behind the preface is read or refused.
#![no_main]

use clicksieve::server::shown::opening;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let opened = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], bytes].concat();
    if let Ok(Some(read)) = opening::read(&opened) {
        assert!(read.akamai().len() < 4_096);
    }
});
