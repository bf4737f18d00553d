//! What the first rows of a manifest show of how its values are written.

use super::{DateFormat, Field, Manifest, convert, values};

impl Manifest {
    /// Says that points of `GeoJSON` have the longitude first, where the first rows show some.
    pub(super) fn find_out_points(&mut self, sample: &[(u64, Vec<String>)]) {
        let (Some(kind), Some(geo)) = (self.columns.geometry_type(), self.columns.first_of(Field::Geo))
        else {
            return;
        };
        if sample.iter().any(|(_, cells)| cells.get(kind).is_some_and(|cell| cell == "Point")) {
            let name = &self.columns.names()[geo];
            self.table.found.push(format!("{name} are GeoJSON points: the longitude comes first"));
        }
    }

    /// Which of day and month comes first, where the first rows show it.
    pub(super) fn find_out_dates(&mut self, sample: &[(u64, Vec<String>)]) {
        if !self.rules.dates.formats.is_empty() || self.columns.of(Field::Datetime).is_none() {
            return;
        }
        let texts: Vec<(u64, String)> = sample
            .iter()
            .filter_map(|(line, cells)| {
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                Some((*line, convert::value_of(&cells, &self.columns, Field::Datetime)?))
            })
            .collect();
        let Some((order, text)) = values::datetime::order_of(texts.iter().map(|(_, text)| text.as_str()))
        else {
            return;
        };
        let line = texts.iter().find(|(_, own)| own.trim() == text).map_or(0, |(line, _)| *line);
        let words = if order == DateFormat::DayFirst { "day/month/year" } else { "month/day/year" };
        let shown = crate::redact::opaque(text);
        self.table
            .found
            .push(format!("dates are {words} (line {line}: {shown}); --date-format says otherwise"));
        self.rules.dates.found = Some(order);
    }
}
