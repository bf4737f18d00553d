//! Which pending item is sent next.

use std::sync::atomic::Ordering;

use crate::{
    domain::{Submission, UnixMillis},
    ledger::{
        ClaimTerms, ItemId, LedgerError, ManifestId, RunId, Snapshot, types::LinkSigning,
        values::submission_of,
    },
};

/// SQL: the listings need not be searched before the item is sent again.
const NOT_HELD: &str = "NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.item = item.id AND attempt.held = 1)";

/// The most items that one look reads while rows of a storage account are passed over.
const LOOKED_AT_MAX: usize = 256;

/// Which pending items to look at.
#[derive(Clone, Copy)]
pub(in crate::ledger::store) enum Links {
    /// Their links do not say when they expire.
    Lasting,
    /// The same, behind an item: several of them.
    LastingBehind,
    /// Their links expire.
    Expiring,
}

/// The item to send next.
pub(super) enum NextPending {
    Item(ItemId, Box<Submission>),
    /// No link to the items that were looked at can be signed. `is_all`: these are all that wait.
    PassedOver {
        is_all: bool,
    },
    Nothing,
}

/// A pending item that may be sent next.
struct PendingItem {
    item: i64,
    expires_at: Option<i64>,
    submission: Submission,
}

/// Where to look for pending items.
#[derive(Clone, Copy)]
struct Look {
    run: RunId,
    manifest: ManifestId,
    is_current: bool,
    /// This item is left out. 0: none.
    set_aside: i64,
}

/// The first item of a manifest whose link lasts.
enum FirstLasting {
    Item(Box<PendingItem>),
    PassedOver { is_all: bool },
    Nothing,
}

