//! Which shop a host is, and the servers of all shops: shared by all threads, built from settings, gone with them.
//! Must not know configuration files.

use std::sync::Arc;

use futures_util::future::join_all;
use http::HeaderValue;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::hosts::Hosts;
use crate::proxy::CookieDomain;
use crate::proxy::HostField;
use crate::proxy::Settings;
use crate::proxy::Trust;
use crate::proxy::servers::Group;
use crate::proxy::servers::Seen;
use crate::proxy::servers::Servers;
use crate::proxy::servers::farm::Farm;
use crate::proxy::servers::probe::Check;
use crate::telemetry::Metrics;

/// One of several shops.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its hosts, as `hosts::pattern` gives them; none for the shop of all hosts that are nobody's.
    pub hosts: Vec<String>,
    /// Its servers.
    pub group: Group,
    /// Whose word is taken for their certificates.
    pub trust: Option<Trust>,
    /// Which `Host` they see.
    pub host: HostField,
    /// Whether a `Location` that names one of them is rewritten to the visitor's scheme and host.
    pub rewrite_location: bool,
    /// Whether and how the domain of its cookies is changed.
    pub cookie_domain: Option<CookieDomain>,
    /// Path prefixes that are neither scored nor injected here, beside those of all shops.
    pub exempt: Vec<String>,
}

/// One server, as the operator is told of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The hosts of its shop.
    pub hosts: Vec<String>,
    /// Its address.
    pub server: String,
    /// How it stands; `None` where it is the only one and nobody looks.
    pub seen: Option<Seen>,
    /// Its share.
    pub weight: u32,
    /// Requests it has now and may have, where they are counted.
    pub connections: Option<(u32, u32)>,
}

/// All shops of the process.
#[derive(Debug)]
pub struct Directory {
    sites: Vec<(Site, Arc<Farm>)>,
    hosts: Hosts<usize>,
    /// The shop of hosts that are nobody's.
    otherwise: Option<usize>,
    retries: Counter,
    /// Checks end when this does.
    ending: watch::Sender<()>,
}

impl Directory {
    /// The shops with their servers, all thought well of. Nothing is checked before [`Directory::watch`] is polled.
    pub fn new(sites: Vec<Site>, metrics: &Metrics, clock: &Clock) -> Self {
        let mut hosts = Hosts::default();
        for (index, site) in sites.iter().enumerate() {
            for host in &site.hosts {
                hosts.insert(host, index);
            }
        }
        let farm = |site: Site| {
            let farm = Arc::new(Farm::new(site.group.clone(), metrics, clock));
            (site, farm)
        };
        Self {
            otherwise: sites.iter().position(|site| site.hosts.is_empty()),
            sites: sites.into_iter().map(farm).collect(),
            hosts,
            retries: metrics.upstream_retries.clone(),
            ending: watch::Sender::new(()),
        }
    }

    /// Whether there is one shop for all hosts.
    pub(in crate::proxy) fn is_single(&self) -> bool {
        self.sites.len() == 1 && self.otherwise.is_some()
    }

    /// The shop of a host.
    pub(in crate::proxy) fn find(&self, host: &str) -> Option<usize> {
        self.hosts.find(host).copied().or(self.otherwise)
    }

    /// Each shop with its servers, as one thread asks them.
    pub(in crate::proxy) fn servers(&self, settings: &Settings, opened: &Counter) -> Vec<(&Site, Servers)> {
        let mut all = Vec::with_capacity(self.sites.len());
        for (site, farm) in &self.sites {
            all.push((site, Servers::of(site, farm, settings, opened, &self.retries)));
        }
        all
    }

    /// Checks the servers that are to be checked, until the directory is dropped. Holds nothing of it but the servers.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut checks = Vec::new();
        for (site, farm) in &self.sites {
            let Some(health) = &farm.group.health else { continue };
            let known = site.hosts.iter().find(|host| site.host == HostField::Keep && !host.starts_with('*'));
            let known = known.and_then(|host| HeaderValue::from_str(host).ok());
            for (index, server) in farm.group.servers.iter().enumerate() {
                let host = health.host.clone().or_else(|| known.clone()).unwrap_or_else(|| server.origin.field().clone());
                let (farm, trust) = (Arc::clone(farm), site.trust.clone());
                checks.push(Check { farm, index, health: health.clone(), host, trust }.run(self.ending.subscribe()));
            }
        }
        async move {
            join_all(checks).await;
        }
    }

    /// How all servers stand.
    pub fn report(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        for (site, farm) in &self.sites {
            let watched = !farm.group.is_plain();
            for member in &farm.members {
                reports.push(Report {
                    hosts: site.hosts.clone(),
                    server: member.server.origin.authority().to_owned(),
                    seen: watched.then(|| member.standing.seen()),
                    weight: member.server.weight,
                    connections: member.server.connections.map(|most| (member.under_way(), most)),
                });
            }
        }
        reports
    }
}
