//! Where a video was taken, from one column or two, and from those with the hemispheres.

use super::{Explanation, Reading, advice::coordinate_advice, problem_at};
use crate::{
    domain::Coordinates,
    manifest::{
        mapping::Field,
        values::coordinates::{Axis, CoordinateError, GeoOrder},
    },
    redact,
};

impl Reading<'_> {
    pub(super) fn coordinates(&mut self) -> Option<Coordinates> {
        let latitude = self.value(Field::Latitude);
        let longitude = self.value(Field::Longitude);
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => {
                let latitude = self.degrees(Axis::Latitude, &latitude);
                let longitude = self.degrees(Axis::Longitude, &longitude);
                Some(Coordinates { latitude: latitude?, longitude: longitude? })
            }
            (Some(value), None) => self.half_a_pair(Field::Latitude, &value, "longitude"),
            (None, Some(value)) => self.half_a_pair(Field::Longitude, &value, "latitude"),
            (None, None) => {
                let geo = self.value(Field::Geo)?;
                // the points of `GeoJSON` have the longitude first, whatever is said of others
                let is_point = self.columns.geometry_type().is_some_and(|column| {
                    let kind = self.cells[column].to_ascii_lowercase();
                    // where geometries stand, an array without a kind is one, too
                    matches!(kind.as_str(), "point" | "multipoint")
                        || (kind.is_empty() && geo.starts_with('['))
                });
                let order = if is_point { GeoOrder::LonLat } else { self.rules.geo_order };
                let read = order.read(&geo);
                read.map_err(|error| self.coordinate_problem(Field::Geo, &geo, error)).ok()
            }
        }
    }

    fn half_a_pair(&mut self, field: Field, value: &str, missing: &str) -> Option<Coordinates> {
        let message = format!("the {missing} is missing");
        let words = Explanation::new("coordinates_pair", message, "give both coordinates or none");
        self.problem(field, redact::opaque(value), words);
        None
    }

    fn degrees(&mut self, axis: Axis, value: &str) -> Option<f64> {
        let (field, side) = match axis {
            Axis::Latitude => (Field::Latitude, Field::LatitudeRef),
            Axis::Longitude => (Field::Longitude, Field::LongitudeRef),
        };
        let (shown, read) = match self.value(side) {
            _ if self.columns.is_e7(field) => (value.to_owned(), axis.read_e7(value)),
            Some(side) => (format!("{value} {side}"), axis.read_with_hemisphere(value, &side)),
            None => (value.to_owned(), axis.read(value)),
        };
        read.map_err(|error| self.coordinate_problem(field, &shown, error)).ok()
    }

    fn coordinate_problem(&mut self, field: Field, value: &str, error: CoordinateError) {
        let (class, message, fix) = coordinate_advice(error);
        let fix = fix
            .replace("COLUMN", self.name_of(field))
            .replace("longitude={", &format!("{}={{", field.name()));
        let words = Explanation::new(class, message.to_owned(), fix.as_str());
        self.problems.push(problem_at(self.first(field), redact::opaque(value), words));
    }
}
