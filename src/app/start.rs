//! Starts the rooms in order. Must not know what they do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::admin;
use crate::admin::Admin;
use crate::app::StartError;
use crate::app::couriers::Couriers;
use crate::app::days;
use crate::app::health::Health;
use crate::app::heir::Heir;
use crate::app::lists as app_lists;
use crate::app::memory;
use crate::app::opened::Opened;
use crate::app::pulse;
use crate::app::reload::Reloader;
use crate::app::rooms;
use crate::app::rooms::Shared;
use crate::app::running::Parts;
use crate::app::running::Running;
use crate::app::shops::InForce;
use crate::app::sockets::Sockets;
use crate::app::standing::Standing;
use crate::app::state;
use crate::app::state::Engines;
use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::delivery;
use crate::ledger;
use crate::ledger::Access;
use crate::ledger::To;
use crate::refresh::lists;
use crate::refresh::lists::Board;
use crate::refresh::names::LookUps;
use crate::server::Log;
use crate::server::Pressure;
use crate::server::tls::acme::Store;
use crate::server::tls::acme::errand::Errand;
use crate::telemetry::Metrics;

/// How often held events are looked at, old state is forgotten, and visits are written.
const SWEEP: Duration = Duration::from_secs(1);

/// For one list, its redirects and its body.
const LIST_PATIENCE: Duration = Duration::from_mins(2);

/// What a start may be told beside the configuration.
#[derive(Debug)]
pub struct Options {
    /// The configuration's own file, which a reload reads again.
    pub config_path: Option<PathBuf>,
    /// Where the time comes from.
    pub clock: Clock,
    /// When the configuration was read; a file that changed later is read again.
    pub read_at: UnixMillis,
    /// Listening sockets that were open before.
    pub sockets: Sockets,
    /// The process that this one succeeds.
    pub heir: Option<Heir>,
}

impl Default for Options {
    fn default() -> Self {
        let clock = Clock::system();
        Self { config_path: None, read_at: clock.now(), clock, sockets: Sockets::default(), heir: None }
    }
}

/// Starts everything; returns when all listeners listen.
pub fn start(config: &Config, options: Options) -> Result<Running, StartError> {
    // Another part of the process may have installed it already; there is only one provider to choose from.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Options { config_path, clock, read_at, sockets, mut heir } = options;
    let sound = || heir.as_mut().map_or(Ok(()), |heir| heir.checked().map_err(|error| StartError::succession(&error)));
    let engines = Engines::open(config, clock.now(), sound)?;
    let admin_token = state::admin_token(config)?;
    let side = side_runtime()?;
    let metrics = Metrics::default();
    let shared = Shared { pressure: Pressure::default(), log: access_log(config, &metrics, &clock)? };
    let (halt, ending) = watch::channel(false);
    let (admin_stop, admin_ending) = watch::channel(false);
    let rooms = rooms::build(config, &engines, &metrics, &clock, None);
    let opened = Opened::open(config, &engines, &rooms, &metrics, &shared, &ending, sockets)?;
    let couriers = Couriers::new(side.handle().clone(), metrics.clone(), clock.clone());
    let doors = opened.doors();
    let upstreams = InForce::new(side.handle().clone());
    let standing = Arc::new(Standing::new(
        doors,
        couriers,
        upstreams,
        rooms,
        &engines,
        config,
        shared.clone(),
        metrics.clone(),
        clock.clone(),
    ));
    let reloader =
        Reloader::new(config, config_path, Arc::clone(&standing), side.handle().clone(), metrics.clone(), clock.clone());
    let reloader = Arc::new(reloader);
    let (serving, turns) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let health = Health {
        standing: Arc::clone(&standing),
        serving: Arc::clone(&serving),
        turns: Arc::clone(&turns),
        state: config.state.clone(),
        metrics: metrics.clone(),
    };
    let board = Board::default();
    let admin = admin(config, admin_token, &engines, &metrics, &reloader, &health, &board);
    let listener = {
        let _inside = side.enter();
        let listener = opened.admin.try_clone().and_then(TcpListener::from_std);
        listener.map_err(|source| StartError::Listen { address: config.admin_listen, key: "admin.listen", source })?
    };
    let shown = [metrics.memory_bytes.clone(), metrics.memory_pressure.clone()];
    app_lists::tell(&engines.sources.knowledge(), &metrics);
    let lists = lists_errand(config, &engines, &reloader, (&metrics, &clock), board);
    let certificates = fetching(config, &engines, &reloader, &metrics, &clock);
    let mut errands = vec![
        side.spawn(serve_admin(listener, admin, admin_ending)),
        side.spawn(sweep(Arc::clone(&standing), metrics, clock.clone(), ending.clone())),
        side.spawn(days::watch(Arc::clone(&reloader), clock, ending.clone())),
        side.spawn(Arc::clone(&reloader).watch(read_at, ending.clone())),
        side.spawn(memory::watch(standing.memory(), shared.pressure, shown, ending.clone())),
        side.spawn(pulse::watch(Arc::clone(&standing), turns, ending.clone())),
    ];
    errands.extend(look_ups(config, &engines).map(|look_ups| side.spawn(look_ups.run(ending.clone()))));
    errands.extend(lists.map(|errand| side.spawn(errand.run(ending.clone()))));
    errands.extend(certificates.map(|errand| side.spawn(errand.run(ending))));
    Ok(Running::new(opened, Parts { reloader, serving, stop: halt, admin_stop, errands, standing, engines, side, heir }))
}

