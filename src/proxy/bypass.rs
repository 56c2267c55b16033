//! The switch that turns clicksieve into a plain proxy at run time, for everything, for hosts, or for paths.
//! Must not know why it was thrown.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// Paths that are never scored and never injected: certificates, webhooks and payment callbacks, which machines call.
pub const DEFAULT_EXEMPT: &[&str] = &[
    "/.well-known/",
    "/webhook",
    "/webhooks/",
    "/wc-api/",
    "/wp-json/wc/",
    "/wp-cron.php",
    "/api/webhook",
    "/stripe/",
    "/paypal/",
    "/klarna/",
    "/mollie/",
    "/adyen/",
    "/payment/callback",
    "/payments/callback",
    "/payment/notification",
    "/ipn",
];

/// What is plainly proxied now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// Everything.
    pub all: bool,
    /// Requests to these hosts: lower case, without a port.
    pub hosts: Vec<String>,
    /// Requests whose path starts so. A prefix without a slash at its end covers whole segments of the path.
    pub paths: Vec<String>,
}

impl Exempt {
    /// Whether a request is plainly proxied. `host` may carry a port.
    pub fn holds(&self, host: &str, path: &str) -> bool {
        self.all || self.paths.iter().any(|prefix| starts(path, prefix)) || self.names(host)
    }

    fn names(&self, host: &str) -> bool {
        if self.hosts.is_empty() {
            return false;
        }
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(bare))
    }
}

fn starts(path: &str, prefix: &str) -> bool {
    let below = |rest: &str| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/');
    path.strip_prefix(prefix).is_some_and(|rest| below(rest) && !may_climb(rest))
}

/// Whether a shop could read the path as one outside the prefix: nobody gets an unscored page by a detour.
fn may_climb(rest: &str) -> bool {
    let escapes = |code: &[u8]| rest.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(code));
    rest.contains("..") || rest.contains('\\') || escapes(b"%2e") || escapes(b"%2f") || escapes(b"%5c")
}

/// The switch; clones throw the same one.
#[derive(Clone, Debug, Default)]
pub struct Bypass(Arc<ArcSwap<Exempt>>);

impl Bypass {
    /// A switch in this position.
    pub fn new(exempt: Exempt) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(exempt)))
    }

    /// Throws it; requests that have begun keep the old position.
    pub fn throw(&self, exempt: Exempt) {
        self.0.store(Arc::new(exempt));
    }

    /// Its position.
    pub fn position(&self) -> Arc<Exempt> {
        self.0.load_full()
    }

    /// Whether a request is plainly proxied now.
    pub fn holds(&self, host: &str, path: &str) -> bool {
        self.0.load().holds(host, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thrown_switch_holds_for_all_its_clones() {
        let bypass = Bypass::default();
        let copy = bypass.clone();
        assert!(!copy.holds("shop.example", "/"));
        bypass.throw(Exempt { all: true, ..Exempt::default() });
        assert!(copy.holds("shop.example", "/"));
    }

    #[test]
    fn a_host_is_found_without_its_port_and_case() {
        let exempt = Exempt { hosts: vec!["admin.shop.example".to_owned()], ..Exempt::default() };
        assert!(exempt.holds("Admin.shop.example:8443", "/"));
        assert!(!exempt.holds("shop.example", "/"));
    }

    #[test]
    fn a_detour_through_an_exempt_path_is_not_exempt() {
        let exempt = Exempt { paths: vec!["/webhooks/".to_owned()], ..Exempt::default() };
        assert!(exempt.holds("h", "/webhooks/orders.json"));
        for path in ["/webhooks/../cart", "/webhooks/%2E%2e/cart", "/webhooks/a%2f..%2fcart", "/webhooks/..\\cart"] {
            assert!(!exempt.holds("h", path), "{path}");
        }
    }

    #[test]
    fn a_path_prefix_ends_at_a_segment() {
        let exempt = Exempt { paths: DEFAULT_EXEMPT.iter().map(|path| (*path).to_owned()).collect(), ..Exempt::default() };
        assert!(exempt.holds("h", "/webhook") && exempt.holds("h", "/webhook/stripe") && exempt.holds("h", "/.well-known/x"));
        assert!(!exempt.holds("h", "/webhook-software"));
        assert!(!exempt.holds("h", "/ipnotic-chairs"));
    }
}
