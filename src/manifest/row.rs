//! One record becomes one row: every value exactly as the service accepts it, or a list of what is wrong.

use super::{
    columns::{Columns, Field},
    coordinates::{self, CoordinateFault},
    datetime::{self, DatetimeFault, OffsetRule},
    tags::{self, TagFault, TagSeparator},
};
use crate::{
    item::{Coordinates, ManifestRow, Problem, RowFault, SourceUrl, Submission, UrlFault},
    redact,
};

/// `camera_model` is at most this long, in characters (the service's upload documentation).
const CAMERA_MODEL_MAX: usize = 200;
/// `callback` is at most this long, in characters (the service's upload documentation).
const CALLBACK_MAX: usize = 299;
/// A bound of our own for the namespace, in characters; the service states none.
const NAMESPACE_MAX: usize = 200;

/// How values are read.
#[derive(Clone, Debug)]
pub struct RowRules {
    /// The namespace of rows that name none.
    pub namespace: String,
    /// How a cell is split into tags.
    pub tag_separator: TagSeparator,
    /// What to do with offsets in times.
    pub offset: OffsetRule,
    /// Whether a single tag with a comma may be sent.
    pub lone_comma: LoneComma,
}

/// A form with one `tags` value that contains a comma may be split by the service into two tags (Spring's rule for a
/// list parameter). With the marker tag there are always two values, and the comma is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoneComma {
    /// Another tag goes along.
    Safe,
    /// It would be alone: refuse the row.
    Refused,
}

/// Collects what is wrong with one record.
struct Reading<'a> {
    cells: &'a [&'a str],
    columns: &'a Columns,
    problems: Vec<Problem>,
}

/// The row, or everything that is wrong with it.
pub(super) fn understand(
    line: u64,
    cells: &[&str],
    columns: &Columns,
    rules: &RowRules,
) -> Result<ManifestRow, RowFault> {
    let own_cells = || cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut reading = Reading { cells, columns, problems: Vec::new() };
    if cells.len() != columns.names().len() {
        reading.wrong_width();
        return Err(RowFault { line, cells: own_cells(), problems: reading.problems });
    }
    let url = reading.url();
    let tags = reading.tags(rules);
    let coordinates = reading.coordinates();
    let datetime_taken = reading.datetime(rules.offset);
    let camera_model = reading.text(Field::CameraModel, CAMERA_MODEL_MAX);
    let callback = reading.callback();
    let retain_original_video = reading.retain_original_video();
    let video_transcription_prompt = reading.text(Field::VideoTranscriptionPrompt, super::records::CELL_MAX);
    let namespace = reading.text(Field::UniqueId, NAMESPACE_MAX).unwrap_or_else(|| rules.namespace.clone());
    let external_id = reading.value(Field::Id).map(std::borrow::Cow::into_owned);
    match url {
        Some(url) if reading.problems.is_empty() => Ok(ManifestRow {
            line,
            cells: own_cells(),
            external_id,
            submission: Submission {
                url,
                namespace,
                tags,
                coordinates,
                datetime_taken,
                camera_model,
                callback,
                retain_original_video,
                video_transcription_prompt,
            },
        }),
        _ => Err(RowFault { line, cells: own_cells(), problems: reading.problems }),
    }
}

/// The fault of a record with a cell that is not UTF-8; `column` counts from 0.
pub(super) fn not_utf8(line: u64, column: usize, columns: &Columns, cells: Vec<String>) -> RowFault {
    let problem = Problem {
        column: columns.names().get(column).cloned().unwrap_or_default(),
        column_number: column + 1,
        value: cells.get(column).map(|cell| redact::opaque(cell)).unwrap_or_default(),
        class: "not_utf8".to_owned(),
        message: "the cell is not UTF-8".to_owned(),
        fix: "name the file's encoding, for example --encoding windows-1252".to_owned(),
    };
    RowFault { line, cells, problems: vec![problem] }
}

type Value<'a> = std::borrow::Cow<'a, str>;

