//! What rules ask of facts, as one small number for each: the code of a word, the range a number lies in, whether a text is
//! there. Sheets that are equal settle the same tests alike; what a sheet cannot settle is open and asked of the facts. Nothing
//! is allocated for a sheet. Must not know rows or points.

use crate::click::Field;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Value;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::condition::Test;
use crate::rules::condition::Truth;

/// Numbers on a sheet; what is asked for beyond is open.
const SLOTS: usize = 128;
/// A sheet in words.
pub(super) type Words = [u64; SLOTS / 8];
/// Each code is a bit of a word.
const CODES: u8 = 64;
/// Comparing with more of them costs more than asking.
const MOST_WORDS: usize = 16;
const UNKNOWN: u8 = 0;
const MISSING: u8 = 1;
/// A text that is there, or the first range of a number.
const THERE: u8 = 2;
/// The last slot belongs to nobody and holds 0: what has no slot looks there.
const NOBODYS: usize = SLOTS - 1;

/// The answers of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sheet([u8; SLOTS]);

impl Sheet {
    /// A sheet by its first answer.
    #[cfg(test)]
    pub(super) fn of_first(code: u8) -> Self {
        let mut sheet = Self([UNKNOWN; SLOTS]);
        sheet.0[0] = code;
        sheet
    }

    /// The same in words, to be compared and hashed.
    pub(super) fn words(&self) -> Words {
        let mut words = Words::default();
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }
}

/// A number's slot: each range begins at one of these.
type Edges = Box<[i64]>;

/// Where on a sheet the facts stand that a policy asks for.
#[derive(Debug)]
pub(super) struct Slots {
    /// All bits set where a coded fact is asked for.
    coded: [u8; FactName::CODED.len()],
    /// Behind the coded facts stand numbers, then counters, then texts.
    numbers: Vec<(FactName, Edges)>,
    counters: Vec<(usize, Edges)>,
    texts: Vec<Text>,
}

/// A text's slot.
#[derive(Debug)]
struct Text {
    subject: Subject,
    /// Where a request's field is gathered.
    field: Option<Field>,
    /// Whatever its tests compare it with, if comparing is all they do; which of them it is settles them.
    words: Option<Box<[Box<str>]>>,
}

impl Text {
    fn of(subject: &Subject, tests: &[(&Subject, &Test)]) -> Self {
        let field = match subject {
            Subject::Header(name) => Field::of(name.as_str()),
            Subject::Fact(_) | Subject::Counter(_) => None,
        };
        Self { subject: subject.clone(), field, words: words(subject, tests) }
    }

    /// What facts say.
    fn code(&self, facts: &Facts<'_>, source: Source<'_>) -> u8 {
        if let (Some(field), Some(sent)) = (self.field, facts.sent) {
            let Some(value) = sent.value(field) else { return MISSING };
            let text = value.as_bytes();
            // As `field_text` has it.
            return if text.is_ascii() { self.word(text).unwrap_or(THERE) } else { UNKNOWN };
        }
        match source.value(&self.subject) {
            Value::Unknown => UNKNOWN,
            Value::Missing => MISSING,
            Value::Text(text) => self.word(text.as_bytes()).unwrap_or(THERE),
            _ => THERE,
        }
    }

    /// The code of a text that is one of the words.
    fn word(&self, text: &[u8]) -> Option<u8> {
        let word = self.words.as_ref()?.iter().position(|word| word.as_bytes() == text)?;
        Some(THERE + 1 + u8::try_from(word).ok()?)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { coded: [0; FactName::CODED.len()], numbers: Vec::new(), counters: Vec::new(), texts: Vec::new() }
    }
}

/// How a test reads a sheet: a bit for each code by which it is settled, or open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    slot: usize,
    yes: u64,
    no: u64,
    open: u64,
}

impl Probe {
    /// What the sheet says; `None` if the facts have to be asked.
    pub(super) fn truth(&self, sheet: &Sheet) -> Option<Truth> {
        let bit = bit(sheet.0.get(self.slot).copied().unwrap_or(UNKNOWN));
        if self.yes & bit != 0 {
            Some(Truth::True)
        } else if self.no & bit != 0 {
            Some(Truth::False)
        } else if self.open & bit != 0 {
            None
        } else {
            Some(Truth::Unknown)
        }
    }

