//! A body of any bytes in any of the Graph-compatible endpoint's forms holds a bounded number of events or is refused.
#![no_main]

use bytes::Bytes;
use clicksieve::collect;
use futures_util::FutureExt;
use http::HeaderMap;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (form, body) = input;
    let kind = match form % 4 {
        0 => "multipart/form-data; boundary=b",
        1 => "application/x-www-form-urlencoded",
        2 => "application/json",
        _ => "multipart/form-data; boundary=\"----WebKitFormBoundary7MA4YWxkTrZu0gW\"",
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    if form >= 128 {
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    }
    let events = collect::events_in(&headers, Bytes::copy_from_slice(body)).now_or_never().expect("nothing is waited for");
    assert!(events.is_none_or(|events| (1..=1_000).contains(&events)));
});
