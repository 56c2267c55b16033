//! Facts -> verdict, verdict and event -> ruling. Integers only, no order of signals counts, nothing is allocated where this
//! thread reached the verdict before. Must not know files.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::click::Purpose;
use crate::fact::AgentKind;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Value;
use crate::rules::Policy;
use crate::rules::bands::Bands;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::declared::Known;
use crate::rules::near;
use crate::rules::row::Certainty;
use crate::rules::row::Classify;
use crate::rules::row::Group;
use crate::rules::row::MOST_GROUPS;
use crate::rules::row::Row;
use crate::rules::row::RuleMode;
use crate::rules::row::Signal;
use crate::rules::scopes::Scope;
use crate::rules::set::Set;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::Reason;
use crate::verdict::Ruling;
use crate::verdict::Score;
use crate::verdict::Share;
use crate::verdict::Verdict;

/// Judges facts.
pub(super) fn score(policy: &Policy, facts: &Facts<'_>) -> Verdict {
    let rows = &policy.rows;
    let mut room = Known::default();
    let source = rows.declared.source(facts, &mut room);
    let holding = rows.index.holding(facts, source);
    reached(policy, source, rows.scopes.find(source), &holding, None)
}

/// The verdict where these rows hold, in the part of the shop a request falls into. `earlier` is what the visit was worth.
pub(super) fn reached(
    policy: &Policy,
    source: Source<'_>,
    scope: Option<&Scope>,
    holding: &Set,
    earlier: Option<&Verdict>,
) -> Verdict {
    let rows = &policy.rows;
    let settling = rows.classify.iter().enumerate().find(|(number, row)| row.mode == RuleMode::Enforce && holding.has(*number));
    let skipping = settling.map(|(_, row)| row).filter(|row| row.class == Class::Skip);
    if let Some(verdict) = skipping.and_then(|row| passed_over(policy, source, scope, row, holding, earlier)) {
        return concluded(policy, source, scope, verdict);
    }
    let judged = || match settling {
        Some((_, row)) => classified(row, scope),
        None => weighed(policy, scope, holding),
    };
    // A verdict from a page token says how much, and not why.
    let least = earlier.filter(|earlier| earlier.reasons.is_empty()).map_or(Score::default(), |earlier| earlier.score);
    if least > Score::default() && settling.is_none() {
        let mut verdict = judged();
        verdict.score = verdict.score.max(least);
        return concluded(policy, source, scope, verdict);
    }
    let part = scope.map_or(0, |scope| scope.number);
    if rows.actions_ask {
        let verdict = near::verdict(rows.index.epoch, part, holding, judged);
        return concluded(policy, source, scope, verdict);
    }
    near::verdict(rows.index.epoch, part, holding, || concluded(policy, source, scope, judged()))
}

/// The verdict with all that follows from its class and score.
fn concluded(policy: &Policy, source: Source<'_>, scope: Option<&Scope>, mut verdict: Verdict) -> Verdict {
    let rows = &policy.rows;
    verdict.band = scope.map_or(rows.bands, |scope| scope.bands).of(verdict.score.points());
    if rows.mode == RuleMode::Enforce {
        let click = scope.and_then(|scope| scope.click.as_ref()).unwrap_or(&rows.click);
        let pixel = scope.and_then(|scope| scope.pixel.as_ref()).unwrap_or(&rows.pixel);
        let mut fitting = speaking(click, verdict.class, verdict.band, source);
        if let Some(row) = fitting.next() {
            verdict.click = row.action.clone();
            verdict.share = row.percent.map(|percent| {
                let otherwise = fitting.find(|row| row.percent.is_none()).map_or(ClickAction::Tag, |row| row.action.clone());
                Share { percent, otherwise }
            });
        }
        if let Some(row) = speaking(pixel, verdict.class, verdict.band, source).next() {
            verdict.pixel = row.action;
        }
    }
    verdict
}

/// What a classify row settles.
fn classified(row: &Classify, part: Option<&Scope>) -> Verdict {
    let points: i16 = if row.class == Class::Deny { 100 } else { 0 };
    let reason = Reason { rule: Arc::clone(&row.id), points, category: row.category };
    let reasons = std::iter::once(reason).chain(part.map(Scope::reason)).collect();
    let score = Score::clamped(i32::from(points));
    Verdict { class: row.class, score, shadow: score, reasons, ..Verdict::default() }
}

/// What a `skip` row settles where there is more to keep. A page that a browser fetched ahead is nobody's only until somebody
/// looks at it: what its request showed is noted for nothing, and counts from then on. What an app fetches ahead by means of
/// its own says nothing of the browser that shows it. Nobody is cleared of what he showed earlier by having a page fetched
/// ahead.
fn passed_over(
    policy: &Policy,
    source: Source<'_>,
    part: Option<&Scope>,
    row: &Classify,
    holding: &Set,
    earlier: Option<&Verdict>,
) -> Option<Verdict> {
    let shows = |verdict: &Verdict| verdict.reasons.iter().any(|reason| is_signal(policy, reason));
    let spoke = |verdict: &Verdict| verdict.reasons.iter().any(|reason| reason.rule == row.id);
    let ahead = is_ahead(source);
    let earlier = earlier.filter(|earlier| (ahead || spoke(earlier)) && shows(earlier));
    let own = (ahead && is_browsers(source)).then(|| weighed(policy, part, holding)).filter(shows);
    if own.is_none() && earlier.is_none() {
        return None;
    }
    let all = own.iter().chain(earlier);
    Some(all.fold(classified(row, part), |verdict, shown| noting(verdict, policy, &shown.reasons)))
}

