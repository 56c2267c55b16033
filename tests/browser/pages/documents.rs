//! Pages by their characters, their opening and their frames.

use super::BOTH;
use super::FILE;
use super::Half;
use super::PIXEL_ALONE;
use super::Variant;
use super::shop;
use super::tour;
use crate::driver::Make;

const NOTHING: &[(&str, Half)] = &[];
/// A parent and the frame in it.
const FRAMED: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both), ("Contact", Half::Pixel)];
const IN_FRAME: &[(&str, Half)] = &[("Contact", Half::Pixel)];
const FROM_FRAME: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both), ("Search", Half::Both)];

/// Head and body of a page whose letters beyond ASCII are `word`.
fn page(before: &str, head: &str, word: &[u8]) -> Vec<u8> {
    let head = format!("{before}<head>{head}<title>");
    [head.as_bytes(), word, format!("</title>{}</head><body><p id=end>", shop()).as_bytes(), word, b"</p></body></html>"].concat()
}

fn characters() -> Vec<Variant> {
    const HTML: &str = "<!doctype html><html>";
    let utf16 = |units: Vec<u16>| units.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let wide = String::from_utf8(page(HTML, "", "Tassenärmel".as_bytes())).unwrap();
    let wide = utf16(std::iter::once(0xFEFF).chain(wide.encode_utf16()).collect());
    let filler = format!("<!--{}-->", "x".repeat(420));
    vec![
        Variant::whole("utf8-by-field", page(HTML, "", "Tassenärmel".as_bytes())),
        Variant::whole("utf8-by-meta", page(HTML, "<meta charset=utf-8>", "Tassenärmel".as_bytes())).kind("text/html").ours(FILE),
        Variant::whole("utf8-by-late-meta", page(HTML, &format!("{filler}<meta charset=utf-8>"), "Tassenärmel".as_bytes()))
            .kind("text/html")
            .ours(FILE),
        Variant::whole("utf8-by-mark", page(&format!("\u{FEFF}{HTML}"), "", "Tassenärmel".as_bytes()))
            .kind("text/html")
            .ours(FILE),
        Variant::whole("no-charset", page(HTML, "", b"Mug")).kind("text/html").ours(FILE),
        Variant::whole("latin-by-field", page(HTML, "", b"Tassen\xE4rmel")).kind("text/html; charset=windows-1252"),
        Variant::whole(
            "latin-by-meta",
            page(HTML, "<meta http-equiv=content-type content=\"text/html; charset=iso-8859-1\">", b"Tassen\xE4rmel"),
        )
        .kind("text/html")
        .ours(FILE),
        Variant::whole("sjis-by-field", page(HTML, "", b"\x83\x7D\x83\x4F")).kind("text/html; charset=Shift_JIS"),
        Variant::whole("sjis-by-meta", page(HTML, "<meta charset=shift_jis>", b"\x83\x7D\x83\x4F")).kind("text/html").ours(FILE),
        Variant::whole("utf16-by-mark", wide.clone()).kind("text/html").hears(PIXEL_ALONE).ours(""),
        Variant::whole("utf16-by-field", wide).kind("text/html; charset=utf-16").hears(PIXEL_ALONE).ours(""),
    ]
}

