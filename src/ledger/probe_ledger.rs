//! Where probes are recorded: in a file by the process that holds its lock, in a database by any number of processes, also while an
//! import runs.
//!
//! Beside an import a process may write one table only, `probe`, and this type can do nothing else. The lease is not needed: whatever
//! a probe says, nothing is sent because of it, and a row is held back by `--probed-only` alone.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Ledger, LedgerError, LedgerPlace, Snapshot, commit_queue::panic_text, sql::postgres::retry_while_lost,
    successor,
};
use crate::{
    blocking,
    domain::{AddressDigest, Probe, UnixMillis},
};

/// Records probes, and finds them again. Cheap to clone.
#[derive(Clone)]
pub struct ProbeLedger(ProbeAccess);

#[derive(Clone)]
enum ProbeAccess {
    Alone(Ledger),
    Beside(Arc<Mutex<Snapshot>>),
}

impl ProbeLedger {
    /// Opens a ledger, or makes it. A file must not be in use. Blocks.
    pub fn open(place: &LedgerPlace, fresh_secret: [u8; 32], now: UnixMillis) -> Result<Self, LedgerError> {
        if place.file().is_some() {
            return Ok(Self(ProbeAccess::Alone(Ledger::open_early(place, fresh_secret, now)?)));
        }
        let snapshot = match Snapshot::open(place) {
            Err(LedgerError::Missing { .. } | LedgerError::Outdated { .. }) => {
                match Ledger::open_early(place, fresh_secret, now) {
                    // another process makes it now
                    Ok(_) | Err(LedgerError::LeaseHeld { .. }) => Snapshot::open(place)?,
                    Err(error) => return Err(error),
                }
            }
            opened => opened?,
        };
        successor::refuse_if_left(&snapshot.connection, &place.to_string())?;
        Ok(Self(ProbeAccess::Beside(Arc::new(Mutex::new(snapshot)))))
    }

    /// When anything last happened in the ledger.
    pub async fn latest_timestamp(&self) -> Result<UnixMillis, LedgerError> {
        match &self.0 {
            ProbeAccess::Alone(ledger) => ledger.read(Snapshot::latest_timestamp).await,
            ProbeAccess::Beside(snapshot) => beside(snapshot, Snapshot::latest_timestamp).await,
        }
    }

    /// The latest probes of addresses, in the same order.
    pub async fn probes(&self, addresses: Vec<AddressDigest>) -> Result<Vec<Option<Probe>>, LedgerError> {
        let read = move |snapshot: &Snapshot| snapshot.probes(&addresses);
        match &self.0 {
            ProbeAccess::Alone(ledger) => ledger.read(read).await,
            ProbeAccess::Beside(snapshot) => beside(snapshot, read).await,
        }
    }

    /// Records a probe. The latest probe of an address counts.
    pub async fn record(&self, address: AddressDigest, probe: Probe) -> Result<(), LedgerError> {
        match &self.0 {
            ProbeAccess::Alone(ledger) => {
                let found = [(address, probe)];
                ledger.write(move |store| store.record_probes(&found)).await
            }
            ProbeAccess::Beside(snapshot) => {
                beside(snapshot, move |snapshot| snapshot.record_probe_beside(address, &probe)).await
            }
        }
    }

    /// Lets the next process in.
    pub async fn close(self) {
        if let ProbeAccess::Alone(ledger) = self.0 {
            ledger.close().await;
        }
    }
}

/// Does the work on the connection. The same probe recorded twice is one row.
async fn beside<T: Send + 'static>(
    snapshot: &Arc<Mutex<Snapshot>>,
    work: impl Fn(&Snapshot) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let snapshot = Arc::clone(snapshot);
    let job = blocking::run(move || {
        let snapshot = snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        retry_while_lost(|| work(&snapshot))
    });
    match job.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => Err(LedgerError::Panicked { what: panic_text(panic.as_ref()) }),
        Err(Err(_)) => Err(LedgerError::Broken { cause: "a job of the ledger ended early".to_owned() }),
    }
}
