//! Why a whole manifest cannot be read.

use super::records::EACH;

/// Why a whole manifest cannot be read. Its text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be opened.
    #[error("cannot open the manifest {path}; {hint}", hint = open_hint(path))]
    Unreadable { path: String, source: std::io::Error },
    /// A pattern that fits no file.
    #[error("no file matches the pattern {pattern}; check its folder, and whether the files are there")]
    NoMatch { pattern: String },
    /// A second file cannot be opened.
    #[error("cannot open the file of --join, {path}; check the path and its permissions")]
    UnreadableJoin { path: String, source: std::io::Error },
    /// Reading failed on the way.
    #[error("{path}:{line}: reading the manifest failed; the rows before this line were taken")]
    Broken { path: String, line: u64, source: std::io::Error },
    /// It was written meanwhile.
    #[error(
        "{path} was written while it was read: its last row may be cut off and was not taken; import it again when it is complete"
    )]
    Changed { path: String },
    /// Another file has its name now.
    #[error(
        "{path} was replaced or written between two readings of it: the accounts would have read different rows, so nothing was sent; \
         give the same command again"
    )]
    Replaced { path: String },
    /// It has no record at all.
    #[error("{path}: the manifest is empty; it needs at least a header line and one row")]
    Empty { path: String },
    /// The header record itself is unreadable.
    #[error("{path}:{line}: the header line cannot be read: {reason}")]
    BadHeader { path: String, line: u64, reason: String },
    /// The header has what rows have.
    #[error(
        "{path}:{line}: this line is read as the header, but its column {column} holds {cell}, which is a value of a row; say \
         --no-header if the file has no header, or name the line of the header with --header-line"
    )]
    ValuesAsHeader { path: String, line: u64, column: usize, cell: String },
    /// None of its records can be read.
    #[error("{path}:{line}: {what}")]
    NoRecord { path: String, line: u64, what: String },
    /// Another header comes, or the first one in another order.
    #[error(
        "{path}:{line}: another header is here, and the rows behind it would be read by the first one; split the file before this \
         line, and give both"
    )]
    HeaderAgain { path: String, line: u64 },
    /// No column holds the URL.
    #[error("{path}:1: no column is recognised as the url; name it: --map url=COLUMN ({hint})")]
    NoUrlColumn { path: String, hint: String },
    /// A flag names a column that is not there.
    #[error("{path}:1: {flag}: there is no column {column}; {hint}")]
    UnknownColumn { path: String, flag: String, column: String, hint: String },
    /// The rows of two arrays cannot both be rows.
    #[error(
        "{path}: the elements of {one}[] and {other}[] cannot both be rows; map the columns of one of them"
    )]
    TwoArrays { path: String, one: String, other: String },
    /// A second file cannot be joined.
    #[error("{path}:{line}: the file cannot be joined: {what}")]
    BadJoin { path: String, line: u64, what: String },
    /// It is no text.
    #[error("{path} is {what}; {fix}")]
    OtherFormat { path: String, what: String, fix: String },
    /// It may hold one row or several.
    #[error("{path}: {what}")]
    RowsUnclear { path: String, what: String },
    /// The bucket was not listed to the end.
    #[error("{path}: the bucket cannot be listed: {what}")]
    Unlisted { path: String, what: String },
    /// The folder was not listed to the end.
    #[error("{path}: the folder cannot be listed: {what}")]
    FolderUnlisted { path: String, what: String },
    /// No object in the bucket, or file in the folder, is a row.
    #[error("{path}: there is nothing to read: {what}")]
    NoObjects { path: String, what: String },
    /// It is somewhere else.
    #[error(
        "{path} is an address; a manifest is a file: fetch it first, or pipe it in (curl URL | telecine check -)"
    )]
    Remote { path: String },
}

/// What to do where a manifest cannot be opened. A duration is the value of a flag.
fn open_hint(path: &str) -> &'static str {
    let is_duration = path.starts_with(|c: char| c.is_ascii_digit())
        && path.ends_with(['s', 'm', 'h', 'd'])
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_duration {
        "a value of --quota-exit or --probed-only needs an equals sign: --quota-exit=5m"
    } else {
        "check the path and its permissions"
    }
}

impl ManifestError {
    /// The same error; where no column is the url, with what was found out about the workbook.
    pub(super) fn with_workbook(self, found: Option<&str>) -> Self {
        match (self, found) {
            (Self::NoUrlColumn { path, hint }, Some(found)) => {
                Self::NoUrlColumn { path, hint: format!("it is {found}; {hint}") }
            }
            (error, _) => error,
        }
    }

    /// The same error; where no column is the url, with the addresses within arrays.
    pub(super) fn with_arrays(self, addresses: &[String]) -> Self {
        match (self, addresses.first()) {
            (Self::NoUrlColumn { path, .. }, Some(first)) => {
                let (name, array) = (crate::redact::clean(first), first.rsplit_once(EACH));
                let array = crate::redact::clean(array.map_or("", |(array, _)| array));
                let hint = format!("--map 'url={name}' makes a row of each element of {array}");
                Self::NoUrlColumn { path, hint }
            }
            (error, _) => error,
        }
    }
}
