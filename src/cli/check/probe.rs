//! `telecine check --probe`: looks at the sources of the rows that would be sent, while the manifests are read.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::super::{
    show, stop,
    values::{self, Span},
};
use crate::{
    clock::Clock,
    config,
    error::{Error, ExitCode},
    item::{Fitness, Probe, Problem, Reach, UnixMillis},
    ledger::{Ledger, Prospect},
    lifecycle::State,
    limit::Limit,
    manifest::FaultCount,
    monitor::Monitor,
    pipeline::{self, Look, Scout, Target},
    probe::{ProbeRules, Prober, VIDEO_MAX, http::HttpWeb},
};

/// Sources that wait between the reader of manifests and the scout.
const TARGETS_WAITING: usize = 1_024;
/// Said when a signal came.
const STOPPING: &str = "stopping; what was seen is in the ledger, and the same command goes on";

/// Whether and how to look at sources.
#[derive(Args, Debug)]
#[command(next_help_heading = "Probe")]
pub(super) struct ProbeArgs {
    /// Look at the sources themselves, where rows would be sent: is each there, is it a video, in a container and a codec that
    /// the service takes? Asks only the hosts of the videos, costs nothing, and keeps what it found in the ledger.
    #[arg(long, env = "TELECINE_PROBE")]
    pub(super) probe: bool,

    /// Look at hosts of private networks and of this machine, too, and use the system's proxy; the service may not reach them.
    #[arg(long, env = "TELECINE_ALLOW_PRIVATE")]
    allow_private: bool,

    /// Requests to one host, at this rate at most.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_HOST_RATE", default_value = "10/s")]
    host_rate: Limit,

    /// Requests to one host at once, at most.
    #[arg(long, value_name = "N", env = "TELECINE_HOST_CONCURRENCY", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    host_concurrency: u16,

    /// Requests to all hosts at once, at most.
    #[arg(long, value_name = "N", env = "TELECINE_PROBE_CONCURRENCY", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=512))]
    probe_concurrency: u16,

    /// Larger videos are unfit; the service takes more than a gigabyte only by arrangement [default: 1 GB].
    #[arg(long, value_name = "SIZE", env = "TELECINE_VIDEO_MAX", value_parser = values::size)]
    video_max: Option<u64>,

    /// A source that was found fit is not looked at again for so long.
    #[arg(long, value_name = "AGE", env = "TELECINE_PROBE_AGE", default_value = "7d")]
    probe_age: Span,

    /// Look at no more sources than this now; the next check goes on.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_PROBES", value_parser = clap::value_parser!(u64).range(1..))]
    max_probes: Option<u64>,
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

/// What looks at sources came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Probed {
    /// Rows whose source is fit…
    pub(super) fit: u64,
    /// …or not…
    pub(super) unfit: u64,
    /// …or nobody can tell.
    pub(super) unclear: u64,
    /// Of these, so many were known from before.
    pub(super) kept: u64,
    /// Rows that would be sent and whose source was not looked at, since it was enough, or stopped.
    pub(super) not_looked: u64,
    /// Rows whose source is unfit, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unfit_by: BTreeMap<String, FaultCount>,
    /// Rows whose source is unclear, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unclear_by: BTreeMap<String, FaultCount>,
    /// The signal that ended it early.
    #[serde(skip)]
    pub(super) signal: Option<ExitCode>,
}

impl Probed {
    pub(super) const fn looked(&self) -> u64 {
        self.fit + self.unfit + self.unclear
    }

    fn count(&mut self, path: &str, line: u64, problem: &Problem, fitness: Fitness) {
        let (count, by) = match fitness {
            Fitness::Fit => {
                self.fit += 1;
                return;
            }
            Fitness::Unfit => (&mut self.unfit, &mut self.unfit_by),
            Fitness::Unclear => (&mut self.unclear, &mut self.unclear_by),
        };
        *count += 1;
        by.entry(problem.class.clone()).or_default().note(path, line, problem);
    }
}

