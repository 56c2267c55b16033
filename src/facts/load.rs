//! Loads each file of the knowledge: the operator's configured list, else the file of the data folder, else the embedded one; and
//! notes of what age it is. Promises: all faults at once. Must not know how facts are drawn from it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use ipnetwork::IpNetwork;
use rustc_hash::FxHashSet;

use crate::clock::UnixMillis;
use crate::fact::NetworkKind;
use crate::facts::given::About;
use crate::facts::given::Entries;
use crate::facts::given::Given;
use crate::facts::given::Kinds;
use crate::facts::given::Role;
use crate::facts::identities::of_list;
use crate::facts::knowledge::KINDS;
use crate::facts::knowledge::Settings;
use crate::fault::Fault;
use crate::lists::ListSet;
use crate::lists::Mmdb;
use crate::lists::Ranges;
use crate::lists::SHIPPED;
use crate::lists::Shipped;
use crate::lists::parse_numbers;
use crate::lists::parse_prefixes;
use crate::lists::shipped;

const DAY: Duration = Duration::from_hours(24);
/// Lists of networks that one table holds.
const MOST: usize = 64;
/// Entries against protected addresses that are named.
const EXAMPLES: usize = 20;

/// All lists of networks.
#[derive(Default)]
pub(super) struct Networks {
    pub(super) names: Vec<String>,
    pub(super) kinds: Kinds,
    pub(super) identities: Vec<(u8, &'static str)>,
    pub(super) entries: Vec<(IpNetwork, u8)>,
    pub(super) protected: ListSet,
    pub(super) guarded: ListSet,
    pub(super) stale: ListSet,
}

/// One file, the operator's or ours.
struct Content {
    name: String,
    bytes: Vec<u8>,
    is_ours: bool,
    as_of: UnixMillis,
}

pub(super) struct Loader<'a> {
    settings: &'a Settings,
    pub(super) faults: Vec<Fault>,
    pub(super) about: Vec<About>,
}

impl<'a> Loader<'a> {
    /// A loader that has looked whether the data folder is there.
    pub(super) fn new(settings: &'a Settings) -> Self {
        let missing = settings.data.as_ref().filter(|folder| !folder.is_dir()).map(|folder| {
            let fault = Fault::of_file(&folder.display().to_string(), "no such folder");
            fault.hint("create it, or leave the setting out to use the shipped data")
        });
        Self { settings, faults: missing.into_iter().collect(), about: Vec::new() }
    }

    /// The embedded file and the name its faults are told under.
    fn embedded(&mut self, file: &'static Shipped) -> Content {
        let bytes = file.bytes().unwrap_or_else(|error| {
            let fault = Fault::of_file(file.path, format!("the program's own copy does not unpack: {error}"));
            self.faults.push(fault.hint("the binary is damaged; install it again"));
            Vec::new()
        });
        Content { name: file.path.to_owned(), bytes, is_ours: true, as_of: taken_on(file.date) }
    }

