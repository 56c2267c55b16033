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

/// The way that all enforcing policies of the head leave open. Report-only policies do not count.
/// A field that is not text closes every way.
pub(crate) fn way(headers: &HeaderMap) -> Way {
    let Some(policies) = policies(headers) else { return Way::Nothing };
    let Some((first, others)) = policies.split_first() else { return Way::Inline { nonce: None } };
    let shared = first.nonces.iter().find(|nonce| others.iter().all(|policy| policy.inline || policy.nonces.contains(nonce)));
    let by_other = others.iter().flat_map(|policy| policy.nonces.iter());
    let by_any = by_other.into_iter().find(|nonce| policies.iter().all(|policy| policy.inline || policy.nonces.contains(nonce)));
    if let Some(nonce) = shared.or(by_any) {
        return Way::Inline { nonce: Some((*nonce).to_owned()) };
    }
    if policies.iter().all(|policy| policy.inline && policy.own_host) {
        return Way::Inline { nonce: None };
    }
    if policies.iter().all(|policy| policy.own_host) { Way::External } else { Way::Nothing }
}

/// The way with the least markup: a file of the page's own host wherever that may run.
pub(crate) fn short_way(headers: &HeaderMap) -> Way {
    let own_host = policies(headers).is_some_and(|policies| policies.iter().all(|policy| policy.own_host));
    if own_host { Way::External } else { way(headers) }
}

/// What each enforcing policy about scripts permits; `None` where a field is not text.
fn policies(headers: &HeaderMap) -> Option<Vec<Permits<'_>>> {
    let mut policies = Vec::new();
    for field in headers.get_all(CONTENT_SECURITY_POLICY) {
        policies.extend(field.to_str().ok()?.split(',').filter_map(permits));
    }
    Some(policies)
}

/// Whether every enforcing policy lets the page send events to its own host.
pub(crate) fn beacon(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_SECURITY_POLICY).iter().filter_map(|field| field.to_str().ok()).all(|text| {
        text.split(',').all(|policy| {
            let directive = named(policy, "connect-src").or_else(|| named(policy, "default-src"));
            directive.is_none_or(|sources| sources.split_ascii_whitespace().any(own_host))
        })
    })
}

/// What a policy permits; nothing where it says nothing about scripts.
fn permits(policy: &str) -> Option<Permits<'_>> {
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
            own |= own_host(source);
        }
    }
    // CSP 3, "does element match source list": a nonce, a hash or 'strict-dynamic' voids 'unsafe-inline', and
    // 'strict-dynamic' voids hosts.
    Some(Permits { inline: unsafe_inline && !hashed && !strict, own_host: own && !strict, nonces })
}

/// Whether a source certainly covers the page's own host; a named host might be another one and does not count.
fn own_host(source: &str) -> bool {
    source == "*" || source.eq_ignore_ascii_case("'self'")
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

    fn way_of(policies: &[&str]) -> Way {
        let mut headers = HeaderMap::new();
        for policy in policies {
            headers.append(CONTENT_SECURITY_POLICY, policy.parse().expect("a field value"));
        }
        way(&headers)
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
        assert_eq!(way_of(&["script-src 'unsafe-inline'", "script-src 'nonce-b'"]), nonce("b"));
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
            assert_eq!(short_way(&headers), way, "{policies:?}");
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
    fn a_foreign_connect_source_stops_the_beacon() {
        let mut headers = HeaderMap::new();
        assert!(beacon(&headers));
        headers.append(CONTENT_SECURITY_POLICY, "connect-src https://api.example".parse().expect("a field value"));
        assert!(!beacon(&headers));
    }
}
