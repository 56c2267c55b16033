//! What a connection shows of the program at its other end. Only what the visitor's own connection shows is known: behind
//! another proxy these are that proxy's, and so unknown, unless it vouches for one of them. Must not know how it is read.

use crate::fact::words::HttpVersion;
use crate::fact::words::NameCase;
use crate::fact::words::TlsVersion;

/// What a TLS `ClientHello` shows. A proxy in front can vouch for the fingerprint alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsShown {
    /// The fingerprint JA4.
    pub ja4: Box<str>,
    /// The same without what resuming a session adds or takes away, so that connections of one client compare.
    pub ja4_stable: Option<Box<str>>,
    /// Whether it carries GREASE (RFC 8701).
    pub grease: Option<bool>,
    /// The newest version it offers.
    pub version: Option<TlsVersion>,
    /// Whether it names the host it wants.
    pub sni: Option<bool>,
    /// The first protocol it offers by ALPN; empty without any.
    pub alpn: Option<Box<str>>,
}

/// What the opening of an HTTP/2 connection shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H2Shown {
    /// Settings, window update, priorities and pseudo-header order in Akamai's form.
    pub fingerprint: Box<str>,
    /// The order of the first request's pseudo-header fields: `m,a,s,p`.
    pub order: Box<str>,
    /// The first request's weight, 1 to 256, if it says one.
    pub weight: Option<u16>,
}

/// What one request and its connection show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// The HTTP version of the visitor's own connection.
    pub version: Option<HttpVersion>,
    /// Its TLS.
    pub tls: Option<&'a TlsShown>,
    /// Its HTTP/2.
    pub h2: Option<&'a H2Shown>,
    /// The names of the request's fields as they were sent, in their order, between commas.
    pub names: Option<&'a str>,
    /// Whether somebody whom nobody trusts said whose request it is.
    pub spoofed_forwarding: Option<bool>,
}

impl Shown<'_> {
    /// How the names of the fields are written; HTTP/2 has one way only.
    pub(super) fn name_case(&self) -> Option<NameCase> {
        let names = self.names.filter(|_| self.version != Some(HttpVersion::Two))?;
        let words = || names.split([',', '-']).filter(|word| !word.is_empty());
        let capital = |word: &str| word.starts_with(|letter: char| letter.is_ascii_uppercase());
        if !names.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(NameCase::Lower);
        }
        let title = words().all(|word| capital(word) || !word.starts_with(|letter: char| letter.is_ascii_alphabetic()));
        Some(if title { NameCase::Title } else { NameCase::Mixed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_names_is_told_for_http_1_only() {
        let case = |version, names| Shown { version: Some(version), names, ..Shown::default() }.name_case();
        assert_eq!(case(HttpVersion::OneOne, Some("Host,User-Agent,Sec-GPC")), Some(NameCase::Title));
        assert_eq!(case(HttpVersion::OneOne, Some("host,user-agent")), Some(NameCase::Lower));
        assert_eq!(case(HttpVersion::OneOne, Some("Host,User-agent,accept")), Some(NameCase::Mixed));
        assert_eq!(case(HttpVersion::Two, Some("user-agent")), None);
        assert_eq!(case(HttpVersion::OneOne, None), None);
    }
}
