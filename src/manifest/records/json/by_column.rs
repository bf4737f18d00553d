//! A JSON file by column: `{"url": ["a", "b"], "tags": ["x", "y"]}`, or with an object of places for each array.

use std::{
    collections::{HashMap, HashSet},
    io::Read as _,
    ops::Range,
};

use super::{
    super::super::source::Bytes,
    value::{elements, pairs, without_bare_words},
};
use crate::manifest::json_text;

/// The rows of such a file are known only when all of it is read, so it is kept in memory. It is no longer than this, in bytes.
const FILE_MAX: u64 = 64 * 1024 * 1024;

/// All columns of a file.
#[derive(Debug)]
pub(in crate::manifest) struct ByColumn {
    text: String,
    /// Each key as it is written, with the place of each of its values in the text.
    columns: Vec<(String, Vec<Option<Range<usize>>>)>,
}

impl ByColumn {
    pub(super) fn read(bytes: Bytes) -> Result<Self, String> {
        let mut text = String::new();
        let read = bytes.take(FILE_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| format!("the file cannot be read: {error}"))?;
        if text.len() as u64 > FILE_MAX {
            let way = "pandas: df.to_json(path, orient='records', lines=True)";
            return Err(format!(
                "the file holds columns and is larger than 64 MiB; write one object a row ({way})"
            ));
        }
        let text = without_bare_words(text.trim()).into_owned();
        json_text::check(&text)
            .map_err(|fault| format!("the file holds columns, and {}", fault.message()))?;
        let unreadable = |_| "the file holds columns, but not all of them are arrays or objects".to_owned();
        let whole = pairs(&text).map_err(unreadable)?;
        let mut places: Vec<String> = Vec::new();
        let mut known = HashSet::new();
        for (_, values) in whole.iter().filter(|(_, values)| values.starts_with('{')) {
            let new = pairs(values).map_err(unreadable)?.into_iter().map(|(place, _)| place.into_owned());
            places.extend(new.filter(|place| known.insert(place.clone())));
        }
        let place_of = |value: &str| {
            let start = value.as_ptr() as usize - text.as_ptr() as usize;
            Some(start..start + value.len())
        };
        let mut columns = Vec::new();
        for (key, values) in whole {
            let key = serde_json::to_string(&key).unwrap_or_default();
            let ranges = if values.starts_with('{') {
                let values = pairs(values).map_err(unreadable)?;
                let by_place: HashMap<&str, &str> =
                    values.iter().map(|(place, value)| (place.as_ref(), *value)).collect();
                places.iter().map(|place| by_place.get(place.as_str()).copied().and_then(place_of)).collect()
            } else {
                elements(values).into_iter().map(place_of).collect()
            };
            columns.push((key, ranges));
        }
        Ok(Self { text, columns })
    }

    /// The row at this place as an object; none behind the last one.
    pub(super) fn row(&self, number: u64) -> Option<String> {
        let at = usize::try_from(number).ok()?;
        if self.columns.iter().all(|(_, ranges)| at >= ranges.len()) {
            return None;
        }
        let value = |ranges: &[Option<Range<usize>>]| {
            let range = ranges.get(at)?.clone()?;
            self.text.get(range)
        };
        let pairs: Vec<String> = self
            .columns
            .iter()
            .map(|(key, ranges)| format!("{key}:{}", value(ranges).unwrap_or("null")))
            .collect();
        Some(format!("{{{}}}", pairs.join(",")))
    }
}
