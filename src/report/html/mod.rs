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

use std::path::{Path, PathBuf};

use super::{RunReport, files};
use crate::error::Error;

/// Writes the page to a file, which appears complete or not at all.
pub fn write_page(report: &RunReport, path: &Path) -> Result<(), Error> {
    write(report, path).map_err(|error| {
        if let Error::Report { source, .. } = error {
            Error::Usage(format!("the page cannot be written to {}: {source}", path.display()))
        } else {
            error
        }
    })
}

fn write(report: &RunReport, path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let folder = std::fs::canonicalize(&folder).map_err(|source| files::error(&folder, source))?;
    let text = page::page(report, &folder).into_string();
    let name = path.file_name().filter(|_| !path.is_dir());
    let name = name.ok_or_else(|| Error::Usage(format!("--html {} names no file", path.display())))?;
    let mut file = files::Pending::create(&folder.join(name))?;
    file.write_all(text.as_bytes())?;
    file.publish()
}
