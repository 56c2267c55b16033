//! What the tests stand on: a fake site that misbehaves as told, the real door on a port of its own, and a visitor that
//! writes bytes. All of them block; every wait has an end, so that a fault fails a test and hangs none.
#![expect(unreachable_pub, reason = "the harness is for this binary alone")]

pub mod frames;
pub mod front;
pub mod hpack;
pub mod site;
pub mod visitor;

use std::time::Duration;

/// How long anything may take before the test fails; far above what it needs, also on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
