//! One record becomes one row: every value exactly as the service accepts it, or a list of what is wrong.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    borrowed_row::BorrowedRow,
    mapping::{Columns, Encode, Field, FieldSlot, ValueSource},
    values::{
        self,
        coordinates::{Axis, CoordinateError, GeoOrder},
        datetime::{DateRules, DatetimeError},
        tags::{self, Cell, TagError, TagSeparator},
    },
};
use crate::{
    domain::{Coordinates, Problem, SourceUrl, Submission, UrlError},
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
    /// How moments are read.
    pub dates: DateRules,
    /// Which coordinate comes first where both stand in one cell.
    pub geo_order: GeoOrder,
    /// What becomes of texts and tags beyond the service's bounds.
    pub too_long: TooLong,
    /// By what an item is the same.
    pub same_by: SameBy,
    /// Whether a single tag with a comma may be sent.
    pub lone_comma: LoneComma,
}

impl Default for RowRules {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            tag_separator: TagSeparator::Default,
            dates: DateRules::default(),
            geo_order: GeoOrder::LatLon,
            too_long: TooLong::Refuse,
            same_by: SameBy::Url,
            lone_comma: LoneComma::Safe,
        }
    }
}

/// What becomes of a text that is longer than the service takes, and of tags beyond the twentieth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLong {
    /// The row is refused.
    #[default]
    Refuse,
    /// It is cut, and that is said.
    Cut,
}

/// By what two rows of one namespace are the same item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameBy {
    /// The address, without what signs it.
    #[default]
    Url,
    /// The user's own id, whatever the address.
    Id,
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
    too_long: TooLong,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// What a record with a cell for every column says, or everything that is wrong with it.
pub(super) fn convert<'a>(
    cells: &'a [&'a str],
    columns: &'a Columns,
    rules: &'a RowRules,
) -> Result<BorrowedRow<'a>, Vec<Problem>> {
    let mut reading =
        Reading { cells, columns, too_long: rules.too_long, problems: Vec::new(), warnings: Vec::new() };
    let address = reading.address();
    let tags = reading.tags(rules);
    let coordinates = reading.coordinates(rules.geo_order);
    let datetime_taken = reading.datetime(&rules.dates);
    let camera_model = reading.text(Field::CameraModel, CAMERA_MODEL_MAX);
    let callback = reading.callback();
    let retain_original_video = reading.retain_original_video();
    let video_transcription_prompt = reading.text(Field::VideoTranscriptionPrompt, super::records::CELL_MAX);
    let namespace = reading.namespace(rules);
    let external_id = reading.value(Field::Id);
    let item_id = reading.item_id(rules.same_by, external_id.as_ref());
    let content_hash = reading.value(Field::Hash);
    let (Some(address), []) = (address, &reading.problems[..]) else { return Err(reading.problems) };
    Ok(BorrowedRow {
        address,
        namespace,
        item_id,
        tags,
        coordinates,
        datetime_taken,
        camera_model,
        callback,
        retain_original_video,
        video_transcription_prompt,
        external_id,
        content_hash,
        warnings: reading.warnings,
    })
}

/// The problem of a record with more or fewer cells than there are columns.
pub(super) fn wrong_width(expected: usize, found: usize) -> Problem {
    let (what, fix) = if found < expected {
        ("fewer", "write empty cells out, or say --pad-short-rows if only cells at the end are missing")
    } else {
        (
            "more",
            "quote cells that contain the delimiter; --escape '\\' if a backslash stands before quotes in cells",
        )
    };
    let message = format!("the row has {what} cells than the header: {found} and not {expected}");
    problem_at(None, String::new(), ("column_count", message, fix))
}

/// The text of one field.
pub(super) fn value_of(cells: &[&str], columns: &Columns, field: Field) -> Option<String> {
    if cells.len() != columns.names().len() {
        return None;
    }
    let too_long = TooLong::Refuse;
    let reading = Reading { cells, columns, too_long, problems: Vec::new(), warnings: Vec::new() };
    reading.value(field).map(Cow::into_owned)
}

/// The problem of a record with a cell that is not UTF-8; `column` counts from 0.
pub(super) fn not_utf8(column: usize, columns: &Columns, cells: &[String]) -> Problem {
    Problem {
        column: columns.names().get(column).cloned().unwrap_or_default(),
        column_number: column + 1,
        value: cells.get(column).map(|cell| redact::opaque(cell)).unwrap_or_default(),
        class: "not_utf8".to_owned(),
        message: "the cell is not UTF-8".to_owned(),
        fix: "name the file's encoding, for example --encoding windows-1252".to_owned(),
    }
}

/// Shortens a text to so many characters; true if that took something away.
pub(super) fn cut(text: &mut String, length_max: usize) -> bool {
    let end = text.char_indices().nth(length_max).map(|(at, _)| at);
    end.map(|end| text.truncate(end)).is_some()
}

