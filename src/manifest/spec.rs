//! How one manifest is to be read.

use super::{Dialect, Filter, Format, Join, MapRule, ObjectListing, RowRules, Via};

/// How to read one manifest.
#[derive(Clone, Debug)]
pub struct ManifestSpec {
    /// A path, or `-` for standard input.
    pub path: String,
    /// How its text is written.
    pub dialect: Dialect,
    /// In which shape its records are written. `None`: found out from the first bytes.
    pub format: Option<Format>,
    /// Whether the first record names the columns.
    pub header: Header,
    /// Second files whose columns are added to every row.
    pub joins: Vec<Join>,
    /// Which column feeds which field. Header names decide for the other fields.
    pub map: Vec<MapRule>,
    /// Tags for all rows.
    pub tags: Vec<String>,
    /// Rows for which one of these does not hold are left out.
    pub filters: Vec<Filter>,
    /// Where a rule maps the account: rows of other accounts are left out, and those whose account cannot be read. `None`: rows of
    /// all accounts.
    pub account: Option<String>,
    /// How values are read.
    pub rules: RowRules,
    /// The objects of the bucket that the path names. `None`: the path is a file.
    pub listing: Option<ObjectListing>,
}

impl ManifestSpec {
    /// A file with a header, read without any flag.
    #[must_use]
    pub fn with_defaults(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            dialect: Dialect::default(),
            format: None,
            header: Header::Present,
            joins: Vec::new(),
            map: Vec::new(),
            tags: Vec::new(),
            filters: Vec::new(),
            account: None,
            rules: RowRules::default(),
            listing: None,
        }
    }

    /// The same where the service is to fetch every object.
    #[must_use]
    pub fn with_links(self) -> Self {
        Self { rules: RowRules { via: Via::Link, ..self.rules }, ..self }
    }

    /// The same for a listing: telecine writes it, so flags for the text of other manifests do not hold for it.
    #[must_use]
    pub fn with_listing(self, listing: ObjectListing) -> Self {
        Self {
            dialect: ObjectListing::dialect(),
            format: Some(Format::Csv),
            header: Header::Present,
            rules: RowRules { is_bucket: listing.is_bucket(), ..self.rules },
            listing: Some(listing),
            ..self
        }
    }
}

/// Whether the first record of a manifest names its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It does.
    Present,
    /// It is a row already; columns are named by number only.
    Absent,
}
