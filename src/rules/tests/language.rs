//! The rule language beyond single clauses: lines against maps, what is declared, scopes, presets, what rows say of
//! themselves; and over all shipped rules, that nothing counts against anybody because it is not known.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;

use http::header::HeaderName;
use proptest::prelude::*;

use super::faults;
use super::headers;
use super::of_request;
use super::policy;
use super::purchase;
use crate::click::Scheme;
use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::fact::Payment;
use crate::fact::Type;
use crate::rules::Policy;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::condition::Test;
use crate::verdict::Band;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::Score;
use crate::verdict::Share;

/// The shipped rules, read once for many cases.
static RULES: LazyLock<Policy> = LazyLock::new(Policy::shipped);

/// A clause as a line and as a map have it.
const CLAUSES: [(&str, &str); 8] = [
    ("ua.mobile", "ua.mobile: true"),
    ("ua.kind == library", "ua.kind: library"),
    ("net.kind in [cloud, tor]", "net.kind: { any_of: [cloud, tor] }"),
    ("ua.major >= 90", "ua.major: { gte: 90 }"),
    ("page.age < 20s", "page.age: { lt: 20s }"),
    ("client.in_app is missing", "client.in_app: { missing: true }"),
    ("http.header(\"x-a\") contains squid", "http.header(\"x-a\"): { contains: squid }"),
    ("utm.source != fb", "utm.source: { none_of: [fb] }"),
];

#[derive(Clone, Debug)]
enum Tree {
    Clause(usize),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
}

impl Tree {
    fn line(&self) -> String {
        let joined =
            |parts: &[Self], by: &str| parts.iter().map(|part| format!("({})", part.line())).collect::<Vec<_>>().join(by);
        match self {
            Self::Clause(at) => CLAUSES[*at].0.to_owned(),
            Self::And(parts) => joined(parts, " and "),
            Self::Or(parts) => joined(parts, " or "),
            Self::Not(part) => format!("not ({})", part.line()),
        }
    }

    fn map(&self) -> String {
        let list = |parts: &[Self]| parts.iter().map(|part| format!("{{ {} }}", part.map())).collect::<Vec<_>>().join(", ");
        match self {
            Self::Clause(at) => CLAUSES[*at].1.to_owned(),
            Self::And(parts) => format!("all: [{}]", list(parts)),
            Self::Or(parts) => format!("any: [{}]", list(parts)),
            Self::Not(part) => format!("none: [{{ {} }}]", part.map()),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    (0..CLAUSES.len()).prop_map(Tree::Clause).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Or),
            inner.prop_map(|part| Tree::Not(Box::new(part))),
        ]
    })
}

/// All that conditions look at, each with values that bring a test of it to both sides.
fn candidates<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Vec<(Subject, Vec<Literal>)> {
    let mut found: Vec<(Subject, Vec<Literal>)> = Vec::new();
    for name in FactName::ALL {
        let values = match name.kind() {
            Type::Bool => vec![Literal::Bool(true), Literal::Bool(false)],
            Type::Number | Type::Duration => vec![Literal::Number(0), Literal::Number(50)],
            Type::Word(words) => words.iter().map(|word| Literal::Text((*word).into())).collect(),
            Type::Text => vec![Literal::Text("other".into())],
            Type::Address => vec![Literal::Address("203.0.113.1".parse().unwrap())],
        };
        found.push((Subject::Fact(*name), values));
    }
    for condition in conditions {
        add(condition, &mut found);
    }
    for (_, values) in &mut found {
        values.push(Literal::Missing);
    }
    found
}

