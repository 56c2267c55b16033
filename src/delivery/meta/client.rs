//! Sends one request to the Graph API and reads its answer, within bounds. Follows no redirect, as the token would go
//! along (RFC 9110 section 15.4 leaves that to us). Must not know what the answer means.

use std::time::Duration;

use reqwest::Certificate;
use reqwest::ClientBuilder;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use serde_json::Map;
use serde_json::Value;
use url::Url;

use crate::delivery::DeliveryError;
use crate::delivery::Settings;
use crate::delivery::Target;
use crate::delivery::address;
use crate::delivery::meta::payload::Envelope;
use crate::delivery::meta::reply::Answer;

/// Requests to one target.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: Url,
    envelope: Envelope,
    answer_bytes: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Client({})", self.address)
    }
}

/// A builder that trusts the machine's certificate authorities; Mozilla's where the machine has none, as in an empty
/// container.
fn trusting() -> ClientBuilder {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return reqwest::Client::builder();
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    reqwest::Client::builder().tls_certs_only(roots.filter_map(|root| Certificate::from_der(root).ok()))
}

/// An answer, and what its headers say beside it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The answer itself.
    pub(crate) answer: Answer,
    /// `X-Ad-Api-Version-Warning`: the version is near its end or was upgraded silently.
    pub(crate) version_warning: Option<String>,
}

/// How a request failed without an answer; whether Meta took it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Connect,
    /// Not within the time.
    Timeout,
    /// Broken off.
    Broken,
}

impl Failure {
    /// The code for records and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken_off",
        }
    }
}

impl Client {
    /// A client of its own for each target, so that no target waits for another's connections.
    pub(crate) fn new(settings: &Settings, target: &Target) -> Result<Self, DeliveryError> {
        let http = trusting()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("clicksieve/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(DeliveryError::Client)?;
        let envelope = Envelope::new(target, &settings.partner_agent);
        Ok(Self { http, address: address(target)?, envelope, answer_bytes: settings.answer_bytes })
    }

    /// Sends these events in one request, with what the request that brought them said.
    pub(crate) async fn send(&self, events: impl Iterator<Item = &str>, said: &Map<String, Value>) -> Result<Exchange, Failure> {
        let body = self.envelope.body(events, said);
        let request = self.http.post(self.address.clone()).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| failure(&error))?;
        let headers = response.headers();
        let version_warning = headers
            .get("x-ad-api-version-warning")
            .map(|text| String::from_utf8_lossy(text.as_bytes()).chars().take(200).collect());
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: retry_after(headers),
            regain: regain(headers),
            body: Vec::new(),
        };
        answer.body = self.read(response).await?;
        Ok(Exchange { answer, version_warning })
    }

    /// Reads an answer up to the bound and leaves the rest; what is cut is unreadable and so counts as no answer.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            let room = self.answer_bytes.saturating_sub(body.len());
            body.extend(chunk.iter().take(room));
            if chunk.len() > room {
                break;
            }
        }
        Ok(body)
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Broken
    }
}

/// `Retry-After` in seconds; a date is not used by the Graph API and counts as nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The longest `estimated_time_to_regain_access` (minutes) of `X-Business-Use-Case-Usage`, if it is not 0.
fn regain(headers: &HeaderMap) -> Option<Duration> {
    let usage: Value = serde_json::from_slice(headers.get("x-business-use-case-usage")?.as_bytes()).ok()?;
    let uses = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    let minutes = uses.filter_map(|entry| entry.get("estimated_time_to_regain_access")?.as_u64()).max()?;
    (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_regain_access_is_read_in_minutes() {
        let usage =
            r#"{"17":[{"type":"ads","estimated_time_to_regain_access":0},{"type":"x","estimated_time_to_regain_access":19}]}"#;
        let mut headers = HeaderMap::new();
        headers.insert("x-business-use-case-usage", usage.parse().unwrap());
        assert_eq!(regain(&headers), Some(Duration::from_mins(19)));
        headers.insert("x-business-use-case-usage", "[nonsense".parse().unwrap());
        assert_eq!(regain(&headers), None);
    }

    #[test]
    fn a_retry_after_that_is_no_number_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_mins(2)));
        headers.insert(RETRY_AFTER, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
