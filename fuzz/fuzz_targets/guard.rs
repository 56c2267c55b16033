//! The head guard finds the same in a stream of any bytes however it is cut, and notes the same names.
#![no_main]

use clicksieve::server::guard::Guard;
use clicksieve::server::guard::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, stream) = input;
    let guard = || Guard::new(Limits { line: 512, head: 4_096, fields: 20 });
    let (mut whole, mut cutter) = (guard(), guard());
    let first = whole.follow(stream, false).err().map(|(_, fault)| fault);
    let second = stream.chunks(usize::from(cut).max(1)).find_map(|piece| cutter.follow(piece, false).err());
    assert_eq!(first, second.map(|(_, fault)| fault));
    assert_eq!(whole.last_head(), cutter.last_head());
    assert!(whole.last_head().1.len() <= 4_096);
});
