//! `telecine recover`: brings a lost or an old ledger up to date from the service.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app,
    cli::{
        args::{ManifestArgs, RunArgs, values::DurationArg},
        block_on, finish,
        output::{CommandEnd, print, print_end},
        signals,
    },
    error::{Error, ExitCode},
    ledger::Restored,
    pipeline::{self, Recovery, RecoveryOutcome, Unmarked},
    report,
};

/// Flags of `telecine recover`.
#[derive(Args, Debug)]
pub(in crate::cli) struct RecoverArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    run: RunArgs,

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
    /// These are videos that failed to be indexed, or that were sent without a marker. If one of them is a row of this ledger,
    /// its row is sent and paid again. Videos that are still being indexed are waited for all the same.
    #[arg(long, env = "TELECINE_UNMARKED_ARE_NOT_OURS", help_heading = "Waiting and reconciliation")]
    unmarked_are_not_ours: bool,
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

/// Builds a ledger from the service, or brings an old one up to date. Sends nothing.
pub(in crate::cli) fn recover(args: &RecoverArgs) -> Result<ExitCode, Error> {
    let events = args.run.events();
    args.manifest.check_one_account("recover")?;
    let manifests = args.manifest.open(&events)?;
    let paths = &args.manifest.manifests;
    let request = args.run.request(paths, events)?;
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
        if args.run.output.json {
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
        } else if !args.run.output.quiet || code != ExitCode::Success {
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
        let reason = format!(
            "{}: their rows were paid twice",
            report::counted(recovery.surplus, "second video", "second videos")
        );
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
