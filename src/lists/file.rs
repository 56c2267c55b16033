//! A file that somebody names -> its bytes, if it is a file and not too large: a device or a pipe has no end, or never comes.
//! Must not know what stands in it.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// Reads a file of at most so many bytes.
///
/// # Errors
/// It cannot be read, is larger, or is no file.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened: a pipe without a writer would not be opened at all.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("it has more than {most} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        assert_eq!(read_file(&path, 4).unwrap_err().to_string(), "it has more than 4 bytes");
        for other in [Path::new("/dev/zero"), folder.path()] {
            assert_eq!(read_file(other, 5).unwrap_err().to_string(), "it is no file");
        }
        assert_eq!(read_file(&folder.path().join("none"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
