//! `telecine status`: what the ledger holds, and what a running import does, at any time.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::Args;
use indicatif::DecimalBytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        callbacks::latest_published,
        explain::doubt_ends,
        running::{RunState, RunningRun, running},
        undo::open_deletions_text,
    },
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        block_on,
        output::{
            CommandEnd, fitted, print, print_data, print_end,
            runs::{RunBody, end_of, show_latest},
        },
    },
    clock::Clock,
    domain::{CallCounts, State, UnixMillis, counted, format_duration, shown_name},
    error::{Error, ExitCode},
    ledger::{FilesSent, LastError, LedgerPlace, RunRow, Snapshot},
    redact,
    report::{self, Counts, Spend, with_separators},
};

/// Runs shown.
const RUNS_SHOWN: u32 = 5;
/// How often `--watch` reads the ledger.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Clears a terminal from the upper left corner on.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Flags of `telecine status`.
#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Show the state again every 2 seconds, until the run has ended.
    ///
    /// Without a terminal, a line is printed when something changed.
    #[arg(long, env = "TELECINE_WATCH", help_heading = "Output", conflicts_with = "json")]
    watch: bool,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// What the ledger holds.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct StatusBody {
    /// The file of the ledger.
    ledger: LedgerPlace,
    /// Why nothing is sent with this ledger: it was moved, is a copy, or its recovery is not finished. `null`: it is in use.
    unused: Option<String>,
    /// The service that the ledger is bound to.
    service: String,
    /// The items of the ledger by state.
    items: Counts,
    /// What is paid or possibly paid.
    spend: Spend,
    /// Videos that are ordered to be deleted, and that no listing has proved to be gone yet.
    deletions_open: u64,
    /// When the next poll for indexing is due. `null`: nothing is being indexed.
    #[schemars(extend("format" = "date-time"))]
    next_poll_at: Option<String>,
    /// The run that uses the ledger now. `null`: none does.
    running: Option<RunningBody>,
    /// Calls of the service in the latest of these runs that received any. `null`: none did.
    calls: Option<CallsBody>,
    /// The latest runs, the newest first.
    runs: Vec<RunBody>,
}

/// Calls of the service in a run. Of one that goes on they are at most 30 seconds old.
#[derive(Serialize, JsonSchema)]
struct CallsBody {
    /// The name of the run.
    run: String,
    #[serde(flatten)]
    counts: CallCounts,
}

/// A run that another process carries out now.
#[derive(Serialize, JsonSchema)]
struct RunningBody {
    /// The name of the run.
    run: String,
    /// The command.
    command: String,
    /// The number of its process.
    pid: u32,
    /// The process and its machine.
    process: String,
    /// When it started.
    #[schemars(extend("format" = "date-time"))]
    started_at: String,
    /// `reading`, `uploading`, `indexing` or `recovering`.
    phase: &'static str,
    /// The limits of uploads in force in this run.
    limits: String,
    /// Requests of this run that the service accepted.
    uploaded: u64,
    /// Items of its manifests that wait to be sent.
    left: u64,
    /// Accepted uploads per minute, over the last minute.
    uploads_per_minute: u64,
    /// When the limits allow the next upload.
    #[schemars(extend("format" = "date-time"))]
    next_upload_at: String,
    /// Why nothing is sent before `next_upload_at`. `null`: nothing but the rate delays uploads.
    wait_reason: Option<String>,
    /// When the last item will have been sent, by the limits. `null`: nothing is left, or the run waits for something else.
    #[schemars(extend("format" = "date-time"))]
    finish_at: Option<String>,
    /// The files of this machine that it is sending. `null`: no file is.
    files: Option<FilesBody>,
    /// The last error. `null`: none.
    last_error: Option<LastErrorBody>,
}

/// Files that are being sent, as recorded twice a minute.
#[derive(Serialize, JsonSchema)]
struct FilesBody {
    /// How many they are.
    files: u64,
    /// Bytes of them that were sent.
    sent: u64,
    /// Their bytes.
    size: u64,
}

/// What went wrong last.
#[derive(Serialize, JsonSchema)]
struct LastErrorBody {
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// The number of the item.
    item: i64,
    /// Such as `rejected` or `answer_lost`.
    what: String,
    /// The cause. `null`: not known.
    cause: Option<String>,
}

