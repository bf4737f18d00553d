//! A bucket as a manifest: each object below the prefix is a row.

use std::{fs::File, io};

use super::{KeyCount, ListedRows, ListingKind, ObjectListing, left_out};
use crate::{
    domain::{BucketPrefix, ListedObject, ObjectStamp, SourceUrl},
    manifest::{addresses::is_media, values::trim},
};

/// The columns before those of the folders.
const COLUMNS: &str = "url,key,name,size,etag,last_modified";

/// What a row of such a listing says of its object.
pub(in crate::manifest) fn listed_stamp(cells: &[&str]) -> ObjectStamp {
    let cell = |number: usize| cells.get(number).copied().filter(|cell| !cell.is_empty());
    ObjectStamp { size: cell(3).and_then(|size| size.parse().ok()), etag: cell(4).map(str::to_owned) }
}

/// Writes the objects of a bucket as rows.
pub struct BucketWriter<'a> {
    prefix: &'a BucketPrefix,
    rows: ListedRows,
    excluded: u64,
    markers: u64,
    empty: u64,
    unnamable: KeyCount,
    other: KeyCount,
}

impl<'a> BucketWriter<'a> {
    /// `rows` and `whole` are empty files: the header is known behind the last row.
    #[must_use]
    pub fn new(prefix: &'a BucketPrefix, rows: File, whole: File) -> Self {
        Self {
            prefix,
            rows: ListedRows::new(rows, whole),
            excluded: 0,
            markers: 0,
            empty: 0,
            unnamable: KeyCount::default(),
            other: KeyCount::default(),
        }
    }

    /// Writes an object, if it is to be a row. `is_wanted` says it of a key below the prefix.
    pub fn add(&mut self, object: &ListedObject, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        let ListedObject { key, size, etag, last_modified } = object;
        if key.ends_with('/') {
            self.markers += 1;
            return Ok(());
        }
        if !is_wanted(key.strip_prefix(&self.prefix.prefix).unwrap_or(key)) {
            self.excluded += 1;
            return Ok(());
        }
        if *size == 0 {
            self.empty += 1;
            return Ok(());
        }
        let address = self.prefix.address_of(key);
        if !names(&address, key) {
            self.unnamable.add(key);
            return Ok(());
        }
        if !is_media(key) {
            self.other.add(key);
        }
        let (folders, name) =
            key.rsplit_once('/').map_or((None, key.as_str()), |(folders, name)| (Some(folders), name));
        let size = size.to_string();
        self.rows.add(&[&address, key, name, &size, etag, last_modified], folders)
    }

    /// Writes the header, and the rows behind it.
    pub fn finish(self) -> io::Result<ObjectListing> {
        let notices = self.notices();
        self.rows.finish(COLUMNS, notices, ListingKind::Bucket)
    }

    fn notices(&self) -> Vec<String> {
        let left_out = left_out([
            (self.markers, "folder marker", "folder markers"),
            (self.empty, "empty object", "empty objects"),
            (self.excluded, "object by --include and --exclude", "objects by --include and --exclude"),
        ]);
        let unnamable = self.unnamable.sentence(
            ["object has a key", "objects have keys"],
            "that no address can name",
            "it ends with a blank, or like the version of an object, and was left out; rename it",
        );
        let other = self.other.sentence(
            ["object has", "objects have"],
            "no ending of a video",
            "--include '*.mp4' or --exclude '*.json' says which objects are rows",
        );
        [left_out, unnamable, other].into_iter().flatten().collect()
    }
}

/// Whether an address, as a row has it, names this key. One that is no address at all is an invalid row.
fn names(address: &str, key: &str) -> bool {
    let is_same = || match SourceUrl::parse(address) {
        Ok(url) => url.object().is_some_and(|own| own.key == key && own.version.is_none()),
        Err(_) => true,
    };
    trim(address) == address && is_same()
}
