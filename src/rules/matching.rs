//! The `match:` map of a row -> a compiled condition, and the values of cases: names, operators and values are checked
//! against each fact's type, so that nothing can be wrong at request time. Must not know rows or points.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::HeaderName;

use crate::fact::FactName;
use crate::fact::Type;
use crate::fault::nearest;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Subject;
use crate::rules::condition::Test;
use crate::rules::counters::Counters;
use crate::rules::list::List;
use crate::rules::list::ListKind;
use crate::rules::named::Named;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Key;
use crate::yaml::Node;
use crate::yaml::Value;

const OPERATORS: [&str; 12] =
    ["any_of", "none_of", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "ends_with", "missing"];

/// What a file declares for conditions.
pub(super) struct Scope<'a> {
    /// The file's text, by which the parts of an expression find their place.
    pub(super) file: &'a str,
    pub(super) faults: &'a Faults,
    /// The named conditions.
    pub(super) conditions: &'a Named,
    /// The names of the identities that the file declares.
    pub(super) identities: &'a [Arc<str>],
    /// The lists; one that could not be read is `None`, so that its users are not reported as well.
    pub(super) lists: &'a BTreeMap<String, Option<Arc<List>>>,
    /// The counters.
    pub(super) counters: &'a Counters,
}

impl Scope<'_> {
    /// Compiles a `match:` map: all its clauses must hold.
    pub(super) fn condition(&self, node: &Node) -> Condition {
        let Value::Map(entries) = &node.value else {
            self.faults.at(node, format!("expected a map of facts, found {}", node.value.kind()), None);
            return Condition::always();
        };
        if entries.is_empty() {
            self.faults.at(node, "the map of facts is empty", Some("leave `match` out to match always".to_owned()));
        }
        Condition::All(entries.iter().filter_map(|(key, value)| self.clause(key, value)).collect())
    }

    fn clause(&self, key: &Key, node: &Node) -> Option<Condition> {
        match key.name.as_str() {
            "all" => Some(Condition::All(self.conditions(node))),
            "any" => Some(Condition::Any(self.conditions(node))),
            "none" => Some(Condition::None(self.conditions(node))),
            name => match name.strip_prefix('$') {
                Some(name) => self.named_clause(&Key { name: name.to_owned(), ..key.clone() }, node),
                None => self.tests(&self.subject(key)?, node),
            },
        }
    }

    /// `$name: true`, or `$name: false` for its contrary.
    fn named_clause(&self, key: &Key, node: &Node) -> Option<Condition> {
        let condition = self.named(key);
        let Value::Bool(holds) = node.value else {
            let message = format!("`${}` must be `true` or `false`, found {}", key.name, node.value.kind());
            self.faults.at(node, message, None);
            return None;
        };
        condition.map(|condition| if holds { condition } else { Condition::None([condition].into()) })
    }

    /// The condition of that name.
    pub(super) fn named(&self, key: &Key) -> Option<Condition> {
        self.conditions.resolve(self, key)
    }

    fn conditions(&self, node: &Node) -> Box<[Condition]> {
        match &node.value {
            Value::List(items) if !items.is_empty() => items.iter().map(|item| self.condition(item)).collect(),
            Value::Map(_) => [self.condition(node)].into(),
            other => {
                self.faults.at(node, format!("expected a list of maps of facts, found {}", other.kind()), None);
                Box::default()
            }
        }
    }

    /// The fact or field a key names.
    pub(super) fn subject(&self, key: &Key) -> Option<Subject> {
        if let Some(rest) = key.name.strip_prefix("http.header(") {
            let name = rest.strip_suffix(')').map(|name| name.trim_matches(['"', '\'']));
            let subject = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()).map(Subject::Header);
            if subject.is_none() {
                let hint = Some("write `http.header(\"accept-language\")`".to_owned());
                self.faults.at_key(key, format!("`{}` names no request field", key.name), hint);
            }
            return subject;
        }
        if Counters::is_named(key) {
            return self.counters.asked(key, self.faults).map(Subject::Counter);
        }
        let fact = FactName::of_name(&key.name);
        if fact.is_none() {
            let names = FactName::ALL.iter().map(|name| name.name()).chain(["all", "any", "none"]);
            let hint = nearest(&key.name, names)
                .map_or_else(|| "docs/rules.md lists all facts".to_owned(), |name| format!("did you mean `{name}`?"));
            self.faults.at_key(key, format!("unknown fact `{}`", key.name), Some(hint));
        }
        fact.map(Subject::Fact)
    }

    /// A fact and its value in a case; nothing (`~`) is a missing one.
    pub(super) fn given(&self, key: &Key, node: &Node) -> Option<(Subject, Literal)> {
        let subject = self.subject(key)?;
        let literal = if node.value == Value::Null { Literal::Missing } else { self.literal(&subject, node)? };
        Some((subject, literal))
    }

    fn tests(&self, subject: &Subject, node: &Node) -> Option<Condition> {
        let test = |test: Test| Condition::Test(subject.clone(), test);
        match &node.value {
            Value::Map(operators) => {
                let tests: Vec<Condition> =
                    operators.iter().filter_map(|(key, value)| self.operator(subject, key, value)).map(test).collect();
                if operators.is_empty() {
                    self.faults.at(node, "the map of operators is empty", None);
                }
                Some(Condition::All(tests.into()))
            }
            Value::List(_) => {
                self.faults.at(node, "a list needs an operator", Some("write `{ any_of: […] }`".to_owned()));
                None
            }
            _ => self.equal(subject, node).map(|literal| test(Test::AnyOf([literal].into()))),
        }
    }

    /// One operator of a clause and its value.
    pub(super) fn operator(&self, subject: &Subject, key: &Key, node: &Node) -> Option<Test> {
        let kind = kind_of(subject);
        match key.name.as_str() {
            "any_of" => self.literals(subject, node).map(Test::AnyOf),
            "none_of" => self.literals(subject, node).map(Test::NoneOf),
            "gt" | "gte" | "lt" | "lte" => self.bound(subject, key, node),
            "in" => self.list(subject, node).map(Test::In),
            "not_in" => self.list(subject, node).map(Test::NotIn),
            "contains" | "starts_with" | "ends_with" if kind != Type::Text => {
                self.faults.at_key(key, format!("`{}` is {}, `{}` is for text", name_of(subject), says(kind), key.name), None);
                None
            }
            "contains" => self.literal(subject, node).and_then(text).map(Test::Contains),
            "starts_with" => self.literal(subject, node).and_then(text).map(Test::StartsWith),
            "ends_with" => self.literal(subject, node).and_then(text).map(Test::EndsWith),
            "missing" => {
                let Value::Bool(flag) = node.value else {
                    self.faults.at(node, "`missing` must be `true` or `false`", None);
                    return None;
                };
                Some(Test::Missing(flag))
            }
            other => {
                let hint = match nearest(other, OPERATORS) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("operators are {}", OPERATORS.map(|name| format!("`{name}`")).join(", ")),
                };
                self.faults.at_key(key, format!("unknown operator `{other}`"), Some(hint));
                None
            }
        }
    }

    fn bound(&self, subject: &Subject, key: &Key, node: &Node) -> Option<Test> {
        let kind = kind_of(subject);
        if !matches!(kind, Type::Number | Type::Duration) {
            let message = format!("`{}` is {}, `{}` is for numbers and durations", name_of(subject), says(kind), key.name);
            self.faults.at_key(key, message, None);
            return None;
        }
        let Literal::Number(number) = self.literal(subject, node)? else { return None };
        Some(match key.name.as_str() {
            "gt" => Test::Within(number.saturating_add(1), i64::MAX),
            "gte" => Test::Within(number, i64::MAX),
            "lt" => Test::Within(i64::MIN, number.saturating_sub(1)),
            _ => Test::Within(i64::MIN, number),
        })
    }

    fn literals(&self, subject: &Subject, node: &Node) -> Option<Box<[Literal]>> {
        match &node.value {
            Value::List(items) if !items.is_empty() => Some(items.iter().filter_map(|item| self.equal(subject, item)).collect()),
            Value::List(_) => {
                self.faults.at(node, "the list is empty", None);
                None
            }
            other => {
                self.faults.at(node, format!("expected a list, found {}", other.kind()), Some("write `[a, b]`".to_owned()));
                None
            }
        }
    }

    fn equal(&self, subject: &Subject, node: &Node) -> Option<Literal> {
        if kind_of(subject) == Type::Address {
            let hint = Some("declare a list of type `cidr` and write `{ in: \"@name\" }`".to_owned());
            self.faults.at(node, format!("`{}` is matched by a list only", name_of(subject)), hint);
            return None;
        }
        self.literal(subject, node)
    }

    /// A value of the subject's type.
    fn literal(&self, subject: &Subject, node: &Node) -> Option<Literal> {
        let kind = kind_of(subject);
        let literal = match (&node.value, kind) {
            (Value::Bool(flag), Type::Bool) => Some(Literal::Bool(*flag)),
            (Value::Number(number), Type::Number) => Some(Literal::Number(*number)),
            (Value::Number(0), Type::Duration) => Some(Literal::Number(0)),
            (Value::Text(text), Type::Duration) => {
                yaml::duration(text).and_then(|duration| i64::try_from(duration.as_millis()).ok()).map(Literal::Number)
            }
            (Value::Text(text), Type::Text) => Some(Literal::Text(text.as_str().into())),
            (Value::Text(text), Type::Address) => text.parse().ok().map(Literal::Address),
            (Value::Text(word), Type::Word(words)) => return self.word(subject, node, word, words),
            _ => None,
        };
        if literal.is_none() {
            let hint = match (kind, &node.value) {
                (Type::Text, Value::Number(_) | Value::Bool(_) | Value::Float(_)) => Some("put it in quotes".to_owned()),
                (Type::Duration, _) => Some("write `20s`, `15m` or `24h`".to_owned()),
                _ => None,
            };
            self.faults.at(node, format!("`{}` is {}, found {}", name_of(subject), says(kind), found(node)), hint);
        }
        literal
    }

    fn word(&self, subject: &Subject, node: &Node, word: &str, words: &[&str]) -> Option<Literal> {
        if word == "unknown" && words.contains(&word) {
            let hint = Some("what is not known never counts; leave the clause out".to_owned());
            self.faults.at(node, format!("no condition can ask whether `{}` is unknown", name_of(subject)), hint);
            return None;
        }
        // An identity can be one that the file declares.
        let declared = if *subject == Subject::Fact(FactName::Identity) { self.identities } else { &[] };
        if words.contains(&word) || declared.iter().any(|name| **name == *word) {
            return Some(Literal::Text(word.into()));
        }
        let hint = match nearest(word, words.iter().copied().chain(declared.iter().map(|name| &**name))) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of {}", words.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        self.faults.at(node, format!("`{}` is never `{word}`", name_of(subject)), Some(hint));
        None
    }

    /// The list that a value names.
    pub(super) fn list_named(&self, node: &Node) -> Option<Arc<List>> {
        let Value::Text(text) = &node.value else {
            self.faults.at(
                node,
                format!("expected a list's name, found {}", node.value.kind()),
                Some("write `\"@name\"`".to_owned()),
            );
            return None;
        };
        let Some(name) = text.strip_prefix('@') else {
            self.faults.at(node, format!("`{text}` is not a list's name"), Some(format!("write `\"@{text}\"`")));
            return None;
        };
        let Some(entry) = self.lists.get(name) else {
            let hint = match nearest(name, self.lists.keys().map(String::as_str)) {
                Some(name) => format!("did you mean `@{name}`?"),
                None => "declare it under `lists`".to_owned(),
            };
            self.faults.at(node, format!("unknown list `@{name}`"), Some(hint));
            return None;
        };
        entry.clone()
    }

    fn list(&self, subject: &Subject, node: &Node) -> Option<Arc<List>> {
        let list = self.list_named(node)?;
        let wanted = match (kind_of(subject), subject) {
            (Type::Address, _) => Some(ListKind::Cidr),
            (_, Subject::Fact(FactName::NetAsn)) => Some(ListKind::Asn),
            (Type::Text | Type::Word(_), _) => Some(ListKind::Text),
            _ => None,
        };
        if wanted == Some(list.kind()) {
            return Some(list);
        }
        let name = found(node);
        let message = match wanted {
            Some(kind) => {
                format!("`{}` needs a list of type `{}`, {name} is `{}`", name_of(subject), kind.name(), list.kind().name())
            }
            None => format!("`{}` cannot be looked up in a list", name_of(subject)),
        };
        self.faults.at(node, message, None);
        None
    }
}

fn text(literal: Literal) -> Option<Box<str>> {
    match literal {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// The type of what a test looks at.
pub(super) fn kind_of(subject: &Subject) -> Type {
    match subject {
        Subject::Fact(name) => name.kind(),
        Subject::Header(_) => Type::Text,
        Subject::Counter(_) => Type::Number,
    }
}

/// The name of what a test looks at.
pub(super) fn name_of(subject: &Subject) -> &str {
    match subject {
        Subject::Fact(name) => name.name(),
        Subject::Header(name) => name.as_str(),
        Subject::Counter(asked) => &asked.name,
    }
}

/// A type in words.
pub(super) fn says(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "`true` or `false`",
        Type::Number => "a whole number",
        Type::Duration => "a duration",
        Type::Text => "text",
        Type::Word(_) => "a word",
        Type::Address => "an address",
    }
}

fn found(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("`{text}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::Bool(flag) => format!("`{flag}`"),
        other => other.kind().to_owned(),
    }
}
