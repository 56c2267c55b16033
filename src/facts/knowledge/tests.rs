//! Networks by precedence, identities, and folders that replace shipped lists.

use super::*;
use crate::fact::AgentKind;
use crate::fact::Identity;
use crate::facts::Entries;
use crate::facts::Role;
use crate::facts::Sources;
use crate::facts::identities::of_list;
use crate::facts::identity;
use crate::lists::SHIPPED;
use crate::lists::parse_numbers;
use crate::lists::parse_prefixes;
use crate::lists::shipped;
use ipnetwork::IpNetwork;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

static SHIPPED_DATA: LazyLock<Knowledge> = LazyLock::new(|| Knowledge::load(&Settings::default()).unwrap());

fn first(path: &str) -> IpAddr {
    parse_prefixes(path, &shipped(path).unwrap().bytes().unwrap()).unwrap()[0].network()
}

fn network(address: &str) -> Network {
    SHIPPED_DATA.network(address.parse().unwrap())
}

fn with_files(files: &[(&str, &[u8])]) -> Result<Knowledge, Vec<Fault>> {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    Knowledge::load(&Settings { data: Some(folder.path().to_owned()), ..Settings::default() })
}

#[test]
fn carriers_are_many_each_with_its_name_once_and_nobody_elses() {
    let numbers = |path: &str| parse_numbers(path, &shipped(path).unwrap().bytes().unwrap()).unwrap();
    let carriers = numbers("carriers/asn.txt");
    assert!(carriers.len() >= 150 && carriers.is_sorted_by(|one, next| one < next), "{}", carriers.len());
    let text = shipped("carriers/asn.txt").unwrap().bytes().unwrap();
    let rows = std::str::from_utf8(&text).unwrap().lines().filter(|line| !line.starts_with('#'));
    assert!(rows.clone().all(|row| row.split_once(" # ").is_some_and(|(_, name)| name.len() > 2)));
    assert_eq!(rows.count(), carriers.len());
    for path in ["vpn/asn.txt", "datacenter/asn.txt"] {
        let others = numbers(path);
        let both: Vec<_> = carriers.iter().filter(|number| others.contains(number)).collect();
        assert!(both.is_empty(), "{path}: {both:?}");
    }
}

#[test]
fn addresses_have_the_kind_of_their_list() {
    for (path, kind) in [
        ("private-relay/ipv4.txt", NetworkKind::PrivateRelay),
        ("private-relay/ipv6.txt", NetworkKind::PrivateRelay),
        ("corporate-gateways/zscaler.txt", NetworkKind::Corporate),
        ("crawlers/facebook.txt", NetworkKind::Crawler),
        ("crawlers/googlebot.txt", NetworkKind::Crawler),
        ("tor/exits-ipv4.txt", NetworkKind::Tor),
        ("tor/exits-ipv6.txt", NetworkKind::Tor),
        ("vpn/ipv4.txt", NetworkKind::Vpn),
        ("proxies/ips.txt", NetworkKind::OpenProxy),
        ("cloud/amazon-ipv4.txt", NetworkKind::Cloud),
        ("datacenter/ipv4.txt", NetworkKind::Datacenter),
    ] {
        assert_eq!(SHIPPED_DATA.network(first(path)).kind, kind, "{path}");
    }
}

#[test]
fn of_several_lists_the_one_that_keeps_customers_decides() {
    let crawler = network("66.249.66.1");
    assert_eq!((crawler.kind, crawler.crawler), (NetworkKind::Crawler, Some("google")));
    let names: Vec<&str> = crawler.lists.places().map(|place| SHIPPED_DATA.list_names()[usize::from(place)].as_str()).collect();
    assert!(names.contains(&"googlebot") && names.contains(&"google"), "{names:?}");
    for network in parse_prefixes("a", &shipped("private-relay/ipv6.txt").unwrap().bytes().unwrap()).unwrap().iter().step_by(97) {
        assert_eq!(SHIPPED_DATA.network(network.network()).kind, NetworkKind::PrivateRelay, "{network}");
    }
}

