//! `telecine verify` and `telecine recover`: the service and the ledger, compared and brought together.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{self, run_name},
    cli::{
        args::{LedgerArgs, ManifestArgs, OutputArgs, ServiceArgs, values::DurationArg},
        block_on, finish,
        output::{CommandEnd, NoFields, print, print_end, sinks},
        signals,
    },
    error::{Error, ExitCode},
    ledger::{DiffKind, LibraryDiff, Restored, Snapshot},
    pipeline::{self, Recovery, RecoveryOutcome, Unmarked, Verification},
    report::{self, LibraryDiffReport, ParityProof, ReportFile},
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

    /// A file of videos that others put into the namespaces: they are not reported.
    ///
    /// One video number a line, or a CSV with a column `video_no`. Second videos and videos of open rows of this ledger are
    /// reported all the same.
    #[arg(long, value_name = "FILE", env = "TELECINE_ALLOW", value_delimiter = ',')]
    allow: Vec<PathBuf>,
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

    /// The time between the two listings, for requests of a killed run that may still arrive.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TELECINE_SETTLE_AFTER",
        default_value = "30m",
        help_heading = "Waiting and reconciliation"
    )]
    settle_after: DurationArg,

    /// Videos without a marker belong to other clients.
    ///
    /// These are videos that are still being indexed, that failed, or that were sent without a marker. If one of them is a
    /// row of this ledger, its row is sent and paid again.
    #[arg(long, env = "TELECINE_UNMARKED_ARE_NOT_OURS", help_heading = "Waiting and reconciliation")]
    unmarked_are_not_ours: bool,
}

/// The service compared with the ledger.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct VerifyBody {
    service: String,
    /// When the comparison ended.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    verdict: String,
    namespaces: Vec<report::Compared>,
    files: Vec<ReportFile>,
}

/// What a recovery found.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct RecoverBody {
    /// Videos in the listings.
    listed: u64,
    /// Items that were bound to their video.
    bound: u64,
    /// Second videos of an item, which were paid twice.
    surplus: u64,
    /// Videos with a marker whose row is in none of the manifests.
    without_row: u64,
    /// Videos of rows that are not sent now. They are recorded, so that the rows are not sent again.
    remembered: u64,
    /// Videos without a marker.
    unmarked: u64,
    /// Videos that are being indexed, and do not show their tags yet.
    tags_hidden: u64,
    /// Videos that failed to be indexed: they never show their tags.
    failed: u64,
    /// Whether the ledger is complete and imports are allowed.
    is_complete: bool,
}

/// Compares the whole library with the ledger and reports what does not match.
pub(in crate::cli) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let request = args.service.request(&args.ledger, &[], &args.output, sinks::events(&args.output))?;
    // a mistyped path must not make an empty ledger and call it equal
    drop(Snapshot::open(&request.ledger)?);
    report::try_folder(&request.reports)?;
    let mut theirs = HashSet::new();
    for path in &args.allow {
        theirs.extend(report::read_allowed(path)?);
    }
    block_on(async {
        let signal_state = signals::listen(&request, signals::WAITING_FOR_ANSWERS)?;
        // the rest of it, such as the embedded sandbox, must live as long as the context
        let open = app::open(&request, Restored::Refused, None).await?;
        let context = open.context;
        let compared = tokio::select! {
            biased;
            () = context.signals.drain.cancelled() => {
                let code = signal_state.signal().unwrap_or(ExitCode::Interrupted);
                finish(&context.events).await;
                if args.output.json {
                    print_end(&CommandEnd::of(code), &NoFields {})?;
                }
                return Ok(code);
            }
            compared = pipeline::verify(&context) => compared?,
        };
        context.events.close();
        finish(&context.events).await;
        let at = context.clock.now();
        let service = context.ledger.read(Snapshot::origin).await?;
        let library_diffs = match compared {
            Verification::Complete(mut library_diffs) => {
                for library_diff in &mut library_diffs {
                    library_diff.allow(&theirs);
                }
                let (code, verdict) = library_diff_verdict(&library_diffs);
                let proof = ParityProof::new(at, code, &verdict, &library_diffs);
                context.ledger.write(move |store| proof.keep(store)).await?;
                library_diffs
            }
            Verification::Incomplete(cause) => {
                context.ledger.close().await;
                let reason =
                    format!("the library cannot be read completely ({cause}); run the same command again");
                if args.output.json {
                    print_end(&CommandEnd { reason, ..CommandEnd::of(ExitCode::Temporary) }, &NoFields {})?;
                } else {
                    print(&format!("{reason}\n"))?;
                }
                return Ok(ExitCode::Temporary);
            }
        };
        context.ledger.close().await;
        let folder = request.reports.join(format!("{}-verify", run_name(at)));
        let report = LibraryDiffReport { service, at, library_diffs };
        let files = report::write_library_diff(&report, &folder)?;
        let (code, verdict) = library_diff_verdict(&report.library_diffs);
        if args.output.json {
            let namespaces = report.library_diffs.iter().map(report::Compared::from).collect();
            let body = VerifyBody {
                service: report.service,
                at: at.to_string(),
                verdict: verdict.clone(),
                namespaces,
                files,
            };
            print_end(&CommandEnd { reason: verdict, ..CommandEnd::of(code) }, &body)?;
        } else if !args.output.quiet {
            let verdict = format!("exit {}: {verdict}", code.number());
            print(&report::show_library_diff(&report, &files, &verdict))?;
        }
        Ok(code)
    })
}

