//! Rule files -> [`Policy`]; facts -> `Verdict`; verdict and event -> `Decision`. A policy is compiled once and never
//! changes; what loaded cannot fail later, and the same facts give the same verdict always. An unknown fact never adds
//! points. Must not know where facts come from or what is done with a verdict.
//!
//! The score: within each group the points of the signals that hold are summed and held between 0 and the group's cap;
//! these sums are added; groups with a negative cap (trust) take off at most their cap; the result is held between 0
//! and 100. Where `certainty: proof` signals hold, the same sum over their points alone gives a band, and the score is
//! never below that band's first point, whatever trust says.

mod action;
mod case;
mod condition;
mod list;
mod matching;
mod read;
mod read_row;
mod row;
mod score;

use std::path::Path;
use std::sync::Arc;

use crate::fact::FactName;
use crate::fact::Facts;
use crate::fault::Fault;
use crate::rules::row::Rows;
use crate::verdict::Reason;
use crate::verdict::Ruling;
use crate::verdict::Verdict;

const SHIPPED: &str = include_str!("../../rules/default.yaml");
const SHIPPED_NAME: &str = "rules/default.yaml";

/// All rules and lists of one load, compiled and immutable.
#[derive(Debug)]
pub struct Policy {
    name: String,
    digest: String,
    warnings: Vec<Fault>,
    rows: Rows,
    /// The facts that rows ask for.
    asked: Box<[FactName]>,
    /// The rule named where no policy row speaks.
    unruled: Arc<str>,
    /// What a verdict without reasons holds, so that a clean click costs no allocation.
    nothing: Arc<[Reason]>,
}

impl Policy {
    /// The rules that come with the program.
    ///
    /// # Panics
    /// Never: the text is part of the program, and a test loads it.
    pub fn shipped() -> Self {
        let shipped = Self::parse(SHIPPED_NAME, SHIPPED, Path::new("."));
        #[expect(clippy::expect_used, reason = "a test loads the shipped text")]
        shipped.expect("the shipped rules load")
    }

    /// Reads a rule file and the lists it names; all their faults at once.
    pub fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| vec![Fault::of_file(&name, format!("cannot be read: {error}"))])?;
        read::policy(&name, &bytes, path.parent().unwrap_or_else(|| Path::new(".")))
    }

    /// Reads the text of a rule file; `path` is its name in faults, relative list paths are taken from `base`.
    pub fn parse(path: &str, text: &str, base: &Path) -> Result<Self, Vec<Fault>> {
        read::policy(path, text.as_bytes(), base)
    }

    /// Judges a click, or a visit's newest state.
    pub fn score(&self, facts: &Facts<'_>) -> Verdict {
        score::score(self, facts)
    }

    /// Decides one conversion event towards one destination; `verdict` is the visit's newest.
    pub fn decide(&self, verdict: &Verdict, facts: &Facts<'_>, destination: &str) -> Ruling {
        score::decide(self, verdict, facts, destination)
    }

    /// The rule set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first 16 hex digits of SHA-256 over the rule file and its lists' files.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What is odd but loads.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Runs the cases that rows carry; every case that goes otherwise than it says, with its place.
    pub fn run_cases(&self) -> Vec<Fault> {
        case::run(self)
    }

    /// Whether any rule asks for a fact, so that one that is dear to find need not be found in vain.
    pub fn asks(&self, fact: FactName) -> bool {
        self.asked.contains(&fact)
    }

    /// The ids of all rules, in file order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.ids()
    }
}

#[cfg(test)]
mod tests;
