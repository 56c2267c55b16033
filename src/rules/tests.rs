//! Policies as their users meet them: the shipped rules on real visitors, the arithmetic of the score, hostile files.

mod dated;
mod exact;
mod language;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use proptest::prelude::*;

use crate::click::Purpose;
use crate::click::Scheme;
use crate::click::Sent;
use crate::fact::Agent;
use crate::fact::AgentForm;
use crate::fact::AgentKind;
use crate::fact::Device;
use crate::fact::Engine;
use crate::fact::EventFacts;
use crate::fact::Facts;
use crate::fact::IdShape;
use crate::fact::Identity;
use crate::fact::InApp;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::fact::Os;
use crate::fact::Page;
use crate::fact::Payment;
use crate::fact::Proof;
use crate::rules::Policy;
use crate::rules::SHIPPED;
use crate::rules::case::Case;
use crate::rules::case::Expect;
use crate::verdict::AfterHold;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;
use crate::verdict::Until;
use crate::verdict::Verdict;

const HEAD: &str = "schema: clicksieve/rules/v1\nscore: { groups: { agent: 60, network: 45, trust: -40 } }\nsignals:\n";

fn policy(signals: &str) -> Policy {
    Policy::parse("r.yaml", &format!("{HEAD}{signals}"), Path::new(".")).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    Policy::parse("r.yaml", text, Path::new(".")).unwrap_err().iter().map(ToString::to_string).collect()
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn agent(kind: AgentKind, engine: Engine, major: u32, os: Os, in_app: Option<InApp>) -> Agent {
    let form = AgentForm { device: Some(Device::Desktop), ..AgentForm::default() };
    let family = Arc::from("x");
    Agent { kind, family, engine: Some(engine), major: Some(major), os: Some(os), in_app, form, ..Agent::default() }
}

fn network(kind: NetworkKind) -> Network {
    Network { kind, ..Network::default() }
}

fn of_request<'a>(network: &'a Network, agent: &'a Agent, headers: &'a HeaderMap, scheme: Scheme) -> Facts<'a> {
    let mut facts = Facts::unknown(network, agent);
    facts.sent = Some(Sent::of(headers));
    facts.scheme = Some(scheme);
    facts.path = Some("/");
    facts.host = Some("shop.example");
    facts.purpose = Some(Purpose::View);
    facts.fbclid = Some(IdShape::Absent);
    facts.gclid = Some(IdShape::Absent);
    facts
}

fn purchase(payment: Payment) -> EventFacts<'static> {
    EventFacts { name: "Purchase", payment, value: Some(4_990), from_browser: payment == Payment::Claimed, since_click: None }
}

#[test]
fn the_shipped_rules_load_without_warnings_and_all_their_cases_hold() {
    let policy = Policy::shipped();
    assert_eq!(policy.warnings(), []);
    let failed: Vec<String> = policy.run_cases().iter().map(ToString::to_string).collect();
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(policy.digest().len(), 16);
}

#[test]
fn every_shipped_signal_and_classify_row_has_a_hit_and_a_near_miss() {
    let policy = Policy::shipped();
    let has = |cases: &[Case], expect: Expect| cases.iter().any(|case| case.expect == expect);
    let signals = policy.rows.signals.iter().map(|row| (&row.id, &row.cases));
    for (id, cases) in policy.rows.classify.iter().map(|row| (&row.id, &row.cases)).chain(signals) {
        assert!(has(cases, Expect::Hit) && has(cases, Expect::Miss), "{id}");
    }
}

