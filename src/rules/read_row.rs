//! The rows of a rule file: the fields all rows share, classify rows, signals, policy rows and cases.
//! Must not know lists' contents or how a score is made.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use crate::fault::nearest;
use crate::rules::about::About;
use crate::rules::case::Case;
use crate::rules::case::Expect;
use crate::rules::condition::Condition;
use crate::rules::dated::Dates;
use crate::rules::matching::Scope;
use crate::rules::read::word;
use crate::rules::row::Certainty;
use crate::rules::row::Classify;
use crate::rules::row::Group;
use crate::rules::row::Guard;
use crate::rules::row::PROOF_FROM;
use crate::rules::row::Row;
use crate::rules::row::RuleMode;
use crate::rules::row::Signal;
use crate::rules::when;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const CLASSES: [&str; 4] = ["visit", "skip", "allow", "deny"];

/// Reads rows; remembers the ids of all.
pub(super) struct Reader<'a> {
    path: &'a str,
    faults: &'a Faults,
    warnings: &'a Faults,
    scope: Scope<'a>,
    groups: &'a [Group],
    /// The day of the load, where it is known.
    today: Option<Date>,
    ids: RefCell<BTreeMap<String, u32>>,
    dates: RefCell<Dates>,
}

/// What the rows of a policy decide of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The click; a row can take effect for a share of visits.
    Click,
    /// The Pixel or an event.
    After,
}

/// The mode below `mode`; without one, rules take effect.
pub(super) fn mode(section: &Section<'_>) -> RuleMode {
    let of_name = |name: &str| match name {
        "shadow" => Some(RuleMode::Shadow),
        "enforce" => Some(RuleMode::Enforce),
        _ => None,
    };
    word(section, "mode", &["shadow", "enforce"], of_name).unwrap_or_default()
}

fn category(section: &Section<'_>) -> Category {
    let names: Vec<&'static str> = Category::ALL.iter().map(|category| category.name()).collect();
    word(section, "category", &names, Category::of_name).unwrap_or(Category::Nothing)
}

impl<'a> Reader<'a> {
    /// A reader that has seen no row yet.
    pub(super) fn new(
        path: &'a str,
        (faults, warnings): (&'a Faults, &'a Faults),
        scope: Scope<'a>,
        groups: &'a [Group],
        today: Option<Date>,
    ) -> Self {
        Self { path, faults, warnings, scope, groups, today, ids: RefCell::default(), dates: RefCell::default() }
    }

    /// The dates that were met.
    pub(super) fn finish(self) -> Dates {
        self.dates.into_inner()
    }

    /// A row of `classify:`.
    pub(super) fn classify(&self, node: &Node) -> Option<Classify> {
        let section = Section::of(node, self.faults);
        let (id, about) = self.described(&section, node);
        let condition = self.required_match(&section, node);
        let class =
            word(&section, "as", &["skip", "allow", "deny"], |name| Class::of_name(name).filter(|class| *class != Class::Visit));
        self.require(&section, node, "as");
        let category = category(&section);
        let cases = self.cases(&section);
        section.finish();
        let (mode, at) = (about.mode(RuleMode::Enforce), (node.line, node.column));
        Some(Classify { id: id?, condition: condition?, class: class?, category, mode, about, at, cases })
    }

    /// A row of `signals:`.
    pub(super) fn signal(&self, node: &Node) -> Option<Signal> {
        let section = Section::of(node, self.faults);
        let (id, about) = self.described(&section, node);
        let condition = self.required_match(&section, node);
        self.require(&section, node, "points");
        let points = section.number("points", -100..=100).and_then(|points| i16::try_from(points).ok());
        let group = self.group(&section, node);
        let category = category(&section);
        let certainty = word(&section, "certainty", &["proof", "probable"], |name| match name {
            "proof" => Some(Certainty::Proof),
            "probable" => Some(Certainty::Probable),
            _ => None,
        });
        let mode = about.mode(mode(&section));
        let cases = self.cases(&section);
        section.finish();
        let (points, group) = (points?, group?);
        self.weigh(&section, points, group, certainty);
        if points > 0 && section.node("category").is_none() {
            let hint = "name the reason by its code, such as `givt.datacenter`".to_owned();
            self.faults.at(node, "`category` is missing", Some(hint));
        }
        let certainty = certainty.unwrap_or(Certainty::Probable);
        Some(Signal { id: id?, condition: condition?, points, group, category, certainty, mode, about, cases })
    }

