//! A frozen table from address to the set of all lists that hold it: sorted disjoint intervals, for IPv4 with an
//! index over the first 16 bits. Promises: one look-up answers for all lists, without allocation or lock.
//! IPv4-mapped IPv6 addresses and networks are IPv4. Must not know where the networks come from.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use rustc_hash::FxHashMap;

use crate::lists::ListSet;

/// Below this many intervals a binary search is as fast as the index, which costs 256 KiB.
const INDEX_FROM: usize = 512;

/// A frozen table from address to lists; IPv4 and IPv6.
#[derive(Clone, Debug, Default)]
pub struct PrefixTable {
    v4: Vec<u32>,
    v4_sets: Vec<u32>,
    /// Place of the interval that holds the first address of each /16, and the last interval at the end; empty in small tables.
    v4_index: Vec<u32>,
    v6: Vec<u128>,
    v6_sets: Vec<u32>,
    sets: Vec<ListSet>,
}

impl PrefixTable {
    /// Freezes networks, each with the place (0 to 63) of the list it is on.
    pub fn build(entries: impl IntoIterator<Item = (IpNetwork, u8)>) -> Self {
        let mut v4: Vec<Edge<u32>> = Vec::new();
        let mut v6: Vec<Edge<u128>> = Vec::new();
        for (network, place) in entries {
            match canonical(network) {
                Span::V4(first, last) => push(&mut v4, first, last.checked_add(1), place),
                Span::V6(first, last) => push(&mut v6, first, last.checked_add(1), place),
            }
        }
        let mut sets = Interner::default();
        let (v4, v4_sets) = sweep(v4, &mut sets);
        let (v6, v6_sets) = sweep(v6, &mut sets);
        let v4_index = if v4.len() < INDEX_FROM { Vec::new() } else { index(&v4) };
        Self { v4, v4_sets, v4_index, v6, v6_sets, sets: sets.all }
    }

    /// All lists that hold an address.
    pub fn lookup(&self, address: IpAddr) -> ListSet {
        let set = match address.to_canonical() {
            IpAddr::V4(address) => self.v4_sets.get(self.v4_place(address.to_bits())),
            IpAddr::V6(address) => {
                let address = address.to_bits();
                self.v6_sets.get(self.v6.partition_point(|start| *start <= address).wrapping_sub(1))
            }
        };
        set.and_then(|set| self.sets.get(*set as usize)).copied().unwrap_or_default()
    }

    /// Whether the table holds no network at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The place of the last interval that starts at or before an address; `usize::MAX` if there is none.
    fn v4_place(&self, address: u32) -> usize {
        let half = (address >> 16) as usize;
        let bounds = self.v4_index.get(half).zip(self.v4_index.get(half + 1));
        let (low, high) = bounds.map_or((0, self.v4.len()), |(low, high)| (*low as usize, *high as usize + 1));
        let starts = self.v4.get(low..high.min(self.v4.len())).unwrap_or_default();
        (low + starts.partition_point(|start| *start <= address)).wrapping_sub(1)
    }
}

enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// First and last address of a network; `::ffff:0:0/96` and what is inside it is IPv4.
fn canonical(network: IpNetwork) -> Span {
    match network {
        IpNetwork::V4(network) => Span::V4(network.network().to_bits(), network.broadcast().to_bits()),
        IpNetwork::V6(network) => {
            let (first, last) = (network.network(), network.broadcast());
            match (network.prefix() >= 96, first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                (true, Some(first), Some(last)) => Span::V4(first.to_bits(), last.to_bits()),
                _ => Span::V6(first.to_bits(), last.to_bits()),
            }
        }
    }
}

/// A place where a list begins or ends to hold addresses.
struct Edge<A> {
    at: A,
    begins: bool,
    place: u8,
}

fn push<A>(edges: &mut Vec<Edge<A>>, first: A, after: Option<A>, place: u8) {
    if place < 64 {
        edges.push(Edge { at: first, begins: true, place });
        edges.extend(after.map(|at| Edge { at, begins: false, place }));
    }
}

/// Each distinct set of lists once, so that an interval costs four bytes for it; place 0 is the empty set.
struct Interner {
    all: Vec<ListSet>,
    places: FxHashMap<u64, u32>,
}

impl Default for Interner {
    fn default() -> Self {
        Self { all: vec![ListSet::default()], places: std::iter::once((0, 0)).collect() }
    }
}

impl Interner {
    fn place(&mut self, set: u64) -> u32 {
        *self.places.entry(set).or_insert_with(|| {
            self.all.push(ListSet(set));
            u32::try_from(self.all.len() - 1).unwrap_or(0)
        })
    }
}

/// Walks all edges in order and notes each address from which another set of lists holds.
/// Networks of one list may be nested or repeated, so each list counts how many of its own are open.
fn sweep<A: Copy + Ord>(mut edges: Vec<Edge<A>>, sets: &mut Interner) -> (Vec<A>, Vec<u32>) {
    edges.sort_unstable_by_key(|edge| edge.at);
    let (mut starts, mut places): (Vec<A>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut open = [0_u32; 64];
    let mut held = ListSet::default().0;
    let mut edges = edges.into_iter().peekable();
    while let Some(edge) = edges.next() {
        if let Some(count) = open.get_mut(usize::from(edge.place)) {
            *count = if edge.begins { count.saturating_add(1) } else { count.saturating_sub(1) };
            let bit = ListSet::default().with(edge.place).0;
            held = if *count > 0 { held | bit } else { held & !bit };
        }
        if edges.peek().is_some_and(|next| next.at == edge.at) {
            continue;
        }
        let place = sets.place(held);
        if places.last().copied().unwrap_or(0) != place {
            starts.push(edge.at);
            places.push(place);
        }
    }
    starts.shrink_to_fit();
    places.shrink_to_fit();
    (starts, places)
}

/// For each /16 the interval that holds its first address (the first interval where none does).
fn index(starts: &[u32]) -> Vec<u32> {
    let mut at = 0_usize;
    let mut index: Vec<u32> = (0..=u32::from(u16::MAX))
        .map(|half| {
            while starts.get(at + 1).is_some_and(|start| *start <= half << 16) {
                at += 1;
            }
            u32::try_from(at).unwrap_or(u32::MAX)
        })
        .collect();
    index.push(u32::try_from(starts.len().saturating_sub(1)).unwrap_or(u32::MAX));
    index
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
