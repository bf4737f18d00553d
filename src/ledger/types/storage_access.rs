//! For which storage accounts links can be signed, and how far the rows of the others were passed over.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    domain::{StorageAccount, UnixMillis},
    ledger::ManifestId,
};

/// How long after a failure the credentials of an account are not asked for again.
const REFUSED_FOR: Duration = Duration::from_mins(5);

/// What a run knows of the storage accounts whose objects its rows name. Shared by all clones.
///
/// Rows of an account without credentials do not hold up the others: claims pass them over. Each manifest has a cursor, so that a
/// claim reads no row that an earlier one passed over. When the cursor reaches the end, it starts again: an item before it may be
/// pending again.
#[derive(Clone, Debug, Default)]
pub struct StorageAccess(Arc<Mutex<StorageState>>);

#[derive(Debug, Default)]
struct StorageState {
    accounts: BTreeMap<StorageAccount, AccountAccess>,
    cursors: BTreeMap<ManifestId, PassCursor>,
}

#[derive(Debug)]
enum AccountAccess {
    Signable { until: UnixMillis },
    Refused { until: UnixMillis, cause: String },
}

/// How far the pending items of a manifest were passed over.
#[derive(Clone, Copy, Debug, Default)]
struct PassCursor {
    /// The number of the last item that was passed over. 0: none.
    after: i64,
    /// Whether an item that can be sent was found since the cursor was at its start.
    has_found: bool,
}

/// Whether a link to an object of an account can be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum LinkSigning {
    Signable,
    Refused,
    /// Credentials are to be obtained first.
    Unknown,
}

impl StorageAccess {
    /// Records that links can be signed until a time.
    pub fn allow(&self, account: StorageAccount, until: UnixMillis) {
        self.known().accounts.insert(account, AccountAccess::Signable { until });
    }

    /// Records that no link can be signed now, and why. Returns whether that is new.
    pub fn refuse(&self, account: StorageAccount, at: UnixMillis, cause: String) -> bool {
        let refused = AccountAccess::Refused { until: at.plus(REFUSED_FOR), cause };
        !matches!(self.known().accounts.insert(account, refused), Some(AccountAccess::Refused { .. }))
    }

    /// Why no link could be signed the last time, one sentence for each account.
    #[must_use]
    pub fn refusals(&self) -> String {
        let known = self.known();
        let causes = known.accounts.values().filter_map(|access| match access {
            AccountAccess::Refused { cause, .. } => Some(cause.as_str()),
            AccountAccess::Signable { .. } => None,
        });
        causes.collect::<Vec<_>>().join("; ")
    }

    pub(in crate::ledger) fn of(&self, account: &StorageAccount, at: UnixMillis) -> LinkSigning {
        match self.known().accounts.get(account) {
            Some(AccountAccess::Signable { until }) if *until > at => LinkSigning::Signable,
            Some(AccountAccess::Refused { until, .. }) if *until > at => LinkSigning::Refused,
            _ => LinkSigning::Unknown,
        }
    }

    /// Whether rows of any account are to be passed over.
    pub(in crate::ledger) fn has_refused(&self, at: UnixMillis) -> bool {
        let is_refused =
            |access: &AccountAccess| matches!(access, AccountAccess::Refused { until, .. } if *until > at);
        self.known().accounts.values().any(is_refused)
    }

    /// The number of the item after which to look for the next one.
    pub(in crate::ledger) fn cursor(&self, manifest: ManifestId) -> i64 {
        self.known().cursors.entry(manifest).or_default().after
    }

    /// The items up to this one were passed over. `has_found`: the next one can be sent.
    pub(in crate::ledger) fn pass_over(&self, manifest: ManifestId, after: i64, has_found: bool) {
        let mut known = self.known();
        let cursor = known.cursors.entry(manifest).or_default();
        *cursor = PassCursor { after, has_found: cursor.has_found || has_found };
    }

    /// The cursor reached the last item and is at the start again. Returns whether each item since the last start was passed over.
    pub(in crate::ledger) fn start_again(&self, manifest: ManifestId) -> bool {
        let cursor = self.known().cursors.insert(manifest, PassCursor::default());
        !cursor.is_some_and(|cursor| cursor.has_found)
    }

    fn known(&self) -> MutexGuard<'_, StorageState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
