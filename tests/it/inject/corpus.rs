//! The corpus run: every page of the folder named by `CLICKSIEVE_CORPUS` (else the committed pages), byte-exact
//! against the position that `lol_html` gives.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clicksieve::inject::Coding;
use lol_html::HtmlRewriter;
use lol_html::Settings;
use lol_html::element;
use lol_html::html_content::ContentType;

use super::feed::Cuts;
use super::feed::SNIPPET;
use super::feed::gunzip;
use super::feed::gzip;
use super::feed::inject;

/// The page with the snippet at the start of its first head element, by `lol_html`; `None` if it sees no head tag, or
/// that the page is AMP.
fn oracle(page: &[u8]) -> Option<Vec<u8>> {
    let (mut out, seen) = (Vec::new(), Cell::new(false));
    let head = element!("html:not([amp]):not([\u{26A1}]) > head", |element| {
        if !seen.replace(true) {
            element.prepend(SNIPPET, ContentType::Html);
        }
        Ok(())
    });
    let settings = Settings::new().append_element_content_handler(head);
    let mut rewriter = HtmlRewriter::new(settings, |piece: &[u8]| out.extend_from_slice(piece));
    rewriter.write(page).ok()?;
    rewriter.end().ok()?;
    seen.get().then_some(out)
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            pages(&path, found);
        } else if entry.file_type().unwrap().is_file() && path.extension().is_some_and(|ext| ext == "html" || ext == "htm") {
            found.push(path);
        }
    }
}

#[test]
fn real_pages_are_injected_byte_exact() {
    let folder = std::env::var_os("CLICKSIEVE_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/inject"), PathBuf::from);
    let mut found = Vec::new();
    pages(&folder, &mut found);
    assert!(!found.is_empty(), "no pages in {}", folder.display());
    let (mut exact, mut spliced, mut headless) = (0, 0, 0);
    for (seed, path) in (1_u64..).zip(&found) {
        let page = fs::read(path).unwrap();
        let Some(wanted) = oracle(&page) else {
            headless += 1;
            continue;
        };
        for cuts in [Cuts::Whole, Cuts::Bytes(4096), Cuts::Random(seed * 0x9E37_79B9)] {
            let plain = inject(&page, cuts, Coding::Identity, true).unwrap();
            assert!(plain == wanted, "{} {cuts:?}", path.display());
            let packed = inject(&gzip(&page), cuts, Coding::Gzip, false).unwrap();
            assert!(gunzip(&packed) == wanted, "{} gzip {cuts:?}", path.display());
        }
        exact += 1;
        let decoded = gunzip(&inject(&gzip(&page), Cuts::Random(seed), Coding::Gzip, true).unwrap());
        let front = format!("<!DOCTYPE html>{SNIPPET}");
        if decoded.starts_with(front.as_bytes()) && decoded[front.len()..] == page {
            spliced += 1;
        } else {
            assert!(decoded == wanted, "{} splice", path.display());
        }
    }
    println!("{} pages: {exact} byte-exact, of these {spliced} spliced in gzip, {headless} without a head tag", found.len());
    assert!(exact > 0);
}
