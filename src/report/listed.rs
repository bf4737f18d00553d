//! Items as CSV, one a line.

use std::io::Write;

use crate::{csv_injection, error::Error, ledger::ListedItem, redact};

const HEADER: &[&str] = &[
    "item",
    "state",
    "manifest",
    "line",
    "id",
    "url",
    "unique_id",
    "video_no",
    "sent_at",
    "changed_at",
    "reason",
];

/// Writes items as CSV. Urls are redacted.
pub struct ItemTable<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> ItemTable<W> {
    /// Begins with the header.
    pub fn new(writer: W) -> Result<Self, Error> {
        let mut table = Self { writer: csv::Writer::from_writer(writer) };
        table.write(HEADER)?;
        Ok(table)
    }

    /// Writes one item.
    pub fn item(&mut self, item: &ListedItem) -> Result<(), Error> {
        let (number, line) = (item.item.to_string(), item.line.to_string());
        let time = |at: Option<crate::domain::UnixMillis>| at.map(|at| at.to_string()).unwrap_or_default();
        let (sent_at, changed_at) = (time(item.sent_at), time(Some(item.changed_at)));
        let url = redact::url(&item.url);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (id, video_no, reason) = (text(&item.external_id), text(&item.video_no), text(&item.cause));
        self.write(&[
            &number,
            item.state.as_str(),
            &item.manifest,
            &line,
            &id,
            &url,
            &item.namespace,
            &video_no,
            &sent_at,
            &changed_at,
            &reason,
        ])
    }

    /// Everything is written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.writer.flush().map_err(Error::Output)
    }

    fn write(&mut self, cells: &[&str]) -> Result<(), Error> {
        let cells: Vec<_> = cells.iter().map(|cell| csv_injection::escape(cell)).collect();
        let Err(error) = self.writer.write_record(cells.iter().map(|cell| cell.as_bytes())) else {
            return Ok(());
        };
        let text = error.to_string();
        // a reader that went away is distinguished from other errors by its kind
        let csv::ErrorKind::Io(error) = error.into_kind() else {
            return Err(Error::Output(std::io::Error::other(text)));
        };
        Err(Error::Output(error))
    }
}