#[test]
fn addresses_on_no_list_have_a_kind_by_their_announcer_or_none() {
    assert_eq!(network("172.56.0.1").kind, NetworkKind::MobileCarrier);
    for address in
        ["10.1.2.3", "127.0.0.1", "192.168.1.1", "203.0.113.9", "100.64.0.1", "::1", "fe80::1", "fd00::1", "2001:db8::1"]
    {
        assert_eq!(network(address).kind, NetworkKind::Bogon, "{address}");
    }
    assert_eq!(network("::ffff:10.1.2.3").kind, NetworkKind::Bogon);
    let home = network("217.0.0.1");
    assert_eq!((home.kind, home.asn, home.country), (NetworkKind::Unknown, Some(3_320), Some(*b"DE")));
}

#[test]
fn every_crawler_list_has_an_identity_that_rules_know() {
    let lists: Vec<&str> = SHIPPED.iter().filter(|file| file.path.starts_with("crawlers/")).map(|file| file.list).collect();
    for list in lists {
        let identity = of_list(list).unwrap();
        assert!(crate::fact::identity_names().contains(&identity), "{identity}");
    }
    assert!(SHIPPED_DATA.list_names().len() <= 64);
    assert!(BOGONS.iter().all(|text| text.parse::<IpNetwork>().is_ok()));
}

#[test]
fn a_fetcher_is_verified_from_its_range_and_an_impostor_elsewhere() {
    let agent = SHIPPED_DATA.agent("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)");
    assert_eq!(identity(&network("31.13.24.5"), &agent), Identity::Verified("meta"));
    assert_eq!(identity(&network("217.0.0.1"), &agent), Identity::Impostor("meta"));
    assert_eq!(identity(&Network::default(), &agent), Identity::Unverifiable);
    let pin = SHIPPED_DATA.agent("Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)");
    assert_eq!(identity(&network("217.0.0.1"), &pin), Identity::Unverifiable);
    assert_eq!(identity(&network("31.13.24.5"), &Agent::default()), Identity::None);
}

#[test]
fn files_of_a_data_folder_replace_the_shipped_ones() {
    let knowledge = with_files(&[("tor/exits-ipv4.txt", b"217.0.0.1\n")]).unwrap();
    assert_eq!(knowledge.network("217.0.0.1".parse().unwrap()).kind, NetworkKind::Tor);
    assert_eq!(knowledge.network("66.249.66.1".parse().unwrap()).kind, NetworkKind::Crawler);
}

#[test]
fn an_operators_database_of_anonymous_networks_gives_kinds_but_not_to_people_who_share_an_address() {
    let database = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/mmdb/GeoIP2-Anonymous-IP-Test.mmdb"));
    let knowledge = with_files(&[("anonymous/anonymous-ip.mmdb", database), ("private-relay/ipv4.txt", b"65.0.0.1\n")]).unwrap();
    let kind = |address: &str| knowledge.network(address.parse().unwrap()).kind;
    assert_eq!((kind("1.2.0.1"), kind("65.0.0.2")), (NetworkKind::Vpn, NetworkKind::Tor));
    assert_eq!((kind("186.30.236.1"), kind("71.160.223.1")), (NetworkKind::OpenProxy, NetworkKind::Datacenter));
    assert_eq!(kind("65.0.0.1"), NetworkKind::PrivateRelay);
    let fault = with_files(&[("anonymous/anonymous-ip.mmdb", &database[..2_000])]).unwrap_err().remove(0);
    assert!(fault.path.ends_with("anonymous/anonymous-ip.mmdb"), "{fault}");
}

