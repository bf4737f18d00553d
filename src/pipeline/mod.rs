//! The hall: wires the rooms, carries the stop signal, and knows when a run is over.
//!
//! Four stages work side by side and meet only in the ledger: ingest, upload, doubt, poll. The hall looks at the ledger
//! once a second and asks whether anything is left to do.
//!
//! ```text
//!   sending is over:  the manifests are read, nothing is pending or on the wire; or sending had to end
//!   waiting is over:  nothing awaits evidence; or the time to wait has passed; or nobody wants to wait
//! ```

mod audit;
mod doors;
mod doubt;
mod hire;
mod ingest;
mod listing;
mod outlook;
mod poll;
mod recover;
mod scout;
mod upload;

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use audit::verify;
pub use doors::{Doors, Signals};
pub use doubt::{OnDoubt, Rules as DoubtRules};
pub use hire::{LESSONS, boot_of, hire, past_of};
pub use recover::{CutShort, Recovery, Unmarked, recover};
pub use scout::{Look, Scout, Target, scout};

use crate::{
    ending::Ending,
    item::UnixMillis,
    ledger::{ClaimTerms, LedgerError, Marker, Parity, Reruns, RunId, SourceId, Standing, Tally},
    lifecycle::State,
    manifest::{self, Manifest, ManifestError},
    monitor::{Notice, Progress},
    quota::Lane,
    service::Transport,
};
use doors::Refusal;
use outlook::{LINK_LIFE_MIN, Outlook};
use upload::{UploadEnd, UploadPlan};

/// While things change, the hall looks at a small ledger this often…
const PULSE: Duration = Duration::from_millis(100);
/// …and this often while nothing does.
const PULSE_MAX: Duration = Duration::from_mins(5);
/// Counting a larger ledger takes longer; it is looked at less often: once in so many milliseconds for each thousand
/// items…
const PULSE_MS_PER_THOUSAND: u64 = 25;
/// …but at least this often.
const PULSE_LARGE: Duration = Duration::from_secs(5);

/// A request must start within this span of its claim; later it is not sent at all.
const START_WITHIN: Duration = Duration::from_secs(5);
/// An unanswered request may be accepted this long after its sending: the service fetches the source first.
const ACCEPTANCE_LAG_MAX: Duration = Duration::from_mins(15);

/// How a run is to go; every value is checked already.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// End rather than wait longer than this for the quota; none waits as long as it takes.
    pub quota_wait_max: Option<Duration>,
    /// Requests on the wire at most.
    pub concurrency: usize,
    /// Whether to send marker tags.
    pub marker: Marker,
    /// How doubts are weighed.
    pub doubts: DoubtRules,
    /// How long to wait for indexing after the last acceptance; none does not wait.
    pub wait: Option<Duration>,
    /// Stop sending after this long.
    pub time_max: Option<Duration>,
    /// Send no more than this.
    pub rows_max: Option<u64>,
    /// Uploads that may be paid or at stake in the ledger, ever.
    pub uploads_max: Option<u64>,
    /// Send nothing while the ledger's disk has fewer bytes free.
    pub disk_free_min: u64,
    /// What to do with rows that failed before.
    pub reruns: Reruns,
    /// Send only rows whose source a look found fit, no longer ago than this; none sends any.
    pub probe_age_max: Option<Duration>,
    /// What to do with what is accepted.
    pub accepted: AcceptedItems,
    /// The namespace of rows that name none.
    pub namespace: String,
}

/// What a run does with accepted items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedItems {
    /// Looks at them until each is searchable or has failed.
    Watch,
    /// Leaves them to another run.
    Leave,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Manifests that could not be read to their end.
    pub broken_manifests: Vec<ManifestError>,
    /// The service compared with the ledger, where something was sent and that was affordable.
    pub parities: Vec<Parity>,
    /// When the quota lets the next upload go.
    pub next_upload_at: UnixMillis,
}

/// Takes every manifest through the whole way: rows in, every row settled, or as far as the policy allows.
pub async fn import<T: Transport>(
    doors: Doors<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    policy: &RunPolicy,
) -> Result<Outcome, LedgerError> {
    let intake = ingest::Intake { reruns: policy.reruns, probe_age_max: policy.probe_age_max };
    let (sources, readings) = begin_readings(&doors, run, manifests, intake).await?;
    let ingest = tokio::spawn(ingest::ingest(doors.clone(), run, readings, intake));
    run_stages(doors, run, sources, Some(ingest), policy).await
}