/// The exit code of a comparison, and the sentence about it.
fn library_diff_verdict(library_diffs: &[LibraryDiff]) -> (ExitCode, String) {
    let shared = library_diffs.iter().find_map(|library_diff| {
        Some(pipeline::namespaces_ignored(&library_diff.namespace, library_diff.shared_with.as_ref()?))
    });
    if let Some(text) = shared {
        return (ExitCode::NeedsReview, text);
    }
    let (code, text) = agreement(library_diffs);
    (code, text.to_owned())
}

fn agreement(library_diffs: &[LibraryDiff]) -> (ExitCode, &'static str) {
    let any = |kinds: &[DiffKind]| {
        library_diffs.iter().any(|library_diff| kinds.iter().any(|kind| library_diff.count(*kind) > 0))
    };
    let differing =
        [DiffKind::Missing, DiffKind::Surplus, DiffKind::Rejected, DiffKind::Foreign, DiffKind::Undeleted];
    if any(&differing) {
        (ExitCode::NeedsReview, "service and ledger differ: see library_diff.csv")
    } else if any(&[DiffKind::Open, DiffKind::TagsHidden]) {
        (ExitCode::Temporary, "some items are not final yet; run `telecine reconcile`, then verify again")
    } else if any(&[DiffKind::DeletionOpen]) {
        (ExitCode::Temporary, "some deletions are not proven yet; give the same `telecine undo` again")
    } else if any(&[DiffKind::Failed]) {
        (ExitCode::SomeFailed, "service and ledger agree; some videos could not be indexed")
    } else {
        (ExitCode::Success, "service and ledger agree")
    }
}

