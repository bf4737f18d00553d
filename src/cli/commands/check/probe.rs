//! `telecine check --probe`: inspects the sources of the rows that would be sent, while the manifests are read.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    bucket::{LinkRules, Sources},
    cli::{
        args::{
            LinkArgs,
            values::{self, DurationArg},
        },
        output::{progress, scan::show_counts, sinks},
        signals,
    },
    clock::Clock,
    domain::{Limit, Probe, ProbeVerdict, Problem, Reach, Shard, State, UnixMillis},
    error::{Error, ExitCode},
    events::EventBus,
    ledger::{LedgerPlace, PlannedAction, ProbeLedger},
    manifest::ProblemCount,
    pipeline::{self, ProbeOrigin, ProbeStage, ProbeStageError, ProbeTarget},
    probe::{ProbeRules, Prober, VIDEO_MAX, http::HttpFetcher},
    report::{counted, with_separators},
    settings::{credentials, network},
};

/// Sources that wait between the reader of manifests and the scout.
const TARGETS_WAITING: usize = 1_024;
/// Said when a signal came.
const STOPPING: &str = "stopping; what was seen is in the ledger, and the same command resumes";

/// Whether and how to probe sources.
#[derive(Args, Debug)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeArgs {
    /// Probe the source of each row that would be sent: whether it exists, and whether its container and codec are supported.
    ///
    /// Requests go to the hosts of the videos only, and cost nothing. The ledger keeps the results.
    #[arg(long, env = "TELECINE_PROBE")]
    pub(super) probe: bool,

    /// Ask hosts of private networks and of this machine, too, and use the system's proxy; the service may not reach them.
    #[arg(long, env = "TELECINE_ALLOW_PRIVATE")]
    allow_private: bool,

    /// At most N requests to one host per period.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_HOST_RATE", default_value = "10/s")]
    host_rate: Limit,

    /// At most N requests to one host at the same time.
    #[arg(long, value_name = "N", env = "TELECINE_HOST_CONCURRENCY", default_value_t = 4,
          value_parser = values::whole::<u16>(1..=64))]
    host_concurrency: u16,

    /// At most N requests to all hosts at the same time.
    #[arg(long, value_name = "N", env = "TELECINE_PROBE_CONCURRENCY", default_value_t = 32,
          value_parser = values::whole::<u16>(1..=512))]
    probe_concurrency: u16,

    /// A larger video counts as unsupported; the service accepts more than 1 GB only by arrangement [default: 1 GB].
    #[arg(long, value_name = "SIZE", env = "TELECINE_VIDEO_MAX", value_parser = values::size)]
    video_max: Option<u64>,

    /// Do not probe a source again that was found supported within this time.
    #[arg(long, value_name = "AGE", env = "TELECINE_PROBE_AGE", default_value = "7d")]
    probe_age: DurationArg,

    /// Probe no more sources than this now; the next check continues.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_PROBES", value_parser = values::whole::<u64>(1..=u64::MAX))]
    max_probes: Option<u64>,

    /// Probe only the hosts of part K of N, from 0/N to N-1/N, so that N checks share the work. Each host is in one part.
    ///
    /// Give each check a part of its own. With a ledger in PostgreSQL they run on several machines, also beside an import.
    #[arg(long, value_name = "K/N", env = "TELECINE_SHARD", requires = "probe")]
    pub(super) shard: Option<Shard>,

    #[command(flatten)]
    pub(super) links: LinkArgs,
}

impl ProbeArgs {
    fn rules(&self) -> ProbeRules {
        ProbeRules {
            reach: if self.allow_private { Reach::Private } else { Reach::Public },
            host_rate: self.host_rate,
            host_concurrency: usize::from(self.host_concurrency),
            concurrency: usize::from(self.probe_concurrency),
            video_max: self.video_max.unwrap_or(VIDEO_MAX),
        }
    }
}

/// The results of probes.
#[derive(Clone, Debug, Default, Serialize, schemars::JsonSchema)]
pub(super) struct Probed {
    /// Rows whose source is supported.
    pub(super) supported: u64,
    /// Rows whose source is unsupported.
    pub(super) unsupported: u64,
    /// Rows whose source the probe cannot determine.
    pub(super) unclear: u64,
    /// How many of these were known before.
    pub(super) kept: u64,
    /// Rows that would be sent and whose source was not probed, because of --max-probes or a signal.
    pub(super) left: u64,
    /// Rows that would be sent and whose host is in another part of `--shard`.
    pub(super) elsewhere: u64,
    /// Rows whose source is unsupported, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unsupported_by: BTreeMap<String, ProblemCount>,
    /// Rows whose source is unclear, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unclear_by: BTreeMap<String, ProblemCount>,
    /// The signal that ended it early.
    #[serde(skip)]
    pub(super) signal: Option<ExitCode>,
}

impl Probed {
    pub(super) const fn probed(&self) -> u64 {
        self.supported + self.unsupported + self.unclear
    }

    fn count(&mut self, path: &str, line: u64, problem: &Problem, verdict: ProbeVerdict) {
        let (count, by) = match verdict {
            ProbeVerdict::Supported => {
                self.supported += 1;
                return;
            }
            ProbeVerdict::Unsupported => (&mut self.unsupported, &mut self.unsupported_by),
            ProbeVerdict::Unclear => (&mut self.unclear, &mut self.unclear_by),
        };
        *count += 1;
        by.entry(problem.class.clone()).or_default().note(path, line, problem);
    }
}

