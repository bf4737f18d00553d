//! Rows as text.

use std::fmt::Write as _;

use super::{safe, show_problem};
use crate::app::preview::PreviewRow;

/// A row, with its form, its warnings and what is wrong with it.
pub(in crate::cli) fn show_row(row: &PreviewRow) -> String {
    let PreviewRow { manifest, line, .. } = row;
    let mut text = format!("\n  {manifest}:{line}\n");
    for (name, value) in &row.fields {
        let _ = writeln!(text, "    {name:<22} {}", safe(value));
    }
    if let Some(form) = &row.form {
        let _ = writeln!(text, "    POST upload_url        {form}");
    }
    if row.form.is_none() && row.problems.is_empty() {
        let _ = writeln!(text, "    POST upload            these fields, and the file behind them");
    }
    for problem in &row.problems {
        let _ = writeln!(text, "    invalid: {}", show_problem(manifest, *line, problem));
    }
    for warning in &row.warnings {
        let _ = writeln!(text, "    warning: {}", show_problem(manifest, *line, warning));
    }
    text
}
