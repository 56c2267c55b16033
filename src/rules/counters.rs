//! The `counters:` of a rule file: what is counted, by whom and over what time, checked when the file is loaded, and the
//! places by which conditions ask for them. Must not know any count.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::fact::Counter;
use crate::fact::Distinct;
use crate::fact::counting::Counted;
use crate::fact::counting::LONGEST_WINDOW;
use crate::fact::counting::MOST_COUNTERS;
use crate::fact::counting::SHORTEST_WINDOW;
use crate::fact::counting::What;
use crate::fault::nearest;
use crate::yaml::Faults;
use crate::yaml::Key;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// How conditions name a counter: this and its name.
const PREFIX: &str = "counter.";
const HINT: &str = "write `{ count_distinct: click.id, by: client.fp, window: 10m }`";

/// A counter that a condition asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// Its place among the policy's counters.
    pub(super) place: usize,
    /// Its name in conditions, `counter.` and all.
    pub(super) name: Arc<str>,
}

/// The counters of a file while it is read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// One that could not be read is `None`, so that its users are not reported as well.
    declared: Vec<(Key, Option<Counted>)>,
    asked: RefCell<BTreeSet<usize>>,
}

impl Counters {
    /// Reads the block.
    pub(super) fn read(file: &Section<'_>) -> Self {
        let Some(node) = file.node("counters") else { return Self::default() };
        let Value::Map(entries) = &node.value else {
            file.faults().at(node, format!("`counters` must be a map, found {}", node.value.kind()), Some(HINT.to_owned()));
            return Self::default();
        };
        if entries.len() > MOST_COUNTERS {
            let message = format!("there are {} counters, more than {MOST_COUNTERS}", entries.len());
            file.faults().at(node, message, Some("each costs every page view a look".to_owned()));
        }
        let declared = entries.iter().map(|(key, node)| (key.clone(), counted(key, node, file.faults()))).collect();
        Self { declared, asked: RefCell::default() }
    }

    /// Whether a key of a condition names a counter.
    pub(super) fn is_named(key: &Key) -> bool {
        key.name.starts_with(PREFIX)
    }

    /// The counter that a key names; the fault is noted where there is none of that name.
    pub(super) fn asked(&self, key: &Key, faults: &Faults) -> Option<Asked> {
        let name = key.name.strip_prefix(PREFIX)?;
        let Some(place) = self.declared.iter().position(|(declared, _)| declared.name == name) else {
            let hint = match nearest(name, self.declared.iter().map(|(key, _)| key.name.as_str())) {
                Some(name) => format!("did you mean `{PREFIX}{name}`?"),
                None => "declare it under `counters`".to_owned(),
            };
            faults.at_key(key, format!("unknown counter `{name}`"), Some(hint));
            return None;
        };
        self.asked.borrow_mut().insert(place);
        Some(Asked { place, name: Arc::from(key.name.as_str()) })
    }

    /// The counters, all of them sound; warns of those that nobody asks for.
    pub(super) fn finish(self, warnings: &Faults) -> Box<[Counted]> {
        let asked = self.asked.into_inner();
        for (_, (key, _)) in self.declared.iter().enumerate().filter(|(place, _)| !asked.contains(place)) {
            let hint = format!("ask for `{PREFIX}{}`, or leave it out", key.name);
            warnings.at_key(key, format!("no row asks for the counter `{}`", key.name), Some(hint));
        }
        self.declared.into_iter().filter_map(|(_, counted)| counted).collect()
    }
}

fn counted(key: &Key, node: &Node, faults: &Faults) -> Option<Counted> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if key.name.is_empty() || key.name.len() > 64 || !key.name.bytes().all(plain) {
        faults.at_key(key, format!("`{}` cannot be a counter's name", key.name), Some("use 1 to 64 of `a-z 0-9 _`".to_owned()));
    }
    let section = Section::of(node, faults);
    let what = what(&section, node);
    let by = word(&section, "by", Counter::NAMES, Counter::of_name);
    let window = window(&section);
    section.finish();
    for (name, missing) in [("by", section.node("by").is_none()), ("window", section.node("window").is_none())] {
        if missing {
            faults.at(node, format!("`{name}` is missing"), Some(HINT.to_owned()));
        }
    }
    let (what, by, window) = (what?, by?, window?);
    if is_itself(&what, by) {
        faults.at(node, "a counter of what it counts by is always 1", None);
    }
    Some(Counted::new(&key.name, what, by, window))
}

fn what(section: &Section<'_>, node: &Node) -> Option<What> {
    match (section.node("count"), section.node("count_distinct")) {
        (Some(at), None) => {
            let text = section.text("count")?;
            let event = text.strip_prefix("event.").filter(|name| (1..=50).contains(&name.chars().count()));
            match (text.as_str(), event) {
                ("page.view", _) => Some(What::Views),
                ("event", _) => Some(What::Events(None)),
                (_, Some(name)) => Some(What::Events(Some(name.to_lowercase().into()))),
                _ => {
                    let hint = "one of `page.view`, `event`, or an event's name such as `event.purchase`".to_owned();
                    section.faults().at(at, format!("`{text}` cannot be counted"), Some(hint));
                    None
                }
            }
        }
        (None, Some(_)) => word(section, "count_distinct", Distinct::NAMES, Distinct::of_name).map(What::Distinct),
        _ => {
            section.faults().at(node, "a counter has either `count` or `count_distinct`", Some(HINT.to_owned()));
            None
        }
    }
}

fn word<T>(section: &Section<'_>, key: &'static str, names: &[&'static str], read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let node = section.node(key)?;
    let text = section.text(key)?;
    let value = read(&text);
    if value.is_none() {
        let hint = match nearest(&text, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of `{}`", names.join("`, `")),
        };
        section.faults().at(node, format!("`{key}` cannot be `{text}`"), Some(hint));
    }
    value
}

fn window(section: &Section<'_>) -> Option<Duration> {
    let node = section.node("window")?;
    let window = section.duration("window")?;
    if (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
        return Some(window);
    }
    section.faults().at(node, "a window is from `10s` to `24h`", None);
    None
}

fn is_itself(what: &What, by: Counter) -> bool {
    matches!(
        (what, by),
        (What::Distinct(Distinct::ClickId), Counter::ClickId)
            | (What::Distinct(Distinct::Client), Counter::Client | Counter::Visit)
            | (What::Distinct(Distinct::Address), Counter::Address)
            | (What::Distinct(Distinct::Prefix), Counter::Prefix | Counter::Address)
            | (What::Distinct(Distinct::Campaign), Counter::CampaignAsn)
    )
}
