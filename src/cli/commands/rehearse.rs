//! `telecine rehearse`: an import against a sandbox in this process, faults included, on a clock that runs fast.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        RequestedLimits, StoredLimits,
        rehearse::{self, RehearsalRequest, ServiceTotals},
    },
    cli::{
        args::{
            ManifestArgs, SettleArgs,
            behaviour::BehaviourArgs,
            limits::{ReadLimitArgs, UploadLimitArgs, given},
            values,
        },
        block_on, finish,
        output::{CommandEnd, print, print_end, sinks},
        signals,
    },
    domain::{Limit, counted, format_duration},
    error::{Error, ExitCode},
    events::EventBus,
    pipeline::{RunPolicy, Signals},
    report::{self, Summary, with_separators},
};

/// Flags of `telecine rehearse`.
#[derive(Args, Debug)]
pub(in crate::cli) struct RehearseArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    limits: UploadLimitArgs,
    #[command(flatten)]
    reads: ReadLimitArgs,
    #[command(flatten)]
    settle: SettleArgs,

    /// The speed of the clock: at 1000, two hours take seven seconds.
    #[arg(long, value_name = "N", env = "TELECINE_SPEED", default_value_t = 1000, help_heading = "Mock service",
          value_parser = values::whole::<u32>(1..=10_000))]
    speed: u32,

    /// The upload rate of the mock service [default: the same as --rate].
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SERVICE_RATE", help_heading = "Mock service")]
    service_rate: Option<Limit>,

    /// The caps of the mock service [default: the same as --cap].
    #[arg(
        long,
        value_name = "N/PERIOD",
        env = "TELECINE_SERVICE_CAP",
        value_delimiter = ',',
        help_heading = "Mock service"
    )]
    service_cap: Vec<Limit>,

    #[command(flatten)]
    behaviour: BehaviourArgs,

    /// Keep the ledger and the reports in this folder. It must not contain a rehearsal.
    #[arg(long, value_name = "DIR", env = "TELECINE_KEEP", help_heading = "Output")]
    keep: Option<PathBuf>,

    /// Print one JSON object per line on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,

    /// Print errors and the result only.
    #[arg(short, long, env = "TELECINE_QUIET", help_heading = "Output")]
    quiet: bool,
}

/// The totals of the mock service, beside the fields of a run.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct RehearsalTotals<'a> {
    service_totals: &'a ServiceTotals,
    #[serde(flatten)]
    #[schemars(skip)]
    summary: &'a Summary,
}

/// Rehearses an import.
pub(in crate::cli) fn rehearse(args: &RehearseArgs) -> Result<ExitCode, Error> {
    let events = EventBus::new(sinks::sinks_for(args.json, args.quiet, args.speed));
    args.manifest.check_one_account("rehearse")?;
    // nothing but the sandbox is reached
    let manifests = args.manifest.open_with_links(&events)?;
    let limits = RequestedLimits::new(given(&args.limits, &args.reads), false);
    let request = RehearsalRequest {
        speed: args.speed,
        limits: limits.over(&StoredLimits::default())?,
        policy: RunPolicy {
            marker: args.manifest.marker(),
            reconcile: args.settle.rules()?,
            wait: args.settle.wait(),
            namespace: args.manifest.unique_id.clone(),
            ..RunPolicy::default()
        },
        behaviour: args.behaviour.policy(None, Vec::new()),
        service_rate: args.service_rate,
        service_caps: args.service_cap.clone(),
        keep: args.keep.clone(),
        events,
        signals: Signals::default(),
    };
    let (summary, totals) = block_on(async {
        let (drain, events) = (request.signals.drain.clone(), request.events.clone());
        let signal = signals::listen_for(drain, events, signals::WAITING_FOR_ANSWERS)?;
        let ended = rehearse::rehearse(&request, manifests, || signal.signal()).await;
        finish(&request.events).await;
        ended
    })?;
    show(args, &summary, &totals)?;
    if totals.agree() {
        return Ok(summary.exit_code);
    }
    Err(Error::Totals(format!(
        "the service accepted {} twice, and {} to no item",
        counted(totals.accepted_twice, "source", "sources"),
        counted(totals.orphans, "video belongs", "videos belong")
    )))
}

fn show(args: &RehearseArgs, summary: &Summary, totals: &ServiceTotals) -> Result<(), Error> {
    if args.json {
        let body = RehearsalTotals { service_totals: totals, summary };
        return print_end(&CommandEnd::of_run("rehearsal_ended", summary), &body);
    }
    let mut text = report::show_summary(summary);
    let took = format_duration(Duration::from_secs_f64((summary.seconds / f64::from(totals.speed)).max(0.0)));
    let _ =
        writeln!(text, "\n  a rehearsal on a clock that was {} times as fast; it took {took}", totals.speed);
    let balanced = if totals.accepted_twice + totals.orphans == 0 {
        "each once, and each belongs to an item: the totals agree".to_owned()
    } else {
        format!(
            "{} twice, {} without an item: the totals do NOT agree",
            counted(totals.accepted_twice, "source", "sources"),
            with_separators(totals.orphans)
        )
    };
    let _ =
        writeln!(text, "  the service accepted {}, {balanced}", counted(totals.accepted, "video", "videos"));
    let _ = writeln!(
        text,
        "  it refused {} and {} because of a limit, and injected faults into {}",
        counted(totals.refusals, "upload", "uploads"),
        counted(totals.read_refusals, "read", "reads"),
        counted(totals.faults, "upload", "uploads")
    );
    print(&text)
}