/// Makes every manifest known to the ledger.
async fn begin_readings<T: Transport>(
    doors: &Doors<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    intake: ingest::Intake,
) -> Result<(Vec<SourceId>, Vec<(SourceId, Manifest)>), LedgerError> {
    let mut sources = Vec::with_capacity(manifests.len());
    let mut readings = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let identity = manifest::identity(manifest.path());
        let columns = manifest.column_names().to_vec();
        let source = doors.ledger.begin_reading(run, identity, columns, intake.stamp(&manifest)).await?;
        doors.say(&Notice::ManifestOpened {
            path: manifest.path().to_owned(),
            mapping: manifest.mapping(),
            unused_columns: manifest.unused_columns().into_iter().map(str::to_owned).collect(),
            found: manifest.found().to_vec(),
        });
        if !sources.contains(&source) {
            sources.push(source);
        }
        readings.push((source, manifest));
    }
    Ok((sources, readings))
}

/// Settles what is open and polls; reads no manifest and uploads nothing.
pub async fn reconcile<T: Transport>(
    doors: Doors<T>,
    run: RunId,
    policy: &RunPolicy,
) -> Result<Outcome, LedgerError> {
    run_stages(doors, run, Vec::new(), None, policy).await
}

async fn run_stages<T: Transport>(
    doors: Doors<T>,
    run: RunId,
    sources: Vec<SourceId>,
    ingest: Option<JoinHandle<Result<ingest::Ingested, LedgerError>>>,
    policy: &RunPolicy,
) -> Result<Outcome, LedgerError> {
    let started_at = doors.clock.now();
    let outlook = Outlook::new();
    let (way_is_clear, first_look) = (CancellationToken::new(), CancellationToken::new());
    let plan = UploadPlan {
        terms: Arc::new(ClaimTerms {
            run,
            sources: sources.clone(),
            concurrency: policy.concurrency as u64,
            link_life_min: LINK_LIFE_MIN,
            sent_by: Arc::clone(&outlook.sent_by),
            start_within: START_WITHIN,
            acceptance_lag_max: ACCEPTANCE_LAG_MAX,
            marker: policy.marker,
            uploads_max: policy.uploads_max,
            disk_free_min: policy.disk_free_min,
        }),
        concurrency: policy.concurrency,
        rows_max: policy.rows_max,
        stop_at: policy.time_max.map(|span| started_at.plus(span)),
        way_is_clear: way_is_clear.clone(),
        patience: policy.wait,
        quota_wait_max: policy.quota_wait_max,
        acceptance_lag_max: ACCEPTANCE_LAG_MAX,
    };
    let mut hall = Hall {
        stages: Stages {
            ingest,
            audit: Some(tokio::spawn(audit::clear_the_way(
                doors.clone(),
                (run, sources.clone()),
                policy.namespace.clone(),
                way_is_clear,
            ))),
            upload: Some(tokio::spawn(upload::upload(doors.clone(), plan))),
            doubt: Some(tokio::spawn(doubt::settle_doubts(
                doors.clone(),
                run,
                policy.doubts,
                first_look.clone(),
            ))),
            poll: (policy.accepted == AcceptedItems::Watch).then(|| tokio::spawn(poll::poll(doors.clone()))),
            reads_refused: None,
            ingested: ingest::Ingested::default(),
            sending_ended: None,
        },
        outlook,
        first_look,
        run,
        sources,
        started_at,
        policy,
        doors,
    };
    let ending = hall.watch().await;
    let parities = match &ending {
        Ok(ending) => hall.compare(ending).await,
        Err(_) => Ok(Vec::new()),
    };
    hall.close(ending, parities).await
}

/// The stages at work, and what is known of those that ended.
struct Stages {
    ingest: Option<JoinHandle<Result<ingest::Ingested, LedgerError>>>,
    audit: Option<JoinHandle<Result<(), LedgerError>>>,
    upload: Option<JoinHandle<Result<UploadEnd, LedgerError>>>,
    doubt: Option<JoinHandle<Result<(), LedgerError>>>,
    poll: Option<JoinHandle<Result<Option<Refusal>, LedgerError>>>,
    /// Why no read can succeed, if so.
    reads_refused: Option<Refusal>,
    ingested: ingest::Ingested,
    sending_ended: Option<UploadEnd>,
}

