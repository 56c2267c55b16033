//! Whether a list is believed: its form, and bounds against what a broken or hostile source would send. Must not know where it is kept.

use ipnetwork::IpNetwork;

use crate::fact::NetworkKind;
use crate::facts::Entries;
use crate::facts::Role;
use crate::fault::Fault;
use crate::lists::Mmdb;
use crate::lists::Ranges;
use crate::lists::Reach;
use crate::refresh::lists::Content;
use crate::refresh::lists::Source;

/// Entries that a list may gain whatever their share: a list of three may become one of ten.
const SLACK: u64 = 16;
/// The shortest prefixes: a quarter of IPv4, and all that is allocated of IPv6, are no list. Lists of unrouted space hold `224.0.0.0/3`.
const WIDEST: (u8, u8) = (3, 4);

/// What all entries of a list that speaks against visitors may reach together: a quarter of IPv4, and of what is allocated of
/// IPv6. The machines of all clouds together are a tenth.
const FARTHEST: Reach = Reach { v4: 1 << 30, v6: 1 << 59 };
/// What a list may reach more at once, whatever it reached before: sixteen networks of a provider's size.
const STRETCH: Reach = Reach { v4: 1 << 20, v6: 1 << 36 };

/// A list that is believed.
#[derive(Debug)]
pub struct Weighed {
    /// What it holds.
    pub entries: Entries,
    /// How much that is.
    pub size: Size,
}

/// How much a list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries.
    pub entries: usize,
    /// What they reach together.
    pub reach: Reach,
}

impl Size {
    /// Of these entries.
    pub fn of(entries: &Entries) -> Self {
        let reach = match entries {
            Entries::Networks(networks) => Ranges::of(networks).reach(),
            Entries::Numbers(_) | Entries::Database(_) => Reach::default(),
        };
        Self { entries: entries.len(), reach }
    }
}

/// Reads a list and weighs it against the last good one, which held `before`. `path` is what faults are told under.
///
/// # Errors
/// All that is wrong with its form; an empty list; one that reaches too far, or has shrunk or grown too much.
pub fn check(source: &Source, path: &str, bytes: &[u8], before: Option<Size>) -> Result<Weighed, Vec<Fault>> {
    let entries = read(source, path, bytes)?;
    let size = Size::of(&entries);
    let (now, held, before) = (number(size.entries), before, before.map(|before| number(before.entries)));
    if now == 0 {
        return Err(vec![Fault::of_file(path, "the list is empty").hint("the last good copy stays in use")]);
    }
    if let Entries::Networks(networks) = &entries
        && let Some(wide) = networks.iter().find(|network| reaches_too_far(network))
    {
        let fault = Fault::of_file(path, format!("`{wide}` is too much of the internet for one entry"));
        return Err(vec![fault.hint("a list that holds everybody tells nobody apart")]);
    }
    if let Some(fault) = stretched(source, path, size.reach, held) {
        return Err(vec![fault]);
    }
    match before {
        Some(before) if now.saturating_mul(100) < before.saturating_mul(100_u64.saturating_sub(source.bounds.shrink)) => {
            let fault = Fault::of_file(path, format!("the list has shrunk from {before} to {now} entries"));
            Err(vec![fault.hint(beyond("max_shrink", source.bounds.shrink))])
        }
        Some(before)
            if now > before.saturating_add(SLACK)
                && now.saturating_mul(100) > before.saturating_mul(source.bounds.growth.saturating_add(100)) =>
        {
            let fault = Fault::of_file(path, format!("the list has grown from {before} to {now} entries"));
            Err(vec![fault.hint(beyond("max_growth", source.bounds.growth))])
        }
        _ => Ok(Weighed { entries, size }),
    }
}

/// What is wrong with how far a list reaches, in few entries or many. Each alone may be small enough.
fn stretched(source: &Source, path: &str, now: Reach, before: Option<Size>) -> Option<Fault> {
    let speaks_against = match source.role {
        Role::Kind(kind) => !matches!(kind, NetworkKind::Residential | NetworkKind::MobileCarrier | NetworkKind::Bogon),
        Role::Identity(_) => true,
        Role::Plain => false,
    };
    if speaks_against && (now.v4 > FARTHEST.v4 || now.v6 > FARTHEST.v6) {
        let fault = Fault::of_file(path, "its entries together are too much of the internet");
        return Some(fault.hint("a list that holds everybody tells nobody apart"));
    }
    let Size { reach: known, .. } = before?;
    let most = |known: u128, more: u128| known.saturating_mul(u128::from(source.bounds.growth) + 100) / 100 + more;
    if now.v4 <= most(known.v4, STRETCH.v4) && now.v6 <= most(known.v6, STRETCH.v6) {
        return None;
    }
    let (name, from, to) =
        if now.v4 > most(known.v4, STRETCH.v4) { ("addresses", known.v4, now.v4) } else { ("/64s", known.v6, now.v6) };
    Some(
        Fault::of_file(path, format!("the list has grown from {from} to {to} {name}"))
            .hint(beyond("max_growth", source.bounds.growth)),
    )
}

fn beyond(key: &str, bound: u64) -> String {
    format!("more than `{key}: {bound}%` allows; if it is right, run `clicksieve lists pull --force` with its name")
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn read(source: &Source, path: &str, bytes: &[u8]) -> Result<Entries, Vec<Fault>> {
    if number(bytes.len()) > source.bounds.bytes {
        let fault = Fault::of_file(path, format!("the list has {} bytes, more than {}", bytes.len(), source.bounds.bytes));
        return Err(vec![fault.hint("`max_bytes` allows no more")]);
    }
    match source.content {
        Content::Networks => source.format.networks(path, bytes).map(Entries::Networks),
        Content::Numbers => source.format.numbers(path, bytes).map(Entries::Numbers),
        Content::Database => {
            Mmdb::load(path, bytes.to_vec()).map_err(|fault| vec![fault])?;
            Ok(Entries::Database(bytes.to_vec()))
        }
    }
}

fn reaches_too_far(network: &IpNetwork) -> bool {
    match network {
        IpNetwork::V4(network) => network.prefix() < WIDEST.0,
        // Of IPv6 only 2000::/3 is allocated; wide blocks beside it are unrouted space.
        IpNetwork::V6(network) => {
            network.prefix() < WIDEST.1 && (network.prefix() < 3 || network.ip().segments().first() == Some(&0x2000))
        }
    }
}
