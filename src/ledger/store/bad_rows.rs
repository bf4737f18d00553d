//! Bad rows: rows that are invalid, that were rejected, failed or given up, or whose link expired before they were sent. The ledger remembers which of them a report
//! has named, and which a human has acknowledged, so that a nightly run speaks up about the others only.

use super::Store;
use crate::{
    csv_injection,
    domain::{SourceUrl, State, UnixMillis},
    ledger::{
        Acknowledgement, BadRow, BadRowCounts, ItemRow, LedgerError, ManifestId, OwnColumns, RowIssue,
        RowIssueKind, RunId, Snapshot,
    },
};

impl BadRow {
    /// The bad row of an item at this time. `None`: it is not bad.
    #[must_use]
    pub fn of_item(row: &ItemRow, at: UnixMillis) -> Option<Self> {
        let (state, cause) = match row.expired_at(at) {
            // a link that was signed again and expired again has another time, and is another one
            Some(expired) => {
                (INVALID, format!("link_expired: the link expired at {expired}, before it was sent"))
            }
            None if matches!(row.state, State::Rejected | State::Failed | State::Abandoned) => {
                (row.state.as_str(), row.cause.clone().unwrap_or_default())
            }
            None => return None,
        };
        // a row that was corrected and is rejected again is another one
        let cells = without_signatures(&row.cells);
        let parts = [&row.key[..], state.as_bytes(), cause.as_bytes()];
        let digest = digest(parts.into_iter().chain(cells.iter().map(String::as_bytes)));
        Some(Self { digest, manifest: row.manifest, line: row.line, state, cause })
    }

    /// What is wrong with it.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The bad row of a row that is no item. `None`: it is not bad. The same cells with the same problems are the same row in
    /// any file: a dated export, a copy, or the `rejects.csv` that has them.
    #[must_use]
    pub fn of_issue(row: &RowIssue, own: &OwnColumns) -> Option<Self> {
        if row.kind != RowIssueKind::Invalid {
            return None;
        }
        let mut cells = without_signatures(&own.original(row));
        // rejects.csv has the columns of several manifests in one order, and leaves empty what a row does not have
        cells.retain(|cell| !cell.is_empty());
        cells.sort_unstable();
        let problems = row.problems.iter().flat_map(|problem| [&problem.class, &problem.column]);
        let texts = cells.iter().chain(problems).map(String::as_bytes);
        let causes: Vec<String> =
            row.problems.iter().map(|problem| format!("{}: {}", problem.class, problem.message)).collect();
        Some(Self {
            digest: digest(texts),
            manifest: row.manifest,
            line: row.line,
            state: INVALID,
            cause: causes.join("; "),
        })
    }
}

/// The cells of a row; a link that is signed again every night is the same.
fn without_signatures(cells: &[String]) -> Vec<String> {
    let plain = |cell: &String| match SourceUrl::parse(cell) {
        Ok(url) => url.without_signature().into_owned(),
        Err(_) => cell.clone(),
    };
    cells.iter().map(plain).collect()
}

/// The state of an invalid row. The others are those of items.
const INVALID: &str = "invalid";

/// A digest of the parts, each with its length, so that they cannot run into each other.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    half
}

impl Snapshot {
    /// How many rows of a run are bad at this time, and how many of them are news. Without a run: the bad items of the whole ledger.
    pub fn bad_row_counts(&self, run: Option<RunId>, at: UnixMillis) -> Result<BadRowCounts, LedgerError> {
        let mut counts = BadRowCounts::default();
        self.each_bad_row(run, at, |row| {
            counts.total += 1;
            match self.is_acknowledged(&row)? {
                Some(true) => counts.acknowledged += 1,
                Some(false) => counts.known += 1,
                None => counts.new += 1,
            }
            Ok(())
        })?;
        Ok(counts)
    }

    /// Whether a bad row was acknowledged. `None`: no report has named it yet.
    pub fn is_acknowledged(&self, row: &BadRow) -> Result<Option<bool>, LedgerError> {
        self.find("SELECT acknowledged_at IS NOT NULL FROM bad_row WHERE digest = ?1", [row.digest])
    }

    /// The columns of telecine's own in the manifests of a run.
    pub fn own_columns(&self, run: RunId) -> Result<OwnColumns, LedgerError> {
        let is_own = |name: String| name.starts_with(csv_injection::OWN_PREFIX);
        let of_manifest = |(manifest, _, names): (ManifestId, String, Vec<String>)| {
            (manifest, names.into_iter().map(is_own).collect())
        };
        Ok(OwnColumns(self.manifests_of_run(run)?.into_iter().map(of_manifest).collect()))
    }

