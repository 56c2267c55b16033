//! The walk through a rule file, section by section; notes every fault and gives a policy only where there is none.
//! Must not know facts' values.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use sha2::Digest;
use sha2::Sha256;

use crate::fault::Fault;
use crate::fault::nearest;
use crate::rules::Policy;
use crate::rules::action;
use crate::rules::bands::Bands;
use crate::rules::click;
use crate::rules::condition::Condition;
use crate::rules::counters::Counters;
use crate::rules::dated::Kept;
use crate::rules::dated::Lists;
use crate::rules::declared;
use crate::rules::declared::Declared;
use crate::rules::index::Index;
use crate::rules::lint;
use crate::rules::list;
use crate::rules::matching::Scope;
use crate::rules::named::Named;
use crate::rules::read_row;
use crate::rules::read_row::Reader;
use crate::rules::read_row::Stage;
use crate::rules::row::Classify;
use crate::rules::row::Group;
use crate::rules::row::MOST_GROUPS;
use crate::rules::row::Row;
use crate::rules::row::Rows;
use crate::rules::row::RuleMode;
use crate::rules::row::Signal;
use crate::rules::scopes;
use crate::rules::scopes::Scopes;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const SCHEMA: &str = "clicksieve/rules/v1";
const NO_RULE: &str = "no-rule";

/// Where the lists come from that a file names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// From files; relative paths are taken from this folder.
    Files(&'a Path),
    /// From an earlier reading of the same text.
    Kept(&'a Kept),
}

/// Reads a whole file; `today` settles which rows are past their date, and nothing else: what loads today loads always.
pub(super) fn policy(path: &str, bytes: &[u8], origin: Origin<'_>, today: Option<Date>) -> Result<Policy, Vec<Fault>> {
    let node = yaml::parse(path, bytes)?;
    if node.value == Value::Null {
        return Err(vec![Fault::of_file(path, "the file is empty").hint(format!("begin with `schema: {SCHEMA}`"))]);
    }
    let (faults, warnings) = (Faults::new(path), Faults::new(path));
    let file = Section::of(&node, &faults);
    schema(&file, &node);
    let name = file.text("name").unwrap_or_else(|| path.to_owned());
    let mut elsewhere = Vec::new();
    let (lists, digest) = lists(&file, bytes, origin, &mut elsewhere);
    let text = String::from_utf8_lossy(bytes);
    let (conditions, identities, counters) = (Named::read(&file), declared::names(&file), Counters::read(&file));
    let scope = Scope {
        file: &text,
        faults: &faults,
        lists: &lists,
        conditions: &conditions,
        identities: &identities,
        counters: &counters,
    };
    let rows = rows(path, &file, (&faults, &warnings), scope, today);
    conditions.warn_of_unused(&warnings);
    let counters = counters.finish(&warnings);
    file.finish();
    lint::warn(&rows, &warnings);
    let loaded = Policy {
        asked: rows.asked(),
        counters,
        name,
        warnings: warnings.finish(()).err().unwrap_or_default(),
        kept: today.filter(|_| !rows.dates.is_empty()).map(|day| Kept {
            path: path.to_owned(),
            bytes: bytes.into(),
            lists,
            digest: digest.clone(),
            day,
        }),
        digest,
        rows,
        unruled: Arc::from(NO_RULE),
        nothing: Arc::from([]),
    };
    match faults.finish(loaded) {
        Ok(policy) if elsewhere.is_empty() => Ok(policy),
        Ok(_) => Err(elsewhere),
        Err(mut found) => {
            found.append(&mut elsewhere);
            Err(found)
        }
    }
}

/// All rows of a file, compiled.
fn rows(path: &str, file: &Section<'_>, (faults, warnings): (&Faults, &Faults), scope: Scope<'_>, today: Option<Date>) -> Rows {
    let mode = read_row::mode(file);
    let scoring = file.section("score");
    let (groups, bands) = (groups(&scoring), Bands::read(&scoring, Bands::default()));
    scoring.finish();
    scope.conditions.compile_all(&scope);
    let declared = Declared::read(file, scope.identities, &scope);
    let reader = Reader::new(path, (faults, warnings), scope, &groups, today);
    let classify: Vec<Classify> = file.list("classify").iter().filter_map(|row| reader.classify(row)).collect();
    let signals: Vec<Signal> = file.list("signals").iter().filter_map(|row| reader.signal(row)).collect();
    let policy = file.section("policy");
    let clicks = reader.policy(Stage::Click, policy.node("click"), click::click);
    click::warn(policy.node("click"), warnings);
    let pixel = reader.policy(Stage::After, policy.node("pixel"), action::pixel);
    let events = events(&policy, &reader, warnings);
    policy.finish();
    let scopes = scopes::read(file, &reader, (&signals, &groups, bands), warnings);
    let judging = judging(&classify, &signals);
    let index = Index::build(judging.iter().map(|(number, _, condition)| (*number, *condition)));
    let numbers = judging.into_iter().map(|(number, id, _)| (Arc::clone(id), number)).collect();
    let actions_ask = asks(&clicks, &pixel, &scopes);
    let (groups, dates, click) = (groups.clone(), reader.finish(), clicks);
    Rows { mode, groups, bands, declared, classify, signals, index, numbers, actions_ask, click, pixel, events, scopes, dates }
}

/// Classify rows and signals with their numbers, without those past their date.
fn judging<'a>(classify: &'a [Classify], signals: &'a [Signal]) -> Vec<(usize, &'a Arc<str>, &'a Condition)> {
    let first = classify.iter().map(|row| (row.mode, &row.id, &row.condition));
    let rows = first.chain(signals.iter().map(|signal| (signal.mode, &signal.id, &signal.condition)));
    let live = rows.enumerate().filter(|(_, (mode, ..))| *mode != RuleMode::Off);
    live.map(|(number, (_, id, condition))| (number, id, condition)).collect()
}

