//! Reload on SIGHUP, on a change on disk, and by the admin API: rules, lists and the bypass switch are swapped whole or
//! stay as they were. Listeners, destinations and the state folder need a restart. Must not serve anything.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify_debouncer_full::DebounceEventResult;
use notify_debouncer_full::new_debouncer;
use notify_debouncer_full::notify::EventKind;
use notify_debouncer_full::notify::RecursiveMode;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::admin::Reload;
use crate::admin::Reloaded;
use crate::app::rooms;
use crate::app::state;
use crate::app::state::Engines;
use crate::config::Config;
use crate::facts::Knowledge;
use crate::facts::Sources;
use crate::fault::Fault;
use crate::proxy::Bypass;
use crate::rules::Policy;
use crate::telemetry::Metrics;

/// Editors write a file in several steps; a change counts once they have been still this long.
const STILL: Duration = Duration::from_millis(300);

/// What can be loaded anew while the process runs.
#[derive(Debug)]
pub(super) struct Reloader {
    config_path: Option<PathBuf>,
    config: Mutex<Config>,
    policy: Arc<ArcSwap<Policy>>,
    sources: Arc<Sources>,
    bypass: Bypass,
    metrics: Metrics,
}

impl Reloader {
    pub(super) fn new(
        config: &Config,
        config_path: Option<PathBuf>,
        engines: &Engines,
        bypass: Bypass,
        metrics: Metrics,
    ) -> Self {
        Self {
            config_path,
            config: Mutex::new(config.clone()),
            policy: Arc::clone(&engines.policy),
            sources: Arc::clone(&engines.sources),
            bypass,
            metrics,
        }
    }

    /// As the admin room is handed it.
    pub(super) fn as_reload(self: &Arc<Self>) -> Reload {
        let this = Arc::clone(self);
        Arc::new(move || this.reload())
    }

    /// Loads everything anew; what has faults stays as it was. One reload at a time.
    pub(super) fn reload(&self) -> Reloaded {
        // A reload that panicked left the last good configuration behind.
        let mut config = self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut done = Reloaded::default();
        if let Some(path) = &self.config_path {
            match Config::load(path, &|name| std::env::var(name).ok()) {
                Ok(new) => *config = new,
                Err(faults) => self.refused(&mut done, "configuration", &faults),
            }
        }
        self.bypass.throw(rooms::exempt(&config.bypass));
        match state::policy(&config) {
            Ok(policy) => {
                self.taken(&mut done, "rules", policy.digest());
                self.policy.store(Arc::new(policy));
            }
            Err(faults) => self.refused(&mut done, "rules", &faults),
        }
        match Knowledge::load(&state::facts_settings(&config)) {
            Ok(knowledge) => {
                self.taken(&mut done, "lists", "whole");
                self.sources.replace(knowledge);
            }
            Err(faults) => self.refused(&mut done, "lists", &faults),
        }
        done
    }

    /// Reloads when a file changes. Folders are watched, since editors and Kubernetes replace files by renaming.
    pub(super) async fn watch(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let (sender, mut changes) = mpsc::channel(1);
        let heard = move |result: DebounceEventResult| {
            let changed = |kind: &EventKind| kind.is_create() || kind.is_modify() || kind.is_remove();
            if result.is_ok_and(|events| events.iter().any(|event| changed(&event.kind))) {
                // A change that is waiting already stands for this one.
                let _ = sender.try_send(());
            }
        };
        let Ok(mut debouncer) = new_debouncer(STILL, None, heard) else {
            tracing::warn!("files cannot be watched; reload with SIGHUP");
            return;
        };
        for folder in self.folders() {
            if let Err(error) = debouncer.watch(&folder, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %folder.display(), %error, "a folder cannot be watched; reload with SIGHUP");
            }
        }
        loop {
            tokio::select! {
                changed = changes.recv() => if changed.is_none() { return },
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let this = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || this.reload()).await;
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let config = self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = |path: &Path| {
            path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.to_owned())
        };
        let rules = config.rules.as_deref().and_then(folder);
        let own = self.config_path.as_deref().and_then(folder);
        let mut folders: Vec<PathBuf> = rules.into_iter().chain(own).chain(config.data.clone()).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    fn taken(&self, done: &mut Reloaded, what: &'static str, version: &str) {
        self.metrics.reloads.with(&[("what", what), ("outcome", "taken")]).inc();
        tracing::info!(what, version, "reloaded");
        done.taken.push(format!("{what} {version}"));
    }

    fn refused(&self, done: &mut Reloaded, what: &'static str, faults: &[Fault]) {
        self.metrics.reloads.with(&[("what", what), ("outcome", "refused")]).inc();
        for fault in faults {
            tracing::error!(what, %fault, "not reloaded, what was in force stays");
        }
        done.faults.extend(faults.iter().map(ToString::to_string));
    }
}
