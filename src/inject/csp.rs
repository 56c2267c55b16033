//! Reads a page's Content-Security-Policy fields and says how a script of ours can run without widening them
//! (CSP Level 3). Must not know what the script is.

use http::HeaderMap;
use http::header::CONTENT_SECURITY_POLICY;

/// How a script can run in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// In the page itself, under the page's nonce where it has one.
    Inline {
        /// The nonce that every enforcing policy accepts.
        nonce: Option<String>,
    },
    /// The stub in the page, which fetches the tag as text and runs it there: for policies that let inline scripts run
    /// but no file of the page's own host.
    Fetched,
    /// From a file of the page's own host.
    External,
    /// Not at all.
    Nothing,
}

/// What one policy permits.
struct Permits<'a> {
    inline: bool,
    own_host: bool,
    nonces: Vec<&'a str>,
}

impl Permits<'_> {
    /// Whether both scripts run under this nonce: by it, or without one.
    fn under(&self, nonce: &str) -> bool {
        self.inline && self.own_host || self.nonces.contains(&nonce)
    }
}

/// The way that all enforcing policies of the head of the page at `address` leave open. Report-only policies do not
/// count. A field that is not text closes every way.
pub(crate) fn way(headers: &HeaderMap, address: &str) -> Way {
    let Some(policies) = policies(headers, address) else { return Way::Nothing };
    let nonces = policies.iter().flat_map(|policy| policy.nonces.iter());
    if let Some(nonce) = nonces.into_iter().find(|nonce| policies.iter().all(|policy| policy.under(nonce))) {
        return Way::Inline { nonce: Some((*nonce).to_owned()) };
    }
    if policies.iter().all(|policy| policy.inline && policy.own_host) {
        return Way::Inline { nonce: None };
    }
    if policies.iter().all(|policy| policy.own_host) {
        return Way::External;
    }
    let fetched = policies.iter().all(|policy| policy.inline) && beacon(headers, address) && !demands_trusted_types(headers);
    if fetched { Way::Fetched } else { Way::Nothing }
}

/// The way with the least markup: a file of the page's own host wherever that may run.
pub(crate) fn short_way(headers: &HeaderMap, address: &str) -> Way {
    let own_host = policies(headers, address).is_some_and(|policies| policies.iter().all(|policy| policy.own_host));
    if own_host { Way::External } else { way(headers, address) }
}

/// What each enforcing policy about scripts permits; `None` where a field is not text.
fn policies<'a>(headers: &'a HeaderMap, address: &str) -> Option<Vec<Permits<'a>>> {
    let mut policies = Vec::new();
    for field in headers.get_all(CONTENT_SECURITY_POLICY) {
        policies.extend(field.to_str().ok()?.split(',').filter_map(|policy| permits(policy, address)));
    }
    Some(policies)
}

/// Whether every enforcing policy lets the page send events to its own host.
pub(crate) fn beacon(headers: &HeaderMap, address: &str) -> bool {
    headers.get_all(CONTENT_SECURITY_POLICY).iter().filter_map(|field| field.to_str().ok()).all(|text| {
        text.split(',').all(|policy| {
            let directive = named(policy, "connect-src").or_else(|| named(policy, "default-src"));
            directive.is_none_or(|sources| sources.split_ascii_whitespace().any(|source| covers(source, address)))
        })
    })
}

/// Whether no policy says anything about workers, by whatever directive (CSP 3, section 6.1.15 `worker-src`).
pub(crate) fn worker(headers: &HeaderMap) -> bool {
    let governs = ["worker-src", "child-src", "script-src", "default-src", "sandbox"];
    let speaks = |text: &str| text.split(',').any(|policy| governs.iter().any(|name| named(policy, name).is_some()));
    headers.get_all(CONTENT_SECURITY_POLICY).iter().all(|field| field.to_str().is_ok_and(|text| !speaks(text)))
}

/// Whether text may become a script only by the page's own say (Trusted Types, section 4.2.1).
fn demands_trusted_types(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CONTENT_SECURITY_POLICY).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|text| text.split(',')).any(|policy| named(policy, "require-trusted-types-for").is_some())
}

/// What a policy permits; nothing where it says nothing about scripts.
fn permits<'a>(policy: &'a str, address: &str) -> Option<Permits<'a>> {
    if named(policy, "sandbox")
        .is_some_and(|flags| !flags.split_ascii_whitespace().any(|f| f.eq_ignore_ascii_case("allow-scripts")))
    {
        return Some(Permits { inline: false, own_host: false, nonces: Vec::new() });
    }
    let sources =
        named(policy, "script-src-elem").or_else(|| named(policy, "script-src")).or_else(|| named(policy, "default-src"))?;
    let mut nonces = Vec::new();
    let (mut unsafe_inline, mut hashed, mut strict, mut own) = (false, false, false, false);
    for source in sources.split_ascii_whitespace() {
        let lower = source.to_ascii_lowercase();
        if lower.starts_with("'nonce-") {
            nonces.extend(source.get(7..).and_then(|rest| rest.strip_suffix('\'')).filter(|nonce| is_nonce(nonce)));
            hashed = true;
        } else if ["'sha256-", "'sha384-", "'sha512-"].iter().any(|prefix| lower.starts_with(prefix)) {
            hashed = true;
        } else if lower == "'unsafe-inline'" {
            unsafe_inline = true;
        } else if lower == "'strict-dynamic'" {
            strict = true;
        } else {
            own |= covers(source, address);
        }
    }
    // CSP 3, "does element match source list": a nonce, a hash or 'strict-dynamic' voids 'unsafe-inline', and
    // 'strict-dynamic' voids hosts.
    Some(Permits { inline: unsafe_inline && !hashed && !strict, own_host: own && !strict, nonces })
}

