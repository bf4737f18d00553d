//! The whole life of one item, and how an item is found: every lookup goes by an index.

use super::{RowIssue, Snapshot, items::row_issue};
use crate::{
    domain::{ItemKey, State, Submission, UnixMillis, VideoNo},
    ledger::{
        AttemptId, ItemId, LedgerError, StateCounts,
        sql::{Params, SqlRow},
        values::{from_json, state_of, submission_of, unsigned},
    },
};

const BY_KEY: &str = "SELECT id FROM item WHERE key = ?1";
const BY_ID: &str = "SELECT id FROM item WHERE external_id = ?1 ORDER BY id LIMIT ?2";
/// A scan of the smallest table, 0.1 s for a million items: an index would make each row of a load dearer.
pub(in crate::ledger) const BY_LINE: &str =
    "SELECT item FROM last_seen WHERE line = ?1 ORDER BY item LIMIT ?2";
const BY_VIDEO: &str = "SELECT item FROM attempt WHERE video_no = ?1";
const NAMESPACES: &str = "SELECT name FROM namespace ORDER BY name LIMIT ?1";
const ROW_ISSUES: &str = "SELECT row_issue.*, own.identity AS own_identity, first.identity AS first_identity \
                          FROM manifest own CROSS JOIN row_issue ON row_issue.manifest = own.id AND row_issue.line = ?1 \
                          LEFT JOIN manifest first ON first.id = row_issue.first_manifest \
                          ORDER BY row_issue.id LIMIT ?2";
const ITEM: &str = "SELECT item.*, coalesce(seen.identity, own.identity) AS seen_in, \
                    coalesce(last_seen.line, item.line) AS seen_line, \
                    run.name AS seen_by, \
                    item.manifest = 0 AS is_removed, \
                    EXISTS (SELECT 1 FROM attempt WHERE attempt.item = item.id AND attempt.held = 1) AS is_held \
                    FROM item JOIN manifest own ON own.id = item.manifest \
                    LEFT JOIN last_seen ON last_seen.item = item.id \
                    LEFT JOIN manifest seen ON seen.id = last_seen.manifest LEFT JOIN run ON run.id = last_seen.run \
                    WHERE item.id = ?1";
const REQUESTS: &str = "SELECT attempt.*, run.name AS run_name, question.text AS question, question.candidates \
                        FROM attempt JOIN run ON run.id = attempt.run \
                        LEFT JOIN question ON question.attempt = attempt.id WHERE attempt.item = ?1 ORDER BY attempt.id";
const EVENTS: &str = "SELECT at, attempt, event, detail FROM event WHERE item = ?1 ORDER BY id";
const ANSWERS: &str = "SELECT answer.* FROM attempt CROSS JOIN answer ON answer.attempt = attempt.id \
                       WHERE attempt.item = ?1 ORDER BY answer.id";

const DELETIONS: &str = "SELECT * FROM deletion WHERE item = ?1 ORDER BY ordered_at, video_no";

/// The items that a rerun sends again, by state, in the manifest that last named an item.
const RESENT_WITH: &str = "SELECT item.state, count(*) FROM item INDEXED BY item_by_state \
                           JOIN last_seen ON last_seen.item = item.id \
                           WHERE item.state IN ('failed', 'rejected', 'deleted') \
                           AND last_seen.manifest = (SELECT manifest FROM last_seen WHERE item = ?1) GROUP BY item.state";

/// Every statement that finds or shows an item, for the test of their plans.
#[cfg(test)]
pub(in crate::ledger) const LOOKUPS: &[&str] = &[
    BY_KEY,
    BY_ID,
    BY_LINE,
    BY_VIDEO,
    NAMESPACES,
    ROW_ISSUES,
    ITEM,
    REQUESTS,
    EVENTS,
    ANSWERS,
    DELETIONS,
    RESENT_WITH,
];

