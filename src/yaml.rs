//! A YAML file as a tree in which every key and value knows its place, and a reader of maps that collects all faults
//! before anybody gives up. Must not know what the files mean.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_saphyr::Spanned;

use crate::fault::Fault;
use crate::fault::nearest;

/// The largest file that is read, in bytes; rule files of thousands of rows stay far below.
const LARGEST: usize = 4 * 1024 * 1024;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The value.
    pub value: Value,
}

/// A YAML value; maps keep their order and the place of their keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The key.
    pub name: String,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Parses a file's bytes. The parser stops at the first fault of form; faults of meaning are the reader's to collect.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Node, Vec<Fault>> {
    if bytes.len() > LARGEST {
        return Err(vec![Fault::of_file(path, format!("the file has {} bytes, more than {LARGEST}", bytes.len()))]);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.split(|byte| *byte == b'\n').count();
        vec![Fault::at(path, u32::try_from(line).unwrap_or(u32::MAX), 0, "the file is not UTF-8").hint("save it as UTF-8")]
    })?;
    let budget = serde_saphyr::budget! { max_nodes: 200_000, max_depth: 64, max_aliases: 1_000, max_anchors: 1_000 };
    // Strict, so that the country code `NO` stays text.
    let options = serde_saphyr::options! { budget: budget, strict_booleans: true };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| vec![fault_of(path, &error)])
}

fn fault_of(path: &str, error: &serde_saphyr::Error) -> Fault {
    let (line, column) = error.location().map_or((0, 0), |place| (small(place.line()), small(place.column())));
    let message = error.without_snippet().to_string();
    let first = message.lines().next().unwrap_or("not a YAML file");
    let first = first.split(" at line ").next().unwrap_or(first);
    Fault::at(path, line, column, first.trim_start_matches("error: ").to_owned())
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(source)?;
        let place = spanned.referenced;
        Ok(Self { line: small(place.line()), column: small(place.column()), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        Value::deserialize(source)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let place = key.referenced;
            let key = Key { line: small(place.line()), column: small(place.column()), name: key.value };
            map.push((key, entries.next_value::<Node>()?));
        }
        Ok(Value::Map(map))
    }
}

/// The faults found so far in one file.
#[derive(Debug)]
pub struct Faults {
    path: String,
    found: RefCell<Vec<Fault>>,
}

impl Faults {
    /// No faults yet.
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), found: RefCell::new(Vec::new()) }
    }

    /// Notes a fault at a value.
    pub fn at(&self, node: &Node, message: impl Into<String>, hint: Option<String>) {
        self.note(node.line, node.column, message, hint);
    }

    /// Notes a fault at a key.
    pub fn at_key(&self, key: &Key, message: impl Into<String>, hint: Option<String>) {
        self.note(key.line, key.column, message, hint);
    }

    fn note(&self, line: u32, column: u32, message: impl Into<String>, hint: Option<String>) {
        let mut fault = Fault::at(&self.path, line, column, message);
        fault.hint = hint;
        self.found.borrow_mut().push(fault);
    }

    /// The value if nothing was found, else all faults in file order.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        let mut found = self.found.into_inner();
        if found.is_empty() {
            return Ok(value);
        }
        found.sort_by_key(|fault| (fault.line, fault.column));
        Err(found)
    }
}

