//! Pending items into requests, and answers into the ledger.
//!
//! - One loop claims; every claimed request runs in a task of its own, which alone settles it. A dropped future would
//!   not unsend a request, so these tasks are never dropped: draining waits for them.
//! - At most `concurrency` requests are on the wire, and after a refusal one.
//! - Nothing here sends an item twice: a verdict either moves it on, or the ledger holds it in doubt.

use std::{sync::Arc, time::Duration};

use tokio::{sync::futures::Notified, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    ending::StopReason,
    item::UnixMillis,
    ledger::{Binding, BoundBy, Claim, ClaimAnswer, ClaimTerms, LedgerError, Obstacle, Settlement},
    lifecycle::{Event, State},
    monitor::{Notice, Shown},
    planted::{Bug, is_planted},
    quota::{Delay, Departure, Heard, Hold, HoldReason, Lane, Outcome, Permit, Purpose, Why},
    retry::parse_retry_after,
    service::{Certainty, Transport, Verdict},
};

use super::doors::Doors;

/// With no answer at all in this run, so many unreachable hosts in a row mean a wrong address or no network.
const FIRST_FAILURES_MAX: u32 = 4;
/// A host that answered before is waited for this long.
const OFFLINE_MAX: Duration = Duration::from_mins(15);

/// A wait of the quota that is shorter is part of an even pace, and not worth a word.
const WAIT_SAID_MIN: Duration = Duration::from_secs(90);
const HOW_TO_LEAVE: &str =
    "Ctrl-C ends the run, and the same command goes on; with --quota-exit it ends by itself";

/// Why a claimed request was not made, for the ledger…
const LATE: &str = "it was not started in time";
/// …and for people.
const SLOW_MACHINE: &str = "a request was not started within 5 s of being written down, and goes again: this machine or its \
                            disk is slow, or it slept";

/// So many rows refused in a row with the same words, and none accepted in between, stop the run.
const SAME_REFUSALS_MAX: u32 = 20;

/// How to send.
#[derive(Clone, Debug)]
pub(super) struct UploadPlan {
    pub(super) terms: Arc<ClaimTerms>,
    pub(super) concurrency: usize,
    /// Send no more than this many in this run.
    pub(super) rows_max: Option<u64>,
    /// Send nothing after this moment.
    pub(super) stop_at: Option<UnixMillis>,
    /// How long to wait for evidence that stands in the way of sending; none does not wait.
    pub(super) patience: Option<Duration>,
    /// End rather than wait longer than this for the quota; none waits as long as it takes.
    pub(super) quota_wait_max: Option<Duration>,
    /// An unanswered request may be accepted this long after its sending.
    pub(super) acceptance_lag_max: Duration,
    /// Nothing is sent before the service was compared with the ledger.
    pub(super) way_is_clear: CancellationToken,
}

/// Why sending ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UploadEnd {
    /// Told to.
    Drained,
    /// The time given is up.
    TimeUp,
    /// The number of rows given is reached.
    RowsMax,
    /// What may be spent is spent, or at stake.
    BudgetSpent,
    /// The quota lets nothing go for longer than it is waited for.
    QuotaPaused { why: String },
    /// Too many requests have no clear answer.
    TooManyDoubts { open: u64 },
    /// The service has the next item already, by a request this ledger does not know.
    SentElsewhere { item: String },
    /// The disk that holds the ledger is nearly full.
    DiskLow { free: u64 },
    /// The service will take no row until somebody acts.
    Stopped { reason: StopReason, cause: String },
    /// The host cannot be reached.
    Offline { cause: String },
}

/// What one request taught the loop.
enum Sent {
    Answered,
    RowRefused(String),
    Unreachable(String),
    /// Not at all: it was not started in time.
    Late,
    Stop {
        reason: StopReason,
        cause: String,
    },
}

struct Uploading<T> {
    doors: Doors<T>,
    plan: UploadPlan,
    on_wire: JoinSet<Result<Sent, LedgerError>>,
    sent: u64,
    has_been_answered: bool,
    offline_since: Option<UnixMillis>,
    /// The last refusal of a row, and how often it came in a row.
    same_refusals: (String, u32),
    lateness_is_said: bool,
    /// Whether items waited when the last was claimed.
    others_wait: bool,
    /// The obstacle last announced, so that it is announced once.
    announced: Option<Obstacle>,
    /// The wait of the quota last announced.
    wait_said_until: Option<UnixMillis>,
    /// Since when only evidence could let sending go on.
    blocked_since: Option<UnixMillis>,
}

