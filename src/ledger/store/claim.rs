//! Claims: one transaction sets an item to `sending`, spends its quota and creates the claim.

use super::Store;
use crate::{
    domain::{ItemEvent, State, Submission, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, Claim, ClaimBlocked, ClaimOutcome, ClaimTerms, ItemId, LedgerError, Marker,
        Snapshot, marker, schema::OPEN_STATES, values::submission_of,
    },
};

/// Requests in doubt that are always tolerated. More block further claims.
const IN_DOUBT_MIN: u64 = 5;
/// One request in doubt is tolerated for this many attempts. A killed process may also leave as many as were in flight.
const IN_DOUBT_SHARE: u64 = 100;

/// The item that a claim would take.
enum ClaimCandidate {
    Ready { item: ItemId, submission: Box<Submission> },
    Blocked(ClaimBlocked),
}

impl Snapshot {
    /// Why nothing can be claimed now. `None`: an item can be claimed.
    pub fn claim_blocked(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<Option<ClaimBlocked>, LedgerError> {
        Ok(match self.claim_candidate(terms, at)? {
            ClaimCandidate::Ready { .. } => None,
            ClaimCandidate::Blocked(blocked) => Some(blocked),
        })
    }

    /// The item that can be claimed now, or what blocks it.
    fn claim_candidate(&self, terms: &ClaimTerms, at: UnixMillis) -> Result<ClaimCandidate, LedgerError> {
        let Some(next) = self.next_pending(terms, at)? else {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::NothingPending));
        };
        let open = self.count(
            &format!(
                "SELECT count(*) FROM attempt WHERE state IN ('in_doubt', 'needs_review') \
             AND state IN {OPEN_STATES}"
            ),
            [],
        )?;
        let attempts = u64::try_from(self.last_attempt()?).unwrap_or(0);
        if open > IN_DOUBT_MIN.max(attempts / IN_DOUBT_SHARE).max(terms.concurrency) {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::TooManyInDoubt { open }));
        }
        let uploads = self.committed_uploads()?;
        if terms.uploads_max.is_some_and(|uploads_max| uploads >= uploads_max) {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::BudgetSpent { uploads }));
        }
        if terms.disk_free_min > 0 {
            let free = self.disk_free();
            if free < terms.disk_free_min {
                return Ok(ClaimCandidate::Blocked(ClaimBlocked::DiskLow { free }));
            }
        }
        if self.foreign_video_of(next.1.key().0)?.is_some() {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::AlreadyUploaded { item: next.0 }));
        }
        let (item, submission) = next;
        Ok(ClaimCandidate::Ready { item, submission: Box::new(submission) })
    }

    /// The item to send next: an item whose link would expire before its turn, or else the first pending one. Items with
    /// expired links are skipped, because the service could not fetch them.
    fn next_pending(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<Option<(ItemId, Submission)>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let alive_at = at.plus(terms.link_life_min);
        for manifest in &terms.manifests {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: Option<(i64, String)> = if self.is_manifest_current(terms.run, *manifest)? {
                let urgent = "SELECT id, submission FROM item WHERE state = 'pending' AND manifest = ?1 \
                     AND expires_at IS NOT NULL AND expires_at > ?2 AND expires_at < ?3 ORDER BY expires_at LIMIT 1";
                let urgent = self
                    .connection
                    .prepare_cached(urgent)?
                    .query_row((manifest.0, alive_at.0, terms.urgent_before().0), read)
                    .optional()?;
                let first = "SELECT id, submission FROM item WHERE state = 'pending' AND manifest = ?1 \
                     AND (expires_at IS NULL OR expires_at > ?2) ORDER BY id LIMIT 1";
                match urgent {
                    Some(urgent) => Some(urgent),
                    None => self
                        .connection
                        .prepare_cached(first)?
                        .query_row((manifest.0, alive_at.0), read)
                        .optional()?,
                }
            } else {
                // while a changed file is read, only its rows that were read are known to be wanted
                let sql = "SELECT item.id, item.submission FROM item \
                     JOIN last_seen ON last_seen.item = item.id AND last_seen.run = ?2 \
                     WHERE item.state = 'pending' AND item.manifest = ?1 \
                     AND (item.expires_at IS NULL OR item.expires_at > ?3) ORDER BY item.id LIMIT 1";
                self.connection
                    .prepare_cached(sql)?
                    .query_row((manifest.0, terms.run.0, alive_at.0), read)
                    .optional()?
            };
            if let Some((item, submission)) = found {
                return Ok(Some((ItemId(item), submission_of(&submission)?)));
            }
        }
        Ok(None)
    }

    /// The free bytes of the disk. The largest number if the system does not report them.
    fn disk_free(&self) -> u64 {
        let folder = self.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
        rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Whether any item of these manifests is pending.
    fn do_any_wait(&self, terms: &ClaimTerms) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM state_count WHERE manifest = ?1 AND state = 'pending' AND count > 0";
        for manifest in &terms.manifests {
            if self.find::<i64>(sql, [manifest.0])?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The highest number of an attempt that this ledger is known to have used.
    pub(in crate::ledger) fn last_attempt(&self) -> Result<i64, LedgerError> {
        let sql = "SELECT max(coalesce((SELECT max(id) FROM attempt), 0), attempt_floor) FROM observed_delay";
        Ok(self.find(sql, [])?.unwrap_or(0))
    }
}

impl Store {
    /// Claims the next pending item. Only [`Ledger::claim`](super::super::Ledger::claim) calls it, so that no claim exists
    /// before its commit.
    pub(in crate::ledger) fn claim(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<ClaimOutcome, LedgerError> {
        match self.claim_candidate(terms, at)? {
            ClaimCandidate::Blocked(blocked) => Ok(ClaimOutcome::Blocked(blocked)),
            ClaimCandidate::Ready { item, submission } => {
                let claim = self.open_attempt(terms, at, item, *submission)?;
                Ok(ClaimOutcome::Claimed(Box::new(claim)))
            }
        }
    }

    fn open_attempt(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
        item: ItemId,
        submission: Submission,
    ) -> Result<Claim, LedgerError> {
        let number = self.last_attempt()? + 1;
        let attempt = AttemptId(number);
        let marker = self.marker(terms.marker, attempt, &submission);
        let send_before = at.plus(terms.start_within);
        let counts_until = send_before.plus(terms.acceptance_lag_max);
        self.change_one(
            "INSERT INTO attempt (id, item, run, state, marker, sent_at, send_before, counts_until) \
             VALUES (?1, ?2, ?3, 'sending', ?4, ?5, ?6, ?7)",
            (number, item.0, terms.run.0, &marker, at.0, send_before.0, counts_until.0),
        )?;
        self.change_one("UPDATE item SET attempt = ?2, cause = NULL WHERE id = ?1", (item.0, number))?;
        self.move_item(
            item,
            State::Pending,
            &AttemptResult::new(ItemEvent::Claimed, at, None),
            Some(attempt),
        )?;
        let others_wait = self.do_any_wait(terms)?;
        Ok(Claim { attempt, submission, marker, sent_at: at, send_before, others_wait })
    }

    /// A marker names one attempt, cannot be guessed (96 bits), and identifies its item without the ledger.
    fn marker(&self, wish: Marker, attempt: AttemptId, submission: &Submission) -> Option<String> {
        let has_room = submission.tags.len() < Submission::TAGS_MAX;
        match wish {
            Marker::On if has_room => {
                Some(marker::marker(&self.secret, attempt.0, &submission.key().prefix_hex()))
            }
            Marker::On | Marker::Off => None,
        }
    }
}
