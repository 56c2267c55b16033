//! Ways in which pages load, call, wrap, double and lose the Pixel.

use serde_json::json;

use super::BOTH;
use super::CALLS;
use super::Half;
use super::SERVER_ALONE;
use super::Variant;
use super::base_code;
use super::script;
use super::shop;
use super::tour;
use crate::driver::Make;
use crate::stand::SNIPPET;

const NOTHING: &[(&str, Half)] = &[];
const MARKED: &[(&str, Half)] = &[("PageView", Half::Marked), ("Lead", Half::Marked)];
const ONE: &[(&str, Half)] = &[("PageView", Half::Both)];
const THREE: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both), ("Contact", Half::Both)];
const FOUR: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both), ("Contact", Half::Both), ("Search", Half::Both)];
/// Two pixels: the second one's copies have the ids of the first one's, and only the first has a server half here.
const TWO_PIXELS: &[(&str, Half)] =
    &[("PageView", Half::Both), ("PageView@999", Half::Marked), ("Lead", Half::Both), ("Contact@999", Half::Marked)];
const TWICE: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both), ("PageView", Half::Both), ("Lead", Half::Both)];
const IN_PAGE: &[(&str, Half)] =
    &[("PageView", Half::Both), ("Lead", Half::Both), ("PageView", Half::Both), ("Contact", Half::Both)];

/// A script that is created by a script, as tag managers do it.
fn manager(text: &str) -> String {
    let inner = format!("let s=document.createElement('script');s.text={};document.head.append(s)", json!(text));
    script(&format!("let t=document.createElement('script');t.text={};document.head.append(t)", json!(inner)))
}

fn loading() -> Vec<Variant> {
    let text = format!("{};{CALLS}", base_code());
    let late = |wait: &str| script(&format!("addEventListener('load',()=>setTimeout(()=>{{{text}}},{wait}))"));
    let file = |variant: Variant| variant.file("shop.js", "text/javascript", text.clone());
    vec![
        Variant::new("ordinary", &shop()),
        Variant::new("manager", &manager(&text)),
        Variant::new("after-load", &late("0")),
        Variant::new("after-3-s", &late("3000")),
        Variant::new("written", &script(&format!("document.write({})", json!(shop()).to_string().replace("</", "<\\/")))),
        Variant::new("written-later", &late("0").replace(&text, &format!("document.body.append('');{text}"))),
        file(Variant::new("deferred", "<script defer src=shop.js></script>")),
        file(Variant::new("asynchronous", "<script async src=shop.js></script>")),
        file(Variant::new("module", "<script type=module src=shop.js></script>")),
        Variant::new("module-inline", &format!("<script type=module>{text}</script>")),
        Variant::new("in-body", "").body(&shop()),
        Variant::new("calls-in-body", SNIPPET).body(&script(CALLS)),
        Variant::new("pixel-404", &shop().replace("/fbevents.js", "/gone.js")).hears(SERVER_ALONE),
        Variant::new("pixel-refused", &shop().replace("/fbevents.js", "http://127.0.0.1:1/fbevents.js")).hears(SERVER_ALONE),
        Variant::new("image-alone", "").body(&image("noscript")).hears(NOTHING),
        Variant::new("image-beside", &shop()).body(&image("noscript")),
    ]
}

fn image(around: &str) -> String {
    format!(
        "<{around}><img height=1 width=1 style=\"display:none\" src=\"/tr?id=100200300400500&ev=PageView&noscript=1\"></{around}>"
    )
}

