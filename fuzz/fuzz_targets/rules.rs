//! A rule file of any text, and any `when:` line, is refused with faults that have a place, or loads and judges; what is not known
//! adds no points by an expression that loaded.
#![no_main]

use std::path::Path;

use clicksieve::fact::Agent;
use clicksieve::fact::Facts;
use clicksieve::fact::Network;
use clicksieve::rules::Policy;
use libfuzzer_sys::fuzz_target;

const ROW: &str = "schema: clicksieve/rules/v1
conditions: { cloud: net.kind == cloud, both: $cloud and ua.kind == library }
counters: { ids: { count_distinct: click.id, by: client.fp, window: 10m } }
lists: { few: { type: cidr, values: [192.0.2.0/24] } }
signals:
  - id: fuzzed
    points: 30
    group: agent
    category: givt.activity
    when: |-
";

fuzz_target!(|input: (bool, &str)| {
    let (whole, text) = input;
    // Lists may name any file of the machine's.
    if text.contains("path") {
        return;
    }
    let text = if whole { text.to_owned() } else { ROW.to_owned() + &text.lines().map(|line| format!("      {line}\n")).collect::<String>() };
    match Policy::parse("rules.yaml", &text, Path::new("/nonexistent")) {
        Err(faults) => assert!(!faults.is_empty()),
        Ok(policy) => {
            let (network, agent) = (Network::default(), Agent::default());
            let verdict = policy.score(&Facts::unknown(&network, &agent));
            assert!(whole || verdict.score.points() == 0, "{:?}", verdict.reasons);
            assert_eq!(policy.rescore(&Facts::unknown(&network, &agent), &verdict).score, verdict.score);
        }
    }
});
