//! clicksieve: a reverse proxy in front of a shop that scores ad clicks, shares one `event_id` between the
//! browser's Pixel and the server's Conversions API event, and forwards or suppresses each event by rule.
//!
//! # The house
//!
//! Five floors. A module imports only from lower floors: never up, never sideways (`tests/it/layers.rs` holds it).
//! On floors 4 and 0 some modules are ordered (`>`: may import what stands to its right).
//!
//! ```text
//! 4  house    main > cli > demo > app > config    exit code; commands; demo shop and mock Graph API; wiring; file -> settings
//! 3  door     server                              accept, TLS and its certificates, HTTP/2, limits, deadlines; what a
//!                                                 connection shows; which room answers
//! 2  rooms    proxy                               one request: score, choose a server, forward, inject, answer
//!             collect                             one conversion event: check, join, decide, commit; the tag
//!             delivery                            spool -> destination: batch, retry, park
//!             admin                               API, metrics, health
//!             refresh                             lists when due, checked, the last good copy; names behind addresses
//! 1  engines  facts                               click -> facts: network (lists, MMDB), agent
//!             rules                               rule files -> Policy; facts -> Verdict; event + verdict -> Decision
//!             visits                              visits by id, page, order and cookie; bounded, expiring
//!             inject                              puts the event_id and the tag into HTML as it streams
//!             spool                               the store of events: dedup marks, held, due and parked rows
//!             ledger                              decision records: append, query, retain; the access log
//! 0  words    event > verdict > fact > click      what one request says; all facts; score and reasons; conversion events
//!             seal > clock                        sealed tokens and cookies; the time
//!             telemetry, lists, yaml > fault              metric names; prefix tables and MMDB; faults with their place
//!             hosts                               which of several shops a host belongs to
//!             near                                what threads remember for themselves: of which load, and where
//! ```
//!
//! # One request
//!
//! `server` accepts and routes -> `proxy::handler` opens an exchange (one policy snapshot, one clock reading):
//! `click::Click::read` -> `facts::Facts` -> `rules::Policy::score` -> `visits` -> headers -> upstream ->
//! `inject::plan` -> streamed body -> `ledger` record.
//!
//! # One conversion event
//!
//! `server` or the Graph listener -> `collect::handler` -> parse, normalise, hash -> join the visit ->
//! `rules::Policy::decide` -> `spool::Spool::commit` (durable before the 2xx) -> `delivery` -> accepted, retried, parked.

pub mod admin;
pub mod app;
pub mod cli;
pub mod click;
pub mod clock;
pub mod collect;
pub mod config;
pub mod cookie;
pub mod delivery;
pub mod demo;
pub mod event;
pub mod fact;
pub mod facts;
pub mod fault;
pub mod hosts;
pub mod inject;
pub mod ledger;
pub mod lists;
pub mod near;
pub mod proxy;
pub mod refresh;
pub mod rules;
pub mod seal;
pub mod server;
pub mod spool;
pub mod telemetry;
pub mod verdict;
pub mod visits;
pub mod yaml;
