//! The coordinator: starts the stages, passes on the stop signal, and decides when a run is over.
//!
//! ```text
//!   sending is over:  the manifests are read, nothing is pending or in flight; or sending had to end
//!   waiting is over:  nothing awaits evidence; or the time to wait has passed; or the run does not wait
//! ```

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    context::{Context, ReadRefusal},
    forecast::RunForecast,
    ingest, library_check,
    library_listing::CompareError,
    policy::{RunEnd, RunPolicy, progress_of},
    poll,
    preflight::{self, PreflightTask},
    reconcile,
    upload::{self, UploadSettings},
};
use crate::{
    api::Transport,
    domain::{LINK_LIFE_MIN, RunOutcome, State, StopReason, UnixMillis},
    events::Event,
    ledger::{
        ClaimTerms, LedgerError, LibraryDiff, ManifestId, RunId, RunProgress, Snapshot, StateCounts,
        StorageAccess,
    },
    quota::{CooldownReason, Endpoint},
};

/// How often the coordinator reads a small ledger while it changes.
const READ_INTERVAL: Duration = Duration::from_millis(100);
/// The comparison at the end waits no longer than this for a service that refuses reads or does not answer them.
const COMPARISON_WAIT_MAX: Duration = Duration::from_secs(30);
/// The whole comparison at the end takes no longer: a service may answer each listing late. `telecine verify` takes its time.
const COMPARISON_MAX: Duration = Duration::from_mins(5);
/// A run whose budget is spent waits no longer than this for a search: a listing may never be read whole.
const SEARCH_WAIT_MAX: Duration = Duration::from_mins(15);
/// Rows that wait for a search, looked at to see whether one is due.
const HELD_LOOKED_AT: usize = 1_000;
/// How often to look whether it does.
const HELD_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it reads the ledger while nothing changes.
const READ_INTERVAL_MAX: Duration = Duration::from_mins(5);
/// Counting a larger ledger takes longer, so it is read less often: after this many milliseconds per thousand items.
const READ_INTERVAL_MS_PER_THOUSAND: u64 = 25;
/// The longest time between two reads of a ledger.
const READ_INTERVAL_LARGE: Duration = Duration::from_secs(5);

/// A request must start within this time of its claim; later it is not sent at all.
const START_WITHIN: Duration = Duration::from_secs(5);
/// An unanswered request may be accepted this long after its sending: the service fetches the source first.
const ACCEPTANCE_LAG_MAX: Duration = Duration::from_mins(15);

/// Runs the stages until the run is over, and waits until all of them have ended.
pub(super) async fn run_stages<T: Transport>(
    context: Context<T>,
    run: RunId,
    manifests: Vec<ManifestId>,
    ingest: Option<JoinHandle<Result<ingest::IngestResult, LedgerError>>>,
    policy: &RunPolicy,
) -> Result<RunEnd, LedgerError> {
    let started_at = context.clock.now();
    context.signals.calls.ease_within(policy.wait);
    let forecast = RunForecast::new();
    let (preflight_done, first_pass_done) = (CancellationToken::new(), CancellationToken::new());
    let all_read = CancellationToken::new();
    if ingest.is_none() {
        all_read.cancel();
    }
    let terms = claim_terms(run, manifests.clone(), &forecast, policy);
    let settings = UploadSettings {
        terms: Arc::new(terms),
        concurrency: policy.concurrency,
        rows_max: policy.rows_max,
        stop_at: policy.time_max.map(|duration| started_at.plus(duration)),
        preflight_done: preflight_done.clone(),
        all_read: all_read.clone(),
        patience: policy.wait,
        quota_wait_max: policy.quota_wait_max,
        bandwidth_max: policy.bandwidth_max,
    };
    let mut coordinator = Coordinator {
        stages: Stages {
            ingest,
            preflight: Some(tokio::spawn(preflight::preflight(
                context.clone(),
                PreflightTask { run, manifests: manifests.clone(), namespace: policy.namespace.clone() },
                preflight_done,
            ))),
            upload: Some(tokio::spawn(upload::upload(context.clone(), settings))),
            reconcile: Some(tokio::spawn(reconcile::reconcile(
                context.clone(),
                run,
                policy.reconcile,
                first_pass_done.clone(),
            ))),
            poll: Some(tokio::spawn(poll::poll(context.clone()))),
            reads_refused: None,
            ingested: ingest::IngestResult::default(),
            all_read,
            sending_ended: None,
        },
        forecast,
        search_awaited_since: None,
        first_pass_done,
        run,
        manifests,
        started_at,
        policy,
        context,
    };
    let outcome = coordinator.watch().await;
    let library_diffs = match &outcome {
        Ok(outcome) => coordinator.compare(outcome).await,
        Err(_) => Ok(Vec::new()),
    };
    coordinator.close(outcome, library_diffs).await
}

