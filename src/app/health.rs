//! The truth behind `/healthz` and `/readyz`, part by part. Must not answer requests.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::Look;
use crate::admin::Part;
use crate::app::standing::Standing;
use crate::rules::Policy;
use crate::telemetry::Metrics;
use crate::visits;

/// How long the site may take to let us connect before it is told as away.
const SITE: Duration = Duration::from_secs(1);
/// How much room a disk must have: what one transaction and its log need at least.
const ROOM: usize = 64 << 10;

/// So many rows past their date are named.
const ENDED: usize = 8;

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub(super) standing: Arc<Standing>,
    pub(super) serving: Arc<AtomicBool>,
    pub(super) turns: Arc<AtomicBool>,
    pub(super) state: PathBuf,
    pub(super) metrics: Metrics,
}

impl Health {
    /// As the admin room is handed it.
    pub(super) fn as_look(&self) -> Look {
        let this = self.clone();
        Arc::new(move || {
            let this = this.clone();
            Box::pin(async move { this.look().await })
        })
    }

    async fn look(&self) -> Vec<Part> {
        let engines = self.standing.engines();
        let spool = match engines.spool.takes().await {
            Ok(()) if engines.spool.is_open() => {
                let state = self.state.clone();
                tokio::task::spawn_blocking(move || writable(&state)).await.unwrap_or_else(|_| Err("unknown".to_owned()))
            }
            Ok(()) => Err("the disk was too full to open it".to_owned()),
            Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        };
        let is = |on: &AtomicBool, yes: &str, no: &str| {
            if on.load(Ordering::Relaxed) { Ok(yes.to_owned()) } else { Err(no.to_owned()) }
        };
        vec![
            Part::needed("serving", is(&self.serving, "yes", "the process is about to stop")),
            Part::needed("listeners", is(&self.turns, "accepting", "a thread stands still")),
            Part::needed("spool", spool.map(|()| "takes events".to_owned())),
            // There is no start without them, and a reload that fails leaves the old ones.
            Part::needed("rules", Ok(rules(&engines.policy.load()))),
            // One site that is away is away for every replica: leaving the balancer would turn 502 with a reason into
            // nothing at all, and events are taken all the same.
            Part::told("proofs", proofs(&engines.visits.canary().standing())),
            Part::told("upstream", self.site().await),
            Part::told("front", self.front()),
        ]
    }

    /// Whether visitors came through a proxy that nobody named.
    fn front(&self) -> Result<String, String> {
        match self.metrics.unnamed_proxy_views.get() {
            0 => Ok("no unnamed proxy was seen".to_owned()),
            views => Err(format!("{views} page views since the start came through a proxy that `trusted_proxies` does not name")),
        }
    }

    async fn site(&self) -> Result<String, String> {
        let (host, port) = self.standing.site().ok_or("no shop is configured")?;
        match timeout(SITE, TcpStream::connect((host.as_str(), port))).await {
            Ok(Ok(_)) => Ok("reached".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// Which rules are in force, and which of them have no effect any more.
fn rules(policy: &Policy) -> String {
    let named: Vec<String> = policy.ended().iter().take(ENDED).map(|id| format!("`{id}`")).collect();
    let more = policy.ended().len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let ended = if named.is_empty() { String::new() } else { format!("; ended by their date: {}{more}", named.join(", ")) };
    format!("{}{ended}", policy.digest())
}

/// Whether visits are held to proofs, and what was seen of them.
fn proofs(standing: &visits::Standing) -> Result<String, String> {
    let (views, proven) = standing.lately;
    match standing.since {
        None => Ok(format!("{proven} of the last {views} page views proven")),
        Some(since) => Err(format!("not asked for since {}: {proven} of the last {views} page views proven", since.rfc3339())),
    }
}

/// Whether something can be written beside the spool, to the disk itself.
fn writable(state: &Path) -> Result<(), String> {
    let path = state.join("probe");
    let written =
        std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path).and_then(|mut file| {
            file.write_all(&vec![0; ROOM])?;
            file.sync_data()
        });
    // What cannot be removed will be written over.
    let _ = std::fs::remove_file(&path);
    written.map_err(|error| format!("the disk takes nothing: {error}"))
}