/// Whether a probe of the source of a row may save money: it is or may be sent, by an order or once a doubt has ended.
pub(super) const fn is_worth_a_probe(planned_action: PlannedAction) -> bool {
    match planned_action {
        PlannedAction::New | PlannedAction::Resent(_) | PlannedAction::Updated(_) => true,
        PlannedAction::Left(state) => {
            !matches!(state, State::Accepted | State::Indexed | State::Abandoned | State::Deleted)
        }
        PlannedAction::Drifted(state) => !matches!(state, State::Accepted | State::Abandoned),
    }
}

/// Reads with `read`, which sends every source worth a probe into the channel it is given, and probes them meanwhile.
/// `report` is called with every source that is not supported, as a problem of its row. What was read is `None` where a signal
/// ended it early.
pub(super) async fn probe<T: Send + 'static>(
    args: &ProbeArgs,
    links: LinkRules,
    ledger: &LedgerPlace,
    columns: BTreeMap<Arc<str>, (usize, String)>,
    read: impl FnOnce(tokio::sync::mpsc::Sender<ProbeTarget>) -> Result<T, Error> + Send + 'static,
    mut report: impl FnMut(&ProbeTarget, &Problem, ProbeVerdict) -> Result<(), Error>,
) -> Result<(Option<T>, Probed), Error> {
    let clock = Clock::real();
    let ledger = ProbeLedger::open(ledger, credentials::fresh_secret()?, clock.now())?;
    let sources = Sources::new(links, |name| std::env::var_os(name), clock.clone());
    let clock = clock.not_before(ledger.latest_timestamp().await?);
    let rules = args.rules();
    network::check_all(|name| std::env::var_os(name))?;
    let web = HttpFetcher::new(rules.reach)
        .map_err(|cause| Error::Usage(format!("the HTTP client cannot be set up: {cause}")))?;
    let drain = CancellationToken::new();
    let events = EventBus::new(sinks::sinks_for(false, false, 1));
    let signal_state = signals::listen_for(drain.clone(), events.clone(), STOPPING)?;
    let stage = ProbeStage {
        ledger: ledger.clone(),
        prober: Prober::new(web, rules, clock.clone()),
        sources,
        age_max: args.probe_age.0,
        probes_max: args.max_probes,
        drain: drain.clone(),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(TARGETS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read(sender));
    let (mut probed, mut reported) = (Probed::default(), Ok(()));
    let mut live = Live::new();
    let ended = pipeline::probe_stage(stage, receiver, |target, probe, origin| {
        probed.kept += u64::from(origin == ProbeOrigin::Kept);
        let problem = problem_of(columns.get(&target.path), target, probe);
        probed.count(&target.path, target.line, &problem, probe.verdict);
        if probe.verdict != ProbeVerdict::Supported && reported.is_ok() {
            reported = report(target, &problem, probe.verdict);
            if reported.is_err() {
                drain.cancel();
            }
        }
        live.show(&probed, clock.now());
    })
    .await;
    live.close();
    events.finish();
    ledger.close().await;
    ended.map_err(|error| match error {
        ProbeStageError::Ledger(error) => Error::from(error),
        ProbeStageError::Source(error) => Error::Usage(format!("--probe: {error}")),
    })?;
    reported?;
    // a reader that stalls, as on a pipe, must not keep the process
    let read = tokio::select! {
        biased;
        () = drain.cancelled() => None,
        read = reading => Some(read),
    };
    probed.signal = signal_state.signal();
    let broken = |error| Error::Totals(format!("the reader of manifests ended early: {error}"));
    let read = read.map(|read| read.map_err(broken)?).transpose()?;
    Ok((read, probed))
}

/// What a probe found, as a problem of the row's url.
fn problem_of(column: Option<&(usize, String)>, target: &ProbeTarget, probe: &Probe) -> Problem {
    let (column_number, column) = column.cloned().unwrap_or_default();
    Problem {
        column,
        column_number,
        value: target.url.to_string(),
        class: probe.class.clone(),
        message: probe.found.clone(),
        fix: probe.fix().to_owned(),
    }
}

/// The progress: a live line on a terminal, or else a line from time to time.
struct Live {
    bar: Option<ProgressBar>,
    said_at: Option<UnixMillis>,
}

impl Live {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, said_at: None }
    }

    fn show(&mut self, probed: &Probed, now: UnixMillis) {
        let line = || {
            let [supported, unsupported, unclear] =
                [probed.supported, probed.unsupported, probed.unclear].map(with_separators);
            let sources = counted(probed.probed(), "source", "sources");
            format!("{sources} probed: {supported} supported, {unsupported} unsupported, {unclear} unclear")
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line());
            return;
        }
        let since = *self.said_at.get_or_insert(now);
        if now.since_ms(since) >= progress::LINE_EVERY_MS {
            self.said_at = Some(now);
            // without a stderr nothing can be reported
            let _ = writeln!(io::stderr().lock(), "{}", line());
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn show_probed(text: &mut String, probed: &Probed) {
    let kept = match probed.kept {
        0 => String::new(),
        kept => format!(" ({} known from before)", with_separators(kept)),
    };
    let sources = if probed.probed() == 1 { "source" } else { "sources" };
    let colon = if probed.probed() + probed.left + probed.elsewhere > 0 { ":" } else { "" };
    let _ = writeln!(text, "\n  {:>9} {sources} probed{kept}{colon}", with_separators(probed.probed()));
    let lines = [
        (probed.supported, "supported"),
        (probed.unsupported, "unsupported: the service would not accept them"),
        (probed.unclear, "unclear: it cannot be determined"),
        (probed.left, "not probed yet; the same command continues"),
        (probed.elsewhere, "not probed: their hosts are in other parts (--shard)"),
    ];
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(text, "unsupported: ", &probed.unsupported_by);
    show_counts(text, "unclear: ", &probed.unclear_by);
}
