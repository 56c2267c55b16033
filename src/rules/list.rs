//! The lists of a rule file: addresses, network numbers or words, written in it or in a file beside it.
//! Must not know who asks.

use std::path::Path;

use ipnetwork::IpNetwork;

use crate::fact::Value;
use crate::fault::Fault;
use crate::lists::PrefixTable;
use crate::lists::parse_numbers;
use crate::lists::parse_prefixes;
use crate::lists::parse_words;
use crate::lists::read_file;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;

/// The largest file of a list, in bytes: four million addresses.
const LARGEST: u64 = 64 << 20;

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
#[derive(Debug)]
pub(super) enum List {
    /// Addresses.
    Cidr(Box<PrefixTable>),
    /// Ascending numbers.
    Asn(Box<[u32]>),
    /// Ascending words.
    Text(Box<[String]>),
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
            (Self::Cidr(table), Value::Address(address)) => table.lookup(address).has(0),
            (Self::Asn(numbers), Value::Number(number)) => {
                u32::try_from(number).is_ok_and(|number| numbers.binary_search(&number).is_ok())
            }
            (Self::Text(words), Value::Text(text)) => words.binary_search_by(|word| word.as_str().cmp(text)).is_ok(),
            _ => false,
        }
    }

    /// Reads a list's text, one entry a line.
    fn parse(kind: ListKind, path: &str, bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        match kind {
            ListKind::Cidr => Ok(Self::cidr(parse_prefixes(path, bytes)?)),
            ListKind::Asn => Ok(Self::asn(parse_numbers(path, bytes)?)),
            ListKind::Text => Ok(Self::words(parse_words(path, bytes)?)),
        }
    }

    fn cidr(networks: Vec<IpNetwork>) -> Self {
        Self::Cidr(Box::new(PrefixTable::build(networks.into_iter().map(|network| (network, 0)))))
    }

    fn asn(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        Self::Asn(numbers.into())
    }

    fn words(mut words: Vec<String>) -> Self {
        words.sort_unstable();
        Self::Text(words.into())
    }
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
        (None, true) => Some(Loaded { list: from_values(kind, values, faults), bytes: Vec::new() }),
        _ => {
            faults.at(node, "a list has either `values` or `path`", None);
            None
        }
    }
}

fn from_values(kind: ListKind, values: &[Node], faults: &Faults) -> List {
    let (mut networks, mut numbers, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for node in values {
        let text = match &node.value {
            yaml::Value::Text(text) => text.clone(),
            yaml::Value::Number(number) => number.to_string(),
            other => {
                faults.at(node, format!("expected text, found {}", other.kind()), None);
                continue;
            }
        };
        // The readers of list files check each value, so that one rule holds for both; only the place differs.
        let read = match kind {
            ListKind::Cidr => parse_prefixes("", text.as_bytes()).map(|found| networks.extend(found)),
            ListKind::Asn => parse_numbers("", text.as_bytes()).map(|found| numbers.extend(found)),
            ListKind::Text => {
                words.push(text);
                Ok(())
            }
        };
        for fault in read.err().unwrap_or_default() {
            faults.at(node, fault.message, fault.hint);
        }
    }
    match kind {
        ListKind::Cidr => List::cidr(networks),
        ListKind::Asn => List::asn(numbers),
        ListKind::Text => List::words(words),
    }
}

fn from_file(
    kind: ListKind,
    path: &str,
    node: &Node,
    faults: &Faults,
    base: &Path,
    elsewhere: &mut Vec<Fault>,
) -> Option<Loaded> {
    let bytes = match read_file(&base.join(path), LARGEST) {
        Ok(bytes) => bytes,
        Err(error) => {
            let reason =
                if error.kind() == std::io::ErrorKind::NotFound { "there is no such file".to_owned() } else { error.to_string() };
            let hint = "paths are taken from the rule file's folder".to_owned();
            faults.at(node, format!("list file `{path}` cannot be read: {reason}"), Some(hint));
            return None;
        }
    };
    match List::parse(kind, path, &bytes) {
        Ok(list) => Some(Loaded { list, bytes }),
        Err(mut found) => {
            elsewhere.append(&mut found);
            None
        }
    }
}
