//! The markup that goes into a page: the stub with the page's data, and the reference to the tag. Every value is
//! encoded for its place: JSON first, then an HTML attribute. Must not know where it goes.

use std::fmt::Write;

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use crate::inject::Settings;
use crate::inject::csp;
use crate::inject::csp::Way;
use crate::inject::tag;
use crate::verdict::Consent;
use crate::verdict::PixelAction;

/// What the tag learns about the page view.
#[derive(Clone, Copy, Debug)]
pub struct PageData<'a> {
    /// The page view's id, shared by browser and server events.
    pub page: Uuid,
    /// The sealed page token.
    pub token: &'a str,
    /// What is done with the Pixel.
    pub pixel: PixelAction,
    /// How far the visitor agreed to measurement.
    pub consent: Consent,
    /// Whether the page may make a worker.
    pub worker: bool,
}

/// The same on the wire; the order of the fields is part of the format.
#[derive(Serialize)]
struct Island<'a> {
    p: &'a str,
    t: &'a str,
    x: &'static str,
    c: Consent,
    u: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h: Option<u8>,
}

/// The markup for one page view; empty where there is no way in.
pub fn snippet(settings: &Settings, data: &PageData<'_>, way: &Way) -> Bytes {
    let mut hex = [0; uuid::fmt::Simple::LENGTH];
    let page = data.page.simple().encode_lower(&mut hex);
    let island = Island {
        p: page,
        t: data.token,
        x: data.pixel.name(),
        c: data.consent,
        u: &settings.prefix,
        w: data.worker.then_some(1),
        h: settings.form_trap.then_some(1),
    };
    // A struct of texts always serialises; were it not so, the page goes without data and the stub stops.
    let json = ascii_json(serde_json::to_string(&island).unwrap_or_default());
    let mut out = String::with_capacity(1280);
    match way {
        Way::Inline { nonce } => {
            stub(&mut out, nonce.as_deref(), &json);
            open(&mut out, nonce.as_deref());
            out.push_str(" async");
            source(&mut out, &settings.prefix, "/t.js");
            out.push_str("></script>");
            trap(&mut out, &settings.prefix, page);
        }
        Way::Fetched => {
            stub(&mut out, None, &json);
            // The stub has read the data; the address comes from there, so that nothing needs encoding for a script.
            let _ = write!(
                out,
                "<script>fetch(__cs.j.u+\"/t.js?v={}\").then(r=>r.text()).then(t=>{{let s=document.createElement(\"script\");\
                 s.text=t;document.head.append(s);s.remove()}}).catch(()=>0)</script>",
                tag::script_hash()
            );
            trap(&mut out, &settings.prefix, page);
        }
        Way::External => {
            open(&mut out, None);
            source(&mut out, &settings.prefix, "/s.js");
            attribute(&mut out, "data-cs", &json);
            out.push_str("></script>");
        }
        Way::Nothing => {}
    }
    Bytes::from(out)
}

/// The stub with the page's data.
fn stub(out: &mut String, nonce: Option<&str>, json: &str) {
    open(out, nonce);
    attribute(out, "data-cs", json);
    out.push('>');
    out.push_str(tag::stub());
    out.push_str("</script>");
}

/// A link for whoever follows whatever looks like one. It is the text of a script of no language, so no browser shows, follows
/// or loads it, and nothing of the page's own tree changes.
fn trap(out: &mut String, prefix: &str, page: &str) {
    out.push_str("<script type=\"text/plain\"><a rel=\"nofollow\" hidden href=\"");
    path(out, prefix);
    out.push('/');
    out.push_str(page);
    out.push_str("\"></a></script>");
}

fn open(out: &mut String, nonce: Option<&str>) {
    out.push_str("<script");
    if let Some(nonce) = nonce.filter(|nonce| csp::is_nonce(nonce)) {
        attribute(out, "nonce", nonce);
    }
}

fn source(out: &mut String, prefix: &str, file: &str) {
    out.push_str(" src=\"");
    path(out, prefix);
    out.push_str(file);
    out.push_str("?v=");
    out.push_str(tag::script_hash());
    out.push('"');
}

/// The path of ours, encoded for an attribute that is an address.
fn path(out: &mut String, prefix: &str) {
    for byte in prefix.bytes() {
        match byte {
            b'&' => out.push_str("&amp;"),
            b'!'..=b'~' if !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'?' | b'#') => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

/// One quoted attribute with its leading space.
fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    encode(out, value);
    out.push('"');
}

/// Printable ASCII for a quoted attribute. What needs no encoding, nearly all of it, goes over in one piece.
fn encode(out: &mut String, value: &str) {
    let mut rest = value;
    while let Some((plain, special)) =
        rest.bytes().position(|byte| b"&<>\"'".contains(&byte)).and_then(|at| rest.split_at_checked(at))
    {
        out.push_str(plain);
        let mut behind = special.chars();
        out.push_str(match behind.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#39;",
        });
        rest = behind.as_str();
    }
    out.push_str(rest);
}

/// The same JSON in printable ASCII (line separators and all), so that the page's encoding does not matter and no
/// parser rewrites a control character.
fn ascii_json(json: String) -> String {
    if json.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}
