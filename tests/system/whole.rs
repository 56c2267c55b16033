//! What the tests of the whole process in `tests/it` are given, for the tests here.

#[path = "../it/whole/given.rs"]
mod given;
#[path = "../it/whole/process.rs"]
pub(crate) mod process;
#[path = "../it/whole/seen.rs"]
pub(crate) mod seen;

pub(crate) use crate::whole::given::ADMIN;
pub(crate) use crate::whole::given::ARRIVAL;
pub(crate) use crate::whole::given::KEY;
pub(crate) use crate::whole::given::TOKEN;
pub(crate) use crate::whole::given::client;
pub(crate) use crate::whole::given::configuration;
pub(crate) use crate::whole::given::html_answer;
pub(crate) use crate::whole::given::mock;
pub(crate) use crate::whole::given::purchase;
pub(crate) use crate::whole::given::report;
pub(crate) use crate::whole::given::tag_event;
