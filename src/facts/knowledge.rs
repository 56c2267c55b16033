//! Everything facts are drawn from, loaded and checked once: lists of networks, ASN and country databases, robot
//! patterns. Promises: what loaded cannot fail later; all faults of a data folder are told at once.
//! Must not know requests or rules.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use rustc_hash::FxHashSet;

use crate::fact::Agent;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::facts::agent::Robots;
use crate::fault::Fault;
use crate::lists::Anonymity;
use crate::lists::ListSet;
use crate::lists::Mmdb;
use crate::lists::PrefixTable;
use crate::lists::SHIPPED;
use crate::lists::Shipped;
use crate::lists::parse_numbers;
use crate::lists::parse_prefixes;
use crate::lists::shipped;

/// Where data comes from, and how much of what was asked is remembered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A folder whose files replace the embedded ones of the same path, such as `tor/exits-ipv4.txt`.
    pub data: Option<PathBuf>,
    /// Agents remembered; a busy shop sees some 5,000 different ones a day, each about 0.5 KiB.
    pub agents: u64,
    /// Addresses remembered; each about 100 bytes.
    pub networks: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { data: None, agents: 10_000, networks: 100_000 }
    }
}

/// The kind that a folder of lists gives, in order of precedence.
const KINDS: [(&str, NetworkKind); 8] = [
    ("private-relay/", NetworkKind::PrivateRelay),
    ("corporate-gateways/", NetworkKind::Corporate),
    ("crawlers/", NetworkKind::Crawler),
    ("tor/", NetworkKind::Tor),
    ("vpn/", NetworkKind::Vpn),
    ("proxies/", NetworkKind::OpenProxy),
    ("cloud/", NetworkKind::Cloud),
    ("datacenter/", NetworkKind::Datacenter),
];

/// The identity whose published range a crawler list is.
const IDENTITIES: [(&str, &str); 27] = [
    ("facebook", "meta"),
    ("googlebot", "google"),
    ("google_special_crawlers", "google"),
    ("google_user_triggered_fetchers", "google"),
    ("bing", "bing"),
    ("applebot", "apple"),
    ("duckduckbot", "duckduckgo"),
    ("yandexbot", "yandex"),
    ("openai", "openai"),
    ("gptbot", "openai"),
    ("chatgpt_user", "openai"),
    ("oai_searchbot", "openai"),
    ("claudebot", "anthropic"),
    ("perplexity", "perplexity"),
    ("perplexity_user", "perplexity"),
    ("perplexitybot", "perplexity"),
    ("telegram", "telegram"),
    ("twitter", "x"),
    ("ahrefsbot", "ahrefs"),
    ("semrush", "semrush"),
    ("uptimerobot", "uptimerobot"),
    ("pingdom", "pingdom"),
    ("statuscake", "statuscake"),
    ("betterstack", "betterstack"),
    ("kagi", "kagi"),
    ("censys", "censys"),
    ("shodan", "shodan"),
];

/// Space that no visitor of a public site can have (RFC 6890 and the IANA special-purpose registries);
/// of IPv6 only `2000::/3` is allocated, and `64:ff9b::/96` translates.
const BOGONS: [&str; 25] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/10",
    "40::/10",
    "80::/9",
    "100::/8",
    "200::/7",
    "400::/6",
    "800::/5",
    "1000::/4",
    "2001:db8::/32",
    "3fff::/20",
    "4000::/2",
    "8000::/1",
];

/// Whether the published ranges of an identity are shipped.
pub(super) fn has_ranges(identity: &str) -> bool {
    IDENTITIES.iter().any(|(_, name)| *name == identity)
}

