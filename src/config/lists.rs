//! `lists`: which lists are fetched or read, and what is asked of them. Must not fetch any.

use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::config::value;
use crate::fact::NetworkKind;
use crate::fact::identity_names;
use crate::facts::Role;
use crate::facts::role_of_shipped;
use crate::lists::Column;
use crate::lists::Format;
use crate::refresh::lists::Bounds;
use crate::refresh::lists::Content;
use crate::refresh::lists::Origin;
use crate::refresh::lists::Source;
use crate::yaml::Node;
use crate::yaml::Section;

const HOUR: Duration = Duration::from_hours(1);
/// No source is asked more often.
const OFTEN: Duration = Duration::from_mins(1);
/// Lists in all; beyond, a file is meant.
const MOST: usize = 200;

/// Reads all entries.
pub(super) fn lists(file: &Section<'_>, folder: &Path) -> Vec<Source> {
    let mut all: Vec<Source> = Vec::new();
    for item in file.list("lists") {
        let section = Section::of(item, file.faults());
        let Some(source) = source(&section, item, folder) else { continue };
        if all.iter().any(|other| other.name == source.name) {
            file.faults().at(item, format!("a second list is named `{}`", source.name), None);
        }
        all.push(source);
    }
    if let Some(one_too_many) = file.list("lists").get(MOST) {
        file.faults().at(one_too_many, format!("more than {MOST} lists"), None);
    }
    all
}

fn source(section: &Section<'_>, item: &Node, folder: &Path) -> Option<Source> {
    let name = section.parsed("name", "a name of lower-case letters, digits, `-` or `_`", name);
    if section.node("name").is_none() {
        section.faults().at(item, "`name` is missing", None);
    }
    let shipped = name.as_deref().and_then(shipped);
    let (role, content) = (role(section, shipped.map(|(role, _)| role)), content(section, shipped.map(|(_, content)| content)));
    let origin = origin(section, item, folder);
    let format = format(section, content);
    let (every, max_age) =
        (section.duration("every").unwrap_or(12 * HOUR), section.duration("max_age").unwrap_or(30 * 24 * HOUR));
    if every < OFTEN
        && let Some(node) = section.node("every")
    {
        section.faults().at(node, "`every` must be `1m` or more", None);
    }
    let usual = Bounds::default();
    let largest = if content == Content::Database { 512 << 20 } else { usual.bytes };
    let bounds = Bounds {
        shrink: section.parsed("max_shrink", "a share such as `50%`", percent).unwrap_or(usual.shrink),
        growth: section.parsed("max_growth", "a share such as `200%`", percent).unwrap_or(usual.growth),
        bytes: section.parsed("max_bytes", "a size such as `20MiB`", value::size).unwrap_or(largest).min(largest),
    };
    let protected = section.flag("protected").unwrap_or(matches!(role, Role::Identity(_)));
    let disable_when_stale = value::word(section, "on_stale", &[("keep", false), ("disable", true)]).unwrap_or(false);
    section.finish();
    fits(section, item, role, content);
    Some(Source { name: name?, role, content, origin: origin?, format, every, max_age, disable_when_stale, bounds, protected })
}

/// What a shipped list of that name says and holds, which one in its place need not repeat.
fn shipped(name: &str) -> Option<(Role, Content)> {
    match name {
        "vpn_asn" => Some((Role::Kind(NetworkKind::Vpn), Content::Numbers)),
        "datacenter_asn" => Some((Role::Kind(NetworkKind::Datacenter), Content::Numbers)),
        "carrier_asn" => Some((Role::Kind(NetworkKind::MobileCarrier), Content::Numbers)),
        "asn" | "country" | "anonymous" | "connection_type" => Some((Role::Plain, Content::Database)),
        name => role_of_shipped(name).map(|role| (role, Content::Networks)),
    }
}