fn add(condition: &Condition, found: &mut Vec<(Subject, Vec<Literal>)>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => parts.iter().for_each(|part| add(part, found)),
        Condition::Test(subject, test) => {
            let values = match test {
                Test::AnyOf(values) | Test::NoneOf(values) => values.to_vec(),
                Test::Within(low, high) => {
                    vec![Literal::Number(*low), Literal::Number(low.saturating_sub(1)), Literal::Number(high.saturating_add(1))]
                }
                Test::Contains(part) | Test::StartsWith(part) | Test::EndsWith(part) => vec![Literal::Text(part.clone())],
                Test::In(_) | Test::NotIn(_) | Test::Missing(_) => vec![Literal::Text("there".into())],
            };
            match found.iter_mut().find(|(of, _)| of == subject) {
                Some((_, known)) => known.extend(values),
                None => found.push((subject.clone(), values)),
            }
        }
    }
}

/// Values for about as many subjects as `density` of 8 says; the others are unknown.
fn given(candidates: &[(Subject, Vec<Literal>)], seed: u64, density: u64) -> Vec<(Subject, Literal)> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut given = Vec::new();
    for (subject, values) in candidates {
        if next() % 8 < density {
            let at = usize::try_from(next()).unwrap() % values.len();
            given.push((subject.clone(), values[at].clone()));
        }
    }
    given
}

proptest! {
    #[test]
    fn a_line_means_what_the_same_map_means(tree in tree(), seed in any::<u64>(), density in 1_u64..=8) {
        let row = |condition: String| format!("  - {{ id: s, {condition}, points: 5, group: agent, category: givt.activity }}\n");
        let line = policy(&row(format!("when: {}", serde_json::Value::from(tree.line()))));
        let map = policy(&row(format!("match: {{ {} }}", tree.map())));
        let conditions = [&line.rows.signals[0].condition, &map.rows.signals[0].condition];
        let given = given(&candidates(conditions.into_iter()), seed, density);
        let truths = conditions.map(|condition| condition.truth(Source::Given(&given)));
        prop_assert_eq!(truths[0], truths[1], "{}", tree.line());
    }

    #[test]
    fn no_shipped_rule_speaks_because_less_is_known(seed in any::<u64>(), density in 1_u64..=8, forgotten in any::<u64>()) {
        let policy = &*RULES;
        let rows = policy.rows.all().map(|(_, _, condition)| condition);
        let more = given(&candidates(rows), seed, density);
        let kept = |at: usize| forgotten.rotate_left(u32::try_from(at % 64).unwrap()) & 1 == 1;
        let less: Vec<(Subject, Literal)> = more.iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, fact)| fact.clone()).collect();
        for (id, _, condition) in policy.rows.all() {
            prop_assert!(!condition.holds(Source::Given(&less)) || condition.holds(Source::Given(&more)), "{}: {:?}", id, less);
        }
    }

    #[test]
    fn random_lines_never_panic_and_only_well_formed_ones_load(line in "[a-z._$@()\\[\\]=!<>&|,'\" 0-9]{0,60}|(not |\\(|and |ua.mobile ){0,40}") {
        let text = format!("schema: clicksieve/rules/v1\nclassify:\n  - {{ id: a, as: deny, when: {} }}\n", serde_json::Value::from(line));
        let _ = Policy::parse("r.yaml", &text, Path::new("."));
    }
}

#[test]
fn where_nothing_is_known_no_shipped_rule_speaks_against_anybody() {
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent::default());
    let verdict = policy.score(&Facts::unknown(&network, &agent));
    assert_eq!((verdict.score, verdict.shadow, verdict.class), (Score::default(), Score::default(), Class::Visit));
    assert!(verdict.reasons.iter().all(|reason| reason.points <= 0), "{:?}", verdict.reasons);
}

#[test]
fn a_line_and_a_map_of_one_row_must_both_hold() {
    let policy = policy(
        "  - { id: a, match: { ua.kind: library }, when: net.kind == cloud, points: 5, group: agent, category: givt.activity }\n",
    );
    let agent = Agent { kind: AgentKind::Library, ..Agent::default() };
    for (kind, points) in [(NetworkKind::Cloud, 5), (NetworkKind::Tor, 0), (NetworkKind::Unknown, 0)] {
        let network = Network { kind, ..Network::default() };
        assert_eq!(policy.score(&Facts::unknown(&network, &agent)).score.points(), points, "{kind:?}");
    }
}

