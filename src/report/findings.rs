//! What is wrong or odd about the rows of a manifest, one finding a line, for spreadsheets and programs.

use std::io::Write;

use crate::{csv_injection, domain::Problem, error::Error};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The row cannot be sent.
    Invalid,
    /// The row can be sent.
    Warned,
    /// The row is sent once, by an earlier one.
    Duplicate,
    /// The row was sent with other content.
    Drifted,
    /// The row can be sent, but what its source is would not be taken.
    Unsupported,
    /// The row can be sent, but it is unknown whether the service would accept its source.
    Unclear,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Warned => "warned",
            Self::Duplicate => "duplicate",
            Self::Drifted => "drifted",
            Self::Unsupported => "unsupported",
            Self::Unclear => "unclear",
        }
    }
}

const HEADER: &[&str] =
    &["manifest", "line", "severity", "class", "column", "column_number", "value", "message", "fix"];

/// Writes findings as CSV.
pub struct Findings<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Findings<W> {
    /// Begins with the header.
    pub fn new(writer: W) -> Result<Self, Error> {
        let mut findings = Self { writer: csv::Writer::from_writer(writer) };
        findings.write(HEADER.iter().copied())?;
        Ok(findings)
    }

    /// Writes a problem down.
    pub fn problem(
        &mut self,
        path: &str,
        line: u64,
        severity: Severity,
        problem: &Problem,
    ) -> Result<(), Error> {
        let (line, number) = (line.to_string(), problem.column_number.to_string());
        let number = if problem.column_number == 0 { "" } else { number.as_str() };
        let Problem { column, value, class, message, fix, .. } = problem;
        self.write([path, &line, severity.as_str(), class, column, number, value, message, fix].into_iter())
    }

    /// Writes down something that concerns the whole row.
    pub fn row(&mut self, path: &str, line: u64, severity: Severity, message: &str) -> Result<(), Error> {
        let line = line.to_string();
        self.write([path, &line, severity.as_str(), severity.as_str(), "", "", "", message, ""].into_iter())
    }

    fn write<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let cells: Vec<_> = cells.map(csv_injection::escape).collect();
        self.writer
            .write_record(cells.iter().map(|cell| cell.as_bytes()))
            .map_err(|error| Error::Output(error.into()))
    }

    /// Everything is written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.writer.flush().map_err(Error::Output)
    }
}
