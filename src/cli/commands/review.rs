//! `telecine review`: decisions that telecine cannot make, each with its evidence and the price of each answer.

use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        output::{CommandEnd, NoFields, print, print_end, print_json},
    },
    domain::{Price, State, VideoNo, at_most, counted},
    error::{Error, ExitCode},
    ledger::{LedgerPlace, OpenQuestion, Snapshot},
    redact,
    report::SCHEMA,
};

/// Flags of `telecine review`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReviewArgs {
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Also show items that wait for evidence and need no decision yet.
    #[arg(long, env = "TELECINE_ALL")]
    all: bool,

    /// Print one JSON object per line on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,

    #[command(flatten)]
    price: PriceArgs,
}

/// Lists the open decisions. Exits 6 while there are any.
pub(in crate::cli) fn review(args: &ReviewArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let snapshot = Snapshot::open(&path)?;
    let mut questions = snapshot.open_questions()?;
    let waiting = questions.iter().filter(|question| question.state != State::NeedsReview).count();
    let asked = questions.len() - waiting;
    let code = if asked > 0 { ExitCode::NeedsReview } else { ExitCode::Success };
    if !args.all {
        questions.retain(|question| question.state == State::NeedsReview);
    }
    if args.json {
        for question in &questions {
            print_json(&QuestionLine::of(question, args.price.price()))?;
        }
        print_end(&CommandEnd::of(code), &NoFields {})?;
    } else {
        let mut text = String::new();
        for question in &questions {
            text.push_str(&as_text(question, &path, args));
        }
        let _ = writeln!(
            text,
            "{}, {}",
            counted(asked as u64, "needs your decision", "need your decision"),
            counted(waiting as u64, "waits for evidence", "wait for evidence")
        );
        if waiting > 0 && !args.all {
            let _ = writeln!(
                text,
                "  (--all shows these too; `telecine reconcile{}` searches for their evidence)",
                args.ledger.flags(&path)
            );
        }
        print(&text)?;
    }
    Ok(code)
}

/// One item that needs a decision, or waits for evidence.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct QuestionLine {
    schema: u32,
    /// The number for `telecine resolve`.
    item: i64,
    state: &'static str,
    manifest: String,
    line: u64,
    /// The id of the row. `null`: it has none.
    id: Option<String>,
    /// The url, with secrets redacted.
    url: String,
    /// The namespace.
    unique_id: String,
    #[schemars(extend("format" = "date-time"))]
    sent_at: String,
    /// The marker tag of the request. `null`: it had none.
    marker: Option<String>,
    /// What is known, as a sentence.
    evidence: String,
    /// Numbers of videos that it may be.
    #[schemars(with = "Vec<String>")]
    candidates: Vec<VideoNo>,
    /// The most that another upload costs, in credits. `null`: no price was given.
    price_of_resending: Option<String>,
}

impl QuestionLine {
    fn of(question: &OpenQuestion, price: Option<Price>) -> Self {
        Self {
            schema: SCHEMA,
            item: question.item.number(),
            state: question.state.as_str(),
            manifest: question.manifest.clone(),
            line: question.line,
            id: question.external_id.clone(),
            url: question.submission.url.to_string(),
            unique_id: question.submission.namespace.clone(),
            sent_at: question.sent_at.to_string(),
            marker: question.marker.clone(),
            evidence: question.text.clone(),
            candidates: question.candidates.clone(),
            price_of_resending: price.map(|price| price.of(1).to_string()),
        }
    }
}

fn as_text(question: &OpenQuestion, path: &LedgerPlace, args: &ReviewArgs) -> String {
    let OpenQuestion { item, submission, line, .. } = question;
    let mut text = String::new();
    let id =
        question.external_id.as_ref().map(|id| format!(" (id {})", redact::clean(id))).unwrap_or_default();
    let _ = writeln!(text, "item {item}: {}{id}", submission.url);
    let _ =
        writeln!(text, "  {}:{line}, namespace {}", redact::clean(&question.manifest), submission.namespace);
    let _ = writeln!(text, "  sent {}, {}", question.sent_at, question.state.shown());
    let _ = writeln!(text, "  {}", redact::clean(&question.text));
    let marker = question.marker.as_deref().unwrap_or("none: compare its other tags");
    let _ = writeln!(text, "  search for the tag {marker} in the service's library");
    let which = args.ledger.flags(path);
    let costs = args.price.price().map_or_else(
        || "is paid twice if the first was accepted".to_owned(),
        |price| format!("costs {} more, paid twice if the first was accepted", at_most(price.of(1))),
    );
    let video = question.candidates.first().map_or("VIDEO_NO", VideoNo::as_str);
    let _ = writeln!(text, "    telecine resolve {item} --adopt {video}{which}   costs nothing more");
    let _ = writeln!(text, "    telecine resolve {item} --resend{which}   {costs}");
    let _ = writeln!(text, "    telecine resolve {item} --give-up{which}   never sent again\n");
    text
}