    /// Whether there are sheets that leave it open.
    pub(super) fn may_be_open(&self) -> bool {
        self.open != 0
    }

    fn note(&mut self, code: u8, truth: Truth) {
        match truth {
            Truth::True => self.yes |= bit(code),
            Truth::False => self.no |= bit(code),
            Truth::Unknown => {}
        }
    }
}

fn bit(code: u8) -> u64 {
    1_u64.wrapping_shl(u32::from(code))
}

impl Slots {
    /// The slots for all that these conditions ask.
    pub(super) fn of<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Self {
        let mut tests = Vec::new();
        conditions.for_each(|condition| condition.tests(&mut tests));
        let mut slots = Self::default();
        for (subject, _) in &tests {
            slots.take_in(subject, &tests);
        }
        slots
    }

    fn take_in(&mut self, subject: &Subject, tests: &[(&Subject, &Test)]) {
        let full = self.taken() >= NOBODYS;
        match subject {
            Subject::Fact(name) => {
                if let Some(place) = FactName::CODED.iter().position(|coded| coded == name) {
                    self.coded.iter_mut().skip(place).take(1).for_each(|mask| *mask = u8::MAX);
                } else if self.place(subject).is_none() && !full {
                    match edges(subject, tests).filter(|_| FactName::NUMBERS.contains(name)) {
                        Some(edges) => self.numbers.push((*name, edges)),
                        None => self.texts.push(Text::of(subject, tests)),
                    }
                }
            }
            Subject::Counter(asked) if self.place(subject).is_none() && !full => {
                self.counters.extend(edges(subject, tests).map(|edges| (asked.place, edges)));
            }
            Subject::Header(_) if self.place(subject).is_none() && !full => self.texts.push(Text::of(subject, tests)),
            Subject::Counter(_) | Subject::Header(_) => {}
        }
    }

    fn taken(&self) -> usize {
        FactName::CODED.len() + self.numbers.len() + self.counters.len() + self.texts.len()
    }

    /// Where a subject's answer stands; `None` where it has none.
    fn place(&self, subject: &Subject) -> Option<usize> {
        let counters = FactName::CODED.len() + self.numbers.len();
        match subject {
            Subject::Fact(name) => {
                let coded = FactName::CODED.iter().position(|coded| coded == name);
                let number = || Some(FactName::CODED.len() + self.numbers.iter().position(|(number, _)| number == name)?);
                coded.or_else(number).or_else(|| self.text_place(subject))
            }
            Subject::Counter(asked) => Some(counters + self.counters.iter().position(|(place, _)| *place == asked.place)?),
            Subject::Header(_) => self.text_place(subject),
        }
    }

    fn text_place(&self, subject: &Subject) -> Option<usize> {
        let texts = FactName::CODED.len() + self.numbers.len() + self.counters.len();
        Some(texts + self.texts.iter().position(|text| text.subject == *subject)?)
    }

    /// How a test reads a sheet.
    pub(super) fn probe(&self, subject: &Subject, test: &Test) -> Probe {
        let Some(slot) = self.place(subject) else { return Probe { slot: NOBODYS, open: bit(UNKNOWN), ..Probe::default() } };
        let mut probe = Probe { slot, ..Probe::default() };
        probe.note(MISSING, test.truth(Value::Missing));
        match (subject, self.edges(subject)) {
            (_, Some(edges)) => {
                for (code, number) in (THERE..CODES).zip(std::iter::once(i64::MIN).chain(edges.iter().copied())) {
                    probe.note(code, test.truth(Value::Number(number)));
                }
            }
            (Subject::Fact(name), None) if FactName::CODED.contains(name) => {
                (THERE..CODES).for_each(|code| probe.note(code, test.truth(name.of_code(code))));
            }
            (_, None) => self.note_text(&mut probe, subject, test),
        }
        probe
    }