const DECLARED: &str = "schema: clicksieve/rules/v1
lists:
  office: { type: cidr, values: [203.0.113.0/28] }
  hosts: { type: asn, values: [64496] }
  home: { type: cidr, values: [198.51.100.0/24] }
net_kinds:
  - corporate: \"@office\"
  - datacenter: \"@hosts\"
identities:
  watch: { ua: [WatchBot/], ranges: \"@home\" }
  named: { ua: [NamedBot/], rdns: [crawl.example.com] }
classify:
  - { id: known, match: { identity: watch }, as: skip }
score: { groups: { a: 100 } }
signals:
  - { id: office, match: { net.kind: corporate }, points: 1, group: a, category: givt.activity }
  - { id: hosted, match: { net.kind: datacenter }, points: 2, group: a, category: givt.activity }
  - { id: cloud, match: { net.kind: cloud }, points: 4, group: a, category: givt.activity }
  - { id: pretends, match: { identity.claimed_but_unverified: true }, points: 50, group: a, category: givt.activity }
";

#[test]
fn a_declared_kind_of_network_goes_ahead_of_the_built_in_one_and_the_first_row_of_others() {
    let policy = Policy::parse("r.yaml", DECLARED, Path::new(".")).unwrap();
    let agent = Agent::default();
    for (address, asn, points) in [("203.0.113.1", 64_496, 1), ("192.0.2.1", 64_496, 2), ("192.0.2.1", 1, 4)] {
        let network = Network { kind: NetworkKind::Cloud, asn: Some(asn), ..Network::default() };
        let mut facts = Facts::unknown(&network, &agent);
        facts.address = Some(address.parse().unwrap());
        assert_eq!(policy.score(&facts).score.points(), points, "{address} {asn}");
    }
}

#[test]
fn a_declared_identity_is_an_agent_from_its_own_range_and_an_impostor_from_elsewhere() {
    let policy = Policy::parse("r.yaml", DECLARED, Path::new(".")).unwrap();
    let (network, agent) = (Network::default(), Agent::default());
    for (who, address, class, points) in [
        ("WatchBot/1.0", Some("198.51.100.9"), Class::Skip, 0),
        ("WatchBot/1.0", Some("192.0.2.1"), Class::Visit, 50),
        ("WatchBot/1.0", None, Class::Visit, 0),
        ("NamedBot/1.0", Some("192.0.2.1"), Class::Visit, 0),
        ("Mozilla/5.0", Some("198.51.100.9"), Class::Visit, 0),
    ] {
        let mut facts = Facts::unknown(&network, &agent);
        facts.user_agent = Some(who);
        facts.address = address.map(|address| address.parse().unwrap());
        let verdict = policy.score(&facts);
        assert_eq!((verdict.class, verdict.score.points()), (class, points), "{who} from {address:?}");
    }
    assert_eq!(policy.identities()[1].rdns.len(), 1);
}

const SCOPED: &str = "schema: clicksieve/rules/v1
score: { groups: { a: 100 } }
signals:
  - { id: one, match: { ua.kind: browser }, points: 20, group: a, category: givt.activity }
  - { id: two, match: { ua.kind: browser }, points: 30, group: a, category: givt.activity }
scopes:
  - { id: shop, site: shop.example, sensitivity: very_strict }
  - { id: sale, path: /sale, points: { one: 5 } }
  - { id: both, site: shop.example, path: /sale, disable: [two] }
  - id: spring
    campaign: [spring]
    bands: { suspect: 51 }
    policy:
      click: [{ id: spring.click, do: allow }]
      event: { \"*\": [{ id: spring.event, do: suppress }] }
policy:
  click: [{ id: click, band: likely_invalid, do: prove }, { id: rest, do: tag }]
  event: { \"*\": [{ id: event, do: forward }] }
";

#[test]
fn the_narrowest_scope_holds_and_it_alone() {
    let policy = Policy::parse("r.yaml", SCOPED, Path::new(".")).unwrap();
    let (network, agent, none) = (Network::default(), Agent { kind: AgentKind::Browser, ..Agent::default() }, headers(&[]));
    for (host, path, campaign, scope, points, band) in [
        ("other.example", "/", None, None, 50, Band::Suspect),
        ("shop.example", "/", None, Some("shop"), 50, Band::LikelyInvalid),
        ("other.example", "/sale", None, Some("sale"), 35, Band::Suspect),
        ("other.example", "/sales", None, None, 50, Band::Suspect),
        ("shop.example", "/sale/shoes", None, Some("both"), 20, Band::Human),
        ("shop.example", "/sale/shoes", Some("spring"), Some("spring"), 50, Band::Human),
        ("shop.example", "/", Some("Spring"), Some("shop"), 50, Band::LikelyInvalid),
    ] {
        let mut facts = of_request(&network, &agent, &none, Scheme::Https);
        (facts.host, facts.path, facts.utm_campaign) = (Some(host), Some(path), campaign);
        let verdict = policy.score(&facts);
        let named = verdict.reasons.iter().find(|reason| reason.points == 0).map(|reason| &*reason.rule);
        assert_eq!((named, verdict.score.points(), verdict.band), (scope, points, band), "{host}{path} {campaign:?}");
        let expected = match scope {
            Some("shop") => ClickAction::Prove,
            Some("spring") => ClickAction::Allow,
            _ => ClickAction::Tag,
        };
        assert_eq!(verdict.click, expected, "{host}{path} {campaign:?}");
    }
}

#[test]
fn an_event_is_decided_by_the_scope_of_its_visit() {
    let policy = Policy::parse("r.yaml", SCOPED, Path::new(".")).unwrap();
    let (network, agent, none) = (Network::default(), Agent::default(), headers(&[]));
    let mut page = of_request(&network, &agent, &none, Scheme::Https);
    let elsewhere = policy.score(&page);
    page.utm_campaign = Some("spring");
    let spring = policy.score(&page);
    assert!(Arc::ptr_eq(&spring.reasons, &policy.score(&page).reasons));
    let mut event = Facts::unknown(&network, &agent);
    event.event = Some(purchase(Payment::Claimed));
    assert_eq!(policy.decide(&spring, &event, "meta").decision, Decision::Suppress);
    assert_eq!(policy.decide(&elsewhere, &event, "meta").decision, Decision::Forward);
}

#[test]
fn rules_that_are_only_tried_count_in_the_shadow_alone() {
    let text = |status: &str| {
        format!(
            "schema: clicksieve/rules/v1\nscore: {{ groups: {{ a: 100 }} }}\nsignals:\n  \
             - {{ id: a, match: {{ ua.kind: library }}, points: 20, group: a, category: givt.activity }}\n  \
             - {{ id: b, match: {{ ua.kind: library }}, points: 15, group: a, category: givt.activity, status: {status} }}\n\
             policy:\n  pixel: [{{ id: p, status: {status}, do: withhold }}, {{ id: q, do: leave }}]\n"
        )
    };
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Library, ..Agent::default() });
    for (status, points, pixel) in [("draft", 20, "leave"), ("shadow", 20, "leave"), ("stable", 35, "withhold")] {
        let policy = Policy::parse("r.yaml", &text(status), Path::new(".")).unwrap();
        let verdict = policy.score(&Facts::unknown(&network, &agent));
        assert_eq!((verdict.score.points(), verdict.shadow.points(), verdict.pixel.name()), (points, 35, pixel), "{status}");
    }
}

#[test]
fn a_row_past_its_date_is_warned_of_and_ends_only_where_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.yaml");
    let row = |id: &str, more: &str| {
        format!(
            "  - {{ id: {id}, match: {{ ua.kind: library }}, points: 10, group: a, category: givt.activity, expires: 2027-01-31{more} }}\n"
        )
    };
    let head = "schema: clicksieve/rules/v1\nscore: { groups: { a: 100 } }\nsignals:\n";
    fs::write(&file, format!("{head}{}{}", row("stays", ""), row("ends", ", on_expiry: disable"))).unwrap();
    let (network, agent) = (Network::default(), Agent { kind: AgentKind::Library, ..Agent::default() });
    // 2027-01-30 and 2027-01-31, both at 12:00 UTC.
    for (millis, points, warnings) in [(1_801_310_400_000, 20, 0), (1_801_396_800_000, 10, 2)] {
        let policy = Policy::load_at(&file, UnixMillis(millis)).unwrap();
        assert_eq!(policy.score(&Facts::unknown(&network, &agent)).score.points(), points);
        assert_eq!(policy.warnings().len(), warnings, "{:?}", policy.warnings());
    }
}