/// Reads one map key by key; every reading method notes its own faults and answers `None` then.
#[derive(Debug)]
pub struct Section<'a> {
    faults: &'a Faults,
    node: Option<&'a Node>,
    entries: &'a [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// A reader of a node that must be a map; nothing at all reads as an empty map.
    pub fn of(node: &'a Node, faults: &'a Faults) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                faults.at(node, format!("expected a map, found {}", other.kind()), None);
                &[]
            }
        };
        Self { faults, node: Some(node), entries, known: RefCell::default() }
    }

    /// The value of a key.
    pub fn node(&self, key: &'static str) -> Option<&'a Node> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node).filter(|node| node.value != Value::Null)
    }

    /// A map below a key; an absent one reads as empty.
    #[must_use]
    pub fn section(&self, key: &'static str) -> Self {
        match self.node(key) {
            Some(node) => Self::of(node, self.faults),
            None => Self { faults: self.faults, node: None, entries: &[], known: RefCell::default() },
        }
    }

    /// The items of a list below a key; an absent one reads as empty.
    pub fn list(&self, key: &'static str) -> &'a [Node] {
        match self.node(key) {
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                self.faults.at(node, format!("`{key}` must be a list, found {}", node.value.kind()), None);
                &[]
            }
            None => &[],
        }
    }

    /// Text below a key; numbers are taken as they are written only if they are whole.
    pub fn text(&self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            other => {
                self.faults.at(node, format!("`{key}` must be text, found {}", other.kind()), None);
                None
            }
        }
    }

    /// `true` or `false` below a key.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.value {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.faults.at(node, format!("`{key}` must be `true` or `false`, found {}", other.kind()), None);
                None
            }
        }
    }

    /// A whole number in a range below a key.
    pub fn number(&self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let node = self.node(key)?;
        match &node.value {
            Value::Number(number) if range.contains(number) => Some(*number),
            _ => {
                self.faults.at(node, format!("`{key}` must be a whole number from {} to {}", range.start(), range.end()), None);
                None
            }
        }
    }

    /// Text below a key read by `read`; where that fails, `expected` tells what would do.
    pub fn parsed<T>(&self, key: &'static str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        let value = read(&text);
        if value.is_none()
            && let Some(node) = self.node(key)
        {
            self.faults.at(node, format!("`{key}`: `{text}` is not {expected}"), None);
        }
        value
    }

    /// A duration such as `20s`, `15m` or `7d` below a key.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.parsed(key, "a duration such as `30s`, `15m` or `7d`", duration)
    }

    /// Faults of this section can be noted by whoever reads on.
    pub fn faults(&self) -> &'a Faults {
        self.faults
    }

    /// The map itself, where it is there.
    pub fn place(&self) -> Option<&'a Node> {
        self.node
    }

    /// Notes every key that nobody asked for; call it after the last key was read.
    pub fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.entries {
            if !known.contains(&key.name.as_str()) {
                let hint = match nearest(&key.name, known.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => {
                        format!("known here: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                    }
                };
                self.faults.at_key(key, format!("unknown field `{}`", key.name), Some(hint));
            }
        }
    }
}

/// A duration such as `250ms`, `20s`, `15m`, `24h` or `7d`; a bare `0` is none.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 0,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let node = parse("a.yaml", b"listen: x\nlist:\n  - one\n  - two: 2\n").unwrap();
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!((entries[0].0.line, entries[0].0.column, entries[0].1.column), (1, 1, 9));
        let Value::List(items) = &entries[1].1.value else { panic!("{node:?}") };
        assert_eq!((items[1].line, items[1].column), (4, 5));
    }

    #[test]
    fn all_faults_of_meaning_come_at_once_in_file_order() {
        let node = parse("a.yaml", b"mode: 7s\nlisen: here\nwait: soon\ncores: 0\n").unwrap();
        let faults = Faults::new("a.yaml");
        let section = Section::of(&node, &faults);
        section.text("listen");
        section.text("mode");
        section.duration("wait");
        section.number("cores", 1..=256);
        section.finish();
        let found: Vec<String> = faults.finish(()).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "a.yaml:2:1: unknown field `lisen`\nhint: did you mean `listen`?",
                "a.yaml:3:7: `wait`: `soon` is not a duration such as `30s`, `15m` or `7d`",
                "a.yaml:4:8: `cores` must be a whole number from 1 to 256",
            ]
        );
    }

    #[test]
    fn a_hint_names_each_known_field_once() {
        let node = parse("a.yaml", b"zzzzzz: 1\n").unwrap();
        let faults = Faults::new("a.yaml");
        let section = Section::of(&node, &faults);
        section.text("listen");
        section.node("listen");
        section.finish();
        let hint = faults.finish(()).unwrap_err().remove(0).hint;
        assert_eq!(hint.as_deref(), Some("known here: `listen`"));
    }

    #[test]
    fn a_fault_of_form_has_its_place() {
        let fault = parse("a.yaml", b"a: 1\nb: [1, 2\nc: 3\n").unwrap_err().remove(0);
        assert!(fault.line >= 2, "{fault}");
        assert_eq!(
            parse("a.yaml", b"a: \xff\n").unwrap_err()[0].to_string(),
            "a.yaml:1: the file is not UTF-8\nhint: save it as UTF-8"
        );
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let row = |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
        let text: String =
            std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned()).chain((1..9).map(row)).collect();
        assert!(parse("a.yaml", text.as_bytes()).is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("15m"), Some(Duration::from_mins(15)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        for bad in ["15", "m", "1.5s", "-1s", "99999999999999999999d", ""] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
