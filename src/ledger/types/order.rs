//! Orders: changes that a command asks of the process that writes the ledger, and their results.

use serde::{Deserialize, Serialize};

use crate::ledger::{Acknowledgement, ExternalUsage, ItemId, ReviewDecision, ReviewOutcome};

/// A change that a command orders. The process that writes the ledger carries it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Order {
    /// Merge a JSON object into the one stored under a name. Its keys replace those there.
    Merge { name: String, object: String },
    /// Delete what is stored under a name.
    Forget { name: String },
    /// Record requests of other tools.
    Count { usage: ExternalUsage },
    /// Decide about items alike.
    Answer { items: Vec<ItemId>, decision: ReviewDecision },
    /// Mark reported bad rows as acknowledged.
    Acknowledge { given: Acknowledgement },
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OrderResult {
    Done,
    /// What each answer met.
    Answered {
        outcomes: Vec<(ItemId, ReviewOutcome)>,
    },
    /// How many bad rows were marked.
    Acknowledged {
        rows: u64,
    },
    /// It changed nothing, since the ledger does not allow it.
    Refused {
        cause: String,
    },
}

/// The number of an order that was handed to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderId(pub(in crate::ledger) i64);