    /// Whether the points suit the certainty and the group.
    fn weigh(&self, section: &Section<'_>, points: i16, group: usize, certainty: Option<Certainty>) {
        let Some(at) = section.node("points") else { return };
        if points >= PROOF_FROM && certainty != Some(Certainty::Proof) {
            let hint = "say `certainty: proof` if it is one, or give fewer points".to_owned();
            self.faults.at(at, format!("{points} points for what is only probable"), Some(hint));
        }
        let trust = self.groups.get(group).is_some_and(|group| group.cap < 0);
        if trust && points > 0 {
            self.faults.at(at, "a group with a negative cap takes negative points only", None);
        }
        if points == 0 {
            self.warnings.at(at, "a signal of 0 points changes nothing", Some("use `mode: shadow` to try a signal".to_owned()));
        }
    }

    /// The rows of one stage; the last must speak always.
    pub(super) fn policy<T>(&self, stage: Stage, node: Option<&Node>, read: fn(&Node, &Faults) -> Option<T>) -> Vec<Row<T>> {
        let Some(node) = node else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.faults.at(node, format!("expected a list of rows, found {}", node.value.kind()), None);
            return Vec::new();
        };
        let (mut settled, mut ends) = (false, false);
        let mut rows: Vec<Row<T>> = Vec::with_capacity(items.len());
        for item in items {
            let section = Section::of(item, self.faults);
            let (id, about) = self.described(&section, item);
            let guard = self.guard(&section);
            let action = section.node("do").and_then(|node| read(node, self.faults));
            self.require(&section, item, "do");
            let percent = match stage {
                Stage::Click => section.number("enforce_percent", 0..=100).and_then(|share| u8::try_from(share).ok()),
                Stage::After => None,
            };
            let cases = self.cases(&section);
            section.finish();
            // What ends by itself leaves all to the rows below it one day.
            let live = |row: &&Row<T>| row.mode == RuleMode::Enforce && !row.about.ends;
            if settled {
                self.warnings.at(item, "this row is never reached", Some("a row above it speaks always".to_owned()));
            } else if let Some(row) = rows.iter().filter(live).find(|row| row.guard.covers(&guard)) {
                let hint = format!("`{}` above it speaks wherever this one does", row.id);
                self.warnings.at(item, "this row is never reached", Some(hint));
            }
            let mode = about.mode(RuleMode::Enforce);
            settled |= guard.is_always() && mode == RuleMode::Enforce && !about.ends;
            ends |= guard.is_always() && about.ends;
            if let (Some(id), Some(action)) = (id, action) {
                rows.push(Row { id, guard, action, mode, percent, about, at: (item.line, item.column), cases });
            }
        }
        if !settled {
            let hint = if ends {
                "the row that speaks always ends by its date; put one without `on_expiry: disable` below it".to_owned()
            } else {
                "end with a row that has no `class`, `band` or `match`".to_owned()
            };
            self.faults.at(node, "no row speaks for the rest", Some(hint));
        }
        rows
    }

    fn guard(&self, section: &Section<'_>) -> Guard {
        let class = word(section, "class", &CLASSES, Class::of_name);
        let bands = section.node("band").map(|node| self.bands(node)).unwrap_or_default();
        let condition = self.condition(section).unwrap_or_else(Condition::always);
        Guard { class, bands, condition }
    }

    fn bands(&self, node: &Node) -> Vec<Band> {
        match &node.value {
            Value::Text(name) => self.band(node, name).into_iter().collect(),
            Value::List(items) if !items.is_empty() => items.iter().flat_map(|item| self.bands(item)).collect(),
            Value::Map(entries) => match entries.as_slice() {
                [(key, node)] if key.name == "any_of" && matches!(node.value, Value::List(_)) => self.bands(node),
                _ => {
                    self.faults.at(node, "`band` is a band or `{ any_of: [ … ] }`", None);
                    Vec::new()
                }
            },
            other => {
                self.faults.at(node, format!("`band` must name a band, found {}", other.kind()), None);
                Vec::new()
            }
        }
    }

    fn band(&self, node: &Node, name: &str) -> Option<Band> {
        let band = Band::of_name(name);
        if band.is_none() {
            let hint = match nearest(name, Band::ALL.map(Band::name)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("one of {}", Band::ALL.map(|band| format!("`{}`", band.name())).join(", ")),
            };
            self.faults.at(node, format!("unknown band `{name}`"), Some(hint));
        }
        band
    }

    /// Reads the fields every row may have.
    pub(super) fn described(&self, section: &Section<'_>, node: &Node) -> (Option<Arc<str>>, About) {
        let about = About::read(section, node, self.today, self.warnings);
        let id = self.id(section, node);
        self.dates.borrow_mut().note(id.as_ref(), &about);
        (id, about)
    }

    /// The id, checked for use and form.
    fn id(&self, section: &Section<'_>, node: &Node) -> Option<Arc<str>> {
        self.require(section, node, "id");
        let at = section.node("id")?;
        let id = section.text("id")?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.' || byte == b'_';
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            let hint = "use 1 to 64 of `a-z 0-9 - . _`".to_owned();
            self.faults.at(at, format!("`{id}` cannot be an id"), Some(hint));
            return None;
        }
        if let Some(line) = self.ids.borrow_mut().insert(id.clone(), at.line) {
            let hint = format!("the other one is in line {line}");
            self.faults.at(at, format!("the id `{id}` is used twice"), Some(hint));
        }
        Some(Arc::from(id))
    }

    fn require(&self, section: &Section<'_>, node: &Node, key: &'static str) {
        if section.node(key).is_none() {
            self.faults.at(node, format!("`{key}` is missing"), None);
        }
    }

    fn required_match(&self, section: &Section<'_>, node: &Node) -> Option<Condition> {
        if section.node("when").is_none() {
            self.require(section, node, "match");
        }
        self.condition(section)
    }

    /// The condition of a row: its `match` and its `when`, both of which must hold.
    fn condition(&self, section: &Section<'_>) -> Option<Condition> {
        let fields = section.node("match").map(|node| self.scope.condition(node));
        let line = section.node("when").map(|node| when::compile(&self.scope, node));
        match (fields, line) {
            (Some(fields), Some(line)) => Some(Condition::All([fields, line].into())),
            (fields, line) => fields.or(line),
        }
    }

    fn group(&self, section: &Section<'_>, node: &Node) -> Option<usize> {
        self.require(section, node, "group");
        let at = section.node("group")?;
        let name = section.text("group")?;
        let place = self.groups.iter().position(|group| group.name == name);
        if place.is_none() {
            let hint = match nearest(&name, self.groups.iter().map(|group| group.name.as_str())) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "declare its cap under `score.groups`".to_owned(),
            };
            self.faults.at(at, format!("unknown group `{name}`"), Some(hint));
        }
        place
    }

    fn cases(&self, section: &Section<'_>) -> Vec<Case> {
        section.list("cases").iter().filter_map(|node| self.case(node)).collect()
    }

    fn case(&self, node: &Node) -> Option<Case> {
        let expected = match &node.value {
            Value::Map(entries) => match entries.as_slice() {
                [(key, given)] if key.name == "hit" => Some((Expect::Hit, given)),
                [(key, given)] if key.name == "miss" => Some((Expect::Miss, given)),
                _ => None,
            },
            _ => None,
        };
        let Some((expect, given)) = expected else {
            self.faults.at(node, "a case is `hit: { … }` or `miss: { … }`", None);
            return None;
        };
        let entries = match &given.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                self.faults.at(given, format!("expected a map of facts, found {}", other.kind()), None);
                return None;
            }
        };
        let (path, line, column) = (self.path.to_owned(), node.line, node.column);
        let mut case = Case { path, line, column, expect, class: Class::Visit, band: Band::Human, given: Vec::new() };
        for (key, node) in entries {
            match (key.name.as_str(), &node.value) {
                ("band", Value::Text(name)) => case.band = self.band(node, name).unwrap_or_default(),
                ("class", Value::Text(name)) if Class::of_name(name).is_some() => case.class = Class::of_name(name)?,
                ("class", _) => self.faults.at(node, "unknown class", Some(format!("one of `{}`", CLASSES.join("`, `")))),
                _ => case.given.extend(self.scope.given(key, node)),
            }
        }
        Some(case)
    }
}
