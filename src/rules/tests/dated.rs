//! Rows with a date in a policy that outlives it.

use std::fs;
use std::path::Path;

use super::faults;
use super::headers;
use super::of_request;
use crate::click::Scheme;
use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Network;
use crate::rules::Policy;
use crate::verdict::ClickAction;

/// 2027-01-30, 2027-01-31 and 2027-02-01, each at 12:00 UTC.
const DAYS: [UnixMillis; 3] = [UnixMillis(1_801_310_400_000), UnixMillis(1_801_396_800_000), UnixMillis(1_801_483_200_000)];

const DATED: &str = "schema: clicksieve/rules/v1
score: { groups: { a: 100 } }
lists: { paths: { type: string, path: paths.txt } }
signals:
  - { id: stays, match: { http.path: { in: \"@paths\" } }, points: 1, group: a, category: givt.activity }
  - { id: ends, match: { ua.kind: browser }, points: 10, group: a, category: givt.activity, expires: 2027-01-31, on_expiry: disable }
scopes:
  - { id: sale, path: /sale, points: { stays: 5 }, expires: 2027-01-31, on_expiry: disable }
policy:
  click: [{ id: for.now, do: allow, expires: 2027-01-31, on_expiry: disable }, { id: rest, do: tag }]
";

/// The points and the click action of a browser on `/sale`.
fn judged(policy: &Policy) -> (i32, ClickAction) {
    let (network, agent, none) = (Network::default(), Agent { kind: AgentKind::Browser, ..Agent::default() }, headers(&[]));
    let mut facts = of_request(&network, &agent, &none, Scheme::Https);
    facts.path = Some("/sale");
    let verdict = policy.score(&facts);
    (i32::from(verdict.score.points()), verdict.click)
}

fn loaded(folder: &Path, now: UnixMillis) -> Policy {
    fs::write(folder.join("paths.txt"), "/sale\n").unwrap();
    fs::write(folder.join("r.yaml"), DATED).unwrap();
    Policy::load_at(&folder.join("r.yaml"), now).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn ended(policy: &Policy) -> Vec<&str> {
    policy.ended().iter().map(|id| &**id).collect()
}

#[test]
fn a_policy_that_turns_is_as_if_loaded_on_that_day_whatever_became_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let before = loaded(folder.path(), DAYS[0]);
    let fresh = loaded(folder.path(), DAYS[1]);
    assert_eq!((judged(&before), ended(&before)), ((15, ClickAction::Allow), vec![]));
    fs::write(folder.path().join("r.yaml"), "nothing that loads").unwrap();
    fs::remove_file(folder.path().join("paths.txt")).unwrap();
    let turned = before.turned(DAYS[1]).unwrap().unwrap();
    assert_eq!((judged(&turned), judged(&fresh)), ((1, ClickAction::Tag), (1, ClickAction::Tag)));
    assert_eq!((ended(&turned), ended(&fresh)), (vec!["ends", "for.now", "sale"], vec!["ends", "for.now", "sale"]));
    assert_eq!((turned.warnings(), turned.digest()), (fresh.warnings(), before.digest()));
}

#[test]
fn a_policy_turns_on_its_dates_alone_and_back_with_a_clock_that_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let policy = loaded(folder.path(), DAYS[0]);
    assert!(policy.turned(DAYS[0]).is_none());
    let turned = policy.turned(DAYS[1]).unwrap().unwrap();
    assert!(turned.turned(DAYS[1]).is_none() && turned.turned(DAYS[2]).is_none());
    let back = turned.turned(DAYS[0]).unwrap().unwrap();
    assert_eq!((judged(&back), ended(&back)), ((15, ClickAction::Allow), vec![]));
    assert!(Policy::shipped().turned(DAYS[2]).is_none());
}

#[test]
fn a_row_that_speaks_always_and_ends_leaves_somebody_to_speak_after_it() {
    let file = |rows: &str| format!("schema: clicksieve/rules/v1\npolicy:\n  click: [{rows}]\n");
    let ends = "{ id: ends, do: allow, expires: 2099-01-31, on_expiry: disable }";
    assert_eq!(
        faults(&file(ends)),
        ["r.yaml:3:10: no row speaks for the rest\nhint: the row that speaks always ends by its date; put one without \
          `on_expiry: disable` below it"]
    );
    // What comes after it will be reached, so that nothing is odd about it.
    let policy = Policy::parse("r.yaml", &file(&format!("{ends}, {{ id: rest, do: tag }}")), Path::new(".")).unwrap();
    assert_eq!(policy.warnings(), []);
}
