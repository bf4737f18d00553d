//! One run from its start to its report: opens the ledger and the service, runs the pipeline, and records the outcome.

use std::{path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    Destination, RequestedLimits,
    callbacks::{CallbackRequest, publish, publish_always},
    limits, orders, run_name,
};
use crate::{
    api::{ApiClient, StatusWordRule, UserRule, http::HttpTransport},
    bucket::{LinkRules, Sources},
    clock::Clock,
    domain::{Price, State, UnixMillis, at_most, counted},
    error::{Error, ExitCode},
    events::{Event, EventBus},
    ledger::{
        DeletedRows, FailedRows, Identity, KeyChange, Ledger, LedgerError, LedgerPlace, Restored, RunId,
        SecondLedger, Snapshot, Store,
    },
    manifest::Manifest,
    pipeline::{self, Context, RunEnd, RunPolicy, Signals},
    quota::Limits,
    report::{self, EndOfRun, Summary},
    sandbox::SandboxServer,
    settings::{credentials, network},
};

/// What a run needs beside its manifests.
pub struct RunRequest {
    /// Where requests go.
    pub destination: Destination,
    /// The API key.
    pub key: SecretString,
    /// How long to wait for the answer to a request.
    pub request_timeout: Duration,
    /// Whether a new key may continue the ledger.
    pub key_change: KeyChange,
    /// Whether the account may have a second ledger.
    pub second_ledger: SecondLedger,
    /// Whether to wait while another process uses the ledger.
    pub is_standby: bool,
    /// The user's own rules for the service's answers.
    pub user_rules: Vec<UserRule>,
    /// The user's own rules for the service's status words.
    pub status_words: Vec<StatusWordRule>,
    /// How links to objects in buckets are signed.
    pub links: LinkRules,
    /// The ledger's file.
    pub ledger: LedgerPlace,
    /// Reports go into a folder below this one.
    pub reports: PathBuf,
    /// Where calls of the service are received. `None`: nowhere.
    pub callbacks: Option<CallbackRequest>,
    /// The limits asked for on the command line.
    pub limits: RequestedLimits,
    /// How the run goes.
    pub policy: RunPolicy,
    /// Requests in flight at most. `None`: as many as the limits need.
    pub concurrency: Option<usize>,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
    /// The flags that select the ledger in the commands that the report names. Empty: it is the default one.
    pub ledger_flags: String,
    /// The account, where the process runs an import for several: a part of the name of the run. `None`: there is one run.
    pub account: Option<String>,
    /// Whether nobody watches the run: see [`EndOfRun::is_cron`].
    pub is_cron: bool,
    /// Receives the events of the run.
    pub events: EventBus,
    /// How to stop the run.
    pub signals: Signals,
}

/// What a run does.
pub enum RunKind {
    /// Uploads the rows of these manifests.
    Import(Vec<Manifest>),
    /// Resolves what is in doubt and polls. Uploads nothing.
    Reconcile,
}

impl RunKind {
    const fn command(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Reconcile => "reconcile",
        }
    }
}

/// Everything a run works with, opened.
pub struct OpenRun {
    /// What the stages share.
    pub context: Context<HttpTransport>,
    /// The run that was begun, if one was asked for.
    pub run: Option<StartedRun>,
    /// The limits in force.
    pub limits: Limits,
    _sandbox: Option<SandboxServer>,
}

/// A run that is recorded in the ledger.
pub struct StartedRun {
    /// Its number in the ledger.
    pub id: RunId,
    /// Its name.
    pub name: String,
}

/// How often a standby tries to open the ledger.
const STANDBY_EVERY: Duration = Duration::from_secs(1);
/// How often it says that it still waits.
const STANDBY_SAYS_EVERY: Duration = Duration::from_mins(1);