impl RunningBody {
    fn of(run: &RunningRun, state: &RunState, uploaded: u64) -> Self {
        let last_error =
            state.last_error.as_ref().map(|LastError { at, item, event, cause, .. }| LastErrorBody {
                at: at.to_string(),
                item: item.number(),
                what: event.clone(),
                cause: cause.clone(),
            });
        Self {
            run: run.row.name.clone(),
            command: run.row.command.clone(),
            pid: run.pid,
            process: run.process.clone(),
            started_at: run.row.started_at.to_string(),
            phase: state.phase,
            limits: state.limits.clone(),
            uploaded,
            left: state.pending,
            uploads_per_minute: state.uploads_per_minute,
            next_upload_at: state.quota.next_upload_at.to_string(),
            wait_reason: state.wait.as_ref().map(|(_, why)| why.clone()),
            finish_at: state.sent_by.map(|at| at.to_string()),
            files: state.files.map(|FilesSent { files, sent, size }| FilesBody { files, sent, size }),
            last_error,
        }
    }
}

/// What is shown, as of one time.
struct Shown {
    unused: Option<String>,
    service: String,
    items: Counts,
    spend: Spend,
    deletions_open: u64,
    /// The commands that end these deletions.
    undo_commands: String,
    calls: Option<(String, CallCounts)>,
    oldest_doubt: Option<UnixMillis>,
    runs: Vec<RunRow>,
    running: Option<(RunningRun, RunState)>,
}

/// Shows what the ledger holds.
pub(in crate::cli) fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    if args.watch {
        return block_on(watch(args, &path, &snapshot));
    }
    let shown = read(args, &path, &snapshot)?;
    if args.json {
        let running = shown.running.as_ref().map(|(run, state)| {
            let uploads = snapshot.uploads_of_run(run.id)?;
            Ok::<_, Error>(RunningBody::of(run, state, uploads.uploaded))
        });
        let body = StatusBody {
            ledger: path,
            unused: shown.unused,
            service: shown.service,
            items: shown.items,
            spend: shown.spend,
            deletions_open: shown.deletions_open,
            next_poll_at: snapshot.next_poll_at()?.map(|timestamp| timestamp.to_string()),
            running: running.transpose()?,
            calls: shown.calls.map(|(run, counts)| CallsBody { run, counts }),
            runs: shown.runs.iter().map(RunBody::from).collect(),
        };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
    } else {
        print(&as_text(args, &path, &shown))?;
    }
    Ok(ExitCode::Success)
}

fn read(args: &StatusArgs, path: &LedgerPlace, snapshot: &Snapshot) -> Result<Shown, Error> {
    let running = running(snapshot, path)?;
    let running =
        running.map(|run| run.state(snapshot, &Clock::real()).map(|state| (run, state))).transpose()?;
    let items = Counts::from(&snapshot.state_counts()?);
    let spend = Spend::of(snapshot, &items, args.price.price())?;
    let deletions_open = snapshot.open_deletions()?;
    let undo_commands = open_deletions_text(snapshot, &args.ledger.flags(path))?;
    let (service, runs) = (snapshot.origin()?, snapshot.runs(RUNS_SHOWN)?);
    let calls = latest_published(snapshot, &runs)?;
    let unused = snapshot.why_unused(path).map(|error| error.to_string());
    let oldest_doubt = snapshot.oldest_doubt()?;
    Ok(Shown {
        unused,
        service,
        items,
        spend,
        deletions_open,
        undo_commands,
        calls,
        oldest_doubt,
        runs,
        running,
    })
}

