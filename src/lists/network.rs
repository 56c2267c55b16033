//! One line of a list of networks: CIDR, an address, a range, or a table's row with one of these in it. Promises: work
//! bounded by the line. Must not know files.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnetwork::IpNetwork;

/// What a line of a list says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing: empty, or a comment.
    Nothing,
    /// These networks; a range may take several.
    Networks(Vec<IpNetwork>),
    /// A network with bits set behind its prefix.
    BitsSet(IpNetwork),
    /// A range that ends before it begins or mixes families.
    Backwards,
    /// No network in it.
    Other,
}

/// Reads one line. `#` begins a comment anywhere, `;` too; columns are parted by `,`, `;` or a tab.
pub(super) fn read(line: &str) -> Line {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with(';') {
        return Line::Nothing;
    }
    // `192.0.2.1 ; a comment` and `192.0.2.1;a column` both end the network at the mark.
    let mut columns = line.split([',', ';', '\t']).map(unquoted);
    let first = columns.next().unwrap_or_default();
    let second = columns.next();
    if let (Ok(from), Some(Ok(to))) = (first.parse::<IpAddr>(), second.map(str::parse::<IpAddr>)) {
        return span(from, to);
    }
    match cell(first) {
        Line::Other => second.into_iter().chain(columns).map(cell).find(|cell| *cell != Line::Other).unwrap_or(Line::Other),
        found => found,
    }
}

pub(super) fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches(|mark| matches!(mark, '"' | '\'')).trim()
}

/// Reads one network, address or range.
pub(super) fn cell(text: &str) -> Line {
    if let Ok(network) = text.parse::<IpNetwork>() {
        return if network.network() == network.ip() { Line::Networks(vec![network]) } else { Line::BitsSet(network) };
    }
    let ends = text.split_once('-').map(|(from, to)| (from.trim().parse::<IpAddr>(), to.trim().parse::<IpAddr>()));
    match ends {
        Some((Ok(from), Ok(to))) => span(from, to),
        _ => Line::Other,
    }
}

/// The networks that cover a range and nothing else (at most 62 of IPv4, 254 of IPv6).
fn span(from: IpAddr, to: IpAddr) -> Line {
    let networks = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => cover(u32::from(from).into(), u32::from(to).into(), 32),
        (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => cover(from.into(), to.into(), 128),
        _ => return Line::Backwards,
    };
    Line::Networks(networks)
}

fn cover(mut from: u128, to: u128, width: u8) -> Vec<IpNetwork> {
    let mut networks = Vec::new();
    loop {
        // The largest network that begins here and does not reach beyond the end.
        let aligned = u8::try_from(from.trailing_zeros()).unwrap_or(128).min(width);
        let fits = (0..=aligned).rev().find(|free| last(from, *free).is_some_and(|last| last <= to)).unwrap_or(0);
        networks.extend(network(from, width, width - fits));
        match last(from, fits).and_then(|last| last.checked_add(1)) {
            Some(next) if next <= to => from = next,
            _ => return networks,
        }
    }
}

/// The last address of a network that leaves so many bits free.
fn last(from: u128, free: u8) -> Option<u128> {
    from.checked_add(1_u128.checked_shl(free.into()).map_or(u128::MAX, |size| size - 1))
}

fn network(from: u128, width: u8, prefix: u8) -> Option<IpNetwork> {
    let address = if width == 32 {
        u32::try_from(from).ok().map(|v4| IpAddr::from(Ipv4Addr::from(v4)))
    } else {
        Some(Ipv6Addr::from(from).into())
    };
    IpNetwork::new(address?, prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn networks(line: &str) -> Vec<String> {
        match read(line) {
            Line::Networks(networks) => networks.iter().map(ToString::to_string).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn networks_stand_alone_in_columns_and_in_ranges() {
        for (line, expected) in [
            ("192.0.2.0/24", &["192.0.2.0/24"][..]),
            (" 2001:db8::1 # one", &["2001:db8::1/128"]),
            ("198.51.100.7 ; one", &["198.51.100.7/32"]),
            ("1.2.3.4,DE", &["1.2.3.4/32"]),
            ("DE,\"1.2.3.0/24\",x", &["1.2.3.0/24"]),
            ("AS1\t2001:db8::/32", &["2001:db8::/32"]),
            ("10.0.0.0-10.0.0.9", &["10.0.0.0/29", "10.0.0.8/31"]),
            ("10.0.0.1 - 10.0.0.1", &["10.0.0.1/32"]),
            ("1.0.0.0,1.0.0.255,US", &["1.0.0.0/24"]),
            ("0.0.0.0-255.255.255.255", &["0.0.0.0/0"]),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &["::/0"]),
            ("2001:db8::-2001:db8::3", &["2001:db8::/126"]),
        ] {
            assert_eq!(networks(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_network_is_told_apart() {
        assert_eq!(read("  # note"), Line::Nothing);
        assert_eq!(read("; note, 192.0.2.1"), Line::Nothing);
        assert_eq!(read("network,country"), Line::Other);
        assert_eq!(read("10.0.0.9-10.0.0.1"), Line::Backwards);
        assert_eq!(read("10.0.0.9,2001:db8::1"), Line::Backwards);
        assert!(matches!(read("192.0.2.1/24"), Line::BitsSet(_)));
    }

    proptest! {
        #[test]
        fn a_range_is_covered_exactly(from in any::<u32>(), len in 0..100_000_u32) {
            let to = from.saturating_add(len);
            let Line::Networks(found) = span(Ipv4Addr::from(from).into(), Ipv4Addr::from(to).into()) else { panic!() };
            let mut next = u64::from(from);
            for network in found {
                let IpNetwork::V4(network) = network else { panic!() };
                prop_assert_eq!(u64::from(u32::from(network.network())), next);
                next = u64::from(u32::from(network.broadcast())) + 1;
            }
            prop_assert_eq!(next, u64::from(to) + 1);
        }

        #[test]
        fn hostile_lines_never_panic(line in "\\PC{0,80}") {
            drop(read(&line));
        }
    }
}
