//! Pages that come from a service worker's cache: each view has an id of its own all the same.

use super::Half;
use super::Table;
use super::Variant;
use super::shop;
use crate::driver::Browser;
use crate::driver::Make;

const THREE_VIEWS: &[(&str, Half)] = &[
    ("PageView", Half::Both),
    ("Lead", Half::Both),
    ("PageView", Half::Both),
    ("Lead", Half::Both),
    ("PageView", Half::Both),
    ("Lead", Half::Both),
];
/// Keeps the first page it sees and answers with it from then on.
const WORKER: &str = "addEventListener('install',e=>skipWaiting());addEventListener('activate',e=>e.waitUntil(clients.claim()));\
    addEventListener('fetch',e=>{if(e.request.mode!=='navigate')return;e.respondWith(caches.open('pages').then(async c=>{\
    let kept=await c.match(e.request);if(kept)return kept;let page=await fetch(e.request);await c.put(e.request,page.clone());return page}))})";
/// Waits until the worker holds the page.
const HELD: &str = "return navigator.serviceWorker.register('worker.js').then(()=>navigator.serviceWorker.ready).then(()=>1)";

/// Nothing that a script puts off for a while is ever done: a page with a worker does not wait with what it has to tell.
const NO_PATIENCE: &str = "(()=>{let real=setTimeout;window.setTimeout=(f,t,...a)=>t>0?1e9:real(f,t,...a)})()";

async fn kept_pages(make: Make) {
    let page = Variant::new("worker", &shop()).file("worker.js", "text/javascript", WORKER).hears(THREE_VIEWS);
    let table = Table::start(std::slice::from_ref(&page)).await;
    let browser = Browser::of(make).await;
    let url = format!("{}/worker/", table.front.url);
    browser.open(&url).await;
    browser.run(HELD).await;
    table.reach(&page, 2, 2).await;
    if make == Make::Chromium {
        browser.before_each_page(NO_PATIENCE).await;
    }
    let mut ids = Vec::new();
    // By the site's word, then twice the same bytes from the worker.
    for views in [2, 3] {
        browser.open(&url).await;
        ids.push(browser.run("return JSON.parse(document.querySelector('[data-cs]').dataset.cs).p").await);
        // Of a page with a worker Chromium loses what is on its way when the next one comes.
        table.reach(&page, 2 * views, 2 * views).await;
    }
    assert_eq!(ids[0], ids[1], "the worker answered with the page it kept");
    table.arrive(&page).await;
    assert_eq!(table.faults(&page), None, "{make:?}");
    browser.close().await;
}

#[tokio::test]
async fn chromium_never_counts_two_views_of_a_kept_page_as_one() {
    kept_pages(Make::Chromium).await;
}

#[tokio::test]
async fn firefox_never_counts_two_views_of_a_kept_page_as_one() {
    kept_pages(Make::Firefox).await;
}
