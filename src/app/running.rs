//! The run that another process carries out now, as a command beside it sees it.

use super::{
    RequestedLimits,
    limits::{limiter_of, published},
};
use crate::{
    clock::Clock,
    domain::{LINK_LIFE_MIN, UnixMillis},
    error::Error,
    ledger::{FilesSent, LastError, LedgerPlace, ManifestId, RunId, RunRow, Snapshot, running_process},
    pipeline::{delay_text, hold_of},
    quota::{Endpoint, QuotaStatus},
};

/// The span of the present rate, in milliseconds.
const RATE_SPAN_MS: i64 = 60_000;

/// A run that has not ended, and whose process is alive.
#[derive(Clone, Debug)]
pub struct RunningRun {
    /// Its number in the ledger.
    pub id: RunId,
    /// What the ledger has of it.
    pub row: RunRow,
    /// The process that writes the ledger: `process 4711 on host`.
    pub process: String,
    /// Its number.
    pub pid: u32,
    /// The limits in force in it.
    pub limits: RequestedLimits,
}

/// What a run does now.
#[derive(Clone, Debug)]
pub struct RunState {
    /// `reading`, `uploading`, `indexing` or `recovering`.
    pub phase: &'static str,
    /// The limits of uploads in force: `1/s, 120/2h`.
    pub limits: String,
    /// Every limit as it is.
    pub quota: QuotaStatus,
    /// Until when and why uploads wait: for a limit, or for a listing. `None`: they do not, but for their rate.
    pub wait: Option<(UnixMillis, String)>,
    /// Items of its manifests that wait to be sent.
    pub pending: u64,
    /// Accepted uploads of the last minute.
    pub uploads_per_minute: u64,
    /// When all of them will have been sent, by the limits. `None`: nothing is left, it is still being read, or something else
    /// than the limits holds the uploads.
    pub sent_by: Option<UnixMillis>,
    /// The files that it is sending. `None`: no file is.
    pub files: Option<FilesSent>,
    /// What went wrong last in it.
    pub last_error: Option<LastError>,
}

/// The run that uses the ledger now. `None`: none does. A run that was killed is not running.
pub fn running(snapshot: &Snapshot, path: &LedgerPlace) -> Result<Option<RunningRun>, Error> {
    let Some(id) = snapshot.latest_run()? else { return Ok(None) };
    let row = snapshot.run(id)?;
    if row.ended_at.is_some() {
        return Ok(None);
    }
    let Some(process) = running_process(path)? else { return Ok(None) };
    // the name of a run ends with its process; another command may hold the lock after a run that was killed
    let Some(pid) = row.name.rsplit('-').next().and_then(|pid| pid.parse().ok()) else { return Ok(None) };
    if process != format!("process {pid}") && !process.starts_with(&format!("process {pid} ")) {
        return Ok(None);
    }
    let mut limits = RequestedLimits::default();
    if let Some(published) = published(snapshot, id)? {
        limits.set(&published)?;
    }
    Ok(Some(RunningRun { id, row, process, pid, limits }))
}

impl RunningRun {
    /// What it does now. Reads its requests of the last minute, and counts.
    pub fn state(&self, snapshot: &Snapshot, clock: &Clock) -> Result<RunState, Error> {
        let limiter = limiter_of(snapshot, &self.limits, clock)?;
        let status = limiter.status();
        let started_at = self.row.started_at;
        let pace = snapshot.pace_of_run(self.id, started_at, status.at.plus_ms(-RATE_SPAN_MS))?;
        let manifests: Vec<ManifestId> =
            snapshot.manifests_of_run(self.id)?.into_iter().map(|(manifest, ..)| manifest).collect();
        let progress = snapshot.run_progress(self.id, &manifests, status.at.plus(LINK_LIFE_MIN))?;
        let pending = progress.pending.saturating_sub(progress.expired);
        let is_reading =
            self.row.command == "import" && (manifests.is_empty() || self.row.unfinished_readings > 0);
        let phase = match (self.row.command.as_str(), pending) {
            ("import", _) if is_reading => "reading",
            ("import", 1..) => "uploading",
            ("recover", _) => "recovering",
            (_, _) => "indexing",
        };
        let hold = hold_of(snapshot, self.id)?.filter(|_| pending > 0);
        let sent_by =
            (!is_reading && pending > 0 && hold.is_none()).then(|| limiter.forecast().after(pending));
        let delay = limiter.delay(Endpoint::Upload).filter(|delay| pending > 0 && delay.until > status.at);
        Ok(RunState {
            phase,
            limits: limiter.limits().upload_text(),
            quota: QuotaStatus { next_upload_at: held(status.next_upload_at, hold.as_ref()), ..status },
            wait: hold.or(delay.and_then(|delay| Some((delay.until, delay_text(&delay)?)))),
            pending,
            uploads_per_minute: pace.accepted,
            sent_by,
            files: snapshot.files_sent()?,
            last_error: pace.last_error,
        })
    }
}

/// The next upload beside what holds the uploads of a run.
#[must_use]
pub fn held(next_upload_at: UnixMillis, hold: Option<&(UnixMillis, String)>) -> UnixMillis {
    hold.map_or(next_upload_at, |(until, _)| next_upload_at.max(*until))
}
