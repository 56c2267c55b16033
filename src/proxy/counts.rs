//! Counters of page views and clicks, with their handles made once, so that counting one takes no look-up. Must not know how
//! they are exported.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use crate::inject::Why;
use crate::proxy::exchange::RecordKind;
use crate::telemetry::Counters;
use crate::telemetry::Metrics;
use crate::verdict::Band;
use crate::verdict::Class;
use crate::verdict::Verdict;

/// Counters of the scoring part, their handles made once.
pub(super) struct Counts {
    page_views: [Counter; 5],
    clicks: [Counter; 5],
    pub(super) injected: Counter,
    /// Counts a page in which no place was found after all.
    pub(super) missed: Arc<dyn Fn(Why) + Send + Sync>,
    pub(super) metrics: Metrics,
}

impl Counts {
    /// Counters in these metrics.
    pub(super) fn new(metrics: Metrics) -> Self {
        let row = |of: &Counters, class: &str, band: &str| of.with(&[("class", class), ("band", band)]);
        let rows = |of: &Counters| {
            [
                row(of, "visit", Band::Human.name()),
                row(of, "visit", Band::Suspect.name()),
                row(of, "visit", Band::LikelyInvalid.name()),
                row(of, "visit", Band::Invalid.name()),
                row(of, "skip", "none"),
            ]
        };
        Self {
            page_views: rows(&metrics.page_views),
            clicks: rows(&metrics.clicks),
            injected: metrics.injections.with(&[("outcome", "injected")]),
            missed: {
                let injections = metrics.injections.clone();
                Arc::new(move |why| {
                    injections.with(&[("outcome", why.name())]).inc();
                })
            },
            metrics,
        }
    }

    /// Counts a page view.
    pub(super) fn page(&self, verdict: &Verdict, kind: RecordKind) {
        let place = if verdict.class == Class::Skip { 4 } else { verdict.band as usize };
        let count = |rows: &[Counter; 5]| rows.get(place).map(Counter::inc);
        count(&self.page_views);
        if kind == RecordKind::Click {
            count(&self.clicks);
        }
        for reason in verdict.reasons.iter() {
            self.metrics.rule_hits.with(&[("rule", &reason.rule)]).inc();
        }
    }
}
