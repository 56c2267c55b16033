//! The shop's door with TLS, as clients meet it: certificates made for the test, clients of rustls, and bytes where a
//! client must misbehave.

mod certificates;
mod handshake;
pub(crate) mod http2;
mod redirect;
mod shows;
pub(crate) mod upstream;

use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::server::Tls;
use clicksieve::server::tls::certificates::Certificates;
use clicksieve::server::tls::certificates::Files;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::StreamOwned;

use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;

/// A visitor over TLS.
pub(crate) type Secure = Visitor<StreamOwned<ClientConnection, TcpStream>>;

/// An authority with a folder of what it has issued.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for these names under a file name; the change comes before it is signed.
    pub(crate) fn issues_with(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Files {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files { certificate: self.path(&format!("{file}.pem")), key: self.path(&format!("{file}.key")) };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn issues(&self, file: &str, names: &[&str]) -> Files {
        self.issues_with(file, names, |_| {})
    }

    /// A client that trusts this authority alone.
    pub(crate) fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Certificates as they are loaded at a start.
pub(crate) fn loaded(files: &[Files]) -> Certificates {
    Certificates::load(files, Clock::system().now()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// What the loader says of files that it refuses.
pub(crate) fn faults(files: &[Files]) -> Vec<String> {
    Certificates::load(files, Clock::system().now()).unwrap_err().iter().map(ToString::to_string).collect()
}

/// A TCP connection with the test's patience.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Shakes hands for a name; the error where it came to nothing.
pub(crate) fn shake(
    address: SocketAddr,
    client: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let session = ClientConnection::new(Arc::clone(client), name.to_owned().try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, tcp(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A visitor over TLS who asks for `shop.example`.
pub(crate) fn visitor(front: &Front, client: &Arc<ClientConfig>) -> Secure {
    Visitor::over(shake(front.address, client, "shop.example").unwrap())
}

/// A site whose pages name their path, a door with TLS in front of it, and the authority behind its certificate.
pub(crate) struct Shop {
    pub(crate) authority: Authority,
    pub(crate) site: Site,
    pub(crate) front: Front,
    pub(crate) tls: Tls,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::with(Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), |_| {})
    }

    pub(crate) fn with(site: Site, change: impl FnOnce(&mut clicksieve::server::Settings)) -> Self {
        Self::with_proxy(site, change, |_| {})
    }

    pub(crate) fn with_proxy(
        site: Site,
        change: impl FnOnce(&mut clicksieve::server::Settings),
        change_proxy: impl FnOnce(&mut clicksieve::proxy::Settings),
    ) -> Self {
        let authority = Authority::new();
        let files = authority.issues("shop", &["shop.example"]);
        let tls = Tls::new(loaded(&[files])).unwrap();
        let front = Front::with(site.address, |server, proxy| {
            server.tls = Some(tls.clone());
            change(server);
            change_proxy(proxy);
        });
        Self { authority, site, front, tls }
    }

    /// How many handshakes ended so.
    pub(crate) fn handshakes(&self, outcome: &str) -> u64 {
        self.front.metrics.handshakes.with(&[("outcome", outcome)]).get()
    }

    /// Waits until so many handshakes have ended so.
    pub(crate) fn until_handshakes(&self, outcome: &str, count: u64) {
        until(|| self.handshakes(outcome) >= count);
    }
}

/// Waits for a state, for as long as anything may take.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let steps = PATIENCE.as_millis() / 5;
    assert!(
        (0..steps).any(|_| holds() || {
            std::thread::park_timeout(Duration::from_millis(5));
            false
        }),
        "it never came"
    );
}

/// The subject of the certificate that a connection was shown, in DER.
pub(crate) fn shown(stream: &StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

/// A certificate's file as DER.
pub(crate) fn der(path: &Path) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_file(path).unwrap().to_vec()
}