/// Everything facts are drawn from.
#[derive(Debug)]
pub struct Knowledge {
    table: PrefixTable,
    names: Vec<&'static str>,
    kinds: Vec<(ListSet, NetworkKind)>,
    identities: Vec<(u8, &'static str)>,
    bogons: PrefixTable,
    vpn: FxHashSet<u32>,
    datacenter: FxHashSet<u32>,
    carriers: FxHashSet<u32>,
    asn: Mmdb,
    country: Mmdb,
    /// The operator's own; none is shipped.
    anonymous: Option<Mmdb>,
    robots: Robots,
}

/// Where an operator's folder may hold a database of anonymous networks.
const ANONYMOUS: &str = "anonymous/anonymous-ip.mmdb";

impl Knowledge {
    /// Loads the embedded data, and in its place what the settings' folder has.
    ///
    /// # Errors
    /// All faults of the folder's files.
    pub fn load(settings: &Settings) -> Result<Self, Vec<Fault>> {
        let mut loader = Loader { settings, faults: Vec::new() };
        loader.check_folder();
        let (names, kinds, entries) = loader.networks();
        let [vpn, datacenter, carriers] =
            ["vpn/asn.txt", "datacenter/asn.txt", "carriers/asn.txt"].map(|path| loader.numbers(path));
        let asn = loader.database("asn/origin-asn.mmdb");
        let country = loader.database("country/user-country.mmdb");
        let anonymous = loader.optional(ANONYMOUS);
        let crawlers = loader.text("bot-ua/crawler-user-agents.json");
        let known = loader.text("bot-ua/well-known-bots.json");
        let robots = Robots::load(&crawlers, &known).map_err(|faults| loader.faults.extend(faults)).ok();
        let (Some(asn), Some(country), Some(robots), true) = (asn, country, robots, loader.faults.is_empty()) else {
            return Err(loader.faults);
        };
        let identities = (0_u8..)
            .zip(&names)
            .filter_map(|(place, name)| IDENTITIES.iter().find(|(list, _)| list == name).map(|(_, identity)| (place, *identity)))
            .collect();
        let bogons = PrefixTable::build(BOGONS.iter().filter_map(|text| text.parse().ok()).map(|network| (network, 0)));
        let table = PrefixTable::build(entries);
        Ok(Self { table, names, kinds, identities, bogons, vpn, datacenter, carriers, asn, country, anonymous, robots })
    }

    /// The names of all lists of networks, in the order of their places in [`Network::lists`].
    pub fn list_names(&self) -> &[&'static str] {
        &self.names
    }

    /// What is known of an address.
    pub fn network(&self, address: IpAddr) -> Network {
        let lists = self.table.lookup(address);
        let asn = self.asn.asn(address);
        Network {
            kind: self.kind(address, lists, asn),
            asn,
            country: self.country.country(address),
            lists,
            crawler: self.identities.iter().find(|(place, _)| lists.has(*place)).map(|(_, identity)| *identity),
        }
    }

    /// What a user agent says of itself.
    pub fn agent(&self, agent: &str) -> Agent {
        crate::facts::agent::read(&self.robots, agent)
    }

    fn kind(&self, address: IpAddr, lists: ListSet, asn: Option<u32>) -> NetworkKind {
        let bogon = self.bogons.lookup(address) != ListSet::default();
        let listed = self.kinds.iter().find(|(of_kind, _)| of_kind.0 & lists.0 != 0).map(|(_, kind)| *kind);
        let hidden = self.anonymous.as_ref().and_then(|database| hides(database.anonymity(address)));
        // Kinds stand in the order of their precedence.
        if let Some(kind) = listed.into_iter().chain(hidden).min() {
            // Published cloud feeds hold documentation networks (203.0.113.0/24); an operator may list private ones as an office.
            let by_provider = matches!(kind, NetworkKind::Cloud | NetworkKind::Datacenter);
            return if bogon && by_provider { NetworkKind::Bogon } else { kind };
        }
        let announced_by = |numbers: &FxHashSet<u32>| asn.is_some_and(|asn| numbers.contains(&asn));
        if announced_by(&self.vpn) {
            NetworkKind::Vpn
        } else if announced_by(&self.datacenter) {
            NetworkKind::Datacenter
        } else if bogon {
            NetworkKind::Bogon
        } else if announced_by(&self.carriers) {
            NetworkKind::MobileCarrier
        } else {
            NetworkKind::Unknown
        }
    }
}

/// The kind of a network that hides somebody.
fn hides(of: Anonymity) -> Option<NetworkKind> {
    if of.tor {
        Some(NetworkKind::Tor)
    } else if of.vpn {
        Some(NetworkKind::Vpn)
    } else if of.proxy {
        Some(NetworkKind::OpenProxy)
    } else {
        of.hosting.then_some(NetworkKind::Datacenter)
    }
}

/// The lists' names, the kinds they give, and all their networks.
type Networks = (Vec<&'static str>, Vec<(ListSet, NetworkKind)>, Vec<(IpNetwork, u8)>);

/// One file, the operator's or ours.
struct Content {
    name: String,
    bytes: Vec<u8>,
    is_ours: bool,
}

struct Loader<'a> {
    settings: &'a Settings,
    faults: Vec<Fault>,
}

impl Loader<'_> {
    fn check_folder(&mut self) {
        if let Some(folder) = self.settings.data.as_ref().filter(|folder| !folder.is_dir()) {
            let fault = Fault::of_file(&folder.display().to_string(), "no such folder");
            self.faults.push(fault.hint("create it, or leave the setting out to use the shipped data"));
        }
    }

