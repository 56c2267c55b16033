//! Parts of a shop that are judged otherwise: by site, path and campaign. Of the scopes that a request falls into the
//! narrowest holds, and it alone: campaign before path before site, then the order of the file. Found without allocation,
//! and not looked for where a file has none. Must not know signals' conditions.

use std::sync::Arc;

use crate::fact::FactName;
use crate::fact::Value;
use crate::fault::nearest;
use crate::hosts;
use crate::hosts::Hosts;
use crate::rules::action;
use crate::rules::bands::Bands;
use crate::rules::click;
use crate::rules::condition::Source;
use crate::rules::condition::Subject;
use crate::rules::read::events;
use crate::rules::read_row::Reader;
use crate::rules::read_row::Stage;
use crate::rules::row::Certainty;
use crate::rules::row::Group;
use crate::rules::row::PROOF_FROM;
use crate::rules::row::Row;
use crate::rules::row::Signal;
use crate::verdict::Category;
use crate::verdict::ClickAction;
use crate::verdict::Decision;
use crate::verdict::PixelAction;
use crate::verdict::Reason;
use crate::verdict::Verdict;
use crate::yaml;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;

/// The most scopes; each is a look for each request.
const MOST: usize = 64;
/// The most names of one kind in a scope.
const MOST_NAMES: usize = 256;

/// What is judged otherwise in one part of a shop.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) id: Arc<str>,
    /// From 1 on, by which verdicts are told apart.
    pub(super) number: usize,
    /// It is past its date: nothing falls into it any more.
    disabled: bool,
    place: Place,
    pub(super) bands: Bands,
    /// The points of each signal here, by its place; `None` where it does not count. Empty where all is as elsewhere.
    points: Box<[Option<i16>]>,
    pub(super) click: Option<Vec<Row<ClickAction>>>,
    pub(super) pixel: Option<Vec<Row<PixelAction>>>,
    pub(super) events: Option<Vec<(String, Vec<Row<Decision>>)>>,
    /// What a verdict without other reasons holds here.
    pub(super) nothing: Arc<[Reason]>,
}

/// Where a scope holds: in all kinds it names, in one of the names of each.
#[derive(Debug, Default)]
struct Place {
    hosts: Hosts<()>,
    sites: Vec<String>,
    paths: Vec<String>,
    campaigns: Vec<String>,
}

impl Place {
    /// How narrow it is.
    fn weight(&self) -> u8 {
        u8::from(!self.sites.is_empty()) + 2 * u8::from(!self.paths.is_empty()) + 4 * u8::from(!self.campaigns.is_empty())
    }

    fn holds(&self, source: Source<'_>) -> bool {
        let text = |name: FactName, fits: &dyn Fn(&str) -> bool| match source.value(&Subject::Fact(name)) {
            Value::Text(text) => fits(text),
            _ => false,
        };
        (self.sites.is_empty() || text(FactName::HttpHost, &|host| self.hosts.find(host).is_some()))
            && (self.paths.is_empty() || text(FactName::HttpPath, &|path| self.paths.iter().any(|prefix| below(path, prefix))))
            && (self.campaigns.is_empty()
                || text(FactName::UtmCampaign, &|campaign| self.campaigns.iter().any(|name| name == campaign)))
    }

    /// Whether all that falls into `other` falls into this one too.
    fn covers(&self, other: &Self) -> bool {
        let sites = other.sites.iter().all(|site| self.sites.contains(site));
        let paths = other.paths.iter().all(|path| self.paths.iter().any(|prefix| below(path, prefix)));
        let campaigns = other.campaigns.iter().all(|name| self.campaigns.contains(name));
        self.weight() > 0 && self.weight() == other.weight() && sites && paths && campaigns
    }
}

/// Whether a path is the prefix or lies below it; `/sale` holds `/sale/shoes` and not `/sales`.
fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

impl Scope {
    /// The points of a signal; `None` where it does not count.
    pub(super) fn points(&self, signal: usize, otherwise: i16) -> Option<i16> {
        self.points.get(signal).map_or(Some(otherwise), |points| *points)
    }

