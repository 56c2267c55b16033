//! `upstream:` of the shop or of one of several: an address, a list of servers, or a map with how they are checked and limited.
//! Must not know how a server is chosen.

use std::time::Duration;

use http::HeaderValue;

use crate::proxy::Origin;
use crate::proxy::servers::Group;
use crate::proxy::servers::Health;
use crate::proxy::servers::MOST;
use crate::proxy::servers::Queue;
use crate::proxy::servers::Server;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const ADDRESS: &str = "an address such as `http://127.0.0.1:3000`";

/// Nobody is asked more often than this.
const SHORTEST: Duration = Duration::from_millis(10);

/// The servers below `upstream`; nothing where it is absent or a fault was noted.
pub(super) fn group(section: &Section<'_>) -> Option<Group> {
    let wants_http2 = section.flag("upstream_http2").unwrap_or(false);
    let node = section.node("upstream")?;
    let group = match &node.value {
        Value::List(items) => servers(items, node, None, section.faults()).map(Group::of),
        Value::Map(_) => mapped(node, section.faults()),
        _ => {
            section.parsed("upstream", ADDRESS, |text| Origin::parse(text).ok()).map(|origin| Group::of(vec![Server::of(origin)]))
        }
    };
    if wants_http2 { group.map(|group| offering_http2(section, group)) } else { group }
}

/// The servers reached by TLS are offered HTTP/2.
fn offering_http2(section: &Section<'_>, mut group: Group) -> Group {
    if !group.servers.iter().any(|server| server.origin.is_tls())
        && let Some(node) = section.node("upstream_http2")
    {
        let hint = "write `h2c://` there for HTTP/2 without TLS, or leave `upstream_http2` out".to_owned();
        section.faults().at(node, "`upstream_http2` is offered by TLS, and `upstream` is plain HTTP", Some(hint));
    }
    for server in group.servers.iter_mut().filter(|server| server.origin.is_tls()) {
        server.origin = server.origin.clone().offering_http2();
    }
    group
}

fn mapped(node: &Node, faults: &Faults) -> Option<Group> {
    let section = Section::of(node, faults);
    let connections = connections(&section);
    let servers = servers(section.list("servers"), node, connections, faults);
    let queue = queue(&section, servers.as_deref());
    let health = health(&section);
    let usual = Group::of(servers.unwrap_or_default());
    let group = Group {
        health,
        queue: queue.unwrap_or_default(),
        failures: count(&section, "failures").unwrap_or(usual.failures),
        rest: time(&section, "rest").unwrap_or(usual.rest),
        servers: usual.servers,
    };
    if group.health.is_some()
        && let Some(server) = group.servers.iter().find(|server| server.origin.is_h2c())
        && let Some(node) = section.node("health")
    {
        let hint = "leave it out: a server that fails requests rests all the same".to_owned();
        faults.at(
            node,
            format!("`health` asks by HTTP/1.1, which `h2c://{}` does not speak", server.origin.authority()),
            Some(hint),
        );
    }
    section.finish();
    (!group.servers.is_empty()).then_some(group)
}

fn servers(items: &[Node], place: &Node, most: Option<u32>, faults: &Faults) -> Option<Vec<Server>> {
    let mut taken: Vec<Server> = Vec::new();
    for item in items {
        let Some(server) = server(item, most, faults) else { continue };
        if taken.iter().any(|other| other.origin == server.origin) {
            let hint = Some("give one of them a `weight` instead".to_owned());
            faults.at(item, format!("a second server is `{}`", server.origin.authority()), hint);
        }
        taken.push(server);
    }
    if items.is_empty() {
        let hint = Some("servers: [http://10.0.0.1:3000, http://10.0.0.2:3000]".to_owned());
        faults.at(place, "`upstream` has no server", hint);
    }
    if items.len() > MOST {
        faults.at(place, format!("`upstream` has {} servers, more than {MOST}", items.len()), None);
    }
    (!taken.is_empty()).then_some(taken)
}

fn server(item: &Node, most: Option<u32>, faults: &Faults) -> Option<Server> {
    if let Value::Text(text) = &item.value {
        let origin = Origin::parse(text).ok();
        if origin.is_none() {
            faults.at(item, format!("`{text}` is not {ADDRESS}"), None);
        }
        return origin.map(|origin| Server { connections: most, ..Server::of(origin) });
    }
    let section = Section::of(item, faults);
    let origin = section.parsed("url", ADDRESS, |text| Origin::parse(text).ok());
    if section.node("url").is_none() {
        faults.at(item, "`url` is missing", Some("url: http://10.0.0.1:3000".to_owned()));
    }
    let weight = section.number("weight", 1..=1_000).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
    let connections = connections(&section).or(most);
    section.finish();
    origin.map(|origin| Server { origin, weight, connections })
}

fn connections(section: &Section<'_>) -> Option<u32> {
    section.number("connections", 1..=1_000_000).and_then(|count| u32::try_from(count).ok())
}

fn count(section: &Section<'_>, key: &'static str) -> Option<u32> {
    section.number(key, 1..=1_000).and_then(|count| u32::try_from(count).ok())
}

fn time(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let time = section.duration(key)?;
    if time < SHORTEST
        && let Some(node) = section.node(key)
    {
        section.faults().at(node, format!("`{key}` must be at least 10ms"), None);
    }
    Some(time.max(SHORTEST))
}

