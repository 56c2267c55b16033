//! `sites:`: several shops in one process, each with its hosts, servers and destinations. Must not know how a host is found.

use std::path::Path;
use std::path::PathBuf;

use crate::config::Destination;
use crate::config::Site;
use crate::config::read;
use crate::config::servers;
use crate::config::value;
use crate::fault::nearest;
use crate::hosts;
use crate::proxy::Origin;
use crate::proxy::servers::Group;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// Where the shops are.
pub(super) struct Shops {
    /// The server that is meant where a request names no host.
    pub(super) first: Origin,
    /// Those for all hosts that are nobody's.
    pub(super) group: Option<Group>,
    pub(super) sites: Vec<Site>,
}

/// Reads `upstream` and `sites`, of which one must be there.
pub(super) fn shops(file: &Section<'_>, node: &Node, folder: &Path, destinations: &[Destination]) -> Shops {
    let group = servers::group(file);
    let sites = sites(file, folder, destinations);
    if file.node("upstream").is_none() && file.node("sites").is_none() {
        let hint = "say where the shop is: `upstream: http://127.0.0.1:3000`".to_owned();
        file.faults().at(node, "`upstream` is missing", Some(hint));
    }
    let groups = group.iter().chain(sites.iter().map(|site| &site.group));
    let first = groups.flat_map(|group| &group.servers).next().map(|server| server.origin.clone());
    // The port stands in only where a fault was noted.
    Shops { first: first.unwrap_or_else(|| Origin::local(3_000)), group, sites }
}

fn sites(file: &Section<'_>, folder: &Path, destinations: &[Destination]) -> Vec<Site> {
    let mut taken: Vec<Site> = Vec::new();
    for item in file.list("sites") {
        let section = Section::of(item, file.faults());
        let hosts = names(&section, item, &taken);
        let site = site(&section, item, folder, hosts, destinations);
        section.finish();
        taken.extend(site);
    }
    taken
}

fn site(section: &Section<'_>, item: &Node, folder: &Path, hosts: Vec<String>, known: &[Destination]) -> Option<Site> {
    let faults = section.faults();
    let group = servers::group(section);
    if section.node("upstream").is_none() {
        faults.at(item, "`upstream` is missing", Some("say where this shop is: `upstream: http://127.0.0.1:3000`".to_owned()));
    }
    let upstream_ca = upstream_ca(section, group.as_ref(), folder);
    let (host, rewrite_location) = (read::host(section), section.flag("rewrite_location").unwrap_or(false));
    let cookie_domain = read::cookie_domain(section);
    let bypass = value::texts(section.list("bypass"), faults);
    let destinations = destinations(section, item, known);
    let group = group?;
    Some(Site { hosts, group, upstream_ca, host, rewrite_location, cookie_domain, bypass, destinations })
}

fn names(section: &Section<'_>, item: &Node, others: &[Site]) -> Vec<String> {
    let faults = section.faults();
    let mut names: Vec<String> = Vec::new();
    for node in section.list("hosts") {
        let Value::Text(text) = &node.value else {
            faults.at(node, format!("expected a host, found {}", node.value.kind()), None);
            continue;
        };
        let Some(name) = hosts::pattern(text) else {
            let hint = Some("without scheme, port and path; `*.` in front stands for one label".to_owned());
            faults.at(node, format!("`{text}` is not a host such as `shop.example` or `*.shop.example`"), hint);
            continue;
        };
        if names.contains(&name) || others.iter().any(|site| site.hosts.contains(&name)) {
            faults.at(node, format!("a second site has the host `{name}`"), Some("a host belongs to one site, once".to_owned()));
        }
        names.push(name);
    }
    if section.list("hosts").is_empty() {
        let hint = "hosts: [shop.example, \"*.shop.example\"]; the shop of all other hosts is the `upstream` outside of `sites`";
        faults.at(item, "the site has no `hosts`", Some(hint.to_owned()));
    }
    names
}

/// Destinations by name. They are to be said, since otherwise one shop's events would go to another's pixel unasked.
fn destinations(section: &Section<'_>, item: &Node, known: &[Destination]) -> Vec<String> {
    let faults = section.faults();
    if section.node("destinations").is_none() && !known.is_empty() {
        let names = known.iter().map(|destination| destination.name.as_str()).collect::<Vec<_>>().join(", ");
        let hint = format!("name those that events of its pages go to: `destinations: [{names}]`, or `[]` for none");
        faults.at(item, "the site has no `destinations`", Some(hint));
    }
    let items = section.list("destinations");
    let names = value::texts(items, faults);
    for (name, node) in names.iter().zip(items) {
        if !known.iter().any(|destination| destination.name == *name) {
            let near = nearest(name, known.iter().map(|destination| destination.name.as_str()));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            faults.at(node, format!("no destination is named `{name}`"), hint);
        }
    }
    names
}