fn role(section: &Section<'_>, shipped: Option<Role>) -> Role {
    let kinds = NetworkKind::ALL.iter().filter(|kind| !matches!(kind, NetworkKind::Bogon | NetworkKind::Unknown));
    let kinds: Vec<(&'static str, NetworkKind)> = kinds.map(|kind| (kind.name(), *kind)).collect();
    let kind = value::word(section, "kind", &kinds).map(Role::Kind);
    let identities: Vec<(&'static str, &'static str)> = identity_names().iter().map(|name| (*name, *name)).collect();
    let identity = value::word(section, "identity", &identities).map(Role::Identity);
    if let (Some(node), true) = (section.node("identity"), kind.is_some()) {
        section.faults().at(node, "a list has either `kind` or `identity`", Some("an identity's ranges are crawlers".to_owned()));
    }
    identity.or(kind).or(shipped).unwrap_or(Role::Plain)
}

fn content(section: &Section<'_>, shipped: Option<Content>) -> Content {
    let words = [("networks", Content::Networks), ("numbers", Content::Numbers), ("database", Content::Database)];
    value::word(section, "type", &words).or(shipped).unwrap_or(Content::Networks)
}

/// Numbers and databases say only some things.
fn fits(section: &Section<'_>, item: &Node, role: Role, content: Content) {
    let place = section.node("type").unwrap_or(item);
    let by_number = [NetworkKind::Vpn, NetworkKind::Datacenter, NetworkKind::MobileCarrier];
    if content == Content::Numbers && !by_number.iter().any(|kind| role == Role::Kind(*kind)) {
        let hint = "numbers of networks have the `kind` `vpn`, `datacenter` or `mobile_carrier`".to_owned();
        section.faults().at(place, "numbers do not say that", Some(hint));
    }
    let name = section.text("name").unwrap_or_default();
    let is_database = matches!(shipped(&name), Some((_, Content::Database)));
    if (content == Content::Database) != is_database {
        let hint = "databases are named `asn`, `country`, `anonymous` or `connection_type`, and nothing else is".to_owned();
        section.faults().at(place, format!("`{name}` cannot hold that"), Some(hint));
    }
}

fn origin(section: &Section<'_>, item: &Node, folder: &Path) -> Option<Origin> {
    let url = section.parsed("url", "an https address", url).map(Origin::Url);
    let file = section.text("file").map(|path| Origin::File(folder.join(path)));
    if section.node("url").is_some() == section.node("file").is_some() {
        section.faults().at(item, "a list has either `url` or `file`", None);
    }
    url.or(file)
}

fn format(section: &Section<'_>, content: Content) -> Format {
    let words = [
        ("auto", Format::Auto),
        ("text", Format::Text),
        ("csv", Format::Csv(Column::Number(1))),
        ("json", Format::Json(None)),
        ("misp", Format::Misp),
        ("mmdb", Format::Auto),
    ];
    let names: Vec<(&'static str, usize)> = words.iter().zip(0..).map(|((name, _), at)| (*name, at)).collect();
    let at = value::word(section, "format", &names);
    let chosen = at.and_then(|at| words.into_iter().nth(at)).unwrap_or(("", Format::Auto));
    let column = section.text("column");
    let place = section.node("column").or_else(|| section.node("format"));
    if let (Some(node), true) = (place, (chosen.0 == "mmdb") != (content == Content::Database) && !chosen.0.is_empty()) {
        section.faults().at(node, "`mmdb` is the form of databases, and of nothing else", None);
    }
    match (chosen.1, column) {
        (Format::Json(_), field) => Format::Json(field),
        // A column says that it is a table.
        (Format::Csv(_) | Format::Auto, Some(column)) if chosen.0 != "mmdb" => {
            let number = column.parse().ok().filter(|number| *number > 0);
            Format::Csv(number.map_or(Column::Name(column), Column::Number))
        }
        (format, None) => format,
        (format, Some(_)) => {
            if let Some(node) = section.node("column") {
                section.faults().at(node, "`column` is for `csv`, where it is a column, and `json`, where it is a key", None);
            }
            format
        }
    }
}

fn name(text: &str) -> Option<String> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    ((1..=48).contains(&text.len()) && text.bytes().all(letters)).then(|| text.to_owned())
}

/// TLS, or this machine.
fn url(text: &str) -> Option<Url> {
    value::api_host(text)
}

fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.trim().parse().ok().filter(|share| *share <= 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Vec<Source>, Vec<String>> {
        let file = format!("upstream: http://s:1\nlists:\n{text}");
        let read = Config::parse("c.yaml", file.as_bytes(), Path::new("/c"), &|_| None);
        read.map(|config| config.lists).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_list_in_place_of_a_shipped_one_need_not_say_what_that_says() {
        let lists =
            read("  - { name: tor, url: 'https://l.example/tor?key=s' }\n  - { name: carrier_asn, file: a.csv, column: asn }\n")
                .unwrap();
        let [tor, carriers] = lists.as_slice() else { panic!("{lists:?}") };
        assert_eq!((tor.role, tor.content, &tor.format), (Role::Kind(NetworkKind::Tor), Content::Networks, &Format::Auto));
        assert_eq!((tor.every, tor.protected, tor.shown().as_str()), (12 * HOUR, false, "https://l.example/tor"));
        assert_eq!((carriers.role, carriers.content), (Role::Kind(NetworkKind::MobileCarrier), Content::Numbers));
        assert_eq!(carriers.format, Format::Csv(Column::Name("asn".to_owned())));
        assert_eq!(carriers.origin, Origin::File("/c/a.csv".into()));
        let bing =
            read("  - { name: bing, url: 'https://b.example/', format: json, column: ipv4Prefix, max_shrink: 10% }\n").unwrap();
        assert_eq!((bing[0].role, bing[0].protected, bing[0].bounds.shrink), (Role::Identity("bing"), true, 10));
        assert_eq!(bing[0].format, Format::Json(Some("ipv4Prefix".to_owned())));
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        for (text, said) in [
            ("  - { url: 'https://a.example/' }", "c.yaml:3:5: `name` is missing"),
            ("  - { name: A, url: 'https://a.example/' }", "c.yaml:3:13: `name`: `A` is not a name of lower-case letters"),
            ("  - { name: a, url: 'http://a.example/' }", "c.yaml:3:21: `url`: `http://a.example/` is not an https address"),
            ("  - { name: a }", "c.yaml:3:5: a list has either `url` or `file`"),
            ("  - { name: a, file: f, kind: tro }", "c.yaml:3:31: unknown kind `tro`\nhint: did you mean `tor`?"),
            ("  - { name: a, file: f, kind: bogon }", "c.yaml:3:31: unknown kind `bogon`"),
            ("  - { name: a, file: f, kind: tor, identity: meta }", "c.yaml:3:46: a list has either `kind` or `identity`"),
            ("  - { name: a, file: f, type: numbers, kind: tor }", "c.yaml:3:31: numbers do not say that"),
            ("  - { name: a, file: f, type: database }", "c.yaml:3:31: `a` cannot hold that"),
            ("  - { name: a, file: f, format: misp, column: b }", "c.yaml:3:47: `column` is for `csv`"),
            ("  - { name: a, file: f, every: 1s }", "c.yaml:3:32: `every` must be `1m` or more"),
            ("  - { name: a, file: f, max_shrink: half }", "c.yaml:3:37: `max_shrink`: `half` is not a share"),
            ("  - { name: a, file: f }\n  - { name: a, file: g }", "c.yaml:4:5: a second list is named `a`"),
            ("  - { name: a, file: f, evry: 1h }", "c.yaml:3:25: unknown field `evry`\nhint: did you mean `every`?"),
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.starts_with(said)), "{text}: {faults:?}");
        }
    }
}
