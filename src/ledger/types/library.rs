//! The service's videos as the ledger recognises them.

use crate::{
    domain::{State, UnixMillis, VideoNo},
    ledger::ItemId,
};

/// A video as the service shows it, for the ledger to recognise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryVideo {
    /// Its number.
    pub video_no: VideoNo,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether a marker would show if it carried one.
    pub shows_tags: bool,
    /// By when it was made, by our clock.
    pub made_by: UnixMillis,
}

/// Whose a video at the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoOwner {
    /// It is bound to this item.
    Bound(ItemId),
    /// It carries the marker of a request of this item whose outcome is open.
    Open(ItemId),
    /// It carries the marker of a request of this item that is settled otherwise: it was paid beside the books.
    Surplus(ItemId),
    /// It carries the marker of a request of this item that a human gave up, or ordered to be sent again.
    Ordered(ItemId),
    /// It carries a marker of a request of this item that the service answered as rejected.
    Rejected(ItemId),
    /// It carries a marker this ledger does not know. The item is the one of this ledger that the marker names, if there is
    /// one: its row was uploaded with another ledger.
    Foreign(Option<ItemId>),
    /// It carries no marker.
    Unmarked,
    /// It does not show its tags yet, or never will.
    TagsHidden,
}

/// An item that is bound to a video.
#[derive(Clone, Debug)]
pub struct BoundItem {
    /// The item.
    pub item: ItemId,
    /// Where it stands.
    pub state: State,
    /// Its video.
    pub video_no: VideoNo,
    /// Its source, whole.
    pub url: String,
    /// Why it failed, if it did.
    pub cause: Option<String>,
}

/// What became of a video offered for recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Its item is bound to it now.
    Bound(ItemId),
    /// Its item has another video.
    Surplus(ItemId),
    /// Its item is not to be sent now; that it is there is remembered.
    Remembered(ItemId),
    /// No item of this ledger has its key; that it is there is remembered.
    NoItem,
}
