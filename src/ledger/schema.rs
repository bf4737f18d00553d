//! The schema of the ledger's file, and its version.
//!
//! Each version is one SQL file, applied in one transaction together with its version number. A file of a newer version
//! is refused; an older one is migrated when it is opened.

use rusqlite::{Connection, TransactionBehavior};

use super::LedgerError;

/// `tele` in ASCII. It marks the file as a ledger.
pub(super) const APPLICATION_ID: i32 = 0x7465_6c65;

/// SQL: an attempt has no final outcome. The partial index `attempt_open` has the same condition.
pub(super) const ATTEMPT_IS_OPEN: &str = "(attempt.state = 'sending' OR attempt.state = 'in_doubt' \
     OR attempt.state = 'accepted_unidentified' OR attempt.state = 'needs_review')";

/// SQL: the latest time at which a byte of the request of an attempt may have left.
pub(super) const SENT_BY: &str = "max(attempt.send_before, coalesce(attempt.body_until, 0))";

/// SQL: when a request left, and of one with a file when its last byte did: the service may count it from then on. The minute is
/// [`BODY_LEASE`](super::BODY_LEASE).
pub(super) const LAST_BYTE_AT: &str =
    "coalesce(max(attempt.sent_at, attempt.body_until - 60000), attempt.sent_at)";

/// SQL: the states of an attempt that the service accepted.
pub(super) const ACCEPTED_STATES: &str = "('accepted', 'accepted_unidentified', 'superseded')";

/// The schema of every version. The version of a file is the number of schemas that were applied to it.
const SCHEMAS: &[&str] = &[include_str!("schema.sql")];

/// The version this program writes.
#[must_use]
pub fn version() -> i64 {
    i64::try_from(SCHEMAS.len()).unwrap_or(i64::MAX)
}

/// Checks that the file is a ledger, or empty, and of no newer version.
pub(super) fn recognise(connection: &Connection, path: &str) -> Result<i64, LedgerError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mark: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_fresh = mark == 0 && found == 0 && tables == 0;
    if !is_fresh && mark != APPLICATION_ID {
        return Err(LedgerError::Foreign { path: path.to_owned() });
    }
    if found > version() {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: version() });
    }
    Ok(found)
}

/// Every schema of SQLite, for a database: the tables of both engines are the same.
pub(super) const fn schemas() -> &'static [&'static str] {
    SCHEMAS
}

/// The statements of all versions in two parts: what makes the tables, and what guards or only reads them. Rows are in neither.
pub(super) fn tables_and_rest() -> (String, String) {
    let (mut tables, mut rest) = (String::new(), String::new());
    let mut statement = String::new();
    for line in lines() {
        if line.trim_start().starts_with("--") {
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        let end = if statement.starts_with("CREATE TRIGGER") { "END;" } else { ";" };
        if !line.ends_with(end) {
            continue;
        }
        let is_of_rest = ["CREATE TRIGGER", "CREATE INDEX", "CREATE UNIQUE INDEX", "CREATE VIEW"]
            .iter()
            .any(|start| statement.trim_start().starts_with(start));
        let is_of_rows = statement.trim_start().starts_with("INSERT ");
        if !is_of_rows {
            if is_of_rest { &mut rest } else { &mut tables }.push_str(&statement);
        }
        statement.clear();
    }
    (tables, rest)
}

/// The names of the tables.
pub(super) fn table_names() -> Vec<&'static str> {
    lines().filter_map(table_of).collect()
}

/// The tables whose rows get their numbers from the engine.
pub(super) fn numbered_tables() -> Vec<&'static str> {
    let mut table = "";
    let numbered = lines().filter_map(|line| {
        table = table_of(line).unwrap_or(table);
        line.trim_start().starts_with("id ").then_some(table)
    });
    numbered.collect()
}

fn lines() -> impl Iterator<Item = &'static str> {
    SCHEMAS.iter().flat_map(|schema| schema.lines())
}

fn table_of(line: &'static str) -> Option<&'static str> {
    line.strip_prefix("CREATE TABLE ")?.split(' ').next()
}

/// Brings the file to the version this program writes.
pub(super) fn migrate(connection: &mut Connection, found: i64) -> Result<(), LedgerError> {
    let seen = usize::try_from(found).unwrap_or(0);
    for (number, migration) in SCHEMAS.iter().enumerate().skip(seen) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(number + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Marks a file with all tables as a ledger of the version this program writes.
pub(super) fn stamp(connection: &Connection) -> Result<(), LedgerError> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(connection.pragma_update(None, "user_version", version())?)
}

/// What each version adds to a sample file, for the tests of the versions after it.
#[cfg(test)]
pub(super) const SAMPLES: &[&str] = &[include_str!("schema.sample.sql")];

/// Makes a file of the `version`-th version, with its sample data.
#[cfg(test)]
pub(super) fn make_sample(connection: &mut Connection, version: usize) {
    for (schema, sample) in SCHEMAS.iter().zip(SAMPLES).take(version) {
        connection.execute_batch(schema).unwrap();
        connection.execute_batch(sample).unwrap();
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantArray as _;

    use super::*;
    use crate::domain::{ItemEvent, State};

    #[test]
    fn the_minute_of_a_lease_is_that_of_the_ledger() {
        assert!(LAST_BYTE_AT.contains(&format!("- {})", crate::ledger::BODY_LEASE.as_millis())));
    }

    #[test]
    fn the_open_states_are_those_of_the_partial_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0).unwrap();
        let is_open = |state: &State| !state.is_final() && !matches!(state, State::Pending | State::Accepted);
        let open: Vec<String> = State::VARIANTS
            .iter()
            .filter(|state| is_open(state))
            .map(|state| format!("attempt.state = '{state}'"))
            .collect();
        assert_eq!(ATTEMPT_IS_OPEN, format!("({})", open.join(" OR ")));
        for condition in [ATTEMPT_IS_OPEN, "attempt.state = 'sending'"] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT id FROM attempt WHERE {condition}");
            let plan: String = connection.query_row(&sql, [], |row| row.get("detail")).unwrap();
            assert!(plan.contains("attempt_open"), "{condition}: {plan}");
        }
    }

    #[test]
    fn the_transition_table_in_the_schema_equals_the_one_in_the_code() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0).unwrap();
        let mut statement = connection.prepare("SELECT from_state, event, to_state FROM transition").unwrap();
        let in_schema: BTreeSet<(String, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut in_code = BTreeSet::new();
        for state in State::VARIANTS {
            for event in ItemEvent::VARIANTS {
                if let Ok(next) = state.after(*event) {
                    in_code.insert((state.to_string(), event.to_string(), next.to_string()));
                }
            }
        }
        assert_eq!(in_schema, in_code);
    }
}
