//! The right to make one request: endpoints, priorities, permits, and why a request is delayed.

use std::time::Duration;

use super::circuit_breaker::Cooldown;
use crate::domain::{Cap, UnixMillis};

/// A time in microseconds since the Unix epoch: departures are spread more finely than milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PreciseTime(pub i64);

impl PreciseTime {
    /// In whole milliseconds, rounded down.
    #[must_use]
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0.div_euclid(1_000))
    }

    /// In whole milliseconds, rounded up: nothing that counts from it ends too early.
    #[must_use]
    pub const fn millis_up(self) -> UnixMillis {
        UnixMillis(-(-self.0).div_euclid(1_000))
    }

    /// The time `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time `duration` earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// From `now` until this time; zero when it has passed.
    #[must_use]
    pub fn after(self, now: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

impl From<UnixMillis> for PreciseTime {
    fn from(at: UnixMillis) -> Self {
        Self(at.0.saturating_mul(1_000))
    }
}

/// What a permit is for. The service limits each apart, as far as its documents say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `upload_url`.
    Upload,
    /// `list_videos`.
    List,
    /// `get_metadata`.
    Metadata,
    /// `delete_videos`.
    Delete,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: &'static [Self] = &[Self::Upload, Self::List, Self::Metadata, Self::Delete];

    /// The word for it, in the ledger and in every output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::List => "list",
            Self::Metadata => "get",
            Self::Delete => "delete",
        }
    }

    /// Reads the name back.
    #[must_use]
    pub fn from_name(as_str: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|endpoint| endpoint.as_str() == as_str)
    }
}

/// The priority of a request: the order in which requests take a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A listing that resolves requests without a clear outcome.
    Reconcile,
    Upload,
    /// A listing that shows how far videos are.
    Poll,
    /// A read of a single video.
    PollSingle,
    /// A request to delete videos.
    Delete,
}

impl Priority {
    pub(super) const ALL: [Self; 5] =
        [Self::Reconcile, Self::Upload, Self::Poll, Self::PollSingle, Self::Delete];

    /// The endpoint it uses.
    #[must_use]
    pub const fn endpoint(self) -> Endpoint {
        match self {
            Self::Reconcile | Self::Poll => Endpoint::List,
            Self::Upload => Endpoint::Upload,
            Self::PollSingle => Endpoint::Metadata,
            Self::Delete => Endpoint::Delete,
        }
    }
}

/// The right to make one request now. Not `Clone`; used up by making it.
#[derive(Debug)]
pub struct Permit {
    pub(super) slot: PermitSlot,
}

/// The turn a permit took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitSlot {
    pub(super) endpoint: Endpoint,
    pub(super) key: i64,
    pub(super) taken_at: UnixMillis,
}

impl PermitSlot {
    /// The endpoint of its request.
    #[must_use]
    pub const fn endpoint(self) -> Endpoint {
        self.endpoint
    }
}

impl Permit {
    /// The only endpoint that the permit is valid for.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.slot.endpoint
    }

    /// The slot it took, by which its outcome is reported.
    #[must_use]
    pub const fn slot(&self) -> PermitSlot {
        self.slot
    }

    /// Uses the permit up, in a request to `endpoint`.
    pub fn spend(self, endpoint: Endpoint) {
        debug_assert_eq!(self.slot.endpoint, endpoint, "a permit is spent in its own lane");
    }
}

/// Why a request cannot leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// The request before it left too recently.
    Spacing,
    /// A rolling cap is full.
    Cap {
        cap: Cap,
        /// Whether its count was learned.
        is_learned: bool,
    },
    /// The service refused, or does not answer.
    Cooldown(Cooldown),
    /// One half-open probe is in flight.
    HalfOpenProbe,
    /// The hourly budget of refusals is spent.
    RefusalsSpent,
    /// A request of higher priority waits.
    Turn,
}

/// That a request cannot leave now, until when at the latest, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Until when, as far as is known now.
    pub until: UnixMillis,
    pub why: BlockReason,
}
