//! The tests of the library and of the binary, in one program: one link instead of one per file, and the tests of all files run side by
//! side.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "these are tests"
)]

mod data {
    pub(crate) mod corpus;
}
mod support {
    pub(crate) mod cli;
    pub(crate) mod harness;
    pub(crate) mod proxy;
    pub(crate) mod running;
    pub(crate) mod service;
}

mod architecture;
mod beside;
mod binary;
mod commands;
mod corpus;
mod documents;
mod endings;
mod hostile_service;
mod json;
mod ledger_place;
mod manifests;
mod network;
mod nightly;
mod probe;
mod quota;
mod report;
mod seeing;
mod setup;
mod simulation;
mod sources;
mod undo;
mod wire;
