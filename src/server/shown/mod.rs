//! What a connection shows of the program at its other end before it asks anything: its TLS `ClientHello` and the opening of
//! its HTTP/2 connection. Promises: bounded work on any bytes, no panic. Must not know what a fingerprint means.

pub mod hello;
mod names;
pub mod opening;

pub use hello::Hello;
pub use opening::Opening;
