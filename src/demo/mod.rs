//! `clicksieve demo`: a small shop with an ordinary Meta Pixel, a mock of the Graph API, a page that shows both halves of
//! every event, and scripted visitors. The proxy between them is built by the command; it stands in a `Stand`.

pub mod board;
pub mod graph;
pub mod pages;
pub mod refusals;
pub mod shop;
