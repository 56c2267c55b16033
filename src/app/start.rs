//! Starts the rooms in order and stops them again. Must not know what they do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::admin::Admin;
use crate::app::StartError;
use crate::app::couriers::Couriers;
use crate::app::reload::Reloader;
use crate::app::rooms;
use crate::app::standing::Doors;
use crate::app::standing::Standing;
use crate::app::state;
use crate::app::state::Engines;
use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::delivery;
use crate::ledger::Filter;
use crate::server;
use crate::server::Door;
use crate::telemetry::Metrics;
use crate::verdict::Mode;

/// How often held events are looked at, old state is forgotten, and visits are written.
const SWEEP: Duration = Duration::from_secs(1);

/// What a start may be told beside the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration's own file, which a reload reads again.
    pub config_path: Option<PathBuf>,
    /// Where the time comes from.
    pub clock: Clock,
    /// When the configuration was read; a file that changed later is read again.
    pub read_at: UnixMillis,
}

impl Default for Options {
    fn default() -> Self {
        let clock = Clock::system();
        Self { config_path: None, read_at: clock.now(), clock }
    }
}

/// A running process; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    shop: SocketAddr,
    graph: SocketAddr,
    admin: SocketAddr,
    redirect: Option<SocketAddr>,
    mode: Mode,
    reloader: Arc<Reloader>,
    ready: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    doors: Vec<server::Running>,
    errands: Vec<JoinHandle<()>>,
    standing: Arc<Standing>,
    engines: Option<Engines>,
    side: Option<Runtime>,
}

/// Starts everything; returns when all listeners listen.
pub fn start(config: &Config, options: Options) -> Result<Running, StartError> {
    // Another part of the process may have installed it already; there is only one provider to choose from.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let engines = Engines::open(config, options.clock.now())?;
    let admin_token = state::admin_token(config)?;
    let side = side_runtime()?;
    let metrics = Metrics::default();
    let (halt, ending) = watch::channel(false);
    let rooms = rooms::build(config, &engines, &metrics, &options.clock, None);
    let settings = server::Settings { tls: engines.tls.clone(), ..rooms::shop_settings(config) };
    let shop = server::serve(&settings, &rooms.shop, &metrics, &ending).map_err(|source| StartError::Listen {
        address: config.listen,
        key: "listen",
        source,
    })?;
    let redirect = redirect(config, &rooms.redirect, &ending)?;
    let graph = server::serve(&rooms::graph_settings(config), &rooms.graph, &Metrics::default(), &ending)
        .map_err(|source| StartError::Listen { address: config.graph_listen, key: "graph.listen", source })?;
    let (clock, path) = (options.clock.clone(), options.config_path);
    let doors = Doors {
        shop: shop.live().clone(),
        redirect: redirect.as_ref().map(|redirect| redirect.live().clone()),
        graph: graph.live().clone(),
    };
    let couriers = Couriers::new(side.handle().clone(), metrics.clone(), clock.clone());
    let standing = Arc::new(Standing::new(doors, couriers, rooms, &engines, config, metrics.clone(), clock.clone()));
    let reloader = Arc::new(Reloader::new(config, path, Arc::clone(&standing), side.handle().clone(), metrics.clone(), clock));
    let ready = Arc::new(AtomicBool::new(true));
    let admin = admin(config, admin_token, &engines, &metrics, &reloader, &ready);
    let listener = side.block_on(TcpListener::bind(config.admin_listen)).map_err(|source| StartError::Listen {
        address: config.admin_listen,
        key: "admin.listen",
        source,
    })?;
    let admin_address = listener.local_addr().unwrap_or(config.admin_listen);
    let errands = vec![
        side.spawn(serve_admin(listener, admin, ending.clone())),
        side.spawn(sweep(engines.clone(), metrics.clone(), options.clock.clone(), ending.clone())),
        side.spawn(Arc::clone(&reloader).watch(options.read_at, ending.clone())),
    ];
    let (shop_address, graph_address) = (shop.address(), graph.address());
    Ok(Running {
        shop: shop_address,
        graph: graph_address,
        admin: admin_address,
        mode: config.mode,
        reloader,
        ready,
        stop: halt,
        redirect: redirect.as_ref().map(server::Running::address),
        doors: [shop, graph].into_iter().chain(redirect).collect(),
        errands,
        standing,
        engines: Some(engines),
        side: Some(side),
    })
}

