//! Everything that is tested from outside: one binary, so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unforeseen fails by panicking"
)]

mod harness;
mod layers;
mod licences;
mod proxy;