    fn each_bad_row(
        &self,
        run: Option<RunId>,
        at: UnixMillis,
        mut show: impl FnMut(BadRow) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        if let Some(run) = run {
            let own = self.own_columns(run)?;
            self.each_row_issue_of_run(run, |row| BadRow::of_issue(&row, &own).map_or(Ok(()), &mut show))?;
        }
        self.each_bad_item(run, at, |row| BadRow::of_item(&row, at).map_or(Ok(()), &mut show))
    }
}

impl Store {
    /// Takes note of the bad rows of a run, whose report of this time has been written, and forgets those that its manifests no longer have.
    pub fn note_bad_rows(&self, run: RunId, at: UnixMillis) -> Result<(), LedgerError> {
        let sql = "INSERT INTO bad_row (digest, manifest, line, state, cause, run, first_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (digest) DO UPDATE \
                   SET run = excluded.run, manifest = excluded.manifest, line = excluded.line";
        self.each_bad_row(Some(run), at, |row| {
            let line = i64::try_from(row.line).unwrap_or(i64::MAX);
            let mut insert = self.connection.prepare(sql)?;
            insert.execute((row.digest, row.manifest.0, line, row.state, row.cause, run.0, at.0))?;
            Ok(())
        })?;
        self.connection.execute(
            "DELETE FROM bad_row WHERE run <> ?1 AND acknowledged_at IS NULL AND manifest IN \
             (SELECT manifest FROM manifest_read WHERE run = ?1 AND complete = 1)",
            [run.0],
        )?;
        Ok(())
    }

    /// Marks reported bad rows as acknowledged. Returns how many were not before.
    pub fn acknowledge(&self, given: &Acknowledgement, at: UnixMillis) -> Result<u64, LedgerError> {
        let Acknowledgement { state, reason, who, why } = given;
        let marked = self.connection.execute(
            "UPDATE bad_row SET acknowledged_at = ?1, who = ?2, why = ?3 WHERE acknowledged_at IS NULL \
             AND (CAST(?4 AS TEXT) IS NULL OR state = ?4) AND (CAST(?5 AS TEXT) IS NULL OR instr(lower(cause), lower(?5)) > 0)",
            (at.0, who, why, state, reason),
        )?;
        Ok(marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// A row whose link is signed like this.
    fn item(tag: &str, signature: &str) -> ItemRow {
        let url = format!("https://host/a.mp4?X-Amz-Date=1&X-Amz-Signature={signature}");
        ItemRow {
            key: [1; 16],
            state: State::Rejected,
            manifest: ManifestId(1),
            line: 2,
            cells: vec![url.clone(), tag.to_owned()],
            external_id: None,
            url,
            video_no: None,
            sent_at: None,
            accepted_at: None,
            final_at: None,
            expires_at: None,
            cause: Some("0001: url is invalid".to_owned()),
        }
    }

    #[test]
    fn a_rejected_row_is_the_same_as_long_as_its_cells_are_whatever_signs_its_link() {
        let digest = |tag: &str, signature: &str| {
            BadRow::of_item(&item(tag, signature), UnixMillis(0)).unwrap().digest
        };
        assert_eq!(digest("x", "aa"), digest("x", "bb"));
        assert_ne!(digest("x", "aa"), digest("y", "aa"), "it was corrected, sent again, and rejected again");
    }

    #[test]
    fn an_expired_link_is_a_bad_row_until_it_is_signed_again_or_the_row_is_sent() {
        let at_minute = |minute: i64| Some(UnixMillis(minute * 60_000));
        let row = ItemRow { state: State::Pending, expires_at: at_minute(10), ..item("x", "aa") };
        let bad = |row: &ItemRow, minute: i64| BadRow::of_item(row, UnixMillis(minute * 60_000));
        assert!(bad(&row, 8).is_none(), "it can be sent");
        let first = bad(&row, 9).unwrap();
        assert!(
            first.cause.starts_with("link_expired: the link expired at 1970-01-01T00:10"),
            "{}",
            first.cause
        );
        assert_eq!(first.digest, bad(&row, 1000).unwrap().digest, "the same every night");
        let again = ItemRow { expires_at: at_minute(500), ..item("x", "bb") };
        let again = ItemRow { state: State::Pending, ..again };
        assert_ne!(first.digest, bad(&again, 1000).unwrap().digest, "signed again, and expired again");
        assert!(bad(&ItemRow { state: State::Accepted, ..row }, 1000).is_none());
    }
}
