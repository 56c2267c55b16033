//! Reload on SIGHUP, on a change on disk, and by the admin API: the configuration, rules, lists and certificates are each swapped
//! whole or stay as they were. What needs a restart is told by its key, and the rest is taken. Must not serve anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::admin::Reload;
use crate::admin::Reloaded;
use crate::app::lists as app_lists;
use crate::app::standing::Standing;
use crate::app::state;
use crate::app::state::Engines;
use crate::app::systemd;
use crate::app::watched::Files;
use crate::app::watched::Watcher;
use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::config::read_keys;
use crate::fault::Fault;
use crate::refresh::lists::Board;
use crate::refresh::lists::Origin;
use crate::refresh::lists::Source;
use crate::telemetry::Metrics;

/// How long a reload waits for the spool to say what waits for a destination that is no more.
const COUNTED: Duration = Duration::from_secs(20);

/// What can be loaded anew while the process runs.
#[derive(Debug)]
pub(super) struct Reloader {
    config_path: Option<PathBuf>,
    config: Mutex<Config>,
    sources: watch::Sender<Vec<Source>>,
    standing: Arc<Standing>,
    side: Handle,
    metrics: Metrics,
    clock: Clock,
}

impl Reloader {
    pub(super) fn new(
        config: &Config,
        config_path: Option<PathBuf>,
        standing: Arc<Standing>,
        side: Handle,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let sources = watch::channel(config.lists.clone()).0;
        Self { config_path, config: Mutex::new(config.clone()), sources, standing, side, metrics, clock }
    }

    /// As the admin room is handed it.
    pub(super) fn as_reload(self: &Arc<Self>) -> Reload {
        let this = Arc::clone(self);
        Arc::new(move || this.reload())
    }

    /// Loads everything anew; what has faults stays as it was. One reload at a time.
    pub(super) fn reload(&self) -> Reloaded {
        systemd::reloading();
        self.standing.reopen_log();
        let done = self.reload_now();
        systemd::ready(if done.faults.is_empty() { "serving" } else { "serving; the last reload had faults" });
        done
    }

    fn reload_now(&self) -> Reloaded {
        let mut done = Reloaded::default();
        if let Some(path) = &self.config_path {
            match Config::load(path, &|name| std::env::var(name).ok()) {
                Ok(newer) => return self.take(&newer),
                Err(faults) => self.refused(&mut done, "configuration", &faults),
            }
        }
        self.reload_files(&mut self.lock(), None, &mut done);
        done
    }

    /// Takes the certificate that an authority has just issued.
    pub(super) fn take_certificates(&self) {
        let config = self.lock();
        self.reload_certificates(&config, &mut Reloaded::default());
    }

    /// Takes what was fetched into use, and says of what age lists are by now.
    pub(super) fn take_lists(&self) {
        let config = self.lock();
        self.reload_lists(&config, &mut Reloaded::default());
    }

    /// Takes the rules in force as they are today, where a date in them has come. Files are not looked at: one that is being
    /// changed is a reload's affair, and one with faults keeps no rule alive.
    pub(super) fn take_dates(&self) {
        // Not beside a reload, which brings rules of its own day.
        let _still = self.lock();
        let policy = self.standing.engines().policy;
        let old = policy.load_full();
        let done = &mut Reloaded::default();
        match old.turned(self.clock.now()) {
            None => {}
            Some(Ok(newer)) => {
                for fault in newer.warnings().iter().filter(|fault| !old.warnings().contains(fault)) {
                    tracing::warn!(%fault, "rules");
                }
                let (version, ended) = (newer.digest().to_owned(), newer.ended().join(", "));
                policy.store(Arc::new(newer));
                tracing::info!(ended, "a date in the rules has come");
                self.taken(done, "rules", &version);
            }
            Some(Err(faults)) => self.refused(done, "rules", &faults),
        }
    }

    /// The lists that are to be kept current, as they change.
    pub(super) fn list_sources(&self) -> watch::Receiver<Vec<Source>> {
        self.sources.subscribe()
    }

    /// How all lists stand.
    pub(super) fn lists(&self, board: &Board) -> Value {
        let sources = self.sources.borrow().clone();
        app_lists::report(&self.standing.engines().sources.knowledge(), &sources, Some(board))
    }

    fn reload_lists(&self, config: &Config, done: &mut Reloaded) {
        match state::knowledge(config, self.clock.now()) {
            Ok((knowledge, _)) => {
                app_lists::tell(&knowledge, &self.metrics);
                self.standing.engines().sources.replace(knowledge);
                self.taken(done, "lists", "whole");
            }
            Err(faults) => self.refused(done, "lists", &faults),
        }
    }

    /// Takes a newer configuration, and loads the files it names.
    pub(super) fn take(&self, newer: &Config) -> Reloaded {
        let mut done = Reloaded::default();
        let mut config = self.lock();
        let (newer, left) = config.taking(newer);
        if !left.is_empty() {
            let keys = left.join(", ");
            tracing::warn!(keys, "these keys take effect after a restart");
        }
        done.after_restart = left.into_iter().map(str::to_owned).collect();
        self.reload_files(&mut config, Some(newer), &mut done);
        done
    }

