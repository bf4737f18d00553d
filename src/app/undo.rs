//! Undo: which videos a run created, and their deletion at the service.

use std::collections::BTreeMap;

use crate::{
    api::Transport,
    domain::counted,
    error::Error,
    events::Event,
    ledger::{AttemptId, DeletionOrder, DeletionTask, LedgerError, RunId, RunVideo, Snapshot, UndoAction},
    manifest::Filter,
    pipeline::{
        Context, DELETION_BATCH, DeletionBatchEnd, DeletionStop, SecondVideos, UnfinishedDeletion,
        delete_batch,
    },
    report::{shell_word, with_separators},
};

/// Runs with open deletions that are named.
const RUNS_NAMED_MAX: usize = 5;
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
            "the ledger has no run {shown}; undo takes the whole name of a run, no beginning of it: `telecine runs` lists the \
             names, and `last` is the latest import"
        ))
    })?;
    let command = snapshot.run(run)?.command;
    if command == CREATES {
        return Ok(run);
    }
    Err(Error::Usage(format!(
        "run {shown} is not an import ({command}): it created no videos; `telecine runs` lists the imports"
    )))
}

/// The commands that end the deletions which are not proven yet, each with its videos. `flags` lead to the ledger.
pub fn open_deletions_text(snapshot: &Snapshot, flags: &str) -> Result<String, Error> {
    let mut runs = snapshot.runs_with_open_deletions()?;
    let unnamed = runs.len().saturating_sub(RUNS_NAMED_MAX);
    // the latest are the ones that are meant
    runs.drain(..unnamed);
    let mut commands: Vec<String> = runs
        .into_iter()
        .map(|(run, videos)| {
            let videos = counted(videos, "video", "videos");
            let what = run.as_deref().unwrap_or("--duplicates");
            format!("telecine undo {}{flags} ({videos})", shell_word(what))
        })
        .collect();
    if unnamed > 0 {
        commands.push(format!("and {}", counted(unnamed as u64, "earlier run", "earlier runs")));
    }
    Ok(commands.join(", "))
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

/// What one batch names.
enum Chosen<'a> {
    /// Requests, whose videos are read when it is their turn.
    Requests(&'a [AttemptId]),
    Videos(&'a [DeletionTask]),
}

impl Chosen<'_> {
    const fn count(&self) -> u64 {
        match self {
            Self::Requests(requests) => requests.len() as u64,
            Self::Videos(videos) => videos.len() as u64,
        }
    }
}

/// Deletes the videos of a plan. Stopping at any point and doing it again is the same as waiting.
pub async fn delete<T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    made_by: RunId,
    plan: &UndoPlan,
) -> Result<UndoEnd, LedgerError> {
    let batches = plan.attempts.iter().flat_map(|(namespace, attempts)| {
        attempts.chunks(DELETION_BATCH).map(|chunk| (namespace.as_str(), Chosen::Requests(chunk)))
    });
    delete_in_batches(context, order, made_by, batches, plan.delete).await
}

/// The second videos to delete, by namespace: those that were found, and those whose deletion an earlier call has ordered and
/// nothing proves.
pub async fn second_video_tasks<T>(
    context: &Context<T>,
    second: &SecondVideos,
) -> Result<BTreeMap<String, Vec<DeletionTask>>, LedgerError> {
    let mut by_namespace: BTreeMap<String, Vec<DeletionTask>> = BTreeMap::new();
    let earlier = context.ledger.read(Snapshot::open_deletions_of_duplicates).await?;
    let found = second.found.iter().map(|second| (second.namespace.clone(), second.task.clone()));
    for (namespace, task) in earlier.into_iter().chain(found) {
        let tasks = by_namespace.entry(namespace).or_default();
        if !tasks.iter().any(|known| known.video_no == task.video_no) {
            tasks.push(task);
        }
    }
    Ok(by_namespace)
}

/// Deletes second videos.
pub async fn delete_second_videos<T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    tasks: &BTreeMap<String, Vec<DeletionTask>>,
) -> Result<UndoEnd, LedgerError> {
    let all = tasks.values().map(Vec::len).sum::<usize>() as u64;
    let batches = tasks.iter().flat_map(|(namespace, tasks)| {
        tasks.chunks(DELETION_BATCH).map(|chunk| (namespace.as_str(), Chosen::Videos(chunk)))
    });
    // the run of the undo has made none of them: every other video may be a control video
    delete_in_batches(context, order, order.run, batches, all).await
}

async fn delete_in_batches<'a, T: Transport>(
    context: &Context<T>,
    order: &DeletionOrder,
    made_by: RunId,
    batches: impl Iterator<Item = (&'a str, Chosen<'a>)>,
    all: u64,
) -> Result<UndoEnd, LedgerError> {
    let mut end = UndoEnd { left: all, ..UndoEnd::default() };
    for (namespace, chosen) in batches {
        let count = chosen.count();
        let tasks = match chosen {
            Chosen::Requests(requests) => {
                let own = requests.to_vec();
                context.ledger.read(move |snapshot| snapshot.deletion_tasks(&own)).await?
            }
            Chosen::Videos(tasks) => tasks.to_vec(),
        };
        end.take(delete_batch(context, order, made_by, namespace, tasks).await?);
        end.left -= count;
        announce(context, all - end.left, all);
        if end.stop.is_some() {
            break;
        }
    }
    Ok(end)
}

fn announce<T>(context: &Context<T>, tried: u64, all: u64) {
    let text = format!("{} of {}", with_separators(tried), counted(all, "video", "videos"));
    context.events.emit(context.clock.now(), &Event::Message { text: format!("deleting: {text}") });
}
