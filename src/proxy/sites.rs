//! The shops behind one thread's room: which one a request is for, and how that one is spoken to.
//! Must not know how its servers are chosen.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::header;
use http::request::Parts;
use prometheus_client::metrics::counter::Counter;

use crate::proxy::CookieDomain;
use crate::proxy::HostField;
use crate::proxy::Origin;
use crate::proxy::Settings;
use crate::proxy::bypass::Exempt;
use crate::proxy::reply::Kind;
use crate::proxy::servers::Directory;
use crate::proxy::servers::Servers;
use crate::proxy::servers::Site;

/// All shops.
#[derive(Debug)]
pub(super) enum Sites {
    /// One, for all hosts: nothing is looked up.
    One(Box<Front>),
    /// Several, by host.
    Many(Arc<Directory>, Vec<Front>),
}

/// One shop.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) servers: Servers,
    /// What is plainly proxied here, beside what is so everywhere.
    pub(super) exempt: Exempt,
    pub(super) rewrite_location: bool,
    pub(super) cookie_domain: Option<CookieDomain>,
    origins: Vec<Origin>,
    host: HostField,
}

impl Sites {
    /// The shops that the settings name, with pools of their own; `opened` counts the connections that are opened.
    pub(super) fn new(settings: &Settings, opened: &Counter) -> Self {
        let Some(directory) = &settings.directory else {
            return Self::One(Box::new(Front {
                servers: Servers::one(settings, opened.clone()),
                exempt: Exempt::default(),
                rewrite_location: settings.rewrite_location,
                cookie_domain: settings.cookie_domain.clone(),
                origins: vec![settings.upstream.clone()],
                host: settings.host,
            }));
        };
        let mut fronts: Vec<Front> =
            directory.servers(settings, opened).into_iter().map(|(site, servers)| Front::of(site, servers)).collect();
        match fronts.pop() {
            Some(only) if directory.is_single() => Self::One(Box::new(only)),
            last => {
                fronts.extend(last);
                Self::Many(Arc::clone(directory), fronts)
            }
        }
    }

    /// The shop that a request is for.
    pub(super) fn of(&self, head: &Parts) -> Result<&Front, Kind> {
        match self {
            Self::One(front) => Ok(front),
            Self::Many(directory, fronts) => {
                let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                directory.find(host).and_then(|index| fronts.get(index)).ok_or(Kind::UnknownHost)
            }
        }
    }
}

impl Front {
    fn of(site: &Site, servers: Servers) -> Self {
        Self {
            servers,
            exempt: Exempt { paths: site.exempt.clone(), ..Exempt::default() },
            rewrite_location: site.rewrite_location,
            cookie_domain: site.cookie_domain.clone(),
            origins: site.group.servers.iter().map(|server| server.origin.clone()).collect(),
            host: site.host,
        }
    }

    /// The `Host` that is said in place of the visitor's. Where there are several servers, each is told its own in its turn.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.origins.first().filter(|_| self.host == HostField::Upstream).map(Origin::field)
    }

    /// What the shop's answer says of the shop's own place is made the visitor's.
    pub(super) fn rewrite(&self, headers: &mut HeaderMap, mut location: impl FnMut(&mut HeaderMap, &str)) {
        for origin in &self.origins {
            location(headers, origin.authority());
        }
    }
}
