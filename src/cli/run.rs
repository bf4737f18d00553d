//! One run from its first step to its report: opens the doors, lets the hall work, and writes down what came of it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use secrecy::SecretString;
use url::Url;

use super::{
    args::{OutputArgs, ServiceArgs, Target},
    limits::{self, Asked},
    print, print_json, sandbox, show, stop,
};
use crate::{
    clock::Clock,
    config::{self, KeySources},
    error::{Error, ExitCode},
    item::UnixMillis,
    ledger::{FailedRows, Identity, KeyChange, Ledger, Restored, RunId},
    lifecycle::State,
    manifest::Manifest,
    monitor::{Monitor, Notice},
    pipeline::{self, Doors, RunPolicy, Signals},
    price::Price,
    quota::Limits,
    report::{self, EndOfRun, Summary},
    sandbox::SandboxServer,
    service::{Service, http::Http},
};

/// What a run needs beside its work.
pub(super) struct Order<'a> {
    pub(super) service: &'a ServiceArgs,
    pub(super) output: &'a OutputArgs,
    pub(super) ledger: &'a Path,
    pub(super) limits: Asked,
    pub(super) policy: RunPolicy,
    /// Requests on the wire at most; none for as many as the limits need.
    pub(super) concurrency: Option<usize>,
    pub(super) price: Option<Price>,
}

/// What to do.
pub(super) enum Work {
    Import(Vec<Manifest>),
    Reconcile,
}

impl Work {
    const fn command(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Reconcile => "reconcile",
        }
    }
}

/// Carries out the order and returns how the process should end.
pub(super) fn carry_out(order: &Order<'_>, work: Work) -> Result<ExitCode, Error> {
    let key = api_key(order.service)?;
    block_on(run(order, work, &key))
}

/// Runs async work to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|fault| Error::Usage(format!("the async runtime cannot be started: {fault}")))?;
    let ended = runtime.block_on(work);
    // a reader that stalls on a pipe must not keep the process
    runtime.shutdown_background();
    ended
}

/// The key that the sandbox of this process is opened with; no secret.
pub(super) fn sandbox_key() -> SecretString {
    SecretString::from(sandbox::OWN_KEY)
}

pub(super) fn api_key(service: &ServiceArgs) -> Result<SecretString, Error> {
    match service.target() {
        Target::Sandbox => Ok(sandbox_key()),
        Target::Service => config::api_key(&KeySources {
            file: service.key_file.as_deref(),
            command: service.key_command.as_deref(),
            variable: std::env::var(config::KEY_VARIABLE).ok(),
        }),
    }
}

/// Where requests go.
enum Destination {
    Server(Url),
    Sandbox,
}

impl Destination {
    fn of(service: &ServiceArgs) -> Result<Self, Error> {
        if service.target() == Target::Sandbox {
            return Ok(Self::Sandbox);
        }
        let text = service.api_url.clone().or_else(|| std::env::var(config::URL_VARIABLE).ok());
        config::origin(text.as_deref().unwrap_or(config::DEFAULT_ORIGIN)).map(Self::Server)
    }

    /// What the ledger calls it.
    fn name(&self) -> String {
        match self {
            Self::Server(origin) => origin.origin().ascii_serialization(),
            Self::Sandbox => "sandbox".to_owned(),
        }
    }

    /// Its address, and the sandbox behind it if it is one, to be held while the run lasts.
    async fn reach(self, ledger: &Path, clock: &Clock) -> Result<(Url, Option<SandboxServer>), Error> {
        match self {
            Self::Server(origin) => Ok((origin, None)),
            Self::Sandbox => {
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
                let server = sandbox::own(ledger, address, clock.clone()).await?;
                Ok((config::origin(&format!("http://{}", server.address()))?, Some(server)))
            }
        }
    }
}

/// Everything a run works through, opened.
pub(super) struct Opened {
    pub(super) doors: Doors<Http>,
    pub(super) stopping: stop::Stopping,
    /// The run that was begun, if one was asked for.
    pub(super) run: Option<Begun>,
    pub(super) limits: Limits,
    _sandbox: Option<SandboxServer>,
}

/// A run that is written down.
pub(super) struct Begun {
    pub(super) id: RunId,
    pub(super) name: String,
}

