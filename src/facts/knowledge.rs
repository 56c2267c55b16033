//! Everything facts are drawn from, loaded and checked once: lists of networks, ASN and country databases, robot
//! patterns. Promises: what loaded cannot fail later; all faults of a data folder are told at once.
//! Must not know requests or rules.

use std::net::IpAddr;
use std::path::PathBuf;

use rustc_hash::FxHashSet;

use crate::clock::UnixMillis;
use crate::fact::Aged;
use crate::fact::Agent;
use crate::fact::AsWords;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::facts::agent::Reader;
use crate::facts::given::About;
use crate::facts::given::Given;
use crate::facts::given::Kinds;
use crate::facts::load::Loader;
use crate::fault::Fault;
use crate::lists::Anonymity;
use crate::lists::ListSet;
use crate::lists::Mmdb;
use crate::lists::PrefixTable;
use crate::lists::Record;

/// Where data comes from, and how much of what was asked is remembered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A folder whose files replace the embedded ones of the same path, such as `tor/exits-ipv4.txt`.
    pub data: Option<PathBuf>,
    /// Agents remembered; a busy shop sees some 5,000 different ones a day, each about 0.5 KiB.
    pub agents: u64,
    /// Addresses remembered; each about 100 bytes.
    pub networks: u64,
    /// Whether somebody answers which names stand behind addresses.
    pub names: bool,
    /// Lists of the operator's, which take the place of shipped ones of the same name.
    pub lists: Vec<Given>,
    /// The time by which lists are old; at the epoch none is.
    pub now: UnixMillis,
}

impl Default for Settings {
    fn default() -> Self {
        Self { data: None, agents: 10_000, networks: 100_000, names: false, lists: Vec::new(), now: UnixMillis(0) }
    }
}