fn claim_terms(
    run: RunId,
    manifests: Vec<ManifestId>,
    forecast: &RunForecast,
    policy: &RunPolicy,
) -> ClaimTerms {
    ClaimTerms {
        run,
        manifests,
        concurrency: policy.concurrency as u64,
        link_life_min: LINK_LIFE_MIN,
        sent_by: Arc::clone(&forecast.sent_by),
        start_within: START_WITHIN,
        acceptance_lag_max: ACCEPTANCE_LAG_MAX,
        marker: policy.marker,
        callback_base: policy.callback_base.clone(),
        uploads_max: policy.uploads_max,
        disk_free_min: policy.disk_free_min,
        set_aside: Arc::default(),
        storage: StorageAccess::default(),
    }
}

/// The running stages, and the results of those that ended.
struct Stages {
    ingest: Option<JoinHandle<Result<ingest::IngestResult, LedgerError>>>,
    preflight: Option<JoinHandle<Result<Option<ReadRefusal>, LedgerError>>>,
    upload: Option<JoinHandle<Result<RunOutcome, LedgerError>>>,
    reconcile: Option<JoinHandle<Result<(), LedgerError>>>,
    poll: Option<JoinHandle<Result<Option<ReadRefusal>, LedgerError>>>,
    /// Why no read can succeed, if so.
    reads_refused: Option<ReadRefusal>,
    ingested: ingest::IngestResult,
    /// Cancelled when the manifests are read.
    all_read: CancellationToken,
    sending_ended: Option<RunOutcome>,
}

impl Stages {
    /// Waits for the next stage that ends, and takes note of it. Never, when all have ended.
    async fn next_end(&mut self) -> Result<(), LedgerError> {
        tokio::select! {
            biased;
            ended = joined(&mut self.ingest) => {
                self.ingested = ended?;
                self.all_read.cancel();
            }
            ended = joined(&mut self.preflight) => self.reads_refused = ended?.or(self.reads_refused.take()),
            ended = joined(&mut self.upload) => self.sending_ended = Some(ended?),
            ended = joined(&mut self.reconcile) => ended?,
            ended = joined(&mut self.poll) => self.reads_refused = ended?.or(self.reads_refused.take()),
        }
        Ok(())
    }

    const fn any_works(&self) -> bool {
        let Self { ingest, preflight, upload, reconcile, poll, .. } = self;
        ingest.is_some() || preflight.is_some() || upload.is_some() || reconcile.is_some() || poll.is_some()
    }
}

/// Waits for a stage and drops its handle; forever when there is no handle.
async fn joined<V>(stage: &mut Option<JoinHandle<Result<V, LedgerError>>>) -> Result<V, LedgerError> {
    let Some(handle) = stage else { return std::future::pending().await };
    let ended = handle.await;
    *stage = None;
    ended.unwrap_or_else(|error| Err(LedgerError::Broken { cause: format!("a stage ended early: {error}") }))
}

struct Coordinator<'a, T> {
    context: Context<T>,
    policy: &'a RunPolicy,
    started_at: UnixMillis,
    run: RunId,
    manifests: Vec<ManifestId>,
    stages: Stages,
    forecast: RunForecast,
    /// Since when nothing more may be sent, and only a search for rows that are to be sent again is awaited.
    search_awaited_since: Option<UnixMillis>,
    /// Set once the reconcile stage has checked what the run found.
    first_pass_done: CancellationToken,
}

