//! `telecine sandbox`, and the sandbox inside `import --sandbox`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    app::{
        self,
        sandbox::{mock_service, start},
    },
    cli::{
        args::values::{self, DurationRangeArg},
        output::print,
    },
    domain::Limit,
    error::{Error, ExitCode},
    sandbox::{CapCounts, Fault, Faults, Limiter, ListOrder, Policy},
};

/// Flags of `telecine sandbox`.
#[derive(Args, Debug)]
pub(in crate::cli) struct SandboxArgs {
    /// Where to listen; loopback only. Port 0 takes a free one and prints it.
    #[arg(long, value_name = "ADDRESS", env = "TELECINE_LISTEN", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,

    /// Uploads each account (API key) may make.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_SANDBOX_RATE")]
    rate: Option<Limit>,

    /// A rolling cap on accepted uploads, such as 120/2h; several hold together.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_SANDBOX_CAP", value_delimiter = ',')]
    cap: Vec<Limit>,

    /// Requests of any kind each account may make, where one quota covers all.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_SANDBOX_TOTAL_RATE")]
    total_rate: Option<Limit>,

    /// Keep a record of accepted videos in this file, one JSON line each, and go on from it.
    #[arg(long, value_name = "FILE", env = "TELECINE_SANDBOX_RECORD")]
    record: Option<PathBuf>,

    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// How the modelled service behaves, but for its limits.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Args, Debug)]
#[command(next_help_heading = "The modelled service")]
pub(in crate::cli) struct BehaviourArgs {
    /// Let caps count only uploads that are still being indexed.
    #[arg(long, env = "TELECINE_SANDBOX_CAP_OF_INDEXING")]
    cap_of_indexing: bool,

    /// Demand a minimum distance between requests instead of counting them over the span.
    #[arg(long, env = "TELECINE_SANDBOX_SPACING", conflicts_with = "fixed")]
    spacing: bool,

    /// Count requests in spans of the clock, such as each minute, instead of any trailing span.
    #[arg(long, env = "TELECINE_SANDBOX_FIXED")]
    fixed: bool,

    /// How long a request, and its answer, is on the way.
    #[arg(long, value_name = "SPAN[..SPAN]", env = "TELECINE_SANDBOX_WAY")]
    way: Option<DurationRangeArg>,

    /// Listings and single reads each account may make.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_SANDBOX_READ_RATE")]
    read_rate: Option<Limit>,

    /// Credits of each account, one an upload.
    #[arg(long, value_name = "N", env = "TELECINE_SANDBOX_CREDITS")]
    credits: Option<u64>,

    /// How long an upload takes to be answered.
    #[arg(
        long,
        value_name = "SPAN[..SPAN]",
        env = "TELECINE_SANDBOX_ANSWER_DELAY",
        default_value = "20ms..80ms"
    )]
    answer_delay: DurationRangeArg,

    /// How long indexing takes.
    #[arg(long, value_name = "SPAN[..SPAN]", env = "TELECINE_SANDBOX_INDEX_DELAY", default_value = "2s..6s")]
    index_delay: DurationRangeArg,

    /// The share of videos whose indexing fails, 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_FAIL_SHARE", default_value = "0", value_parser = values::share)]
    fail_share: f64,

    /// How long a new video stays invisible to listings.
    #[arg(long, value_name = "SPAN", env = "TELECINE_SANDBOX_LAG")]
    lag: Option<values::DurationArg>,

    /// List oldest first instead of newest first.
    #[arg(long, env = "TELECINE_SANDBOX_OLDEST_FIRST")]
    oldest_first: bool,

    /// The share of uploads that something goes wrong with, 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    fault_share: f64,

    /// What goes wrong, one of these at a time [default: all but redirect]: cut-before, cut-after, late, hang, bad-gateway,
    /// bad-gateway-before, html, half-json, abnormal, abnormal-before, unnamed, repeated, busy, redirect.
    #[arg(long, value_name = "FAULTS", env = "TELECINE_SANDBOX_FAULTS", value_delimiter = ',', value_parser = fault)]
    faults: Vec<Fault>,

    /// What goes wrong with certain uploads, counted from 1: 3:cut-after,7:late.
    #[arg(long, value_name = "N:FAULT", env = "TELECINE_SANDBOX_FAULTS_AT", value_delimiter = ',', value_parser = fault_at)]
    faults_at: Vec<(u64, Fault)>,

    /// How much later a `late` video is taken, at most.
    #[arg(long, value_name = "SPAN", env = "TELECINE_SANDBOX_LATENESS", default_value = "60s")]
    lateness: values::DurationArg,

    /// The share of listings that something goes wrong with: cut, 502, short or lost pages, wrong totals, null.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_READ_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    read_fault_share: f64,

    /// The share of videos that listings never show, though `get_metadata` does.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_UNLISTED_SHARE", default_value = "0", value_parser = values::share)]
    unlisted_share: f64,

    /// Put the service's clock ahead by this.
    #[arg(long, value_name = "SPAN", env = "TELECINE_SANDBOX_CLOCK_AHEAD")]
    clock_ahead: Option<values::DurationArg>,

    /// Send Retry-After with refusals.
    #[arg(long, value_name = "SPAN", env = "TELECINE_SANDBOX_RETRY_AFTER")]
    retry_after: Option<values::DurationArg>,

    /// The seed of the random numbers.
    #[arg(long, value_name = "N", env = "TELECINE_SANDBOX_SEED", default_value_t = 1)]
    seed: u64,
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::from_name(name).ok_or_else(|| {
        let words: Vec<&str> = Fault::ALL.iter().map(|(_, as_str)| *as_str).collect();
        format!("expected one of {}", words.join(", "))
    })
}