    fn note_text(&self, probe: &mut Probe, subject: &Subject, test: &Test) {
        let words = self.texts.iter().find(|text| text.subject == *subject).and_then(|text| text.words.as_ref());
        for (code, word) in (THERE + 1..CODES).zip(words.into_iter().flatten()) {
            probe.note(code, test.truth(Value::Text(word)));
        }
        match (test, words) {
            // What is there is not missing, whatever it is.
            (Test::Missing(wanted), _) => probe.note(THERE, if *wanted { Truth::False } else { Truth::True }),
            // It is none of the words.
            (Test::AnyOf(_), Some(_)) => probe.note(THERE, Truth::False),
            (Test::NoneOf(_), Some(_)) => probe.note(THERE, Truth::True),
            _ => probe.open = bit(THERE),
        }
    }

    fn edges(&self, subject: &Subject) -> Option<&Edges> {
        match subject {
            Subject::Fact(name) => self.numbers.iter().find(|(number, _)| number == name).map(|(_, edges)| edges),
            Subject::Counter(asked) => self.counters.iter().find(|(place, _)| *place == asked.place).map(|(_, edges)| edges),
            Subject::Header(_) => None,
        }
    }

    /// What facts say, on a sheet. `source` is these facts, or what a file declares of them.
    pub(super) fn sheet(&self, facts: &Facts<'_>, source: Source<'_>) -> Sheet {
        let mut sheet = Sheet([UNKNOWN; SLOTS]);
        let mut slots = sheet.0.iter_mut();
        for ((code, asked), slot) in facts.codes().iter().zip(&self.coded).zip(slots.by_ref()) {
            *slot = code & asked;
        }
        for ((name, edges), slot) in self.numbers.iter().zip(slots.by_ref()) {
            *slot = range(facts.number(*name), edges);
        }
        for ((place, edges), slot) in self.counters.iter().zip(slots.by_ref()) {
            let count = facts.behaviour.counts.get(*place).copied().flatten();
            *slot = range(count.map(i64::from), edges);
        }
        for (text, slot) in self.texts.iter().zip(slots) {
            *slot = text.code(facts, source);
        }
        if let Source::Declared(_, known) = source {
            for ((name, asked), slot) in FactName::CODED.iter().zip(&self.coded).zip(&mut sheet.0) {
                if let Some(value) = known.value(*name) {
                    *slot = name.code_of(value) & asked;
                }
            }
        }
        sheet
    }
}

/// The code of the range that a number lies in.
fn range(number: Option<i64>, edges: &[i64]) -> u8 {
    let Some(number) = number else { return UNKNOWN };
    let below = edges.iter().take_while(|edge| **edge <= number).count();
    u8::try_from(below).map_or(UNKNOWN, |below| THERE.saturating_add(below))
}

/// The texts that a subject is compared with; `None` where its tests do more than compare it with a few of them.
fn words(subject: &Subject, tests: &[(&Subject, &Test)]) -> Option<Box<[Box<str>]>> {
    let mut words: Vec<Box<str>> = Vec::new();
    for (_, test) in tests.iter().filter(|(of, _)| *of == subject) {
        match test {
            Test::Missing(_) => {}
            Test::AnyOf(values) | Test::NoneOf(values) => {
                for value in values {
                    let Literal::Text(text) = value else { return None };
                    words.push(text.clone());
                }
            }
            _ => return None,
        }
    }
    words.sort_unstable();
    words.dedup();
    (words.len() < MOST_WORDS).then(|| words.into())
}

/// Where the answer of any of the tests of a number changes; `None` where that cannot be told by ranges, or by too many.
fn edges(subject: &Subject, tests: &[(&Subject, &Test)]) -> Option<Edges> {
    let mut edges = Vec::new();
    let mut between = |low: i64, high: i64| {
        edges.extend((low > i64::MIN).then_some(low));
        edges.extend(high.checked_add(1));
    };
    for (_, test) in tests.iter().filter(|(of, _)| *of == subject) {
        match test {
            Test::Within(low, high) => between(*low, *high),
            Test::AnyOf(values) | Test::NoneOf(values) => {
                for value in values {
                    if let Literal::Number(number) = value {
                        between(*number, *number);
                    }
                }
            }
            Test::Missing(_) => {}
            Test::In(_) | Test::NotIn(_) | Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => return None,
        }
    }
    edges.sort_unstable();
    edges.dedup();
    (edges.len() < usize::from(CODES - THERE)).then(|| edges.into())
}