/// Opens the ledger, the service and everything between; begins a run of this command, if it is one.
pub(super) async fn open(
    order: &Order<'_>,
    restored: Restored,
    key: &SecretString,
    command: Option<&'static str>,
) -> Result<Opened, Error> {
    let clock = Clock::real();
    let destination = Destination::of(order.service)?;
    let identity = Identity {
        origin: destination.name(),
        key_digest: config::key_digest(key),
        fresh_secret: config::fresh_secret()?,
        key_change: if order.service.same_account { KeyChange::SameAccount } else { KeyChange::Refused },
        high_water: match order.service.target() {
            Target::Service => config::high_water_folder(|name| std::env::var_os(name)),
            Target::Sandbox => None,
        },
        restored,
    };
    let ledger = Ledger::open(order.ledger, &identity, clock.now())?;
    let clock = clock.not_before(ledger.latest_moment().await?);
    let (origin, sandbox) = destination.reach(order.ledger, &clock).await?;
    let limits = order.limits.resolve(&ledger).await?;
    let run = match command {
        Some(command) => {
            let name = run_name(clock.now());
            let boot = pipeline::boot_of(&clock);
            let id = ledger.begin_run(name.clone(), command, clock.now(), boot).await?;
            Some(Begun { id, name })
        }
        None => None,
    };
    let dice = fastrand::Rng::with_seed(u64::from_le_bytes(
        config::fresh_secret()?[..8].try_into().unwrap_or_default(),
    ));
    let id = run.as_ref().map(|run| run.id);
    let porter = pipeline::hire(&ledger, id, limits.clone(), &clock, dice).await?;
    let doors = Doors {
        ledger,
        service: Arc::new(
            Service::new(Http::new(&origin, key)?).with_own_rules(order.service.verdict.clone()),
        ),
        porter: Arc::new(porter),
        clock: clock.clone(),
        monitor: Monitor::new(show::listeners(order.output)),
        signals: Signals::default(),
    };
    let stopping =
        stop::listen(doors.signals.drain.clone(), doors.monitor.clone(), clock, stop::WAITING_FOR_ANSWERS)?;
    Ok(Opened { doors, stopping, run, limits, _sandbox: sandbox })
}

async fn run(order: &Order<'_>, work: Work, key: &SecretString) -> Result<ExitCode, Error> {
    let command = work.command();
    let Opened { doors, stopping, run, limits, _sandbox } =
        open(order, Restored::Refused, key, Some(command)).await?;
    let Begun { id: run, name } = run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?;
    let (ledger, clock, monitor) = (doors.ledger.clone(), doors.clock.clone(), doors.monitor.clone());
    let concurrency = order.concurrency.unwrap_or_else(|| limits::concurrency(&limits));
    let policy = RunPolicy { concurrency, ..order.policy.clone() };
    let outcome = match work {
        Work::Import(manifests) => {
            warn_of_price(order, &doors).await?;
            pipeline::import(doors, run, manifests, &policy).await
        }
        Work::Reconcile => pipeline::reconcile(doors, run, &policy).await,
    };
    monitor.close();
    let outcome = outcome?;
    let end = EndOfRun {
        command,
        run,
        ending: outcome.ending,
        broken_manifests: outcome
            .broken_manifests
            .into_iter()
            .map(|broken| Error::from(broken).chain())
            .collect(),
        signal: stopping.signal(),
        at: clock.now(),
        rate: limits.upload.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        caps: limits.caps.iter().map(ToString::to_string).collect(),
        next_upload_at: outcome.next_upload_at,
        price: order.price,
        parities: outcome.parities,
    };
    let summary = write_report(order, &ledger, end, &name).await?;
    ledger.end_run(run, clock.now(), summary.exit_code, summary.exit_reason.clone()).await?;
    ledger.close().await;
    tell(order.output, &summary)?;
    Ok(ExitCode::ALL
        .iter()
        .copied()
        .find(|code| code.number() == summary.exit_code)
        .unwrap_or(ExitCode::Unexpected))
}

/// Says what sending failed videos again may cost, before it happens.
async fn warn_of_price(order: &Order<'_>, doors: &Doors<Http>) -> Result<(), Error> {
    let failed = doors.ledger.tally().await?.of(State::Failed);
    if order.policy.reruns.failed == FailedRows::Retry && failed > 0 {
        let price = order.price.map_or_else(
            || "say --price to see what that costs".to_owned(),
            |price| format!("at most {} credits", price.of(failed)),
        );
        let text =
            format!("--retry-failed: up to {failed} videos that failed are sent and paid again, {price}");
        doors.monitor.say(doors.clock.now(), &Notice::Said { text });
    }
    Ok(())
}

async fn write_report(
    order: &Order<'_>,
    ledger: &Ledger,
    end: EndOfRun,
    name: &str,
) -> Result<Summary, Error> {
    let snapshot = ledger.snapshot().await?;
    let folder = order.output.folder(order.ledger, name);
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
        .map_err(|fault| Error::Books(format!("the report ended early: {fault}")))?
}

/// Unique for one machine: the second and the process.
pub(super) fn run_name(now: UnixMillis) -> String {
    let compact: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{compact}-{}", std::process::id())
}

fn tell(output: &OutputArgs, summary: &Summary) -> Result<(), Error> {
    if output.json {
        #[derive(serde::Serialize)]
        struct LastLine<'a> {
            notice: &'static str,
            #[serde(flatten)]
            summary: &'a Summary,
        }
        return print_json(&LastLine { notice: "run_ended", summary });
    }
    if output.quiet { Ok(()) } else { print(&report::show_summary(summary)) }
}
