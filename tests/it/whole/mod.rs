//! Tests of the whole process: the mock Graph API behind it, a fake site in front of which it stands, and what its doors
//! answer. They share what they are given, the program as a process, and the program inside a test.

mod access;
mod actions;
mod behaviour;
mod caching;
mod clock;
mod dates;
mod destination;
mod door;
mod evaded;
mod events;
mod faults;
mod given;
pub(crate) mod inside;
mod joins;
mod kill;
mod lists;
mod pages;
pub(crate) mod process;
mod proofs;
mod ready;
mod reload;
pub(crate) mod seen;
mod shops;
mod start;

pub(crate) use crate::whole::given::ADMIN;
pub(crate) use crate::whole::given::ARRIVAL;
pub(crate) use crate::whole::given::KEY;
pub(crate) use crate::whole::given::PIXEL;
pub(crate) use crate::whole::given::TOKEN;
pub(crate) use crate::whole::given::client;
pub(crate) use crate::whole::given::configuration;
pub(crate) use crate::whole::given::html_answer;
pub(crate) use crate::whole::given::mock;
pub(crate) use crate::whole::given::purchase;
pub(crate) use crate::whole::given::report;
pub(crate) use crate::whole::given::tag_event;