/// Builds a ledger from the service, or brings an old one up to date. Sends nothing.
pub(in crate::cli) fn recover(args: &RecoverArgs) -> Result<ExitCode, Error> {
    let events = sinks::events(&args.output);
    args.manifest.check_one_account("recover")?;
    let manifests = args.manifest.open(&events)?;
    let paths = &args.manifest.manifests;
    let request = args.service.request(&args.ledger, paths, &args.output, events)?;
    let unmarked = if args.unmarked_are_not_ours { Unmarked::AreNot } else { Unmarked::MayBeOurs };
    block_on(async {
        let signal_state = signals::listen(&request, signals::WAITING_FOR_ANSWERS)?;
        // the rest of it, such as the embedded sandbox, must live as long as the context
        let open = app::open(&request, Restored::Recovering, Some("recover")).await?;
        let context = open.context;
        let run = open.run.ok_or_else(|| Error::Usage("no run was begun".to_owned()))?.id;
        let recovered = tokio::select! {
            biased;
            () = context.signals.drain.cancelled() => Ok(RecoveryOutcome::Incomplete { cause: "it was stopped".to_owned() }),
            recovered = pipeline::recover(&context, run, manifests, args.settle_after.0, unmarked) => recovered,
        };
        context.events.close();
        finish(&context.events).await;
        let recovered = match recovered {
            Ok(recovered) => recovered,
            Err(error) => {
                let error = Error::from(error);
                app::record_failure(&context.ledger, run, context.clock.now(), &error).await;
                return Err(error);
            }
        };
        let (code, recovery, reason) = match recovered {
            RecoveryOutcome::Incomplete { cause } => {
                let code = signal_state.signal().unwrap_or(ExitCode::Temporary);
                (code, Recovery::default(), format!("{cause}; run the same command again"))
            }
            RecoveryOutcome::Complete(recovery) => {
                let (code, reason) = recovery_end(&recovery);
                (code, recovery, reason)
            }
        };
        let (at, end_reason) = (context.clock.now(), reason.clone());
        context.ledger.write(move |store| store.end_run(run, at, code.number(), &end_reason)).await?;
        context.ledger.close().await;
        if args.output.json {
            let body = RecoverBody {
                listed: recovery.listed,
                bound: recovery.bound,
                surplus: recovery.surplus,
                without_row: recovery.without_row,
                remembered: recovery.remembered,
                unmarked: recovery.unmarked,
                tags_hidden: recovery.tags_hidden,
                failed: recovery.failed,
                is_complete: recovery.is_whole,
            };
            print_end(&CommandEnd { reason, ..CommandEnd::of(code) }, &body)?;
        } else if !args.output.quiet {
            print(&report::show_recovery(&recovery_lines(&recovery), code, &reason))?;
        }
        Ok(code)
    })
}

fn recovery_end(recovery: &Recovery) -> (ExitCode, String) {
    if !recovery.is_whole {
        let counted = report::counted;
        let mut open = Vec::new();
        if recovery.tags_hidden > 0 {
            let videos = counted(recovery.tags_hidden, "video is", "videos are");
            open.push(format!("{videos} being indexed: run the same command again when that has ended"));
        }
        let unmarked = recovery.failed + recovery.unmarked;
        if unmarked > 0 {
            let videos = counted(unmarked, "video shows", "videos show");
            let failed = counted(recovery.failed, "of them failed", "of them failed");
            open.push(format!(
                "{videos} no marker ({failed} to be indexed): if none of them is yours, add --unmarked-are-not-ours"
            ));
        }
        return (ExitCode::Temporary, open.join("; "));
    }
    if recovery.surplus > 0 {
        let reason =
            format!("{} videos are second videos of their row: they were paid twice", recovery.surplus);
        return (ExitCode::NeedsReview, reason);
    }
    let reason = if recovery.listed == 0 {
        "the service lists no video; if it should, the key, --api-url or --unique-id is of another account or namespace"
    } else {
        "the ledger knows every upload; you can import again"
    };
    (ExitCode::Success, reason.to_owned())
}

fn recovery_lines(recovery: &Recovery) -> [(u64, &'static str); 8] {
    [
        (recovery.listed, "videos listed"),
        (recovery.bound, "rows bound to their video"),
        (recovery.surplus, "second videos of a row"),
        (recovery.without_row, "videos with a marker whose row is in none of these manifests"),
        (recovery.remembered, "videos of rows that are not sent now; recorded"),
        (recovery.tags_hidden, "videos being indexed, which show no tags yet"),
        (recovery.failed, "videos that failed to be indexed, which show no tags"),
        (recovery.unmarked, "videos without a marker"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::DiffEntry;

    #[test]
    fn every_finding_has_the_exit_code_that_the_documentation_names() {
        let page = include_str!("../../../docs/recovery.md");
        for kind in DiffKind::ALL {
            let finding = DiffEntry { kind: *kind, video_no: None, item: None, url: None, detail: None };
            let library_diff = LibraryDiff { findings: vec![finding], ..LibraryDiff::of("default") };
            let (code, _) = library_diff_verdict(&[library_diff]);
            let name = format!("`{}`", kind.as_str());
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(&name));
            let row = row.unwrap_or_else(|| panic!("docs/recovery.md does not name {name}"));
            assert!(row.ends_with(&format!("| {} |", code.number())), "{code:?}: {row}");
        }
    }
}
