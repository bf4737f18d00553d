//! The columns that are recognised by their names, beside those that rules name.

use super::{Columns, ExplicitRule, ValueSource};
use crate::manifest::{
    mapping::{
        Field, MapRule,
        header_names::{Recognised, is_date_alone, is_degrees, is_of_upload, recognise},
        names::parts_of,
    },
    values::tags::LABEL_KEYS,
};

impl Columns {
    pub(super) fn recognise(&mut self, explicit: &ExplicitRule<'_>) {
        let is_explicit = |field: Field| explicit.map.iter().any(|rule| rule.field == field);
        let names = self.names_in_their_files();
        for field in Field::all() {
            let depends_on = match field {
                // a rule for the place in one column is not overruled by two that are recognised
                Field::Latitude | Field::Longitude => (!is_explicit(Field::Geo)).then_some(0),
                Field::LatitudeRef => self.first_of(Field::Latitude),
                Field::LongitudeRef => self.first_of(Field::Longitude),
                Field::Time => {
                    self.first_of(Field::Datetime).filter(|column| is_date_alone(&self.names[*column]))
                }
                Field::Account => None,
                Field::Url
                | Field::Tags
                | Field::Geo
                | Field::Datetime
                | Field::CameraModel
                | Field::UniqueId
                | Field::Callback
                | Field::RetainOriginalVideo
                | Field::VideoTranscriptionPrompt
                | Field::Id
                | Field::Hash => Some(0),
            };
            if field == Field::Geo {
                self.pair_places(explicit);
            }
            if self.of(field).is_some() || depends_on.is_none() {
                continue;
            }
            // what a row is and where its answers go, only its own file says
            let is_of_row =
                matches!(field, Field::Url | Field::Id | Field::Hash | Field::UniqueId | Field::Callback);
            let width = if is_of_row { self.file_ends[0] } else { names.len() };
            let among = &names[..width.min(names.len())];
            let mut found =
                recognise(field, among, explicit.has_paths).map(|found| self.own_first(field, found));
            if let (Field::Time, Some(date)) = (field, depends_on) {
                found = found.and_then(|found| self.of_same_object(found, date));
            }
            if let (Field::LatitudeRef | Field::LongitudeRef, Some(axis)) = (field, depends_on) {
                let is_named =
                    is_explicit(if field == Field::LatitudeRef { Field::Latitude } else { Field::Longitude });
                found = found.and_then(|found| self.hemisphere_of(found, axis, is_named));
            }
            if let Some(found) = found {
                let label =
                    self.label_column(found.column).filter(|_| field == Field::Tags && explicit.has_paths);
                let columns = std::iter::once(found.column).chain(label);
                self.feed(field, columns.map(ValueSource::Cell).collect());
                if !found.rivals.is_empty() {
                    self.rivals.push((field, found.column, found.rivals));
                }
            }
        }
        self.choose_place(explicit);
        // what feeds another field is used
        let feeds: Vec<usize> = self.used().collect();
        for (_, _, others) in &mut self.rivals {
            others.retain(|column| !feeds.contains(column));
        }
        self.rivals.retain(|(_, _, others)| !others.is_empty());
    }

    /// `tags.name` beside `tags`: what was written as an object where there is one tag, and as a list where there are several.
    fn label_column(&self, column: usize) -> Option<usize> {
        let labels = LABEL_KEYS.iter().map(|key| format!("{}.{key}", self.names[column]));
        labels.into_iter().find_map(|label| self.names.iter().position(|name| *name == label))
    }

    /// What was recognised, the columns of the manifest before those of second files. A date of the upload does not go before
    /// one of the capture.
    fn own_first(&self, field: Field, found: Recognised) -> Recognised {
        let mut all: Vec<usize> = std::iter::once(found.column).chain(found.rivals).collect();
        all.sort_by_key(|column| (is_of_upload(field, &self.names[*column]), self.file_of(*column)));
        let column = all.remove(0);
        Recognised { column, rivals: all }
    }