    /// The embedded file and the name its faults are told under.
    fn embedded(&mut self, file: &'static Shipped) -> Content {
        let bytes = file.bytes().unwrap_or_else(|error| {
            let fault = Fault::of_file(file.path, format!("the program's own copy does not unpack: {error}"));
            self.faults.push(fault.hint("the binary is damaged; install it again"));
            Vec::new()
        });
        Content { name: file.path.to_owned(), bytes, is_ours: true }
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
            Ok(bytes) => Content { name, bytes, is_ours: false },
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                    self.faults.push(Fault::of_file(&name, format!("cannot be read: {error}")));
                }
                self.embedded(file)
            }
        }
    }

    fn networks(&mut self) -> Networks {
        let mut names: Vec<&'static str> = Vec::new();
        let mut kinds: Vec<(ListSet, NetworkKind)> = KINDS.iter().map(|(_, kind)| (ListSet::default(), *kind)).collect();
        let mut entries = Vec::new();
        for file in SHIPPED.iter().filter(|file| !file.path.ends_with("/asn.txt")) {
            let Some(rank) = KINDS.iter().position(|(folder, _)| file.path.starts_with(folder)) else { continue };
            if !names.contains(&file.list) {
                names.push(file.list);
            }
            let place = names.iter().position(|name| *name == file.list).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
            if let Some((lists, _)) = kinds.get_mut(rank) {
                *lists = lists.with(place);
            }
            let content = self.read(file);
            match parse_prefixes(&content.name, &content.bytes) {
                Ok(networks) => entries.extend(networks.into_iter().map(|network| (network, place))),
                Err(faults) => self.faults.extend(faults),
            }
        }
        (names, kinds, entries)
    }

    fn numbers(&mut self, path: &'static str) -> FxHashSet<u32> {
        let Some(file) = shipped(path) else { return FxHashSet::default() };
        let content = self.read(file);
        parse_numbers(&content.name, &content.bytes)
            .map_err(|faults| self.faults.extend(faults))
            .unwrap_or_default()
            .into_iter()
            .collect()
    }

    fn database(&mut self, path: &'static str) -> Option<Mmdb> {
        let Content { name, bytes, is_ours } = self.read(shipped(path)?);
        let loaded = if is_ours { Mmdb::embedded(&name, bytes) } else { Mmdb::load(&name, bytes) };
        loaded.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// A database that only an operator can have.
    fn optional(&mut self, path: &'static str) -> Option<Mmdb> {
        let path = self.settings.data.as_ref()?.join(path);
        let name = path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => Mmdb::load(&name, bytes).map_err(|fault| self.faults.push(fault)).ok(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => {
                self.faults.push(Fault::of_file(&name, format!("cannot be read: {error}")));
                None
            }
        }
    }

    fn text(&mut self, path: &'static str) -> (String, Vec<u8>) {
        shipped(path).map_or_else(
            || (path.to_owned(), b"[]".to_vec()),
            |file| {
                let content = self.read(file);
                (content.name, content.bytes)
            },
        )
    }
}

#[cfg(test)]
mod tests;
