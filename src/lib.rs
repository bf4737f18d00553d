//! telecine moves video archives into memories.ai Visual Search: nothing lost, nothing paid twice.
//!
//! This is the map of the house. Data flows one way, and stages meet only in the ledger:
//!
//! ```text
//!                      main -- cli -- config              street door, bell, house rules
//!                        |
//!                    pipeline                             the hall: wires the rooms, carries the stop signal
//!         +----------+---+------+-----------+
//!      manifest    upload      poll       report          rooms: rows in, work out
//!         |  scout  | |        | |          |
//!         |    |    | |        | |          |
//!    ================= ledger ======================      the spine: rooms meet only here
//!              |      |          |
//!            probe  service  (every request spends a Permit from quota)
//!    -------------------------------------------------
//!    item  lifecycle  limit  retry  clock  monitor  redact  spreadsheet      foundations
//! ```
//!
//! `ARCHITECTURE.md` says who may look into which room, which invariants each room keeps, and why.

pub mod api;
pub mod app;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod csv_injection;
pub mod domain;
pub mod error;
pub mod events;
mod http_client;
pub mod ledger;
pub mod manifest;
pub mod pipeline;
pub mod probe;
pub mod quota;
pub mod redact;
pub mod report;
pub mod retry;
pub mod sandbox;
pub mod settings;
pub mod telemetry;
