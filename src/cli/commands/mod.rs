//! One file per command: its flags, and what it does with them.

pub(super) mod acknowledge;
pub(super) mod check;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod doctor;
pub(super) mod explain;
pub(super) mod guess;
pub(super) mod import;
pub(super) mod init;
pub(super) mod ledger;
pub(super) mod list;
pub(super) mod man;
pub(super) mod plan;
pub(super) mod preview;
pub(super) mod quota;
pub(super) mod rehearse;
pub(super) mod report;
pub(super) mod resolve;
pub(super) mod review;
pub(super) mod runs;
pub(super) mod sandbox;
pub(super) mod schedule;
pub(super) mod status;
pub(super) mod undo;
pub(super) mod verify;
pub(super) mod version;
