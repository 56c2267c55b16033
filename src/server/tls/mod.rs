//! TLS at the shop's door: what every handshake needs, and the handshake itself within its deadline. Certificates are
//! swapped while connections stand. Promises: what comes before a whole `ClientHello` is bounded; a client that speaks
//! plain HTTP is told so. Must not know requests.

pub mod acme;
pub mod certificates;
pub mod hello;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::HandshakeKind;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::server::ServerConnection;
use rustls::sign::CertifiedKey;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::proxy::ConnectionState;
use crate::server::shown;
use crate::server::tls::acme::Challenges;
use crate::server::tls::acme::Unusual;
use crate::server::tls::certificates::Certificates;
use crate::server::tls::hello::Hello;
use crate::server::wire::Raw;
use crate::telemetry::Metrics;

/// The answer to plain HTTP on a port that speaks TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 46\r\n\r\n\
this port speaks TLS: the address is https://\n";

/// What all handshakes of a listener share; clones share it, too.
#[derive(Clone)]
pub struct Tls {
    certificates: Arc<Resolver>,
    acceptor: TlsAcceptor,
    /// Where certificates are fetched from an authority.
    challenges: Option<Challenges>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with rustls' choice of ciphers; HTTP/2 or HTTP/1.1 by ALPN (RFC 7301).
    ///
    /// # Errors
    /// The provider of cryptography has failed, as where the system gives no random numbers.
    pub fn new(certificates: Certificates) -> Result<Self, rustls::Error> {
        let resolver = Arc::new(Resolver(ArcSwap::from_pointee(certificates)));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets hold the session, so that threads share no table; their keys change every six hours and live in memory.
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        // All suites are AEAD with forward secrecy, so that the order is a matter of taste; auditors ask for the server's.
        config.ignore_client_order = true;
        Ok(Self { certificates: resolver, acceptor: TlsAcceptor::from(Arc::new(config)), challenges: None })
    }

    /// The same, giving proofs to an authority (RFC 8737); names of theirs without a certificate are refused as such.
    #[must_use]
    pub fn proving(self, challenges: Challenges) -> Self {
        Self { challenges: Some(challenges), ..self }
    }

    /// The proofs that it gives, where certificates are fetched from an authority.
    pub fn challenges(&self) -> Option<&Challenges> {
        self.challenges.as_ref()
    }

    /// Says when each certificate that is in force expires.
    pub fn tell_expiries(&self, metrics: &Metrics) {
        metrics.certificate_expiry.clear();
        for (name, until) in self.certificates.0.load().expiries() {
            metrics.certificate_expiry.with(&[("name", name)]).set(*until);
        }
    }

    /// Serves other certificates from the next handshake on; connections that stand keep theirs.
    pub fn replace(&self, certificates: Certificates) {
        self.certificates.0.store(Arc::new(certificates));
    }

    /// Shakes hands with a client. `None` where it came to nothing, which is counted and no fault of ours.
    pub(super) async fn greet(
        &self,
        mut raw: Raw,
        connection: &ConnectionState,
        patience: Duration,
        counts: &Handshakes,
    ) -> Option<Box<TlsStream<Raw>>> {
        let greeting = async {
            match hello::read(&mut raw).await? {
                Hello::Whole(bytes) => {
                    seen(&bytes, connection);
                    if let Some(unusual) = self.unusual(&bytes) {
                        return unusually(unusual, raw, &bytes).await;
                    }
                    let replay = |session: &mut ServerConnection| replay(session, &bytes);
                    self.acceptor.accept_with(raw, replay).await.map(|stream| Greeted::Stands(Box::new(stream)))
                }
                Hello::Plain => {
                    raw.write_all(PLAIN).await?;
                    raw.shutdown().await?;
                    // Closing with something unread would take the answer away again.
                    let _ = raw.take(hello::LONGEST).read_to_end(&mut Vec::new()).await?;
                    Ok(Greeted::Plain)
                }
                Hello::Other => Ok(Greeted::Other),
            }
        };
        let (stream, outcome) = match timeout(patience, greeting).await {
            Ok(Ok(Greeted::Stands(stream))) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                (Some(stream), if resumed { &counts.resumed } else { &counts.full })
            }
            Ok(Ok(Greeted::Plain)) => (None, &counts.plain),
            Ok(Ok(Greeted::Other)) => (None, &counts.failed),
            Ok(Ok(Greeted::Proved)) => (None, &counts.proved),
            Ok(Ok(Greeted::Waits)) => (None, &counts.waits),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no handshake");
                (None, &counts.failed)
            }
            Err(_) => (None, &counts.slow),
        };
        outcome.inc();
        stream
    }

    /// What a first message asks for, where it is nothing usual.
    fn unusual(&self, hello: &[u8]) -> Option<Unusual> {
        self.challenges.as_ref()?.look(hello, &self.certificates.0.load())
    }
}

/// Gives a proof and ends, or says that the name has no certificate yet.
async fn unusually(unusual: Unusual, mut raw: Raw, hello: &[u8]) -> io::Result<Greeted> {
    match unusual {
        Unusual::Proof(config) => {
            let mut stream = TlsAcceptor::from(config).accept_with(raw, |session| replay(session, hello)).await?;
            stream.shutdown().await?;
            Ok(Greeted::Proved)
        }
        Unusual::Waits => {
            raw.write_all(acme::UNRECOGNISED).await?;
            raw.shutdown().await?;
            Ok(Greeted::Waits)
        }
    }
}

/// How a greeting ended.
enum Greeted {
    Stands(Box<TlsStream<Raw>>),
    Plain,
    Other,
    /// It was a proof for an authority.
    Proved,
    /// There is no certificate for the name yet.
    Waits,
}

/// Notes what a whole `ClientHello` shows, in its records as they were sent, before it is answered.
fn seen(records: &[u8], connection: &ConnectionState) {
    if let Ok(Some(hello)) = shown::hello::read(records) {
        connection.show_tls(hello.shown());
    }
}

/// Gives the session what was read ahead of it. A fault stays in the session, which tells the client of it.
fn replay(session: &mut ServerConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken: io::Result<usize> = session.read_tls(&mut bytes);
        if taken.is_err() || session.process_new_packets().is_err() {
            return;
        }
    }
}

/// The certificates that are in force.
#[derive(Debug)]
struct Resolver(ArcSwap<Certificates>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().choose(hello.server_name(), hello.signature_schemes())
    }
}

/// Counters of handshakes, by how they ended.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    full: Counter,
    resumed: Counter,
    failed: Counter,
    plain: Counter,
    slow: Counter,
    proved: Counter,
    waits: Counter,
}

impl Handshakes {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let outcome = |outcome| metrics.handshakes.with(&[("outcome", outcome)]);
        Self {
            full: outcome("full"),
            resumed: outcome("resumed"),
            failed: outcome("failed"),
            plain: outcome("plain_http"),
            slow: outcome("slow"),
            proved: outcome("proof"),
            waits: outcome("no_certificate"),
        }
    }
}
