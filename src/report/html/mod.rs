//! The report of a run as one HTML file that needs nothing else: no script, no font, no image and no network. The dashboard is
//! made of the same parts.
//!
//! maud escapes every value, and `text.rs` hides secrets before. The charts are SVG, drawn here.

mod charts;
mod flow;
mod live;
mod page;
mod quota;
mod reasons;
mod sections;
mod text;
mod world;

pub use live::{
    LivePart, LiveReport, LiveRun, LiveState, LiveWindow, live_page, live_parts, live_policy, live_sentence,
};

use std::{fs, io, path::Path};

use super::RunReport;
use crate::{error::Error, output_file::write_whole};

/// The page, for a reader that has it in this folder: links to files begin there.
pub fn page_text(report: &RunReport, folder: &Path) -> io::Result<String> {
    Ok(page::page(report, &fs::canonicalize(folder)?).into_string())
}

/// Writes the page to a file.
pub fn write_page(report: &RunReport, path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    page_text(report, folder.unwrap_or_else(|| Path::new(".")))
        .and_then(|text| write_whole(path, &text))
        .map_err(|error| Error::Usage(format!("the page cannot be written to {}: {error}", path.display())))
}
