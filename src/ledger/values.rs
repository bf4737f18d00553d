//! Conversion between the values of the file and the types of the domain.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use super::{
    LedgerError,
    sql::{ColumnName, SqlRow},
};
use crate::domain::{State, Submission, UnixMillis, VideoNo};

pub(super) fn impossible(what: String) -> LedgerError {
    LedgerError::Impossible { what }
}

pub(super) fn state_of(as_str: &str) -> Result<State, LedgerError> {
    as_str.parse::<State>().ok().ok_or_else(|| impossible(format!("the state {as_str:?}")))
}

pub(super) fn submission_of(text: &str) -> Result<Submission, LedgerError> {
    serde_json::from_str(text)
        .map_err(|error| impossible(format!("a submission that cannot be read: {error}")))
}

pub(super) fn video_no_of(text: &str) -> Result<VideoNo, LedgerError> {
    VideoNo::parse(text).ok_or_else(|| impossible(format!("the video number {text:?}")))
}

/// A count or a line number of a column. SQLite has signed numbers only; the ledger stores none below 0.
pub(super) fn unsigned(row: &SqlRow<'_>, column: impl ColumnName) -> Result<u64, LedgerError> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0))
}

/// A limit of rows, as SQLite takes it.
pub(super) fn limit(count_max: usize) -> i64 {
    i64::try_from(count_max).unwrap_or(i64::MAX)
}

impl FromSql for UnixMillis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// The JSON text of a column that holds a list.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value)
        .map_err(|error| impossible(format!("a value that cannot be written: {error}")))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| impossible(format!("a value that cannot be read: {error}")))
}
