//! A fault in a file an operator wrote: where it is, what is wrong, what to do. Configuration, rules and lists
//! report all their faults at once with it. Must not know any file format.

use std::fmt;

/// One thing wrong in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file as the operator named it.
    pub path: String,
    /// Line, from 1; 0 where the fault is the file itself.
    pub line: u32,
    /// Column in characters, from 1; 0 where the whole line is meant.
    pub column: u32,
    /// What is wrong: lower case, values in backticks, no full stop.
    pub message: String,
    /// What to do about it, if something useful can be said.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault at a place.
    pub fn at(path: &str, line: u32, column: u32, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, column, message: message.into(), hint: None }
    }

    /// A fault of the file as a whole.
    pub fn of_file(path: &str, message: impl Into<String>) -> Self {
        Self::at(path, 0, 0, message)
    }

    /// The same fault with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.path)?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(out, ":{}", self.column)?;
        }
        write!(out, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(out, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// The candidate nearest to a misspelt word, if one is near enough to be worth proposing.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, where swapping two neighbours counts as one (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let cell = |back_i: usize, back_j: usize| {
                let source = if back_i == 0 { Some(&row) } else { (i + 1).checked_sub(back_i).and_then(|at| rows.get(at)) };
                source.and_then(|row| (j + 1).checked_sub(back_j).and_then(|at| row.get(at))).copied()
            };
            let substituted = cell(1, 1).map_or(usize::MAX, |cost| cost + usize::from(a != b));
            let removed = cell(1, 0).map_or(usize::MAX, |cost| cost + 1);
            let added = cell(0, 1).map_or(usize::MAX, |cost| cost + 1);
            let swapped = if i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a) {
                cell(2, 2).map_or(usize::MAX, |cost| cost + 1)
            } else {
                usize::MAX
            };
            row.push(substituted.min(removed).min(added).min(swapped));
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_as_a_compiler_writes_it() {
        let fault = Fault::at("rules/agents.yaml", 14, 7, "unknown field `weigth`").hint("did you mean `weight`?");
        assert_eq!(fault.to_string(), "rules/agents.yaml:14:7: unknown field `weigth`\nhint: did you mean `weight`?");
    }

    #[test]
    fn two_swapped_letters_are_one_edit() {
        assert_eq!(nearest("ua.famliy", ["ua.kind", "ua.family", "ua.major"]), Some("ua.family"));
    }

    #[test]
    fn a_word_far_from_all_gets_no_proposal() {
        assert_eq!(nearest("colour", ["points", "group"]), None);
    }
}