/// One item, with every request that was made for it.
#[derive(Clone, Debug)]
pub struct ItemHistory {
    pub item: ItemId,
    pub key: ItemKey,
    pub state: State,
    /// The manifest and the line in which its row was last read.
    pub manifest: String,
    pub line: u64,
    /// The run that last read its row.
    pub seen_by: Option<String>,
    /// The failed, rejected and deleted items of that manifest, if this is one of them: an import sends all of a state again.
    pub resent_with: StateCounts,
    /// Whether its row is in no manifest any more.
    pub is_removed: bool,
    pub external_id: Option<String>,
    pub submission: Submission,
    pub admitted_at: UnixMillis,
    /// When its link expires. `None`: it does not say.
    pub expires_at: Option<UnixMillis>,
    /// When its indexing is next asked for.
    pub poll_at: Option<UnixMillis>,
    /// Polls in a row that did not show its video.
    pub missed: u32,
    pub final_at: Option<UnixMillis>,
    pub cause: Option<String>,
    /// Whether it waits until the listings were searched for its markers.
    pub is_held: bool,
    /// The video of the same item that another ledger uploaded.
    pub foreign_video: Option<VideoNo>,
    pub requests: Vec<RequestRow>,
    pub events: Vec<EventRow>,
    pub answers: Vec<AnswerRow>,
    /// Its videos that were ordered to be deleted, second videos too.
    pub deletions: Vec<DeletionRow>,
}

/// One request as the ledger has it.
#[derive(Clone, Debug)]
pub struct RequestRow {
    pub attempt: AttemptId,
    pub run: String,
    /// A state of [`AttemptState`](crate::domain::AttemptState), by its name.
    pub state: String,
    pub marker: Option<String>,
    pub sent_at: UnixMillis,
    pub answered_at: Option<UnixMillis>,
    /// The latest time at which the service may have accepted it.
    pub counts_until: Option<UnixMillis>,
    pub video_no: Option<String>,
    /// What bound the video: `reply`, `marker`, `callback`, `sole_candidate` or `human`.
    pub bound_by: Option<String>,
    pub cause: Option<String>,
    /// Whether only an order of the user ended it: it may be at the service.
    pub is_forced: bool,
    pub question: Option<String>,
    pub candidates: Vec<VideoNo>,
    /// The videos that calls of the service named for it before it was accepted.
    pub called: Vec<VideoNo>,
}

/// One event of an item.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub at: UnixMillis,
    pub attempt: Option<i64>,
    /// A name of [`ItemEvent`](crate::domain::ItemEvent).
    pub event: String,
    pub detail: Option<String>,
}

/// A video that was ordered to be deleted.
#[derive(Clone, Debug)]
pub struct DeletionRow {
    pub video_no: String,
    pub ordered_at: UnixMillis,
    /// When a listing proved that it is gone. `None`: nothing proves it yet.
    pub gone_at: Option<UnixMillis>,
    pub who: String,
    pub why: String,
}

/// What a human answered.
#[derive(Clone, Debug)]
pub struct AnswerRow {
    pub at: UnixMillis,
    pub event: String,
    pub video_no: Option<String>,
    pub who: String,
    pub why: String,
}

impl Snapshot {
    /// The item with this key.
    pub fn item_by_key(&self, key: ItemKey) -> Result<Option<ItemId>, LedgerError> {
        Ok(self.find(BY_KEY, [key.0])?.map(ItemId))
    }

    /// The items with this id of the user, in any namespace.
    pub fn items_by_id(&self, id: &str, count_max: u32) -> Result<Vec<ItemId>, LedgerError> {
        self.item_ids(BY_ID, (id, count_max))
    }

    /// The items whose rows were last read in this line, in any manifest.
    pub fn items_by_line(&self, line: u64, count_max: u32) -> Result<Vec<ItemId>, LedgerError> {
        self.item_ids(BY_LINE, (i64::try_from(line).unwrap_or(i64::MAX), count_max))
    }

    /// The item of which a request made this video.
    pub fn item_by_video(&self, video_no: &VideoNo) -> Result<Option<ItemId>, LedgerError> {
        Ok(self.find(BY_VIDEO, [video_no.as_str()])?.map(ItemId))
    }