fn openings() -> Vec<Variant> {
    let rest = format!("<title>Mug</title>{}<p id=end>The end", shop());
    let whole = |name, before: &str| Variant::whole(name, format!("{before}{rest}"));
    let strict =
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">";
    let loose = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\" \"http://www.w3.org/TR/html4/loose.dtd\">";
    let xhtml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{strict}\n<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\"><head>\
         <title>Mug</title>{}</head><body><p id=\"end\">The end<br /></p></body></html>",
        shop().replace("<script>", "<script>//<![CDATA[\n").replace("</script>", "\n//]]></script>")
    );
    vec![
        whole("no-head", "<!doctype html><html>"),
        whole("no-html", "<!doctype html>"),
        whole("no-doctype", "<html><head>"),
        whole("nothing-at-all", ""),
        Variant::whole("text-first", format!("Hello <!doctype html><html><head>{rest}")),
        whole("old-doctype", "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\"><html><head>"),
        whole("limited-quirks", &format!("{loose}<html><head>")),
        whole("comment-first", "<!-- saved from a tool --><!doctype html><html><head>"),
        whole("mark-first", "\u{FEFF}\n<!doctype html><html><head>"),
        whole("two-heads", "<!doctype html><html><head></head><head>"),
        whole("body-first", "<!doctype html><html><body class=shop>"),
        whole("amp", "<!doctype html><html amp lang=en><head>").hears(PIXEL_ALONE).ours(""),
        whole("amp-sign", "<!doctype html><html lang=en \u{26A1}><head>").hears(PIXEL_ALONE).ours(""),
        whole("amp-not", "<!doctype html><html lang=amp data-amp=1 amped><head>"),
        Variant::whole("xhtml", xhtml.clone()).kind("application/xhtml+xml").hears(PIXEL_ALONE).ours(""),
        Variant::whole("xhtml-as-html", xhtml),
        whole("long-head", &format!("<!doctype html><html><head><style>{}</style>", "p{color:red}".repeat(200 * 1024 / 12))),
        whole("long-comment", &format!("<!doctype html><html><head><!--{}-->", "x".repeat(1 << 20))),
        whole("long-before-head", &format!("<!doctype html><!--{}--><html><head>", "x".repeat(1 << 20)))
            .hears(PIXEL_ALONE)
            .ours(""),
        whole("packed", "<!doctype html><html lang=en><head>").packed(),
        whole("packed-without-head", "<!doctype html><p>Hello").packed(),
        whole("packed-quirks", "<html><head>").packed(),
        whole("packed-amp", "<!doctype html><html amp><head>").packed().hears(PIXEL_ALONE).ours(""),
        whole("packed-long", &format!("<!doctype html><html><head><!--{}-->", "x".repeat(1 << 20))).packed(),
        whole("base-here", "<!doctype html><html><head><base href=/elsewhere/>"),
        whole("base-elsewhere", "<!doctype html><html><head><base href=\"{{OTHER}}/cdn/\" target=_blank>"),
    ]
}

fn frames() -> Vec<Variant> {
    let calls = "fbq('init','100200300400500');fbq('track','Contact');";
    let child = format!("<!doctype html><title>Child</title>{}<p>In a frame", shop().replace(super::CALLS, calls));
    let asks = "<!doctype html><title>Child</title><script>parent.fbq('track','Search')</script><p>In a frame";
    let set = "<!doctype html><html><head><title>Set</title></head><frameset cols=\"50%,50%\"><frame src=child><frame src=other></frameset></html>";
    let html = "text/html; charset=utf-8";
    let framed = |name| {
        let mut variant = Variant::new(name, &shop());
        variant.html.extend_from_slice(b"<iframe src=child></iframe>");
        variant
    };
    vec![
        framed("frame").file("child", html, child.clone()).hears(FRAMED),
        framed("frame-that-asks").file("child", html, asks).hears(FROM_FRAME),
        Variant::whole("frameset", set).file("child", html, child).file("other", html, "<p>Other").hears(IN_FRAME),
        Variant::new("empty", "").hears(NOTHING),
        Variant::new("frame-by-text", &shop())
            .then("let f=document.createElement('iframe');f.srcdoc='<p>x';document.body.append(f)")
            .hears(BOTH),
    ]
}

async fn all(make: Make) {
    tour(make, [characters(), openings(), frames()].concat()).await;
}

#[tokio::test]
async fn chromium_shows_every_kind_of_document_as_it_was_with_both_halves() {
    all(Make::Chromium).await;
}

#[tokio::test]
async fn firefox_shows_every_kind_of_document_as_it_was_with_both_halves() {
    all(Make::Firefox).await;
}
