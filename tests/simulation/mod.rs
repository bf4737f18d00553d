//! Whole runs in virtual time: the real pipeline and a real ledger against a mock of the service.

mod doubt;
mod library;
mod month;
mod plans;
mod resend;
mod sending;
mod undo;
