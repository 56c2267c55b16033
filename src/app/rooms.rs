//! Builds the rooms over the engines and hands them to each other as values. Must not start anything.

use std::sync::Arc;

use crate::app::state::Engines;
use crate::clock::Clock;
use crate::collect;
use crate::collect::Collector;
use crate::config;
use crate::config::Config;
use crate::delivery;
use crate::delivery::Delivery;
use crate::delivery::Target;
use crate::event::user;
use crate::inject;
use crate::proxy;
use crate::proxy::Bypass;
use crate::proxy::Shop;
use crate::proxy::bypass::Exempt;
use crate::server;
use crate::server::Door;
use crate::server::route::GraphDoor;
use crate::server::route::ShopDoor;
use crate::telemetry::Metrics;

/// The rooms, ready to be served.
pub(super) struct Rooms {
    pub(super) shop: Door,
    pub(super) redirect: Door,
    pub(super) graph: Door,
    pub(super) bypass: Bypass,
    pub(super) delivery: Option<Delivery>,
}

/// Builds them.
pub(super) fn build(config: &Config, engines: &Engines, metrics: &Metrics, clock: &Clock) -> Rooms {
    let inject = inject::Settings { prefix: config.prefix.clone(), splice: config.splice, ..inject::Settings::default() };
    let shop = Shop::new(
        proxy::shop::Settings {
            mode: config.mode,
            consent_required: config.consent_required,
            record_pages: config.records.pages,
            inject: inject.clone(),
        },
        Arc::clone(&engines.policy),
        Arc::clone(&engines.sources),
        Arc::clone(&engines.visits),
        engines.ledger.clone(),
        Arc::clone(&engines.keys),
        metrics.clone(),
        clock.clone(),
    );
    let collector = Arc::new(collector(config, engines, metrics, clock));
    let bypass = Bypass::new(exempt(&config.bypass));
    let shop = ShopDoor {
        proxy: Arc::new(proxy::Settings { trust: engines.trust.clone(), ..proxy_settings(config) }),
        shop: Arc::new(shop),
        bypass: bypass.clone(),
        prefix: Arc::from(config.prefix.as_str()),
        browser: {
            let collector = Arc::clone(&collector);
            Arc::new(move |head, peer, body| {
                let collector = Arc::clone(&collector);
                Box::pin(async move { collector.browser(&head, peer, body).await })
            })
        },
        script: {
            let collector = Arc::clone(&collector);
            Arc::new(move |head| collector.script(head))
        },
        body_limit: 64 * 1024,
    };
    let graph = GraphDoor {
        graph: Arc::new(move |head, body| {
            let collector = Arc::clone(&collector);
            Box::pin(async move { collector.graph(&head, body).await })
        }),
        full: collect::too_many_connections(),
        slow: collect::head_stalled(),
        refused: Arc::new(collect::malformed),
        body_limit: 4 * 1024 * 1024,
    };
    let delivery = delivery(config, engines, metrics, clock);
    Rooms { redirect: Door::Redirect(shop.clone()), shop: Door::Shop(shop), graph: Door::Graph(graph), bypass, delivery }
}

fn collector(config: &Config, engines: &Engines, metrics: &Metrics, clock: &Clock) -> Collector {
    let destination = |destination: &config::Destination| collect::Destination {
        name: Arc::from(destination.name.as_str()),
        pixel_id: destination.pixel_id.clone(),
        // Without a key of ours the door for back ends stays shut for this destination.
        key: destination.key.clone().unwrap_or_default(),
    };
    let settings = collect::Settings {
        prefix: config.prefix.clone(),
        mode: config.mode,
        consent_required: config.consent_required,
        destinations: config.destinations.iter().map(destination).collect(),
        user: user::Settings { default_country_code: config.phone_country_code.clone(), forms: config.hash_forms },
        graph_per_minute: config.limits.graph_requests_per_minute,
        ..collect::Settings::default()
    };
    Collector::new(
        settings,
        Arc::clone(&engines.policy),
        Arc::clone(&engines.sources),
        Arc::clone(&engines.visits),
        engines.spool.clone(),
        engines.ledger.clone(),
        Arc::clone(&engines.keys),
        metrics.clone(),
        clock.clone(),
    )
}

fn delivery(config: &Config, engines: &Engines, metrics: &Metrics, clock: &Clock) -> Option<Delivery> {
    let target = |destination: &config::Destination| Target {
        name: Arc::from(destination.name.as_str()),
        pixel_id: destination.pixel_id.clone(),
        access_token: destination.access_token.clone(),
        app_secret: destination.app_secret.clone(),
        host: destination.host.clone(),
        version: destination.version.clone(),
        test_event_code: destination.test_event_code.clone(),
    };
    let targets = config.destinations.iter().map(target).collect();
    let built = Delivery::new(
        delivery::Settings::default(),
        targets,
        engines.spool.clone(),
        engines.ledger.clone(),
        metrics.clone(),
        clock.clone(),
    );
    built.inspect_err(|error| tracing::error!(%error, "nothing will be delivered; events are kept")).ok()
}

fn proxy_settings(config: &Config) -> proxy::Settings {
    proxy::Settings {
        upstream: config.upstream.clone(),
        host: config.host,
        rewrite_location: config.rewrite_location,
        cookie_domain: config.cookie_domain.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        client_field: config.fronts.client_field.clone(),
        connect: config.deadlines.connect,
        first_byte: config.deadlines.first_byte,
        body_progress: config.deadlines.body,
        tunnel_idle: config.deadlines.tunnel,
        idle_age: config.deadlines.upstream_idle,
        ..proxy::Settings::default()
    }
}

/// The settings of the shop's listener.
pub(super) fn shop_settings(config: &Config) -> server::Settings {
    let usual = server::Settings::default();
    server::Settings {
        address: config.listen,
        proxy_protocol: config.fronts.proxy_protocol,
        cores: config.cores.unwrap_or(usual.cores),
        connections: config.limits.connections,
        per_address: config.limits.connections_per_address,
        head: config.deadlines.head,
        idle: config.deadlines.idle,
        write: config.deadlines.body,
        grace: config.deadlines.grace,
        hsts: config.tls.as_ref().and_then(|tls| tls.hsts).map(server::hsts),
        ..usual
    }
}

/// The settings of the Graph-compatible listener: one thread is plenty for back ends.
pub(super) fn graph_settings(config: &Config) -> server::Settings {
    server::Settings { address: config.graph_listen, proxy_protocol: false, cores: 1, ..shop_settings(config) }
}

/// What the operator exempts.
pub(super) fn exempt(bypass: &config::Bypass) -> Exempt {
    Exempt { all: bypass.all, hosts: bypass.hosts.clone(), paths: bypass.paths.clone() }
}
