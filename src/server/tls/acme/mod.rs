//! Certificates that we fetch ourselves (ACME, RFC 8555): which proofs are open and how they are given (TLS-ALPN-01, RFC 8737;
//! HTTP-01, RFC 8555 section 8.3), and which names wait for their first certificate. Promises: a proof is shown to
//! nobody who does not ask for it, and such a connection never comes near the shop. Must not know who orders.

pub mod errand;
mod order;
mod pace;
mod store;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::KeyPair;
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::Acceptor;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use url::Url;

use crate::server::tls::certificates::Certificates;

pub use crate::server::tls::acme::store::Store;

/// The protocol of a connection that asks for a proof (RFC 8737 section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";
/// A fatal alert: `unrecognized_name` (RFC 6066 section 3, RFC 8446 section 6), in a record of its own.
pub(super) const UNRECOGNISED: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// How the authority is shown that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// By a handshake on the shop's own port, 443 as seen from outside.
    #[default]
    TlsAlpn,
    /// By an answer on the plain listener, port 80 as seen from outside.
    Http,
}

/// What is asked of which authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The names, all in one certificate.
    pub domains: Vec<String>,
    /// Whom the authority may write to, as `mailto:…`.
    pub contact: Option<String>,
    /// The authority's directory (RFC 8555 section 7.1.1).
    pub directory: Url,
    /// Who vouches for the directory's own certificate; `None` for the machine's authorities.
    pub directory_ca: Option<PathBuf>,
    /// How names are proved.
    pub proof: Proof,
    /// The account elsewhere that the authority wants ours bound to (RFC 8555 section 7.3.4).
    pub external_account: Option<ExternalAccount>,
}

/// An account with the authority that was opened elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its key's id.
    pub id: String,
    /// A file with its MAC key in base64url; read when the account is opened.
    pub key_file: PathBuf,
}

/// The proofs that are open; clones share them. One pointer wide, as each connection carries it.
#[derive(Clone)]
pub struct Challenges(Arc<Shared>);

struct Shared {
    names: Vec<String>,
    open: Arc<ArcSwap<Open>>,
    /// What a connection that asks for a proof is greeted with.
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Challenges").field("names", &self.0.names).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default)]
struct Open {
    /// By name.
    certificates: FxHashMap<String, Arc<CertifiedKey>>,
    /// Key authorisations by token.
    tokens: FxHashMap<String, String>,
}

/// What a first message asks for, where it is nothing usual.
pub(super) enum Unusual {
    /// A proof that is open.
    Proof(Arc<ServerConfig>),
    /// A name that waits for its first certificate.
    Waits,
}

impl Challenges {
    /// For these names.
    ///
    /// # Errors
    /// The provider of cryptography has failed.
    pub fn new(names: &[String], provider: &Arc<CryptoProvider>) -> Result<Self, rustls::Error> {
        let open = Arc::<ArcSwap<Open>>::default();
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(&open))));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self(Arc::new(Shared { names: names.to_vec(), open, config: Arc::new(config) })))
    }

    /// The answer to a request for a token (RFC 8555 section 8.3), if it is one of ours.
    pub fn answer(&self, token: &str) -> Option<String> {
        self.0.open.load().tokens.get(token).cloned()
    }

    /// Looks at a whole `ClientHello`, in its records.
    pub(super) fn look(&self, mut records: &[u8], certificates: &Certificates) -> Option<Unusual> {
        let mut acceptor = Acceptor::default();
        // Where it takes no more it would not accept either.
        while !records.is_empty() && acceptor.read_tls(&mut records).ok()? > 0 {}
        // What is no sound message is the usual handshake's to refuse.
        let accepted = acceptor.accept().ok()??;
        let hello = accepted.client_hello();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if asks_for_proof(&hello) && self.0.open.load().certificates.contains_key(name.as_deref()?) {
            return Some(Unusual::Proof(Arc::clone(&self.0.config)));
        }
        let waits = match name.as_deref() {
            Some(name) => self.0.names.iter().any(|own| own == name) && !certificates.holds(name),
            None => false,
        };
        (waits || certificates.is_empty()).then_some(Unusual::Waits)
    }

    /// Opens proofs until what it gives is dropped.
    fn open(&self) -> Opened {
        Opened { challenges: self.clone(), announced: Vec::new() }
    }

    fn change(&self, change: impl FnOnce(&mut Open)) {
        let mut open = Open::clone(&self.0.open.load());
        change(&mut open);
        self.0.open.store(Arc::new(open));
    }
}

/// Whether a client offers this protocol and no other (RFC 8737 section 3).
fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(PROTOCOL) && offered.next().is_none())
}

/// Proofs of one order; none is open any more once it is dropped.
struct Opened {
    challenges: Challenges,
    announced: Vec<String>,
}

impl Opened {
    /// A certificate that proves a name (RFC 8737 section 3): self-signed, with the digest in it.
    fn prove_by_tls(&self, name: &str, digest: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if digest.len() != aws_lc_rs::digest::SHA256_OUTPUT_LEN {
            return Err("the digest of a proof has another length".into());
        }
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let signs = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key.serialize_der().try_into()?)?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signs));
        self.challenges.change(|open| drop(open.certificates.insert(name.to_ascii_lowercase(), certified)));
        Ok(())
    }

    fn prove_by_http(&self, token: &str, answer: &str) {
        self.challenges.change(|open| drop(open.tokens.insert(token.to_owned(), answer.to_owned())));
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.challenges.0.open.store(Arc::default());
    }
}

/// The certificates that prove names.
#[derive(Debug)]
struct Resolver(Arc<ArcSwap<Open>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().certificates.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}
