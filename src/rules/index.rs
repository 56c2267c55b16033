//! The rows of a policy, arranged so that a request is cheap: what a sheet settles is settled for all requests with that sheet
//! and remembered near, and only what is open is asked of the facts, each test once at most. What holds is what
//! [`Condition::truth`] says; the tables of three-valued logic are the same. Must not know points.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::fact::Facts;
use crate::fact::Value;
use crate::near::Epoch;
use crate::rules::condition;
use crate::rules::condition::Condition;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::condition::Test;
use crate::rules::condition::Truth;
use crate::rules::list::List;
use crate::rules::near;
use crate::rules::set::Set;
use crate::rules::sheet::Probe;
use crate::rules::sheet::Sheet;
use crate::rules::sheet::Slots;

/// Rows by number, and their tests.
#[derive(Debug)]
pub(super) struct Index {
    /// By which answers of this policy are known.
    pub(super) epoch: Epoch,
    slots: Slots,
    tests: Box<[Distinct]>,
    rows: Box<[Row]>,
}

/// A test that occurs once or more.
#[derive(Debug)]
struct Distinct {
    subject: Subject,
    test: Test,
    probe: Probe,
    /// The bit by which its outcome is remembered, where a sheet may leave it open; none if there are too many.
    bit: u64,
}

/// A row and what must hold for it, all of it.
#[derive(Debug)]
struct Row {
    number: usize,
    parts: Box<[Part]>,
}

/// A condition over numbered tests.
#[derive(Debug)]
enum Part {
    All(Box<[Part]>),
    Any(Box<[Part]>),
    None(Box<[Part]>),
    Test(usize),
}

/// What a sheet says of rows; those in neither set do not hold.
#[derive(Debug)]
pub(super) struct Outlook {
    /// Rows that hold.
    pub(super) sure: Set,
    /// Rows that hold if their open tests do.
    pub(super) open: Set,
}

/// What tells tests apart; a list is known by where it lies.
#[derive(PartialEq, Eq, Hash)]
enum Sameness {
    Of(Subject, String),
    List(Subject, bool, *const List),
}

fn sameness(subject: &Subject, test: &Test) -> Sameness {
    match test {
        Test::In(list) => Sameness::List(subject.clone(), true, Arc::as_ptr(list)),
        Test::NotIn(list) => Sameness::List(subject.clone(), false, Arc::as_ptr(list)),
        other => Sameness::Of(subject.clone(), format!("{other:?}")),
    }
}

struct Builder<'a> {
    slots: &'a Slots,
    numbers: FxHashMap<Sameness, usize>,
    tests: Vec<Distinct>,
    /// How many rows must pass each test.
    shared: Vec<usize>,
    /// How many tests a sheet may leave open.
    open: u32,
}

impl Builder<'_> {
    fn number(&mut self, subject: &Subject, test: &Test) -> usize {
        let next = self.tests.len();
        let number = *self.numbers.entry(sameness(subject, test)).or_insert(next);
        if number == next {
            let probe = self.slots.probe(subject, test);
            let bit = if probe.may_be_open() { 1_u64.checked_shl(self.open).unwrap_or(0) } else { 0 };
            self.open = self.open.saturating_add(u32::from(bit != 0));
            self.tests.push(Distinct { subject: subject.clone(), test: test.clone(), probe, bit });
            self.shared.push(0);
        }
        number
    }

    fn part(&mut self, condition: &Condition) -> Part {
        match condition {
            Condition::All(parts) => Part::All(parts.iter().map(|part| self.part(part)).collect()),
            Condition::Any(parts) => Part::Any(parts.iter().map(|part| self.part(part)).collect()),
            Condition::None(parts) => Part::None(parts.iter().map(|part| self.part(part)).collect()),
            Condition::Test(subject, test) => Part::Test(self.number(subject, test)),
        }
    }

    /// The parts that must all hold.
    fn parts(&mut self, condition: &Condition, into: &mut Vec<Part>) {
        match condition {
            Condition::All(parts) => parts.iter().for_each(|part| self.parts(part, into)),
            other => into.push(self.part(other)),
        }
    }

    fn row(&mut self, number: usize, condition: &Condition) -> (usize, Vec<Part>) {
        let mut parts = Vec::new();
        self.parts(condition, &mut parts);
        for part in &parts {
            if let Part::Test(number) = part
                && let Some(count) = self.shared.get_mut(*number)
            {
                *count += 1;
            }
        }
        (number, parts)
    }
}

