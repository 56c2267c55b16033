//! The limits that the page's scripts promise: what stands in a shop's page is small and cannot break it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

const STUB: &str = include_str!("../../src/inject/tag/stub.js");
const SCRIPT: &str = concat!(include_str!("../../src/inject/tag/t.js"), include_str!("../../src/inject/tag/p.js"));

#[test]
fn the_stub_is_at_most_600_bytes() {
    assert!(STUB.len() <= 600, "{} bytes", STUB.len());
}

#[test]
fn the_core_is_at_most_six_kibibytes_compressed() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(clicksieve::inject::tag::script()).unwrap();
    let size = packed.finish().unwrap().len();
    assert!(size <= 6 << 10, "{size} bytes");
}

#[test]
fn the_stub_can_stand_in_a_script_element() {
    for ending in ["</script", "<script", "<!--", "]]>"] {
        assert!(!STUB.to_lowercase().contains(ending), "{ending}");
    }
    assert!(STUB.is_ascii() && SCRIPT.is_ascii());
}

#[test]
fn nothing_is_stored_on_the_device_and_no_text_is_run() {
    for word in [
        "localStorage",
        "sessionStorage",
        "indexedDB",
        "document.cookie",
        "d.cookie",
        "eval(",
        "new Function",
        "innerHTML",
        "document.write",
    ] {
        assert!(!STUB.contains(word) && !SCRIPT.contains(word), "{word}");
    }
}
