//! What is fetched from others off the request path, so that facts stay true: lists, names behind addresses. Promises: bounded
//! time, size and memory; what is good stays in force until something better is checked. Must not know requests.

pub mod lists;
pub mod names;
