//! The columns that are recognised by their names, beside those that rules name.

use super::{Columns, ExplicitRule, ValueSource};
use crate::manifest::mapping::{
    Field, MapRule,
    names::parts_of,
    recognise::{Recognised, is_date_alone, is_degrees, recognise},
};

impl Columns {
    pub(super) fn recognise(&mut self, explicit: &ExplicitRule<'_>) {
        let is_explicit = |field: Field| explicit.map.iter().any(|rule| rule.field == field);
        for field in Field::all() {
            let depends_on = match field {
                // a rule for the place in one column is not overruled by two that are recognised
                Field::Latitude | Field::Longitude => (!is_explicit(Field::Geo)).then_some(0),
                Field::LatitudeRef => self.first_of(Field::Latitude),
                Field::LongitudeRef => self.first_of(Field::Longitude),
                Field::Time => {
                    self.first_of(Field::Datetime).filter(|column| is_date_alone(&self.names[*column]))
                }
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
            let width = if field == Field::Url { explicit.own_width } else { self.names.len() };
            let among = &self.names[..width.min(self.names.len())];
            let mut found = recognise(field, among, explicit.has_paths);
            if let (Field::LatitudeRef | Field::LongitudeRef, Some(axis)) = (field, depends_on) {
                let is_named =
                    is_explicit(if field == Field::LatitudeRef { Field::Latitude } else { Field::Longitude });
                found = found.and_then(|found| self.hemisphere_of(found, axis, is_named));
            }
            if let Some(found) = found {
                self.feed(field, vec![ValueSource::Cell(found.column)]);
                if !found.rivals.is_empty() {
                    self.rivals.push((field, found.column, found.rivals));
                }
            }
        }
        // one source for the place: two columns beat one, unless the one is explicit
        if self.of(Field::Latitude).is_some() && self.of(Field::Longitude).is_some() {
            self.feeds[Field::Geo as usize] = None;
            self.rivals.retain(|(field, ..)| *field != Field::Geo);
        }
    }

    /// The column of the hemisphere that belongs to this column of degrees, among those that were recognised: its name says the
    /// same place, or none. `is_named`: a rule names the degrees, and then the place must be the same.
    fn hemisphere_of(&self, found: Recognised, axis: usize, is_named: bool) -> Option<Recognised> {
        let stem = |column: usize| place_stem(&self.names[column]);
        let belongs = |column: &usize| stem(*column) == stem(axis) || (stem(*column).is_empty() && !is_named);
        let column = std::iter::once(found.column).chain(found.rivals).find(belongs)?;
        Some(Recognised { column, rivals: Vec::new() })
    }

    /// Where several columns were recognised for a coordinate, takes a pair whose names differ by the axis only.
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
        let stem = |column: usize| place_stem(&self.names[column]);
        let pair = latitudes.iter().find_map(|latitude| {
            let longitude = longitudes.iter().find(|longitude| stem(**longitude) == stem(*latitude))?;
            Some([(Field::Latitude, *latitude), (Field::Longitude, *longitude)])
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
        "ns",
        "ew",
    ];
    let parts = parts_of(name);
    parts.split('_').filter(|part| !AXES.contains(part)).collect::<Vec<_>>().join("_")
}