/// Opens the ledger. A standby waits while another process uses it, or while its database cannot be reached.
async fn open_ledger(request: &RunRequest, identity: &Identity, clock: &Clock) -> Result<Ledger, Error> {
    let mut said_at = None;
    loop {
        let error = match Ledger::open(&request.ledger, identity, clock.now()) {
            Err(
                error @ (LedgerError::Locked { .. }
                | LedgerError::LeaseHeld { .. }
                | LedgerError::ConnectionLost { .. }),
            ) if request.is_standby => error,
            opened => return Ok(opened?),
        };
        let now = clock.now();
        if said_at.is_none_or(|at: UnixMillis| at.plus(STANDBY_SAYS_EVERY) <= now) {
            said_at = Some(now);
            let reason = crate::redact::clean(&error.waiting_reason());
            request.events.emit(now, &Event::StandingBy { reason });
        }
        clock.sleep(STANDBY_EVERY).await;
    }
}

/// Opens the ledger, the service and the rate limiter; begins a run of `command`, if it is one.
pub async fn open(
    request: &RunRequest,
    restored: Restored,
    command: Option<&'static str>,
) -> Result<OpenRun, Error> {
    let clock = request.destination.clock();
    if let Destination::Server(origin) = &request.destination {
        network::check(origin, |name| std::env::var_os(name))?;
    }
    let identity = identity_of(request, restored)?;
    let is_new = Snapshot::open_if_there(&request.ledger).is_ok_and(|snapshot| snapshot.is_none());
    let ledger = open_ledger(request, &identity, &clock).await?;
    let path = crate::redact::clean(&request.ledger.absolute().to_string());
    request.events.emit(clock.now(), &Event::LedgerOpened { path, is_new });
    let sources = if request.destination.is_sandbox() && !request.links.reads_objects {
        Sources::made_up()
    } else {
        Sources::new(request.links.clone(), |name| std::env::var_os(name), clock.clone())
    };
    let clock = clock.not_before(ledger.read(Snapshot::latest_timestamp).await?);
    let (origin, sandbox) = request.destination.connect(&request.ledger, &clock).await?;
    let limits = request.limits.resolve(&ledger).await?;
    let run = match command {
        Some(command) => Some(begin_run(request, &ledger, command, &limits, &clock).await?),
        None => None,
    };
    let rng = fastrand::Rng::with_seed(credentials::fresh_seed()?);
    let id = run.as_ref().map(|run| run.id);
    let limiter = pipeline::restore_usage(&ledger, id, limits.clone(), &clock, rng).await?;
    let transport = HttpTransport::patient(&origin, &request.key, request.request_timeout)?;
    let context = Context {
        ledger,
        api: Arc::new(
            ApiClient::new(transport)
                .with_user_rules(request.user_rules.clone())
                .with_status_words(request.status_words.clone()),
        ),
        sources: Arc::new(sources),
        limiter: Arc::new(limiter),
        clock,
        events: request.events.clone(),
        signals: request.signals.clone(),
    };
    Ok(OpenRun { context, run, limits, _sandbox: sandbox })
}

/// What a ledger is opened with. The sandbox has no past: it keeps no high-water mark, and each of its ledgers replaces the last one.
fn identity_of(request: &RunRequest, restored: Restored) -> Result<Identity, Error> {
    let is_sandbox = request.destination.is_sandbox();
    let high_water = || credentials::high_water_folder(|name| std::env::var_os(name));
    Ok(Identity {
        origin: request.destination.name(),
        key_digest: credentials::key_digest(&request.key),
        fresh_secret: credentials::fresh_secret()?,
        key_change: request.key_change,
        high_water: if is_sandbox { None } else { high_water() },
        registry: credentials::registry_folder(|name| std::env::var_os(name)),
        second_ledger: if is_sandbox { SecondLedger::Replaces } else { request.second_ledger },
        restored,
    })
}

