//! What a recording's own script saw in the page, put as the facts that our tag reports and the collector judges.

use clicksieve::fact::Agreement;
use clicksieve::fact::ClickMoves;
use clicksieve::fact::Look;
use clicksieve::fact::Page;
use clicksieve::fact::Proof;
use serde_json::Value;

/// The facts our tag would have reported; none without a script.
pub(super) fn page(beacon: &Value) -> Page {
    if beacon.is_null() {
        return Page::default();
    }
    let (facts, worker) = (&beacon["facts"], &beacon["async"]["worker"]);
    let agent = facts["userAgent"].as_str().unwrap_or_default();
    let is_chromium = agent.contains("Chrome/");
    let is_desktop = !agent.contains("Mobile") && !agent.contains("Android");
    let odd = has_items(&facts["webdriver_own"]) || facts["webdriver_getter_native"] == false;
    let worker_differs = worker["ua"].as_str().is_some_and(|worker| worker != agent)
        || (is_chromium && worker["brands"].as_array().is_some_and(Vec::is_empty));
    let no_pointer = facts["mediaQuery"]["pointerFine"] == false && facts["maxTouchPoints"] == 0;
    let driver = has_items(&facts["globals"]);
    let platform_differs = platform_differs(agent, facts["platform"].as_str().unwrap_or_default());
    Page {
        proof: Some(Proof::Present),
        webdriver: Some(facts["webdriver"] == true || driver),
        interaction: Some(moved(beacon)),
        driver: Some(driver),
        webdriver_odd: Some(odd || (is_chromium && facts["webdriver"].is_null())),
        platform: Some(agreement(platform_differs)),
        worker: worker.is_object().then(|| agreement(worker_differs)),
        window: is_desktop.then(|| look(window_is_odd(facts))),
        pointer: is_desktop.then(|| look(no_pointer)),
        patched: Some(facts["toStringProxy"].as_str().is_some_and(|stack| stack.contains("Object.apply"))),
        click_moves: Some(click_moves(beacon)),
        visible: Some(facts["visibility"] == "visible"),
        ..Page::default()
    }
}

fn agreement(differs: bool) -> Agreement {
    if differs { Agreement::Mismatch } else { Agreement::Ok }
}

fn look(odd: bool) -> Look {
    if odd { Look::Odd } else { Look::Ok }
}

fn has_items(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty())
}

fn pages(beacon: &Value) -> impl Iterator<Item = &Value> {
    beacon["events_by_page"].as_object().into_iter().flat_map(|pages| pages.values())
}

fn moved(beacon: &Value) -> bool {
    let kinds = ["mousemove", "mousedown", "click", "wheel", "scroll", "keydown", "touchstart", "pointermove"];
    pages(beacon).any(|page| kinds.iter().any(|kind| page[kind].as_u64().unwrap_or(0) > 0))
}

fn platform_differs(agent: &str, platform: &str) -> bool {
    let is = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    (is(&["Windows"], agent) && !platform.starts_with("Win"))
        || (is(&["Macintosh"], agent) && !platform.starts_with("Mac"))
        || (is(&["X11; Linux", "Android"], agent) && !platform.starts_with("Linux"))
}

/// A window that does not fit its screen, borders and a second screen left aside.
fn window_is_odd(facts: &Value) -> bool {
    let side = |name: &str, at: usize| facts[name][at].as_u64().unwrap_or(0);
    (0..2).any(|at| {
        let screen = side("screen", at);
        screen > 0 && side("outer", at) > screen + screen / 10 + 64
    })
}

/// Moves before a click by mouse, of the page with the most; a click by key (detail 0, no kind of pointer) and one by touch
/// need none.
fn click_moves(beacon: &Value) -> ClickMoves {
    let by_mouse = |click: &Value| click[4].as_i64().unwrap_or(0) > 0 && click[6] == "mouse";
    let clicked = |page: &&Value| page["click_xy"].as_array().is_some_and(|clicks| clicks.iter().any(by_mouse));
    match pages(beacon).filter(clicked).map(|page| page["mousemove"].as_u64().unwrap_or(0)).max() {
        None => ClickMoves::None,
        Some(0..3) => ClickMoves::Few,
        Some(_) => ClickMoves::Ok,
    }
}
