//! The rate limiter: keeps every limit of the account by throttling requests before they leave.
//!
//! - Every request to the service costs one [`Permit`], and only this module creates permits.
//! - Rates (GCRA) and rolling caps (sliding windows) are computed by [`AccountLimits`] from a time it is given. The
//!   [`RateLimiter`] waits, and orders the waiting requests by [`Priority`].
//! - A request is recorded in the ledger before it leaves, and a new limiter is built from these records. A restart
//!   therefore sends neither earlier nor later than an uninterrupted run.
//! - After a refusal the circuit breaker closes the endpoint for a while with jitter, then lets one half-open probe through.
//! - What refusals show about the real limits is kept over restarts as [`LearnedLimits`].

mod account_limits;
mod cap_estimator;
mod cap_window;
mod caps;
mod circuit_breaker;
mod departure;
mod feedback;
mod forecast;
mod jitter;
mod learned_limits;
mod limits;
mod pacing;
mod permit;
mod rate_limiter;
mod rate_window;
mod reload;
mod smoother;
mod status;
#[cfg(test)]
mod tests;
mod turns;

pub use account_limits::AccountLimits;
pub use cap_estimator::CapEstimate;
pub use circuit_breaker::{Cooldown, CooldownReason};
pub use departure::{Departure, UploadTimes};
pub use feedback::Feedback;
pub use forecast::Forecast;
pub use learned_limits::{LearnedLimits, LimitChange};
pub use limits::{Limits, RequestOutcome, UsageRecord, UsageState, WasAccepted};
pub use permit::{BlockReason, Delay, Endpoint, Permit, PermitSlot, PreciseTime, Priority};
pub use rate_limiter::RateLimiter;
pub use status::{QuotaStatus, WindowStatus};
pub use turns::{Turn, Turns};
