//! A porter for this ledger: told what was spent and learned before, and how much time really passed since.

use std::time::Duration;

use super::doors::Doors;
use crate::{
    clock::Clock,
    item::UnixMillis,
    ledger::{Boot, Expense, Ledger, LedgerError, PastUpload, RunId},
    lifecycle::AttemptState,
    limit::show_span,
    monitor::Notice,
    quota::{Lane, Lessons, Limits, Past, PastState, Porter},
};

/// The name under which the ledger keeps what the porter learned.
pub const LESSONS: &str = "lessons";
/// A jump of the clock that is worth a word, in milliseconds: less is the granularity of dates and the time answers take.
const JUMP_SAID_MS: i64 = 5 * 60_000;
/// What is looked at beyond the longest window: its margin, and an unanswered request's time.
const SPAN_EXTRA_MS: i64 = 30 * 60_000;

/// Hires a porter for a run; none for work that uploads nothing.
pub async fn hire(
    ledger: &Ledger,
    run: Option<RunId>,
    limits: Limits,
    clock: &Clock,
    dice: fastrand::Rng,
) -> Result<Porter, LedgerError> {
    let past = past(ledger, run, &limits, clock.now()).await?;
    let lessons = ledger.memo(LESSONS).await?.map(|text| Lessons::from_text(&text)).unwrap_or_default();
    Ok(Porter::new(clock.clone(), limits, &past, lessons, dice))
}

/// What the ledger knows was spent, by what is known of the clock.
async fn past(
    ledger: &Ledger,
    run: Option<RunId>,
    limits: &Limits,
    now: UnixMillis,
) -> Result<Vec<Past>, LedgerError> {
    let last_moment = match run {
        Some(run) => ledger.time_before(run).await?.1.unwrap_or(now),
        None => now,
    };
    // by a clock that jumped ahead since, the last run's requests look older than they are
    let since = now.min(last_moment).plus_ms(-limits.span_ms_max().saturating_add(SPAN_EXTRA_MS));
    let (uploads, expenses) = ledger.past(since, limits.count_max()).await?;
    Ok(past_of(&uploads, &expenses))
}

/// What a porter is told of the past.
#[must_use]
pub fn past_of(uploads: &[PastUpload], expenses: &[Expense]) -> Vec<Past> {
    let uploads = uploads.iter().map(|upload| Past {
        lane: Lane::Upload,
        key: upload.attempt.number(),
        count: 1,
        claimed_at: upload.sent_at,
        left_by: upload.send_before,
        answered_at: upload.answered_at,
        counts_until: upload.counts_until,
        state: match upload.state {
            AttemptState::Accepted | AttemptState::Superseded if upload.is_being_indexed => {
                PastState::Indexing
            }
            AttemptState::Accepted | AttemptState::Superseded => PastState::Final,
            AttemptState::Refused => PastState::Refused,
            AttemptState::Sending
            | AttemptState::NotSent
            | AttemptState::Rejected
            | AttemptState::InDoubt
            | AttemptState::Counted
            | AttemptState::Asked
            | AttemptState::Absent
            | AttemptState::Abandoned => PastState::Open,
        },
    });
    let expenses = expenses.iter().filter_map(|expense| {
        let lane = Lane::from_word(&expense.lane)?;
        Some(Past {
            lane,
            key: 0,
            count: expense.count,
            claimed_at: expense.at,
            left_by: expense.at,
            answered_at: None,
            counts_until: (lane == Lane::Upload).then_some(expense.at),
            state: PastState::Indexing,
        })
    });
    let mut past: Vec<Past> = uploads.chain(expenses).collect();
    past.sort_by_key(|one| one.claimed_at);
    past
}

/// What a clock knows of the boot it counts from, for the ledger.
#[must_use]
pub fn boot_of(clock: &Clock) -> Option<Boot> {
    clock.boot().map(|(id, since_ms)| Boot { id: id.to_owned(), since_ms })
}

/// Where nothing on this machine tells how much time passed since the last run, the service's clock does, once it is known
/// (`served_at`): a wall clock that was set ahead in between must open no window early, and end no quiet time. Until then no
/// time has passed.
pub(super) async fn learn_the_jump<T>(
    doors: &Doors<T>,
    run: RunId,
    served_at: Option<UnixMillis>,
) -> Result<(), LedgerError> {
    let Some(served_at) = served_at else { return Ok(()) };
    if doors.ledger.is_jump_known(run).await? {
        return Ok(());
    }
    let Some(jump_ms) = jump_by_service(&doors.ledger, run, doors.clock.now(), served_at).await? else {
        return Ok(());
    };
    doors.ledger.note_jump(run, jump_ms).await?;
    if jump_ms > JUMP_SAID_MS {
        let jump = show_span(Duration::from_millis(jump_ms.unsigned_abs()));
        let text = format!(
            "this machine's clock is {jump} further than the time that passed since the last run; windows and waits go by \
             the service's clock"
        );
        doors.say(&Notice::Said { text });
    }
    Ok(())
}

/// Tells the porter the past anew, after more was learned of the clock; nothing may have been uploaded in this run.
pub(super) async fn retell<T>(doors: &Doors<T>, run: RunId) -> Result<(), LedgerError> {
    let past = past(&doors.ledger, Some(run), &doors.porter.limits(), doors.clock.now()).await?;
    doors.porter.retell(&past);
    Ok(())
}

/// How far our wall clock ran ahead of the time that really passed since the run before, in milliseconds; none when
/// nothing was dated by both clocks.
async fn jump_by_service(
    ledger: &Ledger,
    run: RunId,
    now: UnixMillis,
    served_at: UnixMillis,
) -> Result<Option<i64>, LedgerError> {
    let (mark, last_moment) = ledger.time_before(run).await?;
    let Some(last_moment) = last_moment else { return Ok(Some(0)) };
    let by_service = mark.map(|mark| mark.ours.plus_ms(served_at.since_ms(mark.theirs_at_the_latest).max(0)));
    // whatever the service says, the last run did happen before this one
    Ok(by_service.map(|really| now.since_ms(really.max(last_moment)).max(0)))
}
