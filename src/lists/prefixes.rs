//! A frozen table from address to the set of all lists that hold it. Promises: one look-up answers for all lists, without
//! allocation or lock; IPv4-mapped IPv6 addresses and networks are IPv4. Must not know where the networks come from.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::lists::ListSet;
use crate::lists::intervals::Network;
use crate::lists::lines::Lines;
use crate::lists::tree::Tree;

/// A frozen table from address to lists; IPv4 and IPv6.
#[derive(Clone, Debug, Default)]
pub struct PrefixTable {
    v4: Lines,
    /// Networks of /64 and shorter, as nearly all are, by the upper half of an address; they take half the room.
    v6: Tree<u64>,
    /// Longer ones.
    hosts: Tree<u128>,
}

impl PrefixTable {
    /// Freezes networks, each with the place (0 to 63) of the list it is on.
    pub fn build(entries: impl IntoIterator<Item = (IpNetwork, u8)>) -> Self {
        let (mut v4, mut v6, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        for (network, place) in entries.into_iter().filter(|(_, place)| *place < 64) {
            match canonical(network) {
                Span::V4(first, prefix) => v4.push(Network { first, prefix, place }),
                Span::V6(first, prefix) if prefix <= 64 => v6.push(Network { first: upper(first), prefix, place }),
                Span::V6(first, prefix) => hosts.push(Network { first, prefix, place }),
            }
        }
        Self { v4: Lines::over(v4), v6: Tree::over(v6), hosts: Tree::over(hosts) }
    }

    /// All lists that hold an address.
    pub fn lookup(&self, address: IpAddr) -> ListSet {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => {
                let address = address.to_bits();
                self.v6.find(upper(address)).or(self.hosts.find(address))
            }
        }
    }

    /// Whether the table holds no network at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && self.hosts.is_empty()
    }
}

enum Span {
    V4(u32, u8),
    V6(u128, u8),
}

/// First address and prefix of a network; `::ffff:0:0/96` and what is inside it is IPv4.
fn canonical(network: IpNetwork) -> Span {
    match network {
        IpNetwork::V4(network) => Span::V4(network.network().to_bits(), network.prefix()),
        IpNetwork::V6(network) => {
            let (first, prefix) = (network.network(), network.prefix());
            match (first.to_ipv4_mapped(), prefix.checked_sub(96)) {
                (Some(first), Some(prefix)) => Span::V4(first.to_bits(), prefix),
                _ => Span::V6(first.to_bits(), prefix),
            }
        }
    }
}

