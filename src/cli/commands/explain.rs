//! `telecine explain`: one item's life, from the ledger.

use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{
        explain::{self, FoundItems, Named},
        preview::shown_fields,
        running::{RunningRun, running},
    },
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        output::{CommandEnd, print, print_end, safe, show_problem},
    },
    clock::Clock,
    domain::{Price, UnixMillis, at_most_shown, hex, shown_name},
    error::{Error, ExitCode},
    ledger::{EventRow, ItemHistory, LedgerPlace, RequestRow, RowIssue, Snapshot},
    redact,
    report::counted,
};

/// Flags of `telecine explain`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ExplainArgs {
    /// A url, an id, a video number, `line N`, `FILE:N` or `item N`.
    #[arg(value_name = "WHAT", num_args = 1..=2, required = true)]
    what: Vec<String>,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// The items that were named.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ExplainBody {
    ledger: LedgerPlace,
    /// Where it was sought, a sentence each.
    searched: Vec<String>,
    items: Vec<ItemBody>,
    /// Rows of the last run that are no items: invalid rows, duplicates and drifted rows.
    rows: Vec<RowBody>,
}

/// One item and its history.
#[derive(Serialize, JsonSchema)]
struct ItemBody {
    item: i64,
    state: &'static str,
    manifest: String,
    /// The line in which its row was last read.
    line: u64,
    /// The run that last read its row.
    seen_by: Option<String>,
    id: Option<String>,
    /// The key that identifies it, as hexadecimal.
    key: String,
    /// What the key is made of.
    key_of: &'static str,
    #[schemars(extend("format" = "date-time"))]
    admitted_at: String,
    /// The fields as they are sent, in their order; addresses are redacted.
    fields: Vec<(&'static str, String)>,
    video_no: Option<String>,
    /// The latest cause.
    cause: Option<String>,
    requests: Vec<RequestBody>,
    events: Vec<EventBody>,
    answers: Vec<AnswerBody>,
    /// Its videos that were ordered to be deleted, second videos too.
    deletions: Vec<DeletionBody>,
    /// Uploads that are paid.
    uploads_paid: u64,
    /// Uploads that may be paid.
    uploads_unclear: u64,
    /// What all of them cost at most. `null`: no price was given.
    credits_max: Option<String>,
    /// What happens next by itself.
    next: String,
    /// What the user can do, a sentence or a command each.
    you_can: Vec<String>,
}

/// One request.
#[derive(Serialize, JsonSchema)]
struct RequestBody {
    attempt: i64,
    run: String,
    state: String,
    marker: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    sent_at: String,
    #[schemars(extend("format" = "date-time"))]
    answered_at: Option<String>,
    video_no: Option<String>,
    /// The evidence that bound the video: `reply`, `marker`, `callback`, `sole_candidate` or `human`.
    bound_by: Option<String>,
    /// The answer, or why there is none.
    cause: Option<String>,
    /// The decision that the user must make, with the evidence.
    question: Option<String>,
    candidates: Vec<String>,
    /// The videos that calls of the service named for it before it was accepted.
    called: Vec<String>,
}

/// One event.
#[derive(Serialize, JsonSchema)]
struct EventBody {
    #[schemars(extend("format" = "date-time"))]
    at: String,
    attempt: Option<i64>,
    name: String,
    detail: Option<String>,
}

/// One answer of the user.
#[derive(Serialize, JsonSchema)]
struct AnswerBody {
    #[schemars(extend("format" = "date-time"))]
    at: String,
    answer: String,
    video_no: Option<String>,
    who: String,
    why: String,
}

/// A video that was ordered to be deleted.
#[derive(Serialize, JsonSchema)]
struct DeletionBody {
    video_no: String,
    #[schemars(extend("format" = "date-time"))]
    ordered_at: String,
    /// When a listing proved that it is gone. `null`: nothing proves it yet.
    #[schemars(extend("format" = "date-time"))]
    gone_at: Option<String>,
    who: String,
    why: String,
}

/// A row that is no item.
#[derive(Serialize, JsonSchema)]
struct RowBody {
    manifest: String,
    line: u64,
    /// `invalid`, `duplicate` or `drifted`.
    kind: &'static str,
    /// What is wrong with it, or in what it differs, a sentence each.
    problems: Vec<String>,
    /// The line of the earlier row, for a duplicate.
    first_line: Option<u64>,
}

/// Explains the items that the user names.
pub(in crate::cli) fn explain(args: &ExplainArgs) -> Result<ExitCode, Error> {
    let named = Named::parse(&args.what)?;
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    let now = Clock::real().not_before(snapshot.latest_timestamp()?).now();
    let found = explain::find(&snapshot, &named)?;
    if found.items.is_empty() && found.rows.is_empty() {
        return Err(Error::Usage(format!(
            "the ledger {} has no such item. Searched: {}. Rows that were imported with --same-by id are found by their id",
            path,
            found.searched.join("; ")
        )));
    }
    let running = running(&snapshot, &path)?;
    let seen = SeenBy { now, running, flags: args.ledger.flags(&path), price: args.price.price() };
    let items = found.items.iter().map(|item| item_body(item, &seen)).collect();
    if args.json {
        let rows = found.rows.iter().map(|(manifest, row)| row_body(manifest, row)).collect();
        let body = ExplainBody { ledger: path, searched: found.searched, items, rows };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
    } else {
        print(&show(&found, &items, &seen.flags))?;
    }
    Ok(ExitCode::Success)
}

/// What an explanation depends on beside the item.
struct SeenBy {
    now: UnixMillis,
    running: Option<RunningRun>,
    flags: String,
    price: Option<Price>,
}

fn item_body(item: &ItemHistory, seen: &SeenBy) -> ItemBody {
    let (uploads_paid, uploads_unclear) = explain::paid_uploads(item);
    let answers = item.answers.iter().map(|answer| AnswerBody {
        at: answer.at.to_string(),
        answer: answer.event.clone(),
        video_no: answer.video_no.clone(),
        who: answer.who.clone(),
        why: answer.why.clone(),
    });
    let deletions = item.deletions.iter().map(|deletion| DeletionBody {
        video_no: deletion.video_no.clone(),
        ordered_at: deletion.ordered_at.to_string(),
        gone_at: deletion.gone_at.map(|at| at.to_string()),
        who: deletion.who.clone(),
        why: deletion.why.clone(),
    });
    ItemBody {
        item: item.item.number(),
        state: item.state.as_str(),
        manifest: item.manifest.clone(),
        line: item.line,
        seen_by: item.seen_by.clone(),
        id: item.external_id.clone(),
        key: hex(&item.key.0),
        key_of: if item.submission.item_id.is_some() {
            "the namespace and the id of the row"
        } else {
            "the namespace and the url, without its signature"
        },
        admitted_at: item.admitted_at.to_string(),
        fields: shown_fields(&item.submission, None),
        video_no: item.requests.iter().rev().find_map(|request| request.video_no.clone()),
        cause: item.cause.clone(),
        requests: item.requests.iter().map(request_body).collect(),
        events: item.events.iter().map(event_body).collect(),
        answers: answers.collect(),
        deletions: deletions.collect(),
        uploads_paid,
        uploads_unclear,
        credits_max: seen.price.map(|price| price.of(uploads_paid + uploads_unclear).to_string()),
        next: explain::what_is_next(item, seen.now, seen.running.as_ref()),
        you_can: explain::what_you_can_do(item, seen.now, &seen.flags),
    }
}

fn request_body(request: &RequestRow) -> RequestBody {
    RequestBody {
        attempt: request.attempt.number(),
        run: request.run.clone(),
        state: request.state.clone(),
        marker: request.marker.clone(),
        sent_at: request.sent_at.to_string(),
        answered_at: request.answered_at.map(|at| at.to_string()),
        video_no: request.video_no.clone(),
        bound_by: request.bound_by.clone(),
        cause: request.cause.clone(),
        question: request.question.clone(),
        candidates: request.candidates.iter().map(ToString::to_string).collect(),
        called: request.called.iter().map(ToString::to_string).collect(),
    }
}

fn event_body(event: &EventRow) -> EventBody {
    EventBody {
        at: event.at.to_string(),
        attempt: event.attempt,
        name: event.event.clone(),
        detail: event.detail.clone(),
    }
}

fn row_body(manifest: &str, row: &RowIssue) -> RowBody {
    let problems = row.problems.iter().map(|problem| match row.kind.as_str() {
        "invalid" => show_problem(manifest, row.line, problem),
        _ => problem.message.clone(),
    });
    RowBody {
        manifest: manifest.to_owned(),
        line: row.line,
        kind: row.kind.as_str(),
        problems: problems.collect(),
        first_line: row.first_line,
    }
}

/// One item in full; of several, a line each.
fn show(found: &FoundItems, items: &[ItemBody], flags: &str) -> String {
    let mut text = String::new();
    match items {
        [only] => text.push_str(&show_item(only)),
        several => {
            for item in several {
                let ItemBody { item: number, state, manifest, line, .. } = item;
                let state = shown_name(state);
                let url = url_of(item);
                let _ = writeln!(text, "item {number}: {state}, {}:{line}, {url}", redact::clean(manifest));
                let _ = writeln!(text, "    telecine explain item {number}{flags}");
            }
        }
    }
    for (manifest, row) in &found.rows {
        let body = row_body(manifest, row);
        let place = format!("{}:{}", redact::clean(manifest), row.line);
        let _ = match (body.kind, body.first_line) {
            ("duplicate", Some(first)) => {
                writeln!(text, "{place}: the same item as line {first}; it is sent once")
            }
            ("drifted", _) => {
                writeln!(text, "{place}: differs from what was sent; the service keeps what was sent")
            }
            _ => writeln!(text, "{place}: invalid"),
        };
        for problem in body.problems {
            let _ = writeln!(text, "    {}", safe(&problem));
        }
    }
    text
}

fn url_of(item: &ItemBody) -> &str {
    item.fields.iter().find(|(name, _)| *name == "url").map_or("", |(_, value)| value)
}

fn show_item(item: &ItemBody) -> String {
    let mut text = format!("item {}: {}\n", item.item, shown_name(item.state));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    field("row", &format!("{}:{}", redact::clean(&item.manifest), item.line));
    if let Some(id) = &item.id {
        field("id", &redact::clean(id));
    }
    let by = item.seen_by.as_ref().map(|run| format!(", last read by run {run}")).unwrap_or_default();
    field("in ledger", &format!("since {}{by}", item.admitted_at));
    field("identity", &format!("key {}, computed from {}", item.key, item.key_of));
    let fields = if item.requests.is_empty() { "fields" } else { "sent as" };
    for (at, (name, value)) in item.fields.iter().enumerate() {
        field(if at == 0 { fields } else { "" }, &format!("{name} = {}", safe(value)));
    }
    if let Some(video_no) = &item.video_no {
        field("video", &redact::clean(video_no));
    }
    if let Some(cause) = &item.cause {
        field("cause", &redact::clean(cause));
    }
    let _ = writeln!(text, "\n  requests:{}", if item.requests.is_empty() { " none" } else { "" });
    for request in &item.requests {
        text.push_str(&show_request(request));
    }
    let _ = writeln!(text, "\n  history:");
    text.push_str(&show_history(item));
    let unclear = if item.uploads_unclear > 0 {
        format!(", {} more not certain", item.uploads_unclear)
    } else {
        String::new()
    };
    let credits =
        item.credits_max.as_ref().map(|credits| format!(", {}", at_most_shown(credits))).unwrap_or_default();
    let _ = writeln!(
        text,
        "\n  cost        {} paid{unclear}{credits}",
        counted(item.uploads_paid, "upload", "uploads")
    );
    let _ = writeln!(text, "  next        {}", item.next);
    for (at, what) in item.you_can.iter().enumerate() {
        let _ = writeln!(text, "  {:<11} {what}", if at == 0 { "you can" } else { "" });
    }
    text
}

/// What happened to an item, a line each, in the order of time.
fn show_history(item: &ItemBody) -> String {
    let mut lines = vec![(&item.admitted_at, "read from its manifest".to_owned())];
    for event in &item.events {
        let request = event.attempt.map(|number| format!(" (request {number})")).unwrap_or_default();
        let detail =
            event.detail.as_ref().map(|text| format!(": {}", redact::clean(text))).unwrap_or_default();
        lines.push((&event.at, format!("{}{request}{detail}", shown_name(&event.name))));
    }
    for answer in &item.answers {
        let (who, why) = (redact::clean(&answer.who), redact::clean(&answer.why));
        lines.push((&answer.at, format!("{} by {who}: {why}", shown_name(&answer.answer))));
    }
    for deletion in &item.deletions {
        let (who, why) = (redact::clean(&deletion.who), redact::clean(&deletion.why));
        let video_no = redact::clean(&deletion.video_no);
        let gone = deletion
            .gone_at
            .as_ref()
            .map_or_else(|| "not proven yet".to_owned(), |at| format!("gone by the listing of {at}"));
        let text = format!("deletion of {video_no} ordered by {who}: {why}; {gone}");
        lines.push((&deletion.ordered_at, text));
    }
    // times are written alike, so that their texts are in the order of time; what happened at one time stays as it was recorded
    lines.sort_by(|one, other| one.0.cmp(other.0));
    let mut text = String::new();
    for (at, what) in lines {
        let _ = writeln!(text, "    {at}  {what}");
    }
    text
}

fn show_request(request: &RequestBody) -> String {
    let mut text = String::new();
    let state = shown_name(&request.state);
    let answer = match (&request.answered_at, &request.video_no) {
        (Some(at), Some(video_no)) => format!(", answered {at}: {video_no}"),
        (Some(at), None) => format!(", answered {at}"),
        (None, Some(video_no)) => format!(", no clear answer; it is {video_no}"),
        (None, None) => String::new(),
    };
    let by =
        request.bound_by.as_ref().map(|by| format!(" (known by: {})", shown_name(by))).unwrap_or_default();
    let _ = writeln!(
        text,
        "    {}: sent {} in run {}, {state}{answer}{by}",
        request.attempt, request.sent_at, request.run
    );
    for (name, value) in
        [("marker", &request.marker), ("answer", &request.cause), ("question", &request.question)]
    {
        if let Some(value) = value {
            let _ = writeln!(text, "        {name}: {}", redact::clean(value));
        }
    }
    for (name, numbers) in [("candidates", &request.candidates), ("called for as", &request.called)] {
        if !numbers.is_empty() {
            let _ = writeln!(text, "        {name}: {}", numbers.join(", "));
        }
    }
    text
}
