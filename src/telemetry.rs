//! Metric names and their handles. Handles are made once at start; the request path only adds to them. Labels have few
//! values. Must not know who counts.

use std::fs::File;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// One label; its name is the metric's own affair.
pub type Labels = Vec<(&'static str, String)>;

/// A counter by labels; hold the handle that [`Counters::with`] gives where it is used often.
#[derive(Clone, Debug, Default)]
pub struct Counters(Family<Labels, Counter>);

impl Counters {
    /// The counter of these labels.
    pub fn with(&self, labels: &[(&'static str, &str)]) -> Counter {
        self.0.get_or_create_owned(&labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    /// Tells a count that is kept elsewhere.
    pub fn tell(&self, labels: &[(&'static str, &str)], total: u64) {
        self.with(labels).inner().store(total, Ordering::Relaxed);
    }
}

/// A gauge by labels; hold the handle that [`Gauges::with`] gives.
#[derive(Clone, Debug, Default)]
pub struct Gauges(Family<Labels, Gauge>);

impl Gauges {
    /// The gauge of these labels.
    pub fn with(&self, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.get_or_create_owned(&labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    /// Forgets all of them, before they are told anew.
    pub fn clear(&self) {
        self.0.clear();
    }
}

macro_rules! metrics {
    (counters { $($counter:ident = $counter_name:literal: $counter_says:literal;)* }
     families { $($family:ident = $family_name:literal: $family_says:literal;)* }
     gauges { $($gauge:ident = $gauge_name:literal: $gauge_says:literal;)* }
     levels { $($level:ident = $level_name:literal: $level_says:literal;)* }) => {
        /// All metrics of the process. Cloning shares them.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            registry: Arc<Registry>,
            $(#[doc = $counter_says] pub $counter: Counter,)*
            $(#[doc = $family_says] pub $family: Counters,)*
            $(#[doc = $gauge_says] pub $gauge: Gauge,)*
            $(#[doc = $level_says] pub $level: Gauges,)*
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::default();
                $(let $counter = Counter::default(); registry.register($counter_name, $counter_says, $counter.clone());)*
                $(let $family = Counters::default(); registry.register($family_name, $family_says, $family.0.clone());)*
                $(let $gauge: Gauge = Gauge::default(); registry.register($gauge_name, $gauge_says, $gauge.clone());)*
                $(let $level = Gauges::default(); registry.register($level_name, $level_says, $level.0.clone());)*
                Self { registry: Arc::new(registry), $($counter,)* $($family,)* $($gauge,)* $($level,)* }
            }
        }

        /// Every metric's name as exposed, and what it says.
        pub const METRICS: &[(&str, &str)] = &[
            $((concat!($counter_name, "_total"), $counter_says),)*
            $((concat!($family_name, "_total"), $family_says),)*
            $(($gauge_name, $gauge_says),)*
            $(($level_name, $level_says),)*
        ];
    };
}

metrics! {
    counters {
        connections = "clicksieve_connections": "Connections accepted on the shop's listener";
        upstream_connections = "clicksieve_upstream_connections": "Connections opened to the upstream";
        upstream_retries = "clicksieve_upstream_retries": "Times a request went to another server of the shop";
        records_dropped = "clicksieve_records_dropped": "Decision records dropped because their queue was full";
        access_lines_dropped = "clicksieve_access_lines_dropped": "Lines of the access log that found no room, in their queue or on the disk";
        stripped_contact_data = "clicksieve_stripped_contact_data": "Contact-like parameters and keys removed from URLs and custom data";
        proofs = "clicksieve_proofs": "Pages whose script proved that it ran";
        malformed_facts = "clicksieve_malformed_facts": "Values in reports of pages' scripts that could not be read";
        replayed_proofs = "clicksieve_replayed_proofs": "Posts with a page token of another visitor";
        traps = "clicksieve_traps": "Times that a link was followed that nobody sees";
        unnamed_proxy_views = "clicksieve_unnamed_proxy_views": "Page views through a proxy of the own network that `trusted_proxies` does not name";
    }
    families {
        requests = "clicksieve_requests": "Requests answered, by status class";
        errors = "clicksieve_proxy_errors": "Requests answered by an error page of ours, by kind";
        page_views = "clicksieve_page_views": "Page views, by class and band";
        clicks = "clicksieve_clicks": "Ad clicks, by class and band";
        rule_hits = "clicksieve_rule_hits": "Rules that spoke on a page view, by rule id";
        injections = "clicksieve_injections": "Page answers, by what was decided (injected, or why not); one in which no place was found counts under both";
        events = "clicksieve_events": "Conversion events taken, by source and decision";
        refused_events = "clicksieve_events_refused": "Conversion events refused, by reason";
        graph_requests = "clicksieve_graph_requests": "Requests on the Graph-compatible listener, by edge and status";
        deliveries = "clicksieve_deliveries": "Events handed to a destination, by destination and outcome";
        handshakes = "clicksieve_tls_handshakes": "TLS handshakes on the shop's listener, by outcome (full, resumed, failed, plain HTTP, slow, proof for an authority, no certificate yet)";
        acme_orders = "clicksieve_acme_orders": "Certificates ordered from an authority, by outcome (issued, failed)";
        click_actions = "clicksieve_click_actions": "What was done with page views, and with other requests that were kept from the shop, by action and mode";
        challenges = "clicksieve_challenges": "Challenges, by kind and outcome (issued, passed, failed, gave up)";
        reloads = "clicksieve_reloads": "Reloads, by what was loaded and outcome";
        list_refreshes = "clicksieve_list_refreshes": "Looks at the sources of lists, by list and outcome (taken, unchanged, refused, failed)";
        cache_lookups = "clicksieve_cache_lookups": "What addresses and agents say, by cache (network, agent) and result: near (the thread's own table), shared (the process's), miss (found out anew)";
    }
    gauges {
        open_connections = "clicksieve_open_connections": "Connections open on the shop's listener";
        held_clicks = "clicksieve_held_clicks": "Requests held in a tarpit";
        upstream_queue = "clicksieve_upstream_queue": "Requests that wait for a server of the shop to have room";
        visits = "clicksieve_visits": "Visits in memory";
        spool_due = "clicksieve_spool_due": "Events that wait for delivery";
        spool_held = "clicksieve_spool_held": "Events that wait for proof or consent";
        spool_parked = "clicksieve_spool_parked": "Events set aside for good";
        log_lines_dropped = "clicksieve_log_lines_dropped": "Lines of the log that nobody took in time, since the start";
        records_unwritten = "clicksieve_records_unwritten": "Decision records that the disk refused, since the start";
        memory_bytes = "clicksieve_memory_bytes": "Memory in use as the overload guard sees it; 0 where it is off";
        memory_pressure = "clicksieve_memory_pressure": "The overload guard: 0 at rest, 1 closing connections after their answer, 2 turning new ones away";
        visits_unwritten = "clicksieve_visits_unwritten": "Changes of visits that the disk refused, since the start";
        counter_bytes = "clicksieve_counter_bytes": "Memory of what rules count, at most";
        counter_evictions = "clicksieve_counter_evictions": "Entries of counters that went for want of room, since the start";
        provable_views = "clicksieve_provable_views": "Page views of the last fifteen minutes whose script had its time to prove that it ran";
        proven_views = "clicksieve_proven_views": "Those of them that it proved";
        proofs_collapsed = "clicksieve_proofs_collapsed": "1 while hardly any proofs come, so that visits are not held to them";
        proofs_collapsed_since = "clicksieve_proofs_collapsed_since_seconds": "Since when that is so, in seconds since 1970; 0 while proofs come";
    }
    levels {
        upstream_up = "clicksieve_upstream_up": "Whether a server of the shop is given requests, by server";
        list_entries = "clicksieve_list_entries": "Entries of each list in force";
        list_as_of = "clicksieve_list_as_of_seconds": "When each list in force was last known to be current, in seconds since 1970; a shipped one's snapshot";
        certificate_expiry = "clicksieve_certificate_expiry_seconds": "When each certificate in force expires, in seconds since 1970, by its first name";
    }
}

/// Lines of the log that wait at most for whoever reads standard error; those beyond are dropped and counted.
const LINES: usize = 4_096;
/// How long the last lines may take at the end of the process.
const LAST_LINES: Duration = Duration::from_secs(1);

static LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that were dropped since the start.
pub fn log_lines_dropped() -> u64 {
    LINES_DROPPED.load(Ordering::Relaxed)
}

/// The process's log; dropping it lets the lines that wait be written, for a second at most.
#[derive(Debug)]
pub struct Log(SyncSender<Line>);

#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Sends the process's log to standard error, one line an event; `RUST_LOG` chooses what is logged, `info` unless it is set.
/// A thread of its own writes it, so that a reader that has stopped reading stops nobody here.
pub fn log_to_stderr() -> Log {
    let (lines, queue) = sync_channel(LINES);
    // Not by `std::io::stderr`, whose lock would be held for as long as a reader does not read.
    if let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() {
        // Without the thread the queue is gone and every line counts as dropped.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&queue, File::from(stderr)));
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let log = Log(lines.clone());
    // A second call, as in tests, keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || LineWriter(lines.clone()))
        .with_ansi(!plain)
        .with_target(false)
        .try_init();
    log
}

fn write_lines(queue: &Receiver<Line>, mut stderr: File) {
    while let Ok(line) = queue.recv() {
        match line {
            Line::Text(text) => {
                if stderr.write_all(&text).is_err() {
                    LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Who waits for it may have given up.
            Line::Flush(said) => drop(said.send(())),
        }
    }
}

/// Where one line is put; `tracing` writes it in one piece.
struct LineWriter(SyncSender<Line>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.0.try_send(Line::Text(line.to_vec())).is_err() {
            LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (said, done) = sync_channel(1);
        if self.0.try_send(Line::Flush(said)).is_ok() {
            // Too late is as good as never: the process ends.
            let _ = done.recv_timeout(LAST_LINES);
        }
    }
}

impl Metrics {
    /// All metrics in the OpenMetrics text format.
    pub fn expose(&self) -> String {
        let mut text = String::new();
        // Writing into a `String` cannot fail; an empty page is what a scraper would see if it could.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exposed_under_its_listed_name() {
        let metrics = Metrics::default();
        metrics.requests.with(&[("status", "2xx")]).inc();
        let text = metrics.expose();
        assert!(text.contains("clicksieve_requests_total{status=\"2xx\"} 1"), "{text}");
        assert!(METRICS.iter().any(|(name, _)| *name == "clicksieve_requests_total"));
    }
}
