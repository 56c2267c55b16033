//! The tag's scripts as they are served, and the hash that makes their address immutable. `tag/t.js` and `tag/p.js` are
//! one file on the wire, without comments and indentation.
//! Must not know pages or visits.

use std::io::Read;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use sha2::Digest;
use sha2::Sha256;

/// The stub that runs inside the page, at most 600 bytes.
pub fn stub() -> &'static str {
    include_str!("tag/stub.js").trim_ascii_end()
}

/// The tag proper, `t.js`, with what looks at the browser behind it.
pub fn script() -> &'static [u8] {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| slim(concat!(include_str!("tag/t.js"), include_str!("tag/p.js"))));
    SCRIPT.as_bytes()
}

/// A script without the indentation and the lines of comment that are for its readers. It has no text over several lines.
fn slim(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    for line in script.lines().map(str::trim) {
        let is_comment = line.starts_with("//") || line.starts_with("/*") && line.ends_with("*/");
        if !is_comment && !line.is_empty() {
            out.push_str(line.split_once("  //").map_or(line, |(code, _)| code.trim_end()));
            out.push('\n');
        }
    }
    out
}

/// One of the tag's files as it is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// Plain.
    pub plain: Bytes,
    /// The same, gzip (RFC 1952); made once.
    pub gzip: Bytes,
}

/// `t.js`: the tag proper.
pub fn asynchronous() -> &'static Served {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::of(script().to_vec()));
    &SERVED
}

/// `s.js`: stub and tag in one, for pages whose policy lets no inline script run.
pub fn blocking() -> &'static Served {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::of([stub().as_bytes(), b";\n", script()].concat()));
    &SERVED
}

impl Served {
    fn of(plain: Vec<u8>) -> Self {
        let mut gzip = Vec::new();
        // Reading from memory does not fail; if it did, the coded form would be empty and is not offered.
        if GzEncoder::new(plain.as_slice(), Compression::best()).read_to_end(&mut gzip).is_err() {
            gzip.clear();
        }
        Self { plain: Bytes::from(plain), gzip: Bytes::from(gzip) }
    }
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
    fn the_tag_weighs_at_most_6_kib_on_the_wire() {
        assert!((1..=6 * 1024).contains(&asynchronous().gzip.len()), "{} bytes", asynchronous().gzip.len());
        assert!(blocking().plain.starts_with(stub().as_bytes()) && blocking().plain.ends_with(script()));
    }

    #[test]
    fn comments_and_indentation_stay_at_home() {
        let script =
            "/* why */\n(function () {\n  var a = 1,       // so\n    u = 'http://x';\n\n  // and so\n  b(a /* c */);\n})();\n";
        assert_eq!(slim(script), "(function () {\nvar a = 1,\nu = 'http://x';\nb(a /* c */);\n})();\n");
        assert!(script.len() > slim(script).len() && !slim(script).contains("why"));
        for source in [include_str!("tag/t.js"), include_str!("tag/p.js")] {
            assert!(!slim(source).contains('`') && !source.contains("\\\n"), "a text over several lines");
        }
    }

    #[test]
    fn the_hash_is_sixteen_hex_digits() {
        assert!(script_hash().len() == 16 && script_hash().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
