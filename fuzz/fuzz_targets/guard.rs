//! The head guard finds the same in a stream of any bytes however it is cut.
#![no_main]

use clicksieve::server::guard::Guard;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, stream) = input;
    let whole = Guard::new(4_096).follow(stream, false).err().map(|(_, fault)| fault);
    let mut guard = Guard::new(4_096);
    let pieces = stream.chunks(usize::from(cut).max(1)).find_map(|piece| guard.follow(piece, false).err());
    assert_eq!(whole, pieces.map(|(_, fault)| fault));
});
