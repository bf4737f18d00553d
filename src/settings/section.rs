//! A table for one manifest, added to a file of settings.

use std::path::Path;

use super::file::SettingsFile;
use crate::{error::Error, output_file::write_whole};

/// Whether a table was added.
pub(crate) enum AddedSection {
    /// The file has it now.
    Added,
    /// The file has a table for this manifest already, and is unchanged.
    Known {
        /// `telecine.toml:3`.
        origin: String,
        /// The name of the table: the manifest, or a pattern.
        name: String,
    },
}

/// Adds the table of a manifest behind what the file has, or makes the file. Not a byte of what is there changes.
pub(crate) fn add_section(path: &Path, manifest: &str, section: &str) -> Result<AddedSection, Error> {
    let error = |what: &dyn std::fmt::Display| Error::Usage(format!("--write {}: {what}", path.display()));
    let before = SettingsFile::text_of(path).map_err(|cause| error(&cause))?.unwrap_or_default();
    let file = SettingsFile::read(path, &before)?;
    let known = file.manifests().into_iter().find(|(pattern, _)| file.means(pattern, manifest));
    if let Some((name, line)) = known {
        let origin = format!("{}:{line}", path.display());
        return Ok(AddedSection::Known { origin, name: super::clean(name) });
    }
    let gap = match before.as_bytes() {
        [] => "",
        [.., b'\n'] => "\n",
        _ => "\n\n",
    };
    let text = [&before, gap, section].concat();
    // a file that has its manifests in one line, as `manifest = {...}`, takes no table behind it
    SettingsFile::read(path, &text)
        .map_err(|cause| error(&format!("a table cannot be added: {}", cause.chain())))?;
    write_whole(path, &text).map_err(|cause| error(&cause))?;
    Ok(AddedSection::Added)
}
