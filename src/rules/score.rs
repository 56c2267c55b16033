//! Facts -> verdict, verdict and event -> ruling. Integers only, no order of signals counts, nothing is allocated while
//! no rule speaks. Must not know files.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::fact::Facts;
use crate::rules::Policy;
use crate::rules::condition::Source;
use crate::rules::row::Certainty;
use crate::rules::row::Classify;
use crate::rules::row::Group;
use crate::rules::row::MOST_GROUPS;
use crate::rules::row::Row;
use crate::rules::row::RuleMode;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;
use crate::verdict::Reason;
use crate::verdict::Ruling;
use crate::verdict::Score;
use crate::verdict::Verdict;

/// Judges facts.
pub(super) fn score(policy: &Policy, facts: &Facts<'_>) -> Verdict {
    let source = Source::Facts(facts);
    let (class, score, reasons) = match policy.rows.classify.iter().find(|row| row.condition.holds(source)) {
        Some(row) => classified(row),
        None => scored(policy, source),
    };
    let band = policy.rows.band(score.points());
    let (mut click, mut pixel) = (ClickAction::Tag, PixelAction::Leave);
    if policy.rows.mode == RuleMode::Enforce {
        click = first(&policy.rows.click, class, band, source).map_or(click, |row| row.action);
        pixel = first(&policy.rows.pixel, class, band, source).map_or(pixel, |row| row.action);
    }
    Verdict { class, score, band, reasons, click, pixel }
}

fn classified(row: &Classify) -> (Class, Score, Arc<[Reason]>) {
    let points: i16 = if row.class == Class::Deny { 100 } else { 0 };
    let reason = Reason { rule: Arc::clone(&row.id), points, category: row.category };
    (row.class, Score::clamped(i32::from(points)), Arc::from([reason]))
}

fn scored(policy: &Policy, source: Source<'_>) -> (Class, Score, Arc<[Reason]>) {
    let mut sums = [0_i32; MOST_GROUPS];
    let mut proofs = [0_i32; MOST_GROUPS];
    let mut reasons: Vec<Reason> = Vec::new();
    for signal in &policy.rows.signals {
        if !signal.condition.holds(source) {
            continue;
        }
        let (points, category) = match signal.mode {
            RuleMode::Enforce => (signal.points, signal.category),
            // Recorded, but it must not give the verdict its category.
            RuleMode::Shadow => (0, Category::Nothing),
        };
        reasons.push(Reason { rule: Arc::clone(&signal.id), points, category });
        add(&mut sums, signal.group, points);
        if signal.certainty == Certainty::Proof {
            add(&mut proofs, signal.group, points.max(0));
        }
    }
    if reasons.is_empty() {
        return (Class::Visit, Score::default(), Arc::clone(&policy.nothing));
    }
    // Stable, so rules of equal weight stay in file order.
    reasons.sort_by_key(|reason| Reverse(reason.points));
    let groups = &policy.rows.groups;
    let proved = policy.rows.band(Score::clamped(total(groups, &proofs)).points());
    let floor = policy.rows.first_point(proved);
    let score = Score::clamped(total(groups, &sums).max(i32::from(floor)));
    (Class::Visit, score, reasons.into())
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

fn first<'a, T>(rows: &'a [Row<T>], class: Class, band: Band, source: Source<'_>) -> Option<&'a Row<T>> {
    rows.iter().find(|row| row.guard.fits(class, band) && row.guard.condition.holds(source))
}

/// Decides an event.
pub(super) fn decide(policy: &Policy, verdict: &Verdict, facts: &Facts<'_>, destination: &str) -> Ruling {
    let rows_of = |name: &str| policy.rows.events.iter().find(|(of, _)| of == name).map(|(_, rows)| rows.as_slice());
    let rows = rows_of(destination).or_else(|| rows_of("*")).unwrap_or_default();
    match first(rows, verdict.class, verdict.band, Source::Facts(facts)) {
        Some(row) => {
            let decision = match policy.rows.mode {
                RuleMode::Enforce => row.action.clone(),
                RuleMode::Shadow => Decision::Forward,
            };
            Ruling { decision, rule: Arc::clone(&row.id) }
        }
        None => Ruling { decision: Decision::Forward, rule: Arc::clone(&policy.unruled) },
    }
}
