//! Certificate files -> what a handshake is given. All faults of all files are told at once, before anything is served.
//! Promises: what is in force was whole, and each key belongs to its certificate. Must not show any key.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::clock::UnixMillis;
use crate::fault::Fault;

/// Where one certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, then those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// The certificate's key in PEM, not encrypted.
    pub key: PathBuf,
}

/// Certificates by the names they are for.
#[derive(Debug)]
pub struct Certificates {
    names: FxHashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no host or an unknown one.
    first: Option<Arc<CertifiedKey>>,
    warnings: Vec<Fault>,
    expiries: Vec<(String, i64)>,
}

impl Certificates {
    /// Reads all files; all their faults at once.
    pub fn load(files: &[Files], now: UnixMillis) -> Result<Self, Vec<Fault>> {
        let mut whole = Self { names: FxHashMap::default(), first: None, warnings: Vec::new(), expiries: Vec::new() };
        let faults: Vec<Fault> = files.iter().filter_map(|pair| whole.join(pair, now).err()).flatten().collect();
        if faults.is_empty() { Ok(whole) } else { Err(faults) }
    }

    /// Takes one more; those that came before win for their names.
    pub fn join(&mut self, pair: &Files, now: UnixMillis) -> Result<(), Vec<Fault>> {
        let (own, until, key) = one(pair, now, &mut self.warnings)?;
        self.expiries.push((own.first().cloned().unwrap_or_default(), until));
        for name in own {
            self.names.entry(name).or_default().push(Arc::clone(&key));
        }
        self.first.get_or_insert(key);
        Ok(())
    }

    /// Of each certificate the first name, and the second since 1970 in which it expires.
    pub fn expiries(&self) -> &[(String, i64)] {
        &self.expiries
    }

    /// Whether there is none at all, as before the first one was issued.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether there is one for this name, in lower case.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.own(name).is_some()
    }

    fn own(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let above = || name.split_once('.').map(|(_, above)| format!("*.{above}"));
        self.names.get(name).or_else(|| self.names.get(&above()?))
    }

    /// What is doubtful about them, though they are in force.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// How many names there are.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// The certificate for a name: its own, else the wildcard's that stands one label higher (RFC 9525 section 6.3), else
    /// the first of all. Of several, the first that the client can verify.
    pub(super) fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let found = name.and_then(|name| self.own(&name.trim_end_matches('.').to_ascii_lowercase()));
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let own = found.and_then(|keys| keys.iter().find(fits).or(keys.first()));
        own.or(self.first.as_ref()).cloned()
    }
}

/// What the first certificate of a file says of itself.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// The names it is for, in lower case.
    pub(super) names: Vec<String>,
    /// When it begins to hold.
    pub(super) from: UnixMillis,
    /// When it ends to hold.
    pub(super) until: UnixMillis,
    /// A number that stays with it.
    pub(super) spread: u16,
}

impl Leaf {
    /// Of a pair that is sound; the key must fit.
    pub(super) fn read(files: &Files, now: UnixMillis) -> Option<Self> {
        let (names, _, key) = one(files, now, &mut Vec::new()).ok()?;
        let der = key.cert.first()?;
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let moment = |seconds: i64| UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let spread = digest.as_ref().first_chunk().map_or(0, |first| u16::from_be_bytes(*first));
        let validity = read.validity();
        Some(Self { names, from: moment(validity.not_before.timestamp()), until: moment(validity.not_after.timestamp()), spread })
    }
}

/// One certificate with its names, in lower case, and the second in which it expires.
type One = (Vec<String>, i64, Arc<CertifiedKey>);

fn one(files: &Files, now: UnixMillis, warnings: &mut Vec<Fault>) -> Result<One, Vec<Fault>> {
    let (chain, key) = (chain(&files.certificate), key(&files.key));
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
    };
    let about = |message: String| Fault::of_file(&files.certificate.display().to_string(), message);
    let unread = |why: String| vec![about(format!("its first certificate cannot be read: {why}"))];
    let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, read) = X509Certificate::from_der(first).map_err(|error| unread(error.to_string()))?;
    let (names, until) = (names(&read), read.validity().not_after.timestamp());
    if names.is_empty() {
        let hint = "browsers read names from the subject alternative name only; it serves those whom no other fits";
        warnings.push(about("the certificate is for no host name".to_owned()).hint(hint));
    }
    warnings.extend(validity(&read, now).map(|(message, hint)| about(message).hint(hint)));
    let signs = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|_| {
        let hint = "RSA, ECDSA (P-256, P-384, P-521) and Ed25519 keys are";
        vec![Fault::of_file(&files.key.display().to_string(), "this kind of key is not supported").hint(hint)]
    })?;
    let certified = CertifiedKey::new(chain, signs);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            let message = format!("the key does not fit the certificate `{}`", files.certificate.display());
            let hint = "the certificate of the key comes first in its file; the two may be of different dates";
            Err(vec![Fault::of_file(&files.key.display().to_string(), message).hint(hint)])
        }
        Err(error @ rustls::Error::InvalidCertificate(_)) => Err(unread(error.to_string())),
        // What cannot tell its public half is taken at its word.
        Err(_) | Ok(()) => Ok((names, until, Arc::new(certified))),
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.filter_map(host).collect()
}

/// What is wrong with the time, and what to do.
fn validity(certificate: &X509Certificate<'_>, now: UnixMillis) -> Option<(String, &'static str)> {
    let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if validity.not_after.timestamp() < now {
        return Some((format!("the certificate has expired on {}", validity.not_after), "renew it; browsers refuse it"));
    }
    let early = validity.not_before.timestamp() > now;
    early.then(|| (format!("the certificate holds from {} only", validity.not_before), "is the clock of this machine right?"))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let name = path.display().to_string();
    let bytes = bytes(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| Fault::of_file(&name, format!("is no PEM file: {}", said(&error))))?;
    if chain.is_empty() {
        let hint = "it begins with `-----BEGIN CERTIFICATE-----`; a file in DER is converted by `openssl x509 -inform der`";
        return Err(Fault::of_file(&name, "there is no certificate in it").hint(hint));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let name = path.display().to_string();
    let bytes = bytes(path)?;
    let has = |mark: &[u8]| memchr::memmem::find(&bytes, mark).is_some();
    if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        let hint = "nobody is there to type the pass phrase; decrypt it with `openssl pkey` and keep it with mode 0600";
        return Err(Fault::of_file(&name, "the key is encrypted").hint(hint));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            Fault::of_file(&name, "there is no key in it").hint("it begins with `-----BEGIN PRIVATE KEY-----`")
        }
        error => Fault::of_file(&name, format!("is no PEM file: {}", said(&error))),
    })
}

/// What a reader of PEM says, without a byte of the file.
fn said(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly",
        pem::Error::Base64Decode(_) => "a section is not in base64",
        _ => "it cannot be read",
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| {
        let hint = "the process must be allowed to read it; relative paths are taken from the configuration's folder";
        Fault::of_file(&path.display().to_string(), format!("cannot be read: {error}")).hint(hint)
    })
}
