//! Tests of the whole from outside: real listeners, fake sites, visitors that write raw bytes, files beside their messages.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod agents;
mod batch;
mod collect;
mod detection;
mod door;
mod farms;
mod graph_mock;
mod harness;
mod identities;
mod inject;
mod layers;
mod licences;
mod proxy;
mod robust;
mod rules;
mod servers;
mod shown;
mod spool;
mod streams;
mod tag;
mod visitors;
mod whole;
