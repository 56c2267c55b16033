//! Pages that say which scripts may run, in the answer's head, in a `meta` element, or both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

use super::BOTH;
use super::CALLS;
use super::FILE;
use super::Half;
use super::PIXEL_ALONE;
use super::Variant;
use super::base_code;
use super::script;
use super::shop;
use super::tour;
use crate::driver::Make;
use crate::stand::SNIPPET;

const CSP: &str = "content-security-policy";
const NONCE: &str = "c2lldmU9";
/// The Pixel may report, and the page may reach its own host.
const REST: &str = "; connect-src 'self' {{BOARD}}";
const NOTHING: &[(&str, Half)] = &[];
const OWN_CALL: &[(&str, Half)] = &[("Lead", Half::Server)];
/// The Pixel has its ids, and the page lets nobody tell the server.
const MARKED: &[(&str, Half)] = &[("PageView", Half::Marked), ("Lead", Half::Marked)];

/// The page's own scripts under its nonce.
fn nonced() -> String {
    shop().replace("<script>", &format!("<script nonce=\"{NONCE}\">"))
}

/// The page's own script, whose hash the policy names, and that hash.
fn hashed() -> (String, String) {
    let text = format!("{};{CALLS}", base_code());
    let hash = STANDARD.encode(Sha256::digest(&text));
    (script(&text), format!("'sha256-{hash}'"))
}

/// The page's own script as a file.
fn from_file(variant: Variant) -> Variant {
    variant.file("shop.js", "text/javascript", format!("{};{CALLS}", base_code()))
}

const LINK: &str = "<script src=shop.js></script>";

/// The base code that gets the Pixel from another host.
fn elsewhere() -> String {
    format!("{}{}", SNIPPET.replace("/fbevents.js", "{{OTHER}}/fbevents.js"), script(CALLS))
}

fn by_header() -> Vec<Variant> {
    let (markup, hash) = hashed();
    let under = |name, policy: &str, head: &str| Variant::new(name, head).field(CSP, format!("{policy}{REST}"));
    vec![
        under("nonce", &format!("script-src 'nonce-{NONCE}' 'self'"), &nonced()),
        under("nonce-strict", &format!("script-src 'nonce-{NONCE}' 'strict-dynamic' https: 'unsafe-inline'"), &nonced()),
        under("hash", &format!("script-src {hash} 'self'"), &markup).ours(FILE),
        under("hash-strict", &format!("script-src {hash} 'strict-dynamic'"), &markup).hears(PIXEL_ALONE).ours(""),
        from_file(under("default-self", "default-src 'self'", LINK)).ours(FILE),
        under("inline", "script-src 'self' 'unsafe-inline'", &shop()),
        under("any-host", "script-src * 'unsafe-inline'", &shop()),
        under("own-name", "script-src 'unsafe-inline' http://{{HOST}}", &shop()),
        under("own-scheme", "script-src 'unsafe-inline' http:", &shop()),
        from_file(under("own-name-file", "script-src {{HOST}}", LINK)).ours(FILE),
        under("other-host", "script-src 'unsafe-inline' {{OTHER}}", &elsewhere()).ours("stub"),
        under("other-host-short", "script-src 'unsafe-inline' {{OTHER}}", &elsewhere()).kind("text/html").ours("stub"),
        Variant::new("other-host-mute", &elsewhere())
            .field(CSP, "script-src 'unsafe-inline' {{OTHER}}; connect-src {{BOARD}}")
            .hears(PIXEL_ALONE)
            .ours(""),
        under("none", "script-src 'none'", &shop()).hears(NOTHING).ours(""),
        under("images", "img-src 'self'; style-src 'none'", &shop()),
        Variant::new("report-only", &shop()).field("content-security-policy-report-only", "default-src 'none'; sandbox"),
        under("two-fields", "script-src 'self' 'unsafe-inline'", &nonced())
            .field(CSP, format!("script-src 'nonce-{NONCE}' 'self'")),
        from_file(under("two-in-one", &format!("script-src 'self', script-src 'self' 'nonce-{NONCE}'"), LINK)).ours(FILE),
        Variant::new("no-report", &shop()).field(CSP, "connect-src {{BOARD}}").hears(MARKED),
        under("trusted-types", "require-trusted-types-for 'script'", &trusting()),
        Variant::new("sandbox", &shop()).field(CSP, "sandbox allow-forms").hears(NOTHING).ours(""),
        Variant::new("sandbox-apart", &shop()).field(CSP, "sandbox allow-scripts").hears(MARKED),
        Variant::new("sandbox-same", &shop()).field(CSP, "sandbox allow-scripts allow-same-origin"),
    ]
}