fn calling() -> Vec<Variant> {
    let calls = |text: &str| format!("{SNIPPET}{}", script(text));
    let init = "fbq('init','100200300400500');";
    let mut own =
        Variant::new("own-id", &calls(&format!("{init}fbq('track','PageView',{{}},{{eventID:'theirs-1'}});fbq('track','Lead')")));
    own.own = Some(("PageView", "theirs-1"));
    let own_late = Variant {
        own: Some(("Lead", "theirs-2")),
        ..Variant::new(
            "own-id-of-one",
            &calls(&format!("{init}fbq('track','PageView');fbq('track','Lead',{{value:1}},{{eventID:'theirs-2'}})")),
        )
    };
    let single = "fbq('trackSingle','100200300400500','Lead');fbq('trackSingle','999','Contact')";
    let own_function = "window.fbq=function(){var f=window.fbq;f.callMethod?f.callMethod.apply(f,arguments):f.queue.push(arguments)};\
                        fbq.push=fbq;fbq.loaded=true;fbq.version='2.0';fbq.queue=[];";
    let load = "<script async src=/fbevents.js></script>";
    let wrapped = "var old=window.fbq;window.fbq=function(){old.apply(this,arguments)};for(var k in old)window.fbq[k]=old[k];";
    vec![
        own,
        own_late,
        Variant::new("two-pixels", &calls(&format!("{init}fbq('init','999');fbq('track','PageView');{single}")))
            .hears(TWO_PIXELS),
        Variant::new("pasted-twice", &format!("{}{SNIPPET}", shop())),
        Variant::new("loaded-twice", &format!("{}{load}", shop())),
        Variant::new("init-twice", &calls(&format!("{init}{CALLS}"))),
        Variant::new("all-twice", &format!("{}{}", shop(), shop())).hears(TWICE),
        Variant::new("own-function", &format!("{}{load}{}", script(own_function), shop())),
        Variant::new("own-function-alone", &format!("{}{load}{}", script(own_function), script(CALLS))),
        Variant::new("wrapped", &format!("{SNIPPET}{}{}", script(wrapped), script(CALLS))),
        Variant::new("declared", &script(&format!("var fbq;{};{CALLS}", base_code()))),
        Variant::new("by-window", &calls(&CALLS.replace("fbq(", "window.fbq("))),
        Variant::new("by-second-name", &calls(&CALLS.replace("fbq(", "window._fbq("))),
        Variant::new("pushed", &calls(&CALLS.replace("fbq(", "fbq.push("))),
        Variant::new("frozen", &shop())
            .then("Object.freeze(window.fbq);fbq('track','Contact');fbq.push('track','Search');return fbq.push.length")
            .hears(FOUR),
        Variant::new("sealed", &shop()).then("Object.seal(window.fbq);fbq('track','Contact')").hears(THREE),
        Variant::new("frozen-early", &format!("{SNIPPET}{}", script(&format!("Object.freeze(fbq);{CALLS}")))).hears(SERVER_ALONE),
        Variant::new("no-beacon", &format!("{}{}", script("delete Navigator.prototype.sendBeacon"), shop())),
        Variant::new("no-collector", &format!("{}{}", script(BLOCKER), shop())).hears(MARKED),
        Variant::new("page-view-alone", &calls(&format!("{init}fbq('track','PageView')"))).hears(ONE),
        Variant::new("in-page", &calls(&format!("{init}fbq.disablePushState=true;fbq('track','PageView');fbq('track','Lead')")))
            .then("history.pushState({},'','second');fbq('track','PageView');fbq('track','Contact')")
            .hears(IN_PAGE),
        Variant::new("frameworks-clone", &shop())
            .then("document.head.innerHTML=document.head.innerHTML;fbq('track','Contact')")
            .hears(THREE),
        Variant::new("on-leaving", &shop())
            .then("addEventListener('pagehide',()=>fbq('track','Contact'));location.href='gone.html'")
            .file("gone.html", "text/html; charset=utf-8", "<title>Gone</title>")
            .hears(THREE),
        Variant::new("both-again", &shop()).hears(BOTH),
    ]
}

/// An extension that lets nothing reach the collector.
const BLOCKER: &str = "(()=>{let f=window.fetch,b=navigator.sendBeacon.bind(navigator),ours=u=>String(u).includes('/_cs/');\
                       window.fetch=(u,o)=>ours(u)?Promise.reject(new TypeError('blocked')):f(u,o);\
                       navigator.sendBeacon=(u,d)=>ours(u)?false:b(u,d)})()";

impl Variant {
    /// The same with markup at the end of its body.
    fn body(mut self, markup: &str) -> Self {
        self.html = String::from_utf8(self.html).unwrap().replace("</body>", &format!("{markup}</body>")).into_bytes();
        self
    }
}

#[tokio::test]
async fn chromium_counts_once_however_the_pixel_comes() {
    tour(Make::Chromium, loading()).await;
}

#[tokio::test]
async fn firefox_counts_once_however_the_pixel_comes() {
    tour(Make::Firefox, loading()).await;
}

#[tokio::test]
async fn chromium_counts_once_however_the_pixel_is_called() {
    tour(Make::Chromium, calling()).await;
}

#[tokio::test]
async fn firefox_counts_once_however_the_pixel_is_called() {
    tour(Make::Firefox, calling()).await;
}
