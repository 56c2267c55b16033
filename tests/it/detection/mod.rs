//! How many of the recorded clients the shipped rules tell, layer by layer, and how many people they accuse; and the report of it.
//!
//! `CLICKSIEVE_WRITE=1 cargo test --locked --test it detection::` writes `docs/detection.md` anew.

mod beacon;
mod capture;
mod people;
mod report;

use std::path::Path;
use std::sync::LazyLock;

use clicksieve::click::Scheme;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Settings;
use clicksieve::rules::Policy;
use clicksieve::verdict::Band;

use crate::detection::capture::Capture;
use crate::detection::capture::Layer;

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| Knowledge::load(&Settings::default()).unwrap());

/// The least share of bots, in percent, that is `suspect` or worse on the landing request alone.
const LANDING: usize = 87;
/// The same with all layers; to be raised as layers learn more.
const ALL_LAYERS: usize = 94;

/// The shipped rules, from their file: what is measured follows an edit of it at once.
fn shipped() -> Policy {
    Policy::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/default.yaml")).unwrap()
}

fn of_label<'a>(captures: &'a [Capture], label: &'a str) -> impl Iterator<Item = &'a Capture> {
    captures.iter().filter(move |capture| capture.label == label)
}

/// Those of a label that stand in a band or a worse one.
fn at_least<'a>(captures: &'a [Capture], policy: &Policy, label: &'a str, layer: Layer, band: Band) -> Vec<&'a str> {
    let found = of_label(captures, label).filter(|capture| capture.verdict(policy, layer).band >= band);
    found.map(|capture| capture.client.as_str()).collect()
}

#[test]
fn most_bots_are_told_by_their_landing_request_and_more_by_what_follows() {
    let (captures, policy) = (capture::all(&KNOWLEDGE), shipped());
    let bots = of_label(&captures, "bot").count();
    for (layer, least) in [(Layer::Landing, LANDING), (Layer::Behaviour, ALL_LAYERS)] {
        let told = at_least(&captures, &policy, "bot", layer, Band::Suspect);
        let missed: Vec<&str> =
            of_label(&captures, "bot").map(|bot| bot.client.as_str()).filter(|bot| !told.contains(bot)).collect();
        assert!(told.len() * 100 >= bots * least, "{}: {missed:#?}", layer.name());
    }
}

#[test]
fn no_browser_and_no_odd_browser_of_a_person_is_accused() {
    let (captures, policy) = (capture::all(&KNOWLEDGE), shipped());
    for layer in Layer::ALL {
        let accused = at_least(&captures, &policy, "browser", layer, Band::Suspect);
        assert!(accused.is_empty(), "{}: {accused:#?}", layer.name());
        let accused = at_least(&captures, &policy, "unusual", layer, Band::LikelyInvalid);
        assert!(accused.is_empty(), "{}: {accused:#?}", layer.name());
    }
}

#[test]
fn a_browser_behind_a_gateway_that_opens_tls_is_no_more_than_suspect() {
    let (captures, policy) = (capture::all(&KNOWLEDGE), shipped());
    let gateways: Vec<&Capture> = captures.iter().filter(|capture| capture.scheme == Scheme::Https).collect();
    for browser in of_label(&captures, "browser").filter(|browser| browser.scheme == Scheme::Https) {
        for gateway in &gateways {
            for layer in Layer::ALL {
                let verdict = browser.verdict_through(gateway, &policy, layer);
                assert!(verdict.band <= Band::Suspect, "{} through {}: {verdict:?}", browser.client, gateway.client);
            }
        }
    }
}

#[test]
fn the_report_is_what_the_shipped_rules_yield() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detection.md");
    let report = report::write(&capture::all(&KNOWLEDGE), &shipped(), &KNOWLEDGE);
    if std::env::var("CLICKSIEVE_WRITE").is_ok_and(|write| write == "1") {
        std::fs::write(&page, &report).unwrap();
    }
    let committed = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(committed == report, "write it anew: CLICKSIEVE_WRITE=1 cargo test --locked --test it detection::");
}
