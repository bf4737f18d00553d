//! `telecine undo`: deletes at the service what a run created, or second videos.

use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        self, OpenRun, RunRequest,
        undo::{self, UndoEnd, UndoPlan},
    },
    cli::{
        args::{PriceArgs, RunArgs},
        block_on, finish,
        output::{CommandEnd, print, print_end, print_json},
        signals::{self, SignalState},
        who,
    },
    domain::{Rate, VideoNo, at_most_shown, shown_name},
    error::{Error, ExitCode},
    ledger::{DeletionOrder, ItemId, LedgerPlace, Restored, RunVideo, Snapshot, UndoAction},
    manifest::Filter,
    pipeline::{self, DeletionStop, KeptVideo, SecondVideo, SecondVideos, UnfinishedDeletion},
    redact,
    report::{self, SCHEMA, shell_word},
};

/// Said when deletions are stopped.
const STOPPING: &str = "stopping: the same command continues";

/// Flags of `telecine undo`.
#[derive(Args, Debug)]
pub(in crate::cli) struct UndoArgs {
    /// The name of an import, as telecine runs prints it, or `last` for the latest import.
    #[arg(value_name = "RUN", required_unless_present = "duplicates")]
    run: Option<String>,

    /// Delete second videos instead: the oldest video of each row is kept.
    ///
    /// Second videos carry a marker of the same row. Reads the whole library.
    #[arg(long, env = "TELECINE_DUPLICATES", conflicts_with_all = ["run", "filters"])]
    duplicates: bool,

    /// Where the ledger has the younger of two videos of a row, keep that one and delete the older one.
    ///
    /// Without it both are kept and named.
    #[arg(long, env = "TELECINE_KEEP_BOUND", requires = "duplicates")]
    keep_bound: bool,

    /// Only rows whose manifest columns match COLUMN=VALUE.
    ///
    /// Operators: = (is), != (is not), ~ (contains), !~ (does not contain).
    #[arg(long = "where", value_name = "COLUMN=VALUE", env = "TELECINE_WHERE", value_delimiter = '\n')]
    filters: Vec<Filter>,

    /// Delete. Without it the videos are only listed. A settings file cannot set it.
    #[arg(long, env = "TELECINE_UNDO_YES")]
    yes: bool,

    /// The reason, which is kept in the ledger.
    #[arg(long, value_name = "TEXT", env = "TELECINE_WHY", default_value = "no reason given")]
    why: String,

    /// How often to ask for deletions; one request names up to 95 videos [default: 1/3s].
    #[arg(
        long,
        value_name = "N/PERIOD",
        env = "TELECINE_DELETE_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    delete_rate: Vec<Rate>,

    #[command(flatten)]
    price: PriceArgs,

    #[command(flatten)]
    run_args: RunArgs,
}

/// One video of an undo.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct UndoLine {
    schema: u32,
    /// `delete`, `delete_if_marked` (only if the service shows the marker of its request), `deleted` (by an earlier undo), `keep`,
    /// or after an attempt to delete it `open` (not proven to be gone).
    action: &'static str,
    /// `null`: it is not known.
    video_no: Option<String>,
    item: i64,
    /// The manifest, and the line in which its row was last read.
    manifest: Option<String>,
    line: Option<u64>,
    /// The url, with secrets redacted.
    url: Option<String>,
    /// Why it is kept or open.
    reason: Option<String>,
}

/// An undo in numbers.
#[derive(Default, Serialize, JsonSchema)]
pub(in crate::cli) struct UndoBody {
    /// The run whose videos are meant. `null`: second videos.
    run: Option<String>,
    /// Videos to delete, before anything was deleted.
    delete: u64,
    /// Of these, those that are deleted only if the service shows the marker of their request.
    if_marked: u64,
    /// Videos that stay, each with a line.
    kept: u64,
    /// Videos that an earlier undo has deleted.
    already_deleted: u64,
    /// What the uploads of these videos cost. Deleting gives nothing back. `null`: no price was given.
    credits: Option<String>,
    /// Videos that listings prove to be gone now.
    deleted: u64,
    /// Videos that were ordered to be deleted, and are not proven to be gone. Each has a line.
    open: u64,
    /// Videos that were not tried.
    left: u64,
    /// The command that deletes them. `null`: this one did, or there is nothing to delete.
    command: Option<String>,
}

/// Lists what would be deleted, or deletes it.
pub(in crate::cli) fn undo(args: &UndoArgs) -> Result<ExitCode, Error> {
    match &args.run {
        Some(name) => undo_run(args, name),
        None => block_on(undo_duplicates(args)),
    }
}