/// A page that lets its own script addresses pass where it must.
fn trusting() -> String {
    format!("{}{}", script("if(window.trustedTypes)trustedTypes.createPolicy('default',{createScriptURL:u=>u})"), shop())
}

fn by_meta() -> Vec<Variant> {
    let (markup, hash) = hashed();
    let meta = |policy: &str| format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}{REST}\">");
    let under = |name, policy: &str, head: &str| Variant::new(name, &format!("{}{head}", meta(policy)));
    let nonce = format!("script-src 'nonce-{NONCE}' 'strict-dynamic'");
    vec![
        // First, so that `t.js` is not in the browser's cache yet: it runs under a policy that lets no script run, as it
        // was asked for before the policy came.
        under("meta-none", "script-src 'none'", &shop()).then("clicksieve.track('Lead')").hears(OWN_CALL),
        under("meta-nonce", &format!("script-src 'nonce-{NONCE}' 'self'"), &nonced()),
        under("meta-nonce-strict", &nonce, &nonced()),
        under("meta-hash", &format!("script-src {hash} 'self'"), &markup),
        under("meta-hash-strict", &format!("script-src {hash} 'strict-dynamic'"), &markup),
        from_file(under("meta-default-self", "default-src 'self'", LINK)),
        under("meta-inline", "script-src 'self' 'unsafe-inline'", &shop()),
        under("meta-other-host", "script-src 'unsafe-inline' {{OTHER}}", &elsewhere()),
        under("meta-trusted-types", "require-trusted-types-for 'script'", &trusting()),
        Variant::new(
            "meta-no-report",
            &format!("<meta http-equiv=content-security-policy content=\"connect-src {{{{BOARD}}}}\">{}", shop()),
        )
        .hears(MARKED),
        Variant::new(
            "meta-other-host-mute",
            &format!(
                "<meta http-equiv=content-security-policy content=\"script-src 'unsafe-inline' {{{{OTHER}}}}; connect-src {{{{BOARD}}}}\">{}",
                elsewhere()
            ),
        )
        .hears(MARKED),
        under("meta-short", &nonce, &nonced()).kind("text/html").ours(FILE),
        // Not a policy where it stands: report-only and sandbox are ignored in a `meta` element.
        Variant::new(
            "meta-report-only",
            &format!("<meta http-equiv=content-security-policy-report-only content=\"script-src 'none'\">{}", shop()),
        ),
        under("meta-sandbox", "sandbox", &shop()),
        under("both-ways", &nonce, &nonced()).field(CSP, format!("script-src 'self' 'nonce-{NONCE}'{REST}")),
        from_file(under("both-ways-file", &nonce, &nonced())).field(CSP, format!("script-src 'self' 'unsafe-inline'{REST}")),
        Variant::new("meta-late", &format!("{}{}", shop(), meta("script-src 'none'"))).hears(BOTH),
        Variant::new("meta-in-body", "").hears(NOTHING).body_meta(&meta("script-src 'none'")),
    ]
}

impl Variant {
    /// The same with markup in the body, where a policy has no effect, and the shop's scripts behind it.
    fn body_meta(mut self, meta: &str) -> Self {
        let html = String::from_utf8(self.html).unwrap().replace("<body>", &format!("<body>{meta}{}", shop()));
        self.html = html.into_bytes();
        self.hears(BOTH)
    }
}

#[tokio::test]
async fn chromium_keeps_both_halves_under_policies_in_the_head() {
    tour(Make::Chromium, by_header()).await;
}

#[tokio::test]
async fn firefox_keeps_both_halves_under_policies_in_the_head() {
    tour(Make::Firefox, by_header()).await;
}

#[tokio::test]
async fn chromium_keeps_both_halves_under_policies_in_the_page() {
    tour(Make::Chromium, by_meta()).await;
}

#[tokio::test]
async fn firefox_keeps_both_halves_under_policies_in_the_page() {
    tour(Make::Firefox, by_meta()).await;
}
