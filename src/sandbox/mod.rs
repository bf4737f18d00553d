//! A model of the service: accounts, limits, credits, indexing, listings with their lags, and everything that can go
//! wrong on the way.
//!
//! One [`MockService`] serves three purposes: in process under virtual time for tests ([`Direct`]), behind HTTP for
//! rehearsals ([`serve`]), and for a first run without an account. It imitates the service's documents, quirks
//! included, and refuses what the service refuses.
//!
//! A request arrives, waits, takes effect, waits, and is answered. The effect has a moment of its own and happens at it
//! whatever becomes of the client: killing the client in between is how answers are lost.

mod account;
mod direct;
mod faults;
mod form;
mod listings;
mod meter;
mod mock_service;
mod policy;
mod reads;
mod server;
mod video;

/// The API key with which the sandbox inside this process is used. It is not a secret.
pub const EMBEDDED_KEY: &str = "sandbox";

pub use direct::Direct;
pub use faults::{Fault, Faults, ReadError};
pub use meter::{CapCounts, CapMeter, Limiter, RateMeter};
pub use mock_service::{Arrival, MockError, MockService, Stats};
pub use policy::{ListOrder, Noted, Policy};
pub use server::{SandboxServer, serve};
pub use video::Video;
