//! Builds the rooms over the engines and hands them to each other as values. Must not start anything.

use std::sync::Arc;

use crate::app::shops;
use crate::app::state::Engines;
use crate::clock::Clock;
use crate::collect;
use crate::collect::Collector;
use crate::config;
use crate::config::Config;
use crate::delivery::Target;
use crate::event::user;
use crate::inject;
use crate::proxy;
use crate::proxy::Bypass;
use crate::proxy::Directory;
use crate::proxy::Shop;
use crate::proxy::bypass::Exempt;
use crate::server;
use crate::server::Door;
use crate::server::Log;
use crate::server::Pressure;
use crate::server::route::GraphDoor;
use crate::server::route::ShopDoor;
use crate::telemetry::Metrics;

/// The rooms, ready to be served.
pub(super) struct Rooms {
    pub(super) shop: Door,
    pub(super) redirect: Door,
    pub(super) graph: Door,
    pub(super) bypass: Bypass,
    /// The servers of all shops, which somebody must watch.
    pub(super) directory: Arc<Directory>,
    pub(super) collector: Arc<Collector>,
}

/// What all listeners of the process share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) pressure: Pressure,
    pub(super) log: Option<Log>,
}

/// Builds them; `before` are those they follow and the prefixes these had, so that counts and the bypass switch stay.
pub(super) fn build(
    config: &Config,
    engines: &Engines,
    metrics: &Metrics,
    clock: &Clock,
    before: Option<(&Rooms, Arc<[Arc<str>]>)>,
) -> Rooms {
    let (before, former) = before.map_or_else(|| (None, Arc::default()), |(rooms, former)| (Some(rooms), former));
    let (prefix, splice, form_trap) = (config.prefix.clone(), config.splice, config.form_trap);
    let inject = inject::Settings { prefix, splice, form_trap, ..inject::Settings::default() };
    let shop = Shop::new(
        proxy::shop::Settings {
            mode: config.mode,
            consent_required: config.consent_required,
            record_pages: config.records.pages,
            inject: inject.clone(),
            held_most: config.limits.held_clicks,
        },
        Arc::clone(&engines.policy),
        Arc::clone(&engines.sources),
        Arc::clone(&engines.visits),
        engines.ledger.clone(),
        Arc::clone(&engines.keys),
        metrics.clone(),
        clock.clone(),
    );
    let shop = match before.map(|before| &before.shop) {
        Some(Door::Shop(door)) => shop.following(&door.shop),
        _ => shop,
    };
    let collector = Arc::new(match before {
        Some(before) => before.collector.changed(collect_settings(config)),
        None => collector(config, engines, metrics, clock),
    });
    let bypass = before.map_or_else(Bypass::default, |before| before.bypass.clone());
    bypass.throw(exempt(&config.bypass));
    let directory = Arc::new(Directory::new(shops::sites(config, &engines.trust), metrics, clock));
    let shop = ShopDoor {
        proxy: Arc::new(proxy::Settings {
            directory: Some(Arc::clone(&directory)),
            notes: config.access_log.is_some(),
            ..proxy_settings(config)
        }),
        shop: Arc::new(shop),
        bypass: bypass.clone(),
        prefix: Arc::from(config.prefix.as_str()),
        former,
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
    let graph = graph(&collector);
    let (redirect, shop) = (Door::Redirect(shop.clone()), Door::Shop(shop));
    Rooms { redirect, shop, graph: Door::Graph(graph), bypass, directory, collector }
}

fn graph(collector: &Arc<Collector>) -> GraphDoor {
    GraphDoor {
        graph: {
            let collector = Arc::clone(collector);
            Arc::new(move |head, body| {
                let collector = Arc::clone(&collector);
                Box::pin(async move { collector.graph(&head, body).await })
            })
        },
        full: collect::too_many_connections(),
        slow: collect::head_stalled(),
        refused: Arc::new(collect::malformed),
        body_limit: 4 * 1024 * 1024,
    }
}

fn collect_settings(config: &Config) -> collect::Settings {
    collect::Settings {
        prefix: config.prefix.clone(),
        mode: config.mode,
        consent_required: config.consent_required,
        destinations: config.destinations.iter().map(shops::destination).collect(),
        sites: shops::of_pages(config),
        user: user::Settings { default_country_code: config.phone_country_code.clone(), forms: config.hash_forms },
        graph_per_minute: config.limits.graph_requests_per_minute,
        ..collect::Settings::default()
    }
}

fn collector(config: &Config, engines: &Engines, metrics: &Metrics, clock: &Clock) -> Collector {
    Collector::new(
        collect_settings(config),
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

/// Where events are delivered.
pub(super) fn targets(config: &Config) -> Vec<Target> {
    let target = |destination: &config::Destination| Target {
        name: Arc::from(destination.name.as_str()),
        pixel_id: destination.pixel_id.clone(),
        access_token: destination.access_token.clone(),
        app_secret: destination.app_secret.clone(),
        host: destination.host.clone(),
        version: destination.version.clone(),
        test_event_code: destination.test_event_code.clone(),
    };
    config.destinations.iter().map(target).collect()
}

fn proxy_settings(config: &Config) -> proxy::Settings {
    proxy::Settings {
        upstream: config.upstream.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        client_field: config.fronts.client_field.clone(),
        ja4_field: config.fronts.ja4_field.clone(),
        connect: config.deadlines.connect,
        first_byte: config.deadlines.first_byte,
        body_progress: config.deadlines.body,
        tunnel_idle: config.deadlines.tunnel,
        idle_age: config.deadlines.upstream_idle,
        ..proxy::Settings::default()
    }
}

/// The settings of the shop's listener.
pub(super) fn shop_settings(config: &Config, door: &Shared) -> server::Settings {
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
        handshake: config.deadlines.handshake,
        event_body: config.deadlines.event_body,
        fields: config.limits.fields,
        line_limit: config.limits.line,
        head_limit: config.limits.head,
        http2: config.http2,
        pressure: door.pressure.clone(),
        log: door.log.clone(),
        hsts: config.tls.as_ref().and_then(|tls| tls.hsts).map(server::hsts),
        ..usual
    }
}

/// The settings of the Graph-compatible listener: one thread is plenty for back ends.
pub(super) fn graph_settings(config: &Config, door: &Shared) -> server::Settings {
    server::Settings { address: config.graph_listen, proxy_protocol: false, cores: 1, log: None, ..shop_settings(config, door) }
}

/// The settings of the listener that sends plain HTTP to `https`; its address is the configuration's affair.
pub(super) fn redirect_settings(config: &Config, engines: &Engines, door: &Shared) -> server::Settings {
    let challenges = engines.tls.as_ref().and_then(|tls| tls.challenges().cloned());
    server::Settings { cores: 1, hsts: None, challenges, ..shop_settings(config, door) }
}

/// What the operator exempts.
pub(super) fn exempt(bypass: &config::Bypass) -> Exempt {
    Exempt { all: bypass.all, hosts: bypass.hosts.clone(), paths: bypass.paths.clone() }
}
