//! Reload on SIGHUP, on a change on disk, and by the admin API: rules, lists, certificates and the bypass switch are swapped whole or
//! stay as they were. Listeners, destinations and the state folder need a restart. Must not serve anything.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify_debouncer_full::DebounceEventResult;
use notify_debouncer_full::DebouncedEvent;
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
use crate::clock::Clock;
use crate::config::Config;
use crate::facts::Knowledge;
use crate::facts::Sources;
use crate::fault::Fault;
use crate::proxy::Bypass;
use crate::rules::Policy;
use crate::server::Tls;
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
    tls: Option<Tls>,
    bypass: Bypass,
    metrics: Metrics,
    clock: Clock,
}

impl Reloader {
    pub(super) fn new(
        config: &Config,
        config_path: Option<PathBuf>,
        engines: &Engines,
        bypass: Bypass,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            config_path,
            config: Mutex::new(config.clone()),
            policy: Arc::clone(&engines.policy),
            sources: Arc::clone(&engines.sources),
            tls: engines.tls.clone(),
            bypass,
            metrics,
            clock,
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
        self.reload_certificates(&config, &mut done);
        done
    }

    /// Takes the certificate that an authority has just issued.
    pub(super) fn take_certificates(&self) {
        let config = self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.reload_certificates(&config, &mut Reloaded::default());
    }

    /// Listeners need a restart, so a configuration that begins or ceases to name certificates changes nothing here.
    fn reload_certificates(&self, config: &Config, done: &mut Reloaded) {
        let Some(tls) = &self.tls else { return };
        match state::certificates(config, self.clock.now()) {
            Ok(Some(certificates)) => {
                self.taken(done, "certificates", &format!("for {} names", certificates.names()));
                tls.replace(certificates);
                tls.tell_expiries(&self.metrics);
            }
            Ok(None) => {}
            Err(faults) => self.refused(done, "certificates", &faults),
        }
    }

    /// Reloads when a file changes. Folders are watched, since editors and Kubernetes replace files by renaming.
    pub(super) async fn watch(self: Arc<Self>, mut ending: watch::Receiver<bool>) {
        let (sender, mut news) = mpsc::channel(1);
        let files = self.files();
        let (folders, data) = (files.folders(), files.data.clone());
        let heard = move |result: DebounceEventResult| {
            let is_write = |kind: &EventKind| kind.is_create() || kind.is_modify() || kind.is_remove();
            let ours = |event: &DebouncedEvent| is_write(&event.kind) && event.paths.iter().any(|path| files.hold(path));
            if result.is_ok_and(|events| events.iter().any(ours)) {
                // A change that is waiting already stands for this one.
                let _ = sender.try_send(());
            }
        };
        let Ok(mut debouncer) = new_debouncer(STILL, None, heard) else {
            tracing::warn!("files cannot be watched; reload with SIGHUP");
            return;
        };
        for folder in folders {
            // Lists lie in folders of their own below the data folder.
            let deep = if data.as_ref() == Some(&folder) { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            if let Err(error) = debouncer.watch(&folder, deep) {
                tracing::warn!(folder = %folder.display(), %error, "a folder cannot be watched; reload with SIGHUP");
            }
        }
        loop {
            tokio::select! {
                heard = news.recv() => if heard.is_none() { return },
                _ = ending.wait_for(|ending| *ending) => return,
            }
            let this = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || this.reload()).await;
        }
    }

    fn files(&self) -> Files {
        let config = self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Events name absolute paths.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let certificates = config.tls.iter().flat_map(|tls| &tls.certificates);
        let pairs = certificates.flat_map(|files| [&files.certificate, &files.key]);
        Files {
            single: config.rules.iter().chain(&self.config_path).chain(pairs).map(absolute).collect(),
            data: config.data.as_ref().map(absolute),
        }
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

/// What is worth a reload when it changes.
struct Files {
    single: Vec<PathBuf>,
    data: Option<PathBuf>,
}

impl Files {
    fn folders(&self) -> Vec<PathBuf> {
        let parents = self.single.iter().filter_map(|path| path.parent()).map(Path::to_owned);
        let mut folders: Vec<PathBuf> = parents.chain(self.data.clone()).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// Logs and state may lie in the same folder, so only these files count; Kubernetes swaps the link `..data` instead.
    fn hold(&self, path: &Path) -> bool {
        self.single.iter().any(|file| file == path)
            || self.data.as_ref().is_some_and(|data| path.starts_with(data))
            || path.file_name().is_some_and(|name| name == "..data")
    }
}
