//! The configuration that an operator would write to put the proxy before a shop, with the demo's pixel and tokens.
//! The command and the browser tests start the same proxy from it. Must not start anything.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;

use crate::config::Config;
use crate::demo::graph::Account;
use crate::demo::shop::Backend;
use crate::fault::Fault;

/// The pixel in the shop's pages.
pub const PIXEL: &str = "100200300400500";
/// Tokens of a shop that does not exist; the mock is the only one that takes them.
const TOKEN: &str = "demo-access-token";
const KEY: &str = "demo-back-end-key";

/// What differs from one proxy to the next.
#[derive(Clone, Copy, Debug)]
pub struct Front<'a> {
    /// Where the shop is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The site behind it, such as `http://127.0.0.1:3000`.
    pub site: &'a str,
    /// The mock Graph API.
    pub graph: &'a str,
    /// The state folder.
    pub state: &'a Path,
    /// A rule file in place of the shipped one.
    pub rules: Option<&'a Path>,
    /// Further lines of the file, such as `consent: required`; empty for none.
    pub more: &'a str,
}

impl Front<'_> {
    /// The checked configuration: mode `warn`, one core, every page view recorded, and this machine's `X-Forwarded-For`
    /// believed, so that scripted visitors come from where they say.
    pub fn config(&self) -> Result<Config, Vec<Fault>> {
        let rules = self.rules.map(|rules| format!("rules: {}\n", rules.display())).unwrap_or_default();
        let text = format!(
            "listen: {listen}\nupstream: {site}\nmode: warn\ncores: 1\nstate: {state}\n{rules}trusted_proxies: [127.0.0.1]\n\
             destinations:\n  - name: meta\n    pixel_id: \"{PIXEL}\"\n    access_token: ${{TOKEN}}\n    key: ${{KEY}}\n    host: {graph}\n\
             graph: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\nrecords: {{ pages: true }}\n{more}",
            listen = self.listen,
            site = self.site,
            state = self.state.display(),
            graph = self.graph,
            more = self.more,
        );
        let environment = |name: &str| match name {
            "TOKEN" => Some(TOKEN.to_owned()),
            "KEY" => Some(KEY.to_owned()),
            _ => None,
        };
        let here = std::env::current_dir().unwrap_or_default();
        Config::parse("demo", text.as_bytes(), &here, &environment)
    }
}

/// The account that the mock answers for.
pub fn account() -> Account {
    Account { pixel: PIXEL.to_owned(), token: SecretString::from(TOKEN) }
}

/// What the shop's back end uses to reach the Graph-compatible endpoint.
pub fn backend(endpoint: &str) -> Backend {
    Backend { endpoint: endpoint.to_owned(), key: SecretString::from(KEY) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_text_is_a_good_configuration() {
        let front = Front {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            site: "http://127.0.0.1:3000",
            graph: "http://127.0.0.1:4000",
            state: Path::new("/tmp/state"),
            rules: Some(Path::new("/tmp/rules.yaml")),
            more: "consent: required\n",
        };
        let config = front.config().unwrap();
        assert!(config.consent_required && config.records.pages);
        assert_eq!(config.destinations[0].pixel_id, PIXEL);
        assert_eq!(config.rules.as_deref(), front.rules);
    }
}
