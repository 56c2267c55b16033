//! Looks up the names behind addresses that claim to be a known crawler's: from the address to its names, from each name below
//! an operator's domain back to its addresses, which must hold the address again (a PTR record alone is whatever its owner
//! writes). Promises: a deadline for each address, few at a time. Must not know who asks, or why.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::facts::Answer;
use crate::facts::Names;
use crate::facts::identity_of_host;

/// Addresses looked up at the same time.
const AT_ONCE: usize = 8;
/// Names of one address that are followed; crawlers have one.
const MOST_NAMES: usize = 8;
/// Answers that the resolver itself remembers; ours are remembered in [`Names`].
const RESOLVED: u64 = 256;

/// Whom to ask, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name servers; without any, those of the machine.
    pub servers: Vec<SocketAddr>,
    /// For everything that is asked about one address.
    pub deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { servers: Vec::new(), deadline: Duration::from_secs(4) }
    }
}

/// Answers questions until the end.
#[derive(Debug)]
pub struct LookUps {
    resolver: TokioResolver,
    deadline: Duration,
    names: Arc<Names>,
}

impl LookUps {
    /// Ready to answer the questions that `names` collects.
    ///
    /// # Errors
    /// The machine's name servers cannot be read, or the resolver cannot be built.
    pub fn new(settings: &Settings, names: Arc<Names>) -> Result<Self, NetError> {
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = settings.deadline / 2;
        options.attempts = 1;
        options.cache_size = RESOLVED;
        // A line in a file of the machine's is no operator's word.
        options.use_hosts_file = ResolveHosts::Never;
        Ok(Self { resolver: builder.build()?, deadline: settings.deadline, names })
    }

    /// Answers until the end; questions that are open then are left.
    pub async fn run(self, mut ending: watch::Receiver<bool>) {
        let Some(mut questions) = self.names.questions() else { return };
        let (this, places) = (Arc::new(self), Arc::new(Semaphore::new(AT_ONCE)));
        loop {
            let (address, place) = tokio::select! {
                next = next(&mut questions, &places) => match next { Some(next) => next, None => return },
                _ = ending.wait_for(|ending| *ending) => return,
            };
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                let answer = timeout(this.deadline, this.look_up(address)).await.unwrap_or(Answer::Failed);
                tracing::debug!(?answer, "a claimed identity was looked up");
                this.names.answer(address, answer);
                drop(place);
            });
        }
    }

    /// The operator whose name an address has, if the name has the address.
    async fn look_up(&self, address: IpAddr) -> Answer {
        let names = match self.resolver.reverse_lookup(address).await {
            Ok(found) => names_of(&found),
            Err(error) => return without(&error),
        };
        let mut outcome = Answer::Nobodys;
        let operators = names.iter().filter_map(|name| identity_of_host(name).map(|identity| (name, identity)));
        for (name, identity) in operators.take(MOST_NAMES) {
            let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            match self.resolver.lookup(name.as_str(), kind).await {
                Ok(found) if has(&found, address) => return Answer::Of(identity),
                Err(error) if without(&error) == Answer::Failed => outcome = Answer::Failed,
                Ok(_) | Err(_) => {}
            }
        }
        outcome
    }
}

async fn next(
    questions: &mut mpsc::Receiver<IpAddr>,
    places: &Arc<Semaphore>,
) -> Option<(IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    questions.recv().await.map(|address| (address, place))
}

/// That there is no such record is an answer; anything else is none.
fn without(error: &NetError) -> Answer {
    if error.is_no_records_found() { Answer::Nobodys } else { Answer::Failed }
}

/// Names with their final dot, so that no search list completes them.
fn names_of(found: &Lookup) -> Vec<String> {
    let names = found.answers().iter().filter_map(|record| match &record.data {
        RData::PTR(name) => Some(name.0.to_ascii()),
        _ => None,
    });
    names.map(|name| if name.ends_with('.') { name } else { name + "." }).collect()
}

fn has(found: &Lookup, address: IpAddr) -> bool {
    found.answers().iter().any(|record| match &record.data {
        RData::A(found) => IpAddr::V4(found.0) == address,
        RData::AAAA(found) => IpAddr::V6(found.0) == address,
        _ => false,
    })
}

#[cfg(test)]
mod tests;
