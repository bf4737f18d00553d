//! Admission: turns rows into items with deduplication by key. It is idempotent: a row that is admitted twice changes
//! nothing.

use std::collections::BTreeSet;

use super::Store;
use crate::{
    domain::{ItemEvent, ManifestRow, Problem, RowError, State, UnixMillis},
    ledger::{
        Admission, AdmitTerms, AttemptId, AttemptResult, DeletedRows, DriftedRows, FailedRows, ItemId,
        LedgerError, ManifestId, RerunPolicy, RunId,
        values::{impossible, state_of, to_json},
    },
};

/// What the ledger knows of the item of a row.
struct Known {
    item: ItemId,
    state: State,
    fingerprint: Vec<u8>,
    attempt: Option<AttemptId>,
    cells: String,
    external_id: Option<String>,
    seen_run: Option<i64>,
    seen_manifest: Option<i64>,
    seen_line: Option<i64>,
}

/// Where a batch comes from.
#[derive(Clone, Copy)]
struct Origin {
    run: RunId,
    manifest: ManifestId,
    reruns: RerunPolicy,
    at: UnixMillis,
}

/// Whether the item of the next row is likely to be in the ledger. A wrong guess costs one more statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    New,
    Known,
}

impl Expected {
    fn after(admission: &Admission) -> Self {
        if *admission == Admission::Added { Self::New } else { Self::Known }
    }
}

/// Where the row is that was read first, of two for one video.
#[derive(Clone, Copy)]
struct FirstRow {
    manifest: i64,
    line: i64,
}

impl Store {
    /// Admits a batch of rows and row errors, and returns the outcome of each. All or nothing.
    pub fn admit(
        &self,
        run: RunId,
        manifest: ManifestId,
        rows: &[Result<ManifestRow, RowError>],
        terms: &AdmitTerms,
        at: UnixMillis,
    ) -> Result<Vec<Admission>, LedgerError> {
        let origin = Origin { run, manifest, reruns: terms.reruns, at };
        let mut admissions = Vec::with_capacity(rows.len());
        let has_items_by_id = self.has_items_by_id()?;
        for row in rows {
            // a manifest holds mostly new rows or mostly known ones: the next row is expected to be as the last one
            let expected = admissions.last().map_or(Expected::Known, Expected::after);
            let admission = match row {
                Ok(row) => {
                    let requirement = terms.requirement.as_ref();
                    let lack = requirement.map(|requirement| self.find_lack(row, terms.reruns, requirement));
                    let problem = match lack.transpose()?.flatten() {
                        None => self.sent_by_other_rule(row, has_items_by_id)?,
                        lack => lack,
                    };
                    match problem {
                        None => self.admit_row(origin, row, expected)?,
                        Some(problem) => self.hold_back(origin, row, problem)?,
                    }
                }
                Err(error) => self.set_aside_fault(origin, error)?,
            };
            admissions.push(admission);
        }
        self.note_namespaces(rows, &admissions)?;
        if !has_items_by_id && rows.iter().flatten().any(|row| row.submission.item_id.is_some()) {
            self.note_item_by_id(at)?;
        }
        self.count_added(origin, &admissions)?;
        self.count_reading(origin, &admissions)?;
        Ok(admissions)
    }

