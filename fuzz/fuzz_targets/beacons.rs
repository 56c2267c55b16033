//! What a page's script reports, be it any bytes, is read with bounds, and a later report never takes back what an earlier one
//! said against the visitor.
#![no_main]

use std::sync::LazyLock;

use clicksieve::collect;
use clicksieve::fact::Page;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Settings;
use clicksieve::facts::Sources;
use http::HeaderMap;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
    let settings = Settings::default();
    Sources::new(Knowledge::load(&settings).expect("the shipped data"), &settings)
});

fuzz_target!(|input: (&[u8], &[u8], &[u8])| {
    let (agent, first, second) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in [("user-agent", agent), ("accept-language", agent)] {
        headers.extend(HeaderValue::from_bytes(value).ok().map(|value| (http::HeaderName::from_static(name), value)));
    }
    let reports = [first, second].map(|item| collect::reported(&SOURCES, &headers, item));
    assert!(reports.iter().flatten().all(|(page, faults)| *faults <= 32 && page.replayed.is_none() && page.trap_link.is_none()));
    let [Some((first, _)), Some((second, _))] = reports else { return };
    let mut both = first;
    both.merge(&second);
    let against = |page: &Page| [page.webdriver, page.driver, page.webdriver_odd, page.patched, page.software_gl, page.trap_form];
    assert!(against(&first).iter().zip(against(&both)).all(|(before, after)| *before != Some(true) || after == Some(true)));
    assert!(both.platform >= first.platform && both.agent >= first.agent && both.worker >= first.worker);
    assert!(both.window >= first.window && both.pointer >= first.pointer && both.languages >= first.languages);
    let mut again = both;
    again.merge(&second);
    assert_eq!(again, both);
});