fn fault_at(text: &str) -> Result<(u64, Fault), String> {
    let (number, name) = text.split_once(':').ok_or("expected N:FAULT such as 3:cut-after")?;
    let number = number.parse().map_err(|_| "expected the number of an upload, counted from 1".to_owned())?;
    Ok((number, fault(name)?))
}

impl BehaviourArgs {
    /// A service that behaves so, with these limits.
    pub(in crate::cli) fn policy(&self, upload_rate: Option<Limit>, caps: Vec<Limit>) -> Policy {
        Policy {
            upload_rate,
            caps,
            cap_counts: if self.cap_of_indexing { CapCounts::Indexing } else { CapCounts::Accepted },
            limiter: match (self.spacing, self.fixed) {
                (true, _) => Limiter::Spacing,
                (false, true) => Limiter::Fixed,
                (false, false) => Limiter::Sliding,
            },
            read_rate: self.read_rate,
            way: self.way.map_or(Duration::ZERO..=Duration::ZERO, |way| way.low..=way.high),
            credits: self.credits,
            answer_delay: self.answer_delay.low..=self.answer_delay.high,
            index_delay: self.index_delay.low..=self.index_delay.high,
            fail_share: self.fail_share,
            visibility_lag: self.lag.map_or(Duration::ZERO, |duration| duration.0),
            order: if self.oldest_first { ListOrder::OldestFirst } else { ListOrder::NewestFirst },
            faults: Faults {
                share: self.fault_share,
                kinds: if self.faults.is_empty() { Fault::passing() } else { self.faults.clone() },
            },
            faults_at: self.faults_at.clone(),
            lateness_max: self.lateness.0,
            read_fault_share: self.read_fault_share,
            unlisted_share: self.unlisted_share,
            clock_ahead_ms: self
                .clock_ahead
                .map_or(0, |duration| i64::try_from(duration.0.as_millis()).unwrap_or(0)),
            retry_after: self.retry_after.map(|duration| duration.0),
            seed: self.seed,
            ..Policy::default()
        }
    }
}

/// Serves the sandbox until the process is stopped.
pub(in crate::cli) fn sandbox(args: &SandboxArgs) -> Result<ExitCode, Error> {
    if !args.listen.ip().is_loopback() {
        return Err(Error::Usage(format!("--listen {}: the sandbox listens on loopback only", args.listen)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Sandbox(error.to_string()))?;
    runtime.block_on(async {
        let behaviour = args.behaviour.policy(args.rate, args.cap.clone());
        let policy = Policy { total_rate: args.total_rate, ..behaviour };
        let mock = mock_service(policy, app::clock::of_sandbox(), args.record.as_deref())?;
        let server = start(mock, args.listen).await?;
        print(&format!(
            "sandbox listening on http://{0}\n  try: MEMORIES_API_KEY=any telecine import MANIFEST --api-url http://{0}\n",
            server.address()
        ))?;
        tokio::select! {
            biased;
            () = server.finished() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::Success)
    })
}