impl Stages {
    /// Waits for the next stage that ends, and takes note of it. Never, when all have ended.
    async fn next_end(&mut self) -> Result<(), LedgerError> {
        tokio::select! {
            biased;
            ended = joined(&mut self.ingest) => self.ingested = ended?,
            ended = joined(&mut self.audit) => ended?,
            ended = joined(&mut self.upload) => self.sending_ended = Some(ended?),
            ended = joined(&mut self.doubt) => ended?,
            ended = joined(&mut self.poll) => self.reads_refused = ended?,
        }
        Ok(())
    }

    const fn any_works(&self) -> bool {
        let Self { ingest, audit, upload, doubt, poll, .. } = self;
        ingest.is_some() || audit.is_some() || upload.is_some() || doubt.is_some() || poll.is_some()
    }
}

/// Waits for a stage and forgets its handle; for ever when there is none.
async fn joined<V>(stage: &mut Option<JoinHandle<Result<V, LedgerError>>>) -> Result<V, LedgerError> {
    let Some(handle) = stage else { return std::future::pending().await };
    let ended = handle.await;
    *stage = None;
    ended.unwrap_or_else(|fault| Err(LedgerError::Broken { cause: format!("a stage ended early: {fault}") }))
}

struct Hall<'a, T> {
    doors: Doors<T>,
    policy: &'a RunPolicy,
    started_at: UnixMillis,
    run: RunId,
    sources: Vec<SourceId>,
    stages: Stages,
    outlook: Outlook,
    /// Set once the doubt stage has looked at what the run found.
    first_look: CancellationToken,
}

impl<T: Transport> Hall<'_, T> {
    /// Looks at the ledger until the run is over.
    async fn watch(&mut self) -> Result<Ending, LedgerError> {
        let signals = self.doors.signals.clone();
        loop {
            let changed = signals.next_change();
            let alive_at = self.doors.clock.now().plus(LINK_LIFE_MIN);
            let standing = self.doors.ledger.standing(self.run, self.sources.clone(), alive_at).await?;
            let Standing { tally, pending, expired, .. } = standing;
            let to_send = pending.saturating_sub(expired);
            if self.stages.ingest.is_none() {
                let limits = self.doors.porter.limits();
                self.outlook.say(&self.doors, &self.sources, to_send, &limits).await?;
            }
            self.say_progress(&tally, to_send);
            if let Some(ending) = self.ending(&standing) {
                return Ok(ending);
            }
            let pulse = Duration::from_millis(tally.total() / 1_000 * PULSE_MS_PER_THOUSAND);
            let pulse = pulse.clamp(PULSE, PULSE_LARGE);
            let has_stage_ended = tokio::select! {
                biased;
                () = self.doors.clock.sleep(pulse) => false,
                ended = self.stages.next_end() => ended.map(|()| true)?,
            };
            if !has_stage_ended {
                let now = self.doors.clock.now();
                let patience_ends_at = Some(self.patience_ends_at(&standing)).filter(|moment| *moment > now);
                let next_pulse = now.plus(PULSE_MAX).min(patience_ends_at.unwrap_or(UnixMillis(i64::MAX)));
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = self.doors.clock.sleep_until(next_pulse) => {}
                    ended = self.stages.next_end() => ended?,
                }
            }
        }
    }

    /// Whether the run is over, and how.
    fn ending(&self, standing: &Standing) -> Option<Ending> {
        let Standing { tally, .. } = *standing;
        // what nobody can fetch any more is not waited for
        let pending = standing.pending.saturating_sub(standing.expired);
        if let Some(Refusal { reason, cause }) = &self.stages.reads_refused {
            return Some(Ending::Stopped { reason: *reason, cause: cause.clone() });
        }
        let sending_ended = self.stages.sending_ended.as_ref();
        if let Some(ending) = sending_ended.and_then(early_ending) {
            return Some(ending);
        }
        if self.doors.signals.drain.is_cancelled() {
            // what is on the wire is waited for, and nothing else
            return sending_ended.map(|_| Ending::Interrupted);
        }
        // a question may have been answered by the service meanwhile: one look is owed to it
        if tally.of(State::Asked) > 0 && self.policy.wait.is_some() && !self.first_look.is_cancelled() {
            return None;
        }
        let is_read = self.stages.ingest.is_none();
        let all_is_sent = pending == 0 && tally.of(State::Sending) == 0;
        if !is_read || !(all_is_sent || sending_ended.is_some()) {
            return None;
        }
        let at_end = match sending_ended {
            Some(UploadEnd::RowsMax) if pending > 0 => Ending::RowsMax,
            Some(UploadEnd::BudgetSpent) if pending > 0 => Ending::BudgetSpent,
            _ => Ending::Settled,
        };
        if tally.awaiting_evidence() == 0 {
            return Some(at_end);
        }
        if self.policy.wait.is_none() {
            return Some(if at_end == Ending::Settled { Ending::NotWaited } else { at_end });
        }
        (self.doors.clock.now() >= self.patience_ends_at(standing)).then_some(Ending::WaitOver)
    }

    /// Until when items are waited for that are sent, by what is accepted now.
    fn patience_ends_at(&self, standing: &Standing) -> UnixMillis {
        let Some(wait) = self.policy.wait else { return UnixMillis(i64::MAX) };
        standing.last_accepted_at.unwrap_or(self.started_at).max(self.started_at).plus(wait)
    }

    fn say_progress(&mut self, tally: &Tally, to_send: u64) {
        let sent_by =
            (self.stages.ingest.is_none() && to_send > 0).then(|| self.outlook.look(&self.doors, to_send));
        self.doors.say(&Notice::Progress(progress_of(tally, sent_by)));
    }

    /// Compares the service with the ledger when a run that sent something ends by itself.
    async fn compare(&self, ending: &Ending) -> Result<Vec<Parity>, LedgerError> {
        let has_sent =
            self.doors.ledger.last_sent_at().await?.is_some_and(|moment| moment >= self.started_at);
        let drain = self.doors.signals.drain.clone();
        if !has_sent || !ending.leaves_time() {
            return Ok(Vec::new());
        }
        tokio::select! {
            biased;
            () = drain.cancelled() => Ok(Vec::new()),
            compared = audit::compare(&self.doors, audit::AFFORDABLE) => Ok(compared?.unwrap_or_default()),
        }
    }

    /// Sends everybody home and waits until they are.
    async fn close(
        mut self,
        ending: Result<Ending, LedgerError>,
        parities: Result<Vec<Parity>, LedgerError>,
    ) -> Result<Outcome, LedgerError> {
        self.doors.signals.drain.cancel();
        self.doors.signals.leave.cancel();
        // what the way taught lately is worth a write at the end
        let kept = self.doors.keep_lessons().await;
        let mut first_fault = ending.as_ref().err().or(kept.as_ref().err()).cloned();
        while self.stages.any_works() {
            if let Err(fault) = self.stages.next_end().await {
                first_fault.get_or_insert(fault);
            }
        }
        match first_fault {
            Some(fault) => Err(fault),
            None => Ok(Outcome {
                ending: ending?,
                broken_manifests: self.stages.ingested.broken,
                parities: parities?,
                next_upload_at: {
                    let now = self.doors.clock.now();
                    self.doors.porter.delay(Lane::Upload).map_or(now, |delay| delay.until)
                },
            }),
        }
    }
}

