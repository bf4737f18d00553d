//! `telecine verify` and `telecine recover`: the service and the ledger, compared and brought together.

use clap::Args;
use serde_json::json;

use crate::{
    app::{self, OpenRun, run_name},
    cli::{
        args::{LedgerArgs, ManifestArgs, OutputArgs, ServiceArgs, values::DurationArg},
        block_on,
        output::{print, print_json, progress},
        signals,
    },
    error::{Error, ExitCode},
    ledger::{DiffKind, LibraryDiff, Restored, Snapshot},
    pipeline::{self, Recovery, RecoveryOutcome, Unmarked, Verification},
    report::{self, LibraryDiffReport, SCHEMA},
};

/// Flags of `telecine verify`.
#[derive(Args, Debug)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `telecine recover`.
#[derive(Args, Debug)]
pub(in crate::cli) struct RecoverArgs {
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
    settle_after: DurationArg,

    /// Videos that show no marker (still being indexed, failed, or sent without one) are somebody else's. Rows of yours
    /// among them would be paid again.
    #[arg(long, env = "TELECINE_UNMARKED_ARE_NOT_OURS", help_heading = "Settling")]
    unmarked_are_not_ours: bool,
}

/// Compares the whole library with the ledger and writes down what does not match.
pub(in crate::cli) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path(args.service.target());
    // a mistyped path must not make an empty ledger and call it equal
    drop(Snapshot::open(&path)?);
    let request = args.service.request(&path, &args.output, progress::events(&args.output))?;
    block_on(async {
        let signal_state = signals::listen(&request, signals::WAITING_FOR_ANSWERS)?;
        let OpenRun { context, .. } = app::open(&request, Restored::Refused, None).await?;
        let compared = tokio::select! {
            biased;
            () = context.signals.drain.cancelled() => {
                return Ok(signal_state.signal().unwrap_or(ExitCode::Interrupted));
            }
            compared = pipeline::verify(&context) => compared?,
        };
        context.events.close();
        let at = context.clock.now();
        let service = context.ledger.snapshot().await?.origin()?;
        context.ledger.close().await;
        let library_diffs = match compared {
            Verification::Complete(library_diffs) => library_diffs,
            Verification::Incomplete(cause) => {
                let text =
                    format!("the library cannot be read whole ({cause}); give the same command again\n");
                print(&text)?;
                return Ok(ExitCode::Temporary);
            }
        };
        let folder = request.reports.join(format!("{}-verify", run_name(at)));
        let report = LibraryDiffReport { service, at, library_diffs };
        let files = report::write_library_diff(&report, &folder)?;
        let (code, verdict) = library_diff_verdict(&report.library_diffs);
        let verdict = format!("exit {}: {verdict}", code.number());
        if args.output.json {
            print_json(&json!({
                "schema": SCHEMA, "service": report.service, "at": at.to_string(), "exit_code": code.number(),
                "verdict": verdict, "namespaces": report.library_diffs.iter().map(report::Compared::from).collect::<Vec<_>>(),
                "files": files,
            }))?;
        } else if !args.output.quiet {
            print(&report::show_library_diff(&report, &files, &verdict))?;
        }
        Ok(code)
    })
}

/// 0 when both sides agree, 6 when a human must look, 4 when only indexing failed.
fn library_diff_verdict(library_diffs: &[LibraryDiff]) -> (ExitCode, &'static str) {
    let any = |kinds: &[DiffKind]| {
        library_diffs.iter().any(|library_diff| kinds.iter().any(|kind| library_diff.count(*kind) > 0))
    };
    if any(&[DiffKind::Missing, DiffKind::Doubled, DiffKind::Foreign]) {
        (ExitCode::NeedsReview, "the two sides differ: see parity.csv")
    } else if any(&[DiffKind::Open, DiffKind::TagsHidden]) {
        (ExitCode::Temporary, "not all is settled; `telecine reconcile`, then verify again")
    } else if any(&[DiffKind::Failed]) {
        (ExitCode::SomeFailed, "both sides agree; some videos failed to be indexed")
    } else {
        (ExitCode::Success, "both sides agree")
    }
}

/// Builds a ledger from the service, or brings an old one up to date. Sends nothing.
pub(in crate::cli) fn recover(args: &RecoverArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    let path = args.ledger.path(args.service.target());
    let request = args.service.request(&path, &args.output, progress::events(&args.output))?;
    let unmarked = if args.unmarked_are_not_ours { Unmarked::AreNot } else { Unmarked::MayBeOurs };
    block_on(async {
        let signal_state = signals::listen(&request, signals::WAITING_FOR_ANSWERS)?;
        let OpenRun { context, run, .. } = app::open(&request, Restored::Recovering, Some("recover")).await?;
        let run = run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?.id;
        let recovered = tokio::select! {
            biased;
            () = context.signals.drain.cancelled() => RecoveryOutcome::Incomplete { cause: "it was stopped".to_owned() },
            recovered = pipeline::recover(&context, run, manifests, args.settle_after.0, unmarked) => recovered?,
        };
        context.events.close();
        let (code, recovery, reason) = match recovered {
            RecoveryOutcome::Incomplete { cause } => {
                let code = signal_state.signal().unwrap_or(ExitCode::Temporary);
                (code, Recovery::default(), format!("{cause}; give the same command again"))
            }
            RecoveryOutcome::Complete(recovery) => {
                let (code, reason) = recovery_end(&recovery);
                (code, recovery, reason)
            }
        };
        context.ledger.end_run(run, context.clock.now(), code.number(), reason.clone()).await?;
        context.ledger.close().await;
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