#[test]
fn people_score_below_30_with_the_shipped_rules() {
    let policy = Policy::shipped();
    let plain = headers(&[("accept", "text/html"), ("accept-language", "de")]);
    let modern = headers(&[
        ("accept", "text/html"),
        ("accept-language", "de"),
        ("sec-ch-ua", "\"Chromium\""),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]);
    let bare = headers(&[]);
    let app = agent(AgentKind::InApp, Engine::Webkit, 18, Os::Ios, Some(InApp::Instagram));
    let facebook = agent(AgentKind::InApp, Engine::Chromium, 130, Os::Android, Some(InApp::Facebook));
    let safari = agent(AgentKind::Browser, Engine::Webkit, 18, Os::Ios, None);
    let firefox = agent(AgentKind::Browser, Engine::Gecko, 140, Os::Windows, None);
    let chrome = agent(AgentKind::Browser, Engine::Chromium, 140, Os::Windows, None);
    for (who, kind, agent, headers, scheme) in [
        ("Instagram", NetworkKind::MobileCarrier, &app, &plain, Scheme::Https),
        ("Facebook without fields", NetworkKind::Residential, &facebook, &bare, Scheme::Https),
        ("Safari behind iCloud relay", NetworkKind::PrivateRelay, &safari, &plain, Scheme::Https),
        ("private Firefox", NetworkKind::Unknown, &firefox, &plain, Scheme::Https),
        ("Firefox behind a VPN", NetworkKind::Vpn, &firefox, &plain, Scheme::Https),
        ("Chrome over plain HTTP", NetworkKind::Residential, &chrome, &plain, Scheme::Http),
        ("Chrome", NetworkKind::Residential, &chrome, &modern, Scheme::Https),
        ("Chrome on this machine", NetworkKind::Bogon, &chrome, &modern, Scheme::Http),
        ("Chrome in an office", NetworkKind::Corporate, &chrome, &modern, Scheme::Https),
    ] {
        let network = network(kind);
        let verdict = policy.score(&of_request(&network, agent, headers, scheme));
        assert_eq!(
            (verdict.class, verdict.band, verdict.pixel),
            (Class::Visit, Band::Human, PixelAction::Leave),
            "{who}: {verdict:?}"
        );
    }
}

#[test]
fn robots_are_seen_by_the_shipped_rules() {
    let policy = Policy::shipped();
    let bare = headers(&[]);
    let chrome = agent(AgentKind::Browser, Engine::Chromium, 140, Os::Linux, None);
    let cloud = network(NetworkKind::Cloud);
    let verdict = policy.score(&of_request(&cloud, &chrome, &bare, Scheme::Https));
    assert_eq!((verdict.score.points(), verdict.band), (70, Band::LikelyInvalid), "{verdict:?}");
    for kind in [AgentKind::Library, AgentKind::Headless, AgentKind::Crawler, AgentKind::Tool, AgentKind::Monitor] {
        let (network, agent) = (Network::default(), Agent { kind, ..Agent::default() });
        let verdict = policy.score(&of_request(&network, &agent, &bare, Scheme::Https));
        assert_eq!((verdict.band, verdict.pixel), (Band::LikelyInvalid, PixelAction::Withhold), "{kind:?}");
        assert_ne!(verdict.category(), Category::Nothing);
    }
}

#[test]
fn a_verified_crawler_is_nobodys_visit_whatever_else_it_looks_like() {
    let policy = Policy::shipped();
    let (network, agent) = (network(NetworkKind::Cloud), Agent { kind: AgentKind::Crawler, ..Agent::default() });
    let mut facts = Facts::unknown(&network, &agent);
    facts.identity = Identity::Verified("meta");
    let verdict = policy.score(&facts);
    assert_eq!((verdict.class, verdict.score.points(), verdict.click.clone()), (Class::Skip, 0, ClickAction::Allow));
    assert_eq!((verdict.pixel, verdict.category()), (PixelAction::Withhold, Category::KnownCrawler));
    facts.event = Some(purchase(Payment::Claimed));
    assert_eq!(policy.decide(&verdict, &facts, "meta").decision, Decision::Suppress);
}

#[test]
fn trust_never_lifts_a_verdict_out_of_the_band_of_a_proof() {
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Headless, ..Agent::default() });
    let mut facts = Facts::unknown(&network, &agent);
    facts.page = Page { proof: Some(Proof::Present), interaction: Some(true), ..Page::default() };
    let verdict = policy.score(&facts);
    assert_eq!((verdict.score.points(), verdict.band), (60, Band::LikelyInvalid));
    assert_eq!(verdict.reasons[0].rule.as_ref(), "ua.headless");
}