/// The file of the authorities that vouch for the servers.
pub(super) fn upstream_ca(section: &Section<'_>, group: Option<&Group>, folder: &Path) -> Option<PathBuf> {
    let (node, path) = (section.node("upstream_ca")?, section.text("upstream_ca")?);
    if group.is_none_or(|group| !group.servers.iter().any(|server| server.origin.is_tls())) {
        let hint = "write `https://` there, or leave `upstream_ca` out".to_owned();
        section.faults().at(node, "`upstream_ca` vouches for nobody: `upstream` is plain HTTP", Some(hint));
    }
    Some(folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const DESTINATIONS: &str = "destinations:\n  - { name: a, pixel_id: 1, access_token: \"${T}\" }\n  - { name: b, pixel_id: 2, access_token: \"${T}\" }\n";

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let parsed = Config::parse("c", text.as_bytes(), Path::new("/c"), &|_| Some("x".to_owned()));
        parsed.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_site_says_its_hosts_servers_and_destinations() {
        let site = "sites:\n  - hosts: [Shop.example, \"*.shop.example\"]\n    upstream: https://a:1\n    upstream_ca: a.pem\n    host: upstream\n    \
                    rewrite_location: true\n    cookie_domain: { from: x, to: y }\n    bypass: [/api]\n    destinations: [b]\n";
        let config = parse(&format!("{site}{DESTINATIONS}")).unwrap();
        let site = &config.sites[0];
        assert_eq!((config.group.is_none(), config.upstream.authority()), (true, "a:1"));
        assert_eq!(
            (&site.hosts[..], &site.destinations[..]),
            (&["shop.example".to_owned(), "*.shop.example".to_owned()][..], &["b".to_owned()][..])
        );
        assert_eq!((site.upstream_ca.as_deref(), site.bypass.len()), (Some(Path::new("/c/a.pem")), 1));
    }

    #[test]
    fn what_is_wrong_about_sites_is_told_with_its_place() {
        let cases = [
            (
                "sites:\n  - hosts: [a.example]\n",
                "c:2:5: `upstream` is missing\nhint: say where this shop is: `upstream: http://127.0.0.1:3000`",
            ),
            (
                "sites:\n  - hosts: [a.example, A.example]\n    upstream: http://a:1\n",
                "c:2:24: a second site has the host `a.example`\nhint: a host belongs to one site, once",
            ),
            (
                "sites:\n  - { hosts: [a.example], upstream: http://a:1 }\n  - { hosts: [a.example], upstream: http://b:1 }\n",
                "c:3:15: a second site has the host `a.example`\nhint: a host belongs to one site, once",
            ),
            (
                "sites:\n  - hosts: [\"https://a.example\"]\n    upstream: http://a:1\n",
                "c:2:13: `https://a.example` is not a host such as `shop.example` or `*.shop.example`\n\
                 hint: without scheme, port and path; `*.` in front stands for one label",
            ),
            (
                "sites: [{ upstream: http://a:1 }]\n",
                "c:1:9: the site has no `hosts`\n\
                 hint: hosts: [shop.example, \"*.shop.example\"]; the shop of all other hosts is the `upstream` outside of `sites`",
            ),
            (
                "sites: [{ hosts: [a], upstream: http://a:1, upstream_ca: x.pem }]\n",
                "c:1:58: `upstream_ca` vouches for nobody: `upstream` is plain HTTP\nhint: write `https://` there, or leave `upstream_ca` out",
            ),
        ];
        for (text, told) in cases {
            assert_eq!(parse(text).unwrap_err(), [told], "{text}");
        }
        let silent = parse(&format!("sites: [{{ hosts: [a], upstream: http://a:1 }}]\n{DESTINATIONS}")).unwrap_err();
        assert!(
            silent[0].contains("the site has no `destinations`\nhint: name those") && silent[0].contains("[a, b]"),
            "{silent:?}"
        );
        let unknown =
            parse(&format!("sites: [{{ hosts: [a], upstream: http://a:1, destinations: [c, a] }}]\n{DESTINATIONS}")).unwrap_err();
        assert!(unknown[0].contains("no destination is named `c`"), "{unknown:?}");
    }
}