    /// The configuration in force; nothing is reloaded while it is held.
    pub(super) fn still(&self) -> MutexGuard<'_, Config> {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Config> {
        // A reload that panicked left the last good configuration behind.
        self.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn reload_files(&self, config: &mut Config, newer: Option<Config>, done: &mut Reloaded) {
        let engines = self.standing.engines();
        // Rules come before whoever is told what became of them; a configuration names the files to read.
        let named = newer.as_ref().unwrap_or(config);
        match state::policy(named, self.clock.now()) {
            Ok(policy) => {
                let digest = policy.digest().to_owned();
                engines.policy.store(Arc::new(policy));
                self.taken(done, "rules", &digest);
            }
            Err(faults) => self.refused(done, "rules", &faults),
        }
        // The shipped lists cannot change while the process runs.
        let has_lists = |config: &Config| config.data.is_some() || !config.lists.is_empty();
        if has_lists(named) || has_lists(config) {
            self.reload_lists(named, done);
        }
        match read_keys(&named.signers) {
            Ok(signers) => engines.sources.trust(signers),
            Err(faults) => self.refused(done, "keys of automated clients", &faults),
        }
        self.reload_certificates(named, done);
        let Some(newer) = newer else { return };
        match state::trust(&newer) {
            Ok(trust) => {
                // An unchanged configuration keeps its connections to the site.
                if !config.is_same(&newer) || newer.upstream_ca.is_some() {
                    let gone = self.standing.take(&newer, Engines { trust, ..engines });
                    self.tell_of(gone, done);
                }
                self.taken(done, "configuration", "whole");
                self.sources.send_replace(newer.lists.clone());
                *config = newer;
            }
            Err(faults) => self.refused(done, "configuration", &faults),
        }
    }

    /// Says how many events wait for destinations that are no more; they stay where they are.
    fn tell_of(&self, gone: Vec<String>, done: &mut Reloaded) {
        for destination in gone {
            let spool = self.standing.engines().spool;
            let (said, counted) = std::sync::mpsc::sync_channel(1);
            let name = destination.clone();
            self.side.spawn(async move { said.send(spool.waiting(&name).await.ok()) });
            let waiting = counted.recv_timeout(COUNTED).ok().flatten();
            // A spool that does not answer says nothing of how many there are.
            let waiting = waiting.map_or_else(|| "all".to_owned(), |events| events.to_string());
            tracing::warn!(destination, waiting, "no destination any more; events that wait for it stay in the spool");
            done.notes
                .push(format!("`{destination}` is no destination any more; {waiting} events wait for it and stay in the spool"));
        }
    }

    /// Listeners need a restart, so a configuration that begins or ceases to name certificates changes nothing here.
    fn reload_certificates(&self, config: &Config, done: &mut Reloaded) {
        let Some(tls) = self.standing.engines().tls else { return };
        match state::certificates(config, self.clock.now()) {
            Ok(Some(certificates)) => {
                let names = certificates.names();
                tls.replace(certificates);
                tls.tell_expiries(&self.metrics);
                self.taken(done, "certificates", &format!("for {names} names"));
            }
            Ok(None) => {}
            Err(faults) => self.refused(done, "certificates", &faults),
        }
    }

    /// Reloads when a file changes; `read_at` is when the configuration was read.
    pub(super) async fn watch(self: Arc<Self>, read_at: UnixMillis, mut ending: watch::Receiver<bool>) {
        let (sender, mut news) = mpsc::channel(1);
        let Some(files) = self.aside(Self::files).await else { return };
        let Some(mut watcher) = Watcher::new(files, sender) else {
            tracing::warn!("files cannot be watched; reload with SIGHUP");
            return;
        };
        // What changed between the reading and the watch would never be told of. Looked at under watch: no change falls between.
        let Some(mut due) = self.aside(move |this| this.files().have_changed_since(read_at)).await else { return };
        loop {
            if !due {
                tokio::select! {
                    heard = news.recv() => if heard.is_none() { return },
                    _ = ending.wait_for(|ending| *ending) => return,
                }
            }
            if *ending.borrow() {
                return;
            }
            let work = self.aside(|this| {
                let before = this.files().seen();
                this.reload();
                (before, this.files())
            });
            let Some((before, files)) = work.await else { return };
            watcher.follow(files);
            // What changed while it was read, and files that were not watched before.
            let Some(now) = self.aside(|this| this.files().seen()).await else { return };
            due = now != before;
        }
    }

    /// Does what waits for the configuration where it keeps nobody from working: whoever hands over holds it meanwhile, and needs
    /// this thread to end deliveries.
    pub(super) async fn aside<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> Option<T> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&this)).await.ok()
    }

    fn files(&self) -> Files {
        let config = self.lock();
        // Events name absolute paths.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let certificates = config.tls.iter().flat_map(|tls| &tls.certificates);
        let pairs = certificates.flat_map(|files| [&files.certificate, &files.key]);
        let files = config.lists.iter().filter_map(|source| match &source.origin {
            Origin::File(path) => Some(path),
            Origin::Url(_) => None,
        });
        let named = files.chain(&config.rules).chain(&self.config_path).chain(&config.upstream_ca).chain(pairs);
        Files::new(named.map(absolute).collect(), config.data.as_ref().map(absolute))
    }

    /// Says what is in force by now: who hears of it may rely on it.
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
