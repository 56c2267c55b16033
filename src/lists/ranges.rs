//! Whether networks meet others: sorted spans that do not touch. For checks when lists are loaded, not for look-ups. Promises:
//! IPv4-mapped IPv6 networks are IPv4. Must not know why anybody asks.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// Spans of addresses, ascending and apart.
#[derive(Clone, Debug, Default)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// All addresses of these networks.
    pub fn of<'a>(networks: impl IntoIterator<Item = &'a IpNetwork>) -> Self {
        let mut spans: Vec<(u128, u128)> = networks.into_iter().map(span).collect();
        spans.sort_unstable();
        let mut apart: Vec<(u128, u128)> = Vec::new();
        for (from, to) in spans {
            match apart.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => apart.push((from, to)),
            }
        }
        Self(apart)
    }

    /// Whether a network has an address in common with them.
    pub fn meet(&self, network: &IpNetwork) -> bool {
        let (from, to) = span(network);
        let after = self.0.partition_point(|(_, end)| *end < from);
        self.0.get(after).is_some_and(|(begin, _)| *begin <= to)
    }
}

/// How much of the internet networks hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Addresses of IPv4.
    pub v4: u128,
    /// /64s of IPv6, a household's worth or less each; those that are begun count.
    pub v6: u128,
}

impl Ranges {
    /// How much they hold; what lies in two networks counts once.
    pub fn reach(&self) -> Reach {
        // `::ffff:0:0/96`, where IPv4 stands.
        const MAPPED: std::ops::RangeInclusive<u128> = 0xffff_0000_0000..=0xffff_ffff_ffff;
        self.0.iter().fold(Reach::default(), |reach, (from, to)| {
            if MAPPED.contains(from) && MAPPED.contains(to) {
                Reach { v4: reach.v4.saturating_add(to - from + 1), ..reach }
            } else {
                Reach { v6: reach.v6.saturating_add((to >> 64) - (from >> 64) + 1), ..reach }
            }
        })
    }
}

/// The first and last address as numbers, IPv4 in its mapped place.
fn span(network: &IpNetwork) -> (u128, u128) {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    (number(network.network()), number(network.broadcast()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_two_networks_is_reached_once() {
        let reach =
            |texts: &[&str]| Ranges::of(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNetwork>>()).reach();
        assert_eq!(reach(&["192.0.2.0/24", "192.0.2.128/25", "192.0.3.1/32"]), Reach { v4: 257, v6: 0 });
        assert_eq!(reach(&["0.0.0.0/1", "128.0.0.0/1", "2001:db8::/48"]), Reach { v4: 1 << 32, v6: 1 << 16 });
        assert_eq!(reach(&["2001:db8::1/128", "::/0"]).v6, 1 << 64);
    }

    #[test]
    fn networks_meet_what_holds_them_and_what_they_hold() {
        let network = |text: &str| text.parse::<IpNetwork>().unwrap();
        let all = ["192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32", "2001:db8::/32"].map(network);
        let ranges = Ranges::of(&all);
        for meets in
            ["192.0.2.9/32", "192.0.0.0/16", "0.0.0.0/0", "198.51.100.7/32", "2001:db8:1::/48", "::/0", "::ffff:192.0.2.1/128"]
        {
            assert!(ranges.meet(&network(meets)), "{meets}");
        }
        for apart in ["192.0.3.0/24", "198.51.100.6/32", "2001:db9::/32", "10.0.0.0/8"] {
            assert!(!ranges.meet(&network(apart)), "{apart}");
        }
    }
}
