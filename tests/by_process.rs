//! Tests that start the real binary, in one program. None opens a ledger for writing itself (see `in_process.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "these are tests"
)]

mod support {
    pub(crate) mod cli;
    pub(crate) mod proxy;
    pub(crate) mod running;
    pub(crate) mod service;
}

mod accounts;
mod beside;
mod binary;
mod bucket_uploads;
mod buckets;
mod callbacks;
mod commands;
mod dashboard;
mod documents;
mod endings;
mod hostile_service;
mod interruptions;
mod json;
mod ledger_place;
mod listed_buckets;
mod local_files;
mod manifests;
mod network;
mod nightly;
mod recovery;
mod report;
mod seeing;
mod setup;
mod sources;
mod undo;
mod wire;
mod wrong_numbers;
