//! Whether a text can hold any of many words at all: four letters of each word, kept as bits, against all places of the text.
//! Promises: never a no where a word is there, in whatever case; one short look a byte. Must not know what the words mean.

/// Bits kept, a power of two: of some five thousand words one in a hundred is taken, and 64 KiB stay in a near cache.
const BITS: u32 = 1 << 19;

/// What agents of people are made of: letters from here tell no robot. It decides how often the answer is a needless yes,
/// never whether it is right.
const USUAL: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 FxiOS/126.0 GSA/320.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) SamsungBrowser/25.0 Chrome/126.0 [FB_IAB/FB4A;FBAV/468.0;]",
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) [FBAN/FBIOS;FBDV/iPhone12,1;FBLC/en_US] Instagram 336.0 (scale=2.00) compatible",
];

/// Words of which a text may hold one.
#[derive(Debug)]
pub(super) struct Filter(Box<[u64]>);

impl Filter {
    /// A filter of some words; none where one of them is too short to be told by its letters.
    pub(super) fn of<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut filter = Self(vec![0; (BITS / u64::BITS) as usize].into());
        for word in words {
            match word {
                [a, b, c] => (0..=u8::MAX).for_each(|any| filter.add([*a, *b, *c, any])),
                _ => filter.add(telling(word)?),
            }
        }
        Some(filter)
    }

    fn add(&mut self, letters: [u8; 4]) {
        let letters = u32::from_le_bytes(letters.map(|letter| letter.to_ascii_lowercase()));
        for place in places(letters) {
            if let Some(bits) = self.0.get_mut((place / u64::BITS) as usize) {
                *bits |= 1 << (place % u64::BITS);
            }
        }
    }

    /// Whether a text may hold one of the words.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        let mut letters = 0_u32;
        // A word of three letters may be the last.
        text.bytes().chain([0]).any(|byte| {
            letters = (letters >> 8) | (u32::from(byte.to_ascii_lowercase()) << 24);
            places(letters).into_iter().all(|place| self.has(place))
        })
    }

    fn has(&self, place: u32) -> bool {
        self.0.get((place / u64::BITS) as usize).is_some_and(|bits| bits & 1 << (place % u64::BITS) != 0)
    }
}

/// Four letters in a row of a word, if it has as many: the first that are not usual.
fn telling(word: &[u8]) -> Option<[u8; 4]> {
    let usual =
        |letters: &[u8; 4]| USUAL.iter().any(|text| text.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(letters)));
    let mut all = word.windows(4).filter_map(|letters| <[u8; 4]>::try_from(letters).ok());
    let first = all.clone().next();
    all.find(|letters| !usual(letters)).or(first)
}

/// Two places for four letters: where one of them is taken by chance, the other seldom is too.
fn places(letters: u32) -> [u32; 2] {
    const SHIFT: u32 = u32::BITS - BITS.ilog2();
    let mixed = letters.wrapping_mul(0x9e37_79b1);
    let other = (mixed ^ letters.rotate_left(7)).wrapping_mul(0x85eb_ca77);
    [mixed >> SHIFT, other >> SHIFT]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(words: &[&str]) -> Option<Filter> {
        Filter::of(words.iter().map(|word| word.as_bytes()))
    }

    #[test]
    fn what_people_send_holds_none_of_the_words_and_what_robots_send_does() {
        let filter = filter(&["Googlebot", "curl/", "BW/", "Chrome-Lighthouse", "ds9"]).unwrap();
        for usual in USUAL {
            assert!(!filter.may_be_in(usual), "{usual}");
        }
        for robot in ["googleBOT", "CURL/8.5.0", "x BW/1", "ds9", "a ds9", "Chrome-Lighthouse"] {
            assert!(filter.may_be_in(robot), "{robot}");
        }
        assert!(!filter.may_be_in(""));
    }

    #[test]
    fn words_too_short_to_be_told_make_no_filter() {
        assert!(filter(&["Googlebot", "ab"]).is_none());
        assert!(filter(&[""]).is_none());
    }

    proptest! {
        #[test]
        fn a_text_with_a_word_is_never_said_to_have_none(
            words in prop::collection::vec("[ -~\u{e9}]{3,12}", 1..20),
            chosen in any::<prop::sample::Index>(),
            before in "\\PC{0,20}",
            after in "\\PC{0,20}",
            louder in any::<bool>(),
        ) {
            let of_words = Filter::of(words.iter().map(String::as_bytes)).unwrap();
            let word = chosen.get(&words);
            let word = if louder { word.to_ascii_uppercase() } else { word.clone() };
            let text = [before, word, after].concat();
            prop_assert!(of_words.may_be_in(&text), "{}", text);
        }
    }
}
