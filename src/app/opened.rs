//! The listeners: each on a socket that was handed over, or on one of its own. Must not know what stands behind them.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;

use crate::app::StartError;
use crate::app::rooms;
use crate::app::rooms::Rooms;
use crate::app::rooms::Shared;
use crate::app::sockets;
use crate::app::sockets::Sockets;
use crate::app::standing::Doors;
use crate::app::state::Engines;
use crate::config::Config;
use crate::server;
use crate::server::Door;
use crate::server::Running;
use crate::server::Settings;
use crate::telemetry::Metrics;

/// All listeners, listening.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) shop: Running,
    pub(super) redirect: Option<Running>,
    pub(super) graph: Running,
    pub(super) admin: Arc<TcpListener>,
}

impl Opened {
    /// Opens them; connections are accepted by all but the admin listener when it returns.
    pub(super) fn open(
        config: &Config,
        engines: &Engines,
        rooms: &Rooms,
        metrics: &Metrics,
        shared: &Shared,
        ending: &watch::Receiver<bool>,
        mut given: Sockets,
    ) -> Result<Self, StartError> {
        let mut serve = |name, key, settings: &Settings, door: &Door, metrics: &Metrics| {
            let sockets = given.take(name, key, settings.address);
            server::serve_on(settings, door, metrics, ending, sockets).map_err(failed(key, settings.address))
        };
        let settings = Settings { tls: engines.tls.clone(), ..rooms::shop_settings(config, shared) };
        let shop = serve(sockets::SHOP, "listen", &settings, &rooms.shop, metrics)?;
        // The connections of the others are not the shop's, so they are counted apart from the shop's.
        let redirect = match config.tls.as_ref().and_then(|tls| tls.redirect) {
            Some(address) => {
                let settings = Settings { address, ..rooms::redirect_settings(config, engines, shared) };
                Some(serve(sockets::REDIRECT, "tls.redirect", &settings, &rooms.redirect, &Metrics::default())?)
            }
            None => None,
        };
        let settings = rooms::graph_settings(config, shared);
        let graph = serve(sockets::GRAPH, "graph.listen", &settings, &rooms.graph, &Metrics::default())?;
        let admin = admin(config.admin_listen, given.take(sockets::ADMIN, "admin.listen", config.admin_listen));
        let admin = Arc::new(admin.map_err(failed("admin.listen", config.admin_listen))?);
        Ok(Self { shop, redirect, graph, admin })
    }

    /// What they serve by.
    pub(super) fn doors(&self) -> Doors {
        Doors {
            shop: self.shop.live().clone(),
            redirect: self.redirect.as_ref().map(|redirect| redirect.live().clone()),
            graph: self.graph.live().clone(),
        }
    }
}

fn admin(address: SocketAddr, given: Vec<TcpListener>) -> io::Result<TcpListener> {
    let listener = given.into_iter().next().map_or_else(|| TcpListener::bind(address), Ok)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn failed(key: &'static str, address: SocketAddr) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::Listen { address, key, source }
}