/// Records a run of this command, with the limits in force.
async fn begin_run(
    request: &RunRequest,
    ledger: &Ledger,
    command: &'static str,
    limits: &Limits,
    clock: &Clock,
) -> Result<StartedRun, Error> {
    let starts_at = clock.now();
    let name = match &request.account {
        Some(account) => format!("{}.{account}", run_name(starts_at)),
        None => run_name(starts_at),
    };
    let boot = pipeline::boot_of(clock);
    let (own_name, in_force) = (name.clone(), limits.clone());
    let begin = move |store: &Store| {
        let id = store.begin_run(&own_name, command, starts_at, boot.as_ref())?;
        limits::publish(store, id, &in_force, starts_at)?;
        Ok(id)
    };
    Ok(StartedRun { id: ledger.write(begin).await?, name })
}

/// Runs an import or a reconciliation to its end, and writes its report. `signal` says which signal stopped it, if one
/// did.
pub async fn run(
    request: &RunRequest,
    kind: RunKind,
    signal: impl Fn() -> Option<ExitCode>,
) -> Result<Summary, Error> {
    let command = kind.command();
    let receiver = match &request.callbacks {
        Some(callbacks) => Some(callbacks.bind().await?),
        None => None,
    };
    let abort = &request.signals.abort;
    let stopped_at_once = || Error::StoppedAtOnce(signal().unwrap_or(ExitCode::Interrupted));
    let opened = tokio::select! {
        biased;
        () = abort.cancelled() => return Err(stopped_at_once()),
        opened = open(request, Restored::Refused, Some(command)) => opened?,
    };
    let OpenRun { context, run, limits, _sandbox } = opened;
    let StartedRun { id: run, name } = run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?;
    let (ledger, clock, events) = (context.ledger.clone(), context.clock.clone(), context.events.clone());
    let limiter = Arc::clone(&context.limiter);
    let finished = async {
        let receiver = match receiver {
            Some(receiver) => Some(receiver.serve(&context).await?),
            None => None,
        };
        let tally = Arc::clone(&request.signals.calls);
        let publishing = async {
            match &receiver {
                Some(_) => publish_always(&ledger, &name, &tally, &clock).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            ended = run_pipeline(request, kind, context, run, &limits) => ended,
            Err(error) = publishing => Err(error.into()),
        };
        if receiver.is_some() {
            publish(&ledger, &name, tally.counts(), clock.now()).await?;
        }
        drop(receiver);
        events.close();
        let end = end_of_run(command, run, ended?, &limiter.limits(), &clock, signal());
        let end = EndOfRun {
            price: request.price,
            wait: request.policy.wait,
            ledger_flags: request.ledger_flags.clone(),
            is_cron: request.is_cron,
            callbacks: request.callbacks.as_ref().map(|_| request.signals.calls.counts()),
            ..end
        };
        finish(request, &ledger, end, &name).await
    };
    let finished = tokio::select! {
        biased;
        () = abort.cancelled() => Err(stopped_at_once()),
        finished = finished => finished,
    };
    if let Err(error) = &finished {
        record_failure(&ledger, run, clock.now(), error).await;
    }
    ledger.close().await;
    finished
}

/// Records that a run ended with an error: it must not look as if it still ran.
pub async fn record_failure(ledger: &Ledger, run: RunId, at: UnixMillis, error: &Error) {
    // where the ledger itself has failed, the next opening finds what the disk holds
    let _ = end_run(ledger, run, at, error.exit_code(), error.chain()).await;
}

/// Runs the stages of a run, and carries out the orders of other commands meanwhile. The folder of the reports is tried first:
/// nobody should pay for uploads whose report cannot be written.
async fn run_pipeline(
    request: &RunRequest,
    kind: RunKind,
    context: Context<HttpTransport>,
    run: RunId,
    limits: &Limits,
) -> Result<RunEnd, Error> {
    let concurrency = request.concurrency.unwrap_or_else(|| limits::concurrency(limits));
    let public_url = request.callbacks.as_ref().and_then(|callbacks| callbacks.public_url.as_ref());
    let callback_base = public_url.map(|url| url.base().to_owned());
    let policy = RunPolicy { concurrency, callback_base, ..request.policy.clone() };
    let leave = context.signals.leave.clone();
    let watch = tokio::spawn(orders::watch(context.clone(), run, request.limits.clone()));
    let ended: Result<RunEnd, Error> = async {
        match kind {
            RunKind::Import(manifests) => {
                report::try_folder(&request.reports)?;
                warn_of_price(request, &context).await?;
                Ok(pipeline::import(context, run, manifests, &policy).await?)
            }
            RunKind::Reconcile => Ok(pipeline::reconcile(context, run, &policy).await?),
        }
    }
    .await;
    leave.cancel();
    // it ends with the run; whether it panicked matters to nothing behind it
    let _ = watch.await;
    ended
}

/// Records how a run ended.
pub(super) async fn end_run(
    ledger: &Ledger,
    run: RunId,
    at: UnixMillis,
    code: ExitCode,
    reason: String,
) -> Result<(), LedgerError> {
    ledger.write(move |store| store.end_run(run, at, code.number(), &reason)).await
}

/// How a run ended, with the limits it kept, for its report.
#[must_use]
pub fn end_of_run(
    command: &'static str,
    run: RunId,
    ended: RunEnd,
    limits: &Limits,
    clock: &Clock,
    signal: Option<ExitCode>,
) -> EndOfRun {
    let broken = ended.broken_manifests.into_iter().map(|broken| Error::from(broken).chain());
    EndOfRun {
        command,
        run,
        outcome: ended.outcome,
        broken_manifests: broken.collect(),
        manifest_notices: ended.manifest_notices,
        signal,
        at: clock.now(),
        rate: limits.upload.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        caps: limits.caps.iter().map(ToString::to_string).collect(),
        next_upload_at: ended.next_upload_at,
        price: None,
        wait: None,
        ledger_flags: String::new(),
        library_diffs: ended.library_diffs,
        is_cron: false,
        callbacks: None,
    }
}

/// Reports the cost of sending failed or deleted videos again, before it happens.
async fn warn_of_price(request: &RunRequest, context: &Context<HttpTransport>) -> Result<(), Error> {
    let counts = context.ledger.read(Snapshot::state_counts).await?;
    let reruns = request.policy.reruns;
    let failed = if reruns.failed == FailedRows::Retry { counts.of(State::Failed) } else { 0 };
    let deleted = if reruns.deleted == DeletedRows::Reupload { counts.of(State::Deleted) } else { 0 };
    let again = [
        (failed, "--retry-failed", ["video that failed is", "videos that failed are"]),
        (deleted, "--reupload-deleted", ["video that was deleted is", "videos that were deleted are"]),
    ];
    for (count, flag, [one, many]) in again.into_iter().filter(|(count, ..)| *count > 0) {
        let price = request.price.map_or_else(
            || "give --price to see what that costs".to_owned(),
            |price| at_most(price.of(count)),
        );
        let text = format!("{flag}: up to {} sent and paid again, {price}", counted(count, one, many));
        context.events.emit(context.clock.now(), &Event::Message { text });
    }
    Ok(())
}

/// Ends the run in the ledger, and then writes its report: writing takes minutes for a large archive, and may fail.
async fn finish(request: &RunRequest, ledger: &Ledger, end: EndOfRun, name: &str) -> Result<Summary, Error> {
    let (run, at) = (end.run, end.at);
    let snapshot = ledger.snapshot().await?;
    let counted = blocking(move || Ok((Summary::of_run(&snapshot, end)?, snapshot))).await;
    let (mut summary, snapshot) = counted?;
    end_run(ledger, run, at, summary.exit_code, summary.exit_reason.clone()).await?;
    if summary.command != "import" {
        return Ok(summary);
    }
    let folder = request.reports.join(name);
    let written = blocking(move || {
        summary.add_files(report::write_tables(&snapshot, run, at, &folder)?)?;
        report::write_summary(&summary, &folder)?;
        Ok(summary)
    })
    .await?;
    // only what somebody can have read is no news
    ledger.write(move |store| store.note_bad_rows(run, at)).await?;
    Ok(written)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Totals(format!("writing the report ended early: {error}")))?
}
