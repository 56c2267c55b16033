//! Whatever is remembered, skipped or compiled: a verdict is the one that reading the rules one after the other gives. The
//! evaluation here is the plain one, row by row, and knows neither sheets nor tables.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::click::Purpose;
use crate::fact::AgentKind;
use crate::fact::Facts;
use crate::fact::drawn::Drawn;
use crate::rules::Policy;
use crate::rules::bands::Bands;
use crate::rules::condition::Source;
use crate::rules::condition::Truth;
use crate::rules::declared::Known;
use crate::rules::row::Certainty;
use crate::rules::row::Row;
use crate::rules::row::RuleMode;
use crate::rules::row::Signal;
use crate::rules::scopes::Scope;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Reason;
use crate::verdict::Score;
use crate::verdict::Share;
use crate::verdict::Verdict;

/// What is judged by the rules, one after the other; `earlier` is the verdict that a visit had before.
#[derive(Clone, Copy)]
struct Plain<'a> {
    policy: &'a Policy,
    source: Source<'a>,
    scope: Option<&'a Scope>,
    earlier: Option<&'a Verdict>,
}

fn plainly(policy: &Policy, facts: &Facts<'_>, earlier: Option<&Verdict>) -> Verdict {
    let bare = earlier.filter(|earlier| earlier.reasons.is_empty());
    if let Some(earlier) = bare.filter(|earlier| earlier.class != Class::Visit) {
        return earlier.clone();
    }
    let rows = &policy.rows;
    let mut room = Known::default();
    let source = rows.declared.source(facts, &mut room);
    let scope = rows.scopes.find(source).or_else(|| rows.scopes.of(earlier?));
    let plain = Plain { policy, source, scope, earlier };
    let mut verdict = plain.settled().unwrap_or_else(|| {
        let mut verdict = plain.weighed();
        verdict.score = verdict.score.max(bare.map_or(Score::default(), |earlier| earlier.score));
        verdict
    });
    let of_scope = scope.map(|scope| reason(&scope.id, 0, Category::Nothing));
    let noted = plain.noted(facts, &verdict);
    verdict.reasons = verdict.reasons.iter().cloned().chain(of_scope).chain(noted).collect();
    plain.act(&mut verdict);
    verdict
}

impl Plain<'_> {
    fn spoke(&self, id: &str) -> bool {
        self.earlier.is_some_and(|earlier| earlier.reasons.iter().any(|reason| *reason.rule == *id))
    }

    fn bands(&self) -> Bands {
        self.scope.map_or(self.policy.rows.bands, |scope| scope.bands)
    }

    fn settled(&self) -> Option<Verdict> {
        let mut rows = self.policy.rows.classify.iter().filter(|row| row.mode == RuleMode::Enforce);
        let row = rows.find(|row| {
            let truth = row.condition.truth(self.source);
            truth == Truth::True || truth == Truth::Unknown && self.spoke(&row.id)
        })?;
        let points = if row.class == Class::Deny { 100 } else { 0 };
        let score = Score::clamped(points.into());
        let reasons = [reason(&row.id, points, row.category)].into();
        Some(Verdict { class: row.class, score, shadow: score, reasons, ..Verdict::default() })
    }

    /// A page fetched ahead: what its request and those before it showed is kept for when somebody looks.
    fn noted(&self, facts: &Facts<'_>, settled: &Verdict) -> Vec<Reason> {
        let ahead = facts.purpose.is_some_and(|purpose| purpose != Purpose::View);
        let mut noted: Vec<Reason> = Vec::new();
        if settled.class != Class::Skip || !(ahead || settled.reasons.iter().any(|reason| self.spoke(&reason.rule))) {
            return noted;
        }
        let own = if ahead && facts.agent.kind == AgentKind::Browser { self.weighed().reasons } else { [].into() };
        for shown in own.iter().chain(self.earlier.iter().flat_map(|earlier| earlier.reasons.iter())) {
            let is_signal = self.policy.rows.signals.iter().any(|signal| signal.id == shown.rule);
            if is_signal && noted.iter().all(|known| known.rule != shown.rule) {
                noted.push(reason(&shown.rule, 0, Category::Nothing));
            }
        }
        noted
    }

    fn weighed(&self) -> Verdict {
        let rows = &self.policy.rows;
        let tried = rows.classify.iter().filter(|row| row.mode == RuleMode::Shadow && row.condition.holds(self.source));
        let mut reasons: Vec<Reason> = tried.map(|row| reason(&row.id, 0, Category::Nothing)).collect();
        let (mut counted, mut tried) = (Vec::new(), Vec::new());
        for (place, signal) in rows.signals.iter().enumerate().filter(|(_, signal)| signal.mode != RuleMode::Off) {
            let speaks = match signal.condition.truth(self.source) {
                Truth::True => true,
                Truth::False => signal.certainty == Certainty::Proof && self.spoke(&signal.id),
                Truth::Unknown => self.spoke(&signal.id),
            };
            let points = self.scope.map_or(Some(signal.points), |scope| scope.points(place, signal.points));
            let Some(points) = points.filter(|_| speaks) else { continue };
            tried.push((signal, points));
            if signal.mode == RuleMode::Enforce {
                counted.push((signal, points));
                reasons.push(reason(&signal.id, points, signal.category));
            } else {
                reasons.push(reason(&signal.id, 0, Category::Nothing));
            }
        }
        reasons.sort_by_key(|reason| Reverse(reason.points));
        let (score, shadow) = (self.worth(&counted), self.worth(&tried));
        Verdict { score, shadow, reasons: reasons.into(), ..Verdict::default() }
    }

    /// What signals are worth together; proofs alone give the least.
    fn worth(&self, signals: &[(&Signal, i16)]) -> Score {
        let sum = |group: usize, cap: i32, proofs: bool| -> i32 {
            let of_group = signals.iter().filter(|(signal, _)| signal.group == group);
            let sum: i32 = if proofs {
                let proofs = of_group.filter(|(signal, _)| signal.certainty == Certainty::Proof);
                proofs.map(|(_, points)| i32::from(*points).max(0)).sum()
            } else {
                of_group.map(|(_, points)| i32::from(*points)).sum()
            };
            if cap > 0 { sum.clamp(0, cap) } else { sum.clamp(cap, 0) }
        };
        let total = |proofs: bool| -> i32 {
            self.policy.rows.groups.iter().enumerate().map(|(group, of)| sum(group, of.cap, proofs)).sum()
        };
        let floor = self.bands().first_point(self.bands().of(Score::clamped(total(true)).points()));
        Score::clamped(total(false).max(floor.into()))
    }

    fn act(&self, verdict: &mut Verdict) {
        let rows = &self.policy.rows;
        verdict.band = self.bands().of(verdict.score.points());
        if rows.mode != RuleMode::Enforce {
            return;
        }
        let click = self.scope.and_then(|scope| scope.click.as_ref()).unwrap_or(&rows.click);
        let pixel = self.scope.and_then(|scope| scope.pixel.as_ref()).unwrap_or(&rows.pixel);
        let clicks: Vec<&Row<ClickAction>> = click.iter().filter(|row| fits(row, verdict, self.source)).collect();
        if let Some(row) = clicks.first() {
            let rest = clicks.iter().skip(1).find(|row| row.percent.is_none());
            let otherwise = rest.map_or(ClickAction::Tag, |row| row.action.clone());
            verdict.click = row.action.clone();
            verdict.share = row.percent.map(|percent| Share { percent, otherwise });
        }
        if let Some(row) = pixel.iter().find(|row| fits(row, verdict, self.source)) {
            verdict.pixel = row.action;
        }
    }
}