    /// What a verdict names it by.
    pub(super) fn reason(&self) -> Reason {
        Reason { rule: Arc::clone(&self.id), points: 0, category: Category::Nothing }
    }
}

/// The scopes of a file, narrowest first.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<Scope>);

impl Scopes {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// The scope that a request falls into.
    pub(super) fn find(&self, source: Source<'_>) -> Option<&Scope> {
        self.0.iter().find(|scope| scope.place.holds(source))
    }

    /// The scope that a verdict was reached in: the verdict names it.
    pub(super) fn of(&self, verdict: &Verdict) -> Option<&Scope> {
        self.0.iter().find(|scope| verdict.reasons.iter().rev().any(|reason| reason.rule == scope.id))
    }
}

/// Reads `scopes:`.
pub(super) fn read(
    file: &Section<'_>,
    reader: &Reader<'_>,
    (signals, groups, bands): (&[Signal], &[Group], Bands),
    warnings: &Faults,
) -> Scopes {
    let items = file.list("scopes");
    if let (Some(node), true) = (file.node("scopes"), items.len() > MOST) {
        file.faults().at(node, format!("there are {} scopes, more than {MOST}", items.len()), None);
        return Scopes::default();
    }
    let mut scopes: Vec<Scope> = Vec::with_capacity(items.len());
    for node in items {
        let Some(scope) = one(node, reader, (signals, groups, bands), file.faults(), warnings) else { continue };
        if let Some(other) = scopes.iter().find(|other| other.place.covers(&scope.place)) {
            let hint = Some(format!("all that falls into it falls into `{}` above; put the narrower one first", other.id));
            file.faults().at(node, "this scope is never reached", hint);
        }
        scopes.push(scope);
    }
    scopes.retain(|scope| !scope.disabled);
    // Stable, so that of equally narrow ones the first of the file goes first.
    scopes.sort_by_key(|scope| std::cmp::Reverse(scope.place.weight()));
    scopes.iter_mut().zip(1..).for_each(|(scope, number)| scope.number = number);
    Scopes(scopes)
}

fn one(
    node: &Node,
    reader: &Reader<'_>,
    (signals, groups, bands): (&[Signal], &[Group], Bands),
    faults: &Faults,
    warnings: &Faults,
) -> Option<Scope> {
    let section = Section::of(node, faults);
    let (id, about) = reader.described(&section, node);
    let place = place(&section, faults);
    let bands = Bands::read(&section, bands);
    let points = points(&section, signals, groups);
    let policy = section.section("policy");
    let click = policy.node("click").map(|rows| reader.policy(Stage::Click, Some(rows), click::click));
    let pixel = policy.node("pixel").map(|rows| reader.policy(Stage::After, Some(rows), action::pixel));
    let events = policy.node("event").map(|_| events(&policy, reader, warnings));
    policy.finish();
    section.finish();
    if place.weight() == 0 {
        let hint = Some("give it `site`, `path` or `campaign`".to_owned());
        faults.at(node, "the scope does not say where it holds", hint);
    }
    let keys = ["sensitivity", "bands", "points", "disable", "policy"];
    if keys.iter().all(|key| section.node(key).is_none()) {
        let hint = Some("it knows `sensitivity`, `bands`, `points`, `disable` and `policy`".to_owned());
        faults.at(node, "the scope changes nothing", hint);
    }
    let (number, disabled, nothing) = (0, about.disabled, Arc::from([]));
    let mut scope = Scope { id: id?, number, disabled, place, bands, points, click, pixel, events, nothing };
    scope.nothing = Arc::from([scope.reason()]);
    Some(scope)
}

fn place(section: &Section<'_>, faults: &Faults) -> Place {
    let is_path = |text: &str| text.starts_with('/') && !text.contains(['?', '#', '*']);
    let mut place = Place {
        hosts: Hosts::default(),
        sites: names(section, "site", "a host such as `shop.example` or `*.shop.example`", hosts::pattern, faults),
        paths: names(
            section,
            "path",
            "the beginning of a path, such as `/sale/`",
            |text| is_path(text).then(|| text.to_owned()),
            faults,
        ),
        campaigns: names(section, "campaign", "a `utm_campaign`", |text| (!text.is_empty()).then(|| text.to_owned()), faults),
    };
    for site in &place.sites {
        place.hosts.insert(site, ());
    }
    place
}