/// The access log, where one is wanted.
fn access_log(config: &Config, metrics: &Metrics, clock: &Clock) -> Result<Option<Log>, StartError> {
    let Some(wanted) = &config.access_log else { return Ok(None) };
    let settings = ledger::Settings { max_bytes: wanted.max_bytes, ..state::ledger_settings(config) };
    let access = Access::open(&wanted.to, &settings, metrics.access_lines_dropped.clone()).map_err(|error| {
        let path = if let To::File(path) = &wanted.to { path.clone() } else { PathBuf::from("stdout") };
        state::opened(&path, &error)
    })?;
    Ok(Some(Log { access, clock: clock.clone() }))
}

fn admin(
    config: &Config,
    token: SecretString,
    engines: &Engines,
    metrics: &Metrics,
    reloader: &Arc<Reloader>,
    health: &Health,
    board: &Board,
) -> Admin {
    let (lists, board) = (Arc::clone(reloader), board.clone());
    let (turns, standing) = (Arc::clone(&health.turns), Arc::clone(&health.standing));
    Admin::new(
        admin::Settings { token, hosts: config.admin_hosts.clone() },
        Arc::clone(&engines.visits),
        Arc::clone(&engines.sources),
        engines.spool.clone(),
        engines.ledger.clone(),
        metrics.clone(),
        reloader.as_reload(),
        Arc::new(move || standing.upstreams()),
        Arc::new(move || lists.lists(&board)),
        health.as_look(),
        Arc::new(move || turns.load(Ordering::Relaxed)),
    )
}

/// What fetches certificates from an authority, where that is wanted; says when those in force expire.
fn fetching(config: &Config, engines: &Engines, reloader: &Arc<Reloader>, metrics: &Metrics, clock: &Clock) -> Option<Errand> {
    let tls = engines.tls.as_ref()?;
    tls.tell_expiries(metrics);
    let settings = config.tls.as_ref()?.acme.clone()?;
    let store = Store::new(&config.state, &settings.directory);
    let reloader = Arc::clone(reloader);
    let take = Arc::new(move || reloader.take_certificates());
    Some(Errand::new(settings, store, tls.challenges()?.clone(), take, clock.clone(), metrics))
}

/// What looks up names behind addresses, where that is wanted.
fn look_ups(config: &Config, engines: &Engines) -> Option<LookUps> {
    let (settings, names) = (config.dns.as_ref()?, engines.sources.names()?);
    LookUps::new(settings, Arc::clone(names))
        .inspect_err(|error| tracing::error!(%error, "no names are looked up: crawlers outside their ranges stay unverified"))
        .ok()
}

/// What keeps lists current; none where TLS cannot be used, which is told.
fn lists_errand(
    config: &Config,
    engines: &Engines,
    reloader: &Arc<Reloader>,
    (metrics, clock): (&Metrics, &Clock),
    board: Board,
) -> Option<lists::Errand> {
    let client = match lists::Client::new(LIST_PATIENCE) {
        Ok(client) => client,
        Err(why) => {
            tracing::error!(why, "lists cannot be fetched");
            return None;
        }
    };
    let (taking, sources, in_force) = (Arc::clone(reloader), Arc::clone(&engines.sources), Arc::clone(&engines.sources));
    let hands = lists::Hands {
        take: Arc::new(move || taking.take_lists()),
        holds_until: Box::new(move || sources.knowledge().holds_until()),
        is_behind: Box::new(move |list, since, by| in_force.knowledge().is_behind(list, since, by)),
    };
    let folder = state::lists_folder(config);
    Some(lists::Errand::new(reloader.list_sources(), folder, client, hands, board, clock.clone(), metrics.clone()))
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

async fn sweep(standing: Arc<Standing>, metrics: Metrics, clock: Clock, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        // What another process owns by now is its to sweep.
        if !standing.owns_state() {
            continue;
        }
        let (engines, now) = (standing.engines(), clock.now());
        standing.settle_overdue(now);
        engines.visits.sweep(now);
        match engines.spool.sweep(now).await {
            Ok(swept) => delivery::tell_expired(&swept.expired, now, &engines.ledger, &metrics),
            Err(error) => tracing::warn!(%error, "the spool could not be swept"),
        }
    }
}
