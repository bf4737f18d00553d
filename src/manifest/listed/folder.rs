//! A folder as a manifest: each video file below it is a row.

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
};

use super::{KeyCount, ListedRows, ListingKind, ObjectListing, left_out};
use crate::{
    domain::SourceUrl,
    local_file::{media_type, stamp_of},
    manifest::Manifest,
};

/// The columns before those of the folders.
const COLUMNS: &str = "url,path,name,size,modified";

impl Manifest {
    /// Whether its rows may name files on this machine, which change without the manifest.
    #[must_use]
    pub const fn may_name_files(&self) -> bool {
        self.rules.files.is_some()
    }
}

/// Writes the files of a folder as rows.
pub struct FolderWriter {
    rows: ListedRows,
    excluded: u64,
    /// Files and folders whose names begin with a dot.
    pub hidden: u64,
    /// Symbolic links: what they lead to is in the folder itself, or must not be sent.
    pub links: u64,
    /// Pipes, sockets and devices.
    pub special: u64,
    other: KeyCount,
}

impl FolderWriter {
    /// `rows` and `whole` are empty files: the header is known behind the last row.
    #[must_use]
    pub fn new(rows: File, whole: File) -> Self {
        let rows = ListedRows::new(rows, whole);
        Self { rows, excluded: 0, hidden: 0, links: 0, special: 0, other: KeyCount::default() }
    }

    /// Writes a regular file, if it is to be a row. `path` is absolute, `inside` the same below the folder; `is_wanted` says it of that.
    pub fn add(
        &mut self,
        path: &Path,
        inside: &Path,
        metadata: &Metadata,
        is_wanted: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let inside = inside.to_string_lossy();
        if !is_wanted(&inside) {
            self.excluded += 1;
            return Ok(());
        }
        if media_type(path).is_none() {
            self.other.add(&inside);
            return Ok(());
        }
        let (folders, name) =
            inside.rsplit_once('/').map_or((None, &*inside), |(folders, name)| (Some(folders), name));
        let stamp = stamp_of(metadata);
        // a path that is too long for an address is a bad row under its name
        let url = SourceUrl::of_file(path).map_or_else(|_| inside.to_string(), |url| url.as_str().to_owned());
        let (size, modified_at) = (stamp.size.to_string(), stamp.modified_at.to_string());
        self.rows.add(&[&url, &inside, name, &size, &modified_at], folders)
    }

    /// Writes the header, and the rows behind it.
    pub fn finish(self) -> io::Result<ObjectListing> {
        let left_out = left_out([
            (self.hidden, "hidden file or folder", "hidden files and folders"),
            (self.links, "symbolic link", "symbolic links"),
            (self.special, "file that is no regular one", "files that are no regular ones"),
            (self.excluded, "file by --include and --exclude", "files by --include and --exclude"),
        ]);
        let other = self.other.sentence(
            ["file has", "files have"],
            "none of the endings .mp4, .mov, .mkv and .avi",
            "the service takes no others, and they were left out",
        );
        let notices = [left_out, other].into_iter().flatten().collect();
        self.rows.finish(COLUMNS, notices, ListingKind::Folder)
    }
}
