//! The house's order, read from the sources: who may import whom, a head on every file, files of one subject.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Every module of the crate: its floor, and its rank on that floor. A module imports from lower floors, and on its
/// own floor from lower ranks only; `src/lib.rs` draws the same map.
const FLOORS: &[(&str, u8, u8)] = &[
    ("clock", 0, 0),
    ("fault", 0, 0),
    ("hosts", 0, 0),
    ("near", 0, 0),
    ("telemetry", 0, 0),
    ("lists", 0, 1),
    ("yaml", 0, 1),
    ("click", 0, 2),
    ("cookie", 0, 3),
    ("fact", 0, 3),
    ("verdict", 0, 4),
    ("event", 0, 5),
    ("seal", 0, 5),
    ("facts", 1, 0),
    ("inject", 1, 0),
    ("ledger", 1, 0),
    ("rules", 1, 0),
    ("spool", 1, 0),
    ("visits", 1, 0),
    ("admin", 2, 0),
    ("collect", 2, 0),
    ("delivery", 2, 0),
    ("proxy", 2, 0),
    ("refresh", 2, 0),
    ("server", 3, 0),
    ("config", 4, 0),
    ("app", 4, 1),
    ("demo", 4, 2),
    ("cli", 4, 3),
    ("main", 4, 4),
];

/// Words that say nothing about what a file is for.
const EMPTY_WORDS: &[&str] = &["utils", "util", "common", "helpers", "manager", "globals", "types", "constants"];

const LONGEST_FILE: usize = 400;
const LONGEST_HEAD: usize = 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under a folder, as paths from the package's root, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
            }
        }
    }
    found.sort();
    found
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The file's lines with their numbers, without items under `#[cfg(test)]`. Relies on rustfmt: an item ends at a
/// closing bracket as far in as it began.
fn shipped(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    while let Some((n, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push((n, line));
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        for (_, line) in lines.by_ref() {
            let attribute = line.trim_start().starts_with("#[");
            let ends = line.starts_with(&format!("{indent}}}"))
                || (line.trim_end().ends_with(';') && line.starts_with(indent) && !line[indent.len()..].starts_with(' '));
            if ends && !attribute {
                break;
            }
        }
    }
    kept
}

/// A line without its comment.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() }
}

