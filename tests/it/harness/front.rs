//! The real door in front of a fake site, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use bytes::Bytes;
use clicksieve::clock::Clock;
use clicksieve::facts;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Sources;
use clicksieve::ledger;
use clicksieve::ledger::Ledger;
use clicksieve::proxy;
use clicksieve::proxy::Bypass;
use clicksieve::proxy::Origin;
use clicksieve::proxy::Shop;
use clicksieve::rules::Policy;
use clicksieve::seal::Keys;
use clicksieve::server;
use clicksieve::server::Door;
use clicksieve::server::Running;
use clicksieve::server::route::ShopDoor;
use clicksieve::telemetry::Metrics;
use clicksieve::visits;
use clicksieve::visits::Visits;
use http::Response;
use http_body_util::Full;
use tokio::sync::watch;

use crate::harness::PATIENCE;

/// A running door; dropping it stops it.
pub struct Front {
    pub address: SocketAddr,
    pub metrics: Metrics,
    stop: watch::Sender<bool>,
    running: Option<Running>,
}

impl Front {
    /// A door of one thread with default settings, but that waits as long as the test for a visitor who is still sending.
    pub fn of(site: SocketAddr) -> Self {
        Self::with(site, |_, _| {})
    }

    /// A door of one thread with some settings changed.
    pub fn with(site: SocketAddr, change: impl FnOnce(&mut server::Settings, &mut proxy::Settings)) -> Self {
        Self::behind(site, change, Door::Shop)
    }

    /// The same behind another door of the shop's.
    pub fn behind(
        site: SocketAddr,
        change: impl FnOnce(&mut server::Settings, &mut proxy::Settings),
        door: impl FnOnce(ShopDoor) -> Door,
    ) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut settings = server::Settings { address, cores: 1, linger: PATIENCE, ..server::Settings::default() };
        let mut proxy = proxy::Settings { upstream: Origin::local(site.port()), ..proxy::Settings::default() };
        change(&mut settings, &mut proxy);
        let metrics = Metrics::default();
        let (stop, stopped) = watch::channel(false);
        let door = door(ShopDoor {
            proxy: Arc::new(proxy),
            shop: Arc::new(shop(&metrics)),
            bypass: Bypass::default(),
            prefix: "/_cs".into(),
            former: Arc::default(),
            browser: Arc::new(|_, address, body| {
                assert_ne!(&body[..], b"panic", "as the test wants it");
                let text = format!("{} {}", address.unwrap(), body.len());
                Box::pin(async move { Response::new(Full::new(Bytes::from(text))) })
            }),
            script: Arc::new(|_| Response::new(Full::new(Bytes::from_static(b"tag")))),
            body_limit: 1_000,
        });
        let running = server::serve(&settings, &door, &metrics, &stopped).unwrap();
        Self { address: running.address(), metrics, stop, running: Some(running) }
    }

    /// Asks it to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has stopped.
    pub fn join(mut self) {
        self.running.take().unwrap().join();
    }
}

/// Engines in memory; the shipped lists are loaded once for all tests.
fn shop(metrics: &Metrics) -> Shop {
    static SOURCES: OnceLock<Arc<Sources>> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| {
        let settings = facts::Settings::default();
        Arc::new(Sources::new(Knowledge::load(&settings).unwrap(), &settings))
    });
    Shop::new(
        proxy::shop::Settings::default(),
        Arc::new(ArcSwap::from_pointee(Policy::shipped())),
        Arc::clone(sources),
        Arc::new(Visits::open(&visits::Settings { path: None, ..visits::Settings::default() }).unwrap()),
        Ledger::open(&ledger::Settings { path: None, ..ledger::Settings::default() }).unwrap(),
        Arc::new(Keys::generate([7; 32]).unwrap()),
        metrics.clone(),
        Clock::system(),
    )
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
    }
}
