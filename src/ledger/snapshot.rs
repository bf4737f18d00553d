//! A read-only look at the ledger, by a connection of its own: for `status` and reports, also while an import runs.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use super::{
    ExternalUsage, ItemId, LedgerError, ManifestId, ProbeRequirement, RerunPolicy, RunId, StateCounts,
    UploadUsage, integrity, schema, store,
};
use crate::domain::{FieldChange, ManifestRow, Problem, RowCounts, State, Submission, UnixMillis, VideoNo};

/// A consistent view for the length of each call; never writes.
pub struct Snapshot {
    connection: Connection,
}

/// What an import would do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedAction {
    /// Known with other content, and left as it was sent.
    Drifted(State),
    /// It is not known: it would be sent.
    New,
    /// It is known, and would be sent (again).
    Resent(State),
    /// It is known, and would be left.
    Left(State),
}

/// One item as a report shows it.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// Where it stands.
    pub state: State,
    /// The manifest it was last seen in.
    pub source: ManifestId,
    /// The line there.
    pub line: u64,
    /// The original cells.
    pub cells: Vec<String>,
    /// The user's own key.
    pub external_id: Option<String>,
    /// The address, whole.
    pub url: String,
    /// The video, once accepted.
    pub video_no: Option<String>,
    /// When it was last sent.
    pub sent_at: Option<UnixMillis>,
    /// When the service's answer came.
    pub accepted_at: Option<UnixMillis>,
    /// When its state became final.
    pub final_at: Option<UnixMillis>,
    /// What was last said or seen.
    pub cause: Option<String>,
}

/// An item whose outcome is not clear, with the evidence there is.
#[derive(Clone, Debug)]
pub struct OpenQuestion {
    /// The item, as `resolve` names it.
    pub item: ItemId,
    /// Asked, in doubt or counted.
    pub state: State,
    /// The manifest it was last seen in.
    pub source: String,
    /// The line there.
    pub line: u64,
    /// The user's own key.
    pub external_id: Option<String>,
    /// What was sent.
    pub submission: Submission,
    /// When it was sent.
    pub sent_at: UnixMillis,
    /// The marker it carried.
    pub marker: Option<String>,
    /// What is known, or asked.
    pub text: String,
    /// Videos it could be, as far as the question names them.
    pub candidates: Vec<VideoNo>,
}

/// A row that is no item of its own.
#[derive(Clone, Debug)]
pub struct RowIssue {
    /// Why it was set aside.
    pub kind: RowIssueKind,
    /// The manifest.
    pub source: ManifestId,
    /// The line there.
    pub line: u64,
    /// The original cells.
    pub cells: Vec<String>,
    /// What is wrong, for a faulty row.
    pub problems: Vec<Problem>,
    /// The manifest of the first, for a duplicate.
    pub first_source: Option<String>,
    /// The line of the first, for a duplicate.
    pub first_line: Option<u64>,
}

/// Why a row was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowIssueKind {
    /// It cannot be sent.
    Faulty,
    /// Its item was seen earlier in the same run.
    Duplicate,
    /// Its item was already sent with other content.
    Drifted,
}

impl RowIssueKind {
    /// The word in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Faulty => "rejected",
            Self::Duplicate => "duplicate",
            Self::Drifted => "drifted",
        }
    }
}

/// One run and what it read, summed over its manifests.
#[derive(Clone, Debug, Default)]
pub struct RunRow {
    /// Its name.
    pub name: String,
    /// The command.
    pub command: String,
    /// When it began.
    pub started_at: UnixMillis,
    /// When it ended, if it did.
    pub ended_at: Option<UnixMillis>,
    /// How it ended.
    pub exit_code: Option<u8>,
    /// Why.
    pub exit_reason: Option<String>,
    /// What its rows came to.
    pub rows: RowCounts,
    /// Manifests not read to their end.
    pub unfinished_readings: u64,
}

/// How the requests of a time span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests made.
    pub attempts: u64,
    /// Accepted.
    pub accepted: u64,
    /// Refused for now.
    pub refused: u64,
    /// Not sent.
    pub not_sent: u64,
}

