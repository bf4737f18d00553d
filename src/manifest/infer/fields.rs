//! Which columns hold places, dates and other values.

use super::{
    super::{
        first_rows::is_each_its_own,
        mapping::Field,
        values::{
            coordinates::{Axis, GeoOrder, is_marked_angle},
            datetime::{self, DateFormat, DateRules, DatetimeError},
        },
    },
    DATES_LATER, DATES_UNNAMED, Inference, MOST,
    columns::Column,
};

const LATITUDE_WORDS: &[&str] = &["lat", "latitude", "latitud", "latitudine", "breite", "breitengrad"];
const LONGITUDE_WORDS: &[&str] = &[
    "lon",
    "lng",
    "long",
    "longitude",
    "longitud",
    "longitudine",
    "länge",
    "laenge",
    "längengrad",
    "laengengrad",
];
/// Whole names of the axes of a plane, which may be pixels.
const PLANE_Y: &[&str] = &["y", "coord_y", "y_coord", "point_y", "pos_y", "geo_y", "gps_y", "wgs84_y"];
const PLANE_X: &[&str] = &["x", "coord_x", "x_coord", "point_x", "pos_x", "geo_x", "gps_x", "wgs84_x"];
/// Parts of names of columns that say that numbers beside them are of an image.
const OF_IMAGES: &[&str] = &["width", "height", "w", "h", "bbox", "pixel", "px"];
const GEO_WORDS: &[&str] = &["geo", "coordinates", "coord", "coords", "location", "position", "point", "gps"];
const DATE_WORDS: &[&str] = &[
    "date", "time", "datetime", "taken", "recorded", "captured", "created", "filmed", "shot", "when", "day",
    "datum", "fecha", "zeit", "jour",
];
/// Parts of names of dates that are later than the capture.
const LATER_WORDS: &[&str] = &[
    "created",
    "uploaded",
    "upload",
    "modified",
    "updated",
    "published",
    "added",
    "changed",
    "imported",
    "ingested",
    "released",
    "exported",
];
/// Parts of names of dates that have nothing to do with the capture.
const OTHER_DATES: &[&str] =
    &["birth", "birthday", "birthdate", "born", "dob", "due", "deadline", "expires", "expiry", "expiration"];

impl Inference {
    pub(super) fn find_place(&mut self, columns: &[Column<'_>]) {
        let latitude = degrees_of(columns, Axis::Latitude);
        let longitude = degrees_of(columns, Axis::Longitude);
        if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
            let why = "all values are degrees of this axis";
            self.propose(Field::Latitude, &[latitude], 95, why);
            self.propose(Field::Longitude, &[longitude], 95, why);
            for field in [Field::LatitudeRef, Field::LongitudeRef] {
                if let Some(column) =
                    columns.iter().find(|column| column.is_named(field) && !column.cells.is_empty())
                {
                    self.propose(field, &[column], 90, "its name");
                }
            }
            return;
        }
        let share = |column: &Column<'_>, order: GeoOrder| column.share(|cell| order.read(cell).is_ok());
        let both =
            |column: &Column<'_>| [GeoOrder::LatLon, GeoOrder::LonLat].map(|order| share(column, order));
        let best = columns
            .iter()
            // numbers of tags can be read as pairs, too
            .filter(|column| !self.is_used(column) && column.distinct() > 1 && !column.is_named(Field::Tags))
            .map(|column| (column, both(column)))
            .filter(|(column, shares)| {
                let is_named = column.is_named(Field::Geo) || column.has_word(GEO_WORDS);
                shares.iter().any(|share| *share >= if is_named { MOST } else { 99 })
            })
            .max_by_key(|(_, [lat_lon, lon_lat])| (*lat_lon.max(lon_lat), *lat_lon));
        if let Some((column, [lat_lon, lon_lat])) = best {
            // a few bad cells do not turn a whole file round
            let (order, share) =
                if lat_lon >= MOST { (GeoOrder::LatLon, lat_lon) } else { (GeoOrder::LonLat, lon_lat) };
            self.geo_order = order;
            self.propose(Field::Geo, &[column], share, "pairs of degrees");
            let unread: Vec<&&str> = column.cells.iter().filter(|cell| order.read(cell).is_err()).collect();
            if let Some(first) = unread.first() {
                let (noun, count) = (if unread.len() == 1 { "cell is" } else { "cells are" }, unread.len());
                let first = crate::redact::opaque(first);
                let other = if order == GeoOrder::LatLon { "lon-lat" } else { "lat-lon" };
                self.notes.push(format!(
                    "{}: {count} {noun} no place, such as {first}; if the other number comes first, say --geo-order {other}",
                    crate::redact::clean(column.name)
                ));
            }
        }
    }

