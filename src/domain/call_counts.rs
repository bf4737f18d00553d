//! How many calls of the service a run received, and what came of them.

use serde::{Deserialize, Serialize};

/// Calls of the service to the callback URLs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CallCounts {
    /// Calls with a valid token and a video number.
    pub received: u64,
    /// Requests without a clear answer whose video a call named, confirmed by a read.
    pub settled: u64,
    /// Of the calls that were received, those that contradict what is known. They changed nothing.
    pub contradicted: u64,
    /// Requests to the receiver that are no valid call: another token, method or body, too large, too slow or too many.
    pub refused: u64,
    /// Uploads with a callback of their own. The service calls that one.
    pub own_callbacks: u64,
}
