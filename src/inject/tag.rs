//! The tag's two scripts as they are served, and the hash that makes the script's address immutable.
//! Must not know pages or visits.

use sha2::Digest;
use sha2::Sha256;
use std::sync::LazyLock;

/// The stub that runs inside the page, at most 600 bytes.
pub fn stub() -> &'static str {
    include_str!("tag/stub.js").trim_ascii_end()
}

/// The tag proper, `t.js`.
pub fn script() -> &'static [u8] {
    include_bytes!("tag/t.js")
}

/// The first 16 hex digits of the SHA-256 of stub and tag: the `v` of their addresses.
pub fn script_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let digest = Sha256::new().chain_update(stub()).chain_update(script()).finalize();
        let head = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        format!("{head:016x}")
    });
    &HASH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_is_small_and_cannot_end_its_element() {
        assert!(stub().len() <= 600, "{} bytes", stub().len());
        let lower = stub().to_ascii_lowercase();
        assert!(!lower.contains("</script") && !lower.contains("<!--") && stub().is_ascii());
    }

    #[test]
    fn the_hash_is_sixteen_hex_digits() {
        assert!(script_hash().len() == 16 && script_hash().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
