//! Tests of the library in one program: one link instead of one per file, and the tests of all files run side by side. None starts a
//! process: a child has the lock of an open ledger until it runs its own program, so that a test beside it would find it locked.
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
    pub(crate) mod harness;
}

mod architecture;
mod calls;
mod corpus;
mod local_file_runs;
mod probe;
mod quota;
mod simulation;
