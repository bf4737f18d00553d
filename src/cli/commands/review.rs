//! `telecine review` and `telecine resolve`: decisions that telecine cannot make.

use std::{fmt::Write as _, path::Path};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::{
        args::{PriceArgs, ReadOnlyLedgerArgs},
        output::{CommandEnd, NoFields, print, print_end, print_json},
    },
    clock::Clock,
    domain::{Price, State, VideoNo},
    error::{Error, ExitCode},
    ledger::{ItemId, Ledger, OpenQuestion, ReviewAnswer, ReviewDecision, ReviewOutcome, Snapshot},
    redact,
    report::{SCHEMA, with_separators},
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

/// Flags of `telecine resolve`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ResolveArgs {
    /// The number of the item, as `telecine review` shows it.
    #[arg(value_name = "ITEM")]
    item: i64,

    #[command(flatten)]
    answer: AnswerArgs,

    /// The reason, which is kept in the ledger.
    #[arg(long, value_name = "TEXT", env = "TELECINE_WHY", default_value = "no reason given")]
    why: String,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct AnswerArgs {
    /// The item is this video. Nothing more is paid.
    #[arg(long, value_name = "VIDEO_NO", env = "TELECINE_ADOPT", value_parser = video_no)]
    adopt: Option<VideoNo>,

    /// Send the item again with the next import. If the first request was accepted, the video is paid twice.
    #[arg(long, env = "TELECINE_RESEND")]
    resend: bool,

    /// Never send the item again. It counts as possibly paid.
    #[arg(long, env = "TELECINE_GIVE_UP")]
    give_up: bool,
}

fn video_no(text: &str) -> Result<VideoNo, String> {
    VideoNo::parse(text).ok_or_else(|| "expected a video number such as VI635229846249218048".to_owned())
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
            "{} need a decision, {} wait for evidence",
            with_separators(asked as u64),
            with_separators(waiting as u64)
        );
        if waiting > 0 && !args.all {
            let _ =
                writeln!(text, "  (--all shows these too; `telecine reconcile` searches for their evidence)");
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
            item: question.item.to_string().parse().unwrap_or_default(),
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

/// A decision that was recorded.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ResolveBody {
    item: i64,
    /// What became of the item, as a sentence.
    outcome: String,
}

fn as_text(question: &OpenQuestion, path: &Path, args: &ReviewArgs) -> String {
    let OpenQuestion { item, submission, line, .. } = question;
    let mut text = String::new();
    let id =
        question.external_id.as_ref().map(|id| format!(" (id {})", redact::clean(id))).unwrap_or_default();
    let _ = writeln!(text, "item {item}: {}{id}", submission.url);
    let _ =
        writeln!(text, "  {}:{line}, namespace {}", redact::clean(&question.manifest), submission.namespace);
    let _ = writeln!(text, "  sent {}, {}", question.sent_at, question.state.as_str().replace('_', " "));
    let _ = writeln!(text, "  {}", redact::clean(&question.text));
    let marker = question.marker.as_deref().unwrap_or("none: compare its other tags");
    let _ = writeln!(text, "  search for the tag {marker} in the service's library");
    let mut which = format!("--ledger {}", path.display());
    if args.ledger.sandbox && args.ledger.ledger.ledger.is_none() {
        "--sandbox".clone_into(&mut which);
    }
    let costs = args.price.price().map_or_else(
        || "is paid twice if the first was accepted".to_owned(),
        |price| format!("costs at most {} credits more, twice if the first was accepted", price.of(1)),
    );
    let video = question.candidates.first().map_or("VIDEO_NO", VideoNo::as_str);
    let _ = writeln!(text, "    telecine resolve {item} --adopt {video} {which}   costs nothing more");
    let _ = writeln!(text, "    telecine resolve {item} --resend {which}   {costs}");
    let _ = writeln!(text, "    telecine resolve {item} --give-up {which}   never sent again\n");
    text
}

/// Carries out one decision and records who made it.
pub(in crate::cli) fn resolve(args: &ResolveArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path()?;
    let answer = match (&args.answer.adopt, args.answer.resend) {
        (Some(video_no), _) => ReviewAnswer::Adopt(video_no.clone()),
        (None, true) => ReviewAnswer::Resend,
        (None, false) => ReviewAnswer::GiveUp,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::Usage(format!("the async runtime cannot be started: {error}")))?;
    let clock = Clock::real();
    let answered = runtime.block_on(async {
        let ledger = Ledger::open_offline(&path, clock.now())?;
        let at = clock.now().max(ledger.read(Snapshot::latest_timestamp).await?);
        let decision =
            ReviewDecision { answer: answer.clone(), who: who(), why: redact::clean(&args.why), at };
        let item = ItemId::numbered(args.item);
        let answered = ledger.write(move |store| store.answer(item, &decision)).await;
        ledger.close().await;
        answered
    })?;
    let item = args.item;
    match answered {
        ReviewOutcome::Done => {}
        ReviewOutcome::NoSuchItem => {
            return Err(Error::Usage(format!(
                "there is no item {item}; `telecine review` shows their numbers"
            )));
        }
        ReviewOutcome::NotOpen(state) => {
            let cause = format!(
                "item {item} is {state}: only items that are needs_review, in_doubt or accepted_unidentified can be resolved"
            );
            return Err(Error::Usage(cause));
        }
        ReviewOutcome::VideoTaken(other) => {
            return Err(Error::Usage(format!("that video belongs to item {other} already")));
        }
    }
    let next = match answer {
        ReviewAnswer::Adopt(video_no) => {
            format!("is {video_no} now; `telecine reconcile` polls its indexing")
        }
        ReviewAnswer::Resend => "waits to be sent again; the next import of its manifest sends it".to_owned(),
        ReviewAnswer::GiveUp => "is given up".to_owned(),
    };
    if args.json {
        print_end(&CommandEnd::of(ExitCode::Success), &ResolveBody { item, outcome: next })?;
    } else {
        print(&format!("item {item} {next}\n"))?;
    }
    Ok(ExitCode::Success)
}

/// The user and the host, for the ledger.
fn who() -> String {
    let user = ["TELECINE_WHO", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    redact::clean(&format!("{}@{host}", user.as_deref().unwrap_or("unknown")))
}
