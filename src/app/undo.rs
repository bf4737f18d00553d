//! Undo: which videos a run created, and their deletion at the service.

use std::collections::BTreeMap;

use crate::{
    api::Transport,
    error::Error,
    events::Event,
    ledger::{AttemptId, DeletionOrder, DeletionTask, LedgerError, RunId, RunVideo, Snapshot, UndoAction},
    manifest::Filter,
    pipeline::{
        Context, DELETION_BATCH, DeletionBatchEnd, DeletionStop, SecondVideos, UnfinishedDeletion,
        delete_batch,
    },
    report::with_separators,
};

/// The only command whose runs create videos.
const CREATES: &str = "import";

/// The videos of a run, by what an undo does with them.
#[derive(Debug, Default)]
pub struct UndoPlan {
    /// The requests whose videos are deleted, by namespace.
    pub attempts: BTreeMap<String, Vec<AttemptId>>,
    /// How many are deleted.
    pub delete: u64,
    /// How many of these were bound without a marker: they are deleted only if the service shows it.
    pub if_marked: u64,
    /// How many are deleted already.
    pub already: u64,
    /// How many are kept.
    pub kept: u64,
}

/// The run that the user names; `last` is the latest import. What deletes takes no beginning of a name.
pub fn run_of(snapshot: &Snapshot, name: &str) -> Result<RunId, Error> {
    let found = if name == "last" {
        snapshot.latest_import()?
    } else {
        snapshot.runs_named(name)?.into_iter().find_map(|(run, own)| (own == name).then_some(run))
    };
    let shown = crate::redact::clean(name);
    let run = found.ok_or_else(|| {
        Error::Usage(format!(
            "the ledger has no run {shown}; `telecine runs` lists them, and `last` is the latest import"
        ))
    })?;
    let command = snapshot.run(run)?.command;
    if command == CREATES {
        return Ok(run);
    }
    Err(Error::Usage(format!(
        "run {shown} is no import ({command}): it created no videos; `telecine runs` lists the imports"
    )))
}

/// Sorts the videos that a run created, and calls `show` with each that the filters choose.
pub fn plan(
    snapshot: &Snapshot,
    run: RunId,
    filters: &[Filter],
    mut show: impl FnMut(&RunVideo, UndoAction) -> Result<(), Error>,
) -> Result<UndoPlan, Error> {
    let mut plan = UndoPlan::default();
    snapshot.each_video_of_run(run, |video| {
        for filter in filters {
            let is_kept = filter.keeps(&video.row.manifest, &video.columns, &video.cells);
            // the manifest is as it was imported: the flag is wrong
            if !is_kept.map_err(|error| Error::Usage(error.to_string()))? {
                return Ok::<(), Error>(());
            }
        }
        let action = video.action();
        match action {
            UndoAction::Delete | UndoAction::DeleteIfMarked => {
                plan.delete += 1;
                plan.if_marked += u64::from(action == UndoAction::DeleteIfMarked);
                plan.attempts.entry(video.row.namespace.clone()).or_default().push(video.attempt);
            }
            UndoAction::AlreadyDeleted => plan.already += 1,
            UndoAction::Keep(_) => plan.kept += 1,
        }
        show(&video, action)
    })?;
    Ok(plan)
}

/// What became of ordered deletions.
#[derive(Debug, Default)]
pub struct UndoEnd {
    /// Videos that are proven to be gone.
    pub gone: u64,
    /// Ordered, and not proven to be gone.
    pub open: Vec<UnfinishedDeletion>,
    /// Not ordered, since the service shows something against it.
    pub kept: Vec<UnfinishedDeletion>,
    /// Not tried.
    pub left: u64,
    /// Why nothing more was done. `None`: everything was tried.
    pub stop: Option<DeletionStop>,
}

impl UndoEnd {
    fn take(&mut self, batch: DeletionBatchEnd) {
        self.gone += batch.gone.len() as u64;
        self.open.extend(batch.open);
        self.kept.extend(batch.kept);
        self.stop = batch.stop;
    }

    /// Whether the service shows videos after it was asked to delete them.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.open.iter().any(|open| open.is_ignored)
    }
}

/// Deletes the videos of a plan. Stopping at any point and doing it again is the same as waiting.
pub async fn delete<T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    made_by: RunId,
    plan: &UndoPlan,
) -> Result<UndoEnd, LedgerError> {
    let mut end = UndoEnd::default();
    let mut tried = 0;
    for (namespace, attempts) in &plan.attempts {
        for attempts in attempts.chunks(DELETION_BATCH) {
            if end.stop.is_some() {
                break;
            }
            let own = attempts.to_vec();
            let tasks = context.ledger.read(move |snapshot| snapshot.deletion_tasks(&own)).await?;
            end.take(delete_batch(context, order, made_by, namespace, tasks).await?);
            tried += attempts.len() as u64;
            announce(context, tried, plan.delete);
        }
    }
    end.left = plan.delete - tried;
    Ok(end)
}

/// Deletes second videos, and proves the deletions that an earlier call has ordered.
pub async fn delete_second_videos<T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    second: &SecondVideos,
) -> Result<UndoEnd, LedgerError> {
    let mut by_namespace: BTreeMap<String, Vec<DeletionTask>> = BTreeMap::new();
    let earlier = context.ledger.read(Snapshot::open_deletions_of_duplicates).await?;
    let found = second.found.iter().map(|second| (second.namespace.clone(), second.task.clone()));
    for (namespace, task) in earlier.into_iter().chain(found) {
        let tasks = by_namespace.entry(namespace).or_default();
        if !tasks.iter().any(|known| known.video_no == task.video_no) {
            tasks.push(task);
        }
    }
    let all = by_namespace.values().map(Vec::len).sum::<usize>() as u64;
    let mut end = UndoEnd::default();
    let mut tried = 0;
    for (namespace, tasks) in &by_namespace {
        for tasks in tasks.chunks(DELETION_BATCH) {
            if end.stop.is_some() {
                break;
            }
            // the run of the undo has made none of them: every other video vouches for a listing
            end.take(delete_batch(context, order, order.run, namespace, tasks.to_vec()).await?);
            tried += tasks.len() as u64;
            announce(context, tried, all);
        }
    }
    end.left = all - tried;
    Ok(end)
}

fn announce<T>(context: &Context<T>, tried: u64, all: u64) {
    let text = format!("{} of {} videos", with_separators(tried), with_separators(all));
    context.events.emit(context.clock.now(), &Event::Message { text: format!("deleting: {text}") });
}
