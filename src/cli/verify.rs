//! `telecine verify` and `telecine recover`: the service and the ledger, compared and brought together.

use clap::Args;
use serde_json::json;

use super::{
    args::{LedgerArgs, ManifestArgs, OutputArgs, ServiceArgs},
    limits::Asked,
    print, print_json,
    run::{self, Opened, Order},
    values::Span,
};
use crate::{
    error::{Error, ExitCode},
    ledger::{FindingKind, Marker, Parity, Reruns, Restored, Snapshot},
    pipeline::{self, AcceptedItems, CutShort, DoubtRules, OnDoubt, Recovery, RunPolicy, Unmarked},
    report::{self, ParityReport, SCHEMA},
};

/// Flags of `telecine verify`.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `telecine recover`.
#[derive(Args, Debug)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    output: OutputArgs,

    /// How long a request of whoever died may still be on its way: a second look comes after it.
    #[arg(
        long,
        value_name = "SPAN",
        env = "TELECINE_SETTLE_AFTER",
        default_value = "30m",
        help_heading = "Settling"
    )]
    settle_after: Span,

    /// Videos that show no marker (still being indexed, failed, or sent without one) are somebody else's. Rows of yours
    /// among them would be paid again.
    #[arg(long, env = "TELECINE_UNMARKED_ARE_NOT_OURS", help_heading = "Settling")]
    unmarked_are_not_ours: bool,
}

/// A policy for work that uploads nothing.
fn reading_policy() -> RunPolicy {
    RunPolicy {
        quota_wait_max: None,
        concurrency: 1,
        marker: Marker::On,
        doubts: DoubtRules { quiet: std::time::Duration::from_mins(30), on_doubt: OnDoubt::Hold },
        wait: None,
        time_max: None,
        rows_max: None,
        uploads_max: Some(0),
        disk_free_min: 0,
        reruns: Reruns::default(),
        probe_age_max: None,
        accepted: AcceptedItems::Watch,
        namespace: String::new(),
    }
}

fn reading_order<'a>(
    service: &'a ServiceArgs,
    output: &'a OutputArgs,
    ledger: &'a std::path::Path,
) -> Order<'a> {
    let limits = Asked::for_reading(&service.reads, service.target());
    Order { service, output, ledger, limits, policy: reading_policy(), concurrency: None, price: None }
}

/// Compares the whole library with the ledger and writes down what does not match.
pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path(args.service.target());
    // a mistyped path must not make an empty ledger and call it equal
    drop(Snapshot::open(&path)?);
    let key = run::api_key(&args.service)?;
    let order = reading_order(&args.service, &args.output, &path);
    run::block_on(async {
        let Opened { doors, stopping, .. } = run::open(&order, Restored::Refused, &key, None).await?;
        let compared = tokio::select! {
            biased;
            () = doors.signals.drain.cancelled() => {
                return Ok(stopping.signal().unwrap_or(ExitCode::Interrupted));
            }
            compared = pipeline::verify(&doors) => compared?,
        };
        doors.monitor.close();
        let at = doors.clock.now();
        let service = doors.ledger.snapshot().await?.origin()?;
        doors.ledger.close().await;
        let parities = match compared {
            Ok(parities) => parities,
            Err(cause) => {
                let text =
                    format!("the library cannot be read whole ({cause}); give the same command again\n");
                print(&text)?;
                return Ok(ExitCode::Temporary);
            }
        };
        let folder = args.output.folder(&path, &format!("{}-verify", run::run_name(at)));
        let report = ParityReport { service, at, parities };
        let files = report::write_parity(&report, &folder)?;
        let (code, verdict) = parity_verdict(&report.parities);
        let verdict = format!("exit {}: {verdict}", code.number());
        if args.output.json {
            print_json(&json!({
                "schema": SCHEMA, "service": report.service, "at": at.to_string(), "exit_code": code.number(),
                "verdict": verdict, "namespaces": report.parities.iter().map(report::Compared::from).collect::<Vec<_>>(),
                "files": files,
            }))?;
        } else if !args.output.quiet {
            print(&report::show_parity(&report, &files, &verdict))?;
        }
        Ok(code)
    })
}

