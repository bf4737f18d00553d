//! Integrity rules of a ledger, checked by reading all of it.

use super::{LedgerError, sql::Connection, store::Entry};
use crate::domain::{counted, with_separators};

/// Rules of an intact ledger, each with a query that counts the violations.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "items whose state does not follow from their latest attempt",
        "SELECT count(*) FROM item LEFT JOIN attempt ON attempt.id = item.attempt WHERE NOT CASE item.state \
         WHEN 'pending' THEN coalesce(attempt.state, 'not_sent') \
              IN ('not_sent', 'refused', 'rejected', 'absent', 'superseded') \
         WHEN 'indexed' THEN coalesce(attempt.state, '') = 'accepted' \
         WHEN 'failed' THEN coalesce(attempt.state, '') = 'accepted' \
         WHEN 'deleted' THEN coalesce(attempt.state, '') = 'accepted' \
         ELSE coalesce(attempt.state, '') = item.state END",
    ),
    (
        "items with more than one open or accepted attempt",
        "SELECT count(*) FROM (SELECT 1 FROM attempt \
         WHERE state IN ('sending', 'in_doubt', 'accepted_unidentified', 'needs_review', 'accepted') GROUP BY item HAVING count(*) > 1) AS several",
    ),
    (
        "paid or possibly paid uploads that the total does not include",
        "SELECT abs((SELECT uploads FROM committed_uploads) - (SELECT count(*) FROM attempt \
         WHERE state NOT IN ('not_sent', 'refused', 'rejected') AND NOT (state = 'absent' AND forced = 0)))",
    ),
    (
        "deleted items without a proven deletion",
        "SELECT count(*) FROM item LEFT JOIN deletion ON deletion.attempt = item.attempt \
         WHERE item.state = 'deleted' AND deletion.gone_at IS NULL",
    ),
    (
        "manifest readings whose row counts do not add up",
        "SELECT count(*) FROM manifest_read WHERE rows <> added + known + updated + drifted + duplicates + invalid",
    ),
    (
        "counts of items by manifest and state that are wrong",
        "SELECT count(*) FROM (SELECT manifest, state, count FROM state_count WHERE count > 0 \
         EXCEPT SELECT manifest, state, count(*) FROM item GROUP BY manifest, state) AS wrong",
    ),
    (
        "namespaces of items that are not listed",
        "SELECT count(*) FROM (SELECT namespace FROM item EXCEPT SELECT name FROM namespace) AS missing",
    ),
    (
        "items that need a review without a question",
        "SELECT count(*) FROM attempt LEFT JOIN question ON question.attempt = attempt.id \
         WHERE attempt.state = 'needs_review' AND question.attempt IS NULL AND attempt.cause IS NULL",
    ),
];

/// The problems of a ledger, each as a sentence. Empty: it is intact.
pub(super) fn problems(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    // PostgreSQL checks references with each change, and its pages have checksums
    let mut problems = if connection.sqlite().is_some() { problems_of_file(connection)? } else { Vec::new() };
    for (what, sql) in RULES {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if count != 0 {
            problems.push(format!("{what}: {}", with_separators(count.unsigned_abs())));
        }
    }
    problems.extend(broken_link(connection)?);
    Ok(problems)
}

fn problems_of_file(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    let mut problems = Vec::new();
    for line in connection.prepare("PRAGMA integrity_check(20)")?.query_column::<String>([])? {
        if line != "ok" {
            problems.push(format!("SQLite finds damage: {line}"));
        }
    }
    let orphans = connection.prepare("PRAGMA foreign_key_check")?.query_column::<String>([])?.len();
    if orphans > 0 {
        problems.push(counted(
            orphans as u64,
            "row refers to a row that does not exist",
            "rows refer to rows that do not exist",
        ));
    }
    Ok(problems)
}

/// The first event whose link does not follow from the one before it.
fn broken_link(connection: &Connection) -> Result<Option<String>, LedgerError> {
    let mut statement =
        connection.prepare("SELECT id, at, item, attempt, event, detail, chain FROM event ORDER BY id")?;
    let mut rows = statement.stream([])?;
    let mut before: Option<Vec<u8>> = None;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get("id")?;
        let (event, detail): (String, Option<String>) = (row.get("event")?, row.get("detail")?);
        let chain: Vec<u8> = row.get("chain")?;
        let entry = Entry {
            at: row.get("at")?,
            item: row.get("item")?,
            attempt: row.get("attempt")?,
            event: &event,
            detail: detail.as_deref(),
        };
        if chain != entry.link(before.as_deref()) {
            return Ok(Some(format!(
                "event {id} does not follow from the one before it: the log was changed"
            )));
        }
        before = Some(chain);
    }
    Ok(None)
}