fn admin(
    config: &Config,
    token: SecretString,
    engines: &Engines,
    metrics: &Metrics,
    reloader: &Arc<Reloader>,
    ready: &Arc<AtomicBool>,
) -> Admin {
    Admin::new(
        admin::Settings { token, hosts: config.admin_hosts.clone() },
        Arc::clone(&engines.visits),
        engines.spool.clone(),
        engines.ledger.clone(),
        metrics.clone(),
        reloader.as_reload(),
        Arc::clone(ready),
    )
}

/// The listener that sends plain HTTP to `https`, where one is wanted.
fn redirect(config: &Config, door: &Door, ending: &watch::Receiver<bool>) -> Result<Option<server::Running>, StartError> {
    let Some(address) = config.tls.as_ref().and_then(|tls| tls.redirect) else { return Ok(None) };
    let settings = server::Settings { address, ..rooms::redirect_settings(config) };
    // Its connections are not the shop's, so they are counted apart from the shop's.
    let running = server::serve(&settings, door, &Metrics::default(), ending);
    running.map(Some).map_err(|source| StartError::Listen { address, key: "tls.redirect", source })
}

fn side_runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("side").enable_all().build().map_err(|error| {
        StartError::State {
            what: "the side runtime".to_owned(),
            reason: error.to_string(),
            hint: "the system may be out of threads or files".to_owned(),
        }
    })
}

async fn serve_admin(listener: TcpListener, admin: Admin, mut stopped: watch::Receiver<bool>) {
    let told = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    if let Err(error) = axum::serve(listener, admin.router()).with_graceful_shutdown(told).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

async fn sweep(engines: Engines, metrics: Metrics, clock: Clock, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let now = clock.now();
        engines.visits.sweep(now);
        match engines.spool.sweep(now).await {
            Ok(swept) => delivery::tell_expired(&swept.expired, now, &engines.ledger, &metrics),
            Err(error) => tracing::warn!(%error, "the spool could not be swept"),
        }
    }
}

/// Returns at SIGTERM or SIGINT; `listening` is called once they are listened to.
async fn told(reloader: &Arc<Reloader>, listening: impl FnOnce()) {
    let (term, int, hup) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = (term, int, hup) else {
        tracing::error!("signals cannot be received");
        return;
    };
    listening();
    loop {
        tokio::select! {
            _ = term.recv() => return,
            _ = int.recv() => return,
            _ = hup.recv() => {
                let reloader = Arc::clone(reloader);
                // Reading lists takes a while; a signal that ends the process need not wait for it.
                tokio::task::spawn_blocking(move || reloader.reload());
            }
        }
    }
}

impl Running {
    /// Where the shop is served.
    pub fn shop(&self) -> SocketAddr {
        self.shop
    }

    /// Where back ends send events.
    pub fn graph(&self) -> SocketAddr {
        self.graph
    }

    /// Where the operator asks.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where plain HTTP is sent to `https`.
    pub fn redirect(&self) -> Option<SocketAddr> {
        self.redirect
    }

    /// The newest decision records, newest first, up to the last decision taken. Blocks until they are written.
    pub fn records(&self) -> Vec<Value> {
        let all = Filter { limit: 1_000, ..Filter::default() };
        let newest = |engines: &Engines| {
            engines.ledger.flush();
            engines.ledger.query(&all)
        };
        self.engines.as_ref().map(newest).unwrap_or_default()
    }

    /// Reloads configuration, rules, lists and certificates, as SIGHUP does.
    pub fn reload(&self) -> admin::Reloaded {
        self.reloader.reload()
    }

    /// Waits for SIGTERM or SIGINT, then stops; SIGHUP reloads.
    pub fn until_told(self) {
        // Said only now: a SIGHUP that came before would end the process instead of reloading.
        let listening = || {
            let (shop, graph, admin) = (self.shop, self.graph, self.admin);
            tracing::info!(%shop, %graph, %admin, mode = ?self.mode, "started");
        };
        if let Some(side) = &self.side {
            side.block_on(told(&self.reloader, listening));
        }
        tracing::info!("stopping");
        self.stop();
    }

    /// Stops: no new connections, active requests finish within the grace, what was accepted is on disk.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.ready.store(false, Ordering::Relaxed);
        let _ = self.stop.send(true);
        for door in self.doors.drain(..) {
            door.join();
        }
        let Some(side) = self.side.take() else { return };
        let errands = std::mem::take(&mut self.errands);
        if let Some(engines) = self.engines.take() {
            side.block_on(async {
                for errand in errands {
                    let _ = errand.await;
                }
                self.standing.couriers.end().await;
                engines.close().await;
            });
        }
        side.shutdown_timeout(Duration::from_secs(5));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
    }
}
