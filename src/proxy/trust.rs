//! Whom we believe to be the shop, where it is reached by TLS: the certificate must hold for the upstream's name and come
//! from an authority of the machine, or from the operator's own. Must not know requests.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::fault::Fault;

/// What every connection to the shop checks its certificate by.
#[derive(Clone, Debug)]
pub struct Trust(pub(super) Arc<ClientConfig>);

impl Trust {
    /// The machine's authorities; Mozilla's where the machine has none, as in an empty container.
    ///
    /// # Errors
    /// The provider of cryptography has failed.
    pub fn of_the_machine() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        Self::of(roots)
    }

    /// The authorities in a PEM file and no others, as a shop of one's own needs no public ones.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn of_file(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let hint = "`upstream_ca` names a PEM file with the certificates of the authorities that vouch for the upstream";
        let fault = |message: String| Fault::of_file(&name, message).hint(hint);
        let bytes = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|_| fault("is no PEM file".to_owned()))?;
        if found.is_empty() {
            return Err(fault("there is no certificate in it".to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in found {
            roots.add(certificate).map_err(|error| fault(format!("a certificate in it cannot be read: {error}")))?;
        }
        Self::of(roots).map_err(|error| fault(error.to_string()))
    }

    /// The same, but offering HTTP/2 ahead of HTTP/1.1.
    #[must_use]
    pub fn offering_http2(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    fn of(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