/// The module a file belongs to: `src/rules/parse.rs` is of `rules`.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a line names by `crate::` (or, in `main.rs`, by the crate's name).
fn named(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for prefix in ["crate::", "clicksieve::"] {
        for (at, _) in line.match_indices(prefix) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == ':') {
                continue;
            }
            let name: String = line[at + prefix.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

fn place(module: &str) -> Option<(u8, u8)> {
    FLOORS.iter().find(|(name, ..)| *name == module).map(|(_, floor, rank)| (*floor, *rank))
}

/// What is wrong with one line of a module, if anything.
fn breach(module: &str, line: &str) -> Option<String> {
    let line = code(line);
    if line.contains("crate::{") || line.contains("super::super") {
        return Some("imports are written one by one from `crate::`".to_owned());
    }
    let own = place(module)?;
    named(line).into_iter().filter(|name| name != module).find_map(|name| match place(&name) {
        Some(other) if other < own => None,
        Some(_) => Some(format!("`{module}` must not import `{name}`")),
        // What `lib.rs` does not hold is an item of `lib.rs` itself, and there are none but macros.
        None if name.is_empty() || name == "lib" => Some("`crate::` names no module".to_owned()),
        None => Some(format!("`{name}` has no floor")),
    })
}

#[test]
fn modules_import_from_lower_floors_only() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test_file(path) && module(path) != "lib") {
        for (n, line) in shipped(text) {
            breaches.extend(breach(&module(path), line).map(|what| format!("{}:{n}: {what}", path.display())));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn modules_with_files_reach_their_siblings_by_crate_paths() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test_file(path)) {
        // Only in a module's own root file does `super` mean the crate.
        let is_root = path.components().count() == 2 || (path.components().count() == 3 && path.ends_with("mod.rs"));
        for (n, line) in shipped(text).into_iter().filter(|_| is_root) {
            let sideways = FLOORS.iter().any(|(name, ..)| code(line).contains(&format!("super::{name}::")));
            if sideways {
                breaches.push(format!("{}:{n}: write `crate::`", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    let found: BTreeSet<String> = sources("src").iter().map(|(path, _)| module(path)).filter(|name| name != "lib").collect();
    let homeless: Vec<&String> = found.iter().filter(|name| place(name).is_none()).collect();
    assert!(homeless.is_empty(), "give them a floor here and in src/lib.rs: {homeless:?}");
}

#[test]
fn every_file_has_a_head() {
    let mut breaches = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let head = text.lines().take_while(|line| line.starts_with("//!")).count();
        // The crate's front page holds the map of the house.
        let most = if path == Path::new("src/lib.rs") { usize::MAX } else { LONGEST_HEAD };
        if head == 0 || head > most || text.lines().next().is_some_and(|line| line.trim() == "//!") {
            breaches.push(format!("{}: a head of {head} lines", path.display()));
        }
    }
    assert!(breaches.is_empty(), "every file opens with 1 to {LONGEST_HEAD} lines of `//!`:\n{}", breaches.join("\n"));
}

#[test]
fn files_hold_one_subject() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test_file(path)) {
        let lines = shipped(text).len();
        if lines > LONGEST_FILE {
            breaches.push(format!("{}: {lines} lines without tests", path.display()));
        }
    }
    assert!(breaches.is_empty(), "over {LONGEST_FILE} lines:\n{}", breaches.join("\n"));
}

#[test]
fn paths_say_what_is_inside() {
    let empty = |path: &Path| {
        path.iter().any(|part| {
            part.to_str().is_some_and(|part| part.trim_end_matches(".rs").split('_').any(|word| EMPTY_WORDS.contains(&word)))
        })
    };
    let breaches: Vec<PathBuf> = sources("src").into_iter().map(|(path, _)| path).filter(|path| empty(path)).collect();
    assert!(breaches.is_empty(), "{breaches:?}");
}

#[test]
fn the_program_is_thin() {
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    assert!(main.lines().count() < 30);
}

#[test]
fn metric_names_stand_in_telemetry_only() {
    let mut breaches = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test_file(path) && module(path) != "telemetry") {
        for (n, _) in shipped(text).into_iter().filter(|(_, line)| code(line).contains("\"clicksieve_")) {
            breaches.push(format!("{}:{n}", path.display()));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let mut breaches = Vec::new();
    // Put together here, so that this file does not find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (n, _) in text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            breaches.push(format!("{}:{}", path.display(), n + 1));
        }
    }
    assert!(breaches.is_empty(), "open an issue instead:\n{}", breaches.join("\n"));
}

#[test]
fn no_module_has_two_floors() {
    let names: BTreeSet<&str> = FLOORS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), FLOORS.len());
}

#[test]
fn a_breach_is_noticed() {
    assert_eq!(breach("facts", "use crate::fact::Facts;"), None);
    assert_eq!(breach("seal", "use crate::clock::UnixMillis;"), None);
    assert_eq!(breach("cli", "    let app = crate::app::App::new();"), None);
    assert_eq!(breach("main", "fn main() { clicksieve::cli::run() }"), None);
    assert_eq!(breach("facts", "/// See [`crate::rules::Policy`]."), None);
    assert_eq!(breach("rules", "$crate::verdict::Score"), None);
    for (module, line) in [
        ("facts", "use crate::rules::Policy;"),
        ("proxy", "pub use crate::collect::Collector;"),
        ("spool", "fn f(now: crate::delivery::Settings) {"),
        ("app", "use crate::cli::Command;"),
        ("clock", "use crate::event::EventId;"),
        ("proxy", "use crate::{fact::Facts, rules::Policy};"),
        ("proxy", "use super::super::rules::Policy;"),
        ("proxy", "use crate::newcomer::Thing;"),
    ] {
        assert!(breach(module, line).is_some(), "{module}: {line}");
    }
}

#[test]
fn tests_do_not_count_as_shipped() {
    let text = "use a;\n#[cfg(test)]\nuse crate::cli::X;\nfn a() {\n    b();\n}\n#[cfg(test)]\nmod tests {\n    fn c() {\n        d();\n    }\n}\nfn e() {}\n";
    let kept: Vec<&str> = shipped(text).into_iter().map(|(_, line)| line).collect();
    assert_eq!(kept, ["use a;", "fn a() {", "    b();", "}", "fn e() {}"]);
}
