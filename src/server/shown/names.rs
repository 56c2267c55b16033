//! The order of the names in an HTTP/2 field block, as far as its pseudo-header fields go (RFC 7541, RFC 9113 section
//! 8.3). Values are skipped. Promises: bounded work on any bytes. Must not know frames.

/// The letters of the pseudo-header fields at the front of a block: `m`ethod, `a`uthority, `s`cheme, `p`ath. It ends at the
/// first other field or where the block does not read.
pub(super) fn pseudo(block: &[u8]) -> Vec<char> {
    let mut reader = Reader { rest: block, added: Vec::new() };
    let mut order = Vec::new();
    // No sound block has more than these four and `:protocol` (RFC 8441).
    while order.len() < 8 {
        match reader.field() {
            Some(Field::Pseudo(letter)) => order.push(letter),
            Some(Field::Update) => {}
            Some(Field::Other) | None => break,
        }
    }
    order
}

enum Field {
    Pseudo(char),
    Other,
    /// A change of the table's size, which is no field.
    Update,
}

struct Reader<'a> {
    rest: &'a [u8],
    /// The names this block added to the table, the oldest first.
    added: Vec<Option<char>>,
}

impl Reader<'_> {
    fn field(&mut self) -> Option<Field> {
        let first = *self.rest.first()?;
        if first & 0x80 != 0 {
            let index = self.number(7)?;
            return Some(self.name_at(index).map_or(Field::Other, Field::Pseudo));
        }
        if first & 0xe0 == 0x20 {
            self.number(5)?;
            return Some(Field::Update);
        }
        let is_added = first & 0x40 != 0;
        let index = self.number(if is_added { 6 } else { 4 })?;
        let name = if index == 0 { letter(self.text()?) } else { self.name_at(index) };
        self.text()?;
        if is_added {
            self.added.push(name);
        }
        Some(name.map_or(Field::Other, Field::Pseudo))
    }

    fn name_at(&self, index: usize) -> Option<char> {
        match index {
            1 => Some('a'),
            2 | 3 => Some('m'),
            4 | 5 => Some('p'),
            6 | 7 => Some('s'),
            _ => self.added.len().checked_sub(index.checked_sub(61)?).and_then(|at| self.added.get(at)).copied().flatten(),
        }
    }

    /// An integer of RFC 7541 section 5.1 behind a prefix of so many bits.
    fn number(&mut self, bits: u32) -> Option<usize> {
        let (first, mut rest) = self.rest.split_first()?;
        let mask = (1_usize << bits) - 1;
        let mut number = usize::from(*first) & mask;
        if number == mask {
            for shift in [0, 7, 14, 21] {
                let (byte, after) = rest.split_first()?;
                rest = after;
                number = number.checked_add(usize::from(byte & 0x7f) << shift)?;
                if byte & 0x80 == 0 {
                    self.rest = rest;
                    return Some(number);
                }
            }
            return None;
        }
        self.rest = rest;
        Some(number)
    }

    /// A string literal's bytes as they stand, coded or not.
    fn text(&mut self) -> Option<(bool, &[u8])> {
        let is_coded = self.rest.first()? & 0x80 != 0;
        let length = self.number(7)?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some((is_coded, text))
    }
}

/// The letter of a pseudo-header field that is written out. Its coded forms are those of RFC 7541 appendix B.
fn letter((is_coded, name): (bool, &[u8])) -> Option<char> {
    match (is_coded, name) {
        (false, b":method") | (true, [0xb9, 0x49, 0x53, 0x39, 0xe4]) => Some('m'),
        (false, b":authority") | (true, [0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]) => Some('a'),
        (false, b":scheme") | (true, [0xb8, 0x82, 0x4e, 0x5a, 0x4b]) => Some('s'),
        (false, b":path") | (true, [0xb9, 0x58, 0xd3, 0x3f]) => Some('p'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_told_from_every_form() {
        // Indexed, literal with an indexed name, literal with its name, a change of the table's size, then another field.
        let block =
            [&[0x3f, 0xe1, 0x1f, 0x82, 0x41, 1, b'x', 0x00, 7][..], b":scheme", &[1, b'x', 0x04, 1, b'/', 0x90, 0x84]].concat();
        assert_eq!(pseudo(&block), ['m', 'a', 's', 'p']);
        // What this block added is found again.
        assert_eq!(pseudo(&[&[0x40, 5][..], b":path", &[1, b'/', 0xbe, 0xc0]].concat()), ['p', 'p']);
    }

    #[test]
    fn the_coded_names_are_those_of_the_standard() {
        // The codes of RFC 7541 appendix B for the letters that occur, as bits.
        let code = |letter: char| match letter {
            ':' => "1011100",
            'a' => "00011",
            'c' => "00100",
            'd' => "100100",
            'e' => "00101",
            'h' => "100111",
            'i' => "00110",
            'm' => "101001",
            'o' => "00111",
            'p' => "101011",
            'r' => "101100",
            's' => "01000",
            't' => "01001",
            'u' => "101101",
            'y' => "1111010",
            other => panic!("{other}"),
        };
        for (name, expected) in [(":method", 'm'), (":authority", 'a'), (":scheme", 's'), (":path", 'p')] {
            let bits: String = name.chars().map(code).collect();
            let padded = format!("{bits}{}", "1".repeat(bits.len().next_multiple_of(8) - bits.len()));
            let bytes: Vec<u8> = padded
                .as_bytes()
                .chunks(8)
                .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
                .collect();
            assert_eq!(letter((true, &bytes)), Some(expected), "{name}: {bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_blocks_never_panic(block in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(pseudo(&block).len() <= 8);
        }
    }
}
