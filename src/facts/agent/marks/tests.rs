//! Marks found in one pass against a search for each of them alone.

use super::*;
use crate::facts::agent::words::version_after;
use proptest::prelude::*;
use std::sync::LazyLock;

static MARKS: LazyLock<Marks> = LazyLock::new(|| Marks::new().unwrap());

/// Where a word begins that is there, letters' case as it is written.
fn places(text: &str, word: &str) -> Vec<usize> {
    let at = |at: &usize| text.as_bytes().get(*at..at + word.len()) == Some(word.as_bytes());
    (0..text.len()).filter(at).collect()
}

fn is_letter(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric)
}

fn agrees(text: &str) {
    let seen = MARKS.seen(text);
    let platform = text.split_once('(').map_or("", |(_, after)| after.split(')').next().unwrap());
    assert_eq!(seen.platform(), platform, "{text}");
    let (lower, is_in) = (text.to_ascii_lowercase(), |word: &&str| text.contains(*word));
    for (mark, words) in WORDS {
        let all: Vec<(usize, usize)> =
            words.iter().flat_map(|word| places(text, word).into_iter().map(|at| (at, at + word.len()))).collect();
        assert_eq!(seen.has(mark), words.iter().any(is_in), "{mark:?}: {text}");
        assert_eq!(seen.begins(mark), all.iter().any(|(at, _)| *at == 0 || !is_letter(text, at - 1)), "{mark:?}: {text}");
        assert_eq!(seen.in_platform(mark), words.iter().any(|word| platform.contains(word)), "{mark:?}: {text}");
        let ends = |word: &&str| places(&lower, &word.to_ascii_lowercase()).iter().any(|at| !is_letter(text, at + word.len()));
        assert_eq!(seen.ends(mark), words.iter().any(ends), "{mark:?}: {text}");
        if let [word] = words {
            // `{{{` has the braces twice.
            assert_eq!(seen.repeats(mark), places(text, word).len() > 1, "{mark:?}: {text}");
            assert_eq!(seen.after(mark), text.split_once(word).map(|(_, after)| after), "{mark:?}: {text}");
            assert_eq!(seen.number_after(mark), version_after(text, word), "{mark:?}: {text}");
        }
    }
    assert_eq!(seen.app(), APPS.iter().position(|(word, _)| text.contains(word)), "{text}");
    let version = |(at, (word, _)): (usize, &(&str, &str))| {
        let version = if text.contains(word) { version_after(text, word) } else { None };
        version.map(|version| (at, version))
    };
    assert_eq!(seen.versioned_family(), FAMILIES.iter().enumerate().find_map(version), "{text}");
}

#[test]
fn marks_stand_in_their_order_and_fit_their_sets() {
    for (at, (mark, words)) in WORDS.iter().enumerate() {
        assert_eq!(*mark as usize, at, "{mark:?}");
        assert!(!words.is_empty(), "{mark:?}");
    }
    assert!(WORDS.len() <= 64 && FAMILIES.len() <= 64 && APPS.len() < usize::from(u8::MAX));
}

#[test]
fn agents_of_people_and_robots_show_the_marks_that_plain_searches_find() {
    macro_rules! lines {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/agents/", $name)).lines()
        };
    }
    lines!("people.txt").chain(lines!("robots.txt")).chain(lines!("in-app.txt")).chain(lines!("devices.txt")).for_each(agrees);
}

#[test]
fn a_mark_that_overlaps_itself_is_there_twice() {
    for text in ["${{{", "{{{", "{{a{{", "{{"] {
        agrees(text);
    }
}

/// Words of marks, and what stands between them.
fn pieces() -> Vec<String> {
    let words = WORDS.iter().flat_map(|(_, words)| words.iter().copied()).chain(APPS.iter().map(|(word, _)| *word));
    let between = ["(", ")", " ", ";", "1", "99999999999", "537.36", "/", "é", "x", "Safari/", "Chrome/", "Mozilla/5.0 ("];
    words.chain(FAMILIES.iter().map(|(word, _)| *word)).chain(between).map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn pieces_of_agents_in_any_order_and_case_show_the_marks_that_plain_searches_find(
        pieces in prop::collection::vec((prop::sample::select(pieces()), 0..6_u8), 0..24),
    ) {
        let pieces = pieces.into_iter().map(|(piece, case)| match case {
            0 => piece.to_ascii_lowercase(),
            1 => piece.to_ascii_uppercase(),
            _ => piece,
        });
        agrees(&pieces.collect::<String>());
    }
}
