//! Meta's own SDKs for Python and Node as clients of the Graph-compatible door, unmodified but for their host: what they
//! send is taken, completed and delivered once, and what they are told when something is wrong they understand.
//! Run by `tests/run`, which installs them; then `cargo test --features sdk --test sdk` does.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod faults;
mod purchases;
mod stand;
