//! A mock of the service: accounts, limits, credits, indexing, listings with their lags, and faults.
//!
//! One [`MockService`] serves three purposes: in process and in virtual time for tests ([`Direct`]), behind HTTP for
//! rehearsals ([`serve`]), and for a first run without an account. It behaves as the documents of the service say,
//! quirks included, and rejects what the service rejects.
//!
//! A request arrives, takes effect and is answered, each at its own time. It takes effect even if the client is gone:
//! so an answer is lost when the client is killed in between.

mod account;
mod arrival;
mod calls;
mod direct;
mod faults;
mod form;
mod listings;
mod meter;
mod mock_service;
mod mock_state;
mod multipart;
mod policy;
mod reads;
mod server;
mod video;

/// The API key with which the sandbox inside this process is used. It is not a secret.
pub const EMBEDDED_KEY: &str = "sandbox";

pub use arrival::{Arrival, ServiceCall};
pub use direct::Direct;
pub use faults::{CallFault, DeleteFault, Fault, Faults, ReadFault};
pub use meter::{CapCounts, CapMeter, Limiter, RateMeter};
pub use mock_service::{MockError, MockService};
pub use mock_state::Stats;
pub use multipart::ArrivedFile;
pub use policy::{FileCut, ListOrder, Namespaces, Noted, Policy};
pub use server::{SandboxServer, serve};
pub use video::Video;