/// Whether a source covers every file of the page's own host (CSP 3, section 6.7.2.7 and what follows). What names a
/// path covers some files only and does not count.
fn covers(source: &str, address: &str) -> bool {
    if source == "*" || source.eq_ignore_ascii_case("'self'") {
        return true;
    }
    let Some((own_scheme, rest)) = address.split_once("://") else { return false };
    let (own_host, own_port) = host_and_port(rest.split(['/', '?', '#']).next().unwrap_or_default());
    let scheme_fits =
        |scheme: &str| scheme.eq_ignore_ascii_case(own_scheme) || scheme.eq_ignore_ascii_case("http") && own_scheme == "https";
    let (scheme, rest) = match source.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None if source.strip_suffix(':').is_some_and(scheme_fits) => return true,
        None => (own_scheme, source),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = host_and_port(authority);
    let default = if own_scheme == "https" { "443" } else { "80" };
    let own_port = own_port.unwrap_or(default);
    let port_fits = match port {
        None => own_port == default,
        Some(port) => port == "*" || port == own_port || port == "80" && own_port == "443",
    };
    scheme_fits(scheme) && path.is_empty() && port_fits && host_fits(host, own_host)
}

/// Splits at the colon in front of a port, which is none inside of an IPv6 address's brackets.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn host_fits(pattern: &str, host: &str) -> bool {
    let end = |suffix: &str| host.len().checked_sub(suffix.len()).and_then(|at| host.get(at..));
    match pattern.strip_prefix('*') {
        Some("") => true,
        // `*.shop.example` covers what stands below it and not `shop.example`.
        Some(suffix) if suffix.starts_with('.') => {
            host.len() > suffix.len() && end(suffix).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        Some(_) => false,
        None => !host.is_empty() && pattern.eq_ignore_ascii_case(host),
    }
}

