//! `telecine resolve`: a human's answers to what telecine cannot decide.

use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    api::ReadError,
    app::{
        adoption::{self, Adoption},
        orders::{self, GivenOrder},
    },
    cli::{
        args::{LedgerArgs, PriceArgs, ServiceArgs},
        block_on,
        output::{CommandEnd, print, print_end},
        who,
    },
    domain::{State, UnixMillis, VideoNo, at_most, counted},
    error::{Error, ExitCode},
    ledger::{
        ItemId, LedgerPlace, OpenQuestion, Order, OrderResult, ReviewAnswer, ReviewDecision, ReviewOutcome,
        Snapshot,
    },
    redact,
    report::with_separators,
};

/// Items that are named before many are answered alike.
const ITEMS_SHOWN: usize = 10;

/// Flags of `telecine resolve`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ResolveArgs {
    /// The number of the item, as `telecine review` shows it.
    #[arg(value_name = "ITEM", required_unless_present = "all_matching")]
    item: Option<i64>,

    #[command(flatten)]
    answer: AnswerArgs,

    /// Answer all items alike that need a decision and contain TEXT in their url, manifest, id, namespace or evidence.
    ///
    /// '*' takes all of them. Shows how many they are and what they cost, and changes nothing without --yes.
    #[arg(long, value_name = "TEXT", env = "TELECINE_ALL_MATCHING", conflicts_with_all = ["item", "adopt", "undo"])]
    all_matching: Option<String>,

    /// Give the answer of --all-matching.
    #[arg(long, env = "TELECINE_YES")]
    yes: bool,

    /// The reason, which is kept in the ledger.
    #[arg(long, value_name = "TEXT", env = "TELECINE_WHY", default_value = "no reason given")]
    why: String,

    #[command(flatten)]
    ledger: LedgerArgs,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    price: PriceArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct AnswerArgs {
    /// The item is this video. Nothing more is paid.
    ///
    /// telecine asks the service for the video first, so this answer needs the API key.
    #[arg(long, value_name = "VIDEO_NO", env = "TELECINE_ADOPT", value_parser = video_no)]
    adopt: Option<VideoNo>,

    /// Send the item again with the next import. If the first request was accepted, the video is paid twice.
    #[arg(long, env = "TELECINE_RESEND")]
    resend: bool,

    /// Never send the item again. It counts as possibly paid.
    #[arg(long, env = "TELECINE_GIVE_UP")]
    give_up: bool,

    /// Take the last answer back, if nothing was sent or concluded since that rests on it.
    #[arg(long, env = "TELECINE_UNDO")]
    undo: bool,
}

impl AnswerArgs {
    fn answer(&self) -> ReviewAnswer {
        match self {
            Self { adopt: Some(video_no), .. } => ReviewAnswer::Adopt(video_no.clone()),
            Self { resend: true, .. } => ReviewAnswer::Resend,
            Self { undo: true, .. } => ReviewAnswer::Withdraw,
            Self { .. } => ReviewAnswer::GiveUp,
        }
    }
}

fn video_no(text: &str) -> Result<VideoNo, String> {
    VideoNo::parse(text).ok_or_else(|| "expected a video number such as VI635229846249218048".to_owned())
}

/// Answers that were given.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct ResolveBody {
    answers: Vec<AnsweredItem>,
    /// What the user should know beside the answers, such as which process carries them out.
    notes: Vec<String>,
}

/// One item that was answered.
#[derive(Serialize, JsonSchema)]
struct AnsweredItem {
    item: i64,
    /// What became of the item, as a sentence.
    outcome: String,
}

/// Carries out decisions and records who made them, or hands them to the process that uses the ledger.
pub(in crate::cli) fn resolve(args: &ResolveArgs) -> Result<ExitCode, Error> {
    let path = args.ledger.path_to_change(args.service.target())?;
    let answer = args.answer.answer();
    let mut notes = Vec::new();
    let items = match (&args.all_matching, args.item) {
        (Some(text), _) => {
            let matching = matching(&path, text)?;
            let summary = summary_of(&matching, &answer, args);
            if !args.yes || matching.is_empty() {
                return ask_for_yes(args, &matching, &summary);
            }
            notes.push(summary);
            matching.iter().map(|question| question.item).collect()
        }
        (None, item) => vec![ItemId::numbered(item.unwrap_or_default())],
    };
    if let (ReviewAnswer::Adopt(video_no), Some(item)) = (&answer, items.first()) {
        let service = args.service.asked()?;
        match block_on(adoption::check(&service, &path, *item, video_no))? {
            Adoption::Possible(found) => notes.extend(found),
            Adoption::Refused(cause) => return Err(Error::Usage(format!("{cause}; nothing was changed"))),
            Adoption::NotAsked(error) => return end_unasked(args, &error),
        }
    }
    let (who, why) = (who(), redact::clean(&args.why));
    // the process that carries it out dates it
    let decision = ReviewDecision { answer: answer.clone(), who, why, at: UnixMillis(0) };
    let given = block_on(orders::give(&path, Order::Answer { items: items.clone(), decision }))?;
    notes.extend(given.note());
    show(args, &outcomes_of(&given, &items, &answer)?, notes)
}

/// Items that need a decision and contain the text.
fn matching(path: &LedgerPlace, text: &str) -> Result<Vec<OpenQuestion>, Error> {
    let mut questions = Snapshot::open(path)?.open_questions()?;
    let is_meant = |question: &OpenQuestion| {
        let own = [
            &question.submission.url.to_string(),
            &question.manifest,
            &question.submission.namespace,
            &question.text,
            question.external_id.as_ref().unwrap_or(&question.manifest),
        ]
        .iter()
        .any(|own| own.contains(text));
        question.state == State::NeedsReview && (text == "*" || own)
    };
    questions.retain(is_meant);
    Ok(questions)
}

