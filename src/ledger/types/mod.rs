//! Types that the ledger and the stages exchange: the work of a stage, and its results.
//!
//! Each stage has one type of work: [`Claim`] to send, [`UnresolvedAttempt`] to resolve, [`PollTask`] to poll.

mod bad_row;
mod callback;
mod claim;
mod deletion;
mod evidence;
mod library;
mod order;
mod polling;
mod review;
mod storage_access;
mod totals;
mod usage;

pub use bad_row::{Acknowledgement, BadRow, BadRowCounts, OwnColumns};
pub use callback::{CallContradiction, CallReceipt, CalledAttempt, CalledNumber};
pub use claim::{
    AttemptResult, BODY_LEASE, Binding, BoundBy, Claim, ClaimBlocked, ClaimOutcome, ClaimTerms, Marker,
};
pub use deletion::{DeletedRows, DeletionOrder, DeletionTask, KeptReason, RunVideo, UndoAction};
pub use evidence::{
    Bindings, BoundVideo, ControlVideo, HeldResend, ObservedDelays, PossibleSender, SentTags, ServiceTime,
    UnresolvedAttempt, UnresolvedAttempts,
};
pub use library::{BoundItem, LibraryVideo, OtherMarker, Recovered, VideoOwner};
pub use order::{Order, OrderId, OrderResult};
pub use polling::{Observation, PollResult, PollTask};
pub use review::{Question, ReviewAnswer, ReviewDecision, ReviewOutcome};
pub(in crate::ledger) use storage_access::LinkSigning;
pub use storage_access::StorageAccess;
pub use totals::{Expiring, RunProgress, StateCounts};
pub use usage::{BootTime, ClockReference, ExternalUsage, UploadUsage};
