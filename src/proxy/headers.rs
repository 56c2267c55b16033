//! Fields on their way through: those that belong to one hop go no further (RFC 9110 section 7.6.1), and what the shop
//! learns of the client is ours to say. Must not know routing or bodies.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::click::Scheme;
use crate::proxy::client::AddressField;
use crate::proxy::client::Client;
use crate::proxy::client::address_value;
use crate::proxy::connection::ConnectionState;
use crate::proxy::trailers::Said;

/// The prefix of the fields that tell the shop of a click. A visitor's own are stripped.
pub const OWN_PREFIX: &str = "x-clicksieve-";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields of one hop besides `Connection` and what it names. `Expect` is among them as each hop answers it itself.
const HOP: &[&str] = &[
    "keep-alive",
    // CGI makes `HTTP_PROXY` of it, which programs take for their own setting.
    "proxy",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Fields in which servers and vendors carry the client's address, scheme or port.
const CLIENT: &[&str] = &[
    "forwarded",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "forwarded-for",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
];

/// Those of them that hold one address.
const SINGLE: &[&str] = &[
    "x-client-ip",
    "x-cluster-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
];

/// Those of them that tell of a chain, besides the one that is configured.
const CHAINS: &[&str] = &["forwarded", "x-forwarded", "x-original-forwarded-for", "forwarded-for"];

/// Fields that `Connection` cannot remove: the shop would believe something else without them.
const KEPT: &[&str] =
    &["host", "cookie", "authorization", "content-length", "content-type", "content-encoding", "cache-control", "set-cookie"];

/// What a scan of a head found, so that the usual head costs one pass and few look-ups.
#[derive(Default)]
struct Found {
    hop: bool,
    client: bool,
}

fn scan(headers: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in headers.keys() {
        let name = name.as_str();
        match name.as_bytes().first() {
            Some(b'k' | b'p' | b't' | b'u' | b'h' | b'e') if HOP.contains(&name) => found.hop = true,
            _ => {}
        }
        found.client |= matches!(name.as_bytes().first(), Some(b'x' | b'f' | b'c' | b't')) && CLIENT.contains(&name);
    }
    found
}

/// Whether a name is one that counts but for its punctuation: CGI and its heirs read `X_Forwarded_For` as `X-Forwarded-For`
/// (RFC 3875 section 4.1.18).
fn is_twin(name: &str) -> bool {
    let odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-';
    if !name.bytes().any(odd) {
        return false;
    }
    let plain: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    [HOP, CLIENT, KEPT].iter().any(|names| names.contains(&plain.as_str())) || plain.starts_with(OWN_PREFIX)
}

/// Whether a field is ours or a hop's to say, or could be read as such a one.
pub(super) fn is_ours_or_the_hops(name: &str) -> bool {
    HOP.contains(&name) || CLIENT.contains(&name) || name.starts_with(OWN_PREFIX) || is_twin(name)
}

/// Removes the visitor's own copies of our fields, and what the shop could take for a field that is ours or the hop's to say;
/// before anything of ours is added.
pub fn strip_own(headers: &mut HeaderMap) {
    let own = |name: &HeaderName| name.as_str().starts_with(OWN_PREFIX) || is_twin(name.as_str());
    if !headers.keys().any(own) {
        return;
    }
    let names: Vec<HeaderName> = headers.keys().filter(|name| own(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes what belongs to the hop the message came over; gives what it said of trailers.
fn strip_hop(headers: &mut HeaderMap, found: &Found) -> Option<Said> {
    let said = found.hop.then(|| Said::read(headers));
    if let Some(names) = named_by_connection(headers) {
        for name in names {
            headers.remove(name);
        }
    }
    headers.remove(header::CONNECTION);
    if found.hop {
        for name in HOP {
            headers.remove(*name);
        }
    }
    said
}

/// The fields that `Connection` names and may remove; nothing in the usual case of `keep-alive` or `close`.
fn named_by_connection(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    let usual = |value: &HeaderValue| {
        let word = value.as_bytes();
        word.eq_ignore_ascii_case(b"keep-alive") || word.eq_ignore_ascii_case(b"close")
    };
    let lines = headers.get_all(header::CONNECTION);
    if lines.iter().all(usual) {
        return None;
    }
    let tokens = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok());
    Some(names.filter(|name| may_be_named(name.as_str())).collect())
}

fn may_be_named(name: &str) -> bool {
    !CLIENT.contains(&name) && !KEPT.contains(&name) && !name.starts_with(OWN_PREFIX)
}

/// Makes a request's fields ready for the shop. `field` is where trusted proxies name the client; `host` replaces the
/// visitor's `Host` where it is given.
pub fn prepare_request(
    headers: &mut HeaderMap,
    connection: &ConnectionState,
    client: &Client,
    field: &AddressField,
    host: Option<&HeaderValue>,
) {
    let found = scan(headers);
    if let Some(said) = strip_hop(headers, &found) {
        said.say(headers);
    }
    match (found.client, connection.is_trusted()) {
        (false, _) => {}
        (true, false) => CLIENT.iter().for_each(|name| drop(headers.remove(*name))),
        (true, true) => agree(headers, client, field),
    }
    say_client(headers, connection, client, field);
    if let Some(host) = host {
        headers.insert(header::HOST, host.clone());
    }
}

/// A trusted proxy vouches for one field; the others may be the visitor's own, passed on. The shop finds the same client in all.
fn agree(headers: &mut HeaderMap, client: &Client, field: &AddressField) {
    for name in CHAINS {
        if *name != "forwarded" || *field != AddressField::Forwarded {
            headers.remove(*name);
        }
    }
    for name in SINGLE {
        let told = headers.remove(*name).and(client.address);
        if let Some(address) = told {
            headers.insert(HeaderName::from_static(name), address_value(address));
        }
    }
}

fn say_client(headers: &mut HeaderMap, connection: &ConnectionState, client: &Client, field: &AddressField) {
    let chain = match (connection.is_trusted(), field) {
        (false, _) => connection.peer_value().clone(),
        (true, AddressField::XForwardedFor) => chain(headers, connection),
        (true, _) => {
            headers.remove(X_FORWARDED_FOR);
            if let Some(address) = client.address.filter(|address| *address != connection.peer()) {
                headers.insert(X_FORWARDED_FOR, address_value(address));
            }
            chain(headers, connection)
        }
    };
    headers.insert(X_FORWARDED_FOR, chain);
    match client.address {
        Some(address) if address == connection.peer() => headers.insert(X_REAL_IP, connection.peer_value().clone()),
        Some(address) => headers.insert(X_REAL_IP, address_value(address)),
        None => headers.remove(X_REAL_IP),
    };
    headers.insert(
        X_FORWARDED_PROTO,
        match client.scheme {
            Scheme::Http => HeaderValue::from_static("http"),
            Scheme::Https => HeaderValue::from_static("https"),
        },
    );
    if (!connection.is_trusted() || !headers.contains_key(X_FORWARDED_HOST))
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// The chain a trusted proxy gave with that proxy at its end, in one line.
fn chain(headers: &HeaderMap, connection: &ConnectionState) -> HeaderValue {
    let mut chain = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        chain.extend_from_slice(line.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(connection.peer_value().as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)).unwrap_or_else(|_| connection.peer_value().clone())
}

/// Removes a length that is not the body's: one beside chunks, which override it (RFC 9112 section 6.3), or one said
/// more than once, where hyper writes the length it has read.
fn strip_length(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let plain = match (lengths.next(), lengths.next()) {
        (None, _) => return,
        (Some(only), None) => only.as_bytes().iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !plain || headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Makes an answer's fields ready for the visitor.
pub fn prepare_response(headers: &mut HeaderMap) {
    let found = scan(headers);
    strip_length(headers);
    if let Some(said) = strip_hop(headers, &found) {
        said.announce(headers);
    }
    // The shop's other doors are not behind us.
    headers.remove(header::ALT_SVC);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Settings;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn prepared_by(field: &str, peer: &str, fields: &[(&'static str, &str)]) -> HeaderMap {
        let settings = Settings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::default() };
        let peer = std::net::SocketAddr::new(peer.parse().unwrap(), 1);
        let connection = ConnectionState::new(peer, &settings, Box::new(()));
        let mut headers = map(fields);
        let field = AddressField::of_name(field).unwrap();
        let client = Client::find(&connection, &headers, &settings.trusted_proxies, &field);
        prepare_request(&mut headers, &connection, &client, &field, None);
        headers
    }

    fn prepared(peer: &str, fields: &[(&'static str, &str)]) -> HeaderMap {
        prepared_by("x-forwarded-for", peer, fields)
    }

    #[test]
    fn a_trusted_proxys_field_is_the_one_truth() {
        let fields = [
            ("host", "a"),
            ("cf-connecting-ip", "203.0.113.9"),
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("true-client-ip", "6.6.6.6"),
        ];
        let headers = prepared_by("cf-connecting-ip", "10.0.0.1", &fields);
        assert!(headers.values().all(|value| value != "6.6.6.6"), "{headers:?}");
        assert_eq!(
            (&headers["x-forwarded-for"], &headers["x-real-ip"]),
            (&"203.0.113.9, 10.0.0.1".parse().unwrap(), &"203.0.113.9".parse().unwrap())
        );
        assert_eq!(headers["true-client-ip"], "203.0.113.9");
    }

    #[test]
    fn names_that_a_shop_may_read_as_others_do_not_cross() {
        let twins =
            ["x_forwarded_for", "x.real.ip", "x_clicksieve_score", "content_length", "transfer_encoding", "cf_connecting_ip"];
        let fields: Vec<(&str, &str)> = twins.iter().map(|name| (*name, "6")).chain([("host", "a"), ("x_own", "6")]).collect();
        for peer in ["192.0.2.1", "10.0.0.1"] {
            let mut headers = prepared(peer, &fields);
            strip_own(&mut headers);
            assert!(twins.iter().all(|name| !headers.contains_key(*name)) && headers.contains_key("x_own"), "{headers:?}");
        }
    }

    #[test]
    fn fields_of_the_hop_stay_on_it() {
        let headers = prepared(
            "192.0.2.1",
            &[
                ("host", "a"),
                ("connection", "keep-alive, X-Secret"),
                ("x-secret", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("http2-settings", "AAMAAABkAAQAAP__"),
                ("proxy-authorization", "Basic x"),
                ("accept", "*/*"),
            ],
        );
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected =
            ["accept", "connection", "host", "te", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
        assert_eq!(names, expected);
        assert_eq!(
            (&headers["connection"], &headers["te"]),
            (&HeaderValue::from_static("te"), &HeaderValue::from_static("trailers"))
        );
    }

    #[test]
    fn connection_cannot_remove_what_the_shop_relies_on() {
        let named = "close, Host, Cookie, X-Forwarded-For, X-Real-IP, x-clicksieve-score";
        let fields = [("host", "a"), ("cookie", "c=1"), ("connection", named), ("x-clicksieve-score", "4")];
        let headers = prepared("192.0.2.1", &fields);
        assert_eq!((&headers["host"], &headers["cookie"]), (&HeaderValue::from_static("a"), &HeaderValue::from_static("c=1")));
        assert_eq!(
            (headers["x-forwarded-for"].as_bytes(), headers["x-clicksieve-score"].as_bytes()),
            (&b"192.0.2.1"[..], &b"4"[..])
        );
    }

    #[test]
    fn a_strangers_word_about_itself_is_replaced() {
        let said: Vec<(&str, &str)> = CLIENT.iter().map(|name| (*name, "6.6.6.6")).chain([("host", "a")]).collect();
        let headers = prepared("192.0.2.1", &said);
        assert!(headers.values().all(|value| value != "6.6.6.6"), "{headers:?}");
        assert_eq!(headers["x-real-ip"], "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxys_chain_grows_by_the_proxy() {
        let fields =
            [("host", "a"), ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-host", "b"), ("x-forwarded-proto", "https")];
        let headers = prepared("10.0.0.1", &fields);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
        assert_eq!(headers["x-real-ip"], "203.0.113.9");
        assert_eq!(
            (&headers["x-forwarded-host"], &headers["x-forwarded-proto"]),
            (&"b".parse().unwrap(), &"https".parse().unwrap())
        );
    }

    #[test]
    fn the_visitors_copies_of_our_fields_are_stripped() {
        let mut headers = map(&[("x-clicksieve-score", "0"), ("x-clicksieve-band", "human"), ("x-other", "1")]);
        strip_own(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn an_answer_loses_its_hop_and_its_other_doors() {
        let mut headers =
            map(&[("connection", "close"), ("alt-svc", "h3=\":443\""), ("transfer-encoding", "chunked"), ("etag", "1")]);
        prepare_response(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }
}