/// The upper half of an IPv6 address.
fn upper(address: u128) -> u64 {
    u64::try_from(address >> 64).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnetwork::Ipv4Network;
    use ipnetwork::Ipv6Network;
    use prefix_trie::PrefixMap;
    use proptest::prelude::*;

    fn table(entries: &[(&str, u8)]) -> PrefixTable {
        PrefixTable::build(entries.iter().map(|(network, place)| (network.parse().unwrap(), *place)))
    }

    fn places(table: &PrefixTable, address: &str) -> Vec<u8> {
        table.lookup(address.parse().unwrap()).places().collect()
    }

    #[test]
    fn one_look_up_names_every_list_that_holds_an_address() {
        let table = table(&[("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("10.1.2.3/32", 63), ("10.1.0.0/16", 2)]);
        assert_eq!(places(&table, "10.0.0.1"), [1]);
        assert_eq!(places(&table, "10.1.9.9"), [1, 2]);
        assert_eq!(places(&table, "10.1.2.3"), [1, 2, 63]);
        assert_eq!(places(&table, "10.2.0.0"), [1]);
        assert!(places(&table, "11.0.0.0").is_empty());
    }

    #[test]
    fn an_ipv4_mapped_address_or_network_is_ipv4() {
        let table = table(&[("192.0.2.0/24", 1), ("::ffff:198.51.100.0/120", 2)]);
        assert_eq!(places(&table, "::ffff:192.0.2.7"), [1]);
        assert_eq!(places(&table, "198.51.100.7"), [2]);
        assert!(places(&table, "::ffff:198.51.101.7").is_empty());
    }

    #[test]
    fn the_last_address_of_each_family_is_reached() {
        let table = table(&[("0.0.0.0/0", 0), ("255.255.255.255/32", 1), ("::/0", 2), ("ffff::/16", 3)]);
        assert_eq!(places(&table, "255.255.255.255"), [0, 1]);
        assert_eq!(places(&table, "0.0.0.0"), [0]);
        assert_eq!(places(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), [2, 3]);
        assert_eq!(places(&table, "::"), [2]);
    }

    #[test]
    fn addresses_that_cluster_are_found_and_those_between_are_not() {
        // A whole /16 of every second address, and as many hosts and networks of one IPv6 allocation.
        let v4 = (0..32_768_u32).map(|at| IpNetwork::from(IpAddr::from(std::net::Ipv4Addr::from_bits(0xc0a8_0000 + at * 2))));
        let host = |at: u128| std::net::Ipv6Addr::from_bits((0x2a00_0001 << 96) + at * 2);
        let hosts = (0..9_000).map(|at| IpNetwork::from(IpAddr::from(host(at))));
        let net = |at: u128| std::net::Ipv6Addr::from_bits((0x2a00_0002 << 96) + (at << 81));
        let nets = (0..9_000).map(|at| IpNetwork::new(net(at).into(), 48).unwrap());
        let all: Vec<(IpNetwork, u8)> = v4.chain(hosts).chain(nets).map(|network| (network, 5)).collect();
        let table = PrefixTable::build(all.iter().copied());
        for (network, _) in all {
            let behind = match network.broadcast() {
                IpAddr::V4(last) => IpAddr::from(std::net::Ipv4Addr::from_bits(last.to_bits() + 1)),
                IpAddr::V6(last) => IpAddr::from(std::net::Ipv6Addr::from_bits(last.to_bits() + 1)),
            };
            assert_eq!((table.lookup(network.ip()).0, table.lookup(behind).0), (1 << 5, 0), "{network}");
        }
    }

    #[test]
    fn addresses_that_are_each_on_lists_of_their_own_are_told_apart() {
        // A little more than one /16, each address of it on four lists as no other is; 64 lists allow for more.
        let fours =
            (0..64_u8).flat_map(|a| (0..a).flat_map(move |b| (0..b).flat_map(move |c| (0..c).map(move |d| [a, b, c, d]))));
        let address = |at: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000_u32.wrapping_add(at)));
        let all: Vec<(IpAddr, [u8; 4])> = (0..70_000).map(address).zip(fours).collect();
        let entries = all.iter().flat_map(|(address, lists)| lists.map(|place| (IpNetwork::from(*address), place)));
        let table = PrefixTable::build(entries);
        for (address, mut lists) in all {
            lists.reverse();
            assert_eq!(table.lookup(address).places().collect::<Vec<_>>(), lists, "{address}");
        }
        assert_eq!((table.lookup(address(70_000)).0, table.lookup(address(u32::MAX)).0), (0, 0));
    }

    #[test]
    fn an_empty_table_holds_nothing() {
        let table = PrefixTable::build([]);
        assert!(table.is_empty());
        assert!(places(&table, "1.2.3.4").is_empty());
        assert!(places(&table, "2001:db8::1").is_empty());
    }

    fn network_v4() -> impl Strategy<Value = IpNetwork> {
        // Few leading values, so that networks nest and meet.
        (0..8_u32, any::<u32>(), 3..=32_u8).prop_map(|(head, tail, prefix)| {
            let bits = (head << 29) | (tail & 0x1fff_ffff);
            IpNetwork::new(std::net::Ipv4Addr::from_bits(bits & (u32::MAX << (32 - u32::from(prefix)))).into(), prefix).unwrap()
        })
    }

    fn network_v6() -> impl Strategy<Value = IpNetwork> {
        (0..8_u128, any::<u128>(), 3..=128_u8).prop_map(|(head, tail, prefix)| {
            let bits = ((head << 125) | (tail >> 3)) & (u128::MAX << (128 - u32::from(prefix)));
            IpNetwork::new(std::net::Ipv6Addr::from_bits(bits).into(), prefix).unwrap()
        })
    }

    fn agrees(entries: &[(IpNetwork, u8)], addresses: &[IpAddr]) {
        let table = PrefixTable::build(entries.iter().copied());
        let mut v4: PrefixMap<Ipv4Network, ListSet> = PrefixMap::new();
        let mut v6: PrefixMap<Ipv6Network, ListSet> = PrefixMap::new();
        for (network, place) in entries {
            match network {
                IpNetwork::V4(network) => {
                    let held = v4.get(network).copied().unwrap_or_default();
                    v4.insert(*network, held.with(*place));
                }
                IpNetwork::V6(network) => {
                    let held = v6.get(network).copied().unwrap_or_default();
                    v6.insert(*network, held.with(*place));
                }
            }
        }
        let edges = entries.iter().flat_map(|(network, _)| [network.network(), network.broadcast()]);
        for address in addresses.iter().copied().chain(edges) {
            let cover = match address {
                IpAddr::V4(address) => v4.cover_values(&address.into()).fold(ListSet::default(), |all, set| all.or(*set)),
                IpAddr::V6(address) => v6.cover_values(&address.into()).fold(ListSet::default(), |all, set| all.or(*set)),
            };
            assert_eq!(table.lookup(address), cover, "{address}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn ipv4_answers_are_those_of_a_prefix_trie(
            entries in prop::collection::vec((network_v4(), 0..64_u8), 0..900),
            addresses in prop::collection::vec(any::<u32>(), 200),
        ) {
            let addresses: Vec<IpAddr> = addresses.into_iter().map(|bits| std::net::Ipv4Addr::from_bits(bits).into()).collect();
            agrees(&entries, &addresses);
        }

        #[test]
        fn ipv6_answers_are_those_of_a_prefix_trie(
            entries in prop::collection::vec((network_v6(), 0..64_u8), 0..300),
            addresses in prop::collection::vec(any::<u128>(), 200),
        ) {
            let addresses: Vec<IpAddr> = addresses.into_iter().map(|bits| std::net::Ipv6Addr::from_bits(bits).into()).collect();
            agrees(&entries, &addresses);
        }
    }
}
