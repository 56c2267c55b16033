//! Everything that is built from the configuration and exchanged as a whole when another one is taken: rooms, the settings
//! of listeners, delivery, the keeping of records. Must not read files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::app::couriers::Couriers;
use crate::app::rooms;
use crate::app::rooms::Rooms;
use crate::app::state;
use crate::app::state::Engines;
use crate::clock::Clock;
use crate::config::Config;
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
    metrics: Metrics,
    clock: Clock,
    newest: Mutex<Newest>,
}

struct Newest {
    engines: Engines,
    rooms: Rooms,
    prefix: String,
    former: VecDeque<Arc<str>>,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Standing").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl Standing {
    pub(super) fn new(
        doors: Doors,
        couriers: Couriers,
        rooms: Rooms,
        engines: &Engines,
        config: &Config,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let newest = Newest { engines: engines.clone(), rooms, prefix: config.prefix.clone(), former: VecDeque::new() };
        couriers.send_to(rooms::targets(config), engines);
        Self { doors, couriers, metrics, clock, newest: Mutex::new(newest) }
    }

    /// Serves by this configuration from the next request on, over engines that differ at most in what they trust. The
    /// destinations that are no more.
    pub(super) fn take(&self, config: &Config, engines: Engines) -> Vec<String> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.prefix != config.prefix {
            let before = std::mem::replace(&mut newest.prefix, config.prefix.clone());
            newest.former.retain(|former| **former != *config.prefix);
            newest.former.push_front(before.into());
            newest.former.truncate(FORMER);
        }
        engines.ledger.keep(&state::ledger_settings(config));
        let former: Arc<[Arc<str>]> = newest.former.iter().cloned().collect();
        let rooms = rooms::build(config, &engines, &self.metrics, &self.clock, Some((&newest.rooms, former)));
        let shop = server::Settings { tls: engines.tls.clone(), ..rooms::shop_settings(config) };
        self.doors.shop.replace(&shop, &rooms.shop);
        if let Some(redirect) = &self.doors.redirect {
            redirect.replace(&rooms::redirect_settings(config), &rooms.redirect);
        }
        self.doors.graph.replace(&rooms::graph_settings(config), &rooms.graph);
        newest.rooms = rooms;
        newest.engines = engines;
        self.couriers.send_to(rooms::targets(config), &newest.engines)
    }

    /// The engines in use.
    pub(super) fn engines(&self) -> Engines {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).engines.clone()
    }
}
