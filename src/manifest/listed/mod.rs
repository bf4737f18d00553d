//! A bucket or a folder as a manifest: each object or file is a row. The listing is written as CSV into files without a name, so that it
//! is read as every other manifest is, twice where that is needed, and memory does not grow with it.

mod bucket;
mod folder;

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    sync::Arc,
};

pub use bucket::BucketWriter;
pub(super) use bucket::listed_stamp;
pub use folder::{FolderWriter, MediaCells};

use super::{Dialect, Encoding, mapping::listing_column, source};
use crate::domain::counted;

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
    kind: ListingKind,
}

/// What was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListingKind {
    Bucket,
    Folder,
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

    pub(super) fn is_bucket(&self) -> bool {
        self.kind == ListingKind::Bucket
    }

    /// What was found out about it.
    pub(super) fn found(&self) -> String {
        let [one, several] = match self.kind {
            ListingKind::Bucket => ["object", "objects"],
            ListingKind::Folder => ["file", "files"],
        };
        format!("a listing of {}", counted(self.rows, one, several))
    }
}

/// Some objects or files of a kind.
#[derive(Debug, Default)]
struct KeyCount {
    count: u64,
    /// The key of the first.
    first: String,
}

impl KeyCount {
    fn add(&mut self, key: &str) {
        if self.count == 0 {
            self.first = crate::redact::opaque(key);
        }
        self.count += 1;
    }

    /// `subject` is one object and its verb, and several with theirs.
    fn sentence(&self, subject: [&str; 2], what: &str, advice: &str) -> Option<String> {
        let Self { count, first } = self;
        let subject = counted(*count, subject[0], subject[1]);
        (*count > 0).then(|| format!("{subject} {what} (first: {first}); {advice}"))
    }
}

/// `left out of the listing: 2 empty objects`. Each is a count, the word for one, and that for several.
fn left_out<const N: usize>(counts: [(u64, &str, &str); N]) -> Option<String> {
    let texts: Vec<String> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, several)| counted(count, one, several))
        .collect();
    (!texts.is_empty()).then(|| format!("left out of the listing: {}", texts.join(", ")))
}

/// The rows of a listing, as they are written.
struct ListedRows {
    rows: csv::Writer<File>,
    whole: File,
    count: u64,
    /// Folders of the deepest row.
    depth: usize,
}

impl ListedRows {
    /// `rows` and `whole` are empty files: the header is known behind the last row.
    fn new(rows: File, whole: File) -> Self {
        // keys have folders of different depths
        let rows =
            csv::WriterBuilder::new().flexible(true).quote_style(csv::QuoteStyle::Always).from_writer(rows);
        Self { rows, whole, count: 0, depth: 0 }
    }

    /// Writes a row: its cells, and the folders of its path.
    fn add(&mut self, cells: &[&str], folders: Option<&str>) -> io::Result<()> {
        let folders = folders.into_iter().flat_map(|folders| folders.split('/'));
        let mut depth = 0;
        for cell in cells {
            self.rows.write_field(cell)?;
        }
        for folder in folders {
            self.rows.write_field(folder)?;
            depth += 1;
        }
        self.rows.write_record(None::<&[u8]>)?;
        self.depth = self.depth.max(depth);
        self.count += 1;
        Ok(())
    }

    /// Writes the header, with these columns before those of the folders, and the rows behind it.
    fn finish(self, columns: &str, notices: Vec<String>, kind: ListingKind) -> io::Result<ObjectListing> {
        let mut rows = self.rows.into_inner().map_err(csv::IntoInnerError::into_error)?;
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
            kind,
        })
    }
}
