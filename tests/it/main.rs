//! Everything that is tested from outside: one binary, so that it links once.
//! Tests of the whole library from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unforeseen fails by panicking"
)]

mod harness;
mod proxy;
//! All integration tests of the product, one binary; each room has a module.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; `clippy.toml` allows it in test functions only, not in their helpers"
)]

mod rules;
    reason = "a test fails by panicking, also in its helpers"
)]

mod graph_mock;
mod tag;
