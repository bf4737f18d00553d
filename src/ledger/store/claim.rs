//! Claiming: an item becomes `sending` and its quota is spent, in the transaction that the claim comes out of.

use super::{Store, submission_of};
use crate::{
    item::{Submission, UnixMillis},
    ledger::{
        AttemptId, Claim, ClaimAnswer, ClaimTerms, ItemId, LedgerError, Marker, Obstacle, Settlement, marker,
    },
    lifecycle::{Event, State},
    limit::Limit,
    planted::{Bug, is_planted},
};

/// Two clocks that count the same window may run apart by this share; the window is kept longer by it…
const CLOCK_DRIFT_SHARE: i64 = 10_000;
/// …and by at least this, in milliseconds, for the granularity of both.
const WINDOW_MARGIN_MS_MIN: i64 = 50;

/// Nothing is sent while more attempts are in doubt than this…
const DOUBTS_MIN: u64 = 5;
/// …and than one in so many.
const DOUBTS_SHARE: u64 = 100;

impl Store {
    pub(in crate::ledger) fn claim(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<ClaimAnswer, LedgerError> {
        match self.obstacle(terms, at)? {
            Err(obstacle) => Ok(ClaimAnswer::Obstructed(obstacle)),
            Ok((item, submission)) => {
                let claim = self.open_attempt(terms, at, item, submission)?;
                Ok(ClaimAnswer::Claimed(Box::new(claim)))
            }
        }
    }

    /// The item that may be claimed now, or what is in the way.
    pub(in crate::ledger) fn obstacle(
        &self,
        terms: &ClaimTerms,
        at: UnixMillis,
    ) -> Result<Result<(ItemId, Submission), Obstacle>, LedgerError> {
        let Some(next) = self.next_pending(terms)? else {
            return Ok(Err(Obstacle::NothingPending));
        };
        let open = self.count(
            "SELECT count(*) FROM attempt WHERE state IN ('in_doubt', 'asked') \
             AND state IN ('sending', 'in_doubt', 'counted', 'asked')",
            [],
        )?;
        let attempts = u64::try_from(self.last_attempt()?).unwrap_or(0);
        if open > DOUBTS_MIN.max(attempts / DOUBTS_SHARE) {
            return Ok(Err(Obstacle::TooManyDoubts { open }));
        }
        let uploads = self.count("SELECT uploads FROM stake", [])?;
        if terms.uploads_max.is_some_and(|uploads_max| uploads >= uploads_max) {
            return Ok(Err(Obstacle::BudgetSpent { uploads }));
        }
        let free = self.disk_free();
        if free < terms.disk_free_min {
            return Ok(Err(Obstacle::DiskLow { free }));
        }
        for cap in &terms.caps {
            if let Some(free_at) = self.window_full_until(*cap, at)? {
                return Ok(Err(Obstacle::Full { free_at, cap: *cap }));
            }
        }
        if self.sent_elsewhere(next.1.key().0)?.is_some() {
            return Ok(Err(Obstacle::SentElsewhere { item: next.0 }));
        }
        Ok(Ok(next))
    }

    fn next_pending(&self, terms: &ClaimTerms) -> Result<Option<(ItemId, Submission)>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        for source in &terms.sources {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: Option<(i64, String)> = if self.is_source_current(terms.run, *source)? {
                let sql = "SELECT id, submission FROM item WHERE state = 'pending' AND source = ?1 ORDER BY id LIMIT 1";
                self.connection.prepare_cached(sql)?.query_row([source.0], read).optional()?
            } else {
                // while a changed file is being read, only what was seen in it is known to be wanted
                let sql = "SELECT item.id, item.submission FROM item \
                     JOIN sighting ON sighting.item = item.id AND sighting.run = ?2 \
                     WHERE item.state = 'pending' AND item.source = ?1 ORDER BY item.id LIMIT 1";
                self.connection.prepare_cached(sql)?.query_row((source.0, terms.run.0), read).optional()?
            };
            if let Some((item, submission)) = found {
                return Ok(Some((ItemId(item), submission_of(&submission)?)));
            }
        }
        Ok(None)
    }

    /// When a full rolling window has its next free slot; none when it has one now.
    ///
    /// An attempt with an answer was accepted no later than its answer, one without no later than `counts_until`: it
    /// leaves the window that long after. So no trailing window ever holds more than the limit, by whichever moment
    /// between sending and answering the service counts.
    fn window_full_until(&self, cap: Limit, at: UnixMillis) -> Result<Option<UnixMillis>, LedgerError> {
        let span_ms = cap.span_ms() + (cap.span_ms() / CLOCK_DRIFT_SHARE).max(WINDOW_MARGIN_MS_MIN);
        let window_start = at.plus_ms(-span_ms);
        if is_planted(Bug::WindowWithoutDelta) || is_planted(Bug::LimiterInMemory) {
            return self.window_full_wrongly(cap, window_start);
        }
        let spent = self.count("SELECT count(*) FROM attempt WHERE counts_until > ?1", [window_start.0])?;
        if spent < u64::from(cap.count()) {
            return Ok(None);
        }
        let surplus = i64::try_from(spent - u64::from(cap.count())).unwrap_or(i64::MAX);
        let leaves: Option<i64> = self.find(
            "SELECT counts_until FROM attempt WHERE counts_until > ?1 ORDER BY counts_until LIMIT 1 OFFSET ?2",
            (window_start.0, surplus),
        )?;
        Ok(leaves.map(|moment| UnixMillis(moment).plus_ms(span_ms)))
    }

    /// The two planted mistakes of windows: counted from the sending, or by this run only.
    fn window_full_wrongly(
        &self,
        cap: Limit,
        window_start: UnixMillis,
    ) -> Result<Option<UnixMillis>, LedgerError> {
        let sql = if is_planted(Bug::WindowWithoutDelta) {
            "SELECT count(*) FROM attempt WHERE sent_at > ?1 AND counts_until IS NOT NULL"
        } else {
            "SELECT count(*) FROM attempt WHERE counts_until > ?1 AND run = (SELECT max(id) FROM run)"
        };
        let spent = self.count(sql, [window_start.0])?;
        let is_full = spent >= u64::from(cap.count());
        Ok(is_full.then(|| window_start.plus_ms(cap.span_ms() + 1_000)))
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
        self.move_item(item, State::Pending, &Settlement::new(Event::Claimed, at, None), Some(attempt))?;
        Ok(Claim { attempt, submission, marker, sent_at: at, send_before })
    }

    /// The highest number of an attempt that this ledger is known to have used.
    pub(in crate::ledger) fn last_attempt(&self) -> Result<i64, LedgerError> {
        let sql = "SELECT max(coalesce((SELECT max(id) FROM attempt), 0), attempt_floor) FROM observed";
        Ok(self.find(sql, [])?.unwrap_or(0))
    }

    /// A marker names one attempt, cannot be guessed (96 bits), and leads back to its item without the ledger.
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
