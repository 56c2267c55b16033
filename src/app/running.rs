//! A running process: what it is told by signals, and its end. Must not know what the rooms do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::app::heir::Heir;
use crate::app::opened::Opened;
use crate::app::reload::Reloader;
use crate::app::standing::Standing;
use crate::app::state::Engines;
use crate::app::systemd;
use crate::app::upgrade::Upgrade;
use crate::ledger::Filter;
use crate::server;
use crate::server::Press;

/// How long visitors of kept connections are told to come anew before what lies unused is closed, after handing over.
const LEAVING: Duration = Duration::from_secs(1);
/// How long what runs beside the doors may take to end, an operator's half request among it; then it is cut.
const ERRANDS: Duration = Duration::from_secs(5);

/// What a start has made beside the listeners.
pub(super) struct Parts {
    pub(super) reloader: Arc<Reloader>,
    pub(super) serving: Arc<AtomicBool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) admin_stop: watch::Sender<bool>,
    pub(super) errands: Vec<JoinHandle<()>>,
    pub(super) standing: Arc<Standing>,
    pub(super) engines: Engines,
    pub(super) side: Runtime,
    pub(super) heir: Option<Heir>,
}

/// A running process; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    shop: SocketAddr,
    graph: SocketAddr,
    admin: SocketAddr,
    redirect: Option<SocketAddr>,
    reloader: Arc<Reloader>,
    serving: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    admin_stop: watch::Sender<bool>,
    doors: Vec<server::Running>,
    upgrade: Option<Arc<Upgrade>>,
    heir: Option<Heir>,
    errands: Vec<JoinHandle<()>>,
    standing: Arc<Standing>,
    engines: Option<Engines>,
    side: Option<Runtime>,
}

/// Why a process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    /// Another process goes on.
    Succeeded,
}

/// Returns when the process is to end; `listening` is called once signals are listened to.
async fn told(reloader: &Arc<Reloader>, upgrade: Option<&Arc<Upgrade>>, listening: impl FnOnce()) -> Told {
    let listen = |kind| signal(kind);
    let (term, int) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    let (hup, usr2) = (listen(SignalKind::hangup()), listen(SignalKind::user_defined2()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup), Ok(mut usr2)) = (term, int, hup, usr2) else {
        tracing::error!("signals cannot be received");
        return Told::Stop;
    };
    listening();
    loop {
        tokio::select! {
            _ = term.recv() => return Told::Stop,
            _ = int.recv() => return Told::Stop,
            _ = hup.recv() => {
                let reloader = Arc::clone(reloader);
                // Reading lists takes a while; a signal that ends the process need not wait for it.
                tokio::task::spawn_blocking(move || reloader.reload());
            }
            // One at a time: the state folder changes hands, and nothing else may be told meanwhile.
            _ = usr2.recv() => if let Some(upgrade) = upgrade && handed_over(Arc::clone(upgrade)).await {
                return Told::Succeeded;
            }
        }
    }
}

async fn handed_over(upgrade: Arc<Upgrade>) -> bool {
    match tokio::task::spawn_blocking(move || upgrade.hand_over()).await {
        Ok(Ok(process)) => {
            systemd::succeeded_by(process);
            true
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "not handed over: the new process failed, this one goes on");
            false
        }
        Err(_) => false,
    }
}

impl Running {
    pub(super) fn new(opened: Opened, parts: Parts) -> Self {
        let Parts { reloader, serving, stop, admin_stop, errands, standing, engines, side, heir } = parts;
        let (standing_of, reloader_of) = (Arc::clone(&standing), Arc::clone(&reloader));
        let upgrade = Upgrade::new(standing_of, reloader_of, Arc::clone(&opened.admin), side.handle().clone());
        let upgrade = upgrade.inspect_err(|error| tracing::warn!(%error, "the program's own file is not known")).ok();
        let Opened { shop, redirect, graph, admin } = opened;
        let (shop_address, graph_address) = (shop.address(), graph.address());
        Self {
            shop: shop_address,
            graph: graph_address,
            admin: admin.local_addr().unwrap_or(graph_address),
            redirect: redirect.as_ref().map(server::Running::address),
            reloader,
            serving,
            stop,
            admin_stop,
            doors: [shop, graph].into_iter().chain(redirect).collect(),
            upgrade: upgrade.map(Arc::new),
            heir,
            errands,
            standing,
            engines: Some(engines),
            side: Some(side),
        }
    }

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

    /// Waits for SIGTERM or SIGINT, then stops; SIGHUP reloads, SIGUSR2 hands over to a new process.
    pub fn until_told(mut self) {
        let heir = self.heir.take();
        // Said only now: a SIGHUP that came before would end the process instead of reloading.
        let listening = || {
            let (shop, graph, admin, mode) = (self.shop, self.graph, self.admin, self.reloader.still().mode);
            tracing::info!(%shop, %graph, %admin, ?mode, "started");
            if let Some(heir) = heir {
                heir.ready();
            }
            systemd::ready("serving");
        };
        if let Some(side) = &self.side {
            let told = side.block_on(told(&self.reloader, self.upgrade.as_ref(), listening));
            tracing::info!("stopping");
            self.serving.store(false, Ordering::Relaxed);
            let wait = if told == Told::Succeeded {
                // Whoever asks how things stand is to ask the new process.
                let _ = self.admin_stop.send(true);
                // Kept connections end after an answer that says so, instead of in the face of a request on its way.
                self.standing.shared.pressure.set(Press::Parting);
                LEAVING
            } else {
                systemd::stopping();
                self.reloader.still().deadlines.drain_wait
            };
            side.block_on(async { tokio::time::sleep(wait).await });
        }
        self.stop();
    }

    /// Stops: no new connections, active requests finish within the grace, what was accepted is on disk.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.serving.store(false, Ordering::Relaxed);
        let _ = self.stop.send(true);
        let _ = self.admin_stop.send(true);
        // It holds the admin listener's socket.
        self.upgrade = None;
        for door in self.doors.drain(..) {
            door.join();
        }
        self.standing.flush_log();
        let Some(side) = self.side.take() else { return };
        let errands = std::mem::take(&mut self.errands);
        if let Some(engines) = self.engines.take() {
            side.block_on(async {
                let all = async {
                    for errand in errands {
                        let _ = errand.await;
                    }
                };
                if tokio::time::timeout(ERRANDS, all).await.is_err() {
                    tracing::warn!("a request at the operator's door, or a reload, is cut");
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