/// Whether a look at the source of a row may save money: it would be sent, or may be, by an order or once a doubt is settled.
pub(super) const fn is_worth_a_look(prospect: Prospect) -> bool {
    match prospect {
        Prospect::New | Prospect::Resent(_) => true,
        Prospect::Left(state) => !matches!(state, State::Accepted | State::Indexed | State::Abandoned),
        Prospect::Drifted(state) => !matches!(state, State::Accepted | State::Abandoned),
    }
}

/// Reads with `read`, which hands every source worth a look to the channel it is given, and looks at them meanwhile; `tell`
/// hears of every source that is not fit, as a problem of its row. What was read is none when a signal ended it early.
pub(super) async fn probe<T: Send + 'static>(
    args: &ProbeArgs,
    ledger: &Path,
    columns: BTreeMap<Arc<str>, (usize, String)>,
    read: impl FnOnce(tokio::sync::mpsc::Sender<Target>) -> Result<T, Error> + Send + 'static,
    mut tell: impl FnMut(&Target, &Problem, Fitness) -> Result<(), Error>,
) -> Result<(Option<T>, Probed), Error> {
    let clock = Clock::real();
    let ledger = Ledger::open_early(ledger, config::fresh_secret()?, clock.now())?;
    let clock = clock.not_before(ledger.latest_moment().await?);
    let rules = args.rules();
    let web = HttpWeb::new(rules.reach)
        .map_err(|cause| Error::Usage(format!("the HTTP client cannot be set up: {cause}")))?;
    let drain = CancellationToken::new();
    let monitor = Monitor::new(show::listeners_for(false, false, 1));
    let stopping = stop::listen(drain.clone(), monitor, clock.clone(), STOPPING)?;
    let scout = Scout {
        ledger: ledger.clone(),
        prober: Prober::new(web, rules, clock.clone()),
        age_max: args.probe_age.0,
        looks_max: args.max_probes,
        drain: drain.clone(),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(TARGETS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read(sender));
    let (mut probed, mut told) = (Probed::default(), Ok(()));
    let mut live = Live::new();
    let scouted = pipeline::scout(scout, receiver, |target, probe, look| {
        probed.kept += u64::from(look == Look::Kept);
        let problem = problem_of(columns.get(&target.path), target, probe);
        probed.count(&target.path, target.line, &problem, probe.fitness);
        if probe.fitness != Fitness::Fit && told.is_ok() {
            told = tell(target, &problem, probe.fitness);
            if told.is_err() {
                drain.cancel();
            }
        }
        live.show(&probed, clock.now());
    })
    .await;
    live.close();
    ledger.close().await;
    scouted?;
    told?;
    // a reader that stalls, as on a pipe, must not keep anybody from going home
    let read = tokio::select! {
        biased;
        () = drain.cancelled() => None,
        read = reading => Some(read),
    };
    probed.signal = stopping.signal();
    let broken = |fault| Error::Books(format!("the reader of manifests ended early: {fault}"));
    let read = read.map(|read| read.map_err(broken)?).transpose()?;
    Ok((read, probed))
}

/// What a look shows, as a problem of the row's url.
fn problem_of(column: Option<&(usize, String)>, target: &Target, probe: &Probe) -> Problem {
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

/// How far it is: a live line on a terminal, a line now and then elsewhere.
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
            let Probed { fit, unfit, unclear, .. } = probed;
            format!("{} sources looked at: {fit} fit, {unfit} unfit, {unclear} unclear", probed.looked())
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line());
            return;
        }
        let since = *self.said_at.get_or_insert(now);
        if now.since_ms(since) >= show::LINE_EVERY_MS {
            self.said_at = Some(now);
            // without a stderr there is nobody to tell
            let _ = writeln!(io::stderr().lock(), "{}", line());
        }
    }

    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