impl Snapshot {
    /// The item to send next: an item whose link would expire before its turn, or else the first pending one; of those with
    /// links that expire, the soonest. Items with expired links are skipped, because the service could not fetch them.
    pub(super) fn next_pending(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<NextPending, LedgerError> {
        let set_aside = terms.set_aside.load(Ordering::Relaxed);
        let other = self.next_pending_but(set_aside, terms, at)?;
        Ok(match other {
            NextPending::Nothing if set_aside != 0 => self.next_pending_but(0, terms, at)?,
            // its turn comes in the next look, which begins at the first item
            NextPending::PassedOver { is_all: true } if set_aside != 0 => {
                terms.set_aside.store(0, Ordering::Relaxed);
                NextPending::PassedOver { is_all: false }
            }
            other @ (NextPending::Item(..) | NextPending::PassedOver { .. } | NextPending::Nothing) => other,
        })
    }

    /// The same without one item.
    fn next_pending_but(
        &self,
        set_aside: i64,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<NextPending, LedgerError> {
        let alive_at = at.plus(terms.link_life_min);
        let mut passed_over = NextPending::Nothing;
        for manifest in &terms.manifests {
            let is_current = self.is_manifest_current(terms.run, *manifest)?;
            let look = Look { run: terms.run, manifest: *manifest, is_current, set_aside };
            let expiring = self.soonest_expiring(look, alive_at)?;
            let next = match (self.first_lasting(look, terms, at)?, expiring) {
                (FirstLasting::Item(lasting), Some(expiring)) => {
                    let is_urgent = is_current && expiring.expires_at < Some(terms.urgent_before().0);
                    if is_urgent || expiring.item < lasting.item { expiring } else { *lasting }
                }
                (_, Some(expiring)) => expiring,
                (FirstLasting::Item(lasting), None) => *lasting,
                (FirstLasting::PassedOver { is_all: true }, None) => {
                    passed_over = NextPending::PassedOver { is_all: true };
                    continue;
                }
                (FirstLasting::PassedOver { is_all: false }, None) => {
                    return Ok(NextPending::PassedOver { is_all: false });
                }
                (FirstLasting::Nothing, None) => continue,
            };
            return Ok(NextPending::Item(ItemId(next.item), Box::new(next.submission)));
        }
        Ok(passed_over)
    }

    /// The first pending item whose link lasts, but for those of storage accounts whose credentials cannot be had. It is one step in
    /// an index for each item that is passed over, and each is passed over once.
    fn first_lasting(
        &self,
        look: Look,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<FirstLasting, LedgerError> {
        let storage = &terms.storage;
        if !storage.has_refused(at) {
            let first = self.find_pending(look, Links::Lasting, None, 0, |_| true)?;
            return Ok(first.map_or(FirstLasting::Nothing, |first| FirstLasting::Item(Box::new(first))));
        }
        let start = storage.cursor(look.manifest);
        let (mut last_passed, mut passed_count) = (start, 0);
        let can_be_signed = |item: &PendingItem| {
            let owner = item.submission.url.object().map(|object| object.owner());
            if !owner.is_some_and(|owner| storage.of(&owner, at) == LinkSigning::Refused) {
                return true;
            }
            (last_passed, passed_count) = (item.item, passed_count + 1);
            false
        };
        let found = self.find_pending(look, Links::LastingBehind, None, start, can_be_signed)?;
        if passed_count == LOOKED_AT_MAX || found.is_some() {
            storage.pass_over(look.manifest, last_passed, found.is_some());
            return Ok(found.map_or(FirstLasting::PassedOver { is_all: false }, |item| {
                FirstLasting::Item(Box::new(item))
            }));
        }
        let is_all = storage.start_again(look.manifest);
        let is_empty = start == 0 && passed_count == 0;
        Ok(if is_empty { FirstLasting::Nothing } else { FirstLasting::PassedOver { is_all } })
    }

    /// The soonest of the pending items of a manifest whose links expire after `alive_at`: one step in an index, however many
    /// expired links there are.
    fn soonest_expiring(&self, look: Look, alive_at: UnixMillis) -> Result<Option<PendingItem>, LedgerError> {
        self.find_pending(look, Links::Expiring, Some(alive_at), 0, |_| true)
    }

    /// The first of the pending items behind `after` that a condition holds for.
    fn find_pending(
        &self,
        look: Look,
        links: Links,
        alive_at: Option<UnixMillis>,
        after: i64,
        mut condition: impl FnMut(&PendingItem) -> bool,
    ) -> Result<Option<PendingItem>, LedgerError> {
        let sql = Self::pending_sql(look.is_current, links);
        let values =
            (look.manifest.0, look.run.0, alive_at.map(|timestamp| timestamp.0), look.set_aside, after);
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let submission = submission_of(&row.get::<_, String>(2)?)?;
            let item = PendingItem { item: row.get(0)?, expires_at: row.get(1)?, submission };
            if condition(&item) {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// The statement of [`Self::find_pending`].
    pub(in crate::ledger::store) fn pending_sql(is_current: bool, links: Links) -> String {
        // while a changed file is read, only its rows that were read are known to be wanted
        let wanted = if is_current {
            "FROM item WHERE CAST(?2 AS BIGINT) > 0"
        } else {
            "FROM item CROSS JOIN last_seen ON last_seen.item = item.id AND last_seen.run = ?2 WHERE true"
        };
        let of_links = match links {
            Links::Lasting => {
                "item.expires_at IS NULL AND CAST(?3 AS BIGINT) IS NULL AND CAST(?5 AS BIGINT) = 0"
            }
            Links::LastingBehind => "item.expires_at IS NULL AND CAST(?3 AS BIGINT) IS NULL AND item.id > ?5",
            Links::Expiring => "item.expires_at > ?3 AND CAST(?5 AS BIGINT) = 0",
        };
        let limit = if matches!(links, Links::LastingBehind) { LOOKED_AT_MAX } else { 1 };
        // the order of the index, also where all links last
        format!(
            "SELECT item.id, item.expires_at, item.submission {wanted} \
             AND item.state = 'pending' AND item.manifest = ?1 AND {NOT_HELD} AND {of_links} \
             AND item.id <> ?4 ORDER BY item.manifest, item.expires_at, item.id LIMIT {limit}"
        )
    }
}
