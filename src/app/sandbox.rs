//! The sandbox inside this process, for `import --sandbox` and rehearsals.

use std::{net::SocketAddr, ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    error::Error,
    ledger::LedgerPlace,
    sandbox::{self, MockService, Policy, SandboxServer},
};

/// What `import --sandbox` may upload: a little above what it asks for, as a real service would allow.
const EMBEDDED_RATE: &str = "120/s";

/// How long it takes to index a video: a first try should end within seconds.
const EMBEDDED_INDEX_DELAY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(2);

/// The sandbox of `import --sandbox`: without faults. It keeps its record beside the ledger, so that a run that was
/// stopped resumes with the same videos.
pub(super) async fn embedded(
    ledger: &LedgerPlace,
    address: SocketAddr,
    clock: Clock,
) -> Result<SandboxServer, Error> {
    let record = ledger.beside(".sandbox.jsonl");
    if let Some(folder) = record.parent() {
        // a ledger in a database has made no folder here; an error shows when the record is written
        let _ = std::fs::create_dir_all(folder);
    }
    let rate = EMBEDDED_RATE.parse().map_err(|error| Error::Sandbox(format!("{EMBEDDED_RATE}: {error}")))?;
    let policy = Policy { upload_rate: Some(rate), index_delay: EMBEDDED_INDEX_DELAY, ..Policy::default() };
    start(mock_service(policy, clock, Some(&record))?, address).await
}

/// A mock of the service; it keeps its record in a file, if one is named.
pub fn mock_service(policy: Policy, clock: Clock, record: Option<&Path>) -> Result<Arc<MockService>, Error> {
    let mock = match record {
        Some(path) => MockService::with_record(policy, clock, path)
            .map_err(|error| Error::Sandbox(error.to_string()))?,
        None => MockService::new(policy, clock),
    };
    Ok(Arc::new(mock))
}

/// Serves a mock of the service on `address`.
pub async fn start(mock: Arc<MockService>, address: SocketAddr) -> Result<SandboxServer, Error> {
    sandbox::serve(mock, address)
        .await
        .map_err(|error| Error::Sandbox(format!("cannot listen on {address}: {error}")))
}