/// The value of the first directive of that name; later ones are ignored, as browsers do.
fn named<'a>(policy: &'a str, name: &str) -> Option<&'a str> {
    policy.split(';').map(str::trim_ascii).find_map(|directive| {
        let (word, value) = directive.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((directive, ""));
        word.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The grammar of `base64-value` in CSP 3; anything else is never copied into markup.
pub(crate) fn is_nonce(nonce: &str) -> bool {
    let body = nonce.trim_end_matches('=');
    !body.is_empty()
        && nonce.len() <= 256
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://shop.example/mug?size=1";

    fn way_of(policies: &[&str]) -> Way {
        let mut headers = HeaderMap::new();
        for policy in policies {
            headers.append(CONTENT_SECURITY_POLICY, policy.parse().expect("a field value"));
        }
        way(&headers, HERE)
    }

    fn nonce(nonce: &str) -> Way {
        Way::Inline { nonce: Some(nonce.to_owned()) }
    }

    #[test]
    fn no_policy_about_scripts_leaves_inline_open() {
        assert_eq!(way_of(&[]), Way::Inline { nonce: None });
        assert_eq!(way_of(&["img-src 'self'; require-trusted-types-for 'script'"]), Way::Inline { nonce: None });
        assert_eq!(way_of(&["default-src * 'unsafe-inline'"]), Way::Inline { nonce: None });
    }

    #[test]
    fn the_nonce_is_taken_from_the_directive_that_governs_script_elements() {
        assert_eq!(way_of(&["script-src 'nonce-abc=' 'strict-dynamic'"]), nonce("abc="));
        assert_eq!(way_of(&["default-src 'nonce-x'; script-src 'none'; Script-Src-Elem 'NONCE-e1'"]), nonce("e1"));
        assert_eq!(way_of(&["default-src 'nonce-x'; script-src 'none'"]), Way::Nothing);
        assert_eq!(way_of(&["script-src 'nonce-a\"b'"]), Way::Nothing);
    }

    #[test]
    fn several_policies_must_all_agree() {
        assert_eq!(way_of(&["script-src 'nonce-a' 'nonce-b'", "script-src 'nonce-b'"]), nonce("b"));
        assert_eq!(way_of(&["script-src 'nonce-a', script-src 'nonce-b'"]), Way::Nothing);
        assert_eq!(way_of(&["script-src 'self' 'unsafe-inline'", "script-src 'nonce-b'"]), nonce("b"));
        assert_eq!(way_of(&["script-src 'self'", "default-src 'self' 'unsafe-inline'"]), Way::External);
    }

    #[test]
    fn unsafe_inline_is_void_beside_hash_nonce_or_strict_dynamic() {
        assert_eq!(way_of(&["script-src 'self' 'unsafe-inline' 'sha256-AAAA'"]), Way::External);
        assert_eq!(way_of(&["script-src 'self' 'unsafe-inline' 'strict-dynamic'"]), Way::Nothing);
    }

    #[test]
    fn the_short_way_is_a_file_wherever_the_own_host_may_run() {
        for (policies, way) in [
            (&[][..], Way::External),
            (&["script-src 'self' 'nonce-a'"], Way::External),
            (&["script-src *", "default-src 'self' 'unsafe-inline'"], Way::External),
            (&["script-src 'self' 'nonce-a' 'strict-dynamic'"], nonce("a")),
            (&["script-src 'self'", "script-src 'none'"], Way::Nothing),
        ] {
            let headers =
                policies.iter().map(|policy| (CONTENT_SECURITY_POLICY, policy.parse().expect("a field value"))).collect();
            assert_eq!(short_way(&headers, HERE), way, "{policies:?}");
        }
    }

    #[test]
    fn a_nonce_serves_both_scripts_or_is_not_taken() {
        assert_eq!(way_of(&["script-src 'unsafe-inline' https://cdn.example", "script-src 'self' 'nonce-b'"]), Way::Nothing);
        assert_eq!(way_of(&["script-src 'unsafe-inline' 'nonce-a'"]), nonce("a"));
        assert_eq!(way_of(&["script-src 'unsafe-inline' https:", "script-src 'nonce-b'"]), nonce("b"));
    }

    #[test]
    fn where_inline_scripts_run_and_no_file_of_the_own_host_the_tag_is_fetched_if_the_page_may_fetch() {
        let foreign = "script-src 'unsafe-inline' https://connect.facebook.net";
        assert_eq!(way_of(&[foreign]), Way::Fetched);
        assert_eq!(way_of(&[&format!("{foreign}; connect-src 'self'")]), Way::Fetched);
        assert_eq!(way_of(&[&format!("{foreign}; connect-src https://www.facebook.com")]), Way::Nothing);
        assert_eq!(way_of(&["default-src 'unsafe-inline' https://connect.facebook.net"]), Way::Nothing);
        assert_eq!(way_of(&[foreign, "require-trusted-types-for 'script'"]), Way::Nothing);
        assert_eq!(way_of(&[foreign, "script-src 'self'"]), Way::Nothing);
    }

    #[test]
    fn the_own_host_is_known_by_its_name_and_its_scheme() {
        for (address, source, covered) in [
            ("https://shop.example/a", "shop.example", true),
            ("https://shop.example", "https://Shop.Example/", true),
            ("https://shop.example/", "http://shop.example", true),
            ("https://shop.example/", "http://shop.example:80", true),
            ("http://shop.example/", "https://shop.example", false),
            ("https://shop.example/", "https:", true),
            ("https://shop.example/", "HTTP:", true),
            ("http://shop.example/", "https:", false),
            ("https://shop.example/", "data:", false),
            ("https://www.shop.example/", "*.shop.example", true),
            ("https://shop.example/", "*.shop.example", false),
            ("https://myshop.example/", "*shop.example", false),
            ("https://shop.example/", "https://*", true),
            ("https://shop.example/", "shop.example/js/", false),
            ("https://shop.example/", "cdn.example", false),
            ("http://shop.example:8080/", "shop.example", false),
            ("http://shop.example:8080/", "shop.example:8080", true),
            ("http://shop.example:8080/", "shop.example:*", true),
            ("http://[::1]:8080/", "[::1]:8080", true),
            ("http://[::1]/", "[::1]", true),
            ("https://shop.example/?a=://x", "'none'", false),
            ("", "shop.example", false),
            ("https:///", "", false),
        ] {
            assert_eq!(covers(source, address), covered, "{source} for {address}");
        }
    }

    #[test]
    fn sandbox_and_none_close_every_way() {
        assert_eq!(way_of(&["sandbox allow-forms"]), Way::Nothing);
        assert_eq!(way_of(&["sandbox allow-scripts"]), Way::Inline { nonce: None });
        assert_eq!(way_of(&["script-src 'none'"]), Way::Nothing);
        assert_eq!(way_of(&["script-src"]), Way::Nothing);
    }

    #[test]
    fn a_worker_is_made_only_where_no_policy_speaks_of_one() {
        for (policy, free) in [
            ("frame-ancestors 'self'; img-src *", true),
            ("worker-src blob:", false),
            ("upgrade-insecure-requests, default-src *", false),
            ("sandbox allow-scripts", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, policy.parse().expect("a field value"))]);
            assert_eq!(worker(&headers), free, "{policy}");
        }
        assert!(worker(&HeaderMap::new()));
    }

    #[test]
    fn a_foreign_connect_source_stops_the_beacon() {
        let mut headers = HeaderMap::new();
        assert!(beacon(&headers, HERE));
        headers.append(CONTENT_SECURITY_POLICY, "connect-src https://api.example".parse().expect("a field value"));
        assert!(!beacon(&headers, HERE));
    }
}
