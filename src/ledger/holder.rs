//! Which process writes a ledger, as a command beside it can tell.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::{
    DatabaseAddress, LedgerError, LedgerPlace,
    files::{real_path, with_suffix},
    sql::postgres,
};

/// The process that writes the ledger: `process 4711 on host`. `None`: no process does.
pub fn running_process(place: impl Into<LedgerPlace>) -> Result<Option<String>, LedgerError> {
    match &place.into() {
        LedgerPlace::File(path) => holder_of_lock(path),
        LedgerPlace::Database(address) => holder_of_lease(address),
    }
}

fn holder_of_lease(address: &DatabaseAddress) -> Result<Option<String>, LedgerError> {
    let held = postgres::holder(&postgres::PostgresConnection::open(address)?)?;
    Ok((!held.is_free).then_some(held.name))
}

/// What the lock file says of the process that writes the ledger.
///
/// A process that ended with a kill leaves its name behind, but not its lock. The lock is tried only where the name cannot
/// be checked otherwise, and shared, so that it hinders no process that begins.
fn holder_of_lock(path: &Path) -> Result<Option<String>, LedgerError> {
    let unreadable = |error: std::io::Error| LedgerError::Unreadable {
        path: path.display().to_string(),
        cause: error.to_string(),
    };
    let lock_path = with_suffix(&real_path(path).map_err(unreadable)?, ".lock");
    let Ok(file) = File::open(&lock_path) else { return Ok(None) };
    let note = std::fs::read_to_string(&lock_path).unwrap_or_default();
    let note = crate::redact::clean(note.trim());
    if is_surely_dead(&note) {
        return Ok(None);
    }
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(Some(note)),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether the note names a process of this machine that is not there.
fn is_surely_dead(note: &str) -> bool {
    let Some((pid, host)) = note.strip_prefix("process ").and_then(|rest| rest.split_once(" on ")) else {
        return false;
    };
    let is_here = rustix::system::uname().nodename().to_string_lossy() == host;
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    is_here && pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}
