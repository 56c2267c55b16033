//! Tests of the whole: real listeners, a fake site, visitors that write raw bytes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![expect(unreachable_pub, reason = "the harness is for this binary alone")]

mod harness;
mod proxy;
//! All integration tests of the product, one binary; each room has a module.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; `clippy.toml` allows it in test functions only, not in their helpers"
)]

mod rules;
