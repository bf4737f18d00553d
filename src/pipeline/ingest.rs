//! The ingest stage: reads manifests and admits their rows to the ledger in batches.
//!
//! The next batch is read while one is admitted, so at most two are in memory. Admission is idempotent: a run that resumes
//! reads its manifests again, and known rows change nothing.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    blocking,
    domain::{ManifestRow, Problem, RowCounts, RowError, counted},
    events::Event,
    ledger::{
        Admission, AdmitTerms, LedgerError, ManifestId, ProbeRequirement, RerunPolicy, RunId, Store,
        panic_text,
    },
    manifest::{self, Manifest, ManifestError},
};

use super::context::Context;

/// A batch has enough rows to share a commit, and few enough that claims do not wait long.
const BATCH_ROWS: usize = 2_000;
/// The most bytes of cells in one batch, so that large rows do not exhaust memory.
const BATCH_BYTES: usize = 1024 * 1024;

type RowBatch = Vec<Result<ManifestRow, RowError>>;

/// Which rows are admitted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IngestRules {
    /// What to do with rows that were sent before.
    pub(super) reruns: RerunPolicy,
    /// Admit only rows whose source was found supported by a probe no older than this. `None`: admit rows without a probe.
    pub(super) probe_age_max: Option<Duration>,
}

impl IngestRules {
    /// The stamp of an unchanged manifest, whose items may be sent before it is read again. `None`: each row must be
    /// read first, to check its probe or the file that it names.
    pub(super) fn stamp(self, manifest: &Manifest) -> Option<String> {
        manifest.stamp().filter(|_| self.probe_age_max.is_none() && !manifest.may_name_files())
    }
}

/// Begins the reading of every manifest in the ledger.
pub(super) async fn begin_manifest_reads<T>(
    context: &Context<T>,
    run: RunId,
    manifests: Vec<Manifest>,
    rules: IngestRules,
) -> Result<(Vec<ManifestId>, Vec<(ManifestId, Manifest)>), LedgerError> {
    let mut manifest_ids = Vec::with_capacity(manifests.len());
    let mut readings = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let identity = manifest::identity(manifest.path());
        let columns = manifest.column_names().to_vec();
        let stamp = rules.stamp(&manifest);
        let begin =
            move |store: &Store| store.begin_manifest_read(run, &identity, &columns, stamp.as_deref());
        let id = context.ledger.write(begin).await?;
        context.emit(&Event::ManifestOpened {
            path: manifest.path().to_owned(),
            mapping: manifest.mapping(),
            unused_columns: manifest.unused_columns().into_iter().map(str::to_owned).collect(),
            found: manifest.found().to_vec(),
        });
        if !manifest_ids.contains(&id) {
            manifest_ids.push(id);
        }
        readings.push((id, manifest));
    }
    Ok((manifest_ids, readings))
}

/// How the reading of all manifests ended.
#[derive(Debug, Default)]
pub(super) struct IngestResult {
    /// Manifests that could not be read to their end.
    pub(super) broken: Vec<ManifestError>,
    /// What the user should know of the manifests, a sentence each.
    pub(super) notices: Vec<String>,
    /// How many rows filters left out, where they left none.
    pub(super) nothing_left: Option<u64>,
}

/// Reads every manifest to its end, or until the run drains.
pub(super) async fn ingest<T>(
    context: Context<T>,
    run: RunId,
    manifests: Vec<(ManifestId, Manifest)>,
    rules: IngestRules,
) -> Result<IngestResult, LedgerError> {
    let mut ingested = IngestResult::default();
    let mut total = ReadRows::default();
    for (id, manifest) in manifests {
        if context.signals.drain.is_cancelled() {
            return Ok(ingested);
        }
        let read = read_one(&context, run, id, manifest, rules, &mut ingested.notices).await?;
        match read {
            ManifestEnd::Read(rows) => {
                total.read += rows.read;
                total.left_out += rows.left_out;
            }
            ManifestEnd::Broken(broken) => ingested.broken.push(broken),
        }
    }
    let is_nothing_left = total.read == 0 && ingested.broken.is_empty();
    ingested.nothing_left = is_nothing_left.then_some(total.left_out);
    Ok(ingested)
}

/// How the reading of one manifest ended.
enum ManifestEnd {
    Read(ReadRows),
    Broken(ManifestError),
}

/// Rows of manifests: those that were read, and those that a filter left out.
#[derive(Default)]
struct ReadRows {
    read: u64,
    left_out: u64,
}

/// Warnings of rows that will be sent, by their class: how many rows, the first line, and what is odd.
#[derive(Default)]
struct WarningCounts(BTreeMap<String, (u64, u64, String)>);

