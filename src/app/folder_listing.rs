//! A folder as a manifest: lists it into temporary files, before anything else happens.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    os::unix::ffi::OsStrExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    vec,
};

use crate::{
    clock::Clock,
    domain::with_separators,
    error::Error,
    events::{Event, EventBus},
    local_file::{FilesRoot, OpenFile, stamp_of},
    manifest::{FolderWriter, ManifestError, MediaCells, ObjectListing},
    probe::Recording,
};

use super::temporary_folder_error;

/// How many files are listed between two events.
const EVENT_INTERVAL: u64 = 1_000;

/// What lists folders, and who is told how far it is.
pub struct FolderListing<'a> {
    /// Told of every thousandth file.
    pub events: &'a EventBus,
    /// Which files are rows, by their paths below the folder.
    pub is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether rows have columns for what the files say of their recording.
    pub reads_media: bool,
}

impl FolderListing<'_> {
    /// Lists the files of a folder and of the folders below it, by their names. A part of a listing is an error: what is missing in it would
    /// count as removed. `given` is the folder as the user names it.
    pub fn list(&self, given: &str, root: &FilesRoot) -> Result<ObjectListing, Error> {
        let path = || crate::redact::clean(given);
        let file = || tempfile::tempfile().map_err(temporary_folder_error);
        let mut writer = FolderWriter::new(file()?, file()?, self.reads_media);
        let unlisted = |what: String| Error::Manifest(ManifestError::FolderUnlisted { path: path(), what });
        let files = self.walk(given, root.path(), &mut writer).map_err(unlisted)?;
        let listing = writer.finish().map_err(|error| unlisted(unwritable(&error)))?;
        if listing.rows() == 0 {
            let notices = listing.notices().join("; ");
            let what = match files {
                0 => "no file is in the folder".to_owned(),
                1 => format!("its only file is no row: {notices}"),
                _ => format!("none of its {} files is a row: {notices}", with_separators(files)),
            };
            return Err(Error::Manifest(ManifestError::NoObjects { path: path(), what }));
        }
        Ok(listing)
    }

    /// Returns how many files there are. The error says what went wrong.
    fn walk(&self, given: &str, root: &Path, writer: &mut FolderWriter) -> Result<u64, String> {
        let clock = Clock::real();
        let mut files = 0;
        // the entries that are left of each folder on the way to the current one
        let mut open = vec![entries_of(root)?];
        while let Some(folder) = open.last_mut() {
            let Some(entry) = folder.next() else {
                open.pop();
                continue;
            };
            if entry.file_name().as_bytes().starts_with(b".") {
                writer.hidden += 1;
                continue;
            }
            let path = entry.path();
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // it was removed meanwhile
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(&path, &error)),
            };
            if metadata.is_dir() {
                open.push(entries_of(&path)?);
                continue;
            }
            files += 1;
            if files % EVENT_INTERVAL == 0 {
                let address = crate::redact::clean(given);
                self.events.emit(clock.now(), &Event::Listing { address, objects: files });
            }
            if metadata.is_symlink() {
                writer.links += 1;
            } else if metadata.is_file() {
                let inside = path.strip_prefix(root).unwrap_or(&path);
                let media = || media_of(&path, &metadata);
                let added = writer.add(&path, inside, &metadata, self.is_wanted, media);
                added.map_err(|error| unwritable(&error))?;
            } else {
                writer.special += 1;
            }
        }
        Ok(files)
    }
}

/// What a file says of its recording. One that has changed meanwhile says nothing: its row is judged when it is read.
fn media_of(path: &Path, metadata: &Metadata) -> MediaCells {
    let read = || OpenFile::open(path, stamp_of(metadata)).map(|file| Recording::of(&file));
    // a panic in a library that reads foreign bytes must not end the process
    let recording = catch_unwind(AssertUnwindSafe(read)).ok().and_then(Result::ok).unwrap_or_default();
    let Recording { created, is_container_time, location } = recording;
    MediaCells {
        created: created.unwrap_or_default(),
        location: location.unwrap_or_default(),
        is_container_time,
    }
}

/// What is in a folder, by name.
fn entries_of(folder: &Path) -> Result<vec::IntoIter<DirEntry>, String> {
    let read = || -> io::Result<Vec<DirEntry>> { fs::read_dir(folder)?.collect() };
    let mut entries = read().map_err(|error| unreadable(folder, &error))?;
    entries.sort_unstable_by_key(DirEntry::file_name);
    Ok(entries.into_iter())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!(
        "{}: {error}; let this user read it, or move it out of the folder",
        crate::redact::clean(&path.display().to_string())
    )
}

fn unwritable(error: &io::Error) -> String {
    format!("its temporary file cannot be written ({error}); set TMPDIR to a folder with free space")
}
