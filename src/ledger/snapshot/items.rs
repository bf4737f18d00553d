//! Reads by item and row, for reports and reviews.

use super::Snapshot;
use crate::{
    domain::{LINK_LIFE_MIN, Problem, State, Submission, UnixMillis, VideoNo},
    ledger::{
        ItemId, LedgerError, ManifestId, RunId,
        schema::ATTEMPT_IS_OPEN,
        sql::SqlRow,
        values::{from_json, impossible, state_of, unsigned},
    },
};

/// One item as a report shows it.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// What identifies the item.
    pub(in crate::ledger) key: [u8; 16],
    pub state: State,
    /// The manifest it was last seen in.
    pub manifest: ManifestId,
    pub line: u64,
    pub cells: Vec<String>,
    pub external_id: Option<String>,
    /// The complete address.
    pub url: String,
    pub video_no: Option<String>,
    pub sent_at: Option<UnixMillis>,
    /// When the service's answer came.
    pub accepted_at: Option<UnixMillis>,
    /// When its state became final.
    pub final_at: Option<UnixMillis>,
    /// When its link expires.
    pub(in crate::ledger) expires_at: Option<UnixMillis>,
    /// The latest cause.
    pub cause: Option<String>,
}

impl ItemRow {
    /// When its link expired, if it waits to be sent and is not sent any more at this time.
    pub(in crate::ledger) fn expired_at(&self, at: UnixMillis) -> Option<UnixMillis> {
        self.expires_at.filter(|expired| self.state == State::Pending && *expired <= at.plus(LINK_LIFE_MIN))
    }
}

/// An item whose outcome is not clear, with the evidence there is.
#[derive(Clone, Debug)]
pub struct OpenQuestion {
    /// The item. `resolve` takes its number.
    pub item: ItemId,
    /// `needs_review`, `in_doubt` or `accepted_unidentified`.
    pub state: State,
    /// The manifest it was last seen in.
    pub manifest: String,
    pub line: u64,
    pub external_id: Option<String>,
    /// What was sent.
    pub submission: Submission,
    pub sent_at: UnixMillis,
    /// The marker it carried.
    pub marker: Option<String>,
    /// The question, or else the cause.
    pub text: String,
    /// The videos that the question names as candidates.
    pub candidates: Vec<VideoNo>,
}

/// A row that is not an item.
#[derive(Clone, Debug)]
pub struct RowIssue {
    pub kind: RowIssueKind,
    pub manifest: ManifestId,
    pub line: u64,
    pub cells: Vec<String>,
    pub problems: Vec<Problem>,
    /// The manifest of the first, for a duplicate.
    pub first_manifest: Option<String>,
    /// The line of the first, for a duplicate.
    pub first_line: Option<u64>,
}

/// Why a row was recorded as a row issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowIssueKind {
    /// It cannot be sent.
    Invalid,
    /// Its item was seen earlier in the same run.
    Duplicate,
    /// Its item was already sent with other content.
    Drifted,
}

impl RowIssueKind {
    /// The stable name in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Drifted => "drifted",
        }
    }
}

