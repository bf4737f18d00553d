//! The poll stage: polls accepted items until they are searchable or have failed.
//!
//! A call of the service makes a poll due at once; while calls come, other polls ease off.
//!
//! One listing covers up to 100 items. An item that several listings do not show is requested singly. An answer
//! without the item proves nothing: the item is polled again later, with increasing delays.

use std::{collections::HashMap, time::Duration};

use crate::{
    api::{IndexStatus, ListedVideo, Transport, VIDEO_NOS_MAX},
    domain::VideoNo,
    events::Event,
    ledger::{LedgerError, Observation, PollResult, PollTask, Snapshot, Store},
    quota::Priority,
};

use super::context::{Context, Noticed, ReadRefusal};

/// Polls in a row that do not show an item before it is requested singly.
const MISSED_MAX: u32 = 4;
/// A request takes along items that are due within this part of the age of the one that is due longest.
const SOON: u32 = 8;
/// Not later than this.
const SOON_MAX: Duration = Duration::from_mins(2);

/// Polls until the run ends, or until the service refuses every read.
pub(super) async fn poll<T: Transport>(context: Context<T>) -> Result<Option<ReadRefusal>, LedgerError> {
    let leave = context.signals.leave.clone();
    tokio::select! {
        biased;
        () = leave.cancelled() => Ok(None),
        ended = poll_forever(&context) => ended.map(Some),
    }
}

async fn poll_forever<T: Transport>(context: &Context<T>) -> Result<ReadRefusal, LedgerError> {
    let mut polled_at = None;
    loop {
        let changed = context.signals.next_change();
        let scheduled = context.ledger.read(Snapshot::next_poll_at).await?;
        match scheduled.map(|timestamp| context.signals.calls.poll_due_at(timestamp, polled_at)) {
            Some(timestamp) if timestamp <= context.clock.now() => {
                polled_at = Some(context.clock.now());
                if let Some(refusal) = poll_due(context).await? {
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

/// Polls the items that are due, as many as fit one request.
async fn poll_due<T: Transport>(context: &Context<T>) -> Result<Option<ReadRefusal>, LedgerError> {
    let permit = context.limiter.permit(Priority::Poll).await;
    let now = context.clock.now();
    let first = context.ledger.read(move |snapshot| snapshot.poll_tasks(now, 1)).await?;
    // a request has room for items that are due soon
    let soon = first.first().map_or(Duration::ZERO, |task| now.after_now(task.accepted_at) / SOON);
    let until = now.plus(soon.min(SOON_MAX));
    let called_by = context.signals.calls.called_by(now);
    let take = move |store: &Store| store.take_poll_tasks(now, until, called_by, VIDEO_NOS_MAX);
    let due = context.ledger.write(take).await?;
    // one request covers one namespace: that of the item due longest
    let Some(namespace) = due.first().map(|task| task.namespace.as_str()) else {
        context.limiter.give_back(permit);
        return Ok(None);
    };
    context.spend(&permit).await?;
    let tasks: Vec<&PollTask> = due.iter().filter(|task| task.namespace == namespace).collect();
    let video_nos: Vec<&VideoNo> = tasks.iter().map(|task| &task.video_no).collect();
    let slot = permit.slot();
    let page = match context.api.list_videos(permit, namespace, &video_nos).await {
        Ok(page) => page,
        Err(error) => {
            let refusal = context.learn_read_fault(slot, &error);
            let unreadable: Vec<PollResult> = tasks
                .iter()
                .map(|task| PollResult { item: task.item, observation: Observation::Unreadable })
                .collect();
            let at = context.clock.now();
            context.ledger.write(move |store| store.observe(&unreadable, at)).await?;
            return Ok(refusal);
        }
    };
    context.learn_read(slot);
    let listed: HashMap<&VideoNo, &ListedVideo> =
        page.videos.iter().map(|video| (&video.video_no, video)).collect();
    let mut results = Vec::with_capacity(tasks.len());
    let mut missing = Vec::new();
    for task in tasks {
        match listed.get(&task.video_no) {
            Some(video) => results.push(result_of(task, video)),
            None if task.missed >= MISSED_MAX => missing.push(task),
            None => results.push(PollResult { item: task.item, observation: Observation::NotShown }),
        }
    }
    record(context, &due, results).await?;
    for task in missing {
        poll_single(context, task).await?;
    }
    Ok(None)
}

async fn poll_single<T: Transport>(context: &Context<T>, task: &PollTask) -> Result<(), LedgerError> {
    let permit = context.read_permit(Priority::PollSingle).await?;
    let slot = permit.slot();
    let seen = match context.api.metadata(permit, &task.namespace, &task.video_no).await {
        Ok(video) => {
            context.learn_read(slot);
            let found = video.filter(|video| video.video_no == task.video_no);
            if found.is_none() && context.signals.is_first(Noticed::VanishedVideo) {
                let text = format!(
                    "{}: the service no longer shows this accepted video, neither in listings nor by its number; it may have been \
                     deleted. telecine verify names all such videos",
                    task.video_no
                );
                context.emit(&Event::Message { text });
            }
            found
        }
        Err(error) => {
            context.learn_read_fault(slot, &error);
            None
        }
    };
    let result = match &seen {
        Some(video) => result_of(task, video),
        None => PollResult { item: task.item, observation: Observation::NotShown },
    };
    record(context, std::slice::from_ref(task), vec![result]).await
}

fn result_of(task: &PollTask, video: &ListedVideo) -> PollResult {
    let observation = match video.status {
        IndexStatus::Indexed => Observation::Indexed,
        IndexStatus::Failed => {
            let cause = video.cause.as_deref().unwrap_or("the service gave no cause");
            Observation::Failed(crate::redact::clean(cause))
        }
        IndexStatus::InProgress => Observation::InProgress,
    };
    PollResult { item: task.item, observation }
}

async fn record<T>(
    context: &Context<T>,
    tasks: &[PollTask],
    results: Vec<PollResult>,
) -> Result<(), LedgerError> {
    let mut events = Vec::new();
    for result in &results {
        let Some(task) = tasks.iter().find(|task| task.item == result.item) else {
            continue;
        };
        match &result.observation {
            Observation::Indexed => {
                context.limiter.indexed(task.attempt.number());
                events.push(Event::Indexed { video_no: task.video_no.clone() });
            }
            Observation::Failed(cause) => {
                context.limiter.indexed(task.attempt.number());
                events.push(Event::IndexingFailed { video_no: task.video_no.clone(), cause: cause.clone() });
            }
            Observation::InProgress | Observation::NotShown | Observation::Unreadable => {}
        }
    }
    let at = context.clock.now();
    context.ledger.write(move |store| store.observe(&results, at)).await?;
    for event in &events {
        context.emit(event);
    }
    if !events.is_empty() {
        context.signals.ledger_changed();
    }
    Ok(())
}
