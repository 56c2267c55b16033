//! Everything that is built from the configuration and exchanged as a whole when another one is taken: rooms, the settings
//! of listeners, delivery, the keeping of records. Must not read files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::watch;

use crate::app::StartError;
use crate::app::couriers::Couriers;
use crate::app::rooms;
use crate::app::rooms::Rooms;
use crate::app::rooms::Shared;
use crate::app::shops::InForce;
use crate::app::sockets;
use crate::app::state;
use crate::app::state::Engines;
use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::config::Memory;
use crate::proxy::Origin;
use crate::server;
use crate::server::Live;
use crate::telemetry::Metrics;

/// How many former prefixes are served; each is asked for in turn by every request.
const FORMER: usize = 4;

/// The listeners by what stands behind them.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) shop: Live,
    pub(super) redirect: Option<Live>,
    pub(super) graph: Live,
}

/// What is exchanged.
pub(super) struct Standing {
    doors: Doors,
    pub(super) couriers: Couriers,
    upstreams: InForce,
    pub(super) shared: Shared,
    memory: watch::Sender<Memory>,
    /// Whether the state folder is this process's.
    owns_state: AtomicBool,
    metrics: Metrics,
    clock: Clock,
    newest: Mutex<Newest>,
}

struct Newest {
    engines: Engines,
    rooms: Rooms,
    site: Option<Origin>,
    prefix: String,
    former: VecDeque<Arc<str>>,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Standing").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl Standing {
    #[expect(clippy::too_many_arguments, reason = "each is handed in by name, once, at the start")]
    pub(super) fn new(
        doors: Doors,
        couriers: Couriers,
        upstreams: InForce,
        rooms: Rooms,
        engines: &Engines,
        config: &Config,
        shared: Shared,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        upstreams.take(&rooms.directory);
        let newest = Newest {
            engines: engines.clone(),
            rooms,
            site: site(config),
            prefix: config.prefix.clone(),
            former: VecDeque::new(),
        };
        couriers.send_to(rooms::targets(config), engines);
        let (memory, owns_state) = (watch::channel(config.limits.memory).0, AtomicBool::new(true));
        Self { doors, couriers, upstreams, shared, memory, owns_state, metrics, clock, newest: Mutex::new(newest) }
    }

    /// Serves by this configuration from the next request on, over engines that differ at most in what they trust. The
    /// destinations that are no more.
    pub(super) fn take(&self, config: &Config, engines: Engines) -> Vec<String> {
        let mut newest = self.newest();
        if newest.prefix != config.prefix {
            let before = std::mem::replace(&mut newest.prefix, config.prefix.clone());
            newest.former.retain(|former| **former != *config.prefix);
            newest.former.push_front(before.into());
            newest.former.truncate(FORMER);
        }
        engines.ledger.keep(&state::ledger_settings(config));
        let former: Arc<[Arc<str>]> = newest.former.iter().cloned().collect();
        let rooms = rooms::build(config, &engines, &self.metrics, &self.clock, Some((&newest.rooms, former)));
        let shop = server::Settings { tls: engines.tls.clone(), ..rooms::shop_settings(config, &self.shared) };
        self.doors.shop.replace(&shop, &rooms.shop);
        if let Some(redirect) = &self.doors.redirect {
            redirect.replace(&rooms::redirect_settings(config, &engines, &self.shared), &rooms.redirect);
        }
        self.doors.graph.replace(&rooms::graph_settings(config, &self.shared), &rooms.graph);
        self.upstreams.take(&rooms.directory);
        newest.rooms = rooms;
        newest.site = site(config);
        self.memory.send_replace(config.limits.memory);
        newest.engines = engines;
        self.couriers.send_to(rooms::targets(config), &newest.engines)
    }

    /// What the overload guard holds the memory to.
    pub(super) fn memory(&self) -> watch::Receiver<Memory> {
        self.memory.subscribe()
    }

    /// The host and port of the first server of the first shop.
    pub(super) fn site(&self) -> Option<(String, u16)> {
        let newest = self.newest();
        let (host, port) = newest.site.as_ref()?.place();
        Some((host.to_owned(), port))
    }

    /// How all servers of all shops stand.
    pub(super) fn upstreams(&self) -> Value {
        self.upstreams.report()
    }

    /// The listeners with the names of their sockets.
    pub(super) fn doors(&self) -> impl Iterator<Item = (&'static str, &Live)> {
        let Doors { shop, redirect, graph } = &self.doors;
        [(sockets::SHOP, shop), (sockets::GRAPH, graph)].into_iter().chain(redirect.iter().map(|door| (sockets::REDIRECT, door)))
    }

    /// Lets new connections wait, or accepts them again.
    pub(super) fn pause(&self, pause: bool) {
        for (_, door) in self.doors() {
            door.pause(pause);
        }
    }

    /// Opens the access log's file anew, as after it was moved away.
    pub(super) fn reopen_log(&self) {
        if let Some(log) = &self.shared.log {
            log.access.reopen();
        }
    }

    /// Waits until the access log is written, for a second at most.
    pub(super) fn flush_log(&self) {
        if let Some(log) = &self.shared.log {
            log.access.flush();
        }
    }

    /// What each thread of a listener has counted.
    pub(super) fn beats(&self) -> Vec<u64> {
        self.doors().flat_map(|(_, door)| door.beats()).collect()
    }

    /// Whether the state folder is this process's.
    pub(super) fn owns_state(&self) -> bool {
        self.owns_state.load(Ordering::Acquire)
    }

    /// Writes everything and lets go of the state folder. Records go on: each is one write to the end of a file.
    pub(super) async fn give_up_state(&self) {
        self.owns_state.store(false, Ordering::Release);
        let engines = self.engines();
        // It waits for a thread of its own.
        let _ = tokio::task::spawn_blocking(move || engines.visits.leave()).await;
        self.engines().spool.close().await;
    }

    /// Takes the state folder back; blocks.
    pub(super) fn take_state_back(&self, config: &Config) -> Result<(), StartError> {
        let engines = self.engines();
        let (spool, visits) = (config.state.join("spool.db"), config.state.join("visits.db"));
        engines.spool.reopen(&state::spool_settings(config)).map_err(|error| state::opened(&spool, &error))?;
        engines.visits.come_back().map_err(|error| state::opened(&visits, &error))?;
        self.owns_state.store(true, Ordering::Release);
        self.couriers.send_to(rooms::targets(config), &engines);
        Ok(())
    }

    /// Looks at the pages whose time to prove themselves is over.
    pub(super) fn settle_overdue(&self, now: UnixMillis) {
        let collector = Arc::clone(&self.newest().rooms.collector);
        collector.settle_overdue(now);
    }

    /// The engines in use.
    pub(super) fn engines(&self) -> Engines {
        self.newest().engines.clone()
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn site(config: &Config) -> Option<Origin> {
    let group = config.group.as_ref().or_else(|| config.sites.first().map(|site| &site.group))?;
    group.servers.first().map(|server| server.origin.clone())
}
