//! A disk in memory that remembers every operation, and what of it would survive a power cut.

use std::collections::BTreeMap;

/// A power cut keeps or loses what was not synced in pieces of this many bytes.
const SECTOR: usize = 512;

/// One operation on a file.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write { file: String, offset: usize, bytes: Vec<u8> },
    Truncate { file: String, size: usize },
    Sync { file: String },
    Delete { file: String },
}

/// The contents of a disk.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A disk as the program sees it, and everything that was done to it.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) files: Files,
    pub(super) log: Vec<Op>,
}

impl Disk {
    pub(super) fn holding(files: Files) -> Self {
        Self { files, log: Vec::new() }
    }

    pub(super) fn act(&mut self, op: Op) {
        apply(&mut self.files, &op);
        self.log.push(op);
    }
}

fn apply(files: &mut Files, op: &Op) {
    match op {
        Op::Write { file, offset, bytes } => write(files, file, *offset, bytes),
        Op::Truncate { file, size } => {
            if let Some(content) = files.get_mut(file) {
                content.resize(*size, 0);
            }
        }
        Op::Sync { .. } => {}
        Op::Delete { file } => {
            files.remove(file);
        }
    }
}

fn write(files: &mut Files, file: &str, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let content = files.entry(file.to_owned()).or_default();
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// How a power cut treats what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransportError {
    /// All of it is lost.
    All,
    /// Nothing is lost: the caches were written back in time.
    Nothing,
    /// Each sector is kept or lost by itself.
    Some,
    /// As `Some`, and a sector may be half written.
    Torn,
}

impl TransportError {
    pub(super) const ALL: &'static [Self] = &[Self::All, Self::Nothing, Self::Some, Self::Torn];
}

/// What is durable while a log is replayed, and what hangs in caches.
pub(super) struct Durable {
    synced: Files,
    hanging: Vec<Op>,
}

impl Durable {
    pub(super) fn of(files: Files) -> Self {
        Self { synced: files, hanging: Vec::new() }
    }

    /// Takes the next operation of the log.
    pub(super) fn take(&mut self, op: &Op) {
        match op {
            Op::Sync { file } => {
                let (own, others): (Vec<Op>, Vec<Op>) =
                    std::mem::take(&mut self.hanging).into_iter().partition(|op| name(op) == file);
                self.hanging = others;
                for op in &own {
                    apply(&mut self.synced, op);
                }
            }
            other => self.hanging.push(other.clone()),
        }
    }

    /// What a power cut now leaves on the disk.
    pub(super) fn cut(&self, loss: TransportError, rng: &mut fastrand::Rng) -> Files {
        let mut files = self.synced.clone();
        for op in &self.hanging {
            match (loss, op) {
                (TransportError::All, _) => {}
                (TransportError::Nothing, op) => apply(&mut files, op),
                (_, Op::Write { file, offset, bytes }) => {
                    write_some(&mut files, (file, *offset, bytes), loss, rng);
                }
                (_, op) => {
                    if rng.bool() {
                        apply(&mut files, op);
                    }
                }
            }
        }
        files
    }
}

/// Writes some sectors of a write; each may be lost, and with [`TransportError::Torn`] half written.
fn write_some(
    files: &mut Files,
    (file, offset, bytes): (&str, usize, &[u8]),
    loss: TransportError,
    rng: &mut fastrand::Rng,
) {
    let mut at = 0;
    while at < bytes.len() {
        let end = ((offset + at) / SECTOR * SECTOR + SECTOR - offset).min(bytes.len());
        let kept = match rng.u8(0..4) {
            0 | 1 => end - at,
            2 if loss == TransportError::Torn => rng.usize(0..=end - at),
            _ => 0,
        };
        write(files, file, offset + at, &bytes[at..at + kept]);
        at = end;
    }
}

fn name(op: &Op) -> &str {
    match op {
        Op::Write { file, .. } | Op::Truncate { file, .. } | Op::Sync { file } | Op::Delete { file } => file,
    }
}
