//! What needs another program or the kernel's help: the program under strace, behind real caches, with gigabytes to carry,
//! killed again and again, and on a disk that is full. Runs with the feature `system` alone, which `tests/run` turns on
//! after it has installed what is needed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, also in its helpers, and prints its figures"
)]

mod acme;
mod caches;
mod crash;
mod disk;
mod far;
#[path = "../it/harness/mod.rs"]
#[expect(dead_code, reason = "shared with `tests/it`, which uses all of it")]
mod harness;
mod judges;
mod log;
mod scale;
mod stop;
mod streams;
mod synced;
mod trace;
mod upgrade;
mod usage;
mod whole;
