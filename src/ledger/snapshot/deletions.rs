//! What a run left at the service, and which videos are ordered to be deleted.

use super::{Snapshot, listed::ListedItem};
use crate::{
    domain::{AttemptState, UnixMillis, VideoNo},
    ledger::{
        AttemptId, BoundBy, DeletionTask, ItemId, LedgerError, RunId, RunVideo,
        schema::ATTEMPT_IS_OPEN,
        sql::SqlRow,
        store::RECOVERED,
        values::{from_json, impossible, limit, state_of, unsigned, video_no_of},
    },
};

impl Snapshot {
    /// The import that began last.
    pub fn latest_import(&self) -> Result<Option<RunId>, LedgerError> {
        Ok(self.find("SELECT max(id) FROM run WHERE command = 'import'", [])?.map(RunId))
    }

    /// Calls `show` with every request of a run that left a video at the service, or may have.
    pub fn each_video_of_run<E: From<LedgerError>>(
        &self,
        run: RunId,
        mut show: impl FnMut(RunVideo) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((first, last)) = self.attempts_of_run(run)? else { return Ok(()) };
        let sql = format!(
            "SELECT attempt.id AS attempt, attempt.state AS attempt_state, attempt.video_no, attempt.sent_at, \
             attempt.bound_by, attempt.cause = '{RECOVERED}' AS is_recovered, item.id, item.state, item.external_id, \
             item.namespace, item.cause, item.cells, item.submission ->> '$.url' AS url, \
             coalesce(item.final_at, attempt.answered_at, attempt.sent_at) AS changed_at, \
             manifest.identity, manifest.columns, coalesce(last_seen.line, item.line) AS seen_line \
             FROM attempt CROSS JOIN item ON item.id = attempt.item LEFT JOIN last_seen ON last_seen.item = item.id \
             JOIN manifest ON manifest.id = coalesce(last_seen.manifest, item.manifest) \
             WHERE attempt.id BETWEEN ?1 AND ?2 AND (attempt.state IN ('accepted', 'superseded', 'abandoned') \
             OR {ATTEMPT_IS_OPEN} OR (attempt.state = 'absent' AND attempt.forced = 1)) ORDER BY attempt.id"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.stream((first, last))?;
        while let Some(row) = rows.next()? {
            show(run_video(&row)?)?;
        }
        Ok(())
    }

    /// The videos of these requests, as they are deleted. Those that are not there any more are left out.
    pub fn deletion_tasks(&self, attempts: &[AttemptId]) -> Result<Vec<DeletionTask>, LedgerError> {
        let sql = format!(
            "SELECT attempt.video_no, attempt.item, attempt.id AS attempt, attempt.marker, attempt.bound_by, \
             coalesce(attempt.answered_at, attempt.counts_until, attempt.sent_at) AS accepted_by, {ORDERED} \
             FROM attempt JOIN item ON item.id = attempt.item LEFT JOIN deletion ON deletion.video_no = attempt.video_no \
             WHERE attempt.id = ?1 AND attempt.state = 'accepted' AND item.state <> 'deleted'"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut tasks = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let mut rows = statement.query([attempt.0])?;
            if let Some(row) = rows.next()? {
                let bound_by: Option<String> = row.get("bound_by")?;
                let by = bound_by.as_deref().and_then(BoundBy::from_name);
                tasks.push(DeletionTask {
                    needs_marker: !matches!(by, Some(BoundBy::Response | BoundBy::Marker)),
                    marker: row.get("marker")?,
                    ..task(&row)?
                });
            }
        }
        Ok(tasks)
    }

    /// Second videos whose deletion was ordered and is not proven, each with its namespace.
    pub fn open_deletions_of_duplicates(&self) -> Result<Vec<(String, DeletionTask)>, LedgerError> {
        let sql = format!(
            "SELECT deletion.video_no, deletion.item, NULL AS attempt, deletion.namespace, \
             deletion.ordered_at AS accepted_by, {ORDERED} FROM deletion WHERE attempt IS NULL AND gone_at IS NULL"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut tasks = Vec::new();
        while let Some(row) = rows.next()? {
            tasks.push((row.get("namespace")?, task(&row)?));
        }
        Ok(tasks)
    }

    /// How many deletions were ordered and are not proven.
    pub fn open_deletions(&self) -> Result<u64, LedgerError> {
        self.count("SELECT count(*) FROM deletion WHERE gone_at IS NULL", [])
    }

    /// The runs whose videos were ordered to be deleted and are not proven to be gone, oldest first, each with how many. `None`: second
    /// videos, which are of no run.
    pub fn runs_with_open_deletions(&self) -> Result<Vec<(Option<String>, u64)>, LedgerError> {
        let sql = "SELECT run.name, count(*) AS videos FROM deletion LEFT JOIN attempt ON attempt.id = deletion.attempt \
                   LEFT JOIN run ON run.id = attempt.run WHERE deletion.gone_at IS NULL GROUP BY run.id, run.name \
                   ORDER BY run.id";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            runs.push((row.get("name")?, unsigned(&row, "videos")?));
        }
        Ok(runs)
    }

    /// Videos of a namespace that must stay, newest first: a listing that shows none of them proves nothing. Those that `run`
    /// made are left out.
    pub fn kept_videos(
        &self,
        namespace: &str,
        run: RunId,
        count_max: usize,
    ) -> Result<Vec<VideoNo>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT attempt.video_no FROM attempt JOIN item ON item.id = attempt.item \
             WHERE attempt.state = 'accepted' AND item.namespace = ?1 AND attempt.run <> ?2 \
             AND NOT EXISTS (SELECT 1 FROM deletion WHERE deletion.video_no = attempt.video_no AND gone_at IS NULL) \
             ORDER BY attempt.id DESC LIMIT ?3",
        )?;
        let mut rows = statement.query((namespace, run.0, limit(count_max)))?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next()? {
            kept.push(video_no_of(&row.get::<_, String>(0)?)?);
        }
        Ok(kept)
    }
}