fn names(
    section: &Section<'_>,
    key: &'static str,
    expected: &str,
    read: impl Fn(&str) -> Option<String>,
    faults: &Faults,
) -> Vec<String> {
    let items = match section.node(key) {
        // One name needs no list.
        Some(node @ Node { value: yaml::Value::Text(_) | yaml::Value::Number(_), .. }) => std::slice::from_ref(node),
        _ => section.list(key),
    };
    if let (Some(node), true) = (section.node(key), items.is_empty() || items.len() > MOST_NAMES) {
        faults.at(node, format!("`{key}` takes 1 to {MOST_NAMES} names"), None);
    }
    let mut names = Vec::with_capacity(items.len());
    for node in items {
        let text = match &node.value {
            yaml::Value::Text(text) => text.clone(),
            yaml::Value::Number(number) => number.to_string(),
            other => {
                faults.at(node, format!("expected text, found {}", other.kind()), None);
                continue;
            }
        };
        match read(&text) {
            Some(name) => names.push(name),
            None => faults.at(node, format!("`{text}` is not {expected}"), None),
        }
    }
    names
}

/// The points of all signals under `points:` and `disable:`.
fn points(section: &Section<'_>, signals: &[Signal], groups: &[Group]) -> Box<[Option<i16>]> {
    let faults = section.faults();
    let mut points: Box<[Option<i16>]> = signals.iter().map(|signal| Some(signal.points)).collect();
    let place = |name: &str, fault: &dyn Fn(String, Option<String>)| {
        let place = signals.iter().position(|signal| *signal.id == *name);
        if place.is_none() {
            let hint = nearest(name, signals.iter().map(|signal| &*signal.id)).map(|name| format!("did you mean `{name}`?"));
            fault(format!("there is no signal `{name}`"), hint);
        }
        place
    };
    let given = match section.node("points").map(|node| (&node.value, node)) {
        Some((yaml::Value::Map(entries), _)) => entries.as_slice(),
        Some((other, node)) => {
            let hint = Some("write `points: { signal-id: 10 }`".to_owned());
            faults.at(node, format!("`points` must be a map of signals, found {}", other.kind()), hint);
            &[]
        }
        None => &[],
    };
    for (key, node) in given {
        let Some(at) = place(&key.name, &|message, hint| faults.at_key(key, message, hint)) else { continue };
        let Some(signal) = signals.get(at) else { continue };
        if let (Some(number), Some(own)) = (weighed(node, signal, groups, faults), points.get_mut(at)) {
            *own = Some(number);
        }
    }
    for node in section.list("disable") {
        let yaml::Value::Text(name) = &node.value else {
            faults.at(node, format!("expected a signal's id, found {}", node.value.kind()), None);
            continue;
        };
        if let Some(own) = place(name, &|message, hint| faults.at(node, message, hint)).and_then(|at| points.get_mut(at)) {
            *own = None;
        }
    }
    let changed = section.node("points").is_some() || section.node("disable").is_some();
    if changed { points } else { Box::default() }
}

/// Points that suit the signal they are given to.
fn weighed(node: &Node, signal: &Signal, groups: &[Group], faults: &Faults) -> Option<i16> {
    let points = match node.value {
        yaml::Value::Number(number) if (-100..=100).contains(&number) => i16::try_from(number).ok()?,
        _ => {
            faults.at(node, "points are a whole number from -100 to 100", None);
            return None;
        }
    };
    if points >= PROOF_FROM && signal.certainty != Certainty::Proof {
        faults.at(node, format!("{points} points for what is only probable"), None);
    }
    if points > 0 && groups.get(signal.group).is_some_and(|group| group.cap < 0) {
        faults.at(node, "a group with a negative cap takes negative points only", None);
    }
    Some(points)
}
