//! One run from its start to its report: opens the ledger and the service, runs the pipeline, and records the outcome.

use std::{path::PathBuf, sync::Arc};

use secrecy::SecretString;

use super::{Destination, RequestedLimits, limits, run_name};
use crate::{
    api::{ApiClient, UserRule, http::HttpTransport},
    clock::Clock,
    domain::{Price, State},
    error::{Error, ExitCode},
    events::{Event, EventBus},
    ledger::{FailedRows, Identity, KeyChange, Ledger, Restored, RunId},
    manifest::Manifest,
    pipeline::{self, Context, RunEnd, RunPolicy, Signals},
    quota::Limits,
    report::{self, EndOfRun, Summary},
    sandbox::SandboxServer,
    settings::credentials,
};

/// What a run needs beside its manifests.
pub struct RunRequest {
    /// Where requests go.
    pub destination: Destination,
    /// The API key.
    pub key: SecretString,
    /// Whether a new key may continue the ledger.
    pub key_change: KeyChange,
    /// The user's own rules for the service's answers.
    pub user_rules: Vec<UserRule>,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// Reports go into a folder below this one.
    pub reports: PathBuf,
    /// The limits asked for on the command line.
    pub limits: RequestedLimits,
    /// How the run goes.
    pub policy: RunPolicy,
    /// Requests in flight at most. `None`: as many as the limits need.
    pub concurrency: Option<usize>,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
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

/// Opens the ledger, the service and the rate limiter; begins a run of `command`, if it is one.
pub async fn open(
    request: &RunRequest,
    restored: Restored,
    command: Option<&'static str>,
) -> Result<OpenRun, Error> {
    let clock = request.destination.clock();
    let identity = Identity {
        origin: request.destination.name(),
        key_digest: credentials::key_digest(&request.key),
        fresh_secret: credentials::fresh_secret()?,
        key_change: request.key_change,
        high_water: if request.destination.is_sandbox() {
            None
        } else {
            credentials::high_water_folder(|name| std::env::var_os(name))
        },
        restored,
    };
    let ledger = Ledger::open(&request.ledger, &identity, clock.now())?;
    let clock = clock.not_before(ledger.latest_timestamp().await?);
    let (origin, sandbox) = request.destination.connect(&request.ledger, &clock).await?;
    let limits = request.limits.resolve(&ledger).await?;
    let run = match command {
        Some(command) => {
            let name = run_name(clock.now());
            let boot = pipeline::boot_of(&clock);
            let id = ledger.begin_run(name.clone(), command, clock.now(), boot).await?;
            Some(StartedRun { id, name })
        }
        None => None,
    };
    let rng = fastrand::Rng::with_seed(credentials::fresh_seed()?);
    let id = run.as_ref().map(|run| run.id);
    let limiter = pipeline::restore_usage(&ledger, id, limits.clone(), &clock, rng).await?;
    let transport = HttpTransport::new(&origin, &request.key)?;
    let context = Context {
        ledger,
        api: Arc::new(ApiClient::new(transport).with_user_rules(request.user_rules.clone())),
        limiter: Arc::new(limiter),
        clock,
        events: request.events.clone(),
        signals: request.signals.clone(),
    };
    Ok(OpenRun { context, run, limits, _sandbox: sandbox })
}

/// Runs an import or a reconciliation to its end, and writes its report. `signal` says which signal stopped it, if one
/// did.
pub async fn run(
    request: &RunRequest,
    kind: RunKind,
    signal: impl Fn() -> Option<ExitCode>,
) -> Result<Summary, Error> {
    let command = kind.command();
    let OpenRun { context, run, limits, _sandbox } = open(request, Restored::Refused, Some(command)).await?;
    let StartedRun { id: run, name } = run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?;
    let (ledger, clock, events) = (context.ledger.clone(), context.clock.clone(), context.events.clone());
    let concurrency = request.concurrency.unwrap_or_else(|| limits::concurrency(&limits));
    let policy = RunPolicy { concurrency, ..request.policy.clone() };
    let ended = match kind {
        RunKind::Import(manifests) => {
            warn_of_price(request, &context).await?;
            pipeline::import(context, run, manifests, &policy).await
        }
        RunKind::Reconcile => pipeline::reconcile(context, run, &policy).await,
    };
    events.close();
    let end = end_of_run(command, run, ended?, &limits, &clock, signal());
    let end = EndOfRun { price: request.price, ..end };
    let summary = write_report(request, &ledger, end, &name).await?;
    ledger.end_run(run, clock.now(), summary.exit_code.number(), summary.exit_reason.clone()).await?;
    ledger.close().await;
    Ok(summary)
}

/// How a run ended, with the limits it kept, for its report.
pub(super) fn end_of_run(
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
        library_diffs: ended.library_diffs,
    }
}

/// Reports the cost of sending failed videos again, before it happens.
async fn warn_of_price(request: &RunRequest, context: &Context<HttpTransport>) -> Result<(), Error> {
    let failed = context.ledger.state_counts().await?.of(State::Failed);
    if request.policy.reruns.failed == FailedRows::Retry && failed > 0 {
        let price = request.price.map_or_else(
            || "give --price to see what that costs".to_owned(),
            |price| format!("at most {} credits", price.of(failed)),
        );
        let text =
            format!("--retry-failed: up to {failed} videos that failed are sent and paid again, {price}");
        context.events.emit(context.clock.now(), &Event::Message { text });
    }
    Ok(())
}

async fn write_report(
    request: &RunRequest,
    ledger: &Ledger,
    end: EndOfRun,
    name: &str,
) -> Result<Summary, Error> {
    let snapshot = ledger.snapshot().await?;
    let folder = request.reports.join(name);
    let work = move || {
        let files = match end.command {
            "import" => report::write_tables(&snapshot, end.run, &folder)?,
            _ => Vec::new(),
        };
        let summary = Summary::of_run(&snapshot, end, files)?;
        if summary.command == "import" {
            report::write_summary(&summary, &folder)?;
        }
        Ok(summary)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Totals(format!("writing the report ended early: {error}")))?
}
