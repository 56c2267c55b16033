//! From a click to facts: network, agent, identity and the shapes of ad identifiers. Promises: the first loaded
//! knowledge is complete, look-ups never fail, hostile bytes never panic. Must not know rules or points.

mod agent;
mod gather;
mod knowledge;
mod sources;

pub use gather::gather;
pub use gather::identity;
pub use gather::shape;
pub use knowledge::Knowledge;
pub use knowledge::Settings;
pub use sources::Sources;
