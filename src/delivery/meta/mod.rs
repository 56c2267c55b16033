//! Meta's Conversions API as a destination: what a request holds, how it is sent, what an answer means. Must not know
//! the spool or when a request is made.

pub(crate) mod client;
pub(crate) mod payload;
pub(crate) mod reply;
