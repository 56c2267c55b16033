//! Rules with a date in a process that runs on beyond it: from that day on it judges as if it had been started then.

use std::path::PathBuf;
use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::clock::UnixMillis;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::seen;

const HOME: &str = "217.0.0.1";
/// 2027-01-30 at 23:00 UTC.
const EVE: UnixMillis = UnixMillis(1_801_350_000_000);

/// A process whose rules are in a file of their own.
struct Dated {
    inside: Inside,
    folder: TempDir,
    _site: Site,
}

impl Dated {
    fn of(rules: &str) -> Self {
        let (folder, site) = (tempfile::tempdir().unwrap(), Site::answers(whole::html_answer()));
        let file = folder.path().join("rules.yaml");
        std::fs::write(&file, rules).unwrap();
        let more = format!("\nrules: {}\ngraph:", file.display());
        let inside = Inside::with(Clock::moved(EVE), site.address, |text| text.replace("\ngraph:", &more));
        Self { inside, folder, _site: site }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("rules.yaml")
    }

    /// The rules that speak of somebody who comes now, by name.
    fn speaking(&self) -> Vec<String> {
        assert_eq!(self.inside.ask("GET", "/mug", &seen::chrome_from(HOME)).status, 200);
        let reasons = self.inside.running.records()[0]["reasons"].clone();
        let mut rules: Vec<_> =
            reasons.as_array().unwrap().iter().map(|reason| reason["rule"].as_str().unwrap().to_owned()).collect();
        rules.sort();
        rules
    }

    fn reloads(&self, outcome: &str) -> u64 {
        self.inside.metric(&format!("clicksieve_reloads_total{{what=\"rules\",outcome=\"{outcome}\"}}")).unwrap_or(0)
    }

    /// What readiness says of the rules.
    fn status(&self) -> String {
        let ready: Value = serde_json::from_str(&self.inside.admin("/readyz")).unwrap();
        ready["parts"]["rules"]["says"].as_str().unwrap().to_owned()
    }
}

/// Rules that speak of every browser, with more fields each.
fn rules(rows: &[(&str, &str)]) -> String {
    let row = |(id, more): &(&str, &str)| {
        format!("  - {{ id: {id}, match: {{ ua.kind: browser }}, points: 5, group: a, category: givt.activity{more} }}\n")
    };
    let head = "schema: clicksieve/rules/v1\nscore: { groups: { a: 100 } }\nsignals:\n";
    rows.iter().map(row).fold(head.to_owned(), |text, row| text + &row)
}

#[test]
fn a_rule_whose_date_comes_while_the_process_runs_counts_no_more() {
    let dated = Dated::of(&rules(&[
        ("stays", ""),
        ("warns", ", expires: 2027-01-31"),
        ("ends", ", expires: 2027-01-31, on_expiry: disable"),
        ("later", ", expires: 2027-02-02, on_expiry: disable"),
    ]));
    let version = dated.status();
    assert_eq!(dated.speaking(), ["ends", "later", "stays", "warns"]);

    dated.inside.pass(Duration::from_hours(1));
    assert!(dated.inside.looks(|| dated.speaking() == ["later", "stays", "warns"]), "{:?}", dated.speaking());
    assert_eq!(dated.reloads("taken"), 1);
    assert_eq!(dated.status(), format!("{version}; ended by their date: `ends`"));

    // The next date is looked for as well, and a day without one is none.
    dated.inside.pass(Duration::from_hours(48));
    assert!(dated.inside.looks(|| dated.speaking() == ["stays", "warns"]), "{:?}", dated.speaking());
    assert_eq!(dated.reloads("taken"), 2);
    assert_eq!(dated.status(), format!("{version}; ended by their date: `ends`, `later`"));
}

#[test]
fn a_file_that_is_faulty_on_the_day_keeps_no_rule_alive_and_is_taken_once_it_is_mended() {
    let dated = Dated::of(&rules(&[("stays", ""), ("ends", ", expires: 2027-01-31, on_expiry: disable")]));
    assert_eq!(dated.speaking(), ["ends", "stays"]);
    std::fs::write(dated.file(), rules(&[("half", ", points: many")])).unwrap();
    let told = dated.inside.running.reload();
    assert!(told.faults.iter().any(|fault| fault.contains("rules.yaml")), "{:?}", told.faults);
    assert_eq!(dated.speaking(), ["ends", "stays"]);

    dated.inside.pass(Duration::from_hours(1));
    assert!(dated.inside.looks(|| dated.speaking() == ["stays"]), "{:?}", dated.speaking());

    std::fs::write(dated.file(), rules(&[("mended", ""), ("ended", ", expires: 2027-01-31, on_expiry: disable")])).unwrap();
    assert_eq!(dated.inside.running.reload().faults, [""; 0]);
    assert_eq!(dated.speaking(), ["mended"]);
}
