//! Every dependency comes from crates.io under a licence on the list. `deny.toml` says the same for those who have
//! cargo-deny.

use std::process::Command;

use serde_json::Value;

/// The licences that a dependency may have; the same as in `deny.toml`.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Asks cargo for the packages of this machine's platform, whose sources the build has fetched already.
fn packages() -> Vec<Value> {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression can be met with allowed licences alone. `/` is the `OR` of old manifests.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let words: Vec<String> = spaced.split_whitespace().map(|word| word.replace("+WITH+", " WITH ")).collect();
    let mut words = words.iter().map(String::as_str).peekable();
    let verdict = either(&mut words);
    verdict && words.next().is_none()
}

type Words<'a, I> = std::iter::Peekable<I>;

fn either<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>) -> bool {
    let mut any = all(words);
    while words.next_if_eq(&"OR").is_some() {
        any |= all(words);
    }
    any
}

fn all<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>) -> bool {
    let mut every = one(words);
    while words.next_if_eq(&"AND").is_some() {
        every &= one(words);
    }
    every
}

fn one<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>) -> bool {
    match words.next() {
        Some("(") => {
            let inner = either(words);
            words.next() == Some(")") && inner
        }
        Some(name) => ALLOWED.contains(&name),
        None => false,
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "not on the list of licences:\n{}", refused.join("\n"));
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let lock = include_str!("../../Cargo.lock");
    let foreign: Vec<&str> =
        lock.lines().filter(|line| line.starts_with("source = ") && !line.contains(&format!("\"{REGISTRY}\""))).collect();
    assert!(foreign.is_empty(), "not from crates.io:\n{}", foreign.join("\n"));
    let without_sum =
        lock.split("[[package]]").filter(|package| package.contains("source = ") && !package.contains("checksum = ")).count();
    assert_eq!(without_sum, 0, "packages without a checksum");
    let local: Vec<String> =
        packages().iter().filter(|package| package["source"].is_null()).map(|package| package["name"].to_string()).collect();
    assert_eq!(local, ["\"clicksieve\""]);
}

#[test]
fn cargo_deny_is_told_the_same_licences() {
    let deny = include_str!("../../deny.toml");
    let list = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("deny.toml has an allow list");
    let told: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(told, ALLOWED);
}

#[test]
fn an_expression_is_read_as_spdx_means_it() {
    assert!(allowed("MIT"));
    assert!(allowed("GPL-3.0 OR MIT"));
    assert!(allowed("Unlicense/MIT"));
    assert!(allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
    assert!(!allowed("MIT AND GPL-3.0"));
    assert!(!allowed("GPL-3.0"));
    assert!(!allowed("GPL-2.0 WITH Classpath-exception-2.0"));
    assert!(!allowed("(MIT"));
    assert!(!allowed(""));
}