#[test]
fn all_faults_of_a_data_folder_are_told_together() {
    let faults = with_files(&[
        ("tor/exits-ipv4.txt", b"nonsense\n"),
        ("vpn/asn.txt", b"<html>"),
        ("vpn/ipv4.txt", b""),
        ("asn/origin-asn.mmdb", b"cut"),
        ("bot-ua/crawler-user-agents.json", b"{"),
    ])
    .unwrap_err();
    assert_eq!(faults.len(), 5, "{faults:?}");
    let missing = Settings { data: Some(PathBuf::from("no/such/folder")), ..Settings::default() };
    assert_eq!(Knowledge::load(&missing).unwrap_err().len(), 1);
}

#[test]
fn replaced_knowledge_answers_at_once() {
    let sources = Sources::new(Knowledge::load(&Settings::default()).unwrap(), &Settings::default());
    let home: IpAddr = "217.0.0.1".parse().unwrap();
    assert_eq!(sources.network(Some(home)).kind, NetworkKind::Unknown);
    assert_eq!(sources.network(None), Network::default());
    assert_eq!(sources.agent(None).kind, AgentKind::Empty);
    assert_eq!(sources.agent(Some("curl/8.5.0")).kind, AgentKind::Library);
    assert_eq!(sources.agent(Some("curl/8.5.0")).kind, AgentKind::Library);
    sources.replace(with_files(&[("tor/exits-ipv4.txt", b"217.0.0.1\n")]).unwrap());
    assert_eq!(sources.network(Some(home)).kind, NetworkKind::Tor);
}

fn given(name: &str, role: Role, networks: &[&str], as_of: UnixMillis) -> Given {
    Given {
        name: name.to_owned(),
        role,
        entries: Arc::new(Entries::Networks(networks.iter().map(|text| text.parse().unwrap()).collect())),
        as_of,
        max_age: Duration::from_hours(24),
        disable_when_stale: false,
        protected: matches!(role, Role::Identity(_)),
        source: "https://lists.example/".to_owned(),
    }
}

fn with_lists(lists: Vec<Given>, now: UnixMillis) -> Knowledge {
    Knowledge::load(&Settings { lists, now, ..Settings::default() }).unwrap()
}

/// 2026-09-01, when all that is shipped is fresh.
const AUTUMN: UnixMillis = UnixMillis(1_788_220_800_000);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_configured_list_takes_the_place_of_a_shipped_one_and_new_ones_join() {
    let tor = given("tor", Role::Kind(NetworkKind::Tor), &["217.0.0.1/32"], AUTUMN);
    let office = given("office", Role::Kind(NetworkKind::Corporate), &["217.0.0.2/32"], AUTUMN);
    let knowledge = with_lists(vec![tor, office], AUTUMN);
    let kind = |address: &str| knowledge.network(address.parse().unwrap()).kind;
    assert_eq!((kind("217.0.0.1"), kind("217.0.0.2")), (NetworkKind::Tor, NetworkKind::Corporate));
    assert_ne!(knowledge.network(first("tor/exits-ipv4.txt")).kind, NetworkKind::Tor);
    let tor = knowledge.about().iter().find(|about| about.name == "tor").unwrap();
    assert_eq!((tor.entries, tor.source.as_str()), (1, "https://lists.example/"));
}

#[test]
fn protected_addresses_are_on_no_other_configured_list() {
    let meta = first("crawlers/facebook.txt");
    let listed = format!("{meta}/32");
    let relay = given("relay", Role::Kind(NetworkKind::PrivateRelay), &[&listed, "217.0.0.0/16", "0.0.0.0/3"], AUTUMN);
    let knowledge = with_lists(vec![relay], AUTUMN);
    assert_eq!(knowledge.network(meta).kind, NetworkKind::Crawler);
    assert_eq!(knowledge.network("217.0.0.1".parse().unwrap()).kind, NetworkKind::PrivateRelay);
    let about = knowledge.about().iter().find(|about| about.name == "relay").unwrap();
    assert_eq!(about.against_protected, 2);
    assert_eq!(about.examples.iter().map(ToString::to_string).collect::<Vec<_>>(), [listed.as_str(), "0.0.0.0/3"]);
}

