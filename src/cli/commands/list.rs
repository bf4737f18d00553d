//! `telecine list`: items as a table, chosen by state, time, reason and run.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    str::FromStr,
};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use strum::VariantArray as _;

use crate::{
    cli::{
        args::{
            ReadOnlyLedgerArgs,
            values::{self, SinceArg},
        },
        output::{CommandEnd, NoFields, print_end, runs::run_of, safe},
    },
    clock::Clock,
    domain::State,
    error::{Error, ExitCode},
    ledger::{ListFilter, ListedItem, Snapshot},
    redact,
    report::{ItemTable, SCHEMA, counted},
    suggest,
};

/// Flags of `telecine list`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {
    /// Only items in these states, such as `failed` or `rejected,in_doubt`.
    ///
    /// The states are pending, sending, `in_doubt`, `accepted_unidentified`, `needs_review`, accepted, indexed, failed, rejected,
    /// abandoned and deleted.
    #[arg(long, value_name = "STATE", env = "TELECINE_STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<State>,

    /// Only items that changed in this time, such as 2d, or since this time, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "DURATION|TIME", env = "TELECINE_SINCE")]
    since: Option<SinceArg>,

    /// Only items whose reason contains this text. Case does not matter.
    #[arg(long, value_name = "TEXT", env = "TELECINE_REASON", allow_hyphen_values = true)]
    reason: Option<String>,

    /// Only items that this run read or sent; `last` is the latest run.
    #[arg(long, value_name = "ID", env = "TELECINE_RUN")]
    run: Option<String>,

    /// Show at most N items.
    #[arg(long, value_name = "N", env = "TELECINE_LIMIT", value_parser = values::whole::<u64>(1..=u64::MAX))]
    limit: Option<u64>,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print CSV on stdout.
    #[arg(long, env = "TELECINE_CSV", help_heading = "Output", conflicts_with = "json")]
    csv: bool,

    /// Print one JSON object per item on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// A state by its name, with `_`, `-` or a blank.
fn state(text: &str) -> Result<State, String> {
    let name = text.trim().to_lowercase().replace(['-', ' '], "_");
    let names = || State::VARIANTS.iter().map(|state| state.as_str());
    // the words of summaries for states, where they are others
    let by_label =
        || State::VARIANTS.iter().find(|state| state.label(1).split(" (").next() == Some(text.trim()));
    State::from_str(&name).map_err(|_| {
        let near = by_label().map(|state| state.as_str()).or_else(|| suggest::nearest(&name, names()));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("expected one of {}{hint}", names().collect::<Vec<_>>().join(", "))
    })
}

/// One item of the list.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ListLine {
    /// The version of this contract.
    schema: u32,
    /// The number of the item.
    item: i64,
    /// The state.
    state: &'static str,
    /// The manifest that last held the row.
    manifest: String,
    /// The line in which its row was last read.
    line: u64,
    /// The id of the row. `null`: it has none.
    id: Option<String>,
    /// The url, with secrets redacted.
    url: String,
    /// The namespace.
    unique_id: String,
    /// The number of the video. `null`: not known.
    video_no: Option<String>,
    /// When it was sent last. `null`: never.
    #[schemars(extend("format" = "date-time"))]
    sent_at: Option<String>,
    /// When it last changed.
    #[schemars(extend("format" = "date-time"))]
    changed_at: String,
    /// The latest cause.
    reason: Option<String>,
}

impl From<ListedItem> for ListLine {
    fn from(item: ListedItem) -> Self {
        Self {
            schema: SCHEMA,
            item: item.item.number(),
            state: item.state.as_str(),
            manifest: item.manifest,
            line: item.line,
            id: item.external_id,
            url: redact::url(&item.url),
            unique_id: item.namespace,
            video_no: item.video_no,
            sent_at: item.sent_at.map(|at| at.to_string()),
            changed_at: item.changed_at.to_string(),
            reason: item.cause,
        }
    }
}

/// Lists items. A reader of the output that goes away ends the list.
pub(in crate::cli) fn list(args: &ListArgs) -> Result<ExitCode, Error> {
    let snapshot = Snapshot::open(&args.ledger.path()?)?;
    let now = Clock::real().not_before(snapshot.latest_timestamp()?).now();
    let filter = ListFilter {
        states: args.state.clone(),
        since: args.since.map(|since| since.before(now)),
        reason: args.reason.clone(),
        run: args.run.as_ref().map(|name| run_of(&snapshot, name)).transpose()?,
    };
    let out = io::BufWriter::new(io::stdout().lock());
    match write_list(args, &snapshot, &filter, out) {
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Success),
        written => written.map(|()| ExitCode::Success),
    }
}

fn write_list(
    args: &ListArgs,
    snapshot: &Snapshot,
    filter: &ListFilter,
    mut out: impl Write,
) -> Result<(), Error> {
    let (mut shown, mut is_cut) = (0, false);
    let mut each = |write: &mut dyn FnMut(ListedItem) -> Result<(), Error>| {
        snapshot.each_listed_item(filter, |item| {
            is_cut = args.limit.is_some_and(|limit| shown == limit);
            if is_cut {
                return Ok::<bool, Error>(false);
            }
            shown += 1;
            write(item).map(|()| true)
        })
    };
    if args.csv {
        let mut table = ItemTable::new(out)?;
        // a program reads the cells as they are
        let is_shown = io::stdout().is_terminal();
        each(&mut |item| table.item(&if is_shown { cleaned(item) } else { item }))?;
        return table.finish();
    }
    if args.json {
        each(&mut |item| write_json(&mut out, &ListLine::from(item)))?;
        out.flush().map_err(Error::Output)?;
        drop(out);
        return print_end(&CommandEnd::of(ExitCode::Success), &NoFields {});
    }
    writeln!(out, "{:>9}  {:<13} {:<20}  row", "item", "state", "changed").map_err(Error::Output)?;
    each(&mut |item| out.write_all(as_text(&item).as_bytes()).map_err(Error::Output))?;
    let items = counted(shown, "item", "items");
    let more = if is_cut { "; there are more" } else { "" };
    writeln!(out, "{items}{more}").map_err(Error::Output)?;
    out.flush().map_err(Error::Output)
}

/// An item whose texts are safe for a terminal.
fn cleaned(item: ListedItem) -> ListedItem {
    let clean = |text: Option<String>| text.map(|text| safe(&text));
    ListedItem {
        manifest: safe(&item.manifest),
        namespace: safe(&item.namespace),
        external_id: clean(item.external_id),
        video_no: clean(item.video_no),
        cause: clean(item.cause),
        ..item
    }
}

fn write_json(out: &mut impl Write, line: &ListLine) -> Result<(), Error> {
    serde_json::to_writer(&mut *out, line).map_err(|error| Error::Output(error.into()))?;
    out.write_all(b"\n").map_err(Error::Output)
}

/// Two lines: its state, and why.
fn as_text(item: &ListedItem) -> String {
    let id = item.external_id.as_ref().map(|id| format!(" (id {})", redact::clean(id))).unwrap_or_default();
    let place = format!("{}:{}", redact::clean(&item.manifest), item.line);
    let state = item.state.shown();
    let video =
        item.video_no.as_ref().map(|number| format!(" {}", redact::clean(number))).unwrap_or_default();
    let mut text = format!(
        "{:>9}  {state:<13} {:<20}  {place}{id} {}{video}\n",
        item.item.number(),
        item.changed_at.to_string(),
        redact::url(&item.url),
    );
    if let Some(cause) = &item.cause {
        let _ = writeln!(text, "{:>9}  {}", "", redact::clean(cause));
    }
    text
}
