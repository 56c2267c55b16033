//! From a click to facts: network, agent, identity and the shapes of ad identifiers. Promises: the first loaded
//! knowledge is complete, look-ups never fail, hostile bytes never panic. Must not know rules or points.

mod agent;
mod coherence;
mod gather;
mod given;
mod identities;
mod knowledge;
mod load;
mod names;
mod near;
mod signed;
mod sources;

pub use coherence::coherence;
pub use gather::gather;
pub use gather::identity;
pub use gather::shape;
pub use given::About;
pub use given::Entries;
pub use given::Given;
pub use given::Role;
pub use identities::identity_of_host;
pub use knowledge::Knowledge;
pub use knowledge::Settings;
pub use load::role_of_shipped;
pub use names::Answer;
pub use names::Names;
pub use signed::Message;
pub use signed::Signers;
pub use sources::Lookups;
pub use sources::Sources;
