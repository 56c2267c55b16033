//! The rule files beside the tests: all in `good` load, each in `bad` gives exactly the message beside it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clicksieve::fact::FactName;
use clicksieve::fact::Type;
use clicksieve::fault::Fault;
use clicksieve::rules::Policy;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/rules").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Loads a file under its bare name, as messages beside it have it.
fn load(file: &Path) -> Result<Policy, Vec<Fault>> {
    let name = file.file_name().unwrap().to_str().unwrap();
    match fs::read_to_string(file) {
        Ok(text) => Policy::parse(name, &text, file.parent().unwrap()),
        Err(_) => Policy::load(file)
            .map_err(|faults| faults.into_iter().map(|fault| Fault { path: name.to_owned(), ..fault }).collect()),
    }
}

fn text(faults: &[Fault]) -> String {
    faults.iter().flat_map(|fault| [fault.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn good_rule_files_load_and_their_cases_hold() {
    for file in files("good") {
        let policy = load(&file).unwrap_or_else(|faults| panic!("{}", text(&faults)));
        assert_eq!(text(&policy.run_cases()), "", "{}", file.display());
    }
}

#[test]
fn each_bad_rule_file_gives_exactly_the_message_beside_it() {
    for file in files("bad") {
        let faults = load(&file).map(|policy| policy.name().to_owned()).unwrap_err();
        let beside = file.with_extension("txt");
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(text(&faults), expected, "{}", beside.display());
    }
}

#[test]
fn the_rule_files_in_the_documentation_load_and_their_cases_hold() {
    for (name, least) in [("docs/rules.md", 3), ("docs/click-actions.md", 1)] {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(blocks.len() >= least, "{name}: {}", blocks.len());
        for block in blocks {
            let policy = Policy::parse(name, block, Path::new(".")).unwrap_or_else(|faults| panic!("{block}\n{}", text(&faults)));
            assert_eq!(text(&policy.run_cases()), "", "{block}");
            assert_eq!(text(policy.warnings()), "", "{block}");
        }
    }
}

#[test]
fn a_redirect_to_another_host_loads_where_it_is_allowed_and_is_warned_of() {
    let rows =
        |row: &str| format!("schema: clicksieve/rules/v1\npolicy:\n  click:\n    - {row}\n    - {{ id: rest, do: tag }}\n");
    let row = "{ id: away, band: invalid, do: { redirect: { to: 'https://other.example/x', allow_other_host: true } } }";
    let policy = Policy::parse("r.yaml", &rows(row), Path::new(".")).unwrap_or_else(|faults| panic!("{}", text(&faults)));
    let told = text(policy.warnings());
    assert!(told.contains("r.yaml:4:") && told.contains("clicks are sent to another host"), "{told}");
    let own = "{ id: away, band: invalid, do: { redirect: { to: /x } } }";
    let policy = Policy::parse("r.yaml", &rows(own), Path::new(".")).unwrap();
    assert!(!text(policy.warnings()).contains("another host"), "{}", text(policy.warnings()));
}

#[test]
fn the_rule_that_the_readme_explains_works_in_the_shipped_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let shipped = fs::read_to_string(root.join("rules/default.yaml")).unwrap();
    let block = readme.split("```yaml\n").find(|block| block.starts_with("  - id: ")).unwrap();
    let explained = block.split("```").next().unwrap();
    let (before, rest) = shipped.split_once("  - id: net.datacenter\n").unwrap();
    let after = &rest[rest.find("  - id: ").unwrap()..];
    let policy = Policy::parse("README.md", &format!("{before}{explained}{after}"), root)
        .unwrap_or_else(|faults| panic!("{explained}\n{}", text(&faults)));
    assert_eq!(text(&policy.run_cases()), "", "{explained}");
    assert!(policy.ids().any(|id| id == "net.datacenter"));
}

/// The row of the documentation's table for one fact.
fn row(fact: FactName) -> String {
    let kind = match fact.kind() {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Duration => "duration".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Address => "address".to_owned(),
        Type::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
    };
    format!("| `{}` | {kind} | {} |", fact.name(), fact.says())
}

#[test]
fn the_documentation_lists_every_fact() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).unwrap();
    let missing: String =
        FactName::ALL.iter().map(|fact| row(*fact)).filter(|row| !page.contains(row)).map(|row| row + "\n").collect();
    assert_eq!(missing, "", "put these rows into the table of docs/rules.md:\n{missing}");
}