/// Whether any row on clicks or the Pixel has a condition.
fn asks(click: &[Row<ClickAction>], pixel: &[Row<PixelAction>], scopes: &Scopes) -> bool {
    let click = click.iter().chain(scopes.iter().flat_map(|scope| scope.click.iter().flatten())).map(|row| &row.guard);
    let pixel = pixel.iter().chain(scopes.iter().flat_map(|scope| scope.pixel.iter().flatten())).map(|row| &row.guard);
    click.chain(pixel).any(|guard| !guard.condition.is_always())
}

fn schema(file: &Section<'_>, node: &Node) {
    match (file.text("schema"), file.node("schema")) {
        (Some(text), Some(at)) if text != SCHEMA => {
            file.faults().at(at, format!("unknown schema `{text}`"), Some(format!("this version reads `{SCHEMA}`")));
        }
        (None, None) => file.faults().at(node, "`schema` is missing", Some(format!("begin with `schema: {SCHEMA}`"))),
        _ => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The lists of a file, and the digest over it and them.
fn lists(file: &Section<'_>, bytes: &[u8], origin: Origin<'_>, elsewhere: &mut Vec<Fault>) -> (Lists, String) {
    let node = file.node("lists");
    let base = match origin {
        Origin::Files(base) => base,
        Origin::Kept(kept) => return (kept.lists.clone(), kept.digest.clone()),
    };
    let mut digest = Sha256::new();
    digest.update(bytes);
    let mut lists = Lists::new();
    let entries = match node.map(|node| (&node.value, node)) {
        Some((Value::Map(entries), _)) => entries.as_slice(),
        Some((other, node)) => {
            file.faults().at(node, format!("`lists` must be a map, found {}", other.kind()), None);
            &[]
        }
        None => &[],
    };
    for (key, node) in entries {
        let loaded = list::read(node, file.faults(), base, elsewhere);
        if let Some(loaded) = &loaded {
            // The length keeps two lists from being read as one.
            digest.update(loaded.bytes.len().to_le_bytes());
            digest.update(&loaded.bytes);
        }
        lists.insert(key.name.clone(), loaded.map(|loaded| Arc::new(loaded.list)));
    }
    (lists, hex(&digest.finalize()))
}

fn groups(score: &Section<'_>) -> Vec<Group> {
    let Some(node) = score.node("groups") else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        score.faults().at(node, format!("`groups` must be a map, found {}", node.value.kind()), None);
        return Vec::new();
    };
    if entries.len() > MOST_GROUPS {
        score.faults().at(node, format!("there are {} groups, more than {MOST_GROUPS}", entries.len()), None);
    }
    let mut groups = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let cap = match node.value {
            Value::Number(cap) if (-100..=100).contains(&cap) && cap != 0 => i32::try_from(cap).unwrap_or_default(),
            _ => {
                let hint = Some("a negative cap makes a group of trust".to_owned());
                score.faults().at(node, "a cap is a whole number from -100 to 100, and not 0", hint);
                // The group is known, so that its signals are not reported as well.
                100
            }
        };
        groups.push(Group { name: key.name.clone(), cap });
    }
    groups
}

/// The event rows of a policy, by destination.
pub(super) fn events(policy: &Section<'_>, reader: &Reader<'_>, warnings: &Faults) -> Vec<(String, Vec<Row<Decision>>)> {
    let Some(node) = policy.node("event") else { return Vec::new() };
    let Value::Map(entries) = &node.value else {
        let hint = Some("write `event: { \"*\": [ … ] }`; `*` is every destination".to_owned());
        policy.faults().at(node, format!("`event` must be a map of destinations, found {}", node.value.kind()), hint);
        return Vec::new();
    };
    if !entries.iter().any(|(key, _)| key.name == "*") {
        let hint = Some("events of destinations not named here are forwarded".to_owned());
        warnings.at(node, "there are no rows for `\"*\"`", hint);
    }
    entries.iter().map(|(key, rows)| (key.name.clone(), reader.policy(Stage::After, Some(rows), action::event))).collect()
}

/// A word of a fixed set below a key.
pub(super) fn word<T>(
    section: &Section<'_>,
    key: &'static str,
    names: &[&'static str],
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let node = section.node(key)?;
    let text = section.text(key)?;
    let value = read(&text);
    if value.is_none() {
        let hint = match nearest(&text, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        let what = if key == "as" { "class" } else { key };
        section.faults().at(node, format!("unknown {what} `{text}`"), Some(hint));
    }
    value
}
