//! Opens what the process keeps on disk, and builds the engines over it. Must not start a thread of its own.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::SecretString;

use crate::app::StartError;
use crate::clock::UnixMillis;
use crate::config::Config;
use crate::config::read_keys;
use crate::facts;
use crate::facts::Knowledge;
use crate::facts::Sources;
use crate::fault::Fault;
use crate::ledger;
use crate::ledger::Ledger;
use crate::proxy::Trust;
use crate::proxy::servers::Group;
use crate::refresh::lists;
use crate::rules::Policy;
use crate::seal::Keys;
use crate::server::Tls;
use crate::server::tls::acme::Challenges;
use crate::server::tls::acme::Store;
use crate::server::tls::certificates::Certificates;
use crate::spool;
use crate::spool::Spool;
use crate::visits;
use crate::visits::Visits;

/// The engines of one process.
#[derive(Clone, Debug)]
pub(super) struct Engines {
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) sources: Arc<Sources>,
    pub(super) visits: Arc<Visits>,
    pub(super) spool: Spool,
    pub(super) ledger: Ledger,
    pub(super) keys: Arc<Keys>,
    pub(super) tls: Option<Tls>,
    pub(super) trust: Trusts,
}

/// Whom servers reached by TLS are believed.
#[derive(Clone, Debug)]
pub(super) struct Trusts {
    /// Those of `upstream`.
    pub(super) shop: Option<Trust>,
    /// Those of each of `sites`.
    pub(super) sites: Vec<Option<Trust>>,
}

impl Engines {
    /// Loads rules and lists (all faults at once), then opens the state folder; in between, all is sound and nothing open.
    pub(super) fn open(
        config: &Config,
        now: UnixMillis,
        sound: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<Self, StartError> {
        let (policy, knowledge) = (policy(config, now), knowledge(config, now));
        let (certificates, trust) = (certificates(config, now), trust(config));
        let signers = read_keys(&config.signers);
        let (policy, (knowledge, facts), certificates, trust, signers) = match (policy, knowledge, certificates, trust, signers) {
            (Ok(policy), Ok(knowledge), Ok(certificates), Ok(trust), Ok(signers)) => {
                (policy, knowledge, certificates, trust, signers)
            }
            (policy, knowledge, certificates, trust, signers) => {
                let files = certificates.err().into_iter().chain(trust.err()).chain(signers.err());
                return Err(StartError::Faults(policy.err().into_iter().chain(knowledge.err()).chain(files).flatten().collect()));
            }
        };
        let tls = tls(config, certificates).map_err(|error| StartError::State {
            what: "TLS".to_owned(),
            reason: error.to_string(),
            hint: "the system may be out of random numbers".to_owned(),
        })?;
        sound()?;
        let state = &config.state;
        // Nobody else's business, whatever the umask says.
        DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(|error| opened(state, &error))?;
        let keys =
            Keys::load_or_create(&state.join("keys"), rand::random()).map_err(|error| opened(&state.join("keys"), &error))?;
        let visits = visits::Settings {
            path: Some(state.join("visits.db")),
            max_visits: config.limits.visits,
            max_plain: config.limits.plain_visits,
            counter_bytes: config.limits.counter_bytes,
            ..visits::Settings::default()
        };
        // First, since it says best that another process is at work here.
        let spool = Spool::open(&spool_settings(config)).map_err(|error| opened(&state.join("spool.db"), &error))?;
        if !spool.is_open() {
            tracing::error!("the disk is full: free some space; pages are served, and events refused until then");
        }
        let sources = Sources::new(knowledge, &facts);
        sources.trust(signers);
        Ok(Self {
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            sources: Arc::new(sources),
            visits: Arc::new(Visits::open(&visits).map_err(|error| opened(&state.join("visits.db"), &error))?),
            spool,
            ledger: Ledger::open(&ledger_settings(config)).map_err(|error| opened(&state.join("records.jsonl"), &error))?,
            keys: Arc::new(keys),
            tls,
            trust,
        })
    }
}

impl Engines {
    /// Waits until everything taken is written.
    pub(super) async fn close(self) {
        let (visits, ledger) = (self.visits, self.ledger);
        // Both wait for a thread of their own.
        let _ = tokio::task::spawn_blocking(move || {
            visits.flush();
            ledger.flush();
        })
        .await;
        self.spool.close().await;
    }
}

/// The rules a configuration names, or the shipped ones; what is odd about them is logged.
pub(super) fn policy(config: &Config, now: UnixMillis) -> Result<Policy, Vec<Fault>> {
    let policy = config.rules.as_deref().map_or_else(|| Ok(Policy::shipped()), |path| Policy::load_at(path, now))?;
    for fault in policy.warnings() {
        tracing::warn!(%fault, "rules");
    }
    Ok(policy)
}

/// The certificates a configuration names, if it names any; what is doubtful about them is logged.
pub(super) fn certificates(config: &Config, now: UnixMillis) -> Result<Option<Certificates>, Vec<Fault>> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let mut certificates = Certificates::load(&tls.certificates, now)?;
    // Of an authority's that is damaged nobody but us is to blame; a new one is ordered.
    if let Some(pair) = tls.acme.as_ref().and_then(|acme| Store::new(&config.state, &acme.directory).pair()) {
        for fault in certificates.join(&pair, now).err().into_iter().flatten() {
            tracing::warn!(%fault, "the authority's certificate is not used");
        }
    }
    for fault in certificates.warnings() {
        tracing::warn!(%fault, "certificate");
    }
    Ok(Some(certificates))
}

