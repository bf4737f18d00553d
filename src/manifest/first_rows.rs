//! What the first rows of a manifest show: the order of dates, the points of `GeoJSON`, and the columns that feed nothing.

use std::collections::{HashMap, HashSet};

use super::{
    Field, Header, Manifest, ManifestSpec, SameBy, convert,
    halves::{Halves, is_half},
    mapping::{parts_of, squashed},
    own_output, row_reader,
    scan::{self, SharedIds},
    values::{
        coordinates::GeoOrder,
        datetime::{self, DateRules},
        trim,
    },
};
use crate::{
    domain::{SourceUrl, with_separators},
    redact,
};

impl Manifest {
    /// The first rows, with the columns of second files.
    pub(super) fn sample(&self, header: Header) -> Vec<(u64, Vec<String>)> {
        let rows = self.table.sample(header);
        if self.joined.is_empty() {
            return rows;
        }
        let widened = rows.iter().map(|(line, cells)| {
            let mut cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            cells.resize(self.table.names.len(), "");
            let cells = row_reader::widen(&self.joined, cells).0;
            (*line, cells.into_iter().map(str::to_owned).collect())
        });
        widened.collect()
    }

    /// The columns that feed nothing, but for keys of second files and the columns that telecine adds.
    pub(super) fn find_unused(&mut self, spec: &ManifestSpec, sample: &[(u64, Vec<String>)]) {
        if spec.map.is_empty() {
            self.notes.extend(scan::unused::better_addresses(&self.columns, sample));
        }
        let mut unused = scan::unused::find(&self.columns, sample);
        let keys: Vec<usize> =
            self.joined.iter().flat_map(|joined| &joined.own).map(|(column, _)| *column).collect();
        let names = self.columns.names();
        unused.retain(|unused| {
            keys.iter().all(|key| names[*key] != unused.name) && !self.is_own_column(&unused.name)
        });
        if self.listing.is_some() {
            // when an object was written is not when its video was taken
            let own = unused.iter_mut().filter(|unused| self.table.names.contains(&unused.name));
            own.for_each(|unused| unused.resembles = None);
            unused.sort_by_key(|unused| {
                (unused.resembles.is_none(), names.iter().position(|name| *name == unused.name))
            });
        }
        self.unused = unused;
    }

    /// Which coordinate comes first in one cell, where a kind of geometry or the name of the column says it, and that nothing
    /// says it of lists.
    pub(super) fn find_out_points(&mut self, sample: &[(u64, Vec<String>)]) {
        let Some(geo) = self.columns.first_of(Field::Geo) else { return };
        let name = &self.columns.names()[geo];
        let shown = redact::clean(name);
        let has = |column: usize, is_so: &dyn Fn(&str) -> bool| {
            sample.iter().any(|(_, cells)| cells.get(column).is_some_and(|cell| is_so(trim(cell))))
        };
        if let Some(kind) = self.columns.geometry_type() {
            if has(kind, &|cell| cell == "Point") {
                self.table.found.push(format!("{shown} are GeoJSON points: the longitude comes first"));
            }
            return;
        }
        if self.rules.geo_order == GeoOrder::LonLat {
            return;
        }
        if has_longitude_first(name) {
            self.rules.geo_order = GeoOrder::LonLat;
            self.table.found.push(format!("{shown}: the longitude comes first, as its name says"));
        } else if has(geo, &|cell| cell.starts_with('[')) {
            self.notes.push(format!(
                "geo: {shown} has lists of two numbers, and the first is read as the latitude; GeoJSON and most databases write the \
                 longitude first, which --geo-order lon-lat reads"
            ));
        }
    }