fn undo_run(args: &UndoArgs, name: &str) -> Result<ExitCode, Error> {
    let path = args.run_args.ledger.path_to_change(args.run_args.target())?;
    let snapshot = Snapshot::open(&path)?;
    let run = undo::run_of(&snapshot, name)?;
    let run_name = snapshot.run(run)?.name;
    let show = |video: &RunVideo, action| show_video(args, video, action);
    let mut plan = undo::plan(&snapshot, run, &args.filters, |_, _| Ok(()))?;
    if !args.yes || plan.delete == 0 {
        undo::plan(&snapshot, run, &args.filters, show)?;
    }
    let open_deletions = snapshot.open_deletions()?;
    let commands =
        undo::open_deletions_text(&snapshot, &args.run_args.ledger.flags(args.run_args.target(), &path))?;
    drop(snapshot);
    let mut body = UndoBody { run: Some(run_name.clone()), ..body_of(args, &plan) };
    if plan.delete == 0 && open_deletions > 0 {
        let videos = report::counted(open_deletions, "video", "videos");
        let reason = format!(
            "{NOTHING} (of run {run_name}), but {videos} were ordered to be deleted and are not proven to be gone: {commands}"
        );
        return end(args, ExitCode::Temporary, reason, &body);
    }
    if !args.yes || plan.delete == 0 {
        let filters =
            args.filters.iter().map(|filter| format!(" --where {}", shell_word(&filter.to_string())));
        let what = format!("{}{}", shell_word(&run_name), filters.collect::<String>());
        let names = ["video", "videos"].map(|name| format!("{name} of run {run_name}"));
        return end_list(args, body, names.each_ref().map(String::as_str), &command_of(args, &path, &what));
    }
    block_on(async {
        let request = request_of(args)?;
        let signal_state = signals::listen(&request, STOPPING)?;
        let open = app::open(&request, Restored::Refused, Some("undo")).await?;
        let order = order_of(args, &open)?;
        // listed once no other process can use the ledger: "delete" is shown of what is deleted
        plan = undo::plan(&Snapshot::open(&path)?, run, &args.filters, show)?;
        body = UndoBody { run: body.run, ..body_of(args, &plan) };
        let deleting = undo::delete(&open.context, &order, run, &plan);
        let drain = &open.context.signals.drain;
        let deleted = drain.run_until_cancelled(deleting).await.transpose()?;
        end_deletion(args, &open, &signal_state, body, deleted).await
    })
}

async fn undo_duplicates(args: &UndoArgs) -> Result<ExitCode, Error> {
    let path = args.run_args.ledger.path_to_change(args.run_args.target())?;
    drop(Snapshot::open(&path)?);
    let request = request_of(args)?;
    let signal_state = signals::listen(&request, STOPPING)?;
    let open = app::open(&request, Restored::Refused, args.yes.then_some("undo")).await?;
    let drain = &open.context.signals.drain;
    let keep = if args.keep_bound { KeptVideo::Bound } else { KeptVideo::Oldest };
    let second = tokio::select! {
        biased;
        () = drain.cancelled() => return end_stopped(args, &open, &signal_state).await,
        second = pipeline::second_videos(&open.context, keep) => second?,
    };
    if let Some(cause) = &second.incomplete {
        let reason = format!("the library cannot be compared ({cause}); nothing was deleted");
        return end_open(args, &open, ExitCode::Temporary, reason, UndoBody::default()).await;
    }
    let tasks = undo::second_video_tasks(&open.context, &second).await?;
    let all = tasks.values().map(Vec::len).sum::<usize>() as u64;
    show_second(args, &open, &second).await?;
    let plan = UndoPlan { delete: all, kept: second.kept.len() as u64, ..UndoPlan::default() };
    let body = body_of(args, &plan);
    if !args.yes || all == 0 {
        finish(&open.context.events).await;
        let what = if args.keep_bound { "--duplicates --keep-bound" } else { "--duplicates" };
        let command = command_of(args, &path, what);
        if args.yes {
            return end_open(args, &open, ExitCode::Success, NOTHING.to_owned(), body).await;
        }
        open.context.ledger.close().await;
        return end_list(args, body, ["second video", "second videos"], &command);
    }
    let order = order_of(args, &open)?;
    let deleted = tokio::select! {
        biased;
        () = drain.cancelled() => None,
        deleted = undo::delete_second_videos(&open.context, &order, &tasks) => Some(deleted?),
    };
    end_deletion(args, &open, &signal_state, body, deleted).await
}

const NOTHING: &str = "there is nothing to delete";

