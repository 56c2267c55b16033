//! What of a newer configuration a running process takes, and what waits for a restart. Must not know how it is taken.

use secrecy::ExposeSecret;
use secrecy::SecretString;

use crate::config::Config;
use crate::config::Destination;

impl Config {
    /// The newer configuration, but with everything that needs a restart as it is here; and the keys of what was left so.
    #[must_use]
    pub fn taking(&self, newer: &Self) -> (Self, Vec<&'static str>) {
        let mut taken = newer.clone();
        let mut left = Vec::new();
        let mut keep = |key, differs: bool| {
            if differs {
                left.push(key);
            }
        };
        keep("listen", newer.listen != self.listen);
        keep("state", newer.state != self.state);
        keep("cores", newer.cores != self.cores);
        keep("graph.listen", newer.graph_listen != self.graph_listen);
        keep("admin.listen", newer.admin_listen != self.admin_listen);
        keep("admin.token", !is_same_secret(newer.admin_token.as_ref(), self.admin_token.as_ref()));
        keep("admin.hosts", newer.admin_hosts != self.admin_hosts);
        keep("access_log", newer.access_log != self.access_log);
        keep("dns", newer.dns != self.dns);
        keep("limits.spool_bytes", newer.limits.spool_bytes != self.limits.spool_bytes);
        keep("limits.visits", newer.limits.visits != self.limits.visits);
        keep("limits.plain_visits", newer.limits.plain_visits != self.limits.plain_visits);
        keep("limits.counter_bytes", newer.limits.counter_bytes != self.limits.counter_bytes);
        taken.listen = self.listen;
        taken.state.clone_from(&self.state);
        taken.cores = self.cores;
        taken.graph_listen = self.graph_listen;
        taken.admin_listen = self.admin_listen;
        taken.admin_token.clone_from(&self.admin_token);
        taken.admin_hosts.clone_from(&self.admin_hosts);
        taken.access_log.clone_from(&self.access_log);
        taken.dns.clone_from(&self.dns);
        taken.limits.spool_bytes = self.limits.spool_bytes;
        taken.limits.visits = self.limits.visits;
        taken.limits.plain_visits = self.limits.plain_visits;
        taken.limits.counter_bytes = self.limits.counter_bytes;
        match (&mut taken.tls, &self.tls) {
            (Some(tls), Some(standing)) => {
                keep("tls.redirect", tls.redirect != standing.redirect);
                keep("tls.acme", tls.acme != standing.acme);
                tls.redirect = standing.redirect;
                tls.acme.clone_from(&standing.acme);
            }
            (None, None) => {}
            // A listener speaks TLS or does not for as long as it stands.
            (tls, standing) => {
                keep("tls", true);
                tls.clone_from(standing);
            }
        }
        (taken, left)
    }

    /// Whether both say the same, secrets included.
    pub fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.destinations.iter().zip(&other.destinations);
        // Secrets do not show, so that they are compared by themselves.
        format!("{self:?}") == format!("{other:?}")
            && is_same_secret(self.admin_token.as_ref(), other.admin_token.as_ref())
            && pairs.all(|(one, other)| one.has_secrets_of(other))
    }
}

impl Destination {
    fn has_secrets_of(&self, other: &Self) -> bool {
        is_same_secret(Some(&self.access_token), Some(&other.access_token))
            && is_same_secret(self.app_secret.as_ref(), other.app_secret.as_ref())
            && is_same_secret(self.key.as_ref(), other.key.as_ref())
    }
}

fn is_same_secret(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str, token: &str) -> Config {
        let environment = |_: &str| Some(token.to_owned());
        Config::parse("c", format!("upstream: http://s:1\n{text}").as_bytes(), Path::new("/c"), &environment).unwrap()
    }

    #[test]
    fn what_belongs_to_the_process_waits_for_a_restart_and_is_named() {
        let standing = config("", "");
        let newer = config(
            "listen: 127.0.0.1:1\ncores: 3\nmode: strict\nlimits: { connections: 7, spool_bytes: 9MiB, visits: 5000, counter_bytes: 2MiB }\n",
            "",
        );
        let (taken, left) = standing.taking(&newer);
        assert_eq!(left, ["listen", "cores", "limits.spool_bytes", "limits.visits", "limits.counter_bytes"]);
        assert_eq!((taken.listen, taken.cores), (standing.listen, None));
        assert_eq!((taken.mode, taken.limits.connections), (newer.mode, 7));
        let tls = "tls: { certificates: [{ certificate: a.pem, key: a.key }] }\n";
        assert_eq!(standing.taking(&config(tls, "")).1, ["tls"]);
        assert!(standing.taking(&config(tls, "")).0.tls.is_none());
    }

    #[test]
    fn another_token_is_another_configuration() {
        let text = "destinations: [{ pixel_id: 1, access_token: \"${T}\" }]\n";
        assert!(config(text, "one").is_same(&config(text, "one")));
        assert!(!config(text, "one").is_same(&config(text, "two")));
        assert!(!config(text, "one").is_same(&config("", "one")));
    }
}