impl Snapshot {
    /// Items whose outcome is not clear, oldest first.
    pub fn open_questions(&self) -> Result<Vec<OpenQuestion>, LedgerError> {
        let sql = format!(
            "SELECT item.id, item.state, manifest.identity, item.line, item.external_id, item.submission, item.cause, \
                   attempt.sent_at, attempt.marker, question.text, question.candidates FROM attempt \
                   JOIN item ON item.id = attempt.item AND item.attempt = attempt.id JOIN manifest ON manifest.id = item.manifest \
                   LEFT JOIN question ON question.attempt = attempt.id \
                   WHERE attempt.state <> 'sending' AND {ATTEMPT_IS_OPEN} ORDER BY attempt.id"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut questions = Vec::new();
        while let Some(row) = rows.next()? {
            let candidates: Option<String> = row.get("candidates")?;
            let text: Option<String> = row.get("text")?;
            let cause: Option<String> = row.get("cause")?;
            questions.push(OpenQuestion {
                item: ItemId(row.get("id")?),
                state: state_of(&row.get::<_, String>("state")?)?,
                manifest: row.get("identity")?,
                line: unsigned(&row, "line")?,
                external_id: row.get("external_id")?,
                submission: from_json(&row.get::<_, String>("submission")?)?,
                sent_at: row.get("sent_at")?,
                marker: row.get("marker")?,
                text: text.or(cause).unwrap_or_default(),
                candidates: candidates.map_or(Ok(Vec::new()), |text| from_json(&text))?,
            });
        }
        Ok(questions)
    }

    /// Calls `show` with every item read by `run`, in ledger order.
    pub fn each_item_of_run<E: From<LedgerError>>(
        &self,
        run: RunId,
        mut show: impl FnMut(ItemRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!("{ITEM_ROWS} WHERE last_seen.run = ?1 ORDER BY last_seen.item");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream([run.0])?;
        while let Some(row) = rows.next()? {
            show(item_row(&row)?)?;
        }
        Ok(())
    }

    /// Calls `show` with every item that was rejected, failed or given up, or whose link expired before it was sent: those read by
    /// `run`, or else all.
    pub(in crate::ledger) fn each_bad_item(
        &self,
        run: Option<RunId>,
        at: UnixMillis,
        mut show: impl FnMut(ItemRow) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let sql = format!(
            "{ITEM_ROWS} WHERE (item.state IN ('rejected', 'failed', 'abandoned') \
             OR item.state = 'pending' AND item.expires_at <= ?2) \
             AND (CAST(?1 AS BIGINT) IS NULL OR last_seen.run = ?1) ORDER BY item.id"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream((run.map(|run| run.0), at.plus(LINK_LIFE_MIN).0))?;
        while let Some(row) = rows.next()? {
            show(item_row(&row)?)?;
        }
        Ok(())
    }

    /// Calls `show` with every row issue of `run`, in the order of reading.
    pub fn each_row_issue_of_run<E: From<LedgerError>>(
        &self,
        run: RunId,
        mut show: impl FnMut(RowIssue) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT row_issue.*, manifest.identity AS first_identity FROM row_issue \
                   LEFT JOIN manifest ON manifest.id = row_issue.first_manifest WHERE run = ?1 ORDER BY row_issue.id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.stream([run.0])?;
        while let Some(row) = rows.next()? {
            show(row_issue(&row)?)?;
        }
        Ok(())
    }
}

/// SQL: what an [`ItemRow`] is read from.
const ITEM_ROWS: &str = "SELECT item.key, item.state, last_seen.manifest, last_seen.line, item.cells, item.external_id, \
     item.submission ->> '$.url' AS url, attempt.video_no, attempt.sent_at, attempt.answered_at, item.final_at, item.expires_at, item.cause \
     FROM item JOIN last_seen ON last_seen.item = item.id LEFT JOIN attempt ON attempt.id = item.attempt";

fn item_row(row: &SqlRow<'_>) -> Result<ItemRow, LedgerError> {
    let video_no: Option<String> = row.get("video_no")?;
    let answered_at: Option<UnixMillis> = row.get("answered_at")?;
    Ok(ItemRow {
        key: row.get("key")?,
        state: state_of(&row.get::<_, String>("state")?)?,
        manifest: ManifestId(row.get("manifest")?),
        line: unsigned(row, "line")?,
        cells: from_json(&row.get::<_, String>("cells")?)?,
        external_id: row.get("external_id")?,
        url: row.get("url")?,
        accepted_at: if video_no.is_some() { answered_at } else { None },
        video_no,
        sent_at: row.get("sent_at")?,
        final_at: row.get("final_at")?,
        expires_at: row.get("expires_at")?,
        cause: row.get("cause")?,
    })
}

pub(super) fn row_issue(row: &SqlRow<'_>) -> Result<RowIssue, LedgerError> {
    let as_str: String = row.get("kind")?;
    let kinds = [RowIssueKind::Invalid, RowIssueKind::Duplicate, RowIssueKind::Drifted];
    let kind = kinds.into_iter().find(|kind| kind.as_str() == as_str);
    let problems: Option<String> = row.get("problems")?;
    Ok(RowIssue {
        kind: kind.ok_or_else(|| impossible(format!("the kind {as_str:?} of a row issue")))?,
        manifest: ManifestId(row.get("manifest")?),
        line: unsigned(row, "line")?,
        cells: from_json(&row.get::<_, String>("cells")?)?,
        problems: problems.map_or(Ok(Vec::new()), |text| from_json(&text))?,
        first_manifest: row.get("first_identity")?,
        first_line: row.get::<_, Option<i64>>("first_line")?.and_then(|line| u64::try_from(line).ok()),
    })
}
