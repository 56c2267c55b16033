//! Wiring: builds every room from a checked configuration, starts them in order, reloads, and stops them with a grace
//! period. The only place where rooms meet. Must not decide anything about a request or an event.

mod couriers;
mod days;
mod health;
mod heir;
pub mod lists;
mod memory;
mod opened;
mod pulse;
mod reload;
mod rooms;
mod running;
mod shops;
mod sockets;
mod standing;
mod start;
mod state;
mod systemd;
mod upgrade;
mod watched;

use std::net::SocketAddr;

use thiserror::Error;

use crate::fault::Fault;

pub use heir::Heir;
pub use running::Running;
pub use sockets::Sockets;
pub use start::Options;
pub use start::start;
pub use state::facts_settings;
pub use state::lists_folder;

/// Why the process could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A file of the operator's is wrong; nothing was started.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    /// Something of ours could not be opened.
    #[error("{what} cannot be opened: {reason}\nhint: {hint}")]
    State {
        /// What.
        what: String,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// An address is taken or not ours.
    #[error(
        "cannot listen on `{address}`: {source}\nhint: another process may hold it, or `{key}` names an address of another machine"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        key: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    fn succession(error: &std::io::Error) -> Self {
        Self::State {
            what: "the state folder".to_owned(),
            reason: error.to_string(),
            hint: "the process before this one has kept it".to_owned(),
        }
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