/// How a run ends whose sending ended before its time; none when it goes on with what is sent.
fn early_ending(sending_ended: &UploadEnd) -> Option<Ending> {
    Some(match sending_ended {
        UploadEnd::Stopped { reason, cause } => Ending::Stopped { reason: *reason, cause: cause.clone() },
        UploadEnd::Offline { cause } => Ending::Offline { cause: cause.clone() },
        UploadEnd::TimeUp => Ending::TimeUp,
        UploadEnd::QuotaPaused { why } => Ending::QuotaPaused { why: why.clone() },
        UploadEnd::SentElsewhere { item } => Ending::SentElsewhere { item: item.clone() },
        UploadEnd::DiskLow { free } => Ending::DiskLow { free: *free },
        UploadEnd::TooManyDoubts { open } => Ending::TooManyDoubts { open: *open },
        UploadEnd::Drained | UploadEnd::RowsMax | UploadEnd::BudgetSpent => return None,
    })
}

/// The counts of a tally in the words of the progress display.
#[must_use]
pub fn progress_of(tally: &Tally, sent_by: Option<UnixMillis>) -> Progress {
    Progress {
        items: tally.total(),
        pending: tally.of(State::Pending),
        sending: tally.of(State::Sending),
        in_doubt: tally.of(State::InDoubt) + tally.of(State::Counted),
        indexing: tally.of(State::Accepted),
        indexed: tally.of(State::Indexed),
        failed: tally.of(State::Failed),
        rejected: tally.of(State::Rejected) + tally.of(State::Abandoned),
        asked: tally.of(State::Asked),
        sent_by,
    }
}
