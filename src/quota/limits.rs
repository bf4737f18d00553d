//! The limits of an account, and the requests that count against them.

use std::time::Duration;

use super::{caps, permit::Endpoint};
use crate::domain::{Cap, Rate, UnixMillis};

/// Every limit of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How often to upload; all of them hold.
    pub upload: Vec<Rate>,
    /// Rolling caps on uploads; all of them hold.
    pub caps: Vec<Cap>,
    /// How often to read listings.
    pub list: Vec<Rate>,
    /// Rates of reads of single videos.
    pub metadata: Vec<Rate>,
    /// How often to ask for the deletion of videos.
    pub delete: Vec<Rate>,
    /// How often to do any of these, where one quota covers all.
    pub total: Vec<Rate>,
}

impl Limits {
    /// The longest period of any limit, in milliseconds.
    #[must_use]
    pub fn period_ms_max(&self) -> i64 {
        let rates = self.rates().into_iter().flatten().map(|rate| rate.limit().period_ms());
        rates.chain(self.caps.iter().map(|cap| cap.period_ms())).max().unwrap_or(0).max(caps::CAP_SPAN_MS)
    }

    /// The highest count of any rate.
    #[must_use]
    pub fn count_max(&self) -> u32 {
        self.rates().into_iter().flatten().map(|rate| rate.limit().count()).max().unwrap_or(1)
    }

    const fn rates(&self) -> [&Vec<Rate>; 5] {
        [&self.upload, &self.list, &self.metadata, &self.delete, &self.total]
    }

    /// The limits of uploads as text: `1/min, 120/2h`.
    #[must_use]
    pub fn upload_text(&self) -> String {
        let rates = self.upload.iter().chain(&self.total).map(ToString::to_string);
        rates.chain(self.caps.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
    }
}

/// Something that was spent before this process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub endpoint: Endpoint,
    /// The attempt's number; negative numbers are the rate limiter's own.
    pub key: i64,
    /// How many requests this represents.
    pub count: u32,
    /// When it was claimed: it did not leave earlier.
    pub claimed_at: UnixMillis,
    /// It did not leave later.
    pub departed_by: UnixMillis,
    pub answered_at: Option<UnixMillis>,
    /// The latest time at which the service may have accepted it. `None`: it did not accept it.
    pub counts_until: Option<UnixMillis>,
    pub state: UsageState,
}

/// How something that was spent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageState {
    /// Its outcome is not known, or it was no upload.
    Open,
    Refused,
    /// Accepted, and being indexed as far as is known.
    Indexing,
    /// Accepted, and not being indexed any more.
    Final,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It was answered as requested. `noted_at`: the time noted by the service's clock, if any.
    Accepted {
        /// By the service's clock.
        noted_at: Option<UnixMillis>,
    },
    /// It was answered, and what it asked for was refused for good.
    Rejected,
    /// It was refused for now, with the wait the service asked for, if it did.
    Refused { retry_after: Option<Duration> },
    /// The host could not be reached; nothing left.
    NotSent,
    /// It was accepted, but the answer names no video.
    AcceptedUnidentified,
    /// It has no clear answer, with the wait the service asked for, if it did.
    Unclear { retry_after: Option<Duration> },
}

/// Whether an open upload turned out to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasAccepted {
    Yes,
    No,
}