    /// The namespaces that items may be in, as far as `count_max` allows.
    pub fn likely_namespaces(&self, count_max: usize) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare(NAMESPACES)?;
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        statement.query_column([count_max])
    }

    /// Rows of this line that are no items, each with its manifest: as the last run read them.
    pub fn row_issues_by_line(
        &self,
        line: u64,
        count_max: u32,
    ) -> Result<Vec<(String, RowIssue)>, LedgerError> {
        let mut statement = self.connection.prepare(ROW_ISSUES)?;
        let mut rows = statement.query((i64::try_from(line).unwrap_or(i64::MAX), count_max))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.get("own_identity")?, row_issue(&row)?));
        }
        Ok(found)
    }

    fn item_ids(&self, sql: &str, values: impl Params) -> Result<Vec<ItemId>, LedgerError> {
        let mut statement = self.connection.prepare(sql)?;
        statement.query_all(values, |row| row.get(0).map(ItemId))
    }

    /// All that the ledger has of an item. `None`: there is no such item.
    pub fn item_history(&self, item: ItemId) -> Result<Option<ItemHistory>, LedgerError> {
        let mut statement = self.connection.prepare(ITEM)?;
        let mut rows = statement.query([item.0])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let mut history = item_of(&row)?;
        if matches!(history.state, State::Failed | State::Rejected | State::Deleted) {
            history.resent_with = self.state_counts_by(RESENT_WITH, [item.0])?;
        }
        history.foreign_video = self.foreign_video_of(history.key.0)?;
        history.requests = self.requests_of(item)?;
        let mut events = self.connection.prepare(EVENTS)?;
        let event = |row: &SqlRow<'_>| {
            let (at, attempt) = (row.get(0)?, row.get(1)?);
            Ok(EventRow { at, attempt, event: row.get(2)?, detail: row.get(3)? })
        };
        history.events = events.query_all([item.0], event)?;
        let mut answers = self.connection.prepare(ANSWERS)?;
        let answer = |row: &SqlRow<'_>| {
            Ok(AnswerRow {
                at: row.get("at")?,
                event: row.get("event")?,
                video_no: row.get("video_no")?,
                who: row.get("who")?,
                why: row.get("why")?,
            })
        };
        history.answers = answers.query_all([item.0], answer)?;
        let mut deletions = self.connection.prepare(DELETIONS)?;
        let deletion = |row: &SqlRow<'_>| {
            Ok(DeletionRow {
                video_no: row.get("video_no")?,
                ordered_at: row.get("ordered_at")?,
                gone_at: row.get("gone_at")?,
                who: row.get("who")?,
                why: row.get("why")?,
            })
        };
        history.deletions = deletions.query_all([item.0], deletion)?;
        Ok(Some(history))
    }

    fn requests_of(&self, item: ItemId) -> Result<Vec<RequestRow>, LedgerError> {
        let mut statement = self.connection.prepare(REQUESTS)?;
        let mut rows = statement.query([item.0])?;
        let mut requests = Vec::new();
        while let Some(row) = rows.next()? {
            let candidates: Option<String> = row.get("candidates")?;
            let attempt = AttemptId(row.get("id")?);
            requests.push(RequestRow {
                attempt,
                called: self.numbers_called_for(attempt)?,
                run: row.get("run_name")?,
                state: row.get("state")?,
                marker: row.get("marker")?,
                sent_at: row.get("sent_at")?,
                answered_at: row.get("answered_at")?,
                counts_until: row.get("counts_until")?,
                video_no: row.get("video_no")?,
                bound_by: row.get("bound_by")?,
                cause: row.get("cause")?,
                is_forced: row.get("forced")?,
                question: row.get("question")?,
                candidates: candidates.map_or(Ok(Vec::new()), |text| from_json(&text))?,
            });
        }
        Ok(requests)
    }
}

/// The item itself; its videos of other ledgers and what happened to it are read apart.
fn item_of(row: &SqlRow<'_>) -> Result<ItemHistory, LedgerError> {
    Ok(ItemHistory {
        item: ItemId(row.get("id")?),
        key: ItemKey(row.get("key")?),
        state: state_of(&row.get::<_, String>("state")?)?,
        manifest: row.get("seen_in")?,
        line: unsigned(row, "seen_line")?,
        seen_by: row.get("seen_by")?,
        resent_with: StateCounts::default(),
        is_removed: row.get("is_removed")?,
        external_id: row.get("external_id")?,
        submission: submission_of(&row.get::<_, String>("submission")?)?,
        admitted_at: row.get("admitted_at")?,
        expires_at: row.get("expires_at")?,
        poll_at: row.get("poll_at")?,
        missed: row.get("missed")?,
        final_at: row.get("final_at")?,
        cause: row.get("cause")?,
        is_held: row.get("is_held")?,
        foreign_video: None,
        requests: Vec::new(),
        events: Vec::new(),
        answers: Vec::new(),
        deletions: Vec::new(),
    })
}
