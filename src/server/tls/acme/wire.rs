//! Requests to the authority, over the HTTP client that the house has. Promises: bounded time and memory, no redirects,
//! and the authority's wish to be left alone is heard. Must not know what is asked.

use std::fmt::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::Request;
use http::Response;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use http_body_util::Full;
use instant_acme::BodyWrapper;
use instant_acme::BytesResponse;
use instant_acme::Error;
use instant_acme::HttpClient;
use reqwest::Certificate;
use reqwest::redirect::Policy;

/// For one request. Validation is polled for, so that none takes long by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer; a chain has some 5 KiB.
const LONGEST: usize = 1 << 20;

/// A client of one authority; clones share what was heard.
#[derive(Clone)]
pub(super) struct Wire {
    http: reqwest::Client,
    /// Seconds of the newest `Retry-After` with a refusal; 0 for none.
    asked: Arc<AtomicU64>,
}

impl Wire {
    /// Believes the authorities in a file, or those of the machine.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, Error> {
        let builder = match authorities {
            Some(path) => {
                let roots = Certificate::from_pem_bundle(&std::fs::read(path).map_err(other)?).map_err(other)?;
                reqwest::Client::builder().tls_certs_only(roots)
            }
            None if rustls_native_certs::load_native_certs().certs.is_empty() => {
                let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
                reqwest::Client::builder().tls_certs_only(roots.filter_map(|root| Certificate::from_der(root).ok()))
            }
            None => reqwest::Client::builder(),
        };
        let builder = builder.redirect(Policy::none()).timeout(PATIENCE).https_only(true);
        Ok(Self { http: builder.build().map_err(other)?, asked: Arc::default() })
    }

    /// How long the authority has asked to be left alone, since this was asked last.
    pub(super) fn asked(&self) -> Option<Duration> {
        let seconds = self.asked.swap(0, Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let asking = self.http.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
        let mut answer = asking.send().await.map_err(other)?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| seconds(value.to_str().ok()?));
            self.asked.store(seconds.unwrap_or(0), Ordering::Relaxed);
        }
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut bytes = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(other)? {
            if bytes.len() + piece.len() > LONGEST {
                return Err(Error::Str("the authority's answer is too long"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(BytesResponse::from(response.body(Full::new(bytes.freeze()))?))
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

/// A number of seconds; authorities that name a date instead (RFC 9110 section 10.2.3) are rested from as usual.
fn seconds(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// An error with its causes, in one line.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing into a `String` cannot fail.
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}
