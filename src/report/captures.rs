//! Where and when the videos were taken, counted in cells of the globe and in months.

use std::collections::BTreeMap;

use crate::{
    error::Error,
    ledger::{Capture, ReportScope, Snapshot},
};

/// Cells per degree, as a fraction: 2 cells for 5 degrees.
const CELLS_PER_DEGREE: f64 = 0.4;
/// Cells around the globe.
const COLUMNS: usize = 144;
/// Cells from pole to pole.
const LINES: usize = 72;
/// The most bars of the chart of dates.
const BARS_MAX: i32 = 120;

/// Places and dates, counted.
#[derive(Clone, Debug)]
pub struct Captures {
    /// Videos per cell, from the north-west, line by line.
    cells: Vec<u64>,
    pub with_place: u64,
    pub without_place: u64,
    /// Videos per month, by the number of the month since year 0.
    months: BTreeMap<i32, u64>,
    pub with_date: u64,
    pub without_date: u64,
}

/// The videos of some months.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateBar {
    /// `2024`, `2024-05` or `2010 to 2019`.
    pub label: String,
    pub videos: u64,
}

/// A cell with videos in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaceCell {
    /// The middle of the cell, in degrees.
    pub latitude: f64,
    pub longitude: f64,
    pub videos: u64,
}

impl Captures {
    /// Counts the places and dates of the items of a scope.
    pub fn of(snapshot: &Snapshot, scope: ReportScope) -> Result<Self, Error> {
        let mut captures = Self {
            cells: vec![0; COLUMNS * LINES],
            with_place: 0,
            without_place: 0,
            months: BTreeMap::new(),
            with_date: 0,
            without_date: 0,
        };
        snapshot.each_capture(scope, |capture| captures.take(capture))?;
        Ok(captures)
    }

    fn take(&mut self, capture: Capture<'_>) {
        match capture.place {
            Some((latitude, longitude)) => {
                self.with_place += 1;
                self.cells[cell_of(latitude, longitude)] += 1;
            }
            None => self.without_place += 1,
        }
        match capture.datetime.and_then(month_of) {
            Some(month) => {
                self.with_date += 1;
                *self.months.entry(month).or_default() += 1;
            }
            None => self.without_date += 1,
        }
    }

    /// The cells that hold videos.
    #[expect(clippy::cast_precision_loss, reason = "there are few cells")]
    pub fn cells(&self) -> impl Iterator<Item = PlaceCell> {
        let counted = self.cells.iter().enumerate().filter(|(_, videos)| **videos > 0);
        counted.map(|(at, videos)| PlaceCell {
            latitude: 90.0 - ((at / COLUMNS) as f64 + 0.5) / CELLS_PER_DEGREE,
            longitude: ((at % COLUMNS) as f64 + 0.5) / CELLS_PER_DEGREE - 180.0,
            videos: *videos,
        })
    }

    /// Videos by date, in months, years or more, so that there are at most [`BARS_MAX`] bars. Empty periods are among them.
    pub fn bars(&self) -> Vec<DateBar> {
        let (Some((first, _)), Some((last, _))) =
            (self.months.first_key_value(), self.months.last_key_value())
        else {
            return Vec::new();
        };
        let span = last - first + 1;
        let units = [1, 12, 60, 120, 600, 1_200, 6_000, 12_000];
        let months = units.into_iter().find(|months| span / months < BARS_MAX).unwrap_or(12_000);
        let unit_of = |month: i32| month.div_euclid(months);
        let mut bars: Vec<DateBar> = (unit_of(*first)..=unit_of(*last))
            .map(|unit| DateBar { label: label_of(unit * months, months), videos: 0 })
            .collect();
        for (month, videos) in &self.months {
            if let Some(bar) =
                usize::try_from(unit_of(*month) - unit_of(*first)).ok().and_then(|at| bars.get_mut(at))
            {
                bar.videos += videos;
            }
        }
        bars
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a value of the grid")]
fn cell_of(latitude: f64, longitude: f64) -> usize {
    let line = ((90.0 - latitude) * CELLS_PER_DEGREE).clamp(0.0, 71.0) as usize;
    let column = ((longitude + 180.0) * CELLS_PER_DEGREE).clamp(0.0, 143.0) as usize;
    line * COLUMNS + column
}

/// The number of the month of `yyyy-MM-dd HH:mm:ss`.
fn month_of(datetime: &str) -> Option<i32> {
    let mut parts = datetime.splitn(3, '-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month: i32 = parts.next()?.parse().ok()?;
    ((1..=9_999).contains(&year) && (1..=12).contains(&month)).then(|| year * 12 + month - 1)
}

fn label_of(month: i32, months: i32) -> String {
    let year = month.div_euclid(12);
    match months {
        1 => format!("{year:04}-{:02}", month.rem_euclid(12) + 1),
        12 => format!("{year:04}"),
        _ => format!("{year:04} to {:04}", year + months / 12 - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(dates: &[&str]) -> Captures {
        let (cells, months) = (vec![0; COLUMNS * LINES], BTreeMap::new());
        let mut captures =
            Captures { cells, with_place: 0, without_place: 0, months, with_date: 0, without_date: 0 };
        for datetime in dates {
            captures.take(Capture { place: None, datetime: Some(datetime) });
        }
        captures
    }

    #[test]
    fn dates_are_counted_in_months_or_years_and_every_date_is_in_one_bar() {
        let months = captures(&["2020-01-31 00:00:00", "2020-03-01 10:00:00", "2020-03-02 10:00:00", "soon"]);
        let bars: Vec<(String, u64)> = months.bars().into_iter().map(|bar| (bar.label, bar.videos)).collect();
        let expected = [("2020-01", 1), ("2020-02", 0), ("2020-03", 2)];
        assert_eq!(bars, expected.map(|(label, videos)| (label.to_owned(), videos)));
        assert_eq!((months.with_date, months.without_date), (3, 1));
        let ages = captures(&["0001-01-01 00:00:00", "1999-12-31 00:00:00", "9999-12-31 23:59:59"]);
        let bars = ages.bars();
        assert!(bars.len() <= usize::try_from(BARS_MAX).unwrap(), "{}", bars.len());
        assert_eq!(bars.iter().map(|bar| bar.videos).sum::<u64>(), 3);
    }

    #[test]
    fn a_place_is_counted_in_the_cell_around_it_and_the_poles_are_on_the_map() {
        let places = [(52.1, 4.5), (-33.9, 151.2), (90.0, 180.0), (-90.0, -180.0)];
        for (latitude, longitude) in places {
            let mut one = captures(&[]);
            one.take(Capture { place: Some((latitude, longitude)), datetime: None });
            let cells: Vec<PlaceCell> = one.cells().collect();
            assert_eq!(cells.len(), 1);
            assert!(
                (cells[0].latitude - latitude).abs() <= 1.25
                    && (cells[0].longitude - longitude).abs() <= 1.25
            );
        }
    }
}