fn request_of(args: &UndoArgs) -> Result<RunRequest, Error> {
    let mut request = args.run_args.request(&[], args.run_args.events())?;
    request.limits.delete_at(args.delete_rate.clone());
    Ok(request)
}

fn order_of(args: &UndoArgs, open: &OpenRun) -> Result<DeletionOrder, Error> {
    let run = open.run.as_ref().ok_or_else(|| Error::Usage("no run was begun".to_owned()))?.id;
    Ok(DeletionOrder { run, who: who(), why: redact::clean(&args.why) })
}

fn body_of(args: &UndoArgs, plan: &UndoPlan) -> UndoBody {
    UndoBody {
        delete: plan.delete,
        if_marked: plan.if_marked,
        kept: plan.kept,
        already_deleted: plan.already,
        credits: args.price.price().map(|price| price.of(plan.delete).to_string()),
        left: plan.delete,
        ..UndoBody::default()
    }
}

/// The command that deletes what was listed.
fn command_of(args: &UndoArgs, path: &LedgerPlace, what: &str) -> String {
    let mut flags = args.run_args.ledger.flags(args.run_args.target(), path);
    if let Some(url) = &args.run_args.service.api_url {
        let _ = write!(flags, " --api-url {}", shell_word(url));
    }
    format!("telecine undo {what}{flags} --yes")
}

fn show_video(args: &UndoArgs, video: &RunVideo, action: UndoAction) -> Result<(), Error> {
    let (word, reason) = match action {
        UndoAction::Delete => ("delete", None),
        UndoAction::DeleteIfMarked => {
            ("delete_if_marked", Some("only if the service shows the marker of its request".to_owned()))
        }
        UndoAction::AlreadyDeleted => ("deleted", None),
        UndoAction::Keep(kept) => ("keep", Some(kept.text())),
    };
    let row = &video.row;
    show_line(
        args,
        &UndoLine {
            schema: SCHEMA,
            action: word,
            video_no: row.video_no.clone(),
            item: row.item.number(),
            manifest: Some(row.manifest.clone()),
            line: Some(row.line),
            url: Some(redact::url(&row.url)),
            reason,
        },
    )
}

/// Shows a video that is known by its item alone.
async fn show_of_item(
    args: &UndoArgs,
    open: &OpenRun,
    action: &'static str,
    video_no: Option<&VideoNo>,
    item: ItemId,
    reason: &str,
) -> Result<(), Error> {
    let history = open.context.ledger.read(move |snapshot| snapshot.item_history(item)).await?;
    let (manifest, row, url) = history.map_or((None, None, None), |history| {
        let url = redact::url(history.submission.url.as_str());
        (Some(history.manifest), Some(history.line), Some(url))
    });
    let video_no = video_no.map(ToString::to_string);
    let reason = Some(reason.to_owned());
    let item = item.number();
    show_line(args, &UndoLine { schema: SCHEMA, action, video_no, item, manifest, line: row, url, reason })
}

async fn show_second(args: &UndoArgs, open: &OpenRun, second: &SecondVideos) -> Result<(), Error> {
    for SecondVideo { task, kept, .. } in &second.found {
        let reason = format!("{kept} is kept");
        show_of_item(args, open, "delete", Some(&task.video_no), task.item, &reason).await?;
    }
    for (item, cause) in &second.kept {
        show_of_item(args, open, "keep", None, *item, cause).await?;
    }
    Ok(())
}

async fn show_unfinished(
    args: &UndoArgs,
    open: &OpenRun,
    action: &'static str,
    videos: &[UnfinishedDeletion],
) -> Result<(), Error> {
    for video in videos {
        show_of_item(args, open, action, Some(&video.video_no), video.item, &video.cause).await?;
    }
    Ok(())
}

/// `delete  VI635229846249218048  item 3  m.csv:4  https://host/clip.mp4`.
fn show_line(args: &UndoArgs, line: &UndoLine) -> Result<(), Error> {
    if args.run_args.output.json {
        return print_json(line);
    }
    // what stays or is not proven must be seen
    if args.run_args.output.quiet && !matches!(line.action, "open" | "keep") {
        return Ok(());
    }
    let number = line.video_no.as_deref().map_or_else(|| "(no number)".to_owned(), redact::clean);
    let place = line.manifest.as_ref().zip(line.line);
    let place = place.map(|(manifest, number)| format!("  {}:{number}", redact::clean(manifest)));
    let url = line.url.as_ref().map(|url| format!("  {url}"));
    let reason = line.reason.as_ref().map(|reason| format!("  ({})", redact::clean(reason)));
    let more = [place, url, reason].into_iter().flatten().collect::<String>();
    print(&format!("{:<16} {number:<22} item {}{more}\n", shown_name(line.action), line.item))
}

