//! The service's videos as the ledger recognises them.

use crate::{
    domain::{SourceUrl, State, UnixMillis, VideoNo},
    ledger::ItemId,
};

/// A video as the service shows it, for the ledger to recognise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryVideo {
    pub video_no: VideoNo,
    pub tags: Vec<String>,
    /// Whether a marker would show if it carried one.
    pub shows_tags: bool,
    /// The latest time it was made, by our clock.
    pub made_by: UnixMillis,
}

/// The owner of a video at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoOwner {
    Bound(ItemId),
    /// It carries the marker of a request of this item whose outcome is open.
    Open(ItemId),
    /// It carries the marker of a request of this item that has another outcome: it was paid twice.
    Surplus(ItemId),
    /// It carries the marker of a request of this item that a human gave up, or had sent again.
    ResolvedByReview(ItemId),
    /// It carries a marker of a request of this item that the service answered as rejected.
    Rejected(ItemId),
    /// It carries a marker that this ledger does not know. The item is the one that the marker names, if it
    /// exists here: its row was uploaded with another ledger.
    Foreign(Option<ItemId>),
    /// It carries no marker.
    Unmarked,
    /// It does not show its tags yet, or never will.
    TagsHidden,
}

/// An item that is bound to a video.
#[derive(Clone, Debug)]
pub struct BoundItem {
    pub item: ItemId,
    pub state: State,
    pub video_no: VideoNo,
    /// The complete address of its source.
    pub url: String,
    /// Why it failed, if it did.
    pub cause: Option<String>,
    /// Whether its deletion was ordered. It is proven when the item is deleted.
    pub is_deletion_ordered: bool,
}

/// A video that is bound to an item, and carries the marker of another row.
#[derive(Clone, Debug)]
pub struct OtherMarker {
    pub video_no: VideoNo,
    /// The item that it is bound to.
    pub item: ItemId,
    /// The source of that item.
    pub url: SourceUrl,
    /// The item that its marker names. `None`: it is in another ledger.
    pub names: Option<ItemId>,
}

/// The outcome of the recovery of one video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Its item is bound to it now.
    Bound(ItemId),
    /// Its item has another video.
    Surplus(ItemId),
    /// Its item is not pending. The video is recorded.
    Remembered(ItemId),
    /// No item of this ledger has its key. The video is recorded.
    NoItem,
}