    /// The operator's file, else the embedded one.
    fn read(&mut self, file: &'static Shipped) -> Content {
        let Some(path) = self.settings.data.as_ref().map(|folder| folder.join(file.path)) else {
            return self.embedded(file);
        };
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) if bytes.is_empty() => {
                let fault = Fault::of_file(&name, "the file is empty");
                self.faults.push(fault.hint("remove it to use the shipped list; a comment line makes an empty list"));
                self.embedded(file)
            }
            Ok(bytes) => Content { name, bytes, is_ours: false, as_of: written(&path) },
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                    self.faults.push(Fault::of_file(&name, format!("cannot be read: {error}")));
                }
                self.embedded(file)
            }
        }
    }

    fn given(&self, name: &str) -> Option<&'a Given> {
        self.settings.lists.iter().find(|given| given.name == name)
    }

    /// All lists of networks: shipped ones, and those of the operator's in their place or beside them.
    pub(super) fn networks(&mut self) -> Networks {
        let mut all = Networks::default();
        for file in SHIPPED.iter().filter(|file| !file.path.ends_with("/asn.txt")) {
            let Some((_, kind)) = KINDS.iter().find(|(folder, _)| file.path.starts_with(folder)) else { continue };
            if self.given(file.list).is_some() {
                continue;
            }
            let content = self.read(file);
            let networks =
                parse_prefixes(&content.name, &content.bytes).map_err(|faults| self.faults.extend(faults)).unwrap_or_default();
            let identity = of_list(file.list);
            let about = self.about_shipped(file, *kind, identity, networks.len(), &content);
            self.take(&mut all, about, &networks);
        }
        let settings = self.settings;
        for given in &settings.lists {
            if let Entries::Networks(networks) = &*given.entries {
                let about = self.about_given(given);
                self.take(&mut all, about, networks);
            }
        }
        self.compare(&mut all);
        all
    }

    /// Puts a list, or a further file of one, among the others.
    fn take(&mut self, all: &mut Networks, about: About, networks: &[IpNetwork]) {
        let at = all.names.iter().position(|name| *name == about.name);
        let Some(place) = u8::try_from(at.unwrap_or(all.names.len())).ok().filter(|place| usize::from(*place) < MOST) else {
            let fault = Fault::of_file("lists", format!("`{}` is one list of networks too many: {MOST} at most", about.name));
            self.faults
                .push(fault.hint("put several sources of one kind into one file, or give the list the name of a shipped one"));
            return;
        };
        if at.is_none() {
            all.names.push(about.name.clone());
        }
        match about.role {
            Role::Kind(kind) => all.kinds.add(kind, place),
            Role::Identity(identity) => {
                all.kinds.add(NetworkKind::Crawler, place);
                if !all.identities.contains(&(place, identity)) {
                    all.identities.push((place, identity));
                }
            }
            Role::Plain => {}
        }
        if about.stale {
            all.stale = all.stale.with(place);
        }
        if about.protected {
            all.protected = all.protected.with(place);
        }
        if !about.disabled {
            all.entries.extend(networks.iter().map(|network| (*network, place)));
        }
        match self.about.iter_mut().find(|known| known.name == about.name) {
            // IPv4 and IPv6 come in files of their own.
            Some(known) => {
                known.entries += about.entries;
                known.as_of = known.as_of.min(about.as_of);
            }
            None => self.about.push(About { place: Some(place), ..about }),
        }
    }

    /// Finds the entries of configured lists that meet protected addresses.
    fn compare(&mut self, all: &mut Networks) {
        let settings = self.settings;
        let of = |entry: &&(IpNetwork, u8)| all.protected.has(entry.1);
        let protected = Ranges::of(all.entries.iter().filter(of).map(|(network, _)| network));
        for given in settings.lists.iter().filter(|given| !given.protected) {
            let Entries::Networks(networks) = &*given.entries else { continue };
            let Some(about) = self.about.iter_mut().find(|about| about.name == given.name) else { continue };
            all.guarded = about.place.map_or(all.guarded, |place| all.guarded.with(place));
            let against = networks.iter().filter(|network| protected.meet(network));
            about.examples = against.clone().take(EXAMPLES).copied().collect();
            about.against_protected = against.count();
        }
    }

    /// The numbers of one kind: a file's, and those of configured lists of that kind.
    pub(super) fn numbers(&mut self, path: &'static str, kind: NetworkKind) -> FxHashSet<u32> {
        let mut all = FxHashSet::default();
        if let Some(file) = shipped(path).filter(|file| self.given(file.list).is_none()) {
            let content = self.read(file);
            let numbers = parse_numbers(&content.name, &content.bytes);
            let numbers = numbers.map_err(|faults| self.faults.extend(faults)).unwrap_or_default();
            let about = self.about_shipped(file, kind, None, numbers.len(), &content);
            self.about.push(about);
            all.extend(numbers);
        }
        let settings = self.settings;
        for given in settings.lists.iter().filter(|given| given.role == Role::Kind(kind)) {
            if let Entries::Numbers(numbers) = &*given.entries {
                let about = self.about_given(given);
                if !about.disabled {
                    all.extend(numbers);
                }
                self.about.push(about);
            }
        }
        all
    }

    pub(super) fn database(&mut self, path: &'static str) -> Option<Mmdb> {
        let file = shipped(path)?;
        if let Some(given) = self.given(file.list) {
            return self.given_database(given);
        }
        let content = self.read(file);
        let about = self.about_shipped(file, NetworkKind::Unknown, None, 1, &content);
        self.about.push(About { role: Role::Plain, ..about });
        let Content { name, bytes, is_ours, .. } = content;
        let loaded = if is_ours { Mmdb::embedded(&name, bytes) } else { Mmdb::load(&name, bytes) };
        loaded.map_err(|fault| self.faults.push(fault)).ok()
    }

    fn given_database(&mut self, given: &Given) -> Option<Mmdb> {
        let Entries::Database(bytes) = &*given.entries else { return None };
        let about = self.about_given(given);
        self.about.push(about);
        // Its tree was walked when it was taken.
        Mmdb::embedded(&given.source, bytes.clone()).map_err(|fault| self.faults.push(fault)).ok()
    }

    /// A database that only an operator can have.
    pub(super) fn optional(&mut self, name: &str, path: &'static str) -> Option<Mmdb> {
        if let Some(given) = self.given(name) {
            return self.given_database(given);
        }
        let path: PathBuf = self.settings.data.as_ref()?.join(path);
        let shown = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => Mmdb::load(&shown, bytes).map_err(|fault| self.faults.push(fault)).ok(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => {
                self.faults.push(Fault::of_file(&shown, format!("cannot be read: {error}")));
                None
            }
        }
    }

    pub(super) fn text(&mut self, path: &'static str) -> (String, Vec<u8>) {
        shipped(path).map_or_else(
            || (path.to_owned(), b"[]".to_vec()),
            |file| {
                let content = self.read(file);
                (content.name, content.bytes)
            },
        )
    }

    fn about_shipped(
        &self,
        file: &'static Shipped,
        kind: NetworkKind,
        identity: Option<&'static str>,
        entries: usize,
        content: &Content,
    ) -> About {
        // Crawlers move slowly, exits and open proxies come and go.
        let hold = match kind {
            NetworkKind::Crawler => Some(365 * DAY),
            NetworkKind::Tor | NetworkKind::OpenProxy => Some(180 * DAY),
            _ => None,
        };
        let holds_until = hold.map(|hold| content.as_of.plus(hold));
        About {
            name: file.list.to_owned(),
            role: identity.map_or(Role::Kind(kind), Role::Identity),
            entries,
            as_of: content.as_of,
            holds_until,
            stale: holds_until.is_some_and(|until| until < self.settings.now),
            disabled: false,
            protected: identity.is_some(),
            source: if content.is_ours { "shipped".to_owned() } else { content.name.clone() },
            against_protected: 0,
            examples: Vec::new(),
            place: None,
        }
    }

    fn about_given(&self, given: &Given) -> About {
        let holds_until = given.as_of.plus(given.max_age);
        let stale = holds_until < self.settings.now;
        About {
            name: given.name.clone(),
            role: given.role,
            entries: given.entries.len(),
            as_of: given.as_of,
            holds_until: Some(holds_until),
            stale,
            disabled: stale && given.disable_when_stale,
            protected: given.protected,
            source: given.source.clone(),
            against_protected: 0,
            examples: Vec::new(),
            place: None,
        }
    }
}

/// What the shipped list of networks of that name says.
pub fn role_of_shipped(name: &str) -> Option<Role> {
    let file = SHIPPED.iter().find(|file| file.list == name)?;
    let (_, kind) = KINDS.iter().find(|(folder, _)| file.path.starts_with(folder))?;
    Some(of_list(name).map_or(Role::Kind(*kind), Role::Identity))
}

/// The moment of a snapshot's date.
fn taken_on(date: &str) -> UnixMillis {
    let moment = date.parse::<jiff::civil::Date>().ok().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    UnixMillis(moment.and_then(|moment| u64::try_from(moment.timestamp().as_millisecond()).ok()).unwrap_or(0))
}

/// When a file was written; where the system does not say, it does not age.
fn written(path: &std::path::Path) -> UnixMillis {
    let since = std::fs::metadata(path).and_then(|file| file.modified()).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    UnixMillis(since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(u64::MAX))
}