fn queue(above: &Section<'_>, servers: Option<&[Server]>) -> Option<Queue> {
    let node = above.node("queue")?;
    if servers.is_some_and(|servers| servers.iter().any(|server| server.connections.is_none())) {
        let hint = Some("say how many `connections` each server may have".to_owned());
        above.faults().at(node, "`queue` is for nobody: there is a server without a limit", hint);
    }
    let (section, usual) = (above.section("queue"), Queue::default());
    let length = section.number("length", 0..=100_000).and_then(|length| usize::try_from(length).ok());
    let queue = Queue { length: length.unwrap_or(usual.length), wait: time(&section, "wait").unwrap_or(usual.wait) };
    section.finish();
    Some(queue)
}

fn health(above: &Section<'_>) -> Option<Health> {
    let node = above.node("health")?;
    let section = above.section("health");
    let path = section.parsed("path", "a path such as `/health`", path);
    if section.node("path").is_none() {
        above.faults().at(node, "`health` has no `path`", Some("health: { path: /health }".to_owned()));
    }
    let usual = Health::of(path.unwrap_or_default());
    let health = Health {
        host: section.parsed("host", "a host such as `shop.example`", host),
        every: time(&section, "every").unwrap_or(usual.every),
        timeout: time(&section, "timeout").unwrap_or(usual.timeout),
        unhealthy_after: count(&section, "unhealthy_after").unwrap_or(usual.unhealthy_after),
        healthy_after: count(&section, "healthy_after").unwrap_or(usual.healthy_after),
        path: usual.path,
    };
    section.finish();
    (!health.path.is_empty()).then_some(health)
}

fn path(text: &str) -> Option<String> {
    let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    fits.then(|| text.to_owned())
}

fn host(text: &str) -> Option<HeaderValue> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte));
    fits.then(|| HeaderValue::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let parsed = Config::parse("c", text.as_bytes(), Path::new("/c"), &|_| Some("x".to_owned()));
        parsed.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn servers_are_an_address_a_list_or_a_map() {
        let one = parse("upstream: http://a:1\n").unwrap();
        assert_eq!(one.group, Some(Group::of(vec![Server::of(one.upstream.clone())])));
        let list = parse("upstream: [http://a:1, { url: http://b:2, weight: 3 }]\n").unwrap().group.unwrap();
        assert_eq!(list.servers.iter().map(|server| server.weight).collect::<Vec<_>>(), [1, 3]);
        let map = "upstream:\n  servers: [{ url: http://a:1, connections: 9 }, http://b:2]\n  connections: 5\n  failures: 2\n  rest: 1s\n  \
                   queue: { length: 7, wait: 3s }\n  health: { path: /up?x=1, host: shop.example, every: 1s, healthy_after: 1 }\n";
        let map = parse(map).unwrap().group.unwrap();
        assert_eq!(map.servers.iter().map(|server| server.connections).collect::<Vec<_>>(), [Some(9), Some(5)]);
        assert_eq!((map.failures, map.rest, map.queue.length), (2, Duration::from_secs(1), 7));
        let health = map.health.unwrap();
        assert_eq!(
            (health.path.as_str(), health.every, health.unhealthy_after, health.healthy_after),
            ("/up?x=1", map.rest, 3, 1)
        );
    }

    #[test]
    fn what_is_wrong_about_servers_is_told_with_its_place() {
        let cases = [
            ("upstream: []\n", "c:1:11: `upstream` has no server\nhint: servers: [http://10.0.0.1:3000, http://10.0.0.2:3000]"),
            (
                "upstream: [http://a:1, http://a:1]\n",
                "c:1:24: a second server is `a:1`\nhint: give one of them a `weight` instead",
            ),
            ("upstream: [http://a:1, ftp://b]\n", "c:1:24: `ftp://b` is not an address such as `http://127.0.0.1:3000`"),
            ("upstream: [{ url: http://a:1, weight: 0 }]\n", "c:1:39: `weight` must be a whole number from 1 to 1000"),
            ("upstream: [{ weight: 2 }]\n", "c:1:12: `url` is missing\nhint: url: http://10.0.0.1:3000"),
            (
                "upstream: { servers: [http://a:1], health: { every: 5s } }\n",
                "c:1:44: `health` has no `path`\nhint: health: { path: /health }",
            ),
            (
                "upstream: { servers: [http://a:1], health: { path: up } }\n",
                "c:1:52: `path`: `up` is not a path such as `/health`",
            ),
            ("upstream: { servers: [http://a:1], health: { path: /, every: 0 } }\n", "c:1:62: `every` must be at least 10ms"),
            (
                "upstream: { servers: [http://a:1], queue: { length: 9 } }\n",
                "c:1:43: `queue` is for nobody: there is a server without a limit\nhint: say how many `connections` each server may have",
            ),
            (
                "upstream: { servers: [h2c://a:1], health: { path: / } }\n",
                "c:1:43: `health` asks by HTTP/1.1, which `h2c://a:1` does not speak\nhint: leave it out: a server that fails requests rests all the same",
            ),
            (
                "upstream: { servers: [http://a:1], connectons: 9 }\n",
                "c:1:36: unknown field `connectons`\nhint: did you mean `connections`?",
            ),
        ];
        for (text, told) in cases {
            assert_eq!(parse(text).unwrap_err(), [told], "{text}");
        }
    }
}