    pub(super) fn find_date(&mut self, columns: &[Column<'_>]) {
        let is_date = |column: &Column<'_>| column.is_named(Field::Datetime) || column.has_word(DATE_WORDS);
        let may_be_capture = |column: &&Column<'_>| !self.is_used(column) && !column.has_word(OTHER_DATES);
        let dates: Vec<&Column<'_>> =
            columns.iter().filter(may_be_capture).filter(|column| share_of_dates(column) >= MOST).collect();
        let mut named: Vec<&Column<'_>> = dates.iter().copied().filter(|column| is_date(column)).collect();
        named.sort_by_key(|column| {
            let better =
                (!column.has_word(LATER_WORDS), column.is_named(Field::Datetime), share_of_dates(column));
            std::cmp::Reverse((better, column.cells.len()))
        });
        // by its values alone only what is hardly anything else, and only one such column
        let is_plain = |cell: &str| cell.parse::<f64>().is_ok();
        let mut others = dates.iter().copied().filter(|column| column.share(is_plain) == 0);
        let (only, is_only) = (others.next(), others.next().is_none());
        let only = only.filter(|column| is_only && (column.distinct() > 1 || column.cells.len() == 1));
        if let Some(column) = named.first().copied().or(only) {
            let share = share_of_dates(column);
            let (max, why) = if named.is_empty() {
                (DATES_UNNAMED, "")
            } else if column.has_word(LATER_WORDS) {
                (DATES_LATER, ", of an upload or a change by their name")
            } else {
                (100, "")
            };
            self.propose(Field::Datetime, &[column], share.min(max), format!("{share} % are dates{why}"));
            let rivals: Vec<&str> = named.iter().skip(1).map(|column| column.name).collect();
            if !rivals.is_empty() {
                self.notes.push(format!("other columns hold dates, too: {}", rivals.join(", ")));
            }
            return;
        }
        self.find_unclear_date(columns, &is_date);
    }

    /// A column of dates that only the user can say how to read.
    fn find_unclear_date(&mut self, columns: &[Column<'_>], is_date: &dyn Fn(&Column<'_>) -> bool) {
        let fails_by = |column: &Column<'_>, error: DatetimeError| {
            column.share(|cell| DateRules::default().read(cell) == Err(error)) >= MOST
        };
        for (error, what, advice) in [
            (DatetimeError::Ambiguous, "day and month could be either way round", "dmy or mdy"),
            (DatetimeError::TwoDigitYear, "the year has two digits", "dmy, mdy or %y-%m-%d"),
            (DatetimeError::SpreadsheetSerial, "days as a spreadsheet counts them", "excel"),
            (DatetimeError::BareYear, "years alone", "year"),
        ] {
            let Some(column) = columns.iter().find(|column| is_date(column) && fails_by(column, error))
            else {
                continue;
            };
            self.propose(Field::Datetime, &[column], 50, "dates, once their order is said");
            let example = crate::redact::opaque(column.cells.first().copied().unwrap_or_default());
            self.notes.push(format!("{}: {what}, as in {example}; say --date-format {advice}", column.name));
            return;
        }
    }

    pub(super) fn find_others(&mut self, columns: &[Column<'_>]) {
        for field in [Field::CameraModel, Field::UniqueId, Field::Id, Field::Hash] {
            let fits = |column: &&Column<'_>| {
                column.is_named(field) && !column.cells.is_empty() && !self.is_used(column)
            };
            let Some(column) = columns.iter().find(fits) else { continue };
            let is_unique = column.distinct() == column.cells.len();
            // a namespace for each video would keep a search from finding two of them
            let is_own_namespace = field == Field::UniqueId && is_each_its_own(&column.cells);
            if !is_own_namespace && (field != Field::Id || is_unique) {
                self.propose(field, &[column], 90, "its name");
            }
        }
    }
}

/// The column of the degrees of an axis: by its name, or by hemispheres in its cells.
fn degrees_of<'a, 'b>(columns: &'a [Column<'b>], axis: Axis) -> Option<&'a Column<'b>> {
    let (field, words, other) = match axis {
        Axis::Latitude => (Field::Latitude, LATITUDE_WORDS, Axis::Longitude),
        Axis::Longitude => (Field::Longitude, LONGITUDE_WORDS, Axis::Latitude),
    };
    let reads = |column: &&Column<'_>| {
        !column.cells.is_empty() && column.share(|cell| axis.read(cell).is_ok()) >= MOST
    };
    let has_hemispheres = |column: &&Column<'_>| {
        column.share(|cell| is_marked_angle(cell) && other.read(cell).is_err()) >= MOST
    };
    let with_hemispheres = |column: &&Column<'_>| axis == Axis::Latitude && has_hemispheres(column);
    let candidates = || columns.iter().filter(reads);
    let is_of_plane = |column: &&Column<'_>| {
        let names = if axis == Axis::Latitude { PLANE_Y } else { PLANE_X };
        column.is_called(names) && column.share(|cell| cell.contains(['.', ','])) >= MOST
    };
    let is_large = |column: &Column<'_>| {
        column.share(|cell| axis.read(cell).is_ok_and(|degrees| degrees.abs() >= 1.0)) > 0
    };
    let is_map = !columns.iter().any(|column| column.has_word(OF_IMAGES));
    candidates()
        .find(|column| column.is_named(field))
        .or_else(|| candidates().find(|column| column.has_word(words)))
        .or_else(|| candidates().find(|column| is_map && is_of_plane(column) && is_large(column)))
        .or_else(|| {
            candidates().find(|column| {
                with_hemispheres(column)
                    || (axis == Axis::Longitude && has_letters(column) && has_hemispheres(column))
            })
        })
}

fn has_letters(column: &Column<'_>) -> bool {
    column.share(|cell| cell.contains(|c: char| c.is_alphabetic())) >= MOST
}

fn share_of_dates(column: &Column<'_>) -> u32 {
    let found = datetime::order_of(column.cells.iter().copied()).map(|(order, _)| order);
    let rules = DateRules {
        found: found.filter(|order| matches!(order, DateFormat::DayFirst | DateFormat::MonthFirst)),
        ..DateRules::default()
    };
    column.share(|cell| rules.read(cell).is_ok())
}