#[test]
fn a_group_adds_its_cap_at_most_and_trust_takes_off_its_cap_at_most() {
    let signal = |id: &str, group: &str, points: i32| {
        format!("  - {{ id: {id}, match: {{ ua.kind: library }}, points: {points}, group: {group}, category: givt.activity }}\n")
    };
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Library, ..Agent::default() });
    let facts = Facts::unknown(&network, &agent);
    let adverse = signal("a", "network", 40) + &signal("b", "network", 40) + &signal("c", "agent", 50);
    assert_eq!(policy(&adverse).score(&facts).score.points(), 95);
    let trusted = adverse + &signal("d", "trust", -30) + &signal("e", "trust", -30);
    assert_eq!(policy(&trusted).score(&facts).score.points(), 55);
}

#[test]
fn reasons_come_heaviest_first_and_a_shadow_signal_is_recorded_without_points() {
    let policy = policy(
        "  - { id: light, match: { ua.kind: library }, points: 5, group: agent, category: givt.activity }\n  \
           - { id: tried, match: { ua.kind: library }, points: 59, group: agent, mode: shadow, category: givt.activity }\n  \
           - { id: heavy, match: { ua.kind: library }, points: 20, group: agent, category: givt.non_browser_ua }\n",
    );
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Library, ..Agent::default() });
    let verdict = policy.score(&Facts::unknown(&network, &agent));
    let reasons: Vec<(&str, i16)> = verdict.reasons.iter().map(|reason| (&*reason.rule, reason.points)).collect();
    assert_eq!(reasons, [("heavy", 20), ("light", 5), ("tried", 0)]);
    assert_eq!((verdict.score.points(), verdict.category()), (25, Category::NonBrowserAgent));
}

#[test]
fn a_clean_visit_shares_one_empty_list_of_reasons() {
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent::default());
    let facts = Facts::unknown(&network, &agent);
    assert!(Arc::ptr_eq(&policy.score(&facts).reasons, &policy.score(&facts).reasons));
}

fn in_band(band: Band) -> Verdict {
    Verdict { band, ..Verdict::default() }
}

#[test]
fn a_paid_order_is_forwarded_up_to_suspect_and_renamed_above() {
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent::default());
    let mut facts = Facts::unknown(&network, &agent);
    facts.event = Some(purchase(Payment::Captured));
    for band in [Band::Human, Band::Suspect] {
        assert_eq!(policy.decide(&in_band(band), &facts, "meta").decision, Decision::Forward);
    }
    let ruling = policy.decide(&in_band(Band::Invalid), &facts, "meta");
    let Decision::Modify(change) = ruling.decision else { panic!("{ruling:?}") };
    assert_eq!(
        (change.rename.as_deref(), change.drop.as_slice()),
        (Some("PurchaseUnverified"), &["user_data.fbc".to_owned()][..])
    );
    assert_eq!(change.set, [("custom_data.traffic_quality".to_owned(), "{band}".into())]);
    facts.event = Some(purchase(Payment::Claimed));
    assert_eq!(policy.decide(&in_band(Band::LikelyInvalid), &facts, "meta").decision, Decision::Suppress);
}

#[test]
fn a_suspects_event_waits_for_proof() {
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent::default());
    let mut facts = Facts::unknown(&network, &agent);
    facts.event = Some(EventFacts { name: "AddToCart", ..purchase(Payment::Claimed) });
    let expected = Decision::Hold {
        until: Until::JsProof,
        patience: Duration::from_mins(15),
        then: AfterHold::Suppress,
        replay_on: Some(Arc::from("Purchase")),
    };
    let ruling = policy.decide(&in_band(Band::Suspect), &facts, "anything");
    assert_eq!((ruling.decision, ruling.rule.as_ref()), (expected, "event.suspect"));
}

#[test]
fn a_shadowed_file_judges_but_does_nothing() {
    let policy = Policy::parse("r.yaml", &SHIPPED.replace("mode: enforce", "mode: shadow"), Path::new(".")).unwrap();
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Library, ..Agent::default() });
    let mut facts = Facts::unknown(&network, &agent);
    let verdict = policy.score(&facts);
    assert_eq!((verdict.band, verdict.click.clone(), verdict.pixel), (Band::LikelyInvalid, ClickAction::Tag, PixelAction::Leave));
    facts.event = Some(purchase(Payment::Claimed));
    let ruling = policy.decide(&verdict, &facts, "meta");
    assert_eq!((ruling.decision, ruling.rule.as_ref()), (Decision::Forward, "event.invalid"));
}

