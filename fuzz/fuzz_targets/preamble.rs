//! A PROXY protocol preamble of any bytes is read or refused, and never reads on into what is behind it.
#![no_main]

use clicksieve::server::preamble;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    // Nothing is waited for: the bytes are all there, or end.
    let read = preamble::read(&mut rest).now_or_never().expect("bytes at hand");
    if read.is_ok() {
        let mut alone = &bytes[..bytes.len() - rest.len()];
        let again = preamble::read(&mut alone).now_or_never().expect("bytes at hand");
        assert_eq!(again.ok(), read.ok());
        assert!(alone.is_empty());
    }
});
