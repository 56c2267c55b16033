//! One list over HTTP. Promises: TLS is verified, time and size are bounded on the wire and unpacked, no redirect leaves TLS; errors
//! carry no credentials. Must not know what a list holds.

use std::fmt::Write as _;
use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use reqwest::Certificate;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::header::CONTENT_ENCODING;
use reqwest::header::ETAG;
use reqwest::header::HeaderName;
use reqwest::header::IF_MODIFIED_SINCE;
use reqwest::header::IF_NONE_MATCH;
use reqwest::header::LAST_MODIFIED;
use reqwest::redirect::Policy;
use url::Host;
use url::Url;

use crate::refresh::lists::kept::Meta;

/// Redirects that are followed: from a list's permanent address to where it lies today.
const REDIRECTS: usize = 5;
/// Bytes of a validator that are kept.
const VALIDATOR: usize = 1_024;

/// What came.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Nothing has changed.
    Same,
    /// A list, unpacked.
    New {
        /// The list.
        bytes: Vec<u8>,
        /// Its entity tag.
        etag: Option<String>,
        /// When it was changed last.
        last_modified: Option<String>,
    },
}

/// Fetches lists.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client whose exchanges take `patience` at most, redirects and body included. A `rustls` provider must be installed.
    ///
    /// # Errors
    /// TLS cannot be used.
    pub fn new(patience: Duration) -> Result<Self, String> {
        let builder = if rustls_native_certs::load_native_certs().certs.is_empty() {
            let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            reqwest::Client::builder().tls_certs_only(roots.filter_map(|root| Certificate::from_der(root).ok()))
        } else {
            reqwest::Client::builder()
        };
        let redirects = Policy::custom(|attempt| {
            let leaves_tls = attempt.previous().iter().any(|url| url.scheme() == "https") && attempt.url().scheme() != "https";
            if attempt.previous().len() > REDIRECTS {
                attempt.error("too many redirects")
            } else if leaves_tls || !is_safe(attempt.url()) {
                attempt.error("a redirect to an address without TLS")
            } else {
                attempt.follow()
            }
        });
        let agent = concat!("clicksieve/", env!("CARGO_PKG_VERSION"));
        let builder = builder.redirect(redirects).referer(false).user_agent(agent).timeout(patience);
        builder.build().map(|http| Self { http }).map_err(told)
    }

    /// Fetches a list of at most so many bytes, unless it is as it was.
    pub(super) async fn fetch(&self, url: &Url, before: Option<&Meta>, most: u64) -> Result<Fetched, String> {
        let mut asking = self.http.get(url.clone()).header(ACCEPT_ENCODING, "gzip");
        if let Some(before) = before {
            let validators = [(IF_NONE_MATCH, &before.etag), (IF_MODIFIED_SINCE, &before.last_modified)];
            for (name, value) in validators {
                asking = value.iter().fold(asking, |asking, value| asking.header(name.clone(), value));
            }
        }
        let mut answer = asking.send().await.map_err(told)?;
        match answer.status() {
            StatusCode::NOT_MODIFIED => return Ok(Fetched::Same),
            StatusCode::OK => {}
            other => return Err(format!("answered with status {other}")),
        }
        let (etag, last_modified) = (validator(&answer, &ETAG), validator(&answer, &LAST_MODIFIED));
        let coding = answer.headers().get(CONTENT_ENCODING).map(|coding| coding.as_bytes().to_ascii_lowercase());
        if coding.as_ref().is_some_and(|coding| !matches!(coding.as_slice(), b"gzip" | b"x-gzip" | b"identity" | b"")) {
            return Err("came in a coding that was not asked for".to_owned());
        }
        let too_large = || format!("has more than {most} bytes");
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // An answer that ends before its `Content-Length` is an error here.
        while let Some(piece) = answer.chunk().await.map_err(told)? {
            if u64::try_from(bytes.len() + piece.len()).is_ok_and(|length| length > most) {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        let unpacking = move || unpacked(bytes, most);
        let bytes = tokio::task::spawn_blocking(unpacking).await.map_err(|_| "unpacking broke off".to_owned())??;
        Ok(Fetched::New { bytes, etag, last_modified })
    }
}

/// The list itself, whether the transfer or the file was packed.
fn unpacked(mut bytes: Vec<u8>, most: u64) -> Result<Vec<u8>, String> {
    // Packed twice where a packed file was packed again on its way.
    for _ in 0..2 {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            break;
        }
        let mut plain = Vec::new();
        let unpacking = MultiGzDecoder::new(bytes.as_slice()).take(most.saturating_add(1)).read_to_end(&mut plain);
        unpacking.map_err(|error| format!("does not unpack: {error}"))?;
        if u64::try_from(plain.len()).is_ok_and(|length| length > most) {
            return Err(format!("has more than {most} bytes unpacked"));
        }
        bytes = plain;
    }
    Ok(bytes)
}

fn validator(answer: &Response, name: &HeaderName) -> Option<String> {
    let value = answer.headers().get(name)?.to_str().ok()?;
    (value.len() <= VALIDATOR).then(|| value.to_owned())
}

/// TLS, or this machine.
fn is_safe(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

/// An error with its causes in one line, without the address: it may carry a key.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = if error.is_timeout() { "took too long".to_owned() } else { error.to_string() };
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        // Causes of a proxy's may name its address with user and password.
        let inner_text = inner.to_string();
        if !inner_text.contains("://") {
            // Writing into a `String` cannot fail.
            let _ = write!(text, ": {inner_text}");
        }
        cause = inner.source();
    }
    text
}