    /// Which of day and month comes first, where the first rows show it.
    pub(super) fn find_out_dates(&mut self, spec: &ManifestSpec, sample: &[(u64, Vec<String>)]) {
        let has_formats = !self.rules.dates.formats.is_empty();
        if self.columns.of(Field::Datetime).is_none() || has_formats && !self.rules.dates.has_date_cells {
            return;
        }
        let orders = if has_formats {
            Vec::new()
        } else if self.table.is_own_output {
            own_output::date_orders(spec)
        } else {
            Vec::new()
        };
        if let Some(order) = orders.first() {
            // of files that differ, no order is right for all rows
            if orders.len() == 1 {
                let words = datetime::order_words(order);
                self.table
                    .found
                    .push(format!("dates are {words}, as in the manifest that the rows come from"));
                self.rules.dates.found = Some(order.clone());
            }
            return;
        }
        let texts: Vec<(u64, String)> = sample
            .iter()
            .filter_map(|(line, cells)| {
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                Some((*line, convert::value_of(&cells, &self.columns, Field::Datetime)?))
            })
            .collect();
        let Some((order, text)) = datetime::order_of(texts.iter().map(|(_, text)| text.as_str())) else {
            return;
        };
        let shown = redact::opaque(text);
        if !has_formats {
            let line = texts.iter().find(|(_, own)| own.trim() == text).map_or(0, |(line, _)| *line);
            let words = datetime::order_words(&order);
            self.table
                .found
                .push(format!("dates are {words} (line {line}: {shown}); --date-format says otherwise"));
            self.rules.dates.found = Some(order);
        }
        if let Some(swapped) = datetime::maybe_swapped(texts.iter().map(|(_, text)| text.as_str())) {
            self.notes.push(format!(
                "datetime: {shown} is a text and {} a date, as if a spreadsheet that takes the other number for the day had made dates \
                 of those it could read: day and month would be swapped; compare some with their videos",
                redact::opaque(swapped)
            ));
        }
    }

    /// Says what the values of the first rows show of the namespace, the id and the time of day.
    pub(super) fn find_notes(&mut self, sample: &[(u64, Vec<String>)]) {
        let (ids, noon) = (self.ids_note(sample), self.noon_note(sample));
        // what the first rows do not show is looked for in the whole file, where it is checked
        self.seeks_ids = ids.is_none() && self.has_ids_beside_urls();
        if noon.is_none() && self.columns.first_of(Field::Datetime).is_some() {
            self.counts.halves = Halves::of(self.columns.unused().map(|(column, _)| column));
        }
        let time = self.time_note(sample);
        let floats = self.floats_note(sample);
        self.notes.extend([self.namespaces_note(sample), ids, noon, time, floats].into_iter().flatten());
    }

    /// What the whole file shows and its first rows did not: ids under several urls (`ids`), and an unread column of AM and PM.
    pub(super) fn whole_file_notes(&self, ids: Option<&SharedIds>) -> Vec<String> {
        let ids = ids.and_then(|ids| {
            let name = redact::clean(&self.columns.names()[self.columns.first_of(Field::Id)?]);
            let SharedIds { first, line, rows } = ids;
            let rows = match rows {
                1 => "1 row has".to_owned(),
                rows => format!("{} rows have", with_separators(*rows)),
            };
            Some(format!(
                "id: {rows} an id of {name} that an earlier row has under another url, first on lines {first} and {line}; each url is \
                 a video of its own, unless --same-by id"
            ))
        });
        let noon = self.counts.halves.column().and_then(|column| self.noon_text(column));
        ids.into_iter().chain(noon).collect()
    }

    /// Whether rows have ids that are not what identifies them.
    fn has_ids_beside_urls(&self) -> bool {
        let (id, url) = (self.columns.first_of(Field::Id), self.columns.first_of(Field::Url));
        self.rules.same_by != SameBy::Id && id.is_some() && id != url
    }

