//! What this thread asked lately, in front of what all threads share: no lock, no reference count of others, nothing
//! allocated. Promises: bounded memory, and that no answer outlives the knowledge it came from. Must not know how answers
//! are found.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::fact::Agent;
use crate::fact::Network;
use crate::near;
use crate::near::Epoch;

/// Places for addresses, each about 100 bytes.
const NETWORKS: usize = 2_048;
/// Places for agents, each a hash and two counted pointers.
const AGENTS: usize = 512;

/// An agent as it was asked for, and what it says.
type Read = (Epoch, Arc<str>, Arc<Agent>);

/// What one thread remembered, of addresses and of agents; nobody else writes to it.
#[derive(Debug, Default)]
struct Hits {
    networks: AtomicU64,
    agents: AtomicU64,
}

impl Hits {
    fn registered() -> Arc<Self> {
        let hits = Arc::new(Self::default());
        THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&hits));
        hits
    }
}

/// Counts one where nobody else writes: a load and a store will do.
fn count(hits: &AtomicU64) {
    hits.store(hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// All threads that ever asked; a process has few.
static THREADS: Mutex<Vec<Arc<Hits>>> = Mutex::new(Vec::new());

/// What all threads of the process remembered since the start: of addresses, of agents.
pub(super) fn hits() -> (u64, u64) {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let sum = |of: fn(&Hits) -> &AtomicU64| threads.iter().map(|hits| of(hits).load(Ordering::Relaxed)).sum();
    (sum(|hits| &hits.networks), sum(|hits| &hits.agents))
}

struct Near {
    hits: Arc<Hits>,
    networks: Vec<Option<(Epoch, IpAddr, Network)>>,
    agents: Vec<Option<Read>>,
}

thread_local! {
    static NEAR: RefCell<Near> = RefCell::new(Near { hits: Hits::registered(), networks: vec![None; NETWORKS], agents: vec![None; AGENTS] });
}

/// What is known of an address; `find` answers where this thread does not remember.
pub(super) fn network(epoch: Epoch, address: IpAddr, find: impl FnOnce() -> Network) -> Network {
    let place = near::place(mixed(address), NETWORKS);
    let known = NEAR.with_borrow(|near| match near.networks.get(place) {
        Some(Some((of, known, network))) if *of == epoch && *known == address => {
            count(&near.hits.networks);
            Some(*network)
        }
        _ => None,
    });
    known.unwrap_or_else(|| {
        let found = find();
        NEAR.with_borrow_mut(|near| {
            if let Some(place) = near.networks.get_mut(place) {
                *place = Some((epoch, address, found));
            }
        });
        found
    })
}

/// What an agent says, by its text and the text's hash; `find` answers where this thread does not remember.
pub(super) fn agent(epoch: Epoch, hash: u64, text: &str, find: impl FnOnce() -> (Arc<str>, Arc<Agent>)) -> Arc<Agent> {
    let place = near::place(hash, AGENTS);
    // The text is compared: the hash is not keyed, and a collision must not lend a bot a browser's facts.
    let known = NEAR.with_borrow(|near| match near.agents.get(place) {
        Some(Some((of, known, agent))) if *of == epoch && **known == *text => {
            count(&near.hits.agents);
            Some(Arc::clone(agent))
        }
        _ => None,
    });
    known.unwrap_or_else(|| {
        let (text, agent) = find();
        NEAR.with_borrow_mut(|near| {
            if let Some(place) = near.agents.get_mut(place) {
                *place = Some((epoch, text, Arc::clone(&agent)));
            }
        });
        agent
    })
}

/// Neighbours come at the same time, by their last bits, by those before an IPv6 subscriber's own, or by the first of IPv4's: all
/// of them are spread over the lower bits.
fn mixed(address: IpAddr) -> u64 {
    // An odd number without a pattern in its bits: 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = |number: u64| number ^ (number >> 32);
    let spread = |number: u64| folded(number.wrapping_mul(SPREAD));
    match address {
        IpAddr::V4(address) => spread(address.to_bits().into()),
        IpAddr::V6(address) => match address.octets().as_chunks().0 {
            [network, host] => spread(spread(u64::from_be_bytes(*network)).wrapping_add(u64::from_be_bytes(*host))),
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_was_found_is_remembered_until_the_knowledge_changes() {
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        let of = |asn| Network { asn: Some(asn), ..Network::default() };
        let first = Epoch::fresh();
        assert_eq!(network(first, address, || of(1)).asn, Some(1));
        assert_eq!(network(first, address, || of(2)).asn, Some(1), "remembered");
        assert_eq!(network(Epoch::fresh(), address, || of(3)).asn, Some(3), "of another knowledge");
    }

    #[test]
    fn neighbours_have_places_of_their_own() {
        let v4 = |at: u32, step: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x49a2_0000 + at * step));
        let v6 = |at: u32, bit: u32| IpAddr::from(std::net::Ipv6Addr::from_bits((0x2a00_1450 << 96) | (u128::from(at) << bit)));
        let ways: [&dyn Fn(u32) -> IpAddr; 6] =
            [&|at| v4(at, 1), &|at| v4(at, 256), &|at| v4(at, 7_919), &|at| v6(at, 0), &|at| v6(at, 64), &|at| v6(at, 80)];
        for (way, address) in ways.iter().enumerate() {
            let places: BTreeSet<usize> = (0..512).map(|at| near::place(mixed(address(at)), NETWORKS)).collect();
            // By chance it would be 453.
            assert!(places.len() > 400, "way {way}: {}", places.len());
        }
    }

    #[test]
    fn an_agent_is_remembered_by_its_text_not_by_its_hash() {
        let epoch = Epoch::fresh();
        let says = |family: &str| Arc::new(Agent { family: family.into(), ..Agent::default() });
        let ask = |text: &str, family: &str| agent(epoch, 7, text, || (text.into(), says(family)));
        assert_eq!(&*ask("a browser", "chrome").family, "chrome");
        assert_eq!(&*ask("a browser", "other").family, "chrome", "remembered");
        assert_eq!(&*ask("a robot", "curl").family, "curl", "of the same hash");
    }
}
