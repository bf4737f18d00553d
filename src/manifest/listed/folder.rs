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
/// The same with what the files say of their recording.
const COLUMNS_WITH_MEDIA: &str = "url,path,name,size,modified,media.created,media.location";

/// What a file says of its recording; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaCells {
    pub created: String,
    pub location: String,
    /// Whether `created` is the time of the container, which some cameras write as local time.
    pub is_container_time: bool,
}

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
    media: Option<MediaCounts>,
}

/// What files say of their recording, counted.
#[derive(Debug, Default)]
struct MediaCounts {
    container_time: KeyCount,
    no_time: KeyCount,
    no_place: KeyCount,
}

impl FolderWriter {
    /// `rows` and `whole` are empty files: the header is known behind the last row. With `has_media`, rows have columns for what their files
    /// say of their recording.
    #[must_use]
    pub fn new(rows: File, whole: File, has_media: bool) -> Self {
        let rows = ListedRows::new(rows, whole);
        let media = has_media.then(MediaCounts::default);
        Self { rows, excluded: 0, hidden: 0, links: 0, special: 0, other: KeyCount::default(), media }
    }

    /// Writes a regular file, if it is to be a row. `path` is absolute, `inside` the same below the folder; `is_wanted` says it of that. `media`
    /// reads the file, if rows have columns for it.
    pub fn add(
        &mut self,
        path: &Path,
        inside: &Path,
        metadata: &Metadata,
        is_wanted: impl Fn(&str) -> bool,
        media: impl Fn() -> MediaCells,
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
        let mut cells = vec![url.as_str(), &inside, name, &size, &modified_at];
        let media = self.media.as_mut().map(|counts| counts.note(media(), &inside));
        if let Some(MediaCells { created, location, .. }) = &media {
            cells.extend([created.as_str(), location]);
        }
        self.rows.add(&cells, folders)
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
        let of_media = self.media.iter().flat_map(MediaCounts::notices);
        let notices = [left_out, other].into_iter().flatten().chain(of_media).collect();
        let columns = if self.media.is_some() { COLUMNS_WITH_MEDIA } else { COLUMNS };
        self.rows.finish(columns, notices, ListingKind::Folder)
    }
}

impl MediaCounts {
    fn note(&mut self, media: MediaCells, inside: &str) -> MediaCells {
        if media.is_container_time {
            self.container_time.add(inside);
        }
        if media.created.is_empty() {
            self.no_time.add(inside);
        }
        if media.location.is_empty() {
            self.no_place.add(inside);
        }
        media
    }

    fn notices(&self) -> impl Iterator<Item = String> {
        let container_time = self.container_time.sentence(
            ["file has", "files have"],
            "its time in media.created from the container",
            "that is UTC by the standard, but many cameras write local time: compare some with what you know",
        );
        let what = "no time of recording that can be read";
        let no_time = self.no_time.sentence(["file has", "files have"], what, "media.created is empty");
        let what = "no place of recording that can be read";
        let no_place = self.no_place.sentence(["file has", "files have"], what, "media.location is empty");
        [container_time, no_time, no_place].into_iter().flatten()
    }
}
