//! The `conditions:` of a rule file: conditions with a name, for use in rows and in each other. Each is compiled once and
//! put in wherever it is named; circles are refused, and so is growth without measure. Must not know rows.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::fault::nearest;
use crate::rules::condition::Condition;
use crate::rules::matching::Scope;
use crate::rules::when;
use crate::yaml::Faults;
use crate::yaml::Key;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// The most named conditions of a file.
const MOST: usize = 256;
/// The most tests that all uses of named conditions may come to; a name that doubles another, doubled again, gets there.
const MOST_TESTS: usize = 100_000;

/// The named conditions of a file.
#[derive(Default)]
pub(super) struct Named {
    entries: BTreeMap<String, Entry>,
    /// The names being compiled, outermost first.
    open: RefCell<Vec<String>>,
    tests: Cell<usize>,
}

struct Entry {
    key: Key,
    node: Node,
    compiled: RefCell<Option<Condition>>,
    used: Cell<bool>,
}

impl Named {
    /// Takes the entries of `conditions:` in; they are compiled when they are first named.
    pub(super) fn read(file: &Section<'_>) -> Self {
        let mut named = Self::default();
        let Some(node) = file.node("conditions") else { return named };
        let Value::Map(entries) = &node.value else {
            file.faults().at(node, format!("`conditions` must be a map, found {}", node.value.kind()), None);
            return named;
        };
        if entries.len() > MOST {
            file.faults().at(node, format!("there are {} conditions, more than {MOST}", entries.len()), None);
            return named;
        }
        for (key, node) in entries {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if key.name.is_empty() || key.name.len() > 64 || !key.name.bytes().all(plain) {
                let hint = "use 1 to 64 of letters, digits, `-`, `_` and `.`".to_owned();
                file.faults().at_key(key, format!("`{}` cannot be a condition's name", key.name), Some(hint));
                continue;
            }
            let entry = Entry { key: key.clone(), node: node.clone(), compiled: RefCell::default(), used: Cell::default() };
            named.entries.insert(key.name.clone(), entry);
        }
        named
    }

    /// Compiles those that nothing has named yet, so that their faults are told as well.
    pub(super) fn compile_all(&self, scope: &Scope<'_>) {
        for (name, entry) in &self.entries {
            if entry.compiled.borrow().is_none() {
                self.compile(scope, name, entry);
            }
        }
    }

    /// Warns of those that nothing names.
    pub(super) fn warn_of_unused(&self, warnings: &Faults) {
        for (name, entry) in self.entries.iter().filter(|(_, entry)| !entry.used.get()) {
            let hint = Some(format!("write `${name}` in a `when`, or `${name}: true` in a `match`"));
            warnings.at_key(&entry.key, format!("nothing asks for the condition `{name}`"), hint);
        }
    }

    /// The condition of that name, to be put in where `key` stands.
    pub(super) fn resolve(&self, scope: &Scope<'_>, key: &Key) -> Option<Condition> {
        let Some(entry) = self.entries.get(&key.name) else {
            let hint = match nearest(&key.name, self.entries.keys().map(String::as_str)) {
                Some(name) => format!("did you mean `${name}`?"),
                None => "declare it under `conditions`".to_owned(),
            };
            scope.faults.at_key(key, format!("unknown condition `${}`", key.name), Some(hint));
            return None;
        };
        entry.used.set(true);
        let from = self.open.borrow().iter().position(|open| *open == key.name);
        if let Some(from) = from {
            let way: Vec<String> = self.open.borrow().iter().skip(from).map(|name| format!("${name}")).collect();
            let hint = Some(format!("{} > ${}", way.join(" > "), key.name));
            scope.faults.at_key(key, format!("the condition `${}` asks for itself", key.name), hint);
            return None;
        }
        if entry.compiled.borrow().is_none() {
            self.compile(scope, &key.name, entry);
        }
        let size = entry.compiled.borrow().as_ref().map_or(0, Condition::size);
        let before = self.tests.get();
        self.tests.set(before.saturating_add(size));
        if self.tests.get() > MOST_TESTS {
            if before <= MOST_TESTS {
                let hint = Some("name fewer conditions within each other".to_owned());
                scope.faults.at_key(key, format!("the named conditions come to more than {MOST_TESTS} tests"), hint);
            }
            return None;
        }
        entry.compiled.borrow().clone()
    }

    fn compile(&self, scope: &Scope<'_>, name: &str, entry: &Entry) {
        self.open.borrow_mut().push(name.to_owned());
        let condition = match &entry.node.value {
            Value::Text(_) => when::compile(scope, &entry.node),
            _ => scope.condition(&entry.node),
        };
        self.open.borrow_mut().pop();
        *entry.compiled.borrow_mut() = Some(condition);
    }
}
