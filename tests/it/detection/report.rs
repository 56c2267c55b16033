//! The report of detection on recorded clients and agents. No date and no chance in it: the same code writes the same text.

use std::fmt::Write;
use std::path::Path;

use clicksieve::click::Scheme;
use clicksieve::fact::Facts;
use clicksieve::fact::Network;
use clicksieve::facts::Knowledge;
use clicksieve::rules::Policy;
use clicksieve::verdict::Band;
use clicksieve::verdict::Class;
use clicksieve::verdict::Verdict;
use serde_json::Value;

use crate::detection::capture::Capture;
use crate::detection::capture::Layer;
use crate::detection::of_label;

const LABELS: [&str; 3] = ["bot", "browser", "unusual"];
const BANDS: [Band; 4] = [Band::Human, Band::Suspect, Band::LikelyInvalid, Band::Invalid];

pub(super) fn write(captures: &[Capture], policy: &Policy, knowledge: &Knowledge) -> String {
    let mut page = text("head.md");
    goals(&mut page, captures, policy);
    matrices(&mut page, captures, policy);
    clients(&mut page, captures, policy);
    people(&mut page, captures, policy);
    agents(&mut page, policy, knowledge);
    page + &text("tail.md")
}

/// What is written by hand.
fn text(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/detection").join(file)).unwrap()
}

fn count(captures: &[Capture], policy: &Policy, label: &str, layer: Layer, holds: impl Fn(Band) -> bool) -> usize {
    of_label(captures, label).filter(|capture| holds(capture.verdict(policy, layer).band)).count()
}

fn share(part: usize, whole: usize) -> String {
    let tenths = (part * 1_000 + whole / 2) / whole;
    format!("{part} of {whole} ({}.{} %)", tenths / 10, tenths % 10)
}

fn goals(page: &mut String, captures: &[Capture], policy: &Policy) {
    let total = |label| of_label(captures, label).count();
    let told = |layer, band: Band| share(count(captures, policy, "bot", layer, |is| is >= band), total("bot"));
    let most = |label, band: Band| {
        let worst = Layer::ALL.iter().map(|layer| count(captures, policy, label, *layer, |is| is > band)).max();
        format!("{} of {}", worst.unwrap_or(0), total(label))
    };
    page.push_str("## Goals and results\n\n| goal | result |\n|---|---|\n");
    let rows = [
        ("every bot `suspect` or worse with all layers", told(Layer::Behaviour, Band::Suspect)),
        ("at least 87 % of bots `suspect` or worse on the landing request alone", told(Layer::Landing, Band::Suspect)),
        ("of them `likely_invalid` or worse (no goal)", told(Layer::Landing, Band::LikelyInvalid)),
        ("no genuine browser above `human`, at any layer", most("browser", Band::Human)),
        ("no unusual human above `suspect`, at any layer", most("unusual", Band::Suspect)),
    ];
    for (goal, result) in rows {
        writeln!(page, "| {goal} | {result} |").unwrap();
    }
    page.push('\n');
}

fn matrices(page: &mut String, captures: &[Capture], policy: &Policy) {
    page.push_str(
        "## Confusion matrices\n\n| layer | label | human | suspect | likely_invalid | invalid |\n|---|---|---|---|---|---|\n",
    );
    for layer in Layer::ALL {
        for label in LABELS {
            let cells = BANDS.map(|band| count(captures, policy, label, layer, |is| is == band).to_string());
            writeln!(page, "| {} | {label} | {} |", layer.name(), cells.join(" | ")).unwrap();
        }
    }
    page.push('\n');
}

fn reasons(verdict: &Verdict) -> String {
    let each = verdict.reasons.iter().map(|reason| format!("{} {:+}", reason.rule, reason.points));
    each.collect::<Vec<_>>().join(", ")
}

fn judged(verdict: &Verdict) -> String {
    format!("{} {}", verdict.band.name(), verdict.score.points())
}

fn clients(page: &mut String, captures: &[Capture], policy: &Policy) {
    page.push_str("## Every client\n\nThe points are those of the rules, before the caps of their groups.\n\n");
    page.push_str("| client | label | scheme | landing request | why | + in-page | + behaviour | rules that these two added |\n");
    page.push_str("|---|---|---|---|---|---|---|---|\n");
    for capture in captures {
        let [landing, in_page, all] = Layer::ALL.map(|layer| capture.verdict(policy, layer));
        let known = |rule: &str| landing.reasons.iter().any(|reason| *reason.rule == *rule);
        let added = all.reasons.iter().filter(|reason| !known(&reason.rule));
        let added: Vec<String> = added.map(|reason| format!("{} {:+}", reason.rule, reason.points)).collect();
        let scheme = if capture.scheme == Scheme::Https { "https" } else { "http" };
        writeln!(
            page,
            "| {} | {} | {scheme} | {} | {} | {} | {} | {} |",
            capture.client,
            capture.label,
            judged(&landing),
            reasons(&landing),
            judged(&in_page),
            judged(&all),
            added.join(", "),
        )
        .unwrap();
    }
    page.push('\n');
}

/// Whoever is no bot and has points: what they are for.
fn people(page: &mut String, captures: &[Capture], policy: &Policy) {
    page.push_str("## People who got points\n\n");
    page.push_str(
        "Above the goals these would be false positives; below them they show what costs a person points, and why.\n\n",
    );
    page.push_str("| client | label | worst | for |\n|---|---|---|---|\n");
    for capture in captures.iter().filter(|capture| capture.label != "bot") {
        let worst =
            Layer::ALL.map(|layer| capture.verdict(policy, layer)).into_iter().max_by_key(|verdict| verdict.score.points());
        let Some(worst) = worst.filter(|worst| worst.score.points() > 0) else { continue };
        writeln!(page, "| {} | {} | {} | {} |", capture.client, capture.label, judged(&worst), reasons(&worst)).unwrap();
    }
    page.push('\n');
}

fn agents(page: &mut String, policy: &Policy, knowledge: &Knowledge) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/agents/train");
    let network = Network::default();
    let verdicts = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let verdict = |line: &str| {
            let agent = knowledge.agent(serde_json::from_str::<Value>(line).unwrap()["ua"].as_str().unwrap());
            policy.score(&Facts::unknown(&network, &agent))
        };
        text.lines().map(verdict).collect::<Vec<_>>()
    };
    let (bots, browsers) = (verdicts("bots.jsonl"), verdicts("browsers.jsonl"));
    let is_told = |verdict: &&Verdict| verdict.class == Class::Skip || verdict.band > Band::Human;
    page.push_str("## User agents alone\n\n| sample | goal | result |\n|---|---|---|\n");
    let rows = [
        ("robots told (`suspect` or worse)", "at least 98 %", bots.iter().filter(is_told).count(), bots.len()),
        ("browsers accused", "at most 0.05 %", browsers.iter().filter(is_told).count(), browsers.len()),
    ];
    for (sample, goal, part, whole) in rows {
        writeln!(page, "| {sample} | {goal} | {} |", share(part, whole)).unwrap();
    }
    page.push('\n');
}