/// How many items are answered, and what that costs.
fn summary_of(matching: &[OpenQuestion], answer: &ReviewAnswer, args: &ResolveArgs) -> String {
    let count = matching.len() as u64;
    let costs = match (answer, args.price.price()) {
        (ReviewAnswer::Resend, Some(price)) => {
            format!("sent again for {}; those that were accepted are paid twice", at_most(price.of(count)))
        }
        (ReviewAnswer::Resend, None) => {
            "sent again; those that were accepted are paid twice (--price shows the credits)".to_owned()
        }
        (ReviewAnswer::GiveUp | ReviewAnswer::Adopt(_) | ReviewAnswer::Withdraw, _) => {
            "given up: never sent again, and counted as possibly paid".to_owned()
        }
    };
    format!("{}: {costs}", counted(count, "item", "items"))
}

fn ask_for_yes(args: &ResolveArgs, matching: &[OpenQuestion], summary: &str) -> Result<ExitCode, Error> {
    let code = if matching.is_empty() { ExitCode::Success } else { ExitCode::NeedsReview };
    let reason = if matching.is_empty() {
        "no item that needs a decision matches; nothing was changed".to_owned()
    } else {
        format!("{summary}; nothing was changed: repeat the command with --yes")
    };
    if args.json {
        let body = ResolveBody { answers: Vec::new(), notes: Vec::new() };
        print_end(&CommandEnd { reason, ..CommandEnd::of(code) }, &body)?;
        return Ok(code);
    }
    let mut text = String::new();
    for question in matching.iter().take(ITEMS_SHOWN) {
        let _ = writeln!(text, "item {}: {}", question.item, question.submission.url);
    }
    if matching.len() > ITEMS_SHOWN {
        let _ = writeln!(text, "and {} more", with_separators((matching.len() - ITEMS_SHOWN) as u64));
    }
    print(&format!("{text}{reason}\n"))?;
    Ok(code)
}

/// The service could not be asked for the video: nothing is changed.
fn end_unasked(args: &ResolveArgs, error: &ReadError) -> Result<ExitCode, Error> {
    let is_refused = matches!(error, ReadError::StopRun { .. });
    let code = if is_refused { ExitCode::Fatal } else { ExitCode::Temporary };
    let reason = format!("the service could not be asked for the video ({error}); nothing was changed");
    if args.json {
        print_end(
            &CommandEnd::failed(code, reason),
            &ResolveBody { answers: Vec::new(), notes: Vec::new() },
        )?;
    } else {
        print(&format!("{reason}\n"))?;
    }
    Ok(code)
}

/// What became of each item, as a sentence. An error where a single answer was not possible.
fn outcomes_of(
    given: &GivenOrder,
    items: &[ItemId],
    answer: &ReviewAnswer,
) -> Result<Vec<(ItemId, String)>, Error> {
    let outcomes = match &given.result {
        None => return Ok(items.iter().map(|item| (*item, "waits for its answer".to_owned())).collect()),
        Some(OrderResult::Answered { outcomes }) => outcomes,
        Some(OrderResult::Done | OrderResult::Refused { .. } | OrderResult::Acknowledged { .. }) => {
            return Ok(Vec::new());
        }
    };
    if let ([(item, outcome)], [_]) = (&outcomes[..], items)
        && *outcome != ReviewOutcome::Done
    {
        return Err(Error::Usage(refusal(*item, outcome)));
    }
    Ok(outcomes
        .iter()
        .map(|(item, outcome)| {
            let is_done = *outcome == ReviewOutcome::Done;
            let text =
                if is_done { done(answer) } else { format!("is unchanged: {}", refusal(*item, outcome)) };
            (*item, text)
        })
        .collect())
}

fn done(answer: &ReviewAnswer) -> String {
    match answer {
        ReviewAnswer::Adopt(video_no) => {
            format!("is {video_no} now; `telecine reconcile` polls its indexing")
        }
        ReviewAnswer::Resend => "waits to be sent again; the next import of its manifest sends it".to_owned(),
        ReviewAnswer::GiveUp => "is given up".to_owned(),
        ReviewAnswer::Withdraw => "needs a decision again: its last answer was taken back".to_owned(),
    }
}

fn refusal(item: ItemId, outcome: &ReviewOutcome) -> String {
    match outcome {
        ReviewOutcome::Done => format!("item {item} is answered"),
        ReviewOutcome::NoSuchItem => {
            format!("there is no item {item}; `telecine review` shows their numbers")
        }
        ReviewOutcome::NotOpen(state) => format!(
            "item {item} is {}: only items that are needs review, in doubt or accepted unidentified can be resolved",
            state.shown()
        ),
        ReviewOutcome::VideoTaken(other) => format!("that video belongs to item {other} already"),
        ReviewOutcome::Kept(cause) => {
            format!("the answer about item {item} cannot be taken back: {cause}; nothing was changed")
        }
    }
}

fn show(args: &ResolveArgs, outcomes: &[(ItemId, String)], notes: Vec<String>) -> Result<ExitCode, Error> {
    if args.json {
        let of = |(item, outcome): &(ItemId, String)| AnsweredItem {
            item: item.number(),
            outcome: outcome.clone(),
        };
        let body = ResolveBody { answers: outcomes.iter().map(of).collect(), notes };
        print_end(&CommandEnd::of(ExitCode::Success), &body)?;
        return Ok(ExitCode::Success);
    }
    let notes = notes.iter().map(|note| format!("{note}\n"));
    let lines = outcomes.iter().map(|(item, outcome)| format!("item {item} {outcome}\n"));
    print(&notes.chain(lines).collect::<String>())?;
    Ok(ExitCode::Success)
}
