//! A model of the service: accounts, limits, credits, indexing, listings with their lags, and everything that can go
//! wrong on the way.
//!
//! One [`World`] serves three purposes: in process under virtual time for tests ([`Direct`]), behind HTTP for
//! rehearsals ([`serve`]), and for a first run without an account. It imitates the service's documents, quirks
//! included, and refuses what the service refuses.
//!
//! A request arrives, waits, takes effect, waits, and is answered. The effect has a moment of its own and happens at it
//! whatever becomes of the client: killing the client in between is how answers are lost.

mod account;
mod answers;
mod direct;
mod faults;
mod form;
mod meter;
mod policy;
mod reads;
mod server;
mod video;
mod world;

pub use direct::Direct;
pub use faults::{Fault, Faults, ReadFault};
pub use meter::{CapCounts, CapMeter, Limiter, RateMeter};
pub use policy::{ListOrder, Noted, Policy};
pub use server::{SandboxServer, serve};
pub use video::Video;
pub use world::{Arrival, Stats, World, WorldError};
