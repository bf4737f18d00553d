//! Rows: what must hold of each that would be sent, by whichever rules it was read.

use telecine::domain::{ManifestRow, SourceUrl};

use crate::{coordinates, dates, tags};

/// The service's bounds, in characters, and one of our own for the namespace.
const CAMERA_MODEL_MAX: usize = 200;
const CALLBACK_MAX: usize = 299;
const NAMESPACE_MAX: usize = 200;
/// The reader's own bounds: bytes of a cell that feeds a field and of a record, and cells of a record.
const CELL_MAX: usize = 64 * 1024;
const RECORD_MAX: usize = 1024 * 1024;
const CELLS_MAX: usize = 16 * 1024;

/// Why this row must not be sent; none for one that may.
#[must_use]
pub fn fault_of(row: &ManifestRow) -> Option<&'static str> {
    let sent = &row.submission;
    let length = |text: &str| text.chars().count();
    let is_bad = |text: Option<&String>, most: usize| {
        text.is_some_and(|text| text.trim().is_empty() || length(text) > most)
    };
    let is_normal = SourceUrl::parse(sent.url.as_str()).is_ok_and(|again| again == sent.url);
    let has_scheme = ["http://", "https://"].iter().any(|scheme| sent.url.as_str().starts_with(scheme));
    if !is_normal || !has_scheme || sent.url.as_str().len() > SourceUrl::LENGTH_MAX {
        return Some("the address is not normal");
    }
    if sent.namespace.is_empty() || length(&sent.namespace) > NAMESPACE_MAX {
        return Some("the namespace is empty or too long");
    }
    if sent.coordinates.is_some_and(|place| !coordinates::is_on_earth(place)) {
        return Some("the place is not on earth");
    }
    if sent.datetime_taken.as_ref().is_some_and(|timestamp| !dates::is_moment(timestamp)) {
        return Some("the moment is none");
    }
    let texts = [
        (sent.camera_model.as_ref(), CAMERA_MODEL_MAX),
        (sent.callback.as_ref(), CALLBACK_MAX),
        (sent.video_transcription_prompt.as_ref(), CELL_MAX),
    ];
    if texts.into_iter().any(|(text, most)| is_bad(text, most)) {
        return Some("a text is empty or too long");
    }
    tags::fault_of(&sent.tags).or_else(|| fault_of_cells(&row.cells))
}

fn fault_of_cells(cells: &[String]) -> Option<&'static str> {
    let is_large = cells.iter().map(String::len).sum::<usize>() > RECORD_MAX || cells.len() > CELLS_MAX;
    is_large.then_some("the record is larger than a record may be")
}