    /// Leaves a place out that was recognised by its name alone, where hardly any cell could be one: `long` of long texts.
    pub(super) fn leave_out_texts(&mut self, spec: &ManifestSpec, sample: &[(u64, Vec<String>)]) {
        /// Fewer cells do not show it.
        const CELLS_MIN: usize = 5;
        let places = [Field::Latitude, Field::Longitude, Field::Geo];
        if spec.map.iter().any(|rule| places.contains(&rule.field)) {
            return;
        }
        let may_be_degrees =
            |cell: &&str| cell.chars().filter(char::is_ascii_digit).count() * 5 >= cell.chars().count();
        for field in places {
            let Some(column) = self.columns.first_of(field) else { continue };
            let cells = filled(sample, column);
            let degrees = cells.iter().filter(|cell| may_be_degrees(cell)).count();
            if cells.len() < CELLS_MIN || degrees * 20 >= cells.len() {
                continue;
            }
            self.columns.leave_out_place(field);
            let name = redact::clean(&self.columns.names()[column]);
            let field = field.name();
            self.notes.push(format!(
                "{field}: {name} holds texts and no degrees, and is not used; --map {field}=COLUMN chooses"
            ));
        }
    }

    /// That nearly every row has a namespace of its own: a search in one would find one video.
    fn namespaces_note(&self, sample: &[(u64, Vec<String>)]) -> Option<String> {
        let column = self.columns.first_of(Field::UniqueId)?;
        let cells = filled(sample, column);
        if !is_each_its_own(&cells) {
            return None;
        }
        let name = redact::clean(&self.columns.names()[column]);
        Some(format!(
            "unique_id: nearly each row has a namespace of its own in {name}, and a search looks into one; if it is the id of the \
             row, say --map id=COLUMN, and --map \"unique_id='default'\""
        ))
    }