impl<'a> Reading<'a> {
    /// The value of a field, joined and trimmed; none when empty or not mapped.
    fn value(&self, field: Field) -> Option<Value<'a>> {
        let numbers = self.columns.of(field)?;
        let cells = self.cells;
        if let [number] = numbers {
            let value = cells[*number].trim();
            return (!value.is_empty()).then_some(Value::Borrowed(value));
        }
        let parts: Vec<&str> =
            numbers.iter().map(|n| cells[*n].trim()).filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| Value::Owned(parts.join(field.joint())))
    }

    fn problem(&mut self, field: Field, value: String, class: &str, message: String, fix: &str) {
        let number = self.columns.of(field).and_then(|numbers| numbers.first()).copied();
        self.problems.push(Problem {
            column: number.map(|number| self.columns.names()[number].clone()).unwrap_or_default(),
            column_number: number.map_or(0, |number| number + 1),
            value,
            class: class.to_owned(),
            message,
            fix: fix.to_owned(),
        });
    }

    fn wrong_width(&mut self) {
        let (expected, found) = (self.columns.names().len(), self.cells.len());
        self.problems.push(Problem {
            column: String::new(),
            column_number: 0,
            value: String::new(),
            class: "column_count".to_owned(),
            message: format!("expected {expected} cells, found {found}"),
            fix: "quote cells that contain the delimiter, and write empty cells out".to_owned(),
        });
    }

    fn url(&mut self) -> Option<SourceUrl> {
        let value = self.value(Field::Url).unwrap_or_default();
        match SourceUrl::parse(&value) {
            Ok(url) => Some(url),
            Err(fault) => {
                let (class, fix) = url_advice(fault);
                self.problem(Field::Url, redact::url(&value), class, fault.to_string(), fix);
                None
            }
        }
    }

    fn tags(&mut self, rules: &RowRules) -> Vec<String> {
        let numbers = self.columns.of(Field::Tags).unwrap_or_default();
        let cells = self.cells;
        let read = tags::read(numbers.iter().map(|number| cells[*number]), &rules.tag_separator);
        match read {
            Ok(tags) => {
                if rules.lone_comma == LoneComma::Refused && matches!(&tags[..], [lone] if lone.contains(','))
                {
                    let message = "a single tag with a comma may be split by the service".to_owned();
                    let fix = "remove the comma, add a second tag, or leave the marker tag on";
                    self.problem(Field::Tags, redact::opaque(&tags[0]), "tag_comma", message, fix);
                }
                tags
            }
            Err(fault) => {
                let (value, class, message, fix) = tag_advice(fault);
                self.problem(Field::Tags, value, class, message, fix);
                Vec::new()
            }
        }
    }

    fn coordinates(&mut self) -> Option<Coordinates> {
        let latitude = self.value(Field::Latitude);
        let longitude = self.value(Field::Longitude);
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => {
                let latitude = self.degrees(Field::Latitude, &latitude, coordinates::LATITUDE_MAX);
                let longitude = self.degrees(Field::Longitude, &longitude, coordinates::LONGITUDE_MAX);
                Some(Coordinates { latitude: latitude?, longitude: longitude? })
            }
            (Some(value), None) => self.half_a_pair(Field::Latitude, &value, "longitude"),
            (None, Some(value)) => self.half_a_pair(Field::Longitude, &value, "latitude"),
            (None, None) => {
                let geo = self.value(Field::Geo)?;
                coordinates::read_geo(&geo)
                    .map_err(|fault| self.coordinate_problem(Field::Geo, &geo, fault))
                    .ok()
            }
        }
    }

    fn half_a_pair(&mut self, field: Field, value: &str, missing: &str) -> Option<Coordinates> {
        let message = format!("the {missing} is missing");
        self.problem(
            field,
            redact::opaque(value),
            "coordinates_pair",
            message,
            "give both coordinates or none",
        );
        None
    }

    fn degrees(&mut self, field: Field, value: &str, bound: f64) -> Option<f64> {
        coordinates::read_degrees(value, bound)
            .map_err(|fault| self.coordinate_problem(field, value, fault))
            .ok()
    }

    fn coordinate_problem(&mut self, field: Field, value: &str, fault: CoordinateFault) {
        let (class, message, fix) = match fault {
            CoordinateFault::NotANumber => (
                "coordinates_number",
                "not a decimal number of degrees",
                "write degrees such as 52.5200 or -13.4050",
            ),
            CoordinateFault::OutOfRange => (
                "coordinates_range",
                "outside -90 to 90 for latitude or -180 to 180 for longitude",
                "check whether latitude and longitude are swapped",
            ),
            CoordinateFault::NotAPair => {
                ("coordinates_pair", "expected two numbers: lat,lon", "write them as 52.5200,13.4050")
            }
        };
        self.problem(field, redact::opaque(value), class, message.to_owned(), fix);
    }

    fn datetime(&mut self, offset: OffsetRule) -> Option<String> {
        let value = self.value(Field::Datetime)?;
        match datetime::read(&value, offset) {
            Ok(moment) => Some(moment),
            Err(fault) => {
                let (class, message) = match fault {
                    DatetimeFault::Ambiguous => {
                        ("datetime_ambiguous", "day and month could be either way round")
                    }
                    DatetimeFault::Impossible => ("datetime_impossible", "there is no such day or time"),
                    DatetimeFault::Unknown => {
                        ("datetime_unknown", "not a known way to write a date and time")
                    }
                };
                let fix = "write it as yyyy-MM-dd or yyyy-MM-dd HH:mm:ss";
                self.problem(Field::Datetime, redact::opaque(&value), class, message.to_owned(), fix);
                None
            }
        }
    }

    fn text(&mut self, field: Field, length_max: usize) -> Option<String> {
        let value = self.value(field)?;
        let length = value.chars().count();
        if length > length_max {
            let message = format!("{length} characters, at most {length_max} are taken");
            self.problem(field, redact::opaque(&value), "text_too_long", message, "shorten it");
            return None;
        }
        Some(value.into_owned())
    }

    fn callback(&mut self) -> Option<String> {
        let value = self.text(Field::Callback, CALLBACK_MAX)?;
        match SourceUrl::parse(&value) {
            Ok(_) => Some(value),
            Err(fault) => {
                let (_, fix) = url_advice(fault);
                self.problem(Field::Callback, redact::url(&value), "callback_url", fault.to_string(), fix);
                None
            }
        }
    }

    fn retain_original_video(&mut self) -> Option<bool> {
        let value = self.value(Field::RetainOriginalVideo)?;
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "1" | "t" => Some(true),
            "false" | "no" | "n" | "0" | "f" => Some(false),
            _ => {
                let message = "neither true nor false".to_owned();
                self.problem(
                    Field::RetainOriginalVideo,
                    redact::opaque(&value),
                    "boolean",
                    message,
                    "write true or false",
                );
                None
            }
        }
    }
}

