//! The files of a ledger: where they really are, and whether they are still there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{LedgerError, LedgerPlace};

/// Symbolic links followed at most; systems have about the same bound.
const LINKS_MAX: usize = 40;
/// The files of a ledger that is open: SQLite's three, and the lock.
const SUFFIXES: &[&str] = &["", "-wal", "-shm", ".lock"];

/// Refuses what is no regular file in the place of a ledger, such as a folder or a device.
pub(super) fn refuse_other_kinds(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::other("it is a folder, and a ledger is a file")),
        Ok(found) if !found.is_file() => {
            Err(io::Error::other("it is a device, a pipe or a socket, and a ledger is a regular file"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Where a path leads when its symbolic links are followed. The file need not be there, but its folder must.
///
/// It is done once, before the file is opened: a ledger has one lock whatever it is called, and SQLite follows no link.
pub(super) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::canonicalize(folder)?;
        let Ok(target) = fs::read_link(&path) else {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            return Ok(folder.join(name));
        };
        path = folder.join(target);
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// The path of a file beside the ledger.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The files of an open ledger as they were when it was opened: device and inode of each.
#[derive(Default)]
pub(super) struct OpenFiles(Vec<(PathBuf, (u64, u64))>);

impl OpenFiles {
    /// Takes note of the files that are there. A database has none.
    pub(super) fn of(place: &LedgerPlace) -> Self {
        let Some(path) = place.file() else { return Self::default() };
        let paths = SUFFIXES.iter().map(|suffix| with_suffix(path, suffix));
        Self(paths.filter_map(|path| Some((path.clone(), identity(&path).ok()?))).collect())
    }

    /// Fails if one of them was moved, replaced or deleted: what is written then is in no ledger that the next run opens.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        for (path, known) in &self.0 {
            let is_there = match identity(path) {
                Ok(found) => found == *known,
                // any other error says nothing about the file
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            };
            if !is_there {
                return Err(LedgerError::Moved { file: path.display().to_string() });
            }
        }
        Ok(())
    }
}

/// Asks for the name only: opening and closing a file of SQLite's would drop its locks.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}
