//! Deletions: what a run left at the service, what of it may be deleted, and the order to delete it.

use crate::{
    domain::{AttemptState, State, UnixMillis, VideoNo},
    ledger::{AttemptId, BoundBy, ItemId, ListedItem, RunId},
};

/// One request of a run that may have left a video at the service.
#[derive(Clone, Debug)]
pub struct RunVideo {
    /// Its item, as lists show it. The video number and the time of sending are those of this request.
    pub row: ListedItem,
    pub attempt: AttemptId,
    pub(in crate::ledger) attempt_state: AttemptState,
    pub(in crate::ledger) bound_by: Option<BoundBy>,
    /// Whether a listing showed the video under a marker of an earlier request: this run did not make it.
    pub(in crate::ledger) is_recovered: bool,
    /// The columns of its manifest, and its cells.
    pub columns: Vec<String>,
    pub cells: Vec<String>,
}

/// What an undo does with a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoAction {
    Delete,
    /// It was bound without its marker, by elimination or by a human. It is deleted only if the service shows the marker.
    DeleteIfMarked,
    /// A listing has proved that it is gone.
    AlreadyDeleted,
    Keep(KeptReason),
}

/// Why a video of a run is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptReason {
    /// What became of its request is not known.
    Open(State),
    /// A human gave the row up, or had it sent again. The service may have the video.
    Reviewed,
    /// The row was sent again later, and this is the earlier video.
    Replaced,
    /// An earlier request made the video.
    Recovered,
}

impl KeptReason {
    /// The reason as a phrase.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Open(state) => {
                format!(
                    "its item is {}: telecine reconcile or telecine review ends that first",
                    state.shown()
                )
            }
            Self::Reviewed => {
                "you gave it up or had it sent again; the service may have its video".to_owned()
            }
            Self::Replaced => "its row was sent again later; this is the earlier video".to_owned(),
            Self::Recovered => "an earlier request made it, and a listing showed its marker".to_owned(),
        }
    }
}

impl RunVideo {
    /// What an undo does with it.
    #[must_use]
    pub fn action(&self) -> UndoAction {
        match self.attempt_state {
            AttemptState::Sending
            | AttemptState::InDoubt
            | AttemptState::AcceptedUnidentified
            | AttemptState::NeedsReview => UndoAction::Keep(KeptReason::Open(self.row.state)),
            AttemptState::Superseded => UndoAction::Keep(KeptReason::Replaced),
            AttemptState::Accepted if self.row.state == State::Deleted => UndoAction::AlreadyDeleted,
            AttemptState::Accepted if self.is_recovered => UndoAction::Keep(KeptReason::Recovered),
            AttemptState::Accepted => match self.bound_by {
                Some(BoundBy::Response | BoundBy::Marker) => UndoAction::Delete,
                Some(BoundBy::Callback | BoundBy::SoleCandidate | BoundBy::Human) | None => {
                    UndoAction::DeleteIfMarked
                }
            },
            // the others are not read: the service did not accept them
            AttemptState::Abandoned
            | AttemptState::Absent
            | AttemptState::NotSent
            | AttemptState::Refused
            | AttemptState::Rejected => UndoAction::Keep(KeptReason::Reviewed),
        }
    }
}

/// A video to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionTask {
    pub video_no: VideoNo,
    pub item: ItemId,
    /// The request that it is bound to. `None`: it is a second video of the item.
    pub attempt: Option<AttemptId>,
    /// The marker of its request. `None`: it was sent without one.
    pub marker: Option<String>,
    /// Whether the service must show that marker before the video is deleted.
    pub needs_marker: bool,
    /// When it was accepted at the latest.
    pub accepted_by: UnixMillis,
    /// Whether the ledger has the order to delete it already.
    pub is_ordered: bool,
    /// Whether the service listed it before it was asked to delete it.
    pub was_listed: bool,
}

/// Who orders deletions, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionOrder {
    /// The run that carries them out.
    pub run: RunId,
    pub who: String,
    pub why: String,
}

/// What an import does with rows whose video was deleted by order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletedRows {
    #[default]
    Leave,
    /// Send (and pay) them again.
    Reupload,
}