impl Snapshot {
    /// Opens the ledger at `path` for reading only; it must be there.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let shown = path.display().to_string();
        if !path.exists() {
            return Err(LedgerError::Missing { path: shown });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let version = schema::recognise(&connection, &shown).map_err(|error| error.at(&shown))?;
        if version == 0 {
            return Err(LedgerError::Missing { path: shown });
        }
        if version < schema::version() {
            return Err(LedgerError::Outdated { path: shown });
        }
        Ok(Self { connection })
    }

    /// How many items are in each state.
    pub fn state_counts(&self) -> Result<StateCounts, LedgerError> {
        state_counts(&self.connection)
    }

    /// What an import would do with a row, by the rule it admits rows by.
    pub fn planned_action(
        &self,
        row: &ManifestRow,
        reruns: RerunPolicy,
    ) -> Result<PlannedAction, LedgerError> {
        store::planned_action(&self.connection, row, reruns)
    }

    /// What a row would send otherwise than the ledger has it. Empty for a row that it does not know.
    pub fn differences(&self, row: &ManifestRow) -> Result<Vec<FieldChange>, LedgerError> {
        let known = store::known_submission(&self.connection, row)?;
        Ok(known.map_or_else(Vec::new, |known| known.differences(&row.submission)))
    }

    /// Why an import of probed rows only would hold a row back; none when it would not.
    pub fn find_lack(
        &self,
        row: &ManifestRow,
        reruns: RerunPolicy,
        demand: &ProbeRequirement,
    ) -> Result<Option<Problem>, LedgerError> {
        store::find_lack(&self.connection, row, reruns, demand)
    }

    /// How many of the items seen by `run` are in each state.
    pub fn state_counts_of_run(&self, run: RunId) -> Result<StateCounts, LedgerError> {
        let sql = "SELECT item.state, count(*) FROM last_seen JOIN item ON item.id = last_seen.item \
                   WHERE last_seen.run = ?1 GROUP BY item.state";
        state_counts_by(&self.connection, sql, [run.0])
    }

    /// How many of the items that `run` sent are in each state.
    pub fn state_counts_of_sent(&self, run: RunId) -> Result<StateCounts, LedgerError> {
        let sql = "SELECT item.state, count(*) FROM item WHERE id IN (SELECT item FROM attempt WHERE run = ?1) \
                   GROUP BY item.state";
        state_counts_by(&self.connection, sql, [run.0])
    }

    /// The service the ledger belongs to.
    pub fn origin(&self) -> Result<String, LedgerError> {
        let origin: String =
            self.connection.query_row("SELECT origin FROM identity", [], |row| row.get(0))?;
        Ok(if origin.is_empty() { "no service yet".to_owned() } else { origin })
    }

    /// The last `count_max` runs, newest first.
    pub fn runs(&self, count_max: u32) -> Result<Vec<RunRow>, LedgerError> {
        self.runs_where("ORDER BY run.id DESC LIMIT ?1", i64::from(count_max))
    }

    /// The run that began last.
    pub fn latest_run(&self) -> Result<Option<RunId>, LedgerError> {
        let latest: Option<i64> =
            self.connection.query_row("SELECT max(id) FROM run", [], |row| row.get(0))?;
        Ok(latest.map(RunId))
    }

    /// One run.
    pub fn run(&self, run: RunId) -> Result<RunRow, LedgerError> {
        let found = self.runs_where("HAVING run.id = ?1", run.0)?.pop();
        found.ok_or_else(|| store::impossible(format!("run {run} vanished")))
    }

