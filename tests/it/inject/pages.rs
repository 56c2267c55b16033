//! Pages beside the page expected of them: `NAME.html` and `NAME.expected`, where `{{SNIPPET}}` stands for the markup.

use std::fs;
use std::path::Path;

use clicksieve::inject::Coding;

use super::feed::Cuts;
use super::feed::SNIPPET;
use super::feed::gunzip;
use super::feed::gzip;
use super::feed::inject;

#[test]
fn every_page_becomes_the_expected_page_in_any_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/inject");
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|ext| ext != "html") {
            continue;
        }
        let page = fs::read(&entry).unwrap();
        let expected = fs::read_to_string(entry.with_extension("expected")).unwrap().replace("{{SNIPPET}}", SNIPPET);
        for cuts in [Cuts::Whole, Cuts::Bytes(usize::MAX), Cuts::Random(7)] {
            assert_eq!(
                String::from_utf8_lossy(&inject(&page, cuts, Coding::Identity, true).unwrap()),
                expected,
                "{}",
                entry.display()
            );
            let packed = inject(&gzip(&page), cuts, Coding::Gzip, false).unwrap();
            assert_eq!(String::from_utf8_lossy(&gunzip(&packed)), expected, "{} gzip", entry.display());
        }
    }
}

#[test]
fn a_damaged_gzip_page_is_an_error_not_a_shorter_page() {
    let packed = gzip(b"<!doctype html><html><head><title>x</title></head><body>hello, hello, hello</body></html>");
    let whole = gunzip(&inject(&packed, Cuts::Whole, Coding::Gzip, false).unwrap());
    for cut in 1..packed.len() {
        assert!(inject(&packed[..cut], Cuts::Whole, Coding::Gzip, false).is_err(), "cut at {cut}");
    }
    for at in (0..packed.len()).filter(|at| !(4..10).contains(at)) {
        let mut bent = packed.clone();
        bent[at] ^= 0x10;
        // Bits that pad the last deflate byte mean nothing; all others are noticed.
        assert!(inject(&bent, Cuts::Whole, Coding::Gzip, false).map_or(true, |page| gunzip(&page) == whole), "bent at {at}");
    }
}

#[test]
fn members_that_follow_one_another_are_one_page() {
    let packed = [gzip(b"<html><head>"), gzip(b"<title>x</title>")].concat();
    let page = gunzip(&inject(&packed, Cuts::Bytes(usize::MAX), Coding::Gzip, true).unwrap());
    assert_eq!(String::from_utf8(page).unwrap(), format!("<html><head>{SNIPPET}<title>x</title>"));
}

#[test]
fn an_ordinary_gzip_page_is_spliced_in_any_cut() {
    let page = format!("<!DOCTYPE html>\n<html lang=en>\n<head><title>x</title>{}", "<p>hello".repeat(9000));
    for cuts in [Cuts::Whole, Cuts::Bytes(usize::MAX), Cuts::Random(7)] {
        let decoded = gunzip(&inject(&gzip(page.as_bytes()), cuts, Coding::Gzip, true).unwrap());
        assert_eq!(String::from_utf8(decoded).unwrap(), format!("<!DOCTYPE html>{SNIPPET}{page}"), "{cuts:?}");
    }
}