    /// That every number in a column that names the rows ends in `.0`.
    fn floats_note(&self, sample: &[(u64, Vec<String>)]) -> Option<String> {
        let whole = |cell: &&str| {
            let whole = cell.strip_suffix(".0")?;
            (!whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit())).then_some(whole.len())
        };
        let columns = [Field::Url, Field::Id, Field::UniqueId].into_iter().flat_map(|field| {
            let sources = self.columns.of(field).unwrap_or_default().iter();
            // what transforms make of a cell is what is meant
            let own = sources.flat_map(|source| {
                let is_changed = |column: &usize| {
                    source.transformed().iter().any(|(own, by)| own == column && !by.is_empty())
                };
                source.columns().into_iter().filter(move |column| !is_changed(column))
            });
            own.map(move |column| (field, column))
        });
        let (field, column) = columns.into_iter().find(|(_, column)| {
            let cells = filled(sample, *column).into_iter();
            let cells: Vec<&str> = cells.filter(|cell| !self.rules.missing.is_missing(cell)).collect();
            // `1.0` of a single row may be a version
            let is_sure = cells.len() > 1 || cells.first().and_then(whole).is_some_and(|digits| digits > 2);
            is_sure && cells.iter().all(|cell| whole(cell).is_some())
        })?;
        let name = redact::clean(&self.columns.names()[column]);
        Some(format!(
            "{}: every value of {name} ends in .0, as programs write whole numbers in a column with gaps, and is sent so; \
             {{{name}|replace '.0' ''}} in --map leaves it out",
            field.name()
        ))
    }

    /// That rows with several addresses have the same id.
    fn ids_note(&self, sample: &[(u64, Vec<String>)]) -> Option<String> {
        let (id, url) = (self.columns.first_of(Field::Id)?, self.columns.first_of(Field::Url)?);
        if self.rules.same_by == SameBy::Id || id == url {
            return None;
        }
        let mut known: HashMap<&str, (u64, String)> = HashMap::new();
        let (first, line, shown) = sample.iter().find_map(|(line, cells)| {
            let own = trim(cells.get(id)?);
            if own.is_empty() || self.rules.missing.is_missing(own) {
                return None;
            }
            let address = SourceUrl::parse(cells.get(url)?).ok()?.without_signature().into_owned();
            let (first, other) = known.entry(own).or_insert_with(|| (*line, address.clone()));
            (*other != address).then_some((*first, *line, own))
        })?;
        let (name, shown) = (redact::clean(&self.columns.names()[id]), redact::opaque(shown));
        Some(format!(
            "id: {shown} of {name} is under several urls, first on lines {first} and {line}; each url is a video of its own, \
             unless --same-by id"
        ))
    }

    /// That a column of times of day is not read where the dates have none: each would be midnight.
    fn time_note(&self, sample: &[(u64, Vec<String>)]) -> Option<String> {
        const NAMES: &[&str] = &["time", "uhrzeit", "zeit", "hora", "heure"];
        let day = self.columns.first_of(Field::Datetime)?;
        // databases export a day alone as its midnight
        let has_time = |cell: &&str| {
            let is_midnight = || self.rules.dates.read(cell).is_ok_and(|read| read.ends_with(" 00:00:00"));
            cell.contains(':') && !is_midnight()
        };
        if self.columns.of(Field::Time).is_some() || filled(sample, day).iter().any(has_time) {
            return None;
        }
        let is_time = |cell: &&str| {
            cell.contains(':') && DateRules::default().read_with_time("2000-01-01", cell).is_ok()
        };
        let (_, time) = self.columns.unused().find(|(column, name)| {
            let cells = filled(sample, *column);
            let is_named_so = parts_of(name).split('_').any(|part| NAMES.contains(&part));
            is_named_so && !cells.is_empty() && cells.iter().all(is_time)
        })?;
        let [day, time] = [&self.columns.names()[day], time].map(redact::clean);
        Some(format!(
            "datetime: {day} has no time of day, so that each is midnight, and {time} is not read; --map \"time={time}\" reads it"
        ))
    }

    /// That a column of AM and PM is not read.
    fn noon_note(&self, sample: &[(u64, Vec<String>)]) -> Option<String> {
        let is_of_halves = |column: usize| {
            let cells = filled(sample, column);
            !cells.is_empty() && cells.iter().all(|cell| is_half(cell))
        };
        let (column, _) = self.columns.unused().find(|(column, _)| is_of_halves(*column))?;
        self.noon_text(column)
    }

    /// That this column of AM and PM is not read. `None`: no column is a date.
    fn noon_text(&self, column: usize) -> Option<String> {
        let datetime = self.columns.first_of(Field::Datetime)?;
        let names = self.columns.names();
        let half = names.get(column)?;
        let time = self.columns.first_of(Field::Time).map(|column| format!("{{{}}} ", names[column]));
        Some(format!(
            "datetime: {} says AM or PM and is not read; --map \"datetime={{{}}} {}{{{}}}\" reads it",
            redact::clean(half),
            names[datetime],
            time.unwrap_or_default(),
            half
        ))
    }
}

/// Whether the name of a column of two coordinates says that the longitude comes first: `lon_lat`, `Longitude/Latitude`.
fn has_longitude_first(name: &str) -> bool {
    let name = squashed(name);
    let longitude = ["lon", "lng"].iter().filter_map(|part| name.find(part)).min();
    longitude.zip(name.find("lat")).is_some_and(|(longitude, latitude)| longitude < latitude)
}

/// The cells of a column that are not empty.
fn filled(sample: &[(u64, Vec<String>)], column: usize) -> Vec<&str> {
    let cells = sample.iter().filter_map(|(_, cells)| cells.get(column)).map(|cell| trim(cell));
    cells.filter(|cell| !cell.is_empty()).collect()
}

/// Fewer rows do not show that values differ from row to row.
const ROWS_MIN: usize = 10;

/// Whether nearly each of these values is another one.
pub(super) fn is_each_its_own(cells: &[&str]) -> bool {
    let distinct = cells.iter().collect::<HashSet<_>>().len();
    cells.len() >= ROWS_MIN && distinct * 10 >= cells.len() * 9
}
