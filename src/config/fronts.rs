//! Who stands in front and how it names the client: ranges, shipped lists by name, the field, the preamble. Must not know
//! how any of it is believed.

use http::HeaderName;
use ipnetwork::IpNetwork;

use crate::config::Fronts;
use crate::config::value;
use crate::fault::nearest;
use crate::lists::parse_prefixes;
use crate::lists::shipped;
use crate::proxy::AddressField;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

/// Networks whose edge alone connects to shops, with their shipped lists.
const SHIPPED: &[(&str, &[&str])] = &[
    ("cloudflare", &["cloud/cloudflare-ipv4.txt", "cloud/cloudflare-ipv6.txt"]),
    ("fastly", &["cloud/fastly.txt"]),
    ("bunny", &["cloud/bunny-net.txt"]),
];

/// Load balancers that stand in the operator's own network: everybody in private space is believed (RFC 1918, RFC 6598,
/// RFC 4193). An AWS load balancer has an address of its VPC and appends to `X-Forwarded-For`.
const PRIVATE: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
const IN_PRIVATE_SPACE: &[&str] = &["aws-alb", "private"];

/// Networks of which no list is shipped, or only one that also holds machines for rent: anybody could speak from there.
const WITHOUT_LIST: &[&str] = &["cloudfront", "akamai", "google", "azure", "amazon", "imperva", "sucuri", "keycdn"];

/// Peers whose forwarding fields are believed.
pub(super) fn trusted(file: &Section<'_>) -> Vec<IpNetwork> {
    let mut networks = Vec::new();
    for item in file.list("trusted_proxies") {
        match &item.value {
            Value::Text(text) if text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !text.contains(':') => {
                networks.extend(named(text, item, file.faults()));
            }
            _ => networks.extend(value::ranges(std::slice::from_ref(item), file.faults())),
        }
    }
    networks
}

fn named(name: &str, item: &Node, faults: &Faults) -> Vec<IpNetwork> {
    if WITHOUT_LIST.contains(&name) {
        let hint = Some("write its published ranges".to_owned());
        faults.at(item, format!("there is no shipped list of `{name}`"), hint);
        return Vec::new();
    }
    if IN_PRIVATE_SPACE.contains(&name) {
        return PRIVATE.iter().filter_map(|range| range.parse().ok()).collect();
    }
    let Some((_, paths)) = SHIPPED.iter().find(|(known, _)| *known == name) else {
        let hint = nearest(name, SHIPPED.iter().map(|(known, _)| *known).chain(IN_PRIVATE_SPACE.iter().copied()))
            .map(|known| format!("did you mean `{known}`?"));
        faults.at(item, format!("`{name}` is not an address or range such as `10.0.0.0/8`"), hint);
        return Vec::new();
    };
    let read = |path: &&str| {
        let bytes = shipped(path).and_then(|file| file.bytes().ok())?;
        parse_prefixes(path, &bytes).ok()
    };
    let networks: Option<Vec<_>> = paths.iter().map(read).collect();
    if networks.is_none() {
        let hint = Some("the program file is damaged; install it again".to_owned());
        faults.at(item, format!("the shipped list of `{name}` cannot be read"), hint);
    }
    networks.into_iter().flatten().flatten().collect()
}

/// How they say whose a request is.
pub(super) fn fronts(file: &Section<'_>) -> Fronts {
    let section = file.section("client_address");
    let field = section.parsed("header", "a field such as `cf-connecting-ip`", AddressField::of_name);
    let ja4 = ja4_field(&section);
    section.finish();
    Fronts { client_field: field.unwrap_or_default(), ja4_field: ja4, proxy_protocol: proxy_protocol(file) }
}

/// The field that names the visitor's JA4. It is taken from everybody who is not trusted, so it must be one that no visitor
/// needs.
fn ja4_field(section: &Section<'_>) -> Option<HeaderName> {
    let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let field = section.parsed("ja4_header", "the name of a field such as `x-ja4`", named)?;
    if !needed(field.as_str()) {
        return Some(field);
    }
    if let Some(node) = section.node("ja4_header") {
        let hint = "name a field that only the proxy in front writes, such as `x-ja4`".to_owned();
        section.faults().at(
            node,
            format!("`{field}` is a field of ordinary requests: it would be taken from visitors"),
            Some(hint),
        );
    }
    None
}

/// Whether a visitor's own request may need the field: request fields of RFC 9110, 9111, 9112 and 9218, of Fetch and CORS, the
/// families that browsers, proxies and shops' scripts write, and who the client is.
fn needed(name: &str) -> bool {
    const FAMILIES: &[&str] =
        &["accept", "access-control-", "content-", "if-", "sec-", "x-forwarded-", "x-clicksieve-", "x-csrf", "x-xsrf"];
    const FIELDS: &[&str] = &[
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "dnt",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "max-forwards",
        "origin",
        "pragma",
        "priority",
        "proxy-authorization",
        "proxy-connection",
        "purpose",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
        "via",
        "warning",
        "x-http-method-override",
        "x-requested-with",
    ];
    FAMILIES.iter().any(|family| name.starts_with(family)) || FIELDS.contains(&name) || AddressField::of_name(name).is_some()
}

/// Whether connections begin with a preamble. Nobody may say one where nobody is trusted.
fn proxy_protocol(file: &Section<'_>) -> bool {
    let wanted = file.flag("proxy_protocol").unwrap_or(false);
    if wanted
        && file.list("trusted_proxies").is_empty()
        && let Some(node) = file.node("proxy_protocol")
    {
        let hint = "name the load balancer there; connections of others are refused".to_owned();
        file.faults().at(node, "`proxy_protocol` needs `trusted_proxies`", Some(hint));
    }
    wanted
}
