//! A bucket or a folder as a manifest: each object or file is a row. The listing is written as CSV into files without a name, so that it
//! is read as every other manifest is, twice where that is needed, and memory does not grow with it.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, Write as _},
    sync::Arc,
};

use super::{Dialect, Encoding, addresses::is_media, mapping::listing_column, source, values::trim};
use crate::domain::{BucketPrefix, ListedObject, SourceUrl};

/// The columns before those of the path.
const COLUMNS: &str = "url,key,name,size,etag,last_modified";

/// The objects of a bucket or the files of a folder, listed to the end.
#[derive(Clone, Debug)]
pub struct ObjectListing {
    /// CSV with a header.
    pub(super) file: Arc<File>,
    /// Of everything in it.
    pub(super) digest: blake3::Hash,
    /// What is said of it beside its rows, a sentence each.
    pub(super) notices: Vec<String>,
    rows: u64,
    /// What a row is, and what several are.
    nouns: [&'static str; 2],
}

impl ObjectListing {
    /// Objects that are rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// What was left out of it, and what is odd, a sentence each.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How its text is written, whatever flags say of other manifests.
    pub(super) fn dialect() -> Dialect {
        Dialect {
            encoding: Some(Encoding::UTF_8),
            delimiter: Some(b','),
            // keys have folders of different depths
            pads_short_rows: true,
            ..Dialect::default()
        }
    }

    /// What was found out about it.
    pub(super) fn found(&self) -> String {
        let [one, several] = self.nouns;
        format!("a listing of {} {}", self.rows, if self.rows == 1 { one } else { several })
    }
}

/// Some objects or files of a kind.
#[derive(Debug, Default)]
pub(super) struct KeyCount {
    count: u64,
    /// The key of the first.
    first: String,
}

impl KeyCount {
    pub(super) fn add(&mut self, key: &str) {
        if self.count == 0 {
            self.first = crate::redact::opaque(key);
        }
        self.count += 1;
    }

    /// `subject` is one object and its verb, and several with theirs.
    pub(super) fn sentence(&self, subject: [&str; 2], what: &str, advice: &str) -> Option<String> {
        let Self { count, first } = self;
        let subject = if *count == 1 { subject[0] } else { subject[1] };
        (*count > 0).then(|| format!("{count} {subject} {what} (first: {first}); {advice}"))
    }
}

/// `left out of the listing: 2 empty objects`. Each is a count, the word for one, and that for several.
pub(super) fn left_out<const N: usize>(counts: [(u64, &str, &str); N]) -> Option<String> {
    let texts: Vec<String> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
        .collect();
    (!texts.is_empty()).then(|| format!("left out of the listing: {}", texts.join(", ")))
}

/// The rows of a listing, as they are written.
pub(super) struct ListedRows {
    rows: BufWriter<File>,
    whole: File,
    count: u64,
    /// Folders of the deepest row.
    depth: usize,
}

impl ListedRows {
    /// `rows` and `whole` are empty files: the header is known behind the last row.
    pub(super) fn new(rows: File, whole: File) -> Self {
        Self { rows: BufWriter::new(rows), whole, count: 0, depth: 0 }
    }

    /// Writes a row: its cells, and the folders of its path.
    pub(super) fn add(&mut self, cells: &[&str], folders: Option<&str>) -> io::Result<()> {
        for (at, cell) in cells.iter().enumerate() {
            self.rows.write_all(if at == 0 { b"\"" } else { b",\"" })?;
            write_cell(&mut self.rows, cell)?;
        }
        let mut depth = 0;
        for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
            self.rows.write_all(b",\"")?;
            write_cell(&mut self.rows, folder)?;
            depth += 1;
        }
        self.rows.write_all(b"\n")?;
        self.depth = self.depth.max(depth);
        self.count += 1;
        Ok(())
    }

    /// Writes the header, with these columns before those of the folders, and the rows behind it.
    pub(super) fn finish(
        self,
        columns: &str,
        notices: Vec<String>,
        nouns: [&'static str; 2],
    ) -> io::Result<ObjectListing> {
        let mut rows = self.rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut whole = self.whole;
        whole.write_all(columns.as_bytes())?;
        for number in 1..=self.depth {
            write!(whole, ",{}", listing_column(number))?;
        }
        whole.write_all(b"\n")?;
        rows.rewind()?;
        io::copy(&mut rows, &mut whole)?;
        whole.flush()?;
        let mut hasher = blake3::Hasher::new();
        source::hash(&whole, &mut hasher)?;
        Ok(ObjectListing {
            file: Arc::new(whole),
            digest: hasher.finalize(),
            notices,
            rows: self.count,
            nouns,
        })
    }
}

/// Writes the objects of a bucket as rows.
pub struct ListingWriter<'a> {
    prefix: &'a BucketPrefix,
    rows: ListedRows,
    excluded: u64,
    markers: u64,
    empty: u64,
    unnamable: KeyCount,
    other: KeyCount,
}

impl<'a> ListingWriter<'a> {
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
        self.rows.finish(COLUMNS, notices, ["object", "objects"])
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

/// Whether an address, as a row has it, names this key. One that is no address at all is a row that cannot be sent.
fn names(address: &str, key: &str) -> bool {
    let is_same = || match SourceUrl::parse(address) {
        Ok(url) => url.object().is_some_and(|own| own.key == key && own.version.is_none()),
        Err(_) => true,
    };
    trim(address) == address && is_same()
}

/// Writes a cell behind its opening quote.
fn write_cell(rows: &mut impl io::Write, cell: &str) -> io::Result<()> {
    for (at, part) in cell.split('"').enumerate() {
        if at > 0 {
            rows.write_all(b"\"\"")?;
        }
        rows.write_all(part.as_bytes())?;
    }
    rows.write_all(b"\"")
}
