//! The page's tag in Debian's Chromium and Firefox: ids, order, consent, gates, and what happens when something is missing.
//! Run by `tests/run`, or `cargo test --features browser --test browser` where chromium and chromedriver are installed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod ahead;
mod challenge;
mod csp;
mod driver;
mod front;
mod full;
#[path = "../it/harness/mod.rs"]
#[expect(dead_code, reason = "shared with `tests/it`, which uses all of it")]
mod harness;
mod pages;
mod seen;
mod sockets;
mod stand;
mod tag;
mod views;

/// A client for the driver; the TLS provider is the program's choice elsewhere and not used here.
fn client() -> reqwest::Client {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::new()
}
