//! One request as the access log tells of it, from its head to the last byte of its answer. Exists only where the log is on.
//! Must not know where lines go.

use http::Request;
use http::Response;
use http::header::HOST;
use tokio::time::Instant;

use crate::ledger::Access;
use crate::ledger::Line;
use crate::proxy;
use crate::proxy::ConnectionState;
use crate::proxy::Noted;
use crate::proxy::client::Client;
use crate::server::Log;

/// A request on its way; told of when it is dropped, so that one whose visitor leaves is told of, too.
#[derive(Debug)]
pub struct Told {
    log: Access,
    began: Instant,
    line: Option<Box<Line>>,
}

impl Told {
    /// A request whose head has come.
    pub(super) fn begin<B>(
        log: &Log,
        fronts: &proxy::Settings,
        connection: &ConnectionState,
        protocol: &'static str,
        request: &Request<B>,
    ) -> Self {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).or(request.uri().host());
        let client = Client::find(connection, request.headers(), &fronts.trusted_proxies, &fronts.client_field);
        let line = Line {
            time: log.clock.now(),
            method: request.method().as_str().to_owned(),
            host: host.unwrap_or_default().to_owned(),
            target: request.uri().path_and_query().map_or_else(|| "*".to_owned(), ToString::to_string),
            status: None,
            bytes: 0,
            took: std::time::Duration::ZERO,
            upstream: None,
            protocol,
            scheme: connection.scheme().name(),
            tls: connection.tls().cloned(),
            verdict: None,
            address: client.address,
        };
        Self { log: log.access.clone(), began: Instant::now(), line: Some(Box::new(line)) }
    }

    /// The head of its answer is there.
    pub(super) fn answered<B>(&mut self, response: &mut Response<B>) {
        let Some(line) = &mut self.line else { return };
        line.status = Some(response.status().as_u16());
        if let Some(noted) = response.extensions_mut().remove::<Noted>() {
            (line.upstream, line.verdict) = (Some(noted.upstream), noted.verdict);
        }
    }

    /// So many bytes of its answer's body go out.
    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.bytes = line.bytes.saturating_add(bytes as u64);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.took = self.began.elapsed();
            self.log.tell(line);
        }
    }
}