impl WarningCounts {
    fn add(&mut self, line: u64, warnings: Vec<Problem>) {
        for warning in warnings {
            self.0.entry(warning.class).or_insert((0, line, warning.message)).0 += 1;
        }
    }

    fn sentences(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(class, (count, line, message))| {
            let rows = if *count == 1 { "row" } else { "rows" };
            format!("{count} {rows} with a warning, first on line {line}: {message} ({class}); telecine check lists them")
        })
    }
}

/// Reads one manifest to its end, or until the run drains.
async fn read_one<T>(
    context: &Context<T>,
    run: RunId,
    id: ManifestId,
    mut manifest: Manifest,
    rules: IngestRules,
    said: &mut Vec<String>,
) -> Result<ManifestEnd, LedgerError> {
    manifest.warn_at(context.clock.now());
    let path = manifest.path().to_owned();
    let mut say = |sentence: String| {
        let text = format!("{path}: {sentence}");
        said.push(text.clone());
        context.emit(&Event::Message { text });
    };
    manifest.column_notes().into_iter().for_each(&mut say);
    let stamp = rules.stamp(&manifest);
    let terms = AdmitTerms { reruns: rules.reruns, requirement: requirement_of(context, &manifest, rules) };
    let (mut counts, mut warnings) = (RowCounts::default(), WarningCounts::default());
    let mut reading = blocking::run(move || read_batch(manifest));
    loop {
        // a reader that stalls, as on a pipe, must not keep the run from ending
        let read = tokio::select! {
            biased;
            read = &mut reading => read,
            () = context.signals.drain.cancelled() => return Ok(ManifestEnd::Read(ReadRows::default())),
        };
        let (manifest, batch, end) = read.map_err(|error| reader_failed(&path, error))?;
        let (left_out, unmatched) = (manifest.left_out(), manifest.unmatched());
        let notices = if matches!(end, BatchEnd::More) { Vec::new() } else { manifest.notices() };
        let is_last = !matches!(end, BatchEnd::More) || context.signals.drain.is_cancelled();
        // the next batch is read while this one is admitted
        reading = blocking::run(move || {
            if is_last { (manifest, Vec::new(), BatchEnd::More) } else { read_batch(manifest) }
        });
        let origin = RowOrigin { run, manifest: id, path: &path };
        admit(context, origin, batch, &terms, &mut counts, &mut warnings).await?;
        match end {
            BatchEnd::Complete => {
                let end = move |store: &Store| store.end_manifest_read(run, id, stamp.as_deref());
                let removed = context.ledger.write(end).await?;
                if removed > 0 {
                    let or_held = if terms.requirement.is_some() { ", or held back" } else { "" };
                    let rows = counted(removed, "pending row", "pending rows");
                    say(format!("{rows} no longer in it{or_held}; not sent"));
                }
                let repeated = mostly_duplicates(&counts);
                for sentence in notices.into_iter().chain(repeated).chain(warnings.sentences()) {
                    say(sentence);
                }
                let now = context.clock.now();
                let progress =
                    context.ledger.read(move |snapshot| snapshot.run_progress(run, &[id], now)).await?;
                let pending = progress.pending;
                context.emit(&Event::ManifestRead { path, counts, pending, left_out, unmatched });
                context.signals.ledger_changed();
                return Ok(ManifestEnd::Read(ReadRows { read: counts.read, left_out }));
            }
            BatchEnd::Broken(broken) => return Ok(ManifestEnd::Broken(broken)),
            BatchEnd::More if is_last => return Ok(ManifestEnd::Read(ReadRows::default())),
            BatchEnd::More => {}
        }
    }
}

fn reader_failed(path: &str, error: tokio::task::JoinError) -> LedgerError {
    let what = match error.try_into_panic() {
        Ok(panic) => panic_text(panic.as_ref()),
        Err(error) => error.to_string(),
    };
    LedgerError::Panicked { what: format!("reading {path}: {what}") }
}

/// Fewer rows do not show that most are duplicates.
const ROWS_MIN: u64 = 10;

/// What to say where most rows name the same few videos.
fn mostly_duplicates(counts: &RowCounts) -> Option<String> {
    let share = counts.duplicates * 100 / counts.read.max(1);
    (counts.read >= ROWS_MIN && share > 50).then(|| {
        format!("most rows are duplicates ({share} %): check that the url comes from the right column")
    })
}

/// The probe that rows of this manifest need. `None`: no probe.
fn requirement_of<T>(
    context: &Context<T>,
    manifest: &Manifest,
    rules: IngestRules,
) -> Option<ProbeRequirement> {
    let age_max = rules.probe_age_max?;
    let (column_number, column) = manifest.url_column();
    Some(ProbeRequirement { probed_since: context.clock.now().minus(age_max), column, column_number })
}