    /// One source for the place: two columns beat one of the same file, and the manifest beats a second file.
    fn choose_place(&mut self, explicit: &ExplicitRule<'_>) {
        let (Some(latitude), Some(_)) = (self.first_of(Field::Latitude), self.first_of(Field::Longitude))
        else {
            return;
        };
        let is_explicit =
            |rule: &MapRule| matches!(rule.field, Field::Latitude | Field::Longitude | Field::Geo);
        let is_recognised = !explicit.map.iter().any(is_explicit);
        let geo_file = self.first_of(Field::Geo).map(|geo| self.file_of(geo));
        let geo_wins = is_recognised && geo_file.is_some_and(|file| file < self.file_of(latitude));
        let losing: &[Field] = if geo_wins {
            &[Field::Latitude, Field::Longitude, Field::LatitudeRef, Field::LongitudeRef]
        } else {
            &[Field::Geo]
        };
        for field in losing {
            self.feeds[*field as usize] = None;
        }
        self.rivals.retain(|(field, ..)| !losing.contains(field));
    }

    /// Feeds a place from nothing; half of a pair is none.
    pub(in crate::manifest) fn leave_out_place(&mut self, field: Field) {
        let pair = &[Field::Latitude, Field::Longitude, Field::LatitudeRef, Field::LongitudeRef][..];
        let left_out = if field == Field::Geo { &[Field::Geo][..] } else { pair };
        for field in left_out {
            self.feeds[*field as usize] = None;
        }
        self.rivals.retain(|(field, ..)| !left_out.contains(field));
    }

    /// The names as each file has them: a name that an earlier column has, too, was made another one.
    fn names_in_their_files(&self) -> Vec<String> {
        let own_of = |(column, name): (usize, &String)| {
            let renamed = name.rsplit_once('#').filter(|(base, number)| {
                number.parse::<usize>().is_ok()
                    && self.names.iter().take(column).any(|earlier| earlier == base)
            });
            renamed.map_or(name.as_str(), |(base, _)| base).to_owned()
        };
        self.names.iter().enumerate().map(own_of).collect()
    }

    /// What was recognised in the file of this column.
    fn of_same_file(&self, found: Recognised, column: usize) -> Option<Recognised> {
        let file = self.file_of(column);
        let all = std::iter::once(found.column).chain(found.rivals);
        let mut own = all.filter(|column| self.file_of(*column) == file);
        Some(Recognised { column: own.next()?, rivals: own.collect() })
    }

    /// What was recognised in the file of this column, and in its object.
    fn of_same_object(&self, found: Recognised, column: usize) -> Option<Recognised> {
        let path = |column: usize| self.names[column].rsplit_once('.').map_or("", |(path, _)| path);
        let found = self.of_same_file(found, column)?;
        let all = std::iter::once(found.column).chain(found.rivals);
        let mut own = all.filter(|own| path(*own) == path(column));
        Some(Recognised { column: own.next()?, rivals: own.collect() })
    }

    /// The column of the hemisphere that belongs to this column of degrees, among those that were recognised: its name says the
    /// same place, or none. `is_named`: a rule names the degrees, and then the place must be the same.
    fn hemisphere_of(&self, found: Recognised, axis: usize, is_named: bool) -> Option<Recognised> {
        let stem = |column: usize| place_stem(&self.names[column]);
        let found = self.of_same_file(found, axis)?;
        let columns: Vec<usize> = std::iter::once(found.column).chain(found.rivals).collect();
        let is_of_place = |column: &&usize| stem(**column) == stem(axis);
        // `GPSLatitudeRef` beside `latitude`: programs that read metadata leave the source out of some names
        let is_of_none = |column: &&usize| {
            let stem = stem(**column);
            !is_named && stem.split('_').all(|part| part.is_empty() || METADATA_SOURCES.contains(&part))
        };
        let column = columns.iter().find(is_of_place).or_else(|| columns.iter().find(is_of_none))?;
        Some(Recognised { column: *column, rivals: Vec::new() })
    }

