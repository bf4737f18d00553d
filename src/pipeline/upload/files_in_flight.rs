//! How far the files are that are being sent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{api::BodyProgress, domain::UnixMillis, events::FileProgress};

/// How often it is said, in milliseconds.
const SAID_EVERY_MS: i64 = 2_000;

/// The files that are being sent.
#[derive(Debug, Default)]
pub(super) struct FilesInFlight(Mutex<FileCounts>);

#[derive(Debug, Default)]
struct FileCounts {
    /// By the number of the attempt.
    files: BTreeMap<i64, FileInFlight>,
    /// Of files that ended.
    ended_bytes: u64,
    /// When and at how many bytes it was said last.
    said: Option<(UnixMillis, u64)>,
}

#[derive(Debug, Default)]
struct FileInFlight {
    progress: BodyProgress,
    /// The whole body, in bytes.
    size: u64,
}

/// A file that is opened or sent.
#[derive(Debug)]
pub(super) struct FileSlot<'a> {
    files: &'a FilesInFlight,
    attempt: i64,
}

impl FileSlot<'_> {
    /// Its body of this size begins.
    pub(super) fn begin(&self, progress: BodyProgress, size: u64) {
        self.files.counts().files.insert(self.attempt, FileInFlight { progress, size });
    }

    /// How many bytes of its body were sent.
    pub(super) fn sent(&self) -> u64 {
        self.files.counts().files.get(&self.attempt).map_or(0, |file| file.progress.bytes())
    }

    /// It ended, however it did. Returns how far the others are.
    pub(super) fn end(&self, now: UnixMillis) -> FileProgress {
        let mut counts = self.files.counts();
        if let Some(ended) = counts.files.remove(&self.attempt) {
            counts.ended_bytes += ended.progress.bytes();
        }
        counts.say(now)
    }
}

impl Drop for FileSlot<'_> {
    fn drop(&mut self) {
        self.files.counts().files.remove(&self.attempt);
    }
}

impl FilesInFlight {
    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.counts().files.len()
    }

    /// Counts a file from now on, until the slot is dropped.
    pub(super) fn slot(&self, attempt: i64) -> FileSlot<'_> {
        self.counts().files.insert(attempt, FileInFlight::default());
        FileSlot { files: self, attempt }
    }

    /// How far they are, if it was not said lately.
    pub(super) fn due(&self, now: UnixMillis) -> Option<FileProgress> {
        let mut counts = self.counts();
        let is_due = counts.said.is_none_or(|(at, _)| now.since_ms(at) >= SAID_EVERY_MS);
        is_due.then(|| counts.say(now))
    }

    fn counts(&self) -> MutexGuard<'_, FileCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileCounts {
    fn say(&mut self, now: UnixMillis) -> FileProgress {
        let sent = self.files.values().map(|file| file.progress.bytes()).sum::<u64>();
        let total = self.ended_bytes + sent;
        let (before, bytes_before) = self.said.unwrap_or((now, total));
        let span_ms = now.since_ms(before).unsigned_abs();
        let bytes_per_second =
            total.saturating_sub(bytes_before).saturating_mul(1_000).checked_div(span_ms).unwrap_or(0);
        self.said = Some((now, total));
        let size = self.files.values().map(|file| file.size).sum();
        FileProgress { files: self.files.len() as u64, sent, size, bytes_per_second }
    }
}
