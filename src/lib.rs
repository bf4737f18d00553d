//! telecine imports video archives into memories.ai Visual Search: no row is lost, no video is paid twice.
//!
//! Data flows one way, and the stages of a run meet only in the ledger:
//!
//! ```text
//! manifest -> ledger -> upload -> ledger -> reconcile, poll -> ledger -> report
//! ```
//!
//! [`cli`] parses flags and prints. [`app`] does what a command does. [`pipeline`] runs the stages. [`manifest`] reads rows,
//! [`ledger`] records every item and request, [`quota`] limits the rate, [`api`] calls the service, [`probe`] inspects source
//! files, [`bucket`] signs links to objects in buckets, and [`report`] writes results. [`sandbox`] is a mock of the service.
//!
//! `ARCHITECTURE.md` says who may import whom, which invariants hold, and why.

pub mod api;
pub mod app;
pub mod blocking;
pub mod bucket;
pub mod cli;
pub mod clock;
pub mod csv_injection;
pub mod domain;
pub mod error;
pub mod events;
mod http_client;
mod http_server;
pub mod ledger;
pub mod local_file;
pub mod manifest;
mod output_file;
pub mod pipeline;
pub mod probe;
pub mod quota;
pub mod redact;
pub mod report;
pub mod retry;
pub mod sandbox;
pub mod settings;
mod suggest;
pub mod telemetry;
