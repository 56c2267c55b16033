//! The lists of a rule file: addresses, network numbers or words, written in it or in a file beside it.
//! Must not know who asks.

use std::net::IpAddr;
use std::path::Path;

use ipnetwork::IpNetwork;

use crate::fact::Value;
use crate::fault::Fault;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Addresses and prefixes.
    Cidr,
    /// Numbers of autonomous systems.
    Asn,
    /// Words.
    Text,
}

impl ListKind {
    /// The names of all kinds.
    pub(super) const NAMES: [&'static str; 3] = ["cidr", "asn", "string"];

    /// The kind's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cidr => "cidr",
            Self::Asn => "asn",
            Self::Text => "string",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Cidr, Self::Asn, Self::Text].into_iter().find(|kind| kind.name() == name)
    }
}

/// A frozen list.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// Disjoint ascending address ranges; IPv4 as mapped IPv6.
    Cidr(Box<[(u128, u128)]>),
    /// Ascending numbers.
    Asn(Box<[i64]>),
    /// Ascending words.
    Text(Box<[Box<str>]>),
}

impl List {
    /// What it holds.
    pub(super) fn kind(&self) -> ListKind {
        match self {
            Self::Cidr(_) => ListKind::Cidr,
            Self::Asn(_) => ListKind::Asn,
            Self::Text(_) => ListKind::Text,
        }
    }

    /// Whether a value is on it.
    pub(super) fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Cidr(ranges), Value::Address(address)) => {
                let at = number(address);
                let behind = ranges.partition_point(|(first, _)| *first <= at);
                behind.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|(_, last)| at <= *last)
            }
            (Self::Asn(numbers), Value::Number(number)) => numbers.binary_search(&number).is_ok(),
            (Self::Text(words), Value::Text(text)) => words.binary_search_by(|word| (**word).cmp(text)).is_ok(),
            _ => false,
        }
    }

    fn build(kind: ListKind, entries: Vec<Entry>) -> Self {
        let (mut ranges, mut numbers, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Network(network) => ranges.push((number(network.network()), number(network.broadcast()))),
                Entry::Asn(number) => numbers.push(number),
                Entry::Word(word) => words.push(word),
            }
        }
        numbers.sort_unstable();
        words.sort_unstable();
        match kind {
            ListKind::Cidr => Self::Cidr(disjoint(ranges)),
            ListKind::Asn => Self::Asn(numbers.into()),
            ListKind::Text => Self::Text(words.into()),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn disjoint(mut ranges: Vec<(u128, u128)>) -> Box<[(u128, u128)]> {
    ranges.sort_unstable();
    let mut out: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
            _ => out.push((first, last)),
        }
    }
    out.into()
}

enum Entry {
    Network(IpNetwork),
    Asn(i64),
    Word(Box<str>),
}

/// Why an entry cannot be read, and what to do.
struct Wrong(String, Option<String>);

fn entry(kind: ListKind, text: &str) -> Result<Entry, Wrong> {
    match kind {
        ListKind::Cidr => network(text).map(Entry::Network),
        ListKind::Asn => {
            let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
            let number: Result<u32, _> = digits.parse();
            number
                .map(|number| Entry::Asn(i64::from(number)))
                .map_err(|_| Wrong(format!("`{text}` is not a network number"), Some("write `64496` or `AS64496`".to_owned())))
        }
        ListKind::Text => Ok(Entry::Word(text.into())),
    }
}

fn network(text: &str) -> Result<IpNetwork, Wrong> {
    let network: IpNetwork = text.parse().map_err(|_| {
        Wrong(format!("`{text}` is not an address or prefix"), Some("write `203.0.113.7` or `203.0.113.0/28`".to_owned()))
    })?;
    if network.ip() == network.network() {
        return Ok(network);
    }
    let hint = format!("write `{}/{}`", network.network(), network.prefix());
    Err(Wrong(format!("`{text}` has bits set behind its prefix"), Some(hint)))
}

/// A list and the bytes of its file, which the policy's digest covers.
pub(super) struct Loaded {
    /// The list.
    pub(super) list: List,
    /// What its file holds; empty where the rule file has the values.
    pub(super) bytes: Vec<u8>,
}

/// Reads one entry of `lists:`. Faults inside the list's own file go to `elsewhere`.
pub(super) fn read(node: &Node, faults: &Faults, base: &Path, elsewhere: &mut Vec<Fault>) -> Option<Loaded> {
    let section = Section::of(node, faults);
    let kind = section.parsed("type", "one of `cidr`, `asn`, `string`", ListKind::of_name);
    if section.node("type").is_none() {
        faults.at(
            node,
            "`type` is missing",
            Some(format!("one of {}", ListKind::NAMES.map(|name| format!("`{name}`")).join(", "))),
        );
    }
    let path = section.text("path");
    let values = section.list("values");
    let inline = section.node("values").is_some();
    section.finish();
    let kind = kind?;
    match (path, inline) {
        (Some(path), false) => from_file(kind, &path, section.node("path")?, faults, base, elsewhere),
        (None, true) => Some(Loaded { list: List::build(kind, inline_entries(kind, values, faults)), bytes: Vec::new() }),
        _ => {
            faults.at(node, "a list has either `values` or `path`", None);
            None
        }
    }
}

fn inline_entries(kind: ListKind, values: &[Node], faults: &Faults) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(values.len());
    for node in values {
        let text = match &node.value {
            yaml::Value::Text(text) => text.clone(),
            yaml::Value::Number(number) => number.to_string(),
            other => {
                faults.at(node, format!("expected text, found {}", other.kind()), None);
                continue;
            }
        };
        match entry(kind, &text) {
            Ok(entry) => entries.push(entry),
            Err(Wrong(message, hint)) => faults.at(node, message, hint),
        }
    }
    entries
}

fn from_file(
    kind: ListKind,
    path: &str,
    node: &Node,
    faults: &Faults,
    base: &Path,
    elsewhere: &mut Vec<Fault>,
) -> Option<Loaded> {
    let bytes = match std::fs::read(base.join(path)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let reason =
                if error.kind() == std::io::ErrorKind::NotFound { "there is no such file".to_owned() } else { error.to_string() };
            let hint = "paths are taken from the rule file's folder".to_owned();
            faults.at(node, format!("list file `{path}` cannot be read: {reason}"), Some(hint));
            return None;
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        elsewhere.push(Fault::of_file(path, "the file is not UTF-8").hint("save it as UTF-8"));
        return None;
    };
    let mut entries = Vec::new();
    for (line, row) in (1_u32..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let word = row.split(['#', ';']).next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        match entry(kind, word) {
            Ok(entry) => entries.push(entry),
            Err(Wrong(message, hint)) => {
                let mut fault = Fault::at(path, line, 1, message);
                fault.hint = hint;
                elsewhere.push(fault);
            }
        }
    }
    Some(Loaded { list: List::build(kind, entries), bytes })
}