/// Whether a manifest has rows behind a batch.
enum BatchEnd {
    More,
    Complete,
    Broken(ManifestError),
}

/// Reads up to one batch.
fn read_batch(mut manifest: Manifest) -> (Manifest, RowBatch, BatchEnd) {
    let mut batch = RowBatch::new();
    let mut bytes = 0;
    // rows that a slow pipe has delivered are not held back until the batch is full
    while batch.is_empty() || (batch.len() < BATCH_ROWS && bytes < BATCH_BYTES && manifest.has_input()) {
        match manifest.next() {
            Ok(Some(row)) => {
                let cells = match &row {
                    Ok(row) => &row.cells,
                    Err(error) => &error.cells,
                };
                bytes += cells.iter().map(String::len).sum::<usize>();
                batch.push(row);
            }
            Ok(None) => {
                let end = manifest.check_unchanged().map_or_else(BatchEnd::Broken, |()| BatchEnd::Complete);
                if matches!(end, BatchEnd::Broken(_)) {
                    batch.pop();
                }
                return (manifest, batch, end);
            }
            Err(broken) => return (manifest, batch, BatchEnd::Broken(broken)),
        }
    }
    (manifest, batch, BatchEnd::More)
}

/// Where the rows of a batch come from.
struct RowOrigin<'a> {
    run: RunId,
    manifest: ManifestId,
    path: &'a str,
}

async fn admit<T>(
    context: &Context<T>,
    origin: RowOrigin<'_>,
    batch: RowBatch,
    terms: &AdmitTerms,
    counts: &mut RowCounts,
    warnings: &mut WarningCounts,
) -> Result<(), LedgerError> {
    if batch.is_empty() {
        return Ok(());
    }
    let found: Vec<(u64, Vec<Problem>)> = batch
        .iter()
        .map(|row| match row {
            Ok(row) => (row.line, row.warnings.clone()),
            Err(error) => (error.line, error.problems.clone()),
        })
        .collect();
    let (run, manifest, terms, at) = (origin.run, origin.manifest, terms.clone(), context.clock.now());
    let admissions =
        context.ledger.write(move |store| store.admit(run, manifest, &batch, &terms, at)).await?;
    context.signals.ledger_changed();
    for (admission, (line, problems)) in admissions.into_iter().zip(found) {
        counts.read += 1;
        let path = || origin.path.to_owned();
        match admission {
            Admission::Added => {
                counts.added += 1;
                warnings.add(line, problems);
            }
            Admission::Known => counts.known += 1,
            Admission::Updated => {
                counts.updated += 1;
                warnings.add(line, problems);
            }
            Admission::Drifted => {
                counts.drifted += 1;
                context.emit(&Event::RowDrifted { path: path(), line });
            }
            Admission::Duplicate { first_line } => {
                counts.duplicates += 1;
                context.emit(&Event::RowDuplicate { path: path(), line, first_line });
            }
            Admission::HeldBack(problem) => {
                counts.invalid += 1;
                context.emit(&Event::RowInvalid { path: path(), line, problems: vec![*problem] });
            }
            Admission::Invalid => {
                counts.invalid += 1;
                context.emit(&Event::RowInvalid { path: path(), line, problems });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ManifestSpec;

    #[test]
    fn the_last_row_of_a_file_that_is_still_written_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, "url\nhttps://h/a.mp4\nhttps://h/b").unwrap();
        let open = || Manifest::open(&ManifestSpec::with_defaults(path.to_str().unwrap())).unwrap();
        let (_, batch, end) = read_batch(open());
        assert!(batch.len() == 2 && matches!(end, BatchEnd::Complete));
        let manifest = open();
        std::fs::write(&path, "url\nhttps://h/a.mp4\nhttps://h/bear.mp4\n").unwrap();
        let (_, batch, end) = read_batch(manifest);
        assert_eq!(batch.len(), 1);
        assert!(matches!(end, BatchEnd::Broken(ManifestError::Changed { .. })));
    }

    #[test]
    fn rows_that_are_asked_for_their_probe_are_sent_only_once_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, "url\nhttps://h/a.mp4\n").unwrap();
        let manifest = Manifest::open(&ManifestSpec::with_defaults(path.to_str().unwrap())).unwrap();
        assert!(IngestRules::default().stamp(&manifest).is_some(), "what waits is sent at once");
        let probed = IngestRules { probe_age_max: Some(Duration::from_hours(1)), ..IngestRules::default() };
        assert_eq!(probed.stamp(&manifest), None);
    }
}
