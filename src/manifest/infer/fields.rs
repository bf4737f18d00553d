//! Which columns hold places, dates and other values.

use super::{
    super::{
        mapping::Field,
        values::{
            coordinates::{Axis, GeoOrder, is_marked_angle},
            datetime::{self, DateFormat, DateRules, DatetimeError},
        },
    },
    DATES_UNNAMED, Inference, MOST,
    columns::Column,
};

const LATITUDE_WORDS: &[&str] = &["lat", "latitude", "latitud", "latitudine", "breite", "breitengrad", "y"];
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
    "x",
];
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
        let orders = [GeoOrder::LatLon, GeoOrder::LonLat];
        let best = columns
            .iter()
            .filter(|column| !self.is_used(column))
            .flat_map(|column| orders.map(|order| (column, order)))
            .filter(|(column, order)| {
                let is_named = column.is_named(Field::Geo) || column.has_word(GEO_WORDS);
                share(column, *order) >= if is_named { MOST } else { 99 } && column.distinct() > 1
            })
            .max_by_key(|(column, order)| (share(column, *order), *order == GeoOrder::LatLon));
        if let Some((column, order)) = best {
            self.geo_order = order;
            self.propose(Field::Geo, &[column], share(column, order), "pairs of degrees");
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
            let confidence = if named.is_empty() { share.min(DATES_UNNAMED) } else { share };
            self.propose(Field::Datetime, &[column], confidence, format!("{share} % are dates"));
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
            if field != Field::Id || is_unique {
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
    candidates()
        .find(|column| column.is_named(field))
        .or_else(|| candidates().find(|column| column.has_word(words)))
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
