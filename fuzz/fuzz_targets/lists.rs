//! Lists of any bytes are read or refused with faults that have a place.
#![no_main]

use clicksieve::lists::Column;
use clicksieve::lists::Format;
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
    let forms = [
        Format::Text,
        Format::Csv(Column::Number(2)),
        Format::Csv(Column::Name("network".to_owned())),
        Format::Json(None),
        Format::Json(Some("cidr".to_owned())),
        Format::Misp,
    ];
    let by_form = forms.iter().flat_map(|form| [form.networks("list", bytes).err(), form.numbers("list", bytes).err()]);
    let faults: Vec<_> = faults.into_iter().chain(by_form).collect();
    assert!(faults.iter().flatten().all(|faults| !faults.is_empty() && faults.len() <= 22));
});