/// Adds the signals among these reasons, for nothing.
fn noting(verdict: Verdict, policy: &Policy, reasons: &[Reason]) -> Verdict {
    let is_new = |reason: &&Reason| verdict.reasons.iter().all(|known| known.rule != reason.rule);
    let noted = reasons.iter().filter(|reason| is_signal(policy, reason)).filter(is_new);
    let noted = noted.map(|reason| Reason { points: 0, category: Category::Nothing, ..reason.clone() });
    let all: Arc<[Reason]> = verdict.reasons.iter().cloned().chain(noted).collect();
    Verdict { reasons: all, ..verdict }
}

fn is_signal(policy: &Policy, reason: &Reason) -> bool {
    policy.rows.signals.iter().any(|signal| *signal.id == *reason.rule)
}

/// Whether a request says that nobody looks yet.
fn is_ahead(source: Source<'_>) -> bool {
    matches!(source.value(&Subject::Fact(FactName::HttpPurpose)), Value::Text(purpose) if purpose != Purpose::View.name())
}

fn is_browsers(source: Source<'_>) -> bool {
    source.value(&Subject::Fact(FactName::UaKind)) == Value::Text(AgentKind::Browser.name())
}

/// The points of the signals that hold, by group.
#[derive(Default)]
struct Tally {
    sums: [i32; MOST_GROUPS],
    /// Those of proofs alone.
    proofs: [i32; MOST_GROUPS],
}

impl Tally {
    fn add(&mut self, signal: &Signal, points: i16) {
        add(&mut self.sums, signal.group, points);
        if signal.certainty == Certainty::Proof {
            add(&mut self.proofs, signal.group, points.max(0));
        }
    }

    fn score(&self, groups: &[Group], bands: Bands) -> Score {
        let proved = bands.of(Score::clamped(total(groups, &self.proofs)).points());
        let floor = bands.first_point(proved);
        Score::clamped(total(groups, &self.sums).max(i32::from(floor)))
    }
}

/// What the signals that hold add up to.
fn weighed(policy: &Policy, part: Option<&Scope>, holding: &Set) -> Verdict {
    let rows = &policy.rows;
    let (mut counted, mut tried) = (Tally::default(), Tally::default());
    // Recorded, but it must not give the verdict its category.
    let only_tried = |rule: &Arc<str>| Reason { rule: Arc::clone(rule), points: 0, category: Category::Nothing };
    let waiting = holding.iter().filter_map(|number| rows.classify.get(number));
    let mut reasons: Vec<Reason> = waiting.map(|row| only_tried(&row.id)).collect();
    for place in holding.iter().filter_map(|number| number.checked_sub(rows.classify.len())) {
        let Some(signal) = rows.signals.get(place) else { continue };
        let points = part.map_or(Some(signal.points), |part| part.points(place, signal.points));
        let Some(points) = points else { continue };
        tried.add(signal, points);
        if signal.mode == RuleMode::Enforce {
            counted.add(signal, points);
            reasons.push(Reason { rule: Arc::clone(&signal.id), points, category: signal.category });
        } else {
            reasons.push(only_tried(&signal.id));
        }
    }
    if reasons.is_empty() {
        let reasons = Arc::clone(part.map_or(&policy.nothing, |part| &part.nothing));
        return Verdict { reasons, ..Verdict::default() };
    }
    // Stable, so rules of equal weight stay in file order.
    reasons.sort_by_key(|reason| Reverse(reason.points));
    reasons.extend(part.map(Scope::reason));
    let bands = part.map_or(rows.bands, |part| part.bands);
    let (score, shadow) = (counted.score(&rows.groups, bands), tried.score(&rows.groups, bands));
    Verdict { score, shadow, reasons: reasons.into(), ..Verdict::default() }
}

fn add(sums: &mut [i32; MOST_GROUPS], group: usize, points: i16) {
    if let Some(sum) = sums.get_mut(group) {
        *sum = sum.saturating_add(i32::from(points));
    }
}

/// The sum over all groups, each held within its cap.
fn total(groups: &[Group], sums: &[i32; MOST_GROUPS]) -> i32 {
    groups.iter().zip(sums).map(|(group, sum)| (*sum).clamp(group.cap.min(0), group.cap.max(0))).sum()
}

/// The rows that speak, first of all the one that counts.
fn speaking<'a, T>(rows: &'a [Row<T>], class: Class, band: Band, source: Source<'a>) -> impl Iterator<Item = &'a Row<T>> {
    let live = |row: &Row<T>| row.mode == RuleMode::Enforce;
    rows.iter().filter(move |row| live(row) && row.guard.fits(class, band) && row.guard.condition.holds(source))
}

/// Decides an event.
pub(super) fn decide(policy: &Policy, verdict: &Verdict, facts: &Facts<'_>, destination: &str) -> Ruling {
    let events = policy.rows.scopes.of(verdict).and_then(|scope| scope.events.as_ref()).unwrap_or(&policy.rows.events);
    let rows_of = |name: &str| events.iter().find(|(of, _)| of == name).map(|(_, rows)| rows.as_slice());
    let rows = rows_of(destination).or_else(|| rows_of("*")).unwrap_or_default();
    let mut room = Known::default();
    let source = policy.rows.declared.source(facts, &mut room);
    match speaking(rows, verdict.class, verdict.band, source).next() {
        Some(row) => {
            let decision = match policy.rows.mode {
                RuleMode::Enforce => row.action.clone(),
                RuleMode::Shadow | RuleMode::Off => Decision::Forward,
            };
            Ruling { decision, rule: Arc::clone(&row.id) }
        }
        None => Ruling { decision: Decision::Forward, rule: Arc::clone(&policy.unruled) },
    }
}
