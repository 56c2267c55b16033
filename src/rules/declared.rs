//! What a rule file declares of addresses and agents: kinds of network of its own, which go ahead of the built-in ones, and
//! identities that are verified by agent and published range. Seen once for each judgement, before any row, and not at all
//! where a file declares neither. Must not know rows.

use std::sync::Arc;

use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Identity;
use crate::fact::NetworkKind;
use crate::fact::Value;
use crate::fault::nearest;
use crate::hosts;
use crate::rules::condition::Source;
use crate::rules::list::List;
use crate::rules::list::ListKind;
use crate::rules::matching::Scope;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Key;
use crate::yaml::Node;
use crate::yaml::Section;

/// The most rows of each of the two tables; each row is a look-up for each request.
const MOST: usize = 64;

/// An identity that a rule file declares: an agent's names, and where it comes from.
#[derive(Debug)]
pub struct DeclaredIdentity {
    /// Its name, as rules ask for it.
    pub name: Arc<str>,
    /// Parts of user agents that claim it; case counts.
    pub agents: Box<[Box<str>]>,
    /// Names below which the reverse name of its addresses lies.
    pub rdns: Box<[Box<str>]>,
    ranges: Option<Arc<List>>,
}

/// What a file declares.
#[derive(Debug, Default)]
pub(super) struct Declared {
    kinds: Box<[(NetworkKind, Arc<List>)]>,
    pub(super) identities: Box<[DeclaredIdentity]>,
}

/// What the declarations say of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    kind: Option<NetworkKind>,
    who: Option<Who<'a>>,
}

#[derive(Clone, Copy, Debug)]
enum Who<'a> {
    Verified(&'a str),
    Unverifiable,
    Impostor,
}

impl<'a> Known<'a> {
    /// The value of a fact, where it differs from what is known without the file.
    pub(super) fn value(&self, name: FactName) -> Option<Value<'a>> {
        match name {
            FactName::NetKind => self.kind.map(|kind| Value::Text(kind.name())),
            FactName::Identity => self.who.map(|who| match who {
                Who::Verified(name) => Value::Text(name),
                Who::Unverifiable => Value::Unknown,
                Who::Impostor => Value::Missing,
            }),
            FactName::IdentityImpostor => self.who.map(|who| match who {
                Who::Verified(_) => Value::Bool(false),
                Who::Unverifiable => Value::Unknown,
                Who::Impostor => Value::Bool(true),
            }),
            _ => None,
        }
    }
}

impl Declared {
    /// What conditions are asked of; `room` holds what the declarations say.
    pub(super) fn source<'a>(&'a self, facts: &'a Facts<'a>, room: &'a mut Known<'a>) -> Source<'a> {
        if self.kinds.is_empty() && self.identities.is_empty() {
            return Source::Facts(facts);
        }
        *room = Known { kind: self.kind(facts), who: self.who(facts) };
        Source::Declared(facts, room)
    }

    fn kind(&self, facts: &Facts<'_>) -> Option<NetworkKind> {
        self.kinds.iter().find(|(_, list)| is_on(list, facts)).map(|(kind, _)| *kind)
    }

    fn who<'a>(&'a self, facts: &Facts<'_>) -> Option<Who<'a>> {
        let agent = facts.user_agent.filter(|_| !self.identities.is_empty())?;
        let claims = |identity: &&DeclaredIdentity| identity.agents.iter().any(|part| agent.contains(&**part));
        let claimed = self.identities.iter().find(claims)?;
        if claimed.ranges.as_ref().is_some_and(|ranges| is_on(ranges, facts)) {
            return Some(Who::Verified(&claimed.name));
        }
        // The program knows some by itself, and their ranges better.
        if matches!(facts.identity, Identity::Verified(_)) {
            return None;
        }
        let settled = facts.address.is_some() && claimed.rdns.is_empty();
        Some(if settled { Who::Impostor } else { Who::Unverifiable })
    }

    /// Reads `net_kinds:` and `identities:`.
    pub(super) fn read(file: &Section<'_>, names: &[Arc<str>], scope: &Scope<'_>) -> Self {
        let kinds = file.list("net_kinds");
        if let (Some(node), true) = (file.node("net_kinds"), kinds.len() > MOST) {
            file.faults().at(node, format!("there are {} kinds, more than {MOST}", kinds.len()), None);
        }
        let kinds = kinds.iter().filter_map(|node| kind(node, scope)).collect();
        let identities = entries(file).iter().zip(names).map(|((key, node), name)| identity(key, node, name, scope));
        Self { kinds, identities: identities.collect() }
    }
}

