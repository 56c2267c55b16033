//! Rule files -> [`Policy`]; facts -> `Verdict`; verdict and event -> `Decision`. A policy is compiled once and never
//! changes; what loaded cannot fail later, and the same facts give the same verdict always. An unknown fact never adds
//! points. Must not know where facts come from or what is done with a verdict.
//!
//! The score: within each group the points of the signals that hold are summed and held between 0 and the group's cap;
//! these sums are added; groups with a negative cap (trust) take off at most their cap; the result is held between 0
//! and 100. Where `certainty: proof` signals hold, the same sum over their points alone gives a band, and the score is
//! never below that band's first point, whatever trust says.

mod about;
mod action;
mod bands;
mod case;
mod click;
mod condition;
mod counters;
mod dated;
mod declared;
mod index;
mod lint;
mod list;
mod matching;
mod named;
mod near;
mod read;
mod read_row;
mod rescore;
mod row;
mod scopes;
mod score;
mod set;
mod sheet;
mod token;
mod when;

use std::path::Path;
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::counting::Counted;
use crate::fault::Fault;
use crate::rules::dated::Kept;
use crate::rules::read::Origin;
use crate::rules::row::Rows;
use crate::verdict::Reason;
use crate::verdict::Ruling;
use crate::verdict::Verdict;

pub use about::About;
pub use about::Status;
pub use declared::DeclaredIdentity;

const SHIPPED: &str = include_str!("../../rules/default.yaml");
const SHIPPED_NAME: &str = "rules/default.yaml";

/// All rules and lists of one load, compiled and immutable.
#[derive(Debug)]
pub struct Policy {
    name: String,
    digest: String,
    warnings: Vec<Fault>,
    rows: Rows,
    /// Whether rows ask for each fact, in the order of [`FactName::ALL`].
    asked: [bool; FactName::ALL.len()],
    /// What is counted for the rows; conditions ask by place.
    counters: Box<[Counted]>,
    /// The rule named where no policy row speaks.
    unruled: Arc<str>,
    /// What a verdict without reasons holds, so that a clean click costs no allocation.
    nothing: Arc<[Reason]>,
    /// What it was compiled from, where dates in it may come.
    kept: Option<Kept>,
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

    /// Reads a rule file and the lists it names; all their faults at once. No row is past its date.
    pub fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        Self::of_file(path, None)
    }

    /// The same at a moment, by which rows can be past their date.
    pub fn load_at(path: &Path, now: UnixMillis) -> Result<Self, Vec<Fault>> {
        Self::of_file(path, Some(now))
    }

    fn of_file(path: &Path, now: Option<UnixMillis>) -> Result<Self, Vec<Fault>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| vec![Fault::of_file(&name, format!("cannot be read: {error}"))])?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        read::policy(&name, &bytes, Origin::Files(base), now.and_then(dated::day))
    }

    /// The policy as it is on the day of this moment, where a date in it has come since it was loaded (or lies ahead again, by a
    /// clock that was set back): compiled from what it was loaded from, whatever the files hold by now. `None` where it
    /// stands as it is.
    pub fn turned(&self, now: UnixMillis) -> Option<Result<Self, Vec<Fault>>> {
        let (kept, today) = (self.kept.as_ref()?, dated::day(now)?);
        let turned = || read::policy(&kept.path, &kept.bytes, Origin::Kept(kept), Some(today));
        self.rows.dates.differ(kept.day, today).then(turned)
    }

    /// The ids of the rows and scopes that have no effect any more, since their day has come.
    pub fn ended(&self) -> &[Arc<str>] {
        self.rows.dates.ended()
    }

    /// Reads the text of a rule file; `path` is its name in faults, relative list paths are taken from `base`.
    pub fn parse(path: &str, text: &str, base: &Path) -> Result<Self, Vec<Fault>> {
        read::policy(path, text.as_bytes(), Origin::Files(base), None)
    }

    /// Judges a click, or a visit's newest state.
    pub fn score(&self, facts: &Facts<'_>) -> Verdict {
        score::score(self, facts)
    }

    /// Judges a visit anew by all that is known of it now. What the earlier judgement knew and nobody can tell any more (the
    /// fields of a request that is over) still counts; what is known to be otherwise by now counts no more, proofs excepted.
    pub fn rescore(&self, facts: &Facts<'_>, earlier: &Verdict) -> Verdict {
        rescore::rescore(self, facts, earlier)
    }

    /// What is to be counted for the rules; facts carry the counts in this order.
    pub fn counters(&self) -> &[Counted] {
        &self.counters
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
        self.asked.get(fact as usize).is_some_and(|asked| *asked)
    }

    /// Whether any row on clicks may keep a page from somebody.
    pub fn intervenes(&self) -> bool {
        let parts = self.rows.scopes.iter().flat_map(|scope| scope.click.iter().flatten());
        self.rows.click.iter().chain(parts).any(|row| row.action.intervenes())
    }

    /// The ids of all rules, in file order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules().map(|(id, _)| id)
    }

    /// All rules with what they say of themselves, in file order.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &About)> {
        self.rows.all().map(|(id, about, _)| (&**id, about))
    }

    /// The ids of the rules that ask for any of these facts.
    pub fn asking(&self, facts: &[FactName]) -> Vec<&str> {
        let rows = self.rows.all().filter(|(_, _, condition)| {
            let mut asked = Vec::new();
            condition.asks(&mut asked);
            asked.iter().any(|fact| facts.contains(fact))
        });
        rows.map(|(id, ..)| &**id).collect()
    }

    /// The identities that the file declares.
    pub fn identities(&self) -> &[DeclaredIdentity] {
        &self.rows.declared.identities
    }
}

#[cfg(test)]
mod tests;
