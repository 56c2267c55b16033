//! The knowledge in use and what was asked of it lately. Promises: bounded memory; a swap of knowledge is whole and
//! no answer of the old one outlives it. Must not know how knowledge is loaded.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use rustc_hash::FxBuildHasher;

use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::Identity;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::fact::Signed;
use crate::facts::gather;
use crate::facts::identities::operator;
use crate::facts::knowledge::Knowledge;
use crate::facts::knowledge::Settings;
use crate::facts::names::Answer;
use crate::facts::names::Names;
use crate::facts::near;
use crate::facts::signed::Message;
use crate::facts::signed::Signers;
use crate::near::Epoch;

/// Answers for which there is room at once, a few bytes each; where more may be remembered, the memory grows.
const FIRST: u64 = 1 << 16;

/// The knowledge in use; shared by all connections.
#[derive(Debug)]
pub struct Sources {
    state: ArcSwap<State>,
    /// The epoch of `state`, or of the one before it for a moment after it was replaced.
    epoch: AtomicU64,
    settings: Settings,
    empty: Arc<Agent>,
    names: Option<Arc<Names>>,
    signers: ArcSwap<Signers>,
    networks: Behind,
    agents: Behind,
}

/// What was asked of the memory that all threads share; it is asked seldom enough for one place to count in.
#[derive(Debug, Default)]
struct Behind {
    shared: AtomicU64,
    missed: AtomicU64,
}

impl Behind {
    fn count(&self, missed: bool) {
        let of = if missed { &self.missed } else { &self.shared };
        of.fetch_add(1, Ordering::Relaxed);
    }
}

/// Look-ups of one memory since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// What is remembered: `network` by address, `agent` by its text.
    pub cache: &'static str,
    /// Answered by the asking thread's own table.
    pub near: u64,
    /// Answered by what all threads share.
    pub shared: u64,
    /// Found out anew.
    pub missed: u64,
}

/// Knowledge with the answers it gave, swapped together.
#[derive(Debug)]
struct State {
    knowledge: Arc<Knowledge>,
    epoch: Epoch,
    // Keyed hashes: who has a /48 can choose addresses that an unkeyed one leads to the same place.
    agents: Cache<u64, (Arc<str>, Arc<Agent>)>,
    networks: Cache<IpAddr, Network>,
}

impl State {
    fn new(knowledge: Knowledge, settings: &Settings) -> Self {
        // As large as they get from the first on, so that nobody waits while they grow.
        let room = |most: u64| usize::try_from(most.min(FIRST)).unwrap_or(0);
        let agents = Cache::builder().max_capacity(settings.agents).initial_capacity(room(settings.agents)).build();
        let networks = Cache::builder().max_capacity(settings.networks).initial_capacity(room(settings.networks)).build();
        Self { knowledge: Arc::new(knowledge), epoch: Epoch::fresh(), agents, networks }
    }
}

impl Sources {
    /// Sources that answer from this knowledge.
    pub fn new(knowledge: Knowledge, settings: &Settings) -> Self {
        let state = State::new(knowledge, settings);
        let epoch = AtomicU64::new(state.epoch.number());
        Self {
            state: ArcSwap::from_pointee(state),
            epoch,
            settings: settings.clone(),
            empty: Arc::new(crate::facts::agent::empty()),
            names: settings.names.then(Arc::default),
            signers: ArcSwap::default(),
            networks: Behind::default(),
            agents: Behind::default(),
        }
    }

    /// What is known of an address; nothing where there is none.
    pub fn network(&self, address: Option<IpAddr>) -> Network {
        let Some(address) = address else { return Network::default() };
        near::network(self.epoch(), address, || {
            let state = self.state.load();
            // Two threads may look for one address at the same time: that costs less than to have one wait for the other.
            let known = state.networks.get(&address);
            self.networks.count(known.is_none());
            known.unwrap_or_else(|| {
                let found = state.knowledge.network(address);
                state.networks.insert(address, found);
                found
            })
        })
    }

    /// How often what was asked for was remembered; near ones are counted by the process.
    pub fn lookups(&self) -> [Lookups; 2] {
        let (networks, agents) = near::hits();
        [("network", networks, &self.networks), ("agent", agents, &self.agents)].map(|(cache, near, behind)| Lookups {
            cache,
            near,
            shared: behind.shared.load(Ordering::Relaxed),
            missed: behind.missed.load(Ordering::Relaxed),
        })
    }

    /// What an agent says of itself; text behind its first 1,024 bytes is not looked at.
    pub fn agent(&self, agent: Option<&str>) -> Arc<Agent> {
        let text = crate::facts::agent::bounded(agent.unwrap_or_default());
        if text.is_empty() {
            return Arc::clone(&self.empty);
        }
        let key = FxBuildHasher.hash_one(text);
        near::agent(self.epoch(), key, text, || self.shared_agent(key, text))
    }

    fn shared_agent(&self, key: u64, text: &str) -> (Arc<str>, Arc<Agent>) {
        let state = self.state.load();
        // The text is compared too: the hash is not keyed, and a collision must not lend a bot a browser's facts.
        if let Some(known) = state.agents.get(&key).filter(|(known, _)| **known == *text) {
            self.agents.count(false);
            return known;
        }
        self.agents.count(true);
        let read = (Arc::from(text), Arc::new(state.knowledge.agent(text)));
        state.agents.insert(key, read.clone());
        read
    }

    fn epoch(&self) -> Epoch {
        Epoch::of(self.epoch.load(Ordering::Acquire))
    }

    /// Who a declared crawler really is: by the ranges of its operator, else by the name behind its address once that was
    /// looked up; until then nothing is said of it.
    pub fn identity(&self, address: Option<IpAddr>, network: &Network, agent: &Agent) -> Identity {
        let by_range = gather::identity(network, agent);
        if matches!(by_range, Identity::None | Identity::Verified(_)) || network.kind == NetworkKind::Bogon {
            return by_range;
        }
        let (Some(names), Some(address)) = (&self.names, address) else { return by_range };
        let Some(operator) = agent.claims.and_then(operator).filter(|operator| !operator.hosts.is_empty()) else {
            return by_range;
        };
        match names.of(address) {
            Answer::Of(name) if name == operator.name => Identity::Verified(operator.name),
            Answer::Of(_) | Answer::Nobodys if operator.is_complete() => Identity::Impostor(operator.name),
            _ => Identity::Unverifiable,
        }
    }

    /// The memory of names behind addresses, where somebody looks them up.
    pub fn names(&self) -> Option<&Arc<Names>> {
        self.names.as_ref()
    }

    /// How the signature of an automated client stands.
    pub fn signed(&self, message: &Message<'_>, now: UnixMillis) -> Signed {
        self.signers.load().check(message, now)
    }

    /// Takes other keys of automated clients into use.
    pub fn trust(&self, signers: Signers) {
        self.signers.store(Arc::new(signers));
    }

    /// Takes other knowledge into use, whole; what was remembered of the old one is dropped.
    pub fn replace(&self, knowledge: Knowledge) {
        let state = State::new(knowledge, &self.settings);
        let epoch = state.epoch.number();
        self.state.store(Arc::new(state));
        self.epoch.store(epoch, Ordering::Release);
    }

    /// The knowledge in use.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        Arc::clone(&self.state.load().knowledge)
    }
}