/// The kind that a folder of lists gives, in order of precedence.
pub(super) const KINDS: [(&str, NetworkKind); 8] = [
    ("private-relay/", NetworkKind::PrivateRelay),
    ("corporate-gateways/", NetworkKind::Corporate),
    ("crawlers/", NetworkKind::Crawler),
    ("tor/", NetworkKind::Tor),
    ("vpn/", NetworkKind::Vpn),
    ("proxies/", NetworkKind::OpenProxy),
    ("cloud/", NetworkKind::Cloud),
    ("datacenter/", NetworkKind::Datacenter),
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

/// Everything facts are drawn from.
#[derive(Debug)]
pub struct Knowledge {
    table: PrefixTable,
    names: Vec<String>,
    kinds: Kinds,
    identities: Vec<(u8, &'static str)>,
    /// The ranges that no list of `guarded` may hold.
    protected: ListSet,
    guarded: ListSet,
    /// Lists past their age, and the identities whose ranges these are.
    stale: ListSet,
    aged: Aged,
    about: Vec<About>,
    bogons: PrefixTable,
    vpn: FxHashSet<u32>,
    datacenter: FxHashSet<u32>,
    carriers: FxHashSet<u32>,
    asn: Mmdb,
    country: Mmdb,
    /// The operator's own; none is shipped.
    anonymous: Option<Mmdb>,
    /// The operator's own; none is shipped.
    connection: Option<Mmdb>,
    agents: Reader,
}

/// Where an operator's folder may hold a database of anonymous networks.
const ANONYMOUS: &str = "anonymous/anonymous-ip.mmdb";
/// The same of how people are connected.
const CONNECTION: &str = "connection/connection-type.mmdb";

impl Knowledge {
    /// Loads the embedded data, and in its place what the settings' folder has.
    ///
    /// # Errors
    /// All faults of the folder's files.
    pub fn load(settings: &Settings) -> Result<Self, Vec<Fault>> {
        let mut loader = Loader::new(settings);
        let networks = loader.networks();
        let vpn = loader.numbers("vpn/asn.txt", NetworkKind::Vpn);
        let datacenter = loader.numbers("datacenter/asn.txt", NetworkKind::Datacenter);
        let carriers = loader.numbers("carriers/asn.txt", NetworkKind::MobileCarrier);
        let asn = loader.database("asn/origin-asn.mmdb");
        let country = loader.database("country/user-country.mmdb");
        let anonymous = loader.optional("anonymous", ANONYMOUS);
        let connection = loader.optional("connection_type", CONNECTION);
        let crawlers = loader.text("bot-ua/crawler-user-agents.json");
        let known = loader.text("bot-ua/well-known-bots.json");
        let agents = Reader::load(&crawlers, &known).map_err(|faults| loader.faults.extend(faults)).ok();
        let (Some(asn), Some(country), Some(agents), true) = (asn, country, agents, loader.faults.is_empty()) else {
            return Err(loader.faults);
        };
        let bogons = PrefixTable::build(BOGONS.iter().filter_map(|text| text.parse().ok()).map(|network| (network, 0)));
        Ok(Self {
            table: PrefixTable::build(networks.entries),
            names: networks.names,
            kinds: networks.kinds,
            aged: networks
                .identities
                .iter()
                .filter(|(place, _)| networks.stale.has(*place))
                .fold(Aged::default(), |aged, of| aged.with(of.1)),
            identities: networks.identities,
            protected: networks.protected,
            guarded: networks.guarded,
            stale: networks.stale,
            about: loader.about,
            bogons,
            vpn,
            datacenter,
            carriers,
            asn,
            country,
            anonymous,
            connection,
            agents,
        })
    }

    /// The names of all lists of networks, in the order of their places in [`Network::lists`].
    pub fn list_names(&self) -> &[String] {
        &self.names
    }

    /// What is told of each list.
    pub fn about(&self) -> &[About] {
        &self.about
    }

    /// The kinds that lists of numbers give a network.
    pub fn kinds_of(&self, asn: u32) -> Vec<NetworkKind> {
        let kinds = [
            (&self.vpn, NetworkKind::Vpn),
            (&self.datacenter, NetworkKind::Datacenter),
            (&self.carriers, NetworkKind::MobileCarrier),
        ];
        kinds.into_iter().filter(|(numbers, _)| numbers.contains(&asn)).map(|(_, kind)| kind).collect()
    }

    /// Who announces an address, where the database has names.
    pub fn organisation(&self, address: IpAddr) -> Option<&str> {
        self.asn.organisation(address)
    }

    /// When the next list grows too old.
    pub fn holds_until(&self) -> Option<UnixMillis> {
        self.about.iter().filter(|about| !about.stale).filter_map(|about| about.holds_until).min()
    }

    /// Whether a list is older than what came `since`, or past its age `by` then.
    pub fn is_behind(&self, list: &str, since: UnixMillis, by: UnixMillis) -> bool {
        let about = self.about.iter().find(|about| about.name == list);
        about.is_none_or(|about| about.as_of < since || about.stale || about.holds_until.is_some_and(|until| until < by))
    }

    /// What is known of an address.
    pub fn network(&self, address: IpAddr) -> Network {
        let mut lists = self.table.lookup(address);
        if lists.0 & self.protected.0 != 0 {
            lists = ListSet(lists.0 & !self.guarded.0);
        }
        let announced = self.asn.record(address);
        let asn = announced.as_ref().and_then(Record::asn);
        let (kind, by) = self.kind(address, lists, asn);
        let fresh = ListSet(lists.0 & !self.stale.0);
        let crawler = || self.identities.iter().find(|(place, _)| fresh.has(*place)).map(|(_, identity)| *identity);
        let network = Network {
            kind,
            asn,
            country: self.country.country(address),
            lists,
            crawler: if fresh == ListSet::default() { None } else { crawler() },
            stale: by != ListSet::default() && by.0 & !self.stale.0 == 0,
            aged: Aged::default(),
            words: None,
        };
        // Where nothing is known of the address, old ranges are no knowledge either.
        if network == Network::default() {
            return network;
        }
        let unknown = announced.as_ref().filter(|_| kind == NetworkKind::Unknown);
        let name = unknown.and_then(Record::organisation);
        Network { aged: self.aged, words: name.map(AsWords::of), ..network }
    }

    /// What a user agent says of itself.
    pub fn agent(&self, agent: &str) -> Agent {
        self.agents.read(agent)
    }

    /// The kind of an address, and the lists that give it.
    fn kind(&self, address: IpAddr, lists: ListSet, asn: Option<u32>) -> (NetworkKind, ListSet) {
        let none = ListSet::default();
        let bogon = || self.bogons.lookup(address) != none;
        let hidden = self.anonymous.as_ref().and_then(|database| hides(database.anonymity(address)));
        let hidden = hidden.map(|kind| (kind, none));
        // Kinds stand in the order of their precedence; of two sources of one kind the one that does not age is meant.
        if let Some((kind, by)) = hidden.into_iter().chain(self.kinds.of(lists)).min_by_key(|(kind, _)| *kind) {
            // Published cloud feeds hold documentation networks (203.0.113.0/24); an operator may list private ones as an office.
            let by_provider = matches!(kind, NetworkKind::Cloud | NetworkKind::Datacenter);
            return if by_provider && bogon() { (NetworkKind::Bogon, none) } else { (kind, by) };
        }
        let announced_by = |numbers: &FxHashSet<u32>| asn.is_some_and(|asn| numbers.contains(&asn));
        let kind = if announced_by(&self.vpn) {
            NetworkKind::Vpn
        } else if announced_by(&self.datacenter) {
            NetworkKind::Datacenter
        } else if bogon() {
            NetworkKind::Bogon
        } else if announced_by(&self.carriers) {
            NetworkKind::MobileCarrier
        } else {
            self.connection.as_ref().and_then(|database| connected(database.connection(address)?)).unwrap_or(NetworkKind::Unknown)
        };
        (kind, none)
    }
}

/// The kind that a way of being connected tells (`GeoIP2` Connection-Type); offices and satellites tell none.
fn connected(how: &str) -> Option<NetworkKind> {
    match how {
        "Cellular" => Some(NetworkKind::MobileCarrier),
        "Cable/DSL" | "Dialup" => Some(NetworkKind::Residential),
        _ => None,
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

#[cfg(test)]
mod tests;
