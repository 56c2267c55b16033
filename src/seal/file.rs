//! Where the sealing keys are kept: a file of one or two lines `<id> <key>`, mode 0600, made once; or the same text
//! from the environment. The first line is the current key. Must not know what is sealed.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::seal::Key;
use crate::seal::Keys;
use crate::seal::SealError;

impl Keys {
    /// Reads keys from text: one or two lines `<id> <32 bytes in base64url>`; `#` starts a comment line.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = parse_line(line).filter(|_| keys.len() < 2).ok_or(SealError::Text { line: at + 1 })?;
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(SealError::Text { line: 1 })?;
        let former = keys.next();
        if former.as_ref().is_some_and(|former| former.id == current.id) {
            return Err(SealError::Text { line: 2 });
        }
        Ok(Self { current, former })
    }

    /// The text that [`Keys::parse`] reads; it is a secret.
    pub fn text(&self) -> String {
        let line = |key: &Key| format!("{} {}\n", key.id, URL_SAFE_NO_PAD.encode(key.root));
        std::iter::once(&self.current).chain(&self.former).map(line).collect()
    }

    /// Reads the key file; where there is none, makes it from `fresh` random bytes, mode 0600.
    pub fn load_or_create(path: &Path, fresh: [u8; 32]) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.display().to_string(), source };
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let keys = Self::generate(fresh)?;
                if create(path, &keys.text()).map_err(failed)? {
                    Ok(keys)
                } else {
                    Self::parse(&fs::read_to_string(path).map_err(failed)?)
                }
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn parse_line(line: &str) -> Option<Key> {
    let (id, key) = line.split_once(' ')?;
    let root: [u8; 32] = URL_SAFE_NO_PAD.decode(key.trim()).ok()?.try_into().ok()?;
    Key::of(id.parse().ok()?, root).ok()
}

/// Writes beside the file and links it into place, so that nobody ever reads half a key; `false` if somebody was first.
fn create(path: &Path, text: &str) -> io::Result<bool> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_made_once_and_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let first = Keys::load_or_create(&path, [1; 32]).unwrap();
        let second = Keys::load_or_create(&path, [2; 32]).unwrap();
        assert_eq!(first.text(), second.text());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_file_is_refused_with_its_line_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "# ours\n1 tooshort\n").unwrap();
        let error = Keys::load_or_create(&path, [1; 32]).unwrap_err().to_string();
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(!error.contains("tooshort"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "# ours\n1 tooshort\n");
    }

    #[test]
    fn two_keys_are_read_back_as_written() {
        let keys = Keys::generate([1; 32]).unwrap().rotated([2; 32]).unwrap();
        assert_eq!(Keys::parse(&keys.text()).unwrap().text(), keys.text());
        assert!(Keys::parse("").is_err());
    }
}