/// TLS over these certificates, giving proofs to an authority where they are fetched from one.
fn tls(config: &Config, certificates: Option<Certificates>) -> Result<Option<Tls>, rustls::Error> {
    let Some(tls) = certificates.map(Tls::new).transpose()? else { return Ok(None) };
    let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) else { return Ok(Some(tls)) };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(Some(tls.proving(Challenges::new(&acme.domains, &provider)?)))
}

/// Whom servers reached by TLS are believed; all faults at once.
pub(super) fn trust(config: &Config) -> Result<Trusts, Vec<Fault>> {
    let of = |group: Option<&Group>, file: Option<&Path>| {
        let tls = group.is_some_and(|group| group.servers.iter().any(|server| server.origin.is_tls()));
        tls.then(|| match file {
            Some(path) => Trust::of_file(path),
            None => Trust::of_the_machine().map_err(|error| Fault::of_file("upstream", format!("TLS cannot be used: {error}"))),
        })
        .transpose()
    };
    let shop = of(config.group.as_ref(), config.upstream_ca.as_deref());
    let (mut sites, mut faults) = (Vec::new(), Vec::new());
    for site in &config.sites {
        match of(Some(&site.group), site.upstream_ca.as_deref()) {
            Ok(trust) => sites.push(trust),
            Err(fault) => faults.push(fault),
        }
    }
    match shop {
        Ok(shop) if faults.is_empty() => Ok(Trusts { shop, sites }),
        shop => Err(shop.err().into_iter().chain(faults).collect()),
    }
}

/// Where events are kept, and how many.
pub(super) fn spool_settings(config: &Config) -> spool::Settings {
    let (path, max_bytes) = (config.state.join("spool.db"), config.limits.spool_bytes);
    spool::Settings { path, max_bytes, ..spool::Settings::default() }
}

/// How records are kept.
pub(super) fn ledger_settings(config: &Config) -> ledger::Settings {
    ledger::Settings {
        path: Some(config.state.join("records.jsonl")),
        full_address: config.records.full_address,
        max_bytes: config.records.max_bytes,
        keep: config.records.keep,
        ..ledger::Settings::default()
    }
}

/// Where the last good copies of lists are kept.
pub fn lists_folder(config: &Config) -> PathBuf {
    config.state.join("lists")
}

/// The settings of the facts engine, with the configured lists as they are on disk; what of them cannot be used.
pub fn facts_settings(config: &Config, now: UnixMillis) -> (facts::Settings, Vec<Fault>) {
    let loaded = lists::load(&config.lists, &lists_folder(config));
    for fault in &loaded.damaged {
        tracing::warn!(%fault, "a list's copy is not used");
    }
    (
        facts::Settings {
            data: config.data.clone(),
            names: config.dns.is_some(),
            lists: loaded.given,
            now,
            ..facts::Settings::default()
        },
        loaded.faults,
    )
}

/// Everything facts are drawn from; all faults at once.
pub(super) fn knowledge(config: &Config, now: UnixMillis) -> Result<(Knowledge, facts::Settings), Vec<Fault>> {
    let (settings, mut faults) = facts_settings(config, now);
    match Knowledge::load(&settings) {
        // What was loaded from is not kept: lists are large.
        Ok(knowledge) if faults.is_empty() => Ok((knowledge, facts::Settings { lists: Vec::new(), ..settings })),
        loaded => {
            faults.extend(loaded.err().into_iter().flatten());
            Err(faults)
        }
    }
}

/// The admin token: the configured one, or one made once and kept with mode 0600.
pub(super) fn admin_token(config: &Config) -> Result<SecretString, StartError> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    let path = config.state.join("admin.token");
    if let Ok(kept) = std::fs::read_to_string(&path)
        && kept.trim().len() >= 32
    {
        return Ok(SecretString::from(kept.trim().to_owned()));
    }
    let token = uuid::Uuid::from_u128(rand::random()).simple().to_string();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| opened(&path, &error))?;
    writeln!(file, "{token}").map_err(|error| opened(&path, &error))?;
    Ok(SecretString::from(token))
}

/// What cannot be opened, with all its causes.
pub(super) fn opened(path: &Path, error: &dyn std::error::Error) -> StartError {
    let said = error.to_string();
    let (reason, hint) =
        said.split_once("\nhint: ").unwrap_or((&said, "the state folder must be writable and belong to one process"));
    let mut reason = reason.to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    StartError::State { what: format!("`{}`", path.display()), reason, hint: hint.to_owned() }
}
