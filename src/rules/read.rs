//! The walk through a rule file, section by section; notes every fault and gives a policy only where there is none.
//! Must not know facts' values.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use sha2::Digest;
use sha2::Sha256;

use crate::fault::Fault;
use crate::fault::nearest;
use crate::rules::Policy;
use crate::rules::action;
use crate::rules::list;
use crate::rules::list::List;
use crate::rules::matching::Scope;
use crate::rules::read_row;
use crate::rules::read_row::Reader;
use crate::rules::row::Group;
use crate::rules::row::MOST_GROUPS;
use crate::rules::row::Row;
use crate::rules::row::Rows;
use crate::verdict::Band;
use crate::verdict::Decision;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const SCHEMA: &str = "clicksieve/rules/v1";
const NO_RULE: &str = "no-rule";

/// Reads a whole file.
pub(super) fn policy(path: &str, bytes: &[u8], base: &Path) -> Result<Policy, Vec<Fault>> {
    let node = yaml::parse(path, bytes)?;
    if node.value == Value::Null {
        return Err(vec![Fault::of_file(path, "the file is empty").hint(format!("begin with `schema: {SCHEMA}`"))]);
    }
    let (faults, warnings) = (Faults::new(path), Faults::new(path));
    let file = Section::of(&node, &faults);
    schema(&file, &node);
    let name = file.text("name").unwrap_or_else(|| path.to_owned());
    let mode = read_row::mode(&file);
    let mut elsewhere = Vec::new();
    let mut digest = Sha256::new();
    digest.update(bytes);
    let lists = lists(&file, base, &mut elsewhere, &mut digest);
    let score = file.section("score");
    let (groups, bands) = (groups(&score), bands(&score));
    score.finish();
    let reader = Reader::new(path, &faults, &warnings, Scope { faults: &faults, lists: &lists }, &groups);
    let classify = file.list("classify").iter().filter_map(|row| reader.classify(row)).collect();
    let signals = file.list("signals").iter().filter_map(|row| reader.signal(row)).collect();
    let policy = file.section("policy");
    let click = reader.policy(policy.node("click"), action::click);
    let pixel = reader.policy(policy.node("pixel"), action::pixel);
    let events = events(&policy, &reader, &warnings);
    policy.finish();
    file.finish();
    let rows = Rows { mode, groups: groups.clone(), bands, classify, signals, click, pixel, events };
    let loaded = Policy {
        asked: rows.asked().into(),
        name,
        digest: hex(&digest.finalize()),
        warnings: warnings.finish(()).err().unwrap_or_default(),
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

fn lists(
    file: &Section<'_>,
    base: &Path,
    elsewhere: &mut Vec<Fault>,
    digest: &mut Sha256,
) -> BTreeMap<String, Option<Arc<List>>> {
    let mut lists = BTreeMap::new();
    let Some(node) = file.node("lists") else { return lists };
    let Value::Map(entries) = &node.value else {
        file.faults().at(node, format!("`lists` must be a map, found {}", node.value.kind()), None);
        return lists;
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
    lists
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

fn bands(score: &Section<'_>) -> [u8; 4] {
    let mut bands = [0, 30, 60, 85];
    let Some(node) = score.node("bands") else { return bands };
    let section = Section::of(node, score.faults());
    for (band, first) in Band::ALL.into_iter().zip(&mut bands) {
        if let Some(points) = section.number(band.name(), 0..=100) {
            *first = u8::try_from(points).unwrap_or(*first);
        }
    }
    section.finish();
    if bands.first() != Some(&0) || !bands.is_sorted_by(|left, right| left < right) {
        score.faults().at(node, "bands must begin at 0 and ascend", Some("human, suspect, likely_invalid, invalid".to_owned()));
    }
    bands
}

fn events(policy: &Section<'_>, reader: &Reader<'_>, warnings: &Faults) -> Vec<(String, Vec<Row<Decision>>)> {
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
    entries.iter().map(|(key, rows)| (key.name.clone(), reader.policy(Some(rows), action::event))).collect()
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
