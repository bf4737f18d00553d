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
    print, print_json, sandbox, show, stop,
};
use crate::{
    clock::Clock,
    config::{self, KeySources},
    error::{Error, ExitCode},
    item::UnixMillis,
    ledger::{FailedRows, Identity, KeyChange, Ledger, Restored},
    lifecycle::State,
    manifest::Manifest,
    monitor::{Monitor, Notice},
    pipeline::{self, Doors, RunPolicy, Signals},
    price::Price,
    quota::{Porter, Rates},
    report::{self, EndOfRun, Summary},
    sandbox::SandboxServer,
    service::{Service, http::Http},
};

/// How often single videos may be asked for: no document states it, so as the strictest listing.
const METADATA_RATE: &str = "1/s";

/// What a run needs beside its work.
pub(super) struct Order<'a> {
    pub(super) service: &'a ServiceArgs,
    pub(super) output: &'a OutputArgs,
    pub(super) ledger: &'a Path,
    pub(super) policy: RunPolicy,
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

pub(super) fn api_key(service: &ServiceArgs) -> Result<SecretString, Error> {
    match service.target() {
        Target::Sandbox => Ok(SecretString::from(sandbox::OWN_KEY)),
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
    _sandbox: Option<SandboxServer>,
}

/// Opens the ledger, the service and everything between.
pub(super) async fn open(order: &Order<'_>, restored: Restored, key: &SecretString) -> Result<Opened, Error> {
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
    let rates = Rates {
        upload: order.policy.rate,
        list: order.service.list_rate,
        metadata: METADATA_RATE.parse().map_err(|fault| Error::Usage(format!("{METADATA_RATE}: {fault}")))?,
    };
    let dice = fastrand::Rng::with_seed(u64::from_le_bytes(
        config::fresh_secret()?[..8].try_into().unwrap_or_default(),
    ));
    let porter = Porter::new(clock.clone(), rates, ledger.last_sent_at().await?, dice);
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
    let stopping = stop::listen(doors.signals.drain.clone(), doors.monitor.clone(), clock)?;
    Ok(Opened { doors, stopping, _sandbox: sandbox })
}

async fn run(order: &Order<'_>, work: Work, key: &SecretString) -> Result<ExitCode, Error> {
    let Opened { doors, stopping, _sandbox } = open(order, Restored::Refused, key).await?;
    let (ledger, clock, monitor) = (doors.ledger.clone(), doors.clock.clone(), doors.monitor.clone());
    let name = run_name(clock.now());
    let command = work.command();
    let run = ledger.begin_run(name.clone(), command, clock.now()).await?;
    let outcome = match work {
        Work::Import(manifests) => {
            warn_of_price(order, &doors).await?;
            pipeline::import(doors, run, manifests, &order.policy).await
        }
        Work::Reconcile => pipeline::reconcile(doors, run, &order.policy).await,
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
        rate: order.policy.rate.to_string(),
        caps: order.policy.caps.iter().map(ToString::to_string).collect(),
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
    if order.policy.failed == FailedRows::Retry && failed > 0 {
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
