//! The knowledge in use and what was asked of it lately. Promises: bounded memory; a swap of knowledge is whole and
//! no answer of the old one outlives it. Must not know how knowledge is loaded.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use rustc_hash::FxBuildHasher;

use crate::fact::Agent;
use crate::fact::Network;
use crate::facts::knowledge::Knowledge;
use crate::facts::knowledge::Settings;

/// The knowledge in use; shared by all connections.
#[derive(Debug)]
pub struct Sources {
    state: ArcSwap<State>,
    settings: Settings,
    empty: Arc<Agent>,
}

/// Knowledge with the answers it gave, swapped together.
#[derive(Debug)]
struct State {
    knowledge: Arc<Knowledge>,
    agents: Cache<u64, (Arc<str>, Arc<Agent>), FxBuildHasher>,
    networks: Cache<IpAddr, Network, FxBuildHasher>,
}

impl State {
    fn new(knowledge: Knowledge, settings: &Settings) -> Self {
        let agents = Cache::builder().max_capacity(settings.agents).build_with_hasher(FxBuildHasher);
        let networks = Cache::builder().max_capacity(settings.networks).build_with_hasher(FxBuildHasher);
        Self { knowledge: Arc::new(knowledge), agents, networks }
    }
}

impl Sources {
    /// Sources that answer from this knowledge.
    pub fn new(knowledge: Knowledge, settings: &Settings) -> Self {
        let state = ArcSwap::from_pointee(State::new(knowledge, settings));
        Self { state, settings: settings.clone(), empty: Arc::new(crate::facts::agent::empty()) }
    }

    /// What is known of an address; nothing where there is none.
    pub fn network(&self, address: Option<IpAddr>) -> Network {
        let Some(address) = address else { return Network::default() };
        let state = self.state.load();
        state.networks.get_with(address, || state.knowledge.network(address))
    }

    /// What an agent says of itself; text behind its first 1,024 bytes is not looked at.
    pub fn agent(&self, agent: Option<&str>) -> Arc<Agent> {
        let text = crate::facts::agent::bounded(agent.unwrap_or_default());
        if text.is_empty() {
            return Arc::clone(&self.empty);
        }
        let state = self.state.load();
        let key = FxBuildHasher.hash_one(text);
        // The text is compared too: the hash is not keyed, and a collision must not lend a bot a browser's facts.
        if let Some((_, known)) = state.agents.get(&key).filter(|(known, _)| **known == *text) {
            return known;
        }
        let read = Arc::new(state.knowledge.agent(text));
        state.agents.insert(key, (Arc::from(text), Arc::clone(&read)));
        read
    }

    /// Takes other knowledge into use, whole; what was remembered of the old one is dropped.
    pub fn replace(&self, knowledge: Knowledge) {
        self.state.store(Arc::new(State::new(knowledge, &self.settings)));
    }

    /// The knowledge in use.
    pub fn knowledge(&self) -> Arc<Knowledge> {
        Arc::clone(&self.state.load().knowledge)
    }
}
