//! All integration tests of the product, one binary; each room has a module.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; `clippy.toml` allows it in test functions only, not in their helpers"
)]

mod collect;
mod rules;
mod visitors;