#[test]
fn a_list_matches_addresses_and_numbers_and_its_text_counts_in_the_digest() {
    let text = |range: &str| {
        format!(
            "schema: clicksieve/rules/v1\nlists:\n  office: {{ type: cidr, values: [\"{range}\", \"2001:db8::/32\"] }}\nclassify:\n  \
             - {{ id: o, match: {{ net.ip: {{ in: \"@office\" }} }}, as: allow }}\n"
        )
    };
    let policy = Policy::parse("r.yaml", &text("203.0.113.0/28"), Path::new(".")).unwrap();
    let (network, agent) = (Network::default(), Agent::default());
    for (address, class) in
        [("203.0.113.15", Class::Allow), ("203.0.113.16", Class::Visit), ("2001:db8::7", Class::Allow), ("::1", Class::Visit)]
    {
        let mut facts = Facts::unknown(&network, &agent);
        facts.address = Some(address.parse().unwrap());
        assert_eq!(policy.score(&facts).class, class, "{address}");
    }
    let other = Policy::parse("r.yaml", &text("203.0.113.0/29"), Path::new(".")).unwrap();
    assert_ne!(policy.digest(), other.digest());
}

#[test]
fn rows_below_one_that_speaks_always_are_warned_of() {
    let text = "schema: clicksieve/rules/v1\npolicy:\n  pixel:\n    - { id: a, do: leave }\n    - { id: b, do: withhold }\n";
    let policy = Policy::parse("r.yaml", text, Path::new(".")).unwrap();
    assert_eq!(policy.warnings()[0].to_string(), "r.yaml:5:7: this row is never reached\nhint: a row above it speaks always");
}

#[test]
fn an_empty_file_says_how_to_begin() {
    assert_eq!(faults(""), ["r.yaml: the file is empty\nhint: begin with `schema: clicksieve/rules/v1`"]);
}

/// A signal that fires, if at all, on known facts only; its shape is chosen by the numbers.
fn signal(id: usize, fact: usize, shape: u8) -> String {
    let facts =
        ["ua.kind: library", "net.kind: tor", "page.webdriver: true", "session.pages: { gte: 0 }", "event.name: Purchase"];
    let clause = facts[fact % facts.len()];
    let clause = match shape % 4 {
        0 => clause.to_owned(),
        1 => format!("all: [{{ {clause} }}]"),
        2 => format!("any: [{{ {clause} }}, {{ page.proof: absent }}]"),
        _ => format!("none: [{{ {clause} }}]"),
    };
    format!("  - {{ id: s{id}, match: {{ {clause} }}, points: 59, group: agent, category: givt.activity }}\n")
}

proptest! {
    #[test]
    fn where_nothing_is_known_no_rules_add_points(shapes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12)) {
        let text: String = shapes.iter().enumerate().map(|(id, (fact, shape))| signal(id, *fact, *shape)).collect();
        let (network, agent) = (Network::default(), Agent::default());
        prop_assert_eq!(policy(&text).score(&Facts::unknown(&network, &agent)).score.points(), 0);
    }

    #[test]
    fn the_order_of_signals_does_not_change_the_score(shapes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let rows: Vec<String> = shapes.iter().enumerate().map(|(id, (fact, shape))| signal(id, *fact, *shape)).collect();
        let turned: String = rows.iter().rev().cloned().collect();
        let (network, agent) = (network(NetworkKind::Tor), Agent { kind: AgentKind::Library, ..Agent::default() });
        let facts = Facts::unknown(&network, &agent);
        let policy_ = policy(&rows.concat());
        prop_assert_eq!(policy_.score(&facts), policy_.score(&facts));
        prop_assert_eq!(policy_.score(&facts).score, policy(&turned).score(&facts).score);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Policy::parse("r.yaml", &String::from_utf8_lossy(&bytes), Path::new("/nonexistent"));
    }

    #[test]
    fn the_shipped_rules_with_a_piece_changed_never_panic(at in 0..SHIPPED.len(), cut in 0_usize..40, put in "[ -~\n\t]{0,6}") {
        let mut bytes = SHIPPED.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(SHIPPED.len()), put.bytes());
        let _ = Policy::parse("r.yaml", &String::from_utf8_lossy(&bytes), Path::new("/nonexistent"));
    }
}