#[test]
fn an_action_for_a_share_of_visits_carries_what_the_others_get() {
    let text = "schema: clicksieve/rules/v1\npolicy:\n  click:\n    - { id: a, do: prove, enforce_percent: 10 }\n    \
                - { id: b, do: allow, enforce_percent: 50 }\n    - { id: c, do: tag }\n";
    let policy = Policy::parse("r.yaml", text, Path::new(".")).unwrap();
    let (network, agent) = (Network::default(), Agent::default());
    let verdict = policy.score(&Facts::unknown(&network, &agent));
    assert_eq!((verdict.click, verdict.share), (ClickAction::Prove, Some(Share { percent: 10, otherwise: ClickAction::Tag })));
}

#[test]
fn what_is_seldom_meant_is_warned_of() {
    let text = "schema: clicksieve/rules/v1
conditions:
  unused: ua.mobile
classify:
  - { id: app, match: { ua.family: our_app }, as: allow }
  - { id: fine, match: { ua.family: our_app, net.kind: corporate }, as: allow }
policy:
  pixel:
    - { id: a, band: [suspect, invalid], do: leave }
    - { id: b, band: suspect, when: ua.mobile, status: deprecated, do: gate }
    - { id: c, do: leave }
  event:
    \"*\":
      - { id: hosted, match: { net.kind: cloud }, do: suppress }
      - { id: paid, match: { event.name: Purchase, event.payment: captured }, do: forward }
      - { id: late, match: { net.kind: tor }, do: suppress }
      - { id: rest, do: forward }
";
    let policy = Policy::parse("r.yaml", text, Path::new(".")).unwrap();
    let warnings: Vec<String> = policy.warnings().iter().map(|fault| format!("{}: {}", fault.line, fault.message)).collect();
    assert_eq!(
        warnings,
        [
            "3: nothing asks for the condition `unused`",
            "5: `allow` is decided by the user agent alone",
            "10: this row is never reached",
            "10: this row is deprecated",
            "14: this row can drop a paid order for its address alone",
        ]
    );
}

#[test]
fn an_expression_has_bounds_to_its_length_and_depth() {
    let row = |line: &str| format!("schema: clicksieve/rules/v1\nclassify:\n  - {{ id: a, as: deny, when: {line} }}\n");
    let long = vec!["ua.mobile"; 600].join(" or ");
    assert!(faults(&row(&long))[0].contains("letters, more than 4096"));
    let deep = format!("{}ua.mobile{}", "(".repeat(40), ")".repeat(40));
    assert!(faults(&row(&deep))[0].contains("more than 32 brackets"));
    let fits = format!("{}ua.mobile{}", "(".repeat(31), ")".repeat(31));
    assert!(Policy::parse("r.yaml", &row(&fits), Path::new(".")).is_ok());
}

#[test]
fn a_field_is_looked_up_by_any_case_of_its_name() {
    let policy = policy("  - { id: a, when: http.header(X-Probe) == yes, points: 5, group: agent, category: givt.activity }\n");
    let (network, agent) = (Network::default(), Agent::default());
    let fields = headers(&[("x-probe", "yes")]);
    assert!(fields.contains_key(HeaderName::from_static("x-probe")));
    assert_eq!(policy.score(&of_request(&network, &agent, &fields, Scheme::Https)).score.points(), 5);
}
