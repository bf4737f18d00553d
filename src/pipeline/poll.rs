//! Accepted items until they are searchable, or have failed.
//!
//! One listing looks at up to 100 items. What a listing does not show after several looks is asked for singly. An
//! answer that shows nothing proves nothing: the item is looked at again later, ever more rarely.

use std::collections::HashMap;

use crate::{
    api::{IndexStatus, ListedVideo, Transport, VIDEO_NOS_MAX},
    domain::VideoNo,
    events::Event,
    ledger::{LedgerError, Observation, PollResult, PollTask},
    quota::Priority,
};

use super::context::{Context, ReadRefusal};

/// Looks in a row without sight after which an item is asked for singly.
const MISSED_MAX: u32 = 4;

/// Polls until told to leave, or until the service says that no read can succeed.
pub(super) async fn poll<T: Transport>(context: Context<T>) -> Result<Option<ReadRefusal>, LedgerError> {
    let leave = context.signals.leave.clone();
    tokio::select! {
        biased;
        () = leave.cancelled() => Ok(None),
        ended = poll_forever(&context) => ended.map(Some),
    }
}

async fn poll_forever<T: Transport>(context: &Context<T>) -> Result<ReadRefusal, LedgerError> {
    loop {
        let changed = context.signals.next_change();
        match context.ledger.next_poll_at().await? {
            Some(timestamp) if timestamp <= context.clock.now() => {
                if let Some(refusal) = look(context).await? {
                    return Ok(refusal);
                }
            }
            // what is accepted meanwhile may be due sooner
            Some(timestamp) => tokio::select! {
                biased;
                () = context.clock.sleep_until(timestamp) => {}
                () = changed => {}
            },
            None => changed.await,
        }
    }
}

/// Looks at the items that are due, as many as fit one request.
async fn look<T: Transport>(context: &Context<T>) -> Result<Option<ReadRefusal>, LedgerError> {
    let permit = context.limiter.permit(Priority::Poll).await;
    let due = context.ledger.poll_tasks(context.clock.now(), VIDEO_NOS_MAX).await?;
    // one request looks into one namespace, that of the longest due; the others' turn comes next
    let Some(namespace) = due.first().map(|poll_task| poll_task.namespace.as_str()) else {
        context.limiter.give_back(permit);
        return Ok(None);
    };
    context.spend(&permit).await?;
    let poll_tasks: Vec<&PollTask> =
        due.iter().filter(|poll_task| poll_task.namespace == namespace).collect();
    let video_nos: Vec<&VideoNo> = poll_tasks.iter().map(|poll_task| &poll_task.video_no).collect();
    let slot = permit.slot();
    let page = match context.api.list_videos(permit, namespace, &video_nos).await {
        Ok(page) => page,
        Err(error) => {
            let refusal = context.learn_read_fault(slot, &error);
            let put_off = poll_tasks
                .iter()
                .map(|poll_task| PollResult { item: poll_task.item, seen: Observation::NotLooked })
                .collect();
            context.ledger.observe(put_off, context.clock.now()).await?;
            return Ok(refusal);
        }
    };
    context.learn_read(slot);
    let shown: HashMap<&VideoNo, &ListedVideo> =
        page.videos.iter().map(|video| (&video.video_no, video)).collect();
    let mut sights = Vec::with_capacity(poll_tasks.len());
    let mut missing = Vec::new();
    for poll_task in poll_tasks {
        match shown.get(&poll_task.video_no) {
            Some(video) => sights.push(sight(poll_task, video)),
            None if poll_task.missed >= MISSED_MAX => missing.push(poll_task),
            None => sights.push(PollResult { item: poll_task.item, seen: Observation::NotShown }),
        }
    }
    record(context, &due, sights).await?;
    for poll_task in missing {
        look_singly(context, poll_task).await?;
    }
    Ok(None)
}

async fn look_singly<T: Transport>(context: &Context<T>, poll_task: &PollTask) -> Result<(), LedgerError> {
    let permit = context.read_permit(Priority::PollSingle).await?;
    let slot = permit.slot();
    let seen = match context.api.metadata(permit, &poll_task.namespace, &poll_task.video_no).await {
        Ok(video) => {
            context.learn_read(slot);
            video.filter(|video| video.video_no == poll_task.video_no)
        }
        Err(error) => {
            context.learn_read_fault(slot, &error);
            None
        }
    };
    let sight = match &seen {
        Some(video) => sight(poll_task, video),
        None => PollResult { item: poll_task.item, seen: Observation::NotShown },
    };
    record(context, std::slice::from_ref(poll_task), vec![sight]).await
}

fn sight(poll_task: &PollTask, video: &ListedVideo) -> PollResult {
    let seen = match video.status {
        IndexStatus::Indexed => Observation::Indexed,
        IndexStatus::Failed => {
            let cause = video.cause.as_deref().unwrap_or("the service gave no cause");
            Observation::Failed(crate::redact::clean(cause))
        }
        IndexStatus::InProgress => Observation::InProgress,
    };
    PollResult { item: poll_task.item, seen }
}

async fn record<T>(
    context: &Context<T>,
    poll_tasks: &[PollTask],
    sights: Vec<PollResult>,
) -> Result<(), LedgerError> {
    let mut events = Vec::new();
    for sight in &sights {
        let Some(poll_task) = poll_tasks.iter().find(|poll_task| poll_task.item == sight.item) else {
            continue;
        };
        match &sight.seen {
            Observation::Indexed => {
                context.limiter.indexed(poll_task.attempt.number());
                events.push(Event::Indexed { video_no: poll_task.video_no.clone() });
            }
            Observation::Failed(cause) => {
                context.limiter.indexed(poll_task.attempt.number());
                events.push(Event::IndexingFailed {
                    video_no: poll_task.video_no.clone(),
                    cause: cause.clone(),
                });
            }
            Observation::InProgress | Observation::NotShown | Observation::NotLooked => {}
        }
    }
    context.ledger.observe(sights, context.clock.now()).await?;
    for event in &events {
        context.emit(event);
    }
    if !events.is_empty() {
        context.signals.ledger_changed();
    }
    Ok(())
}
