//! What is wrong with a value, and what to do, in words.

use super::super::values::{
    coordinates::CoordinateError,
    datetime::DatetimeError,
    tags::{self, TagError},
};
use crate::{
    domain::{Problem, Submission, UrlError},
    local_file::FileFault,
    redact,
};

/// The class of a problem, what is wrong, and what to do.
pub(in crate::manifest) struct Explanation<'a> {
    class: &'a str,
    message: String,
    fix: &'a str,
}

impl<'a> Explanation<'a> {
    pub(in crate::manifest) const fn new(class: &'a str, message: String, fix: &'a str) -> Self {
        Self { class, message, fix }
    }
}

/// A problem at a column, from 0.
pub(in crate::manifest) fn problem_at(
    column: Option<(usize, &str)>,
    value: String,
    explanation: Explanation<'_>,
) -> Problem {
    let Explanation { class, message, fix } = explanation;
    Problem {
        column: column.map(|(_, name)| name.to_owned()).unwrap_or_default(),
        column_number: column.map_or(0, |(number, _)| number + 1),
        value,
        class: class.to_owned(),
        message,
        fix: fix.to_owned(),
    }
}

/// A class, what is wrong, and what to do.
pub(super) type Advice = (&'static str, &'static str, &'static str);

pub(super) const fn datetime_advice(error: DatetimeError) -> Advice {
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
        DatetimeError::TwoDigitYear => (
            "datetime_two_digit_year",
            "the year has two digits, and may come first or last",
            "say the order: --date-format dmy, mdy or %y-%m-%d",
        ),
        DatetimeError::SpreadsheetSerial => (
            "datetime_spreadsheet",
            "a day as a spreadsheet counts it (Excel serial number)",
            "say --date-format excel, or format the column as a date and export it again",
        ),
        DatetimeError::TimeAlone => (
            "datetime_time_alone",
            "a time of day or a duration, and no date",
            "map another column: --map datetime=COLUMN; a time of day beside a date is --map time=COLUMN",
        ),
        DatetimeError::Impossible => {
            ("datetime_impossible", "there is no such day or time", "correct it, or leave the cell empty")
        }
        DatetimeError::Unknown => (
            "datetime_unknown",
            "not a known way to write a date and time, or not the one of --date-format",
            "write it as yyyy-MM-dd HH:mm:ss, or say how it is written, once for each form: --date-format '%d.%m.%Y'",
        ),
    }
}

pub(super) const fn coordinate_advice(error: CoordinateError) -> Advice {
    match error {
        CoordinateError::NotANumber => (
            "coordinates_number",
            "not a number of degrees",
            "write degrees such as 52.5200, -13,405 or 52°31'12\"N",
        ),
        CoordinateError::OutOfRange => (
            "coordinates_range",
            "outside -90 to 90 for latitude or -180 to 180 for longitude",
            "check whether latitude and longitude are swapped; degrees times 10,000,000 are read from a column whose name ends in E7",
        ),
        CoordinateError::WrongAxis => (
            "coordinates_axis",
            "north or south belongs to a latitude, east or west to a longitude",
            "check whether latitude and longitude are swapped",
        ),
        CoordinateError::Swapped => (
            "coordinates_range",
            "a latitude is at most 90 degrees; the other way round it would be a place",
            "if the longitude comes first, say --geo-order lon-lat",
        ),
        CoordinateError::NotAPair => {
            ("coordinates_pair", "expected two numbers: lat,lon", "write them as 52.5200,13.4050")
        }
        CoordinateError::OneOrTwo => (
            "coordinates_pair",
            "two whole numbers, or one number with a decimal comma",
            "write both with a point and a fraction: 52.0,13.0",
        ),
        CoordinateError::EastOrWest => (
            "coordinates_east_or_west",
            "O means East in German (Ost) and West in Spanish, Portuguese, Italian and French (Oeste, Ovest, Ouest)",
            "write E or W: --map \"longitude={COLUMN|replace 'O' 'E'}\"",
        ),
        CoordinateError::Contradiction => (
            "coordinates_axis",
            "the sign and the hemisphere contradict each other",
            "write the number without its sign, or leave the hemisphere out",
        ),
    }
}

