//! What loads, and yet is seldom meant: warnings about rows that trust or refuse too easily. Must not know files, beyond
//! the places of rows.

use http::header::USER_AGENT;

use crate::fact::FactName;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::condition::Truth;
use crate::rules::row::Guard;
use crate::rules::row::Place;
use crate::rules::row::Row;
use crate::rules::row::Rows;
use crate::rules::row::RuleMode;
use crate::verdict::Band;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Value;

/// Click actions after which a visitor does not see the page that others see.
const REFUSING: [&str; 5] = ["block", "challenge", "tarpit", "redirect", "limit"];

/// Notes all of them.
pub(super) fn warn(rows: &Rows, warnings: &Faults) {
    trust_by_agent(rows, warnings);
    cloaking(rows, &rows.click, warnings);
    for (_, events) in &rows.events {
        lost_purchases(rows, events, warnings);
    }
    for scope in rows.scopes.iter() {
        cloaking(rows, scope.click.as_deref().unwrap_or_default(), warnings);
        for (_, events) in scope.events.iter().flatten() {
            lost_purchases(rows, events, warnings);
        }
    }
}

fn note(warnings: &Faults, (line, column): Place, message: &str, hint: &str) {
    warnings.at(&Node { line, column, value: Value::Null }, message, Some(hint.to_owned()));
}

/// Rows that let everybody in who sends the right user agent.
fn trust_by_agent(rows: &Rows, warnings: &Faults) {
    for row in &rows.classify {
        let mut subjects = Vec::new();
        asked(&row.condition, &mut subjects);
        if row.class != Class::Deny && !subjects.is_empty() && subjects.iter().all(|subject| is_of_agent(subject)) {
            let message = format!("`{}` is decided by the user agent alone", row.class.name());
            note(warnings, row.at, &message, "anybody can send it; ask for `identity` or for an address on a list as well");
        }
    }
}

fn asked<'a>(condition: &'a Condition, into: &mut Vec<&'a Subject>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => {
            parts.iter().for_each(|part| asked(part, into));
        }
        Condition::Test(subject, _) => into.push(subject),
    }
}

fn is_of_agent(subject: &Subject) -> bool {
    match subject {
        Subject::Header(name) => *name == USER_AGENT,
        Subject::Fact(name) => name.name().starts_with("ua.") || *name == FactName::ClientInApp,
        Subject::Counter(_) => false,
    }
}

fn is_of_network_or_event(subject: &Subject) -> bool {
    matches!(subject, Subject::Fact(name) if name.name().starts_with("net.") || name.name().starts_with("event."))
}

/// Click rows after which a verified crawler sees something else than people do (Meta calls it cloaking).
fn cloaking(rows: &Rows, click: &[Row<ClickAction>], warnings: &Faults) {
    let verified = [(Subject::Fact(FactName::Identity), Literal::Text("meta".into()))];
    let skipped = rows
        .classify
        .iter()
        .any(|row| row.mode == RuleMode::Enforce && row.class == Class::Skip && row.condition.holds(Source::Given(&verified)));
    let mut let_in = false;
    for row in click.iter().filter(|row| row.mode != RuleMode::Off) {
        let refuses = REFUSING.contains(&row.action.name());
        if refuses && reaches_crawlers(&row.guard, skipped && let_in, skipped) {
            let hint = "let `class: skip` pass in a row above, and skip `identity: { missing: false }` under `classify`";
            note(warnings, row.at, "this row can refuse a verified crawler, which its operator takes for cloaking", hint);
        }
        let_in |= !refuses && row.mode == RuleMode::Enforce && row.guard.covers(&skip());
    }
}

fn skip() -> Guard {
    Guard { class: Some(Class::Skip), bands: Vec::new(), condition: Condition::always() }
}

/// Whether a row can speak for a verified crawler. One that is skipped has the class `skip` and the mildest band.
fn reaches_crawlers(guard: &Guard, let_in: bool, skipped: bool) -> bool {
    if skipped { !let_in && guard.fits(Class::Skip, Band::Human) } else { guard.class != Some(Class::Deny) }
}

/// Event rows that drop an order that was paid for, because of its address at most.
fn lost_purchases(rows: &Rows, events: &[Row<Decision>], warnings: &Faults) {
    let paid = [
        (Subject::Fact(FactName::EventName), Literal::Text("Purchase".into())),
        (Subject::Fact(FactName::EventPayment), Literal::Text("captured".into())),
    ];
    let cap = rows.groups.iter().find(|group| group.name == "network").map_or(0, |group| group.cap.clamp(0, 100));
    // The bands that the address alone can bring a visit to.
    let easy: Vec<Band> = Band::ALL.into_iter().filter(|band| i32::from(rows.bands.first_point(*band)) <= cap).collect();
    for (at, row) in events.iter().enumerate() {
        let mut subjects = Vec::new();
        asked(&row.guard.condition, &mut subjects);
        let light = subjects.iter().all(|subject| is_of_network_or_event(subject));
        let meant = |band: &Band| row.guard.fits(Class::Visit, *band);
        let caught = |band: &Band| {
            let earlier = events.iter().take(at).filter(|row| row.mode == RuleMode::Enforce);
            earlier
                .into_iter()
                .any(|row| row.guard.fits(Class::Visit, *band) && row.guard.condition.truth(Source::Given(&paid)) == Truth::True)
        };
        let reaches = easy.iter().any(|band| meant(band) && !caught(band));
        if matches!(row.action, Decision::Suppress)
            && row.mode == RuleMode::Enforce
            && light
            && reaches
            && row.guard.condition.truth(Source::Given(&paid)) != Truth::False
        {
            let hint = "a paid order is worth more than a doubt about an address; forward or rename \
                        `event.payment: captured` in a row above";
            note(warnings, row.at, "this row can drop a paid order for its address alone", hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(class: Option<Class>, bands: &[Band]) -> Guard {
        Guard { class, bands: bands.to_vec(), condition: Condition::always() }
    }

    #[test]
    fn a_refusing_row_reaches_crawlers_unless_they_are_skipped_and_let_in_or_out_of_its_bands() {
        let all = guard(None, &[]);
        assert!(reaches_crawlers(&all, false, true) && reaches_crawlers(&all, false, false));
        assert!(!reaches_crawlers(&all, true, true));
        let invalid = guard(None, &[Band::Invalid]);
        assert!(!reaches_crawlers(&invalid, false, true));
        // Scored like everybody else, they get any band.
        assert!(reaches_crawlers(&invalid, false, false));
        assert!(!reaches_crawlers(&guard(Some(Class::Visit), &[]), false, true));
    }
}