    /// Where several columns were recognised for a coordinate, takes a pair of one file, the manifest first, whose names differ
    /// by the axis only.
    fn pair_places(&mut self, explicit: &ExplicitRule<'_>) {
        let is_explicit = |rule: &MapRule| matches!(rule.field, Field::Latitude | Field::Longitude);
        let columns_of = |field: Field| -> Vec<usize> {
            let rivals = self.rivals.iter().find(|(own, ..)| *own == field).map(|(_, _, others)| &others[..]);
            self.first_of(field).into_iter().chain(rivals.unwrap_or_default().iter().copied()).collect()
        };
        let (latitudes, longitudes) = (columns_of(Field::Latitude), columns_of(Field::Longitude));
        if explicit.map.iter().any(is_explicit) || latitudes.len() + longitudes.len() < 3 {
            return;
        }
        let names = self.names_in_their_files();
        let stem = |column: usize| place_stem(&names[column]);
        let same_place = |one: usize, other: usize| stem(one) == stem(other);
        let pair = (0..self.file_ends.len()).find_map(|file| {
            let is_own = |column: &&usize| self.file_of(**column) == file;
            let pair_of = |is_pair: &dyn Fn(usize, usize) -> bool| {
                latitudes.iter().filter(is_own).find_map(|latitude| {
                    let mut own = longitudes.iter().filter(is_own);
                    let longitude = own.find(|longitude| is_pair(*latitude, **longitude))?;
                    Some([(Field::Latitude, *latitude), (Field::Longitude, *longitude)])
                })
            };
            // of one file alone, names of two places are no pair, and the best of each stay
            pair_of(&same_place).or_else(|| (self.file_ends.len() > 1).then(|| pair_of(&|_, _| true))?)
        });
        for (field, column) in pair.into_iter().flatten() {
            self.feeds[field as usize] = Some(vec![ValueSource::Cell(column)]);
            let all = if field == Field::Latitude { &latitudes } else { &longitudes };
            let others: Vec<usize> = all.iter().copied().filter(|own| *own != column).collect();
            self.rivals.retain(|(own, ..)| *own != field);
            if !others.is_empty() {
                self.rivals.push((field, column, others));
            }
        }
    }

    /// `geometry.type` beside `geometry.coordinates`.
    pub(super) fn find_geometry_type(&self, has_paths: bool) -> Option<usize> {
        let geo = self.first_of(Field::Geo)?;
        let path =
            self.names[geo].strip_suffix("coordinates").filter(|path| has_paths || path.ends_with('.'))?;
        let name = format!("{path}type");
        self.names.iter().position(|own| *own == name)
    }

    pub(super) fn find_scales(&mut self) {
        for field in Field::all().filter(|field| is_degrees(*field)) {
            let is_e7 = |column: usize| parts_of(&self.names[column]).split('_').any(|part| part == "e7");
            self.is_e7[field as usize] = self.first_of(field).is_some_and(is_e7);
        }
    }
}

/// Parts of names that say where a program found a value, and no place.
const METADATA_SOURCES: &[&str] = &["gps", "exif", "xmp"];

/// The parts of a name that say which place it is of, without its axis: `site` of `site_lat` and of `siteLongitude`.
fn place_stem(name: &str) -> String {
    const AXES: &[&str] = &[
        "lat",
        "latitude",
        "lon",
        "lng",
        "long",
        "longitude",
        "ref",
        "hemisphere",
        "direction",
        "dir",
        "hem",
        "ns",
        "ew",
        "n",
        "s",
        "e",
        "w",
        "or",
        "north",
        "south",
        "east",
        "west",
        "composite",
    ];
    let parts = parts_of(name);
    parts.split('_').filter(|part| !AXES.contains(part)).collect::<Vec<_>>().join("_")
}
