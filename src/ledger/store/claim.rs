//! Claims: one transaction sets an item to `sending`, spends its quota and creates the claim.

mod pending;

use super::Store;
use crate::{
    domain::{ItemEvent, State, Submission, UnixMillis},
    ledger::{
        AttemptId, AttemptResult, Claim, ClaimBlocked, ClaimOutcome, ClaimTerms, ItemId, LedgerError, Marker,
        RunId, Snapshot, marker, schema::ATTEMPT_IS_OPEN, types::LinkSigning,
    },
};
#[cfg(test)]
pub(super) use pending::Links;
use pending::NextPending;

/// Requests in doubt that are always tolerated. More block further claims.
const IN_DOUBT_MIN: u64 = 5;
/// One request in doubt is tolerated for this many attempts.
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
        let next = match self.next_pending(terms, at)? {
            NextPending::Item(item, submission) => (item, *submission),
            NextPending::PassedOver { is_all: false } => {
                return Ok(ClaimCandidate::Blocked(ClaimBlocked::PassedOver { is_all: false }));
            }
            NextPending::PassedOver { is_all: true } => {
                let passed_over = ClaimBlocked::PassedOver { is_all: true };
                return Ok(ClaimCandidate::Blocked(self.held_back(&terms.manifests)?.unwrap_or(passed_over)));
            }
            NextPending::Nothing => {
                let blocked = self.held_back(&terms.manifests)?.unwrap_or(ClaimBlocked::NothingPending);
                return Ok(ClaimCandidate::Blocked(blocked));
            }
        };
        if let Some(open) = self.too_many_in_doubt(terms.concurrency, Some(terms.run))? {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::TooManyInDoubt { open }));
        }
        if let Some(uploads_max) = terms.uploads_max {
            let uploads = self.committed_uploads()?;
            if uploads >= uploads_max {
                return Ok(ClaimCandidate::Blocked(ClaimBlocked::BudgetSpent { uploads }));
            }
        }
        if terms.disk_free_min > 0 {
            let free = self.disk_free();
            if free < terms.disk_free_min {
                return Ok(ClaimCandidate::Blocked(ClaimBlocked::DiskLow { free }));
            }
        }
        let owner = next.1.url.object().map(|object| object.owner());
        if let Some(account) = owner.filter(|owner| terms.storage.of(owner, at) != LinkSigning::Signable) {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::Unsignable { account }));
        }
        if self.foreign_video_of(next.1.key().0)?.is_some() {
            return Ok(ClaimCandidate::Blocked(ClaimBlocked::AlreadyUploaded { item: next.0 }));
        }
        let (item, submission) = next;
        Ok(ClaimCandidate::Ready { item, submission: Box::new(submission) })
    }

    /// How many requests have no clear answer, if they are so many that nothing more is sent. Each killed run may have left as
    /// many as can be in flight; `current` is not one of them.
    pub fn too_many_in_doubt(
        &self,
        concurrency: u64,
        current: Option<RunId>,
    ) -> Result<Option<u64>, LedgerError> {
        let in_doubt = format!("{ATTEMPT_IS_OPEN} AND attempt.state IN ('in_doubt', 'needs_review')");
        let open = self.count(&format!("SELECT count(*) FROM attempt WHERE {in_doubt}"), [])?;
        if open <= IN_DOUBT_MIN.max(concurrency) {
            return Ok(None);
        }
        let attempts = u64::try_from(self.last_attempt()?).unwrap_or(0);
        let open_max = IN_DOUBT_MIN.max(attempts / IN_DOUBT_SHARE).max(concurrency);
        if open <= open_max {
            return Ok(None);
        }
        let sql = format!(
            "SELECT count(DISTINCT run.id) FROM attempt JOIN run ON run.id = attempt.run \
             WHERE run.ended_at IS NULL AND run.id IS DISTINCT FROM ?1 AND {in_doubt}"
        );
        let killed_runs = self.count(&sql, [current.map(|run| run.0)])?;
        let open_max = open_max.max(concurrency.saturating_mul(killed_runs.saturating_add(1)));
        Ok((open > open_max).then_some(open))
    }

    /// The free bytes of the disk. The largest number if the system does not report them.
    fn disk_free(&self) -> u64 {
        // the disk of a database is not ours to look at
        if self.place().file().is_none() {
            return u64::MAX;
        }
        rustix::fs::statvfs(self.place().folder())
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
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
        self.check_files()?;
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
        let base = terms.callback_base.as_ref().filter(|_| submission.callback.is_none());
        let callback = base.map(|base| format!("{base}/{}", self.callback_key().part(attempt)));
        let send_before =
            at.plus(self.lease_left().map_or(terms.start_within, |left| terms.start_within.min(left)));
        let counts_until = send_before.plus(terms.acceptance_lag_max);
        self.change_one(
            "INSERT INTO attempt (id, item, run, state, marker, sent_at, send_before, counts_until) \
             VALUES (?1, ?2, ?3, 'sending', ?4, ?5, ?6, ?7)",
            (number, item.0, terms.run.0, &marker, at.0, send_before.0, counts_until.0),
        )?;
        self.move_item(
            item,
            State::Pending,
            &AttemptResult::new(ItemEvent::Claimed, at, None),
            Some(attempt),
        )?;
        let others_wait = self.do_any_wait(terms)?;
        let boundary = marker::boundary(&self.secret, number);
        Ok(Claim {
            attempt,
            item,
            submission,
            marker,
            callback,
            sent_at: at,
            send_before,
            others_wait,
            boundary,
        })
    }

    /// Bytes of the file of a request in flight may leave until a time, and it may be accepted until another. `sent` of them are on
    /// their way.
    pub fn lease_body(
        &self,
        attempt: AttemptId,
        until: UnixMillis,
        counts_until: UnixMillis,
        sent: u64,
    ) -> Result<(), LedgerError> {
        self.check_files()?;
        self.change_one(
            "UPDATE attempt SET body_until = ?2, counts_until = max(counts_until, ?3), body_sent = ?4 \
             WHERE id = ?1 AND state = 'sending'",
            (attempt.0, until.0, counts_until.0, i64::try_from(sent).unwrap_or(i64::MAX)),
        )
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

#[cfg(test)]
mod tests;
