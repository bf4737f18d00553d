//! What the changes of one transaction need only once.

use std::cell::Cell;

/// What an earlier change of the open transaction has read or done. Changes share a transaction, and each of them would read it
/// again. It ends with the transaction, and when a change is undone.
#[derive(Debug, Default)]
pub(super) struct GroupMemo {
    /// The digest of the last event.
    pub(super) last_link: Cell<Option<[u8; 16]>>,
    /// The files of the ledger are where they were.
    pub(super) are_files_there: Cell<bool>,
    /// The ledger has the key that the service accepted.
    pub(super) is_key_recorded: Cell<bool>,
    /// The ledger knows that an acceptance took at least this long, in milliseconds.
    pub(super) acceptance_ms: Cell<i64>,
}

impl GroupMemo {
    pub(super) fn clear(&self) {
        self.last_link.take();
        self.are_files_there.take();
        self.is_key_recorded.take();
        self.acceptance_ms.take();
    }
}
