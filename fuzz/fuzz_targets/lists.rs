//! Lists of any bytes are read or refused with faults that have a place.
#![no_main]

use clicksieve::lists::Mmdb;
use clicksieve::lists::parse_numbers;
use clicksieve::lists::parse_prefixes;
use clicksieve::lists::parse_words;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let faults = [
        parse_prefixes("list", bytes).err(),
        parse_numbers("list", bytes).err(),
        parse_words("list", bytes).err(),
        Mmdb::load("list", bytes.to_vec()).err().map(|fault| vec![fault]),
    ];
    assert!(faults.iter().flatten().all(|faults| !faults.is_empty() && faults.len() <= 22));
});