impl Index {
    /// Arranges rows, given by their number and their condition, in ascending order.
    pub(super) fn build<'a>(rows: impl Iterator<Item = (usize, &'a Condition)> + Clone) -> Self {
        let slots = Slots::of(rows.clone().map(|(_, condition)| condition));
        let mut builder =
            Builder { slots: &slots, numbers: FxHashMap::default(), tests: Vec::new(), shared: Vec::new(), open: 0 };
        let all: Vec<(usize, Vec<Part>)> = rows.map(|(number, condition)| builder.row(number, condition)).collect();
        let sorted = all.into_iter().map(|(number, mut parts)| {
            // What few ask for seldom holds and ends it soonest, and single tests are cheaper than nested ones. The order
            // of parts that must all hold has no bearing on whether they do.
            parts.sort_by_key(|part| match part {
                Part::Test(number) => builder.shared.get(*number).copied().unwrap_or(0),
                _ => usize::MAX,
            });
            Row { number, parts: parts.into() }
        });
        let rows = sorted.collect();
        let tests = builder.tests.into();
        Self { epoch: Epoch::fresh(), slots, tests, rows }
    }

    /// The rows that hold.
    pub(super) fn holding(&self, facts: &Facts<'_>, source: Source<'_>) -> Set {
        let sheet = self.slots.sheet(facts, source);
        let Outlook { sure: mut holding, open } = near::outlook(self.epoch, &sheet, || self.outlook(&sheet));
        if open.is_empty() {
            return holding;
        }
        let mut round = Round { tests: &self.tests, sheet: &sheet, source, made: 0, yes: 0, no: 0, last: None };
        // Both are in ascending order.
        let mut rows = self.rows.iter();
        for number in open.iter() {
            let Some(row) = rows.find(|row| row.number == number) else { break };
            // What does not hold ends it, known to fail or not known at all.
            if row.parts.iter().all(|part| round.truth(part) == Truth::True) {
                holding.insert(number);
            }
        }
        holding
    }

    /// What a sheet says of all rows.
    fn outlook(&self, sheet: &Sheet) -> Outlook {
        let mut outlook = Outlook { sure: Set::default(), open: Set::default() };
        for row in &self.rows {
            let mut is_open = false;
            let may_hold = row.parts.iter().all(|part| {
                let truth = self.settled(part, sheet);
                is_open |= truth.is_none();
                truth.is_none_or(|truth| truth == Truth::True)
            });
            if may_hold {
                let set = if is_open { &mut outlook.open } else { &mut outlook.sure };
                set.insert(row.number);
            }
        }
        outlook
    }

    /// What a sheet says of a part; `None` if that is open.
    fn settled(&self, part: &Part, sheet: &Sheet) -> Option<Truth> {
        match part {
            Part::All(parts) => self.all_settled(parts, sheet, Truth::False, Truth::True),
            Part::Any(parts) => self.all_settled(parts, sheet, Truth::True, Truth::False),
            Part::None(parts) => self.all_settled(parts, sheet, Truth::True, Truth::False).map(Truth::not),
            Part::Test(number) => self.tests.get(*number).map_or(Some(Truth::Unknown), |test| test.probe.truth(sheet)),
        }
    }

    /// `deciding` if any part is that, else open if any is open, else as three-valued logic has it.
    fn all_settled(&self, parts: &[Part], sheet: &Sheet, deciding: Truth, otherwise: Truth) -> Option<Truth> {
        let mut result = Some(otherwise);
        for part in parts {
            match self.settled(part, sheet) {
                Some(truth) if truth == deciding => return Some(deciding),
                Some(Truth::Unknown) if result.is_some() => result = Some(Truth::Unknown),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }
}

/// What one request has shown so far.
struct Round<'a> {
    tests: &'a [Distinct],
    sheet: &'a Sheet,
    source: Source<'a>,
    /// The bits of the open tests that were made, of those that hold, and of those that do not.
    made: u64,
    yes: u64,
    no: u64,
    /// The subject asked last: tests of one subject follow each other.
    last: Option<(&'a Subject, Value<'a>)>,
}

impl Round<'_> {
    fn truth(&mut self, part: &Part) -> Truth {
        match part {
            Part::All(parts) => condition::all(parts, |part| self.truth(part)),
            Part::Any(parts) => condition::any(parts, |part| self.truth(part)),
            Part::None(parts) => condition::any(parts, |part| self.truth(part)).not(),
            Part::Test(number) => self.test(*number),
        }
    }

    fn test(&mut self, number: usize) -> Truth {
        let Some(Distinct { subject, test, probe, bit }) = self.tests.get(number) else { return Truth::Unknown };
        if let Some(truth) = probe.truth(self.sheet) {
            return truth;
        }
        if self.yes & bit != 0 {
            return Truth::True;
        }
        if self.no & bit != 0 {
            return Truth::False;
        }
        if self.made & bit != 0 {
            return Truth::Unknown;
        }
        let value = match self.last {
            Some((last, value)) if last == subject => value,
            _ => self.source.value(subject),
        };
        self.last = Some((subject, value));
        let truth = test.truth(value);
        self.made |= bit;
        match truth {
            Truth::True => self.yes |= bit,
            Truth::False => self.no |= bit,
            Truth::Unknown => {}
        }
        truth
    }
}
