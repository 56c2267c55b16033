//! The cases a row carries: facts under which it must speak, and facts under which it must not.
//! Must not know files, beyond the place of a case.

use crate::fault::Fault;
use crate::rules::Policy;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::row::Row;
use crate::verdict::Band;
use crate::verdict::Class;

/// What a case expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The row speaks.
    Hit,
    /// The row stays silent.
    Miss,
}

/// One case; facts it does not name are unknown.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) expect: Expect,
    pub(super) class: Class,
    pub(super) band: Band,
    pub(super) given: Vec<(Subject, Literal)>,
}

impl Case {
    fn check(&self, id: &str, spoke: bool) -> Option<Fault> {
        let wrong = match (self.expect, spoke) {
            (Expect::Hit, false) => "is a hit, but the rule stays silent",
            (Expect::Miss, true) => "is a miss, but the rule speaks",
            _ => return None,
        };
        Some(Fault::at(&self.path, self.line, self.column, format!("this case of `{id}` {wrong}")))
    }
}

/// Runs all cases of a policy.
pub(super) fn run(policy: &Policy) -> Vec<Fault> {
    let rows = &policy.rows;
    let mut faults = Vec::new();
    for row in &rows.classify {
        faults.extend(of_condition(&row.id, &row.condition, &row.cases));
    }
    for row in &rows.signals {
        faults.extend(of_condition(&row.id, &row.condition, &row.cases));
    }
    faults.extend(rows.click.iter().flat_map(of_row));
    faults.extend(rows.pixel.iter().flat_map(of_row));
    for (_, rows) in &rows.events {
        faults.extend(rows.iter().flat_map(of_row));
    }
    for scope in rows.scopes.iter() {
        faults.extend(scope.click.iter().flatten().flat_map(of_row));
        faults.extend(scope.pixel.iter().flatten().flat_map(of_row));
        for (_, rows) in scope.events.iter().flatten() {
            faults.extend(rows.iter().flat_map(of_row));
        }
    }
    faults
}

fn of_condition(id: &str, condition: &Condition, cases: &[Case]) -> Vec<Fault> {
    cases.iter().filter_map(|case| case.check(id, condition.holds(Source::Given(&case.given)))).collect()
}

fn of_row<T>(row: &Row<T>) -> Vec<Fault> {
    let speaks = |case: &Case| row.guard.fits(case.class, case.band) && row.guard.condition.holds(Source::Given(&case.given));
    row.cases.iter().filter_map(|case| case.check(&row.id, speaks(case))).collect()
}
