//! What a run looks like now, read from the ledger: sums that are cheap for a large one, and everything once the run has ended.

use crate::{
    app::{
        dashboard::FollowedRun,
        running::{RunState, running},
    },
    clock::Clock,
    error::Error,
    ledger::{CauseCount, FaultCount, LedgerError, LedgerPlace, ReportScope, RunId, Snapshot},
    quota::WindowStatus,
    report::{Counts, LiveReport, LiveRun, LiveState, LiveWindow},
};

/// Causes and faults shown.
const REASONS_SHOWN: u32 = 12;
/// Errors shown.
const ERRORS_SHOWN: u32 = 10;

/// The reader of one run.
pub(super) struct FollowedView {
    ledger: LedgerPlace,
    followed: FollowedRun,
    clock: Clock,
    /// `None`: not opened yet.
    snapshot: Option<Snapshot>,
    reasons: Option<KnownReasons>,
}

/// The counts that reasons depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CountsSeen {
    invalid: u64,
    items: u64,
    is_running: bool,
}

/// Reasons as they were last read. They are read again when a count they depend on has changed.
struct KnownReasons {
    counts: CountsSeen,
    causes: Vec<CauseCount>,
    faults: Vec<FaultCount>,
}

impl FollowedView {
    pub(super) const fn new(ledger: LedgerPlace, followed: FollowedRun, clock: Clock) -> Self {
        Self { ledger, followed, clock, snapshot: None, reasons: None }
    }

    /// Reads the run. `None`: it has not begun.
    pub(super) fn read(&mut self) -> Result<Option<LiveReport>, Error> {
        let snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => match Snapshot::open(&self.ledger) {
                Ok(snapshot) => snapshot,
                Err(LedgerError::Missing { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        let report = snapshot.at_one_time(|snapshot| self.report(snapshot))?;
        self.snapshot = Some(snapshot);
        Ok(report)
    }

    fn report(&mut self, snapshot: &Snapshot) -> Result<Option<LiveReport>, Error> {
        let Some(id) = self.run(snapshot)? else { return Ok(None) };
        let run = snapshot.run(id)?;
        let running = running(snapshot, &self.ledger)?.filter(|running| running.id == id);
        let state = match &running {
            Some(running) => LiveState::Running(Box::new(live_run(running.state(snapshot, &self.clock)?))),
            None if run.ended_at.is_some() => LiveState::Ended,
            None => LiveState::Killed,
        };
        let is_of_ledger = run.is_of_ledger();
        let (items, scope) = match &state {
            _ if is_of_ledger => (snapshot.state_counts()?, ReportScope::Ledger),
            LiveState::Running(_) => {
                (snapshot.state_counts_of_manifests(id)?, ReportScope::InManifestsOf(id))
            }
            LiveState::Ended | LiveState::Killed => {
                (snapshot.state_counts_of_run(id)?, ReportScope::ReadBy(id))
            }
        };
        let items = Counts::from(&items);
        let is_running = running.is_some();
        let counts = CountsSeen { invalid: run.rows.invalid, items: items.with_causes(), is_running };
        let (causes, faults) = self.reasons(snapshot, id, scope, counts)?;
        let seen_later =
            if is_of_ledger || is_running { 0 } else { run.rows.accounted().saturating_sub(items.total) };
        Ok(Some(LiveReport {
            service: snapshot.origin()?,
            state,
            is_of_ledger,
            items,
            seen_later,
            uploads_paid: snapshot.committed_uploads()?,
            causes,
            faults,
            errors: snapshot.latest_errors(run.started_at, ERRORS_SHOWN)?,
            run,
        }))
    }

    /// The run that is followed.
    fn run(&mut self, snapshot: &Snapshot) -> Result<Option<RunId>, Error> {
        let since = match self.followed {
            FollowedRun::Known(id) => return Ok(Some(id)),
            FollowedRun::OfThisProcess(since) => since,
        };
        let Some(id) = snapshot.latest_run()? else { return Ok(None) };
        let run = snapshot.run(id)?;
        let (name, _account) = run.name.split_once('.').unwrap_or((&run.name, ""));
        let is_own = name.ends_with(&format!("-{}", std::process::id())) && run.started_at >= since;
        if !is_own {
            return Ok(None);
        }
        self.followed = FollowedRun::Known(id);
        Ok(Some(id))
    }

    fn reasons(
        &mut self,
        snapshot: &Snapshot,
        id: RunId,
        scope: ReportScope,
        counts: CountsSeen,
    ) -> Result<(Vec<CauseCount>, Vec<FaultCount>), Error> {
        let known = match self.reasons.take() {
            Some(known) if known.counts == counts => known,
            _ => KnownReasons {
                counts,
                causes: snapshot.causes(scope, REASONS_SHOWN)?,
                faults: snapshot.faults(id, REASONS_SHOWN)?,
            },
        };
        let shown = (known.causes.clone(), known.faults.clone());
        self.reasons = Some(known);
        Ok(shown)
    }
}

fn live_run(state: RunState) -> LiveRun {
    LiveRun {
        phase: state.phase,
        left: state.pending,
        uploads_per_minute: state.uploads_per_minute,
        wait: state.wait,
        sent_by: state.sent_by,
        windows: state.quota.windows.into_iter().map(live_window).collect(),
    }
}

fn live_window(window: WindowStatus) -> LiveWindow {
    let WindowStatus { endpoint, limit, used, free, next_slot_at, learned, .. } = window;
    LiveWindow { endpoint, limit, used, free, next_slot_at, learned }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::UnixMillis,
        ledger::{Ledger, tests::identity},
    };

    #[tokio::test]
    async fn an_import_follows_the_run_that_it_begins_and_none_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let began = UnixMillis(1_700_000_000_000);
        let of_process = |since| FollowedView::new(path.clone().into(), since, Clock::of_runtime(began));
        assert!(
            of_process(FollowedRun::OfThisProcess(began)).read().unwrap().is_none(),
            "there is no ledger"
        );

        let ledger = Ledger::open(&path, &identity(), began).unwrap();
        // in a container every process may have the same number
        let name = format!("run-{}", std::process::id());
        let id = ledger.write(move |store| store.begin_run(&name, "import", began, None)).await.unwrap();
        let read = |followed| of_process(followed).read().unwrap().map(|report| report.run.name);
        assert_eq!(read(FollowedRun::OfThisProcess(began.plus_ms(1))), None);
        assert!(read(FollowedRun::OfThisProcess(began)).is_some());
        assert_eq!(read(FollowedRun::Known(id)), read(FollowedRun::OfThisProcess(began)));
        let other = move |store: &crate::ledger::Store| store.begin_run("run-other", "import", began, None);
        ledger.write(other).await.unwrap();
        assert_eq!(read(FollowedRun::OfThisProcess(began)), None);
        ledger.close().await;
    }
}