fn fits<T>(row: &Row<T>, verdict: &Verdict, source: Source<'_>) -> bool {
    row.mode == RuleMode::Enforce && row.guard.fits(verdict.class, verdict.band) && row.guard.condition.holds(source)
}

fn reason(id: &Arc<str>, points: i16, category: Category) -> Reason {
    Reason { rule: Arc::clone(id), points, category }
}

/// Clauses of all kinds that rule files have.
const CLAUSES: [&str; 30] = [
    "ua.kind == browser",
    "ua.kind in [browser, in_app]",
    "ua.kind != library",
    "net.kind == corporate",
    "net.kind in [cloud, tor]",
    "net.asn in @numbers",
    "net.asn == 64496",
    "net.ip in @office",
    "net.country == DE",
    "ua.family in [lynx, w3m]",
    "ua.family not in @families",
    "ua.major >= 60",
    "ua.major < 24",
    "ua.major == 25",
    "ua.behind is missing",
    "http.header(\"accept-language\") is missing",
    "http.header(\"sec-fetch-mode\") == navigate",
    "http.header(\"sec-fetch-mode\") starts_with nav",
    "http.names contains agent",
    "http.name_case == title",
    "identity is not missing",
    "identity == partner",
    "identity.claimed_but_unverified",
    "page.webdriver",
    "page.proof == absent",
    "visit.age > 10s",
    "event.name == Purchase",
    "counter.ids >= 4",
    "utm.campaign == spring",
    "h2.weight > 100",
];

/// What stands around the rows: lists, declarations, a counter, parts of a shop, rows that act.
const AROUND: &str = "schema: clicksieve/rules/v1
lists:
  numbers: { type: asn, values: [64496, 64500] }
  office: { type: cidr, values: [203.0.113.0/24] }
  families: { type: string, values: [curl, x] }