/// Ends a command that only listed.
fn end_list(
    args: &UndoArgs,
    mut body: UndoBody,
    [one, many]: [&str; 2],
    command: &str,
) -> Result<ExitCode, Error> {
    if body.delete == 0 {
        return end(args, ExitCode::Success, format!("there is no {one} to delete"), &body);
    }
    let credits =
        body.credits.as_ref().map(|credits| format!(", whose uploads cost {}", at_most_shown(credits)));
    let count = report::counted(body.delete, one, many);
    let them = if body.delete == 1 { "it" } else { "them" };
    let reason = format!(
        "{count}{}; nothing was deleted: {command} deletes {them} permanently and gives no credits back",
        credits.unwrap_or_default()
    );
    body.command = Some(command.to_owned());
    end(args, ExitCode::NeedsReview, reason, &body)
}

/// Ends a command that deleted. `deleted`: `None` if a signal stopped it.
async fn end_deletion(
    args: &UndoArgs,
    open: &OpenRun,
    signal_state: &SignalState,
    mut body: UndoBody,
    deleted: Option<UndoEnd>,
) -> Result<ExitCode, Error> {
    let Some(end) = deleted else { return end_stopped(args, open, signal_state).await };
    finish(&open.context.events).await;
    show_unfinished(args, open, "keep", &end.kept).await?;
    show_unfinished(args, open, "open", &end.open).await?;
    body.deleted = end.gone;
    body.open = end.open.len() as u64;
    body.kept += end.kept.len() as u64;
    body.left = end.left;
    let (code, reason) = status_of(&end, body.kept);
    end_open(args, open, code, reason, body).await
}

/// The exit code after deletions, and its sentence.
fn status_of(end: &UndoEnd, kept: u64) -> (ExitCode, String) {
    let mut text = report::counted(end.gone, "video is deleted", "videos are deleted");
    text.push_str(", which listings prove");
    let more = [
        (kept, "is kept, with the reason", "are kept, with the reason"),
        (end.open.len() as u64, "is not proven to be gone", "are not proven to be gone"),
        (end.left, "was not tried", "were not tried"),
    ];
    for (count, one, many) in more.into_iter().filter(|(count, ..)| *count > 0) {
        let _ = write!(text, "; {}", report::counted(count, one, many));
    }
    match &end.stop {
        Some(DeletionStop::Refused { reason, cause }) => {
            let (what, next) = report::stop_reason(*reason);
            (report::stop_code(*reason), format!("{what} ({cause}); {text}; {next}"))
        }
        Some(DeletionStop::Later { cause }) => {
            (ExitCode::Temporary, format!("{cause}; {text}; the same command continues"))
        }
        None if end.is_ignored() => (
            ExitCode::NeedsReview,
            format!(
                "{text}: the service answers as if it had deleted them, and lists them all the same; the same command asks again"
            ),
        ),
        None if !end.open.is_empty() => {
            (ExitCode::Temporary, format!("{text}; the same command looks again"))
        }
        None => (ExitCode::Success, text),
    }
}

async fn end_stopped(args: &UndoArgs, open: &OpenRun, signal_state: &SignalState) -> Result<ExitCode, Error> {
    finish(&open.context.events).await;
    let code = signal_state.signal().unwrap_or(ExitCode::Interrupted);
    let reason = "stopped by a signal; the same command continues".to_owned();
    end_open(args, open, code, reason, UndoBody::default()).await
}

/// Records the end of the run, closes the ledger and prints the end.
async fn end_open(
    args: &UndoArgs,
    open: &OpenRun,
    code: ExitCode,
    reason: String,
    body: UndoBody,
) -> Result<ExitCode, Error> {
    let context = &open.context;
    context.events.close();
    finish(&context.events).await;
    if let Some(run) = &open.run {
        let (run, at, text) = (run.id, context.clock.now(), reason.clone());
        context.ledger.write(move |store| store.end_run(run, at, code.number(), &text)).await?;
    }
    context.ledger.clone().close().await;
    end(args, code, reason, &body)
}

fn end(args: &UndoArgs, code: ExitCode, reason: String, body: &UndoBody) -> Result<ExitCode, Error> {
    if args.run_args.output.json {
        let next_step = body.command.clone();
        print_end(&CommandEnd { reason, next_step, ..CommandEnd::of(code) }, body)?;
    } else if !args.run_args.output.quiet || code != ExitCode::Success {
        print(&format!("\n{reason}\n"))?;
    }
    Ok(code)
}
