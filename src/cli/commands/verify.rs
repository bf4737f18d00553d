//! `telecine verify`: the service and the ledger, compared.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{self, run_name},
    cli::{
        args::RunArgs,
        block_on, finish,
        output::{CommandEnd, NoFields, print, print_end},
        signals,
    },
    error::{Error, ExitCode},
    ledger::{DiffKind, LibraryDiff, Restored, Snapshot},
    pipeline::{self, Verification},
    report::{self, LibraryDiffReport, ParityProof, ReportFile},
};

/// Flags of `telecine verify`.
#[derive(Args, Debug)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    run: RunArgs,

    /// A file of videos that others put into the namespaces: they are not reported.
    ///
    /// One video number a line, or a CSV with a column `video_no`. Second videos and videos of open rows of this ledger are
    /// reported all the same.
    #[arg(long, value_name = "FILE", env = "TELECINE_ALLOW", value_delimiter = ',')]
    allow: Vec<PathBuf>,
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

/// Compares the whole library with the ledger and reports what does not match.
pub(in crate::cli) fn verify(args: &VerifyArgs) -> Result<ExitCode, Error> {
    let request = args.run.request(&[], args.run.events())?;
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
                if args.run.output.json {
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
                if args.run.output.json {
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
        if args.run.output.json {
            let namespaces = report.library_diffs.iter().map(report::Compared::from).collect();
            let body = VerifyBody {
                service: report.service,
                at: at.to_string(),
                verdict: verdict.clone(),
                namespaces,
                files,
            };
            print_end(&CommandEnd { reason: verdict, ..CommandEnd::of(code) }, &body)?;
        } else if !args.run.output.quiet || code != ExitCode::Success {
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
    let differing = [
        DiffKind::Missing,
        DiffKind::Surplus,
        DiffKind::Rejected,
        DiffKind::OtherMarker,
        DiffKind::Foreign,
        DiffKind::Undeleted,
    ];
    if any(&differing) {
        (ExitCode::NeedsReview, "service and ledger differ: see library_diff.csv")
    } else if any(&[DiffKind::Open, DiffKind::TagsHidden]) {
        (ExitCode::Temporary, "some items are not final yet; run `telecine reconcile`, then verify again")
    } else if any(&[DiffKind::DeletionOpen]) {
        (ExitCode::Temporary, "some deletions are not proven yet; run the same `telecine undo` again")
    } else if any(&[DiffKind::FailedLater]) {
        (ExitCode::SomeFailed, "some videos that were searchable are failed now: see library_diff.csv")
    } else if any(&[DiffKind::Failed]) {
        (ExitCode::SomeFailed, "service and ledger agree; some videos could not be indexed")
    } else {
        (ExitCode::Success, "service and ledger agree")
    }
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