    fn admit_row(
        &self,
        origin: Origin,
        row: &ManifestRow,
        expected: Expected,
    ) -> Result<Admission, LedgerError> {
        let key = row.submission.key();
        let fingerprint = row.submission.fingerprint();
        if expected == Expected::New && self.insert_item(origin, row, key.0, fingerprint)? {
            return Ok(Admission::Added);
        }
        let Some(known) = self.known(&key.0)? else {
            let is_added = self.insert_item(origin, row, key.0, fingerprint)?;
            let conflict = || impossible("an item that is not there conflicts with a new one".to_owned());
            return if is_added { Ok(Admission::Added) } else { Err(conflict()) };
        };
        if let (Some(run), Some(manifest), Some(line)) =
            (known.seen_run, known.seen_manifest, known.seen_line)
            && run == origin.run.0
        {
            let is_same_row = manifest == origin.manifest.0 && line == line_of(row.line);
            if !is_same_row {
                self.set_aside_duplicate(origin, row, known.item, FirstRow { manifest, line })?;
                return Ok(Admission::Duplicate { first_line: u64::try_from(line).unwrap_or(0) });
            }
        }
        self.result(origin, known.item, row.line)?;
        let is_reuploaded = known.state == State::Deleted && origin.reruns.deleted == DeletedRows::Reupload;
        // what is sent again meanwhile would no longer be the video that is deleted
        let is_being_deleted = matches!(known.state, State::Failed | State::Indexed)
            && origin.reruns != RerunPolicy::default()
            && self.is_being_deleted(known.item)?;
        let is_left = is_being_deleted || known.state == State::Deleted;
        let admission = if is_reuploaded {
            self.reupload(origin, row, &known)?
        } else if known.fingerprint == fingerprint || is_left {
            Admission::Known
        } else {
            self.take_change(origin, row, &known)?
        };
        if origin.reruns.failed == FailedRows::Retry && !is_left {
            self.order_retry(origin, &known, &admission)?;
        }
        let is_ordered =
            origin.reruns.failed == FailedRows::Retry || admission == Admission::Updated || is_reuploaded;
        if !known.state.is_final() || is_ordered {
            self.adopt(origin, known.item, row.line)?;
        }
        self.refresh_cells(&known, row)?;
        Ok(admission)
    }

    /// Records the namespaces of the rows that were added.
    fn note_namespaces(
        &self,
        rows: &[Result<ManifestRow, RowError>],
        admissions: &[Admission],
    ) -> Result<(), LedgerError> {
        let added = rows.iter().zip(admissions).filter(|(_, admission)| **admission == Admission::Added);
        let namespaces: BTreeSet<&str> =
            added.filter_map(|(row, _)| Some(row.as_ref().ok()?.submission.namespace.as_str())).collect();
        let mut statement =
            self.connection.prepare("INSERT INTO namespace (name) VALUES (?1) ON CONFLICT DO NOTHING")?;
        for namespace in namespaces {
            statement.execute([namespace])?;
        }
        Ok(())
    }

