//! How the modelled service behaves, in figures.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    faults::{CallFault, DeleteFault, Fault, Faults, ReadFault},
    meter::{CapCounts, Limiter},
};
use crate::domain::Limit;

/// How the modelled service behaves.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Uploads per account, over any trailing span; none for no limit.
    pub upload_rate: Option<Limit>,
    /// The rolling caps.
    pub caps: Vec<Limit>,
    /// What the caps count.
    pub cap_counts: CapCounts,
    /// How rates are counted.
    pub limiter: Limiter,
    /// Reads per account.
    pub read_rate: Option<Limit>,
    /// Requests to delete videos per account.
    pub delete_rate: Option<Limit>,
    /// Requests of any kind per account.
    pub total_rate: Option<Limit>,
    /// How long a request, and its answer, is on the way.
    pub way: RangeInclusive<Duration>,
    /// At which part of the time until its answer an upload is accepted, 0.0 to 1.0.
    pub accepted_at_part: RangeInclusive<f64>,
    /// Which time of an upload the service stores.
    pub noted: Noted,
    /// Credits of each account, one an upload; none for plenty.
    pub credits: Option<u64>,
    /// How long an upload takes from its arrival to its answer.
    pub answer_delay: RangeInclusive<Duration>,
    /// How long indexing takes.
    pub index_delay: RangeInclusive<Duration>,
    /// The share of videos whose indexing fails.
    pub fail_share: f64,
    /// How long a new video stays invisible to listings.
    pub visibility_lag: Duration,
    /// In which order listings show.
    pub order: ListOrder,
    /// Whether the namespace of a request counts.
    pub namespaces: Namespaces,
    /// The faults of uploads.
    pub faults: Faults,
    /// The faults of certain uploads, by their number from 1.
    pub faults_at: Vec<(u64, Fault)>,
    /// Which requests with a file are cut.
    pub file_cuts: Vec<FileCut>,
    /// How long after its cause a call to a callback URL is made.
    pub call_delay: RangeInclusive<Duration>,
    /// The share of uploads whose calls have a fault, 0.0 to 1.0.
    pub call_fault_share: f64,
    /// The faults of calls, each with the same probability.
    pub call_faults: Vec<CallFault>,
    /// How much later a late video is taken, or a late call made, at most.
    pub lateness_max: Duration,
    /// The share of listings with a fault, 0.0 to 1.0.
    pub read_fault_share: f64,
    /// The faults of listings, each with the same probability.
    pub read_faults: Vec<ReadFault>,
    /// The share of requests to delete with a fault, 0.0 to 1.0.
    pub delete_fault_share: f64,
    /// The faults of requests to delete, each with the same probability.
    pub delete_faults: Vec<DeleteFault>,
    /// The share of videos that listings never show, though `get_metadata` does.
    pub unlisted_share: f64,
    /// Listings show this many of the newest videos at most, and say that there are no others.
    pub listed_max: Option<usize>,
    /// How far the times of listings are behind those of the answers to uploads, in milliseconds.
    pub listed_behind_ms: i64,
    /// Whether tags are shown in capitals, by a service that does not keep them as they were sent.
    pub changes_tags: bool,
    /// How long after a video became searchable its tags show.
    pub tags_lag: Duration,
    /// How far the service's clock is ahead of the true time, in milliseconds; may be negative.
    pub clock_ahead_ms: i64,
    /// Sent along with refusals for now.
    pub retry_after: Option<Duration>,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// The connection is cut in the middle of a request with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCut {
    /// The number of the request, from 1.
    pub file: u64,
    /// The number of bytes of its body after which the connection is cut.
    pub after: u64,
}

/// Which time of an upload a service stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// When it arrived.
    Arrival,
    /// When it was accepted.
    Acceptance,
}

/// In which order listings show videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// Newest first, as every documented sample.
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

/// Whether a service knows namespaces (`unique_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// A listing shows one namespace.
    Separate,
    /// Every listing shows the whole account.
    Ignored,
}

impl Default for Policy {
    /// A kind service: no limits, quick answers, indexing in seconds.
    fn default() -> Self {
        Self {
            upload_rate: None,
            caps: Vec::new(),
            cap_counts: CapCounts::Accepted,
            limiter: Limiter::Sliding,
            read_rate: None,
            delete_rate: None,
            total_rate: None,
            way: Duration::ZERO..=Duration::ZERO,
            accepted_at_part: 0.5..=0.5,
            noted: Noted::Acceptance,
            credits: None,
            answer_delay: Duration::from_millis(20)..=Duration::from_millis(80),
            index_delay: Duration::from_secs(2)..=Duration::from_secs(6),
            fail_share: 0.0,
            visibility_lag: Duration::ZERO,
            order: ListOrder::NewestFirst,
            namespaces: Namespaces::Separate,
            faults: Faults::none(),
            faults_at: Vec::new(),
            call_delay: Duration::from_millis(50)..=Duration::from_millis(500),
            call_fault_share: 0.0,
            call_faults: CallFault::ALL.iter().map(|(fault, _)| *fault).collect(),
            file_cuts: Vec::new(),
            lateness_max: Duration::from_mins(1),
            read_fault_share: 0.0,
            read_faults: ReadFault::ALL.to_vec(),
            delete_fault_share: 0.0,
            delete_faults: DeleteFault::ALL.iter().map(|(fault, _)| *fault).collect(),
            unlisted_share: 0.0,
            clock_ahead_ms: 0,
            listed_max: None,
            listed_behind_ms: 0,
            changes_tags: false,
            tags_lag: Duration::ZERO,
            retry_after: None,
            seed: 1,
        }
    }
}