/// A file on this machine: the class of the error, and what to do.
pub(super) const LOCAL_PATH: (&str, &str) = (
    "url_local_path",
    "name the folder that files may be sent from: --files-root DIR; or put the files on a web server or into a bucket, and make \
     links of the paths: --map \"url={COLUMN|replace '/videos/' 'https://host/videos/'}\"",
);

pub(super) const fn file_advice(fault: &FileFault) -> (&'static str, &'static str) {
    match fault {
        FileFault::Parent => ("file_parent", "write the path without .."),
        FileFault::Outside => (
            "file_outside_root",
            "only files below the folder of --files-root are sent; a symbolic link counts as the file that it leads to",
        ),
        FileFault::Missing => {
            ("file_missing", "check the path: a relative one begins at the folder of --files-root")
        }
        FileFault::NotRegular => ("file_not_regular", "name a video file"),
        FileFault::Ending => ("file_ending", "the service takes .mp4, .mov, .mkv and .avi: convert the file"),
        FileFault::Empty => ("file_empty", "put the whole file there, or remove the row"),
        FileFault::TooLarge(_) => {
            ("file_too_large", "the service takes files up to 3 GB: make it smaller, or split it")
        }
        FileFault::Unreadable(_) => {
            ("file_unreadable", "let this user read the file and the folders above it")
        }
        FileFault::TooLong => ("file_path_too_long", "move the file to a shorter path"),
    }
}

/// `/videos/a.mp4`, `C:\videos\a.mp4`, `\\server\a.mp4`, `./a.mp4`, `~/a.mp4`, `file:///a.mp4`.
pub(super) fn is_local_path(value: &str) -> bool {
    let value = value.trim();
    let is_drive = value.as_bytes().get(1) == Some(&b':')
        && value.as_bytes()[0].is_ascii_alphabetic()
        && matches!(value.as_bytes().get(2), Some(b'\\' | b'/'));
    let starts = ["/", "./", "../", "~/", "\\\\", "file:"];
    // `//host/a.mp4` is an address without its scheme
    let is_path = starts.iter().any(|start| value.starts_with(start)) && !value.starts_with("//");
    is_drive || is_path
}

pub(super) const fn url_advice(error: UrlError) -> (&'static str, &'static str) {
    match error {
        UrlError::Empty => ("url_empty", "give the address of the video, or remove the row"),
        UrlError::NotAbsolute => (
            "url_not_absolute",
            "write the whole address, starting with https://; for files on this machine, say --files-root DIR",
        ),
        UrlError::Scheme => (
            "url_scheme",
            "give an http(s) link, or an object in a bucket: s3://BUCKET/KEY, gs://BUCKET/KEY or az://ACCOUNT/CONTAINER/KEY",
        ),
        UrlError::FileHost => ("url_file_host", "write file:///PATH: only files of this machine can be sent"),
        UrlError::FilePath => ("url_file_path", "write the absolute path of a file, without .. and //"),
        UrlError::Bucket => {
            ("url_bucket", "write s3://BUCKET/KEY, gs://BUCKET/KEY or az://ACCOUNT/CONTAINER/KEY")
        }
        UrlError::Key => ("url_key", "name one object; rename it where its key has a part . or .."),
        UrlError::KeyTooLong => {
            ("url_key_too_long", "name the object as the bucket has it; longer keys do not exist")
        }
        UrlError::NoHost => ("url_no_host", "write the whole address, such as https://host/clip.mp4"),
        UrlError::Credentials => {
            ("url_credentials", "remove user and password; the service fetches without them")
        }
        UrlError::TooLong => ("url_too_long", "shorten the link"),
        UrlError::Control => ("url_control", "remove line breaks and tabs from the link"),
    }
}

pub(super) fn tag_advice(error: TagError) -> (String, &'static str, String, &'static str) {
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
