//! The `do:` of a Pixel or event row -> what is done. Must not know conditions.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::nearest;
use crate::verdict::AfterHold;
use crate::verdict::Change;
use crate::verdict::Decision;
use crate::verdict::PixelAction;
use crate::verdict::Until;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// The longest hold; a held event must leave well inside Meta's 48 hours in which copies are recognised.
const LONGEST_HOLD: Duration = Duration::from_hours(24);
const PIXEL: [&str; 3] = ["leave", "gate", "withhold"];
const EVENT: [&str; 4] = ["forward", "suppress", "hold", "modify"];

/// Reads a pixel row's action.
pub(super) fn pixel(node: &Node, faults: &Faults) -> Option<PixelAction> {
    let (name, at, body) = named(node, faults)?;
    match name {
        "leave" => Some(PixelAction::Leave),
        "withhold" => Some(PixelAction::Withhold),
        "gate" => {
            if let Some(body) = body {
                let section = Section::of(body, faults);
                section.parsed("until", "`js_proof`", |word| (word == "js_proof").then_some(()));
                section.finish();
            }
            Some(PixelAction::Gate)
        }
        other => unknown(other, at, &PIXEL, faults),
    }
}

/// Reads an event row's decision.
pub(super) fn event(node: &Node, faults: &Faults) -> Option<Decision> {
    let (name, at, body) = named(node, faults)?;
    match (name, body) {
        ("forward", _) => Some(Decision::Forward),
        ("suppress", _) => Some(Decision::Suppress),
        ("hold", Some(body)) => hold(body, faults),
        ("modify", Some(body)) => Some(modify(body, faults)),
        ("hold", None) => {
            let hint = "write `{ hold: { until: js_proof, for: 15m, on_timeout: suppress } }`".to_owned();
            faults.at(at, "`hold` does not say until when", Some(hint));
            None
        }
        ("modify", None) => {
            faults.at(at, "`modify` does not say what", Some("write `{ modify: { rename: PurchaseUnverified } }`".to_owned()));
            None
        }
        (other, _) => unknown(other, at, &EVENT, faults),
    }
}

/// An action's name, its place and what is below it.
pub(super) fn named<'a>(node: &'a Node, faults: &Faults) -> Option<(&'a str, &'a Node, Option<&'a Node>)> {
    match &node.value {
        Value::Text(name) => Some((name, node, None)),
        Value::Map(entries) => {
            if let [(key, body)] = entries.as_slice() {
                return Some((&key.name, node, Some(body)));
            }
            faults.at(node, "`do` has more or less than one action", None);
            None
        }
        other => {
            faults.at(node, format!("`do` must name an action, found {}", other.kind()), None);
            None
        }
    }
}

pub(super) fn unknown<T>(name: &str, at: &Node, known: &[&'static str], faults: &Faults) -> Option<T> {
    let hint = match nearest(name, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    faults.at(at, format!("unknown action `{name}`"), Some(hint));
    None
}

fn hold(body: &Node, faults: &Faults) -> Option<Decision> {
    let section = Section::of(body, faults);
    let until = section.parsed("until", "`js_proof` or `consent`", |word| match word {
        "js_proof" => Some(Until::JsProof),
        "consent" => Some(Until::Consent),
        _ => None,
    });
    let patience = section.duration("for");
    let then = section.parsed("on_timeout", "`forward` or `suppress`", |word| match word {
        "forward" => Some(AfterHold::Forward),
        "suppress" => Some(AfterHold::Suppress),
        _ => None,
    });
    let replay_on = section.text("replay_on").map(Arc::from);
    for (key, node) in
        [("until", section.node("until")), ("for", section.node("for")), ("on_timeout", section.node("on_timeout"))]
    {
        if node.is_none() {
            faults.at(body, format!("`{key}` is missing"), None);
        }
    }
    section.finish();
    if let (Some(node), Some(patience)) = (section.node("for"), patience)
        && !(Duration::from_secs(1)..=LONGEST_HOLD).contains(&patience)
    {
        let hint = "Meta recognises copies for 48 hours; 15m is plenty for a proof".to_owned();
        faults.at(node, "an event can be held from `1s` to `24h`", Some(hint));
    }
    Some(Decision::Hold { until: until?, patience: patience?, then: then?, replay_on })
}

fn modify(body: &Node, faults: &Faults) -> Decision {
    let section = Section::of(body, faults);
    let rename = section.parsed("rename", "an event name of 1 to 50 characters", |name| {
        (1..=50).contains(&name.chars().count()).then(|| name.to_owned())
    });
    let drop = section.list("drop").iter().filter_map(|node| path(node, faults)).collect();
    let set = section.node("set").map(|node| set(node, faults)).unwrap_or_default();
    let opt_out = section.flag("opt_out").unwrap_or(false);
    section.finish();
    if ["rename", "drop", "set", "opt_out"].iter().all(|key| section.node(key).is_none()) {
        faults.at(body, "`modify` changes nothing", Some("it knows `rename`, `drop`, `set` and `opt_out`".to_owned()));
    }
    let change = Change { rename, drop, set, opt_out };
    Decision::Modify(Arc::new(change))
}

fn path(node: &Node, faults: &Faults) -> Option<String> {
    let Value::Text(text) = &node.value else {
        faults.at(node, format!("expected a path, found {}", node.value.kind()), None);
        return None;
    };
    let below = text.strip_prefix("user_data.").or_else(|| text.strip_prefix("custom_data."));
    if below.is_some_and(is_plain) {
        return Some(text.clone());
    }
    faults.at(node, format!("`{text}` cannot be dropped"), Some("write `user_data.fbc` or `custom_data.value`".to_owned()));
    None
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn set(node: &Node, faults: &Faults) -> Vec<(String, serde_json::Value)> {
    let Value::Map(entries) = &node.value else {
        faults.at(node, format!("`set` must be a map, found {}", node.value.kind()), None);
        return Vec::new();
    };
    let mut values = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if !key.name.strip_prefix("custom_data.").is_some_and(is_plain) {
            let hint = Some("only fields such as `custom_data.traffic_quality` can be set".to_owned());
            faults.at_key(key, format!("`{}` cannot be set", key.name), hint);
            continue;
        }
        let value = match &node.value {
            Value::Bool(flag) => serde_json::Value::from(*flag),
            Value::Number(number) => serde_json::Value::from(*number),
            Value::Float(number) => serde_json::Value::from(*number),
            Value::Text(text) => serde_json::Value::from(text.as_str()),
            other => {
                faults.at(node, format!("expected text, a number, `true` or `false`, found {}", other.kind()), None);
                continue;
            }
        };
        values.push((key.name.clone(), value));
    }
    values
}
