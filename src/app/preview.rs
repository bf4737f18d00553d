//! Rows as the service would get them, and the form as it is sent.

use serde::Serialize;

use crate::{
    api::{form_of, upload_fields},
    clock::Clock,
    domain::{ManifestRow, Problem, RowError, Submission},
    manifest::{Manifest, ManifestError},
    redact,
    report::SCHEMA,
};

/// Stands for the marker tag: the real one is made when a row is sent.
const MARKER: &str = "telecine:...";

/// A row as it would be sent.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct PreviewRow {
    /// The version of this object.
    pub schema: u32,
    pub manifest: String,
    pub line: u64,
    /// The fields in their order; addresses are redacted.
    pub fields: Vec<(&'static str, String)>,
    /// The form as it is sent; addresses are redacted. `null`: a file is sent behind the fields.
    pub form: Option<String>,
    /// What is odd about it.
    pub warnings: Vec<Problem>,
    /// Why it cannot be sent.
    pub problems: Vec<Problem>,
}

/// The first rows from a line on.
pub fn rows(manifest: &mut Manifest, from_line: u64, count: usize) -> Result<Vec<PreviewRow>, ManifestError> {
    let path = manifest.path().to_owned();
    manifest.warn_at(Clock::real().now());
    let mut rows = Vec::new();
    while rows.len() < count
        && let Some(row) = manifest.next()?
    {
        let shown = match row {
            Ok(row) => sent(&path, row),
            Err(RowError { line, problems, .. }) => PreviewRow {
                schema: SCHEMA,
                manifest: path.clone(),
                line,
                fields: Vec::new(),
                form: None,
                warnings: Vec::new(),
                problems,
            },
        };
        if shown.line >= from_line {
            rows.push(shown);
        }
    }
    Ok(rows)
}

/// The fields of a submission as they are sent, with redacted addresses.
#[must_use]
pub fn shown_fields(submission: &Submission, marker: Option<&str>) -> Vec<(&'static str, String)> {
    let mut fields = upload_fields(submission, marker);
    let stamp = submission.file.map(|stamp| stamp.to_string());
    let stamp = stamp.or_else(|| submission.object.as_ref().map(ToString::to_string));
    fields.extend(stamp.map(|stamp| ("file", format!("{} ({stamp})", submission.url))));
    for (name, value) in &mut fields {
        if *name == "file" {
            continue;
        }
        if matches!(*name, "url" | "callback") {
            *value = redact::url(value);
        } else if value.contains("://") {
            *value = redact::opaque(value);
        }
    }
    fields
}

fn sent(path: &str, row: ManifestRow) -> PreviewRow {
    let fields = shown_fields(&row.submission, Some(MARKER));
    PreviewRow {
        schema: SCHEMA,
        manifest: path.to_owned(),
        line: row.line,
        form: (!row.submission.has_body()).then(|| form_of(&fields)),
        fields,
        warnings: row.warnings,
        problems: Vec::new(),
    }
}
