//! Networks by precedence, identities, and folders that replace shipped lists.

use super::*;
use crate::fact::AgentKind;
use crate::fact::Identity;
use crate::facts::Sources;
use crate::facts::identity;
use std::sync::LazyLock;

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
    let names: Vec<&str> = crawler.lists.places().map(|place| SHIPPED_DATA.list_names()[usize::from(place)]).collect();
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
        let identity = IDENTITIES.iter().find(|(name, _)| *name == list).unwrap().1;
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