const fn url_advice(fault: UrlFault) -> (&'static str, &'static str) {
    match fault {
        UrlFault::Empty => ("url_empty", "give the address of the video, or remove the row"),
        UrlFault::NotAbsolute => ("url_not_absolute", "write the whole address, starting with https://"),
        UrlFault::Scheme => {
            ("url_scheme", "give an http(s) link; for cloud storage, make a signed https link")
        }
        UrlFault::NoHost => ("url_no_host", "write the whole address, such as https://host/clip.mp4"),
        UrlFault::Credentials => {
            ("url_credentials", "remove user and password; the service fetches without them")
        }
        UrlFault::TooLong => ("url_too_long", "shorten the link"),
        UrlFault::Control => ("url_control", "remove line breaks and tabs from the link"),
    }
}

fn tag_advice(fault: TagFault) -> (String, &'static str, String, &'static str) {
    match fault {
        TagFault::TooMany(count) => (
            count.to_string(),
            "tags_too_many",
            format!("{count} tags, the service takes at most {}", Submission::TAGS_MAX),
            "map fewer columns to tags, or remove some tags",
        ),
        TagFault::TooLong(tag) => (
            redact::opaque(&tag),
            "tag_too_long",
            format!("a tag is longer than {} characters", tags::TAG_LENGTH_MAX),
            "shorten it, or check the tag separator (--tag-separator)",
        ),
        TagFault::Reserved(tag) => (
            redact::opaque(&tag),
            "tag_reserved",
            format!("tags that start with {} are telecine's own", tags::RESERVED_PREFIX),
            "remove the tag",
        ),
    }
}