/// 0 when both sides agree, 6 when a human must look, 4 when only indexing failed.
fn parity_verdict(parities: &[Parity]) -> (ExitCode, &'static str) {
    let any = |kinds: &[FindingKind]| {
        parities.iter().any(|parity| kinds.iter().any(|kind| parity.count(*kind) > 0))
    };
    if any(&[FindingKind::Missing, FindingKind::Doubled, FindingKind::Elsewhere]) {
        (ExitCode::NeedsReview, "the two sides differ: see parity.csv")
    } else if any(&[FindingKind::Open, FindingKind::Untold]) {
        (ExitCode::Temporary, "not all is settled; `telecine reconcile`, then verify again")
    } else if any(&[FindingKind::Failed]) {
        (ExitCode::SomeFailed, "both sides agree; some videos failed to be indexed")
    } else {
        (ExitCode::Success, "both sides agree")
    }
}

/// Builds a ledger from the service, or brings an old one up to date. Sends nothing.
pub(super) fn recover(args: &RecoverArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    let path = args.ledger.path(args.service.target());
    let key = run::api_key(&args.service)?;
    let order = reading_order(&args.service, &args.output, &path);
    let unmarked = if args.unmarked_are_not_ours { Unmarked::AreNot } else { Unmarked::MayBeOurs };
    run::block_on(async {
        let Opened { doors, stopping, run, .. } =
            run::open(&order, Restored::Recovering, &key, Some("recover")).await?;
        let run = run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?.id;
        let recovered = tokio::select! {
            biased;
            () = doors.signals.drain.cancelled() => Err(CutShort { cause: "it was stopped".to_owned() }),
            recovered = pipeline::recover(&doors, run, manifests, args.settle_after.0, unmarked) => recovered?,
        };
        doors.monitor.close();
        let (code, recovery, reason) = match recovered {
            Err(cut) => {
                let code = stopping.signal().unwrap_or(ExitCode::Temporary);
                (code, Recovery::default(), format!("{}; give the same command again", cut.cause))
            }
            Ok(recovery) => {
                let (code, reason) = recovery_end(&recovery);
                (code, recovery, reason)
            }
        };
        doors.ledger.end_run(run, doors.clock.now(), code.number(), reason.clone()).await?;
        doors.ledger.close().await;
        if args.output.json {
            print_json(&json!({
                "schema": SCHEMA, "listed": recovery.listed, "bound": recovery.bound, "surplus": recovery.surplus,
                "without_row": recovery.without_row, "remembered": recovery.remembered, "unmarked": recovery.unmarked,
                "untold": recovery.untold, "is_whole": recovery.is_whole,
                "exit_code": code.number(), "exit_reason": reason,
            }))?;
        } else if !args.output.quiet {
            print(&report::show_recovery(&recovery_lines(&recovery), code, &reason))?;
        }
        Ok(code)
    })
}

fn recovery_end(recovery: &Recovery) -> (ExitCode, String) {
    if !recovery.is_whole {
        let reason = format!(
            "{} videos do not show what they carry (give the same command again when they are indexed), {} carry no \
             marker; none of them is yours? then say --unmarked-are-not-ours",
            recovery.untold, recovery.unmarked
        );
        return (ExitCode::Temporary, reason);
    }
    if recovery.surplus > 0 {
        let reason = format!("{} videos are second ones of their row: paid twice", recovery.surplus);
        return (ExitCode::NeedsReview, reason);
    }
    (ExitCode::Success, "the ledger knows all that was sent; import goes on from here".to_owned())
}

fn recovery_lines(recovery: &Recovery) -> [(u64, &'static str); 7] {
    [
        (recovery.listed, "videos listed"),
        (recovery.bound, "rows found at the service, and bound"),
        (recovery.surplus, "second videos of a row"),
        (recovery.without_row, "with a marker whose row is in none of these manifests"),
        (recovery.remembered, "of rows that are not to be sent now: remembered"),
        (recovery.untold, "not showing what they carry"),
        (recovery.unmarked, "without a marker"),
    ]
}
