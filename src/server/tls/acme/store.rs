//! What is kept of an authority: our account, and the newest certificate with its key. Files of mode 0600, replaced whole.
//! Promises: nothing is half-written; another authority has a place of its own. Must not show any key.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use instant_acme::AccountCredentials;
use url::Url;

use crate::server::tls::certificates::Files;

/// Bytes that are tried out: more than a chain, its key and an account have.
const TRIAL: usize = 64 * 1024;

/// The place of one authority in the state folder.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// In `acme/` of the state folder, by the directory's host and a digest of its whole address.
    pub fn new(state: &Path, directory: &Url) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, directory.as_str().as_bytes());
        let short = digest.as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
        // An address of IPv6 stands in brackets, which are no harm to a file's name.
        Self(state.join("acme").join(format!("{}-{short:08x}", directory.host_str().unwrap_or_default())))
    }

    /// The newest certificate, if there is one; it lies in one file with its key, so that they always belong together.
    pub fn pair(&self) -> Option<Files> {
        let path = self.0.join("certificate.pem");
        path.is_file().then(|| Files { certificate: path.clone(), key: path })
    }

    /// Keeps a certificate and its key, both in PEM.
    pub(super) fn keep_pair(&self, chain: &str, key: &str) -> io::Result<()> {
        self.write("certificate.pem", format!("{key}{chain}").as_bytes())
    }

    /// Whether a certificate could be kept, found out before an authority is asked: it issues only so many a week.
    pub(super) fn try_out(&self) -> io::Result<()> {
        self.write("trial", &vec![0; TRIAL])?;
        std::fs::remove_file(self.0.join("trial"))
    }

    pub(super) fn account(&self) -> Option<AccountCredentials> {
        serde_json::from_slice(&std::fs::read(self.0.join("account.json")).ok()?).ok()
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> io::Result<()> {
        self.write("account.json", &serde_json::to_vec(account)?)
    }

    /// Lets go of an account that the authority does not know any more.
    pub(super) fn forget_account(&self) {
        // What is not there is as good as gone.
        let _ = std::fs::remove_file(self.0.join("account.json"));
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let (new, path) = (self.0.join(format!("{name}.new")), self.0.join(name));
        // One that a crash has left may have other rights.
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(new, path)?;
        std::fs::File::open(&self.0)?.sync_all()
    }
}