    fn known(&self, key: &[u8; 16]) -> Result<Option<Known>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT item.id, item.state, item.fingerprint, item.attempt, item.cells, item.external_id, last_seen.run, \
             last_seen.manifest, last_seen.line FROM item LEFT JOIN last_seen ON last_seen.item = item.id WHERE item.key = ?1",
        )?;
        let mut rows = statement.query([key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Known {
            item: ItemId(row.get(0)?),
            state: state_of(&row.get::<_, String>(1)?)?,
            fingerprint: row.get(2)?,
            attempt: row.get::<_, Option<i64>>(3)?.map(AttemptId),
            cells: row.get(4)?,
            external_id: row.get(5)?,
            seen_run: row.get(6)?,
            seen_manifest: row.get(7)?,
            seen_line: row.get(8)?,
        }))
    }

    /// Adds an item. False if there is one with this key.
    fn insert_item(
        &self,
        origin: Origin,
        row: &ManifestRow,
        key: [u8; 16],
        fingerprint: [u8; 16],
    ) -> Result<bool, LedgerError> {
        let inserted = self.connection.insert_if_new(
                "INSERT INTO item (key, state, manifest, line, namespace, external_id, fingerprint, submission, cells, \
                 admitted_at, expires_at) VALUES (?1, 'pending', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                 ON CONFLICT (key) DO NOTHING",
            (
                key,
                origin.manifest.0,
                line_of(row.line),
                &row.submission.namespace,
                &row.external_id,
                fingerprint,
                to_json(&row.submission)?,
                to_json(&row.cells)?,
                origin.at.0,
                row.submission.url.expires_at().map(|timestamp| timestamp.0),
            ),
        )?;
        let Some(item) = inserted else { return Ok(false) };
        self.result(origin, ItemId(item), row.line).map(|()| true)
    }

    fn result(&self, origin: Origin, item: ItemId, line: u64) -> Result<(), LedgerError> {
        self.change_one(
            "INSERT INTO last_seen (item, run, manifest, line) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (item) DO UPDATE \
             SET run = excluded.run, manifest = excluded.manifest, line = excluded.line",
            (item.0, origin.run.0, origin.manifest.0, line_of(line)),
        )
    }

    /// An open item belongs to the manifest that names it now, so that this manifest's import sends it.
    fn adopt(&self, origin: Origin, item: ItemId, line: u64) -> Result<(), LedgerError> {
        self.connection
            .prepare(
                "UPDATE item SET manifest = ?2, line = ?3 WHERE id = ?1 AND (manifest <> ?2 OR line <> ?3)",
            )?
            .execute((item.0, origin.manifest.0, line_of(line)))?;
        Ok(())
    }

    /// A known key with other content. An item that the service never accepted takes the new content. Another one has drifted.
    fn take_change(
        &self,
        origin: Origin,
        row: &ManifestRow,
        known: &Known,
    ) -> Result<Admission, LedgerError> {
        let may_change = origin.reruns.failed.let_change(known.state);
        if !may_change && self.has_same_content(known.item, row)? {
            return Ok(Admission::Known);
        }
        if !may_change {
            return self.drift(origin, row, known);
        }
        self.take_content(known.item, row)?;
        if known.state == State::Rejected {
            let corrected = AttemptResult::new(ItemEvent::Corrected, origin.at, None);
            self.move_item(known.item, known.state, &corrected, None)?;
            known.attempt.map_or(Ok(()), |attempt| self.hold(attempt))?;
        }
        Ok(Admission::Updated)
    }

    /// The video of the row was deleted by order, and is to be sent again, with the content that the row has now.
    fn reupload(&self, origin: Origin, row: &ManifestRow, known: &Known) -> Result<Admission, LedgerError> {
        let Some(attempt) = known.attempt else {
            return Err(impossible(format!("item {} was deleted without an attempt", known.item)));
        };
        self.settle(attempt, &AttemptResult::new(ItemEvent::ReuploadOrdered, origin.at, None))?;
        if known.fingerprint == row.submission.fingerprint() {
            return Ok(Admission::Known);
        }
        self.take_content(known.item, row)?;
        Ok(Admission::Updated)
    }

    /// The service has the item with other content.
    fn drift(&self, origin: Origin, row: &ManifestRow, known: &Known) -> Result<Admission, LedgerError> {
        match (origin.reruns.drifted, known.state, known.attempt) {
            (DriftedRows::Ignore, ..) => Ok(Admission::Known),
            (DriftedRows::Resend, State::Indexed, Some(attempt)) => {
                self.take_content(known.item, row)?;
                self.settle(attempt, &AttemptResult::new(ItemEvent::ReplaceOrdered, origin.at, None))?;
                Ok(Admission::Updated)
            }
            (DriftedRows::Report | DriftedRows::Resend, ..) => {
                let changes = self.changes(known.item, row)?;
                self.set_aside(origin, row.line, "drifted", &row.cells, changes, Some(known.item), None)?;
                Ok(Admission::Drifted)
            }
        }
    }

    /// Whether only the signature of the link is another one.
    fn has_same_content(&self, item: ItemId, row: &ManifestRow) -> Result<bool, LedgerError> {
        let sent = self.submission_of_item(item)?;
        Ok(sent.has_same_content(&row.submission))
    }

    /// The original columns follow the manifest. The content that was sent does not change.
    fn refresh_cells(&self, known: &Known, row: &ManifestRow) -> Result<(), LedgerError> {
        let cells = to_json(&row.cells)?;
        if known.cells == cells && known.external_id == row.external_id {
            return Ok(());
        }
        self.change_one(
            "UPDATE item SET cells = ?2, external_id = ?3 WHERE id = ?1",
            (known.item.0, cells, &row.external_id),
        )
    }

    /// Sends a failed or rejected item again. An item that took new content is pending already.
    fn order_retry(&self, origin: Origin, known: &Known, admission: &Admission) -> Result<(), LedgerError> {
        if known.state == State::Rejected && *admission != Admission::Updated {
            let corrected =
                AttemptResult::new(ItemEvent::Corrected, origin.at, "sent again by order".to_owned());
            self.move_item(known.item, known.state, &corrected, None)?;
            return known.attempt.map_or(Ok(()), |attempt| self.hold(attempt));
        }
        if known.state != State::Failed {
            return Ok(());
        }
        let Some(attempt) = known.attempt else {
            return Err(impossible(format!("item {} failed without an attempt", known.item)));
        };
        self.settle(attempt, &AttemptResult::new(ItemEvent::RetryOrdered, origin.at, None))
    }

    /// Records a row as a row issue. Its item, if any, is not read in this run and so not sent.
    fn hold_back(
        &self,
        origin: Origin,
        row: &ManifestRow,
        problem: Problem,
    ) -> Result<Admission, LedgerError> {
        let error = RowError { line: row.line, cells: row.cells.clone(), problems: vec![problem.clone()] };
        self.set_aside_fault(origin, &error)?;
        Ok(Admission::HeldBack(Box::new(problem)))
    }

    fn set_aside_fault(&self, origin: Origin, error: &RowError) -> Result<Admission, LedgerError> {
        let problems = to_json(&error.problems)?;
        self.set_aside(origin, error.line, "invalid", &error.cells, Some(problems), None, None)?;
        Ok(Admission::Invalid)
    }

    fn set_aside_duplicate(
        &self,
        origin: Origin,
        row: &ManifestRow,
        item: ItemId,
        first: FirstRow,
    ) -> Result<(), LedgerError> {
        let changes = self.changes(item, row)?;
        self.set_aside(origin, row.line, "duplicate", &row.cells, changes, Some(item), Some(first))
    }

    /// The fields in which a row differs from the ledger, a problem for each. `None`: it does not differ.
    fn changes(&self, item: ItemId, row: &ManifestRow) -> Result<Option<String>, LedgerError> {
        let known = self.submission_of_item(item)?;
        let changes = known.differences(&row.submission).into_iter().map(|change| Problem {
            column: change.field.to_owned(),
            column_number: 0,
            message: change.to_string(),
            value: change.new,
            class: "content_changed".to_owned(),
            fix: String::new(),
        });
        let changes: Vec<Problem> = changes.collect();
        if changes.is_empty() { Ok(None) } else { to_json(&changes).map(Some) }
    }

    #[expect(clippy::too_many_arguments, reason = "one column each; a struct would name them a third time")]
    fn set_aside(
        &self,
        origin: Origin,
        line: u64,
        kind: &str,
        cells: &[String],
        problems: Option<String>,
        item: Option<ItemId>,
        first: Option<FirstRow>,
    ) -> Result<(), LedgerError> {
        self.change_one(
            "INSERT INTO row_issue (run, manifest, line, kind, cells, problems, item, first_manifest, first_line) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                origin.run.0,
                origin.manifest.0,
                line_of(line),
                kind,
                to_json(cells)?,
                problems,
                item.map(|item| item.0),
                first.map(|first| first.manifest),
                first.map(|first| first.line),
            ),
        )
    }

    /// Counts the items that were added: once for all of them, since a trigger would run for each.
    fn count_added(&self, origin: Origin, admissions: &[Admission]) -> Result<(), LedgerError> {
        let added = admissions.iter().filter(|admission| **admission == Admission::Added).count();
        if added == 0 {
            return Ok(());
        }
        self.change_one(
            "INSERT INTO state_count VALUES (?1, 'pending', ?2) \
             ON CONFLICT (manifest, state) DO UPDATE SET count = state_count.count + excluded.count",
            (origin.manifest.0, i64::try_from(added).unwrap_or(i64::MAX)),
        )
    }

    fn count_reading(&self, origin: Origin, admissions: &[Admission]) -> Result<(), LedgerError> {
        let count = |wanted: fn(&Admission) -> bool| -> i64 {
            i64::try_from(admissions.iter().filter(|admission| wanted(admission)).count()).unwrap_or(i64::MAX)
        };
        self.change_one(
            "UPDATE manifest_read SET rows = rows + ?3, added = added + ?4, known = known + ?5, updated = updated + ?6, \
             drifted = drifted + ?7, duplicates = duplicates + ?8, invalid = invalid + ?9 WHERE run = ?1 AND manifest = ?2",
            (
                origin.run.0,
                origin.manifest.0,
                i64::try_from(admissions.len()).unwrap_or(i64::MAX),
                count(|a| matches!(a, Admission::Added)),
                count(|a| matches!(a, Admission::Known)),
                count(|a| matches!(a, Admission::Updated)),
                count(|a| matches!(a, Admission::Drifted)),
                count(|a| matches!(a, Admission::Duplicate { .. })),
                count(|a| matches!(a, Admission::Invalid | Admission::HeldBack(_))),
            ),
        )
    }
}

fn line_of(line: u64) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}
