//! How hard pressed the process is, for everybody at the door to see: a number that is looked at once per answer and once
//! per connection. Must not know what presses.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// How far the door goes to be rid of connections, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Press {
    /// All is well.
    #[default]
    None,
    /// Connections are closed after the answer they wait for.
    Parting,
    /// New connections are turned away, too.
    Refusing,
}

/// The number; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<AtomicU8>);

impl Pressure {
    /// Sets it.
    pub fn set(&self, press: Press) {
        self.0.store(press as u8, Ordering::Relaxed);
    }

    /// Whether connections are closed after their answer.
    pub fn parts(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Press::Parting as u8
    }

    /// Whether new connections are turned away.
    pub fn refuses(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Press::Refusing as u8
    }
}