#[test]
fn what_is_past_its_age_says_so_and_calls_nobody_an_impostor() {
    let agent = SHIPPED_DATA.agent("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)");
    let tor = first("tor/exits-ipv4.txt");
    let fresh = with_lists(Vec::new(), AUTUMN);
    assert!(!fresh.network(tor).stale);
    let in_spring = with_lists(Vec::new(), AUTUMN.plus(200 * DAY));
    assert!(in_spring.network(tor).stale && in_spring.network(tor).kind == NetworkKind::Tor);
    assert_eq!(identity(&in_spring.network("217.0.0.1".parse().unwrap()), &agent), Identity::Impostor("meta"));
    let next_autumn = with_lists(Vec::new(), AUTUMN.plus(400 * DAY));
    for address in ["217.0.0.1", "31.13.24.5"] {
        assert_eq!(identity(&next_autumn.network(address.parse().unwrap()), &agent), Identity::Unverifiable, "{address}");
    }
    let newer = AUTUMN.plus(400 * DAY);
    let meta = given("facebook", Role::Identity("meta"), &["31.13.24.0/21"], newer);
    let renewed = with_lists(vec![meta], newer);
    assert_eq!(identity(&renewed.network("31.13.24.5".parse().unwrap()), &agent), Identity::Verified("meta"));
    assert_eq!(identity(&renewed.network("217.0.0.1".parse().unwrap()), &agent), Identity::Impostor("meta"));
}

#[test]
fn a_list_that_is_to_be_left_out_when_it_is_old_is_left_out() {
    let mut tor = given("tor", Role::Kind(NetworkKind::Tor), &["217.0.0.1/32"], AUTUMN);
    tor.disable_when_stale = true;
    let kind = |now| with_lists(vec![tor.clone()], now).network("217.0.0.1".parse().unwrap()).kind;
    assert_eq!((kind(AUTUMN), kind(AUTUMN.plus(2 * DAY))), (NetworkKind::Tor, NetworkKind::Unknown));
}

#[test]
fn more_lists_than_the_table_holds_are_refused_by_name() {
    let many = (0..40).map(|n| given(&format!("l{n}"), Role::Plain, &["217.0.0.1/32"], AUTUMN)).collect();
    let faults = Knowledge::load(&Settings { lists: many, ..Settings::default() }).unwrap_err();
    let said = faults[0].to_string();
    assert!(said.starts_with("lists: `l") && said.contains("one list of networks too many: 64 at most"), "{said}");
}

#[test]
fn a_network_that_calls_itself_a_host_says_so_only_where_nothing_better_is_known() {
    // Of two hosts by name; of Deutsche Telekom below; the last is on a list of clouds.
    let words = |address: &str| (network(address).kind, network(address).words);
    let unlisted = ["77.72.0.1", "94.119.24.1"];
    for address in unlisted {
        assert_eq!(words(address), (NetworkKind::Unknown, Some(AsWords::Hosting)), "{address}");
    }
    assert_eq!(words("217.0.0.1"), (NetworkKind::Unknown, Some(AsWords::Nothing)));
    assert_eq!(words("66.249.66.1").1, None);
}

#[test]
fn a_database_of_connections_tells_homes_where_nothing_else_does() {
    let database = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/mmdb/GeoIP2-Connection-Type-Test.mmdb"));
    let knowledge = with_files(&[("connection/connection-type.mmdb", database)]).unwrap();
    let kind = |address: &str| knowledge.network(address.parse().unwrap()).kind;
    assert_eq!(network("96.1.20.112").kind, NetworkKind::Unknown);
    assert_eq!((kind("96.1.20.112"), kind("201.243.200.1")), (NetworkKind::Residential, NetworkKind::Unknown));
}
