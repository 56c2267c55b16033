//! A `ClientHello` of any bytes is read or refused, and a whole one is found again however it is cut.
#![no_main]

use clicksieve::server::shown::hello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(read)) = hello::read(bytes) {
        assert_eq!(read.ja4().len(), 36);
        let half = hello::read(&bytes[..bytes.len() / 2]);
        assert!(matches!(half, Ok(None)) || half.is_err() || half == Ok(Some(read)));
    }
});