/// The names of the identities, which conditions may ask for.
pub(super) fn names(file: &Section<'_>) -> Vec<Arc<str>> {
    match file.node("identities") {
        Some(node @ Node { value: yaml::Value::Map(entries), .. }) if entries.len() > MOST => {
            file.faults().at(node, format!("there are {} identities, more than {MOST}", entries.len()), None);
        }
        Some(node) if entries(file).is_empty() => {
            file.faults().at(node, format!("`identities` must be a map with entries, found {}", node.value.kind()), None);
        }
        _ => {}
    }
    entries(file).iter().map(|(key, _)| Arc::from(key.name.as_str())).collect()
}

fn entries<'a>(file: &Section<'a>) -> &'a [(Key, Node)] {
    match file.node("identities") {
        Some(Node { value: yaml::Value::Map(entries), .. }) => entries,
        _ => &[],
    }
}

fn is_on(list: &List, facts: &Facts<'_>) -> bool {
    match list.kind() {
        ListKind::Cidr => facts.address.is_some_and(|address| list.holds(Value::Address(address))),
        ListKind::Asn => facts.network.asn.is_some_and(|asn| list.holds(Value::Number(i64::from(asn)))),
        ListKind::Text => false,
    }
}

/// One row of `net_kinds:`, as `corporate: "@office"`.
fn kind(node: &Node, scope: &Scope<'_>) -> Option<(NetworkKind, Arc<List>)> {
    let yaml::Value::Map(entries) = &node.value else {
        scope.faults.at(node, "a row is a kind and its list", Some("write `- corporate: \"@office\"`".to_owned()));
        return None;
    };
    let [(key, list)] = entries.as_slice() else {
        scope.faults.at(node, "a row is one kind and its list", Some("the order of rows counts; write one to a row".to_owned()));
        return None;
    };
    let kind = NetworkKind::of_name(&key.name).filter(|kind| *kind != NetworkKind::Unknown);
    if kind.is_none() {
        let names = NetworkKind::NAMES.iter().copied().filter(|name| *name != NetworkKind::Unknown.name());
        let hint = match nearest(&key.name, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("one of {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        scope.faults.at_key(key, format!("unknown kind of network `{}`", key.name), Some(hint));
    }
    let list = of_addresses(list, scope);
    kind.zip(list)
}

/// A list of addresses or of network numbers.
fn of_addresses(node: &Node, scope: &Scope<'_>) -> Option<Arc<List>> {
    let list = scope.list_named(node)?;
    if list.kind() == ListKind::Text {
        scope.faults.at(node, "this takes a list of type `cidr` or `asn`", None);
        return None;
    }
    Some(list)
}

fn identity(key: &Key, node: &Node, name: &Arc<str>, scope: &Scope<'_>) -> DeclaredIdentity {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        let hint = Some("use 1 to 64 of `a-z 0-9 - . _`".to_owned());
        scope.faults.at_key(key, format!("`{name}` cannot be an identity's name"), hint);
    }
    let section = Section::of(node, scope.faults);
    let agents =
        texts(&section, "ua", "part of a user agent, of 3 to 200 letters", |text| (3..=200).contains(&text.chars().count()));
    let ranges = section.node("ranges").map(|node| of_addresses(node, scope));
    let is_name = |text: &str| text.contains('.') && hosts::pattern(text).is_some_and(|name| !name.starts_with('*'));
    let rdns = texts(&section, "rdns", "name such as `crawl.example.com`", is_name);
    section.finish();
    if section.node("ua").is_none() || section.list("ua").is_empty() {
        let hint = Some("an identity is an agent that comes from a known place".to_owned());
        scope.faults.at_key(key, format!("`{name}` does not say its `ua`"), hint);
    }
    if ranges.is_none() && section.list("rdns").is_empty() {
        let hint = "anybody can send a user agent; give `ranges: \"@list\"` or `rdns: [ … ]`".to_owned();
        scope.faults.at_key(key, format!("`{name}` is known by its user agent alone"), Some(hint));
    }
    DeclaredIdentity { name: Arc::clone(name), agents, rdns, ranges: ranges.flatten() }
}

fn texts(section: &Section<'_>, key: &'static str, what: &str, fits: impl Fn(&str) -> bool) -> Box<[Box<str>]> {
    let items = section.list(key);
    if let (Some(node), true) = (section.node(key), items.len() > MOST) {
        section.faults().at(node, format!("`{key}` has {} entries, more than {MOST}", items.len()), None);
    }
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            yaml::Value::Text(text) if fits(text) => texts.push(text.as_str().into()),
            _ => note(section.faults(), item, what),
        }
    }
    texts.into()
}

fn note(faults: &Faults, item: &Node, what: &str) {
    faults.at(item, format!("this is no {what}"), None);
}
