//! Columns that feed nothing, and those among them that resemble a field.

use super::super::{
    addresses::{Kind, is_web_address, kind_of},
    mapping::{Columns, Field, ValueSource, parts_of},
    values::{
        coordinates::{Axis, GeoOrder, is_marked_angle},
        datetime::{DateRules, DatetimeError},
        trim,
    },
};

/// A column that feeds nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnusedColumn {
    pub name: String,
    /// The field that its name or its values resemble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resembles: Option<&'static str>,
}

/// A share of the cells that is enough, in percent.
const MOST: usize = 80;
/// Parts of names, by the field they suggest.
const WORDS: &[(Field, &[&str])] = &[
    (
        Field::Datetime,
        &["date", "datetime", "shot", "taken", "recorded", "captured", "filmed", "datum", "fecha", "when"],
    ),
    (
        Field::Tags,
        &["tag", "tags", "keyword", "keywords", "category", "categories", "subjects", "topics", "labels"],
    ),
    (Field::Latitude, &["lat", "latitude", "latitud", "breitengrad"]),
    (Field::Longitude, &["lon", "lng", "longitude", "longitud", "längengrad"]),
    (Field::Geo, &["gps", "coordinates", "coords", "geo"]),
    (Field::CameraModel, &["camera", "device"]),
];

/// The columns that feed nothing, first those that resemble a field that nothing feeds. `sample` holds the first rows.
pub(in crate::manifest) fn find(columns: &Columns, sample: &[(u64, Vec<String>)]) -> Vec<UnusedColumn> {
    let resembling = |column: usize, name: &str| {
        let cells: Vec<&str> = sample
            .iter()
            .filter_map(|(_, cells)| cells.get(column).map(|cell| trim(cell)))
            .filter(|cell| !cell.is_empty())
            .collect();
        let field = by_values(&cells).or_else(|| by_name(name))?;
        let has_place = columns.of(Field::Geo).is_some() || columns.of(Field::Latitude).is_some();
        let is_place = matches!(field, Field::Geo | Field::Latitude | Field::Longitude);
        (columns.of(field).is_none() && !(is_place && has_place)).then(|| field.name())
    };
    let mut unused: Vec<UnusedColumn> = columns
        .unused()
        .map(|(column, name)| UnusedColumn { name: name.to_owned(), resembles: resembling(column, name) })
        .collect();
    unused.sort_by_key(|column| column.resembles.is_none());
    unused
}

/// A sentence where the addresses that are used name no video file, and those in a column that feeds nothing do: an API gives
/// its records addresses of their own.
pub(in crate::manifest) fn better_addresses(
    columns: &Columns,
    sample: &[(u64, Vec<String>)],
) -> Option<String> {
    let is_part =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '<' | '>' | '[' | ']' | '{' | '}');
    let names_video =
        |cell: &str| cell.split(is_part).any(|part| is_web_address(part) && kind_of(part) == Kind::Media);
    let share =
        |texts: &[&str]| texts.iter().filter(|text| names_video(text)).count() * 100 / texts.len().max(1);
    let cells_of = |column: usize| -> Vec<&str> {
        let cells = sample.iter().filter_map(|(_, cells)| cells.get(column));
        cells.map(|cell| trim(cell)).filter(|cell| !cell.is_empty()).collect()
    };
    let used = columns.first_of(Field::Url)?;
    let is_plain = matches!(columns.of(Field::Url), Some([ValueSource::Cell(_)]));
    if !is_plain || share(&cells_of(used)) > 100 - MOST {
        return None;
    }
    let (_, better) = columns.unused().find(|(column, _)| share(&cells_of(*column)) >= MOST)?;
    let [used, better] = [&columns.names()[used], better].map(crate::redact::clean);
    Some(format!(
        "url: {used} is used, and its addresses name no video file; those in {better} do; --map url=COLUMN chooses"
    ))
}

fn by_name(name: &str) -> Option<Field> {
    let parts = parts_of(name);
    // `tag1` and `tag2` are columns of tags
    let bare = |part: &str| part.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let has = |words: &[&str]| parts.split('_').any(|part| words.contains(&bare(part).as_str()));
    WORDS.iter().find(|(_, words)| has(words)).map(|(field, _)| *field)
}

fn by_values(cells: &[&str]) -> Option<Field> {
    let most = |is_so: &dyn Fn(&str) -> bool| {
        !cells.is_empty() && cells.iter().filter(|cell| is_so(cell)).count() * 100 >= cells.len() * MOST
    };
    let is_number = |cell: &str| cell.parse::<f64>().is_ok();
    let is_date = |cell: &str| {
        let read = DateRules::default().read(cell);
        !is_number(cell) && (read.is_ok() || read == Err(DatetimeError::Ambiguous))
    };
    if most(&is_date) {
        return Some(Field::Datetime);
    }
    if most(&|cell: &str| is_web_address(cell) && kind_of(cell) == Kind::Media) {
        return Some(Field::Url);
    }
    if most(&|cell: &str| !is_number(cell) && GeoOrder::LatLon.read(cell).is_ok()) {
        return Some(Field::Geo);
    }
    most(&|cell: &str| is_marked_angle(cell) && Axis::Latitude.read(cell).is_ok()).then_some(Field::Latitude)
}