/// SQL: what the ledger knows of the order to delete a video.
const ORDERED: &str = "deletion.video_no IS NOT NULL AND deletion.gone_at IS NULL AS is_ordered, coalesce(deletion.listed, 0) AS was_listed";

fn task(row: &SqlRow<'_>) -> Result<DeletionTask, LedgerError> {
    Ok(DeletionTask {
        video_no: video_no_of(&row.get::<_, String>("video_no")?)?,
        item: ItemId(row.get("item")?),
        attempt: row.get::<_, Option<i64>>("attempt")?.map(AttemptId),
        marker: None,
        needs_marker: false,
        accepted_by: row.get("accepted_by")?,
        is_ordered: row.get("is_ordered")?,
        was_listed: row.get("was_listed")?,
    })
}

fn run_video(row: &SqlRow<'_>) -> Result<RunVideo, LedgerError> {
    let attempt_state: String = row.get("attempt_state")?;
    let bound_by: Option<String> = row.get("bound_by")?;
    let sent_at: UnixMillis = row.get("sent_at")?;
    Ok(RunVideo {
        row: ListedItem {
            item: ItemId(row.get("id")?),
            state: state_of(&row.get::<_, String>("state")?)?,
            manifest: row.get("identity")?,
            line: unsigned(row, "seen_line")?,
            external_id: row.get("external_id")?,
            url: row.get("url")?,
            namespace: row.get("namespace")?,
            video_no: row.get("video_no")?,
            sent_at: Some(sent_at),
            changed_at: row.get("changed_at")?,
            cause: row.get("cause")?,
        },
        attempt: AttemptId(row.get("attempt")?),
        attempt_state: attempt_state
            .parse::<AttemptState>()
            .map_err(|_| impossible(format!("the state {attempt_state:?} of a request")))?,
        bound_by: bound_by.as_deref().and_then(BoundBy::from_name),
        is_recovered: row.get::<_, Option<bool>>("is_recovered")?.unwrap_or(false),
        columns: from_json(&row.get::<_, String>("columns")?)?,
        cells: from_json(&row.get::<_, String>("cells")?)?,
    })
}
