//! The shops of a configuration as the rooms take them: where their servers are, where their pages' events go, and how
//! the operator is told of them. Must not start anything but checks.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use serde_json::Value;
use serde_json::json;
use tokio::runtime::Handle;

use crate::app::state::Trusts;
use crate::collect;
use crate::config;
use crate::config::Config;
use crate::hosts::Hosts;
use crate::proxy::Directory;
use crate::proxy::servers::Report;
use crate::proxy::servers::Site;

/// All shops; the one without hosts is that of hosts that are nobody's.
pub(super) fn sites(config: &Config, trusts: &Trusts) -> Vec<Site> {
    let mut sites = Vec::with_capacity(config.sites.len().saturating_add(1));
    for (site, trust) in config.sites.iter().zip(&trusts.sites) {
        sites.push(Site {
            hosts: site.hosts.clone(),
            group: site.group.clone(),
            trust: trust.clone(),
            host: site.host,
            rewrite_location: site.rewrite_location,
            cookie_domain: site.cookie_domain.clone(),
            exempt: site.bypass.clone(),
        });
    }
    sites.extend(config.group.clone().map(|group| Site {
        hosts: Vec::new(),
        group,
        trust: trusts.shop.clone(),
        host: config.host,
        rewrite_location: config.rewrite_location,
        cookie_domain: config.cookie_domain.clone(),
        exempt: Vec::new(),
    }));
    sites
}

/// A destination as the collector sees it.
pub(super) fn destination(destination: &config::Destination) -> collect::Destination {
    collect::Destination {
        name: Arc::from(destination.name.as_str()),
        pixel_id: destination.pixel_id.clone(),
        // Without a key of ours the door for back ends stays shut for this destination.
        key: destination.key.clone().unwrap_or_default(),
    }
}

/// Where events of pages go, by the page's host. Hosts that no site names have the destinations that no site names.
pub(super) fn of_pages(config: &Config) -> Option<collect::Sites> {
    if config.sites.is_empty() {
        return None;
    }
    let those = |wanted: &dyn Fn(&str) -> bool| -> Arc<[collect::Destination]> {
        config.destinations.iter().filter(|to| wanted(&to.name)).map(destination).collect()
    };
    let mut by_host = Hosts::default();
    for site in &config.sites {
        let own = those(&|name| site.destinations.iter().any(|own| own == name));
        for host in &site.hosts {
            by_host.insert(host, Arc::clone(&own));
        }
    }
    let others = those(&|name| !config.sites.iter().any(|site| site.destinations.iter().any(|own| own == name)));
    Some(collect::Sites { by_host, others })
}

/// The directory in force, for as long as the rooms keep it.
#[derive(Debug)]
pub(super) struct InForce {
    directory: Mutex<Weak<Directory>>,
    runtime: Handle,
}

impl InForce {
    /// None yet; checks will run there.
    pub(super) fn new(runtime: Handle) -> Self {
        Self { directory: Mutex::default(), runtime }
    }

    /// From now on this one is reported, and checked until it is dropped.
    pub(super) fn take(&self, directory: &Arc<Directory>) {
        *self.directory.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(directory);
        self.runtime.spawn(directory.watch());
    }

    /// How all servers stand, as `/api/upstreams` has it.
    pub(super) fn report(&self) -> Value {
        let directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        directory.iter().flat_map(|directory| directory.report()).map(|report| told(&report)).collect()
    }
}

fn told(report: &Report) -> Value {
    let seen = report.seen.as_ref();
    json!({
        "hosts": report.hosts,
        "server": report.server,
        "weight": report.weight,
        "state": seen.map_or("not watched", |seen| seen.state),
        "since": seen.map(|seen| seen.since.rfc3339()),
        "why": seen.and_then(|seen| seen.why.as_deref()),
        "under_way": report.connections.map(|(now, _)| now),
        "connections": report.connections.map(|(_, most)| most),
    })
}
