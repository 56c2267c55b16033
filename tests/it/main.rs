//! Tests of the whole library from outside.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking, also in its helpers")]

mod graph_mock;
mod tag;
