//! The high-water mark: the last attempt number of a ledger, kept outside it.
//!
//! A ledger that was restored from a backup does not know what was sent since. The mark is in the user's own state
//! folder, so a restored ledger is behind it, and that is noticed before anything is sent twice.
//!
//! It is written after each commit with a claim, and not synced. A power cut may leave an older mark, never a newer one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use crate::domain::hex;

/// Digits of the mark, so that a longer number always overwrites a shorter one.
const DIGITS: usize = 19;

/// The mark of one ledger.
pub(super) struct HighWater {
    file: File,
    last: i64,
}

impl HighWater {
    /// The mark of the ledger with this secret below `folder`. A ledger without attempts has no mark.
    pub(super) fn open(folder: &Path, secret: &[u8; 32]) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = hex(&blake3::hash(secret).as_bytes()[..8]);
        let path = folder.join(name);
        let last = match fs::read_to_string(&path) {
            // a power cut may leave it empty; text in it that is no number is somebody's mistake
            Ok(text) => text.trim_matches(['\0', '\n', ' ']).parse().unwrap_or_else(|_| {
                if !text.trim_matches('\0').trim().is_empty() {
                    tracing::warn!(
                        "the high-water mark {} cannot be read and begins again: a ledger restored from an older copy would not \
                         be noticed in this run",
                        path.display()
                    );
                }
                0
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self { file, last })
    }

    /// The highest attempt number that was ever claimed.
    pub(super) const fn last(&self) -> i64 {
        self.last
    }

    /// Raises the mark. If the disk does not accept it, only the detection of restored copies is weaker.
    pub(super) fn raise(&mut self, attempt: i64) {
        if attempt > self.last {
            let text = format!("{attempt:0DIGITS$}\n");
            if let Err(error) = self.file.write_all_at(text.as_bytes(), 0) {
                tracing::warn!(%error, "the high-water mark could not be written");
            }
            self.last = attempt;
        }
    }
}
