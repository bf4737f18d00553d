//! Looks up the videos that calls of the service named for requests in doubt: one read by number for each, and again with growing
//! delays while it settles nothing.

use std::time::Duration;

use crate::{
    api::{ListedVideo, Transport},
    domain::VideoNo,
    events::Event,
    ledger::{Bindings, CalledAttempt, CalledNumber, LedgerError},
    pipeline::context::{Context, Noticed},
    quota::Priority,
    retry,
};

use super::{
    evidence::{
        Decision, HORIZON, ReconcileRules,
        by_call::{CallEvidence, decide_by_call},
    },
    record,
};

/// Numbers looked up in one pass.
const LOOK_UPS_MAX: usize = 100;
/// The shortest time until a number is looked up again.
const LOOK_UP_DELAY_MIN: Duration = Duration::from_secs(5);
/// The longest.
const LOOK_UP_DELAY_MAX: Duration = Duration::from_mins(10);

/// What the ledger knows of a number that a call named.
struct KnownOfNumber {
    bindings: Bindings,
    called: Vec<CalledNumber>,
}

/// Looks up every number that is due.
pub(super) async fn look_up<T: Transport>(
    context: &Context<T>,
    rules: &ReconcileRules,
) -> Result<(), LedgerError> {
    let now = context.clock.now();
    let due = context.ledger.read(move |snapshot| snapshot.called_attempts(now, LOOK_UPS_MAX)).await?;
    for called in due {
        look_up_one(context, rules, &called).await?;
    }
    Ok(())
}

async fn look_up_one<T: Transport>(
    context: &Context<T>,
    rules: &ReconcileRules,
    called: &CalledAttempt,
) -> Result<(), LedgerError> {
    let CalledAttempt { unresolved, video_no, called_at } = called;
    let (attempt, now) = (unresolved.attempt, context.clock.now());
    let age = Duration::from_millis(u64::try_from(now.since_ms(*called_at)).unwrap_or(0));
    let delay = retry::poll_delay(age, LOOK_UP_DELAY_MIN, LOOK_UP_DELAY_MAX);
    let again_at = (age < HORIZON).then(|| now.plus(delay));
    // first of all: whatever follows, the number is not due at once again
    context.ledger.write(move |store| store.look_up_again(attempt, again_at)).await?;
    let is_free = |known: &KnownOfNumber| known.bindings.bound.is_empty();
    if is_free(&known(context, called).await?)
        && let VideoRead::Shown(video) =
            read_video(context, &unresolved.submission.namespace, video_no).await?
    {
        // requests may have been answered, and calls may have come, during the read
        let known = known(context, called).await?;
        let evidence = CallEvidence {
            video: &video,
            possible_senders: &known.bindings.possible_senders,
            called: &known.called,
        };
        if let Some(by) = decide_by_call(unresolved, &evidence, rules).filter(|_| is_free(&known)) {
            let found = Decision::Found { video_no: video_no.clone(), uploaded_at: video.created_at, by };
            if record(context, unresolved, found).await? {
                context.signals.calls.note_settled();
            }
            return Ok(());
        }
    }
    if let Some(what) = contradiction(&known(context, called).await?, called)
        && context.signals.is_first(Noticed::ContradictoryCall(attempt))
    {
        context.signals.calls.note_contradicted();
        let text = format!("the service called for request {attempt} with the video {video_no}, but {what}");
        context.emit(&Event::Message { text });
    }
    Ok(())
}

async fn known<T>(context: &Context<T>, called: &CalledAttempt) -> Result<KnownOfNumber, LedgerError> {
    let (namespace, video_no) = (called.unresolved.submission.namespace.clone(), [called.video_no.clone()]);
    let read = move |snapshot: &crate::ledger::Snapshot| {
        Ok(KnownOfNumber {
            bindings: snapshot.bindings(&namespace, &video_no)?,
            called: snapshot.called_numbers()?,
        })
    };
    context.ledger.read(read).await
}

/// Why the number may be wrong, if so.
fn contradiction(known: &KnownOfNumber, called: &CalledAttempt) -> Option<String> {
    if !known.bindings.bound.is_empty() {
        return Some("that video belongs to another request".to_owned());
    }
    let other = known
        .called
        .iter()
        .find(|number| number.attempt != called.unresolved.attempt && number.video_no == called.video_no);
    other.map(|other| format!("also for request {}; calls settle neither", other.attempt))
}

/// What a read by number shows. What is not shown, or cannot be read, proves nothing.
pub(super) enum VideoRead {
    Shown(ListedVideo),
    NotShown,
    Failed,
}

/// Reads the video of this number.
pub(super) async fn read_video<T: Transport>(
    context: &Context<T>,
    namespace: &str,
    video_no: &VideoNo,
) -> Result<VideoRead, LedgerError> {
    let permit = context.read_permit(Priority::PollSingle).await?;
    let slot = permit.slot();
    match context.api.metadata(permit, namespace, video_no).await {
        Ok(video) => {
            context.learn_read(slot);
            let shown = video.filter(|video| video.video_no == *video_no);
            Ok(shown.map_or(VideoRead::NotShown, VideoRead::Shown))
        }
        Err(error) => {
            // if the service refuses all reads, the poll stage ends the run
            context.learn_read_fault(slot, &error);
            Ok(VideoRead::Failed)
        }
    }
}