net_kinds: [{ corporate: \"@office\" }]
identities: { partner: { ua: [partner-agent], ranges: \"@office\" } }
counters: { ids: { count_distinct: click.id, by: client.fp, window: 10m } }
score: { groups: { a: 60, b: 35, t: -40 } }
scopes:
  - { id: own, site: shop.example, sensitivity: strict, points: { s0: -7 } }
  - { id: sale, path: /sale/, sensitivity: low, disable: [s1] }
policy:
  click:
    - { id: c0, band: suspect, do: prove, enforce_percent: 30 }
    - { id: c1, band: { any_of: [likely_invalid, invalid] }, do: { block: { status: 403 } }ASKS }
    - { id: c2, do: allow, class: skip }
    - { id: c3, do: tag }
  pixel:
    - { id: p0, band: { any_of: [likely_invalid, invalid] }, do: withhold }
    - { id: p1, do: leave }
";

/// A rule file by lot.
fn file(lot: &[u64], asks: bool) -> Policy {
    let asks = if asks { ", match: { ua.mobile: true }" } else { "" };
    let (mut classify, mut signals) = ("classify:\n".to_owned(), "signals:\n".to_owned());
    for (number, lot) in lot.iter().enumerate() {
        let clause = |shift: u32| CLAUSES[usize::try_from(lot >> shift).unwrap() % CLAUSES.len()];
        let (first, second, third) = (clause(0), clause(8), clause(16));
        let when = match lot >> 24 & 7 {
            0 => format!("{first} and ({second} or {third})"),
            1 => format!("not ({first} and {second})"),
            2 => format!("{first} or {second}"),
            3 => format!("{first} and {second} and {third}"),
            4 => format!("{first} and not ({second} or {third})"),
            _ => first.to_owned(),
        };
        let status = if (lot >> 28).is_multiple_of(4) { "shadow" } else { "stable" };
        let (points, group) =
            [("7", "a"), ("40", "b"), ("59", "a"), ("-9", "t"), ("-9", "a")][usize::try_from(lot >> 32).unwrap() % 5];
        let proof = if (lot >> 40).is_multiple_of(4) && !points.starts_with('-') { ", certainty: proof" } else { "" };
        let class = ["skip", "allow", "deny"][usize::try_from(lot >> 44).unwrap() % 3];
        let row = format!("when: '{when}', status: {status}");
        if number % 5 == 4 {
            let _ = writeln!(classify, "  - {{ id: k{number}, {row}, as: {class}, category: givt.internal }}");
        }
        let _ =
            writeln!(signals, "  - {{ id: s{number}, {row}, points: {points}, group: {group}, category: givt.activity{proof} }}");
    }
    let classify = if lot.len() > 4 { classify } else { String::new() };
    let text = format!("{}{classify}{signals}", AROUND.replace("ASKS", asks));
    let read = Policy::parse("r.yaml", &text, Path::new("."));
    read.unwrap_or_else(|faults| panic!("{}\n{text}", faults.iter().map(ToString::to_string).collect::<String>()))
}

static SHIPPED: LazyLock<Policy> = LazyLock::new(Policy::shipped);

fn check(policy: &Policy, lots: &[u64]) -> Result<(), TestCaseError> {
    let mut earlier = None;
    for lot in lots {
        let drawn = Drawn::of(*lot);
        let facts = drawn.facts();
        // Twice: what was found, and what is remembered.
        for _ in 0..2 {
            prop_assert_eq!(policy.score(&facts), plainly(policy, &facts, None));
        }
        if let Some(earlier) = &earlier {
            prop_assert_eq!(policy.rescore(&facts, earlier), plainly(policy, &facts, Some(earlier)));
        }
        let bare = Verdict { score: Score::clamped(i32::try_from(lot % 100).unwrap()), ..Verdict::default() };
        prop_assert_eq!(policy.rescore(&facts, &bare), plainly(policy, &facts, Some(&bare)));
        earlier = Some(policy.score(&facts));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_shipped_rules_give_the_verdict_of_reading_them_one_by_one(lots in prop::collection::vec(any::<u64>(), 1..6)) {
        check(&SHIPPED, &lots)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_rules_give_the_verdict_of_reading_them_one_by_one(
        rows in prop::collection::vec(any::<u64>(), 2..24),
        asks in any::<bool>(),
        lots in prop::collection::vec(any::<u64>(), 1..12),
    ) {
        check(&file(&rows, asks), &lots)?;
    }
}

#[test]
fn more_rows_than_lie_in_place_give_the_same_verdicts() {
    let lots: Vec<u64> = (0..400_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    check(&file(&lots, true), &lots[..60]).unwrap();
}

#[test]
fn two_policies_that_are_asked_in_turn_do_not_answer_for_each_other() {
    let (one, other) = (file(&[0x1_0500_0000, 0x2_0500_0017], false), file(&[0x2_0500_0000, 0x1_0500_0018], false));
    for lot in 0..200 {
        check(&one, &[lot]).unwrap();
        check(&other, &[lot]).unwrap();
    }
}

#[test]
fn a_verdict_that_was_reached_before_costs_no_allocation_whatever_speaks() {
    for lot in 0..100 {
        let drawn = Drawn::of(lot);
        let facts = drawn.facts();
        let earlier = SHIPPED.score(&facts);
        // What was shown by who asks for a page ahead of time is noted each time; few do.
        if earlier.class == Class::Skip && earlier.reasons.len() > 1 {
            continue;
        }
        let again = allocation_counter::measure(|| drop(SHIPPED.score(&facts)));
        assert_eq!(again.count_total, 0, "{:?}", earlier.reasons);
        let newer = SHIPPED.rescore(&facts, &earlier);
        let again = allocation_counter::measure(|| drop(SHIPPED.rescore(&facts, &earlier)));
        assert_eq!(again.count_total, 0, "{:?}", newer.reasons);
    }
}
