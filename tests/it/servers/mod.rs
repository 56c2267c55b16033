//! Shops of several servers and several shops behind one door, from outside: scripted servers, the real door, visitors.

mod choice;
mod health;
mod limits;
mod shops;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::proxy::Directory;
use clicksieve::proxy::HostField;
use clicksieve::proxy::Origin;
use clicksieve::proxy::servers::Group;
use clicksieve::proxy::servers::Report;
use clicksieve::proxy::servers::Server;
use clicksieve::proxy::servers::Site as Shop;
use clicksieve::telemetry::Metrics;

use crate::harness::front::Front;
use crate::harness::site::Site;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc";

/// A door in front of shops, what all its threads know of the servers, and the metrics of the servers.
struct Stand {
    front: Front,
    directory: Arc<Directory>,
    metrics: Metrics,
}

/// A shop of these servers for all hosts.
fn shop(group: Group) -> Shop {
    Shop {
        hosts: Vec::new(),
        group,
        trust: None,
        host: HostField::Keep,
        rewrite_location: false,
        cookie_domain: None,
        exempt: Vec::new(),
    }
}

/// Servers at these places, each with its share; a failed one rests for an hour.
fn group(places: &[(SocketAddr, u32)]) -> Group {
    let server = |(address, weight): &(SocketAddr, u32)| Server { weight: *weight, ..Server::of(Origin::local(address.port())) };
    Group { rest: Duration::from_hours(1), ..Group::of(places.iter().map(server).collect()) }
}

/// The same, but each server may have so many requests at once.
fn limited(sites: &[&Site], most: u32) -> Group {
    let mut group = group(&sites.iter().map(|site| (site.address, 1)).collect::<Vec<_>>());
    for server in &mut group.servers {
        server.connections = Some(most);
    }
    group
}

impl Stand {
    fn of(shops: Vec<Shop>, cores: usize) -> Self {
        let metrics = Metrics::default();
        let directory = Arc::new(Directory::new(shops, &metrics, &Clock::system()));
        let shared = Arc::clone(&directory);
        let front = Front::with(Site::nobody(), |server, proxy| {
            server.cores = cores;
            proxy.directory = Some(shared);
        });
        Self { front, directory, metrics }
    }

    fn new(group: Group) -> Self {
        Self::of(vec![shop(group)], 1)
    }

    /// How the server of this place stands.
    fn report(&self, address: SocketAddr) -> Report {
        let mut reports = self.directory.report().into_iter();
        reports.find(|report| report.server == address.to_string()).unwrap()
    }

    fn state(&self, address: SocketAddr) -> &'static str {
        self.report(address).seen.unwrap().state
    }

    /// Requests that wait for a server.
    fn waiting(&self) -> i64 {
        self.metrics.upstream_queue.get()
    }

    fn errors(&self, kind: &str) -> u64 {
        self.front.metrics.errors.with(&[("kind", kind)]).get()
    }
}