fn as_text(args: &StatusArgs, path: &LedgerPlace, shown: &Shown) -> String {
    let (shown_path, flags) = (path.to_string(), args.ledger.flags(path));
    let mut text = report::show_status(&shown_path, &shown.service, &shown.items, &shown.spend, &flags);
    if let Some(why) = &shown.unused {
        let _ = writeln!(text, "  not in use: {why}");
    }
    if shown.deletions_open > 0 {
        let videos = counted(shown.deletions_open, "video is", "videos are");
        let _ = writeln!(
            text,
            "  {videos} ordered to be deleted, not proven to be gone: {}",
            shown.undo_commands
        );
    }
    if let Some(sent_at) = shown.oldest_doubt {
        let _ =
            writeln!(text, "\n  the oldest request in doubt was sent at {sent_at}. {}", doubt_ends(sent_at));
    }
    if let Some((run, state)) = &shown.running {
        let _ = writeln!(text, "\n  running: {} {} ({})", run.row.command, run.row.name, run.process);
        let left = with_separators(state.pending);
        let _ = writeln!(text, "    {}, {left} left to send, limits {}", state.phase, state.limits);
        let _ = writeln!(
            text,
            "    {} in the last minute{}",
            counted(state.uploads_per_minute, "upload", "uploads"),
            ends(state)
        );
        if let Some((until, why)) = &state.wait {
            // what was due is being tried again
            let until = if *until > Clock::real().now() { format!(" until {until}") } else { String::new() };
            let _ = writeln!(text, "    nothing can be sent{until}: {}", redact::sentence(why));
        }
        if let Some(FilesSent { files, sent, size }) = state.files {
            let (files, sent, size) =
                (counted(files, "file", "files"), DecimalBytes(sent), DecimalBytes(size));
            let _ = writeln!(text, "    sending {files}: {sent} of {size}");
        }
        if let Some(LastError { at, item, event, cause, .. }) = &state.last_error {
            let cause = cause.as_ref().map(|cause| format!(": {}", redact::clean(cause))).unwrap_or_default();
            let _ = writeln!(text, "    last error: {at} item {item} {}{cause}", shown_name(event));
        }
    }
    if shown.running.is_none() && shown.items.sending > 0 {
        let requests = counted(shown.items.sending, "request is", "requests are");
        let _ = writeln!(
            text,
            "\n  {requests} without an answer from a run that has ended: the next import or `telecine reconcile` looks for \
             the videos before anything is sent again"
        );
    }
    if let Some((run, counts)) = &shown.calls {
        let _ = writeln!(text, "\n  {} (run {run})", report::callbacks_line(counts));
    }
    if !shown.runs.is_empty() {
        let now = shown.running.as_ref().map(|(run, _)| (run.row.name.as_str(), run.process.as_str()));
        let _ = write!(text, "\n  latest runs\n{}", show_latest(&shown.runs, now));
    }
    text
}

/// `, next upload 2026-01-31T12:00:00Z, all sent by 2026-01-31T14:00:00Z (in 2 h)`.
fn ends(state: &RunState) -> String {
    let now = Clock::real().now();
    let mut text = String::new();
    if state.pending > 0 && state.wait.is_none() && state.quota.next_upload_at.after_now(now) > WATCH_INTERVAL
    {
        let _ = write!(text, ", next upload {}", state.quota.next_upload_at);
    }
    if let Some(at) = state.sent_by {
        let _ = write!(text, ", all sent by {at} (in {})", format_duration(at.after_now(now)));
    }
    text
}

/// Shows the state until the run has ended.
async fn watch(args: &StatusArgs, path: &LedgerPlace, snapshot: &Snapshot) -> Result<ExitCode, Error> {
    let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let is_redrawn = io::stdout().is_terminal() && !is_dumb;
    let clock = Clock::real();
    let mut last = String::new();
    loop {
        let shown = read(args, path, snapshot)?;
        if is_redrawn {
            let text = fitted(&as_text(args, path, &shown), &io::stdout());
            print_data(&format!("{CLEAR}{text}"))?;
        } else {
            let line = as_line(&shown);
            if line != last {
                print(&format!("{}  {line}\n", clock.now()))?;
                last = line;
            }
        }
        if shown.running.is_none() {
            return Ok(ExitCode::Success);
        }
        clock.sleep(WATCH_INTERVAL).await;
    }
}

/// `uploading: 1,204 of 5,000 searchable, 3,700 left to send, 12 failed or rejected, 58 uploads in the last minute`.
fn as_line(shown: &Shown) -> String {
    let items = &shown.items;
    let what = match &shown.running {
        Some((_, state)) => state.phase.to_owned(),
        None => shown.runs.first().map_or_else(|| "no run".to_owned(), |run| end_of(run, None)),
    };
    let count = with_separators;
    let mut text = format!("{what}: {} of {} searchable", count(items.indexed), count(items.total));
    let parts = [
        (items.pending, "left to send"),
        (items.accepted, "being indexed"),
        (items.in_doubt + items.accepted_unidentified, "in doubt"),
        (items.needs_review, State::NeedsReview.label(items.needs_review)),
        (items.failed + items.rejected + items.abandoned, "failed or rejected"),
    ];
    for (number, what) in parts.iter().filter(|(number, _)| *number > 0) {
        let _ = write!(text, ", {} {what}", count(*number));
    }
    if let Some((_, state)) = &shown.running {
        let _ =
            write!(text, ", {} in the last minute", counted(state.uploads_per_minute, "upload", "uploads"));
    }
    text
}
