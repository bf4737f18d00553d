//! The check for damage when a ledger is opened: before it is used, or beside the first run.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, InterruptHandle};

use super::{LedgerError, LedgerPlace, Snapshot};

/// Files up to this size, in bytes, are checked for damage before they are used: it takes less than a second. Larger ones are
/// checked beside the first run after one that did not end.
const CHECKED_FIRST_MAX: u64 = 64 * 1024 * 1024;

/// The name under which a ledger notes that a check for damage is due.
pub(super) const CHECK_DUE: &str = "damage_check_due";

/// When a ledger is checked for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DamageCheck {
    /// It was, or need not be.
    Done,
    /// Beside the run: it is large.
    Beside,
}

/// Checks a small ledger for damage. Of a large one that a run left without an end, notes that the check is due: the note
/// stays until a check has found nothing.
pub(super) fn refuse_damage(connection: &Connection, path: &Path) -> Result<DamageCheck, LedgerError> {
    if std::fs::metadata(path).map_or(0, |meta| meta.len()) <= CHECKED_FIRST_MAX {
        quick_check(connection, path)?;
        return Ok(DamageCheck::Done);
    }
    let sql = "INSERT INTO kv (name, value, at) SELECT ?1, '', started_at FROM run \
               WHERE id = (SELECT max(id) FROM run) AND ended_at IS NULL ON CONFLICT DO NOTHING";
    connection.execute(sql, [CHECK_DUE])?;
    let sql = "SELECT EXISTS (SELECT 1 FROM kv WHERE name = ?1)";
    let is_due: bool = connection.query_row(sql, [CHECK_DUE], |row| row.get(0))?;
    Ok(if is_due { DamageCheck::Beside } else { DamageCheck::Done })
}

fn quick_check(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(LedgerError::Damaged { path: path.display().to_string(), found })
}

/// A check for damage in a thread of its own, so that the first request does not wait for it.
pub(super) struct CheckBeside {
    interrupt: InterruptHandle,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl CheckBeside {
    /// Starts a check by a connection of its own. `report` gets its result; an interrupted one has none.
    pub(super) fn start(
        place: &LedgerPlace,
        report: impl FnOnce(Result<(), LedgerError>) + Send + 'static,
    ) -> Result<Self, LedgerError> {
        let snapshot = Snapshot::open(place)?;
        let no_file = || LedgerError::Impossible { what: "a file without a file".to_owned() };
        let interrupt = snapshot.connection.sqlite().ok_or_else(no_file)?.get_interrupt_handle();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let check = move || {
            let sqlite = snapshot.connection.sqlite().zip(snapshot.place().file());
            let checked = sqlite.map_or(Ok(()), |(connection, path)| quick_check(connection, path));
            drop(snapshot);
            if !stopped.load(Relaxed) {
                report(checked);
            }
        };
        let failed = |error: std::io::Error| LedgerError::Broken {
            cause: format!("the thread of the damage check cannot be started: {error}"),
        };
        let thread = std::thread::Builder::new().spawn(check).map_err(failed)?;
        Ok(Self { interrupt, is_stopped, thread })
    }

    /// Ends the check, and waits for its end. If it had not found a result, it stays due.
    pub(super) fn stop(self) {
        self.is_stopped.store(true, Relaxed);
        self.interrupt.interrupt();
        // a panic in the check ends only the check, which stays due
        let _ = self.thread.join();
    }
}