    fn runs_where(&self, clause: &str, value: i64) -> Result<Vec<RunRow>, LedgerError> {
        let sql = format!(
            "SELECT run.*, coalesce(sum(rows), 0) AS rows, coalesce(sum(added), 0) AS added, \
             coalesce(sum(known), 0) AS known, coalesce(sum(updated), 0) AS updated, \
             coalesce(sum(drifted), 0) AS drifted, coalesce(sum(duplicates), 0) AS duplicates, \
             coalesce(sum(rejected), 0) AS rejected, count(manifest_read.run) - coalesce(sum(complete), 0) AS unfinished \
             FROM run LEFT JOIN manifest_read ON manifest_read.run = run.id GROUP BY run.id {clause}"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([value], |row| {
            let count = |column: &str| row.get::<_, i64>(column).map(|n| u64::try_from(n).unwrap_or(0));
            Ok(RunRow {
                name: row.get("name")?,
                command: row.get("command")?,
                started_at: UnixMillis(row.get("started_at")?),
                ended_at: row.get::<_, Option<i64>>("ended_at")?.map(UnixMillis),
                exit_code: row.get("exit_code")?,
                exit_reason: row.get("exit_reason")?,
                rows: RowCounts {
                    read: count("rows")?,
                    added: count("added")?,
                    known: count("known")?,
                    updated: count("updated")?,
                    drifted: count("drifted")?,
                    duplicates: count("duplicates")?,
                    rejected: count("rejected")?,
                },
                unfinished_readings: count("unfinished")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// No clock may be before this: the latest of all recorded moments.
    pub fn latest_timestamp(&self) -> Result<UnixMillis, LedgerError> {
        store::latest_timestamp(&self.connection)
    }

    /// What was remembered under a name.
    pub fn kv_get(&self, name: &str) -> Result<Option<String>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let sql = "SELECT value FROM kv WHERE name = ?1";
        Ok(self.connection.query_row(sql, [name], |row| row.get(0)).optional()?)
    }

    /// Uploads that may count after `since`, and at least the latest `count_min`; reads and foreign requests since then.
    pub fn past(
        &self,
        since: UnixMillis,
        count_min: u32,
    ) -> Result<(Vec<UploadUsage>, Vec<ExternalUsage>), LedgerError> {
        Ok((
            store::past_uploads(&self.connection, since, count_min)?,
            store::external_usages(&self.connection, since)?,
        ))
    }

    /// A digest of everything that happened: any other state of the ledger has another.
    pub fn digest(&self) -> Result<String, LedgerError> {
        let sql = "SELECT coalesce((SELECT id || ':' || hex(chain) FROM event ORDER BY id DESC LIMIT 1), '') || '/' || \
                   (SELECT count(*) FROM run) || '/' || coalesce((SELECT sum(count) FROM state_count), 0) || '/' || \
                   coalesce((SELECT max(id) FROM external_usage WHERE endpoint = 'upload'), 0) || '/' || \
                   coalesce((SELECT max(probed_at) FROM probe), 0) || '/' || \
                   coalesce((SELECT group_concat(name || ':' || at) FROM kv), '')";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// How many of the items seen by `run` wait with a link that is dead at `at`.
    pub fn expired_of_run(&self, run: RunId, at: UnixMillis) -> Result<u64, LedgerError> {
        let sql = "SELECT count(*) FROM last_seen JOIN item ON item.id = last_seen.item \
                   WHERE last_seen.run = ?1 AND item.state = 'pending' AND item.expires_at <= ?2";
        let count: i64 = self.connection.query_row(sql, (run.0, at.0), |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Attempts made since `since`.
    pub fn requests_since(&self, since: UnixMillis) -> Result<RequestCounts, LedgerError> {
        let sql = "SELECT count(*), coalesce(sum(state IN ('accepted', 'accepted_unidentified', 'superseded')), 0), \
                   coalesce(sum(state = 'refused'), 0), coalesce(sum(state = 'not_sent'), 0) \
                   FROM attempt WHERE sent_at >= ?1";
        let number = |row: &Row<'_>, at: usize| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(self.connection.query_row(sql, [since.0], |row| {
            Ok(RequestCounts {
                attempts: number(row, 0)?,
                accepted: number(row, 1)?,
                refused: number(row, 2)?,
                not_sent: number(row, 3)?,
            })
        })?)
    }

    /// Items whose outcome is not clear, oldest first.
    pub fn open_questions(&self) -> Result<Vec<OpenQuestion>, LedgerError> {
        let sql = "SELECT item.id, item.state, manifest.identity, item.line, item.external_id, item.submission, item.cause, \
                   attempt.sent_at, attempt.marker, question.text, question.candidates FROM attempt \
                   JOIN item ON item.id = attempt.item AND item.attempt = attempt.id JOIN manifest ON manifest.id = item.manifest \
                   LEFT JOIN question ON question.attempt = attempt.id \
                   WHERE attempt.state IN ('in_doubt', 'accepted_unidentified', 'needs_review') \
                   AND attempt.state IN ('sending', 'in_doubt', 'accepted_unidentified', 'needs_review') ORDER BY attempt.id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut questions = Vec::new();
        while let Some(row) = rows.next()? {
            let candidates: Option<String> = row.get("candidates")?;
            let text: Option<String> = row.get("text")?;
            let cause: Option<String> = row.get("cause")?;
            questions.push(OpenQuestion {
                item: ItemId(row.get("id")?),
                state: store::state_of(&row.get::<_, String>("state")?)?,
                source: row.get("identity")?,
                line: u64::try_from(row.get::<_, i64>("line")?).unwrap_or(0),
                external_id: row.get("external_id")?,
                submission: from_json(&row.get::<_, String>("submission")?)?,
                sent_at: UnixMillis(row.get("sent_at")?),
                marker: row.get("marker")?,
                text: text.or(cause).unwrap_or_default(),
                candidates: candidates.map_or(Ok(Vec::new()), |text| from_json(&text))?,
            });
        }
        Ok(questions)
    }

    /// Uploads paid or possibly paid, over all runs.
    pub fn committed_uploads(&self) -> Result<u64, LedgerError> {
        let count: i64 =
            self.connection.query_row("SELECT uploads FROM committed_uploads", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// When anything last happened to an item.
    pub fn last_event_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        use rusqlite::OptionalExtension as _;
        let sql = "SELECT at FROM event ORDER BY id DESC LIMIT 1";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()?.map(UnixMillis))
    }

    /// Items whose state does not follow from their latest attempt; any is a bug.
    pub fn contradictions(&self) -> Result<u64, LedgerError> {
        let (_, sql) = integrity::RULES[0];
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Everything that is wrong with the ledger, each as a sentence; reads all of it.
    pub fn problems(&self) -> Result<Vec<String>, LedgerError> {
        integrity::problems(&self.connection)
    }

    /// Writes a copy of the ledger, whole as of now, to a file that is not there yet.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let shown = path.display().to_string();
        if path.exists() {
            let cause = "it is there already".to_owned();
            return Err(LedgerError::Unwritable { path: shown, cause });
        }
        // made with the owner's rights only, before SQLite writes into it
        super::open::make_private(path)
            .map_err(|error| LedgerError::Unwritable { path: shown.clone(), cause: error.to_string() })?;
        self.connection
            .execute("VACUUM INTO ?1", [&shown])
            .map_err(|error| LedgerError::from(error).at(&shown))?;
        Ok(())
    }

    /// When the next accepted item is due to be looked at.
    pub fn next_poll_at(&self) -> Result<Option<UnixMillis>, LedgerError> {
        let sql = "SELECT min(poll_at) FROM item WHERE poll_at IS NOT NULL";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(UnixMillis))
    }

    /// The manifests `run` read, with their identity and columns, in the order they were first known.
    pub fn sources_of_run(&self, run: RunId) -> Result<Vec<(ManifestId, String, Vec<String>)>, LedgerError> {
        let sql = "SELECT manifest.id, manifest.identity, manifest.columns FROM manifest_read \
                   JOIN manifest ON manifest.id = manifest_read.manifest WHERE manifest_read.run = ?1 ORDER BY manifest.id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([run.0])?;
        let mut sources = Vec::new();
        while let Some(row) = rows.next()? {
            sources.push((ManifestId(row.get(0)?), row.get(1)?, from_json(&row.get::<_, String>(2)?)?));
        }
        Ok(sources)
    }

    /// Shows every item seen by `run`, in ledger order, one at a time.
    pub fn each_item_of_run<E: From<LedgerError>>(
        &self,
        run: RunId,
        mut show: impl FnMut(ItemRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT item.state, last_seen.manifest, last_seen.line, item.cells, item.external_id, \
                   item.submission ->> '$.url' AS url, attempt.video_no, attempt.sent_at, attempt.answered_at, \
                   item.final_at, item.cause FROM last_seen JOIN item ON item.id = last_seen.item \
                   LEFT JOIN attempt ON attempt.id = item.attempt WHERE last_seen.run = ?1 ORDER BY last_seen.item";
        let mut statement = self.connection.prepare(sql).map_err(LedgerError::from)?;
        let mut rows = statement.query([run.0]).map_err(LedgerError::from)?;
        while let Some(row) = rows.next().map_err(LedgerError::from)? {
            show(item_row(row)?)?;
        }
        Ok(())
    }

    /// Shows every row `run` set aside, in the order they were read, one at a time.
    pub fn each_row_issue_of_run<E: From<LedgerError>>(
        &self,
        run: RunId,
        mut show: impl FnMut(RowIssue) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT row_issue.*, manifest.identity AS first_identity FROM row_issue \
                   LEFT JOIN manifest ON manifest.id = row_issue.first_manifest WHERE run = ?1 ORDER BY row_issue.id";
        let mut statement = self.connection.prepare(sql).map_err(LedgerError::from)?;
        let mut rows = statement.query([run.0]).map_err(LedgerError::from)?;
        while let Some(row) = rows.next().map_err(LedgerError::from)? {
            show(row_issue(row)?)?;
        }
        Ok(())
    }
}

pub(super) fn state_counts(connection: &Connection) -> Result<StateCounts, LedgerError> {
    state_counts_by(connection, "SELECT state, sum(count) FROM state_count GROUP BY state", [])
}

fn state_counts_by(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<StateCounts, LedgerError> {
    let mut state_counts = StateCounts::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let state = store::state_of(&row.get::<_, String>(0)?)?;
        state_counts.set(state, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
    }
    Ok(state_counts)
}

fn item_row(row: &Row<'_>) -> Result<ItemRow, LedgerError> {
    let video_no: Option<String> = row.get("video_no")?;
    let answered_at = row.get::<_, Option<i64>>("answered_at")?.map(UnixMillis);
    Ok(ItemRow {
        state: store::state_of(&row.get::<_, String>("state")?)?,
        source: ManifestId(row.get("manifest")?),
        line: u64::try_from(row.get::<_, i64>("line")?).unwrap_or(0),
        cells: from_json(&row.get::<_, String>("cells")?)?,
        external_id: row.get("external_id")?,
        url: row.get("url")?,
        accepted_at: if video_no.is_some() { answered_at } else { None },
        video_no,
        sent_at: row.get::<_, Option<i64>>("sent_at")?.map(UnixMillis),
        final_at: row.get::<_, Option<i64>>("final_at")?.map(UnixMillis),
        cause: row.get("cause")?,
    })
}

fn row_issue(row: &Row<'_>) -> Result<RowIssue, LedgerError> {
    let as_str: String = row.get("kind")?;
    let kinds = [RowIssueKind::Faulty, RowIssueKind::Duplicate, RowIssueKind::Drifted];
    let kind = kinds.into_iter().find(|kind| kind.as_str() == as_str);
    let problems: Option<String> = row.get("problems")?;
    Ok(RowIssue {
        kind: kind.ok_or_else(|| store::impossible(format!("the kind {as_str:?} of a row set aside")))?,
        source: ManifestId(row.get("manifest")?),
        line: u64::try_from(row.get::<_, i64>("line")?).unwrap_or(0),
        cells: from_json(&row.get::<_, String>("cells")?)?,
        problems: problems.map_or(Ok(Vec::new()), |text| from_json(&text))?,
        first_source: row.get("first_identity")?,
        first_line: row.get::<_, Option<i64>>("first_line")?.and_then(|line| u64::try_from(line).ok()),
    })
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text)
        .map_err(|error| store::impossible(format!("a value that cannot be read: {error}")))
}