/// Sends until told to stop, or until it must not go on; then waits for what is on the wire.
pub(super) async fn upload<T: Transport>(
    doors: Doors<T>,
    plan: UploadPlan,
) -> Result<UploadEnd, LedgerError> {
    let mut uploading = Uploading {
        doors,
        plan,
        on_wire: JoinSet::new(),
        sent: 0,
        has_been_answered: false,
        offline_since: None,
        same_refusals: (String::new(), 0),
        lateness_is_said: false,
        others_wait: false,
        announced: None,
        wait_said_until: None,
        blocked_since: None,
    };
    let end = uploading.run().await;
    while let Some(sent) = uploading.on_wire.join_next().await {
        uploading.note(sent)?;
    }
    end
}

impl<T: Transport> Uploading<T> {
    async fn run(&mut self) -> Result<UploadEnd, LedgerError> {
        let signals = self.doors.signals.clone();
        loop {
            let changed = signals.next_change();
            while let Some(sent) = self.on_wire.try_join_next() {
                if let Some(end) = self.note(sent)? {
                    return Ok(end);
                }
            }
            if let Some(end) = self.must_end() {
                return Ok(end);
            }
            // slots of the quota are not spent on asking: what is in the way is looked at before a permit is taken, unless
            // something is known to wait and its turn is near
            let obstacle = if self.on_wire.len() >= self.plan.concurrency {
                Some(None)
            } else if self.others_wait && self.is_turn_near() {
                None
            } else {
                let now = self.doors.clock.now();
                self.doors.ledger.obstacle(Arc::clone(&self.plan.terms), now).await?.map(Some)
            };
            let end = match obstacle {
                Some(obstacle) => self.wait_for(obstacle, changed).await?,
                None => match self.quota_pause() {
                    Some(end) => Some(end),
                    None => match self.next_permit().await? {
                        Ok(permit) => self.claim_and_send(permit).await?,
                        Err(end) => end,
                    },
                },
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    fn must_end(&self) -> Option<UploadEnd> {
        if self.doors.signals.drain.is_cancelled() {
            return Some(UploadEnd::Drained);
        }
        if self.plan.stop_at.is_some_and(|moment| self.doors.clock.now() >= moment) {
            return Some(UploadEnd::TimeUp);
        }
        self.plan.rows_max.is_some_and(|rows_max| self.sent >= rows_max).then_some(UploadEnd::RowsMax)
    }

    fn is_turn_near(&self) -> bool {
        let now = self.doors.clock.now();
        self.doors.porter.delay(Lane::Upload).is_none_or(|delay| delay.until.after_now(now) < WAIT_SAID_MIN)
    }

    /// Says that the quota makes everybody wait, once for each wait; the end, if it is longer than somebody wants to wait.
    fn quota_pause(&mut self) -> Option<UploadEnd> {
        let delay = self.doors.porter.delay(Lane::Upload)?;
        let (now, why) = (self.doors.clock.now(), why_words(&delay)?);
        let wait = delay.until.after_now(now);
        // what is on the wire may free a slot, or show that the lane is open
        if self.plan.quota_wait_max.is_some_and(|wait_max| wait > wait_max) && self.on_wire.is_empty() {
            return Some(UploadEnd::QuotaPaused { why });
        }
        // a hold was said when it began
        let is_held = matches!(delay.why, Why::Held(_));
        if !is_held && wait >= WAIT_SAID_MIN && self.wait_said_until.is_none_or(|said| delay.until > said) {
            let how = self.wait_said_until.is_none().then_some(HOW_TO_LEAVE);
            self.wait_said_until = Some(delay.until);
            self.doors.say(&Notice::Waiting { why, until: delay.until, how });
        }
        None
    }

    /// The next permit, unless something else happens first: an end, or an answer to look at.
    async fn next_permit(&mut self) -> Result<Result<Permit, Option<UploadEnd>>, LedgerError> {
        let porter = Arc::clone(&self.doors.porter);
        let stop_at = self.plan.stop_at.unwrap_or(UnixMillis(i64::MAX));
        let way_is_clear = self.plan.way_is_clear.clone();
        if !way_is_clear.is_cancelled() {
            // it is cleared on draining, too; whatever is in the way by then shows when asked again
            way_is_clear.cancelled().await;
            return Ok(Err(None));
        }
        tokio::select! {
            biased;
            () = self.doors.signals.drain.cancelled() => Ok(Err(None)),
            permit = porter.permit(Purpose::Upload) => Ok(Ok(permit)),
            Some(sent) = self.on_wire.join_next() => Ok(Err(self.note(sent)?)),
            () = self.doors.clock.sleep_until(stop_at) => Ok(Err(None)),
        }
    }

    async fn claim_and_send(&mut self, permit: Permit) -> Result<Option<UploadEnd>, LedgerError> {
        let now = self.doors.clock.now();
        match self.doors.ledger.claim(Arc::clone(&self.plan.terms), now).await? {
            ClaimAnswer::Claimed(claim) => {
                self.sent += 1;
                self.blocked_since = None;
                self.others_wait = claim.others_wait;
                let doors = self.doors.clone();
                let lag_max = self.plan.acceptance_lag_max;
                self.on_wire.spawn(async move { send(&doors, permit, *claim, lag_max).await });
            }
            // what it is shows when it is looked at
            ClaimAnswer::Obstructed(_) => {
                self.others_wait = false;
                self.doors.porter.give_back(permit);
            }
        }
        Ok(None)
    }

    /// Waits for an obstacle to go away; none is the concurrency bound.
    async fn wait_for(
        &mut self,
        obstacle: Option<Obstacle>,
        changed: Notified<'_>,
    ) -> Result<Option<UploadEnd>, LedgerError> {
        let (why, until) = match obstacle {
            None | Some(Obstacle::NothingPending) => return self.wait_until(None, changed).await,
            // what is at stake may prove unspent: as long as anything is open, it is waited for
            Some(Obstacle::BudgetSpent { .. }) => {
                let tally = self.doors.ledger.tally().await?;
                let may_free = tally.of(State::Sending) + tally.of(State::InDoubt) > 0;
                match self.evidence_is_awaited_until().filter(|_| may_free) {
                    Some(until) => return self.wait_until(Some(until), changed).await,
                    None => return Ok(Some(UploadEnd::BudgetSpent)),
                }
            }
            Some(Obstacle::SentElsewhere { item }) => {
                return Ok(Some(UploadEnd::SentElsewhere { item: item.to_string() }));
            }
            Some(Obstacle::DiskLow { free }) => return Ok(Some(UploadEnd::DiskLow { free })),
            Some(Obstacle::TooManyDoubts { open }) => {
                let Some(until) = self.evidence_is_awaited_until() else {
                    return Ok(Some(UploadEnd::TooManyDoubts { open }));
                };
                let why =
                    format!("{open} requests have no clear answer; nothing is sent until that is settled");
                (why, until)
            }
        };
        if self.announced != obstacle {
            self.announced = obstacle;
            self.doors.say(&Notice::Waiting { why, until, how: None });
        }
        self.wait_until(Some(until), changed).await
    }

    /// Until when evidence that stands in the way is waited for; none when it is not waited for any longer.
    fn evidence_is_awaited_until(&mut self) -> Option<UnixMillis> {
        let now = self.doors.clock.now();
        // what is on the wire is waited for in any case: its answer may be the way out
        let patience = match self.plan.patience {
            None if self.on_wire.is_empty() => return None,
            None => return Some(UnixMillis(i64::MAX)),
            Some(patience) => patience,
        };
        let until = self.blocked_since.get_or_insert(now).plus(patience);
        (until > now).then_some(until)
    }

    /// Waits for a moment, a change in the ledger, an answer or the end, whichever is first.
    async fn wait_until(
        &mut self,
        moment: Option<UnixMillis>,
        changed: Notified<'_>,
    ) -> Result<Option<UploadEnd>, LedgerError> {
        let moment =
            moment.unwrap_or(UnixMillis(i64::MAX)).min(self.plan.stop_at.unwrap_or(UnixMillis(i64::MAX)));
        tokio::select! {
            biased;
            () = self.doors.signals.drain.cancelled() => Ok(None),
            Some(sent) = self.on_wire.join_next() => self.note(sent),
            () = self.doors.clock.sleep_until(moment) => Ok(None),
            () = changed => Ok(None),
        }
    }

    /// Takes note of a request that ended.
    fn note(
        &mut self,
        sent: Result<Result<Sent, LedgerError>, tokio::task::JoinError>,
    ) -> Result<Option<UploadEnd>, LedgerError> {
        let sent =
            sent.map_err(|fault| LedgerError::Broken { cause: format!("a request ended early: {fault}") })??;
        let now = self.doors.clock.now();
        match sent {
            Sent::Answered => {
                self.has_been_answered = true;
                self.offline_since = None;
                self.same_refusals = (String::new(), 0);
                Ok(None)
            }
            Sent::RowRefused(cause) => {
                self.has_been_answered = true;
                self.offline_since = None;
                let (last, times) = &mut self.same_refusals;
                *times = if *last == cause { *times + 1 } else { 1 };
                last.clone_from(&cause);
                let is_streak = *times >= SAME_REFUSALS_MAX;
                Ok(is_streak.then_some(UploadEnd::Stopped { reason: StopReason::SameRefusal, cause }))
            }
            Sent::Unreachable(cause) => {
                self.sent = self.sent.saturating_sub(1);
                let since = *self.offline_since.get_or_insert(now);
                let failures = self.doors.porter.hold(Lane::Upload).map_or(0, |hold| hold.failures);
                let never_there = !self.has_been_answered && failures >= FIRST_FAILURES_MAX;
                let gone_for_long =
                    now.since_ms(since) > i64::try_from(OFFLINE_MAX.as_millis()).unwrap_or(i64::MAX);
                Ok((never_there || gone_for_long).then_some(UploadEnd::Offline { cause }))
            }
            Sent::Late => {
                self.sent = self.sent.saturating_sub(1);
                if !std::mem::replace(&mut self.lateness_is_said, true) {
                    self.doors.say(&Notice::Said { text: SLOW_MACHINE.to_owned() });
                }
                Ok(None)
            }
            Sent::Stop { reason, cause } => Ok(Some(UploadEnd::Stopped { reason, cause })),
        }
    }
}

/// Whether a claimed request may leave. Not when the machine slept since the claim: somebody may have decided on this
/// attempt by now.
async fn may_leave<T>(
    doors: &Doors<T>,
    permit: &Permit,
    claim: &Claim,
    acceptance_lag_max: Duration,
) -> Result<bool, LedgerError> {
    let until = claim.send_before.plus(acceptance_lag_max);
    loop {
        if doors.clock.now() > claim.send_before {
            return Ok(false);
        }
        match doors.porter.depart(permit, claim.attempt.number(), claim.sent_at, until) {
            Departure::Now => return Ok(true),
            Departure::AfterLessons => doors.keep_lessons().await?,
        }
    }
}

/// Makes one request and settles it.
async fn send<T: Transport>(
    doors: &Doors<T>,
    permit: Permit,
    claim: Claim,
    acceptance_lag_max: Duration,
) -> Result<Sent, LedgerError> {
    let key = claim.attempt.number();
    if !may_leave(doors, &permit, &claim, acceptance_lag_max).await? {
        let late = Settlement::new(Event::NotSent, doors.clock.now(), LATE.to_owned());
        doors.ledger.settle(claim.attempt, late).await?;
        doors.porter.give_back(permit);
        doors.signals.ledger_changed();
        return Ok(Sent::Late);
    }
    let verdict = {
        let answer = doors.service.upload(permit, &claim.submission, claim.marker.as_deref());
        let drain = doors.signals.drain.clone();
        tokio::select! {
            biased;
            answer = answer => answer,
            () = drain.cancelled(), if is_planted(Bug::DroppedSendPending) => {
                Verdict::NotSent { cause: "the run ended".to_owned() }
            }
        }
    };
    let at = doors.clock.now();
    settle(doors, &claim, &verdict, at).await?;
    let Heard { hold, news } = doors.porter.answer(key, &outcome_of(&verdict, at));
    doors.keep_lessons().await?;
    announce(doors, &claim, &verdict, hold);
    if let Some(news) = news {
        doors.say(&Notice::QuotaLearned { text: news.to_string() });
    }
    doors.signals.ledger_changed();
    Ok(match verdict {
        Verdict::NotSent { cause } => Sent::Unreachable(cause),
        Verdict::StopRun { reason, cause, .. } => Sent::Stop { reason, cause },
        Verdict::BadRow { cause } => Sent::RowRefused(cause),
        Verdict::Accepted { .. }
        | Verdict::AcceptedUnnamed
        | Verdict::RefusedForNow { .. }
        | Verdict::InDoubt { .. } => Sent::Answered,
    })
}

async fn settle<T>(
    doors: &Doors<T>,
    claim: &Claim,
    verdict: &Verdict,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let settlement = settlement_of(verdict, at);
    match doors.ledger.settle(claim.attempt, settlement).await {
        // a number that is bound already: the service took the video, under which number is to be found out
        Err(LedgerError::Impossible { .. }) if matches!(verdict, Verdict::Accepted { .. }) => {
            let cause = "the service named a video that belongs to another item".to_owned();
            doors.ledger.settle(claim.attempt, Settlement::new(Event::AcceptedUnnamed, at, cause)).await
        }
        settled => settled,
    }
}

fn settlement_of(verdict: &Verdict, at: UnixMillis) -> Settlement {
    let plain = |event, cause: &String| Settlement::new(event, at, cause.clone());
    match verdict {
        Verdict::InDoubt { cause } if is_planted(Bug::ResendOnTimeout) => plain(Event::NotSent, cause),
        Verdict::Accepted { video_no, uploaded_at } => Settlement {
            event: Event::Accepted,
            at,
            bound: Some(Binding {
                video_no: video_no.clone(),
                uploaded_at: *uploaded_at,
                by: BoundBy::Reply,
            }),
            cause: None,
        },
        Verdict::AcceptedUnnamed => Settlement::new(Event::AcceptedUnnamed, at, None),
        Verdict::BadRow { cause } => plain(Event::Rejected, cause),
        Verdict::RefusedForNow { cause, .. }
        | Verdict::StopRun { certainty: Certainty::Refused, cause, .. } => plain(Event::RefusedForNow, cause),
        Verdict::InDoubt { cause } | Verdict::StopRun { certainty: Certainty::Unclear, cause, .. } => {
            plain(Event::Doubted, cause)
        }
        Verdict::NotSent { cause } => plain(Event::NotSent, cause),
    }
}

/// What an upload's verdict is for the porter.
fn outcome_of(verdict: &Verdict, at: UnixMillis) -> Outcome {
    match verdict {
        Verdict::Accepted { uploaded_at, .. } => Outcome::Accepted { noted_at: *uploaded_at },
        Verdict::AcceptedUnnamed => Outcome::Accepted { noted_at: None },
        Verdict::BadRow { .. } => Outcome::Rejected,
        Verdict::RefusedForNow { retry_after, .. } => Outcome::Refused {
            retry_after: retry_after.as_deref().and_then(|text| parse_retry_after(text, at)),
        },
        Verdict::NotSent { .. } => Outcome::NotSent,
        Verdict::InDoubt { .. } | Verdict::StopRun { .. } => Outcome::Unclear,
    }
}

/// Why the quota makes everybody wait, for people; none when it is the pace itself, or was said already.
fn why_words(delay: &Delay) -> Option<String> {
    match delay.why {
        Why::Spacing | Why::Turn | Why::Canary => None,
        Why::Cap { cap, is_learned: false } => Some(format!("the {cap} window is full")),
        Why::Cap { cap, is_learned: true } => Some(format!("the {cap} window is full, as refusals told")),
        Why::RefusalsSpent => {
            Some("the service refused too often within an hour, and may suspend the key".to_owned())
        }
        Why::Held(hold) => Some(hold_words(&hold, None)),
    }
}

fn announce<T>(doors: &Doors<T>, claim: &Claim, verdict: &Verdict, hold: Option<Hold>) {
    let url = Shown::from(&claim.submission.url);
    match verdict {
        Verdict::Accepted { video_no, .. } => {
            doors.say(&Notice::Accepted { url, video_no: video_no.clone() });
        }
        Verdict::BadRow { cause } => doors.say(&Notice::Refused { url, cause: cause.clone() }),
        Verdict::InDoubt { cause } => doors.say(&Notice::Doubted { url, cause: cause.clone() }),
        Verdict::AcceptedUnnamed => {
            let cause = "accepted, but the answer names no video".to_owned();
            doors.say(&Notice::Doubted { url, cause });
        }
        Verdict::RefusedForNow { .. } | Verdict::NotSent { .. } | Verdict::StopRun { .. } => {}
    }
    let Some(hold) = hold else { return };
    let cause = match verdict {
        Verdict::NotSent { cause } => Some(cause.as_str()),
        Verdict::Accepted { .. }
        | Verdict::AcceptedUnnamed
        | Verdict::BadRow { .. }
        | Verdict::RefusedForNow { .. }
        | Verdict::StopRun { .. }
        | Verdict::InDoubt { .. } => None,
    };
    doors.say(&Notice::Waiting { why: hold_words(&hold, cause), until: hold.until, how: None });
}

fn hold_words(hold: &Hold, cause: Option<&str>) -> String {
    match (hold.reason, cause) {
        (HoldReason::Refused, _) => "the service asks to slow down; one is tried then".to_owned(),
        (HoldReason::Unreachable, Some(cause)) => {
            format!("the service cannot be reached ({cause}); trying again then")
        }
        (HoldReason::Unreachable, None) => "the service cannot be reached; trying again then".to_owned(),
        (HoldReason::Unclear, _) => {
            format!("{} unclear answers in a row; one is tried then", hold.failures)
        }
    }
}