/// What cannot stand in a path as it is; a slash can.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What cannot stand in the value of a parameter as it is.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Words that mean yes, in lower case…
const YES: &[&str] = &["true", "yes", "y", "1", "t", "x"];
/// …and no.
const NO: &[&str] = &["false", "no", "n", "0", "f"];

impl<'a> Reading<'a> {
    /// The value of a field, joined and trimmed; none when empty or not mapped.
    fn value(&self, field: Field) -> Option<Cow<'a, str>> {
        let sources = self.columns.of(field)?;
        if let [source] = sources {
            return self.part(field, source);
        }
        let parts: Vec<Cow<'_, str>> = sources.iter().filter_map(|source| self.part(field, source)).collect();
        // no half of an address is sent
        let has_gap = field == Field::Url && parts.len() < sources.len();
        (!parts.is_empty() && !has_gap).then(|| Cow::Owned(parts.join(field.joint())))
    }

    /// What one source gives; none when that is nothing.
    fn part(&self, field: Field, source: &'a ValueSource) -> Option<Cow<'a, str>> {
        let cells = self.cells;
        let cell = |column: usize| values::trim(cells[column]);
        match source {
            ValueSource::Cell(column) => {
                Some(cell(*column)).filter(|cell| !cell.is_empty()).map(Cow::Borrowed)
            }
            ValueSource::Flag(column) => {
                let says_yes = YES.contains(&cell(*column).to_ascii_lowercase().as_str());
                says_yes.then(|| Cow::Borrowed(self.columns.names()[*column].as_str()))
            }
            ValueSource::Text(text) => Some(Cow::Borrowed(text.as_str())),
            ValueSource::Template(slots) => self.fill(field, slots).map(Cow::Owned),
        }
    }

    /// A template with its values; none when all of them are empty, or, in an address, when one is.
    fn fill(&self, field: Field, slots: &[FieldSlot]) -> Option<String> {
        let (mut has_value, mut has_gap) = (false, false);
        let filled = slots.iter().fold(String::new(), |mut filled, slot| {
            match slot {
                FieldSlot::Text(text) => filled.push_str(text),
                FieldSlot::Cell(column, encode) => {
                    let cell = values::trim(self.cells[*column]);
                    has_value |= !cell.is_empty();
                    has_gap |= cell.is_empty();
                    match encode {
                        Encode::Raw => filled.push_str(cell),
                        Encode::Path => filled.extend(utf8_percent_encode(cell, IN_PATH)),
                        Encode::Query => filled.extend(utf8_percent_encode(cell, IN_QUERY)),
                    }
                }
            }
            filled
        });
        let is_usable = if field == Field::Url { !has_gap } else { has_value || !has_gap };
        is_usable.then_some(filled)
    }

    fn problem(&mut self, field: Field, value: String, class: &str, message: String, fix: &str) {
        self.problems.push(problem_at(self.first(field), value, (class, message, fix)));
    }

    /// The first column that feeds a field.
    fn first(&self, field: Field) -> Option<(usize, &'a str)> {
        self.columns.first_of(field).map(|number| (number, self.columns.names()[number].as_str()))
    }

    fn warn_of_cut(&mut self, field: Field, value: &str, message: String) {
        let fix = "shorten it in the manifest, or leave --too-long cut out to refuse such rows";
        let words = ("text_cut", message, fix);
        self.warnings.push(problem_at(self.first(field), redact::opaque(value), words));
    }

    fn item_id(&mut self, same_by: SameBy, id: Option<&Cow<'a, str>>) -> Option<Cow<'a, str>> {
        if same_by == SameBy::Url {
            return None;
        }
        if id.is_none() {
            let message = "the row has no id, and --same-by id tells rows by it".to_owned();
            self.problem(
                Field::Id,
                String::new(),
                "id_missing",
                message,
                "write one, or map it: --map id=COLUMN",
            );
        }
        id.cloned()
    }

    /// The namespace of the row. It is never cut: another namespace is another place.
    fn namespace(&mut self, rules: &'a RowRules) -> Cow<'a, str> {
        let Some(value) = self.value(Field::UniqueId) else { return Cow::Borrowed(&rules.namespace) };
        if value.len() > NAMESPACE_MAX && value.chars().count() > NAMESPACE_MAX {
            let message = format!("a namespace has at most {NAMESPACE_MAX} characters");
            self.problem(Field::UniqueId, redact::opaque(&value), "text_too_long", message, "shorten it");
        }
        value
    }

    fn address(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Url).unwrap_or_default();
        let read = match &value {
            Cow::Borrowed(text) => SourceUrl::normalise(text),
            Cow::Owned(text) => SourceUrl::normalise(text).map(|address| Cow::Owned(address.into_owned())),
        };
        match read {
            Ok(address) => Some(address),
            Err(error) => {
                let (class, fix) = url_advice(error);
                let column = self.gap(Field::Url).or_else(|| self.first(Field::Url));
                let words = (class, error.to_string(), fix);
                self.problems.push(problem_at(column, redact::url(&value), words));
                None
            }
        }
    }

    /// The first empty column among those that make a field.
    fn gap(&self, field: Field) -> Option<(usize, &'a str)> {
        let mut columns = self.columns.of(field)?.iter().flat_map(ValueSource::columns);
        let column = columns.find(|column| self.cells[*column].trim().is_empty())?;
        Some((column, self.columns.names()[column].as_str()))
    }

    fn tags(&mut self, rules: &RowRules) -> Vec<Cow<'a, str>> {
        let (columns, reading) = (self.columns, &*self);
        let cells = columns.of(Field::Tags).unwrap_or_default().iter().filter_map(|source| {
            let text = reading.part(Field::Tags, source)?;
            let is_whole = matches!(source, ValueSource::Text(_) | ValueSource::Flag(_));
            Some(if is_whole { Cell::Whole(text) } else { Cell::Parts(text) })
        });
        match tags::read(cells, &rules.tag_separator, rules.too_long) {
            Ok((tags, is_cut)) => {
                if is_cut {
                    let message = format!(
                        "tags were cut to {} of {} characters",
                        Submission::TAGS_MAX,
                        tags::TAG_LENGTH_MAX
                    );
                    self.warn_of_cut(Field::Tags, "", message);
                }
                if rules.lone_comma == LoneComma::Refused && matches!(&tags[..], [lone] if lone.contains(','))
                {
                    let message = "a single tag with a comma may be split by the service".to_owned();
                    let fix = "remove the comma, add a second tag, or leave the marker tag on";
                    self.problem(Field::Tags, redact::opaque(&tags[0]), "tag_comma", message, fix);
                }
                tags
            }
            Err(error) => {
                let (value, class, message, fix) = tag_advice(error);
                self.problem(Field::Tags, value, class, message, fix);
                Vec::new()
            }
        }
    }

    fn coordinates(&mut self, order: GeoOrder) -> Option<Coordinates> {
        let latitude = self.value(Field::Latitude);
        let longitude = self.value(Field::Longitude);
        match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => {
                let latitude = self.degrees(Field::Latitude, &latitude, Axis::Latitude);
                let longitude = self.degrees(Field::Longitude, &longitude, Axis::Longitude);
                Some(Coordinates { latitude: latitude?, longitude: longitude? })
            }
            (Some(value), None) => self.half_a_pair(Field::Latitude, &value, "longitude"),
            (None, Some(value)) => self.half_a_pair(Field::Longitude, &value, "latitude"),
            (None, None) => {
                let geo = self.value(Field::Geo)?;
                order.read(&geo).map_err(|error| self.coordinate_problem(Field::Geo, &geo, error)).ok()
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

    fn degrees(&mut self, field: Field, value: &str, axis: Axis) -> Option<f64> {
        axis.read(value).map_err(|error| self.coordinate_problem(field, value, error)).ok()
    }

    fn coordinate_problem(&mut self, field: Field, value: &str, error: CoordinateError) {
        let (class, message, fix) = match error {
            CoordinateError::NotANumber => (
                "coordinates_number",
                "not a number of degrees",
                "write degrees such as 52.5200, -13,405 or 52°31'12\"N",
            ),
            CoordinateError::OutOfRange => (
                "coordinates_range",
                "outside -90 to 90 for latitude or -180 to 180 for longitude",
                "check whether latitude and longitude are swapped",
            ),
            CoordinateError::WrongAxis => (
                "coordinates_axis",
                "north or south belongs to a latitude, east or west to a longitude",
                "check whether latitude and longitude are swapped",
            ),
            CoordinateError::Swapped => (
                "coordinates_range",
                "a latitude is at most 90 degrees; the other way round it would be a place",
                "if the longitude stands first, say --geo-order lon-lat",
            ),
            CoordinateError::NotAPair => {
                ("coordinates_pair", "expected two numbers: lat,lon", "write them as 52.5200,13.4050")
            }
        };
        self.problem(field, redact::opaque(value), class, message.to_owned(), fix);
    }

    fn datetime(&mut self, rules: &DateRules) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Datetime)?;
        let read = match &value {
            Cow::Borrowed(text) => rules.read(text),
            Cow::Owned(text) => rules.read(text).map(|timestamp| Cow::Owned(timestamp.into_owned())),
        };
        match read {
            Ok(timestamp) => Some(timestamp),
            Err(error) => {
                let (class, message, fix) = datetime_advice(error);
                self.problem(Field::Datetime, redact::opaque(&value), class, message.to_owned(), fix);
                None
            }
        }
    }

    fn text(&mut self, field: Field, length_max: usize) -> Option<Cow<'a, str>> {
        let mut value = self.value(field)?;
        // in bytes first: few texts are long enough to be counted in characters
        let length = if value.len() > length_max { value.chars().count() } else { 0 };
        if length <= length_max {
            return Some(value);
        }
        if self.too_long == TooLong::Cut {
            self.warn_of_cut(field, &value, format!("{length} characters were cut to {length_max}"));
            cut(value.to_mut(), length_max);
            return Some(value);
        }
        let message = format!("{length} characters, at most {length_max} are taken");
        self.problem(
            field,
            redact::opaque(&value),
            "text_too_long",
            message,
            "shorten it, or say --too-long cut",
        );
        None
    }

    fn callback(&mut self) -> Option<Cow<'a, str>> {
        let value = self.value(Field::Callback)?;
        // an address that is cut is another one
        if value.len() > CALLBACK_MAX && value.chars().count() > CALLBACK_MAX {
            let message = format!("an address of at most {CALLBACK_MAX} characters is taken");
            self.problem(Field::Callback, redact::url(&value), "text_too_long", message, "shorten it");
            return None;
        }
        match SourceUrl::parse(&value) {
            Ok(_) => Some(value),
            Err(error) => {
                let (_, fix) = url_advice(error);
                self.problem(Field::Callback, redact::url(&value), "callback_url", error.to_string(), fix);
                None
            }
        }
    }

    fn retain_original_video(&mut self) -> Option<bool> {
        let value = self.value(Field::RetainOriginalVideo)?;
        match value.to_ascii_lowercase().as_str() {
            as_str if YES.contains(&as_str) => Some(true),
            as_str if NO.contains(&as_str) => Some(false),
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

/// A problem at a column, from 0.
pub(super) fn problem_at(
    column: Option<(usize, &str)>,
    value: String,
    (class, message, fix): (&str, String, &str),
) -> Problem {
    Problem {
        column: column.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        column_number: column.map_or(0, |(number, _)| number + 1),
        value,
        class: class.to_owned(),
        message,
        fix: fix.to_owned(),
    }
}

const fn datetime_advice(error: DatetimeError) -> (&'static str, &'static str, &'static str) {
    match error {
        DatetimeError::Ambiguous => (
            "datetime_ambiguous",
            "day and month could be either way round",
            "say which comes first: --date-format dmy or --date-format mdy",
        ),
        DatetimeError::BareYear => (
            "datetime_year",
            "a year is no day",
            "say --date-format year to take its first day, or leave the column out",
        ),
        DatetimeError::Impossible => {
            ("datetime_impossible", "there is no such day or time", "correct it, or leave the cell empty")
        }
        DatetimeError::Unknown => (
            "datetime_unknown",
            "not a known way to write a date and time, or not the one told",
            "write it as yyyy-MM-dd HH:mm:ss, or tell the way: --date-format '%d.%m.%Y'",
        ),
    }
}

const fn url_advice(error: UrlError) -> (&'static str, &'static str) {
    match error {
        UrlError::Empty => ("url_empty", "give the address of the video, or remove the row"),
        UrlError::NotAbsolute => ("url_not_absolute", "write the whole address, starting with https://"),
        UrlError::Scheme => {
            ("url_scheme", "give an http(s) link; for cloud storage, make a signed https link")
        }
        UrlError::NoHost => ("url_no_host", "write the whole address, such as https://host/clip.mp4"),
        UrlError::Credentials => {
            ("url_credentials", "remove user and password; the service fetches without them")
        }
        UrlError::TooLong => ("url_too_long", "shorten the link"),
        UrlError::Control => ("url_control", "remove line breaks and tabs from the link"),
    }
}

fn tag_advice(error: TagError) -> (String, &'static str, String, &'static str) {
    match error {
        TagError::TooMany(count) => (
            count.to_string(),
            "tags_too_many",
            format!("{count} tags, the service takes at most {}", Submission::TAGS_MAX),
            "map fewer columns to tags, or say --too-long cut",
        ),
        TagError::TooLong(tag) => (
            redact::opaque(&tag),
            "tag_too_long",
            format!("a tag is longer than {} characters", tags::TAG_LENGTH_MAX),
            "check the tag separator (--tag-separator), or say --too-long cut",
        ),
        TagError::Nul => {
            (String::new(), "tag_nul", "a tag holds a NUL character".to_owned(), "remove the character")
        }
        TagError::Reserved(tag) => (
            redact::opaque(&tag),
            "tag_reserved",
            format!("tags that start with {} are telecine's own", tags::RESERVED_PREFIX),
            "remove the tag",
        ),
    }
}