impl<T: Transport> Coordinator<'_, T> {
    /// Reads the ledger until the run is over.
    async fn watch(&mut self) -> Result<RunOutcome, LedgerError> {
        let signals = self.context.signals.clone();
        loop {
            let changed = signals.next_change();
            let alive_at = self.context.clock.now().plus(LINK_LIFE_MIN);
            let (run, manifests) = (self.run, self.manifests.clone());
            let read = move |snapshot: &Snapshot| snapshot.run_progress(run, &manifests, alive_at);
            let progress = self.context.ledger.read(read).await?;
            let RunProgress { state_counts, pending, expired, .. } = progress;
            let to_send = pending.saturating_sub(expired);
            if self.stages.ingest.is_none() {
                let limits = self.context.limiter.limits();
                self.forecast.emit(&self.context, &self.manifests, to_send, &limits).await?;
            }
            self.emit_progress(&state_counts, to_send);
            if let Some(outcome) = self.outcome(&progress)
                && !self.awaits_search(&outcome).await?
            {
                return Ok(outcome);
            }
            let interval =
                Duration::from_millis(state_counts.total() / 1_000 * READ_INTERVAL_MS_PER_THOUSAND);
            let interval = interval.clamp(READ_INTERVAL, READ_INTERVAL_LARGE);
            let has_stage_ended = tokio::select! {
                biased;
                () = self.context.clock.sleep(interval) => false,
                ended = self.stages.next_end() => ended.map(|()| true)?,
            };
            if !has_stage_ended {
                let now = self.context.clock.now();
                let patience_ends_at =
                    Some(self.patience_ends_at(&progress)).filter(|timestamp| *timestamp > now);
                let next_read =
                    now.plus(READ_INTERVAL_MAX).min(patience_ends_at.unwrap_or(UnixMillis(i64::MAX)));
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = self.context.clock.sleep_until(next_read) => {}
                    ended = self.stages.next_end() => ended?,
                }
            }
        }
    }

    /// Whether the run is over, and how.
    fn outcome(&self, progress: &RunProgress) -> Option<RunOutcome> {
        let RunProgress { state_counts, .. } = *progress;
        // items with expired links are not awaited
        let pending = progress.pending.saturating_sub(progress.expired);
        if let Some(ReadRefusal { reason, cause }) = &self.stages.reads_refused {
            return Some(RunOutcome::Stopped { reason: *reason, cause: cause.clone() });
        }
        let sending_ended = self.stages.sending_ended.as_ref();
        if let Some(outcome) = sending_ended.and_then(early_ending) {
            return Some(outcome);
        }
        if self.context.signals.drain.is_cancelled() {
            // only requests in flight are awaited
            return sending_ended.map(|_| RunOutcome::Interrupted);
        }
        // the service may have answered a question meanwhile: it is checked once more
        if state_counts.of(State::NeedsReview) > 0
            && self.policy.wait.is_some()
            && !self.first_pass_done.is_cancelled()
        {
            return None;
        }
        let is_read = self.stages.ingest.is_none();
        let all_is_sent = pending == 0 && state_counts.of(State::Sending) == 0;
        if !is_read || !(all_is_sent || sending_ended.is_some()) {
            return None;
        }
        let at_end = match sending_ended {
            Some(RunOutcome::RowsMax) if pending > 0 => RunOutcome::RowsMax,
            Some(RunOutcome::BudgetSpent) if pending > 0 => RunOutcome::BudgetSpent,
            Some(stopped @ RunOutcome::Stopped { .. }) if pending > 0 => stopped.clone(),
            _ => RunOutcome::Finished,
        };
        if state_counts.awaiting_evidence() == 0 {
            return Some(at_end);
        }
        if self.policy.wait.is_none() {
            return Some(if at_end == RunOutcome::Finished { RunOutcome::NotWaited } else { at_end });
        }
        let is_over = self.context.clock.now() >= self.patience_ends_at(progress);
        is_over.then_some(if matches!(at_end, RunOutcome::Stopped { .. }) {
            at_end
        } else {
            RunOutcome::WaitOver
        })
    }

    /// Whether rows wait for a search that is due, though nothing more may be sent: a row whose video is found costs no upload.
    async fn awaits_search(&mut self, outcome: &RunOutcome) -> Result<bool, LedgerError> {
        if !matches!(outcome, RunOutcome::BudgetSpent | RunOutcome::RowsMax) {
            return Ok(false);
        }
        let now = self.context.clock.now();
        let since = *self.search_awaited_since.get_or_insert(now);
        if now >= since.plus(SEARCH_WAIT_MAX) {
            return Ok(false);
        }
        let held = self.context.ledger.read(|snapshot| snapshot.held_resends(HELD_LOOKED_AT)).await?;
        Ok(held.iter().any(|held| !held.may_be_there))
    }

    /// Until when the run waits for items that were sent.
    fn patience_ends_at(&self, progress: &RunProgress) -> UnixMillis {
        let Some(wait) = self.policy.wait else { return UnixMillis(i64::MAX) };
        progress.last_accepted_at.unwrap_or(self.started_at).max(self.started_at).plus(wait)
    }

    fn emit_progress(&mut self, state_counts: &StateCounts, to_send: u64) {
        let is_known = self.stages.ingest.is_none() && to_send > 0 && !self.context.signals.is_held();
        let sent_by = is_known.then(|| self.forecast.sent_by(&self.context, to_send));
        self.context.emit(&Event::Progress(progress_of(state_counts, to_send, sent_by)));
    }

    /// Compares the service with the ledger when a run that sent something ends by itself.
    async fn compare(&self, outcome: &RunOutcome) -> Result<Vec<LibraryDiff>, LedgerError> {
        let last_sent_at = self.context.ledger.read(Snapshot::last_sent_at).await?;
        let has_sent = last_sent_at.is_some_and(|timestamp| timestamp >= self.started_at);
        let drain = self.context.signals.drain.clone();
        if !has_sent || !outcome.leaves_time() {
            return Ok(Vec::new());
        }
        tokio::select! {
            biased;
            () = drain.cancelled() => Ok(Vec::new()),
            why = self.reads_are_held() => {
                let text = format!("the library was not compared at the end: {why}");
                self.context.emit(&Event::Message { text });
                Ok(Vec::new())
            }
            compared = library_check::compare(&self.context, library_check::AFFORDABLE) => match compared {
                Ok(library_diffs) => {
                    library_check::announce(&self.context, &library_diffs);
                    Ok(library_diffs)
                }
                Err(CompareError::Incomplete(_)) => Ok(Vec::new()),
                Err(CompareError::Ledger(error)) => Err(error),
            },
        }
    }

    /// Waits until reads wait for long, or have taken too long. Returns why.
    async fn reads_are_held(&self) -> &'static str {
        let ends_at = self.context.clock.now().plus(COMPARISON_MAX);
        loop {
            let now = self.context.clock.now();
            let cooldown = self.context.limiter.cooldown(Endpoint::List);
            let long = cooldown.filter(|cooldown| cooldown.until > now.plus(COMPARISON_WAIT_MAX));
            match long.map(|cooldown| cooldown.reason) {
                Some(CooldownReason::Refused) => return "the service asks to wait with reads",
                Some(CooldownReason::Unreachable | CooldownReason::Unclear) => {
                    return "the service does not answer listings";
                }
                None if now >= ends_at => return "the listings take too long",
                None => self.context.clock.sleep(HELD_LOOK_INTERVAL).await,
            }
        }
    }

    /// Stops all stages and waits until they have ended.
    async fn close(
        mut self,
        outcome: Result<RunOutcome, LedgerError>,
        library_diffs: Result<Vec<LibraryDiff>, LedgerError>,
    ) -> Result<RunEnd, LedgerError> {
        self.context.signals.drain.cancel();
        self.context.signals.leave.cancel();
        // save the latest network delays at the end
        let kept = self.context.save_learned_limits().await;
        let mut first_error = outcome.as_ref().err().or(kept.as_ref().err()).cloned();
        while self.stages.any_works() {
            if let Err(error) = self.stages.next_end().await {
                first_error.get_or_insert(error);
            }
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok(RunEnd {
                outcome: match (outcome?, self.stages.ingested.nothing_left) {
                    (RunOutcome::Finished | RunOutcome::NotWaited, Some(left_out)) => {
                        RunOutcome::NothingLeft { left_out }
                    }
                    (outcome, _) => outcome,
                },
                broken_manifests: self.stages.ingested.broken,
                manifest_notices: self.stages.ingested.notices,
                library_diffs: library_diffs?,
                next_upload_at: {
                    let limiter = &self.context.limiter;
                    let upload = limiter.delay(Endpoint::Upload).map(|delay| delay.until);
                    // the next run lists the library before it sends
                    let list = limiter.cooldown(Endpoint::List).map(|cooldown| cooldown.until);
                    upload.max(list).unwrap_or_else(|| self.context.clock.now())
                },
            }),
        }
    }
}

/// How a run ends after sending stopped early. `None`: the run resumes with what was sent.
fn early_ending(sending_ended: &RunOutcome) -> Option<RunOutcome> {
    match sending_ended {
        // only rows whose storage has no credentials are left: what was sent is awaited
        RunOutcome::Stopped { reason: StopReason::NoSourceCredentials, .. }
        | RunOutcome::Interrupted
        | RunOutcome::RowsMax
        | RunOutcome::BudgetSpent
        | RunOutcome::Finished
        | RunOutcome::NotWaited
        | RunOutcome::NothingLeft { .. }
        | RunOutcome::WaitOver => None,
        RunOutcome::Stopped { .. }
        | RunOutcome::Offline { .. }
        | RunOutcome::TimeUp
        | RunOutcome::QuotaPaused { .. }
        | RunOutcome::AlreadyUploaded { .. }
        | RunOutcome::DiskLow { .. }
        | RunOutcome::TooManyInDoubt { .. } => Some(sending_ended.clone()),
    }
}
