//! Which column feeds which field: told by `--map`, or recognised by the header's names.

use std::{fmt, str::FromStr};

use super::{Header, ManifestError};

/// The fields a manifest can feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Where the video is; the only one required.
    Url,
    /// Words to find it by.
    Tags,
    /// Decimal degrees, with longitude.
    Latitude,
    /// Decimal degrees, with latitude.
    Longitude,
    /// Both in one cell: `lat,lon`.
    Geo,
    /// When it was taken.
    Datetime,
    /// What it was taken with.
    CameraModel,
    /// The namespace at the service.
    UniqueId,
    /// Called by the service when the video is indexed.
    Callback,
    /// Whether the service keeps the original.
    RetainOriginalVideo,
    /// A hint for transcription.
    VideoTranscriptionPrompt,
    /// The user's own key.
    Id,
}

/// Every field with its name in `--map` and the header names it is recognised by, best first. Header names are compared
/// in lower case with everything but letters and digits as `_`.
const FIELDS: &[(Field, &str, &[&str])] = &[
    (
        Field::Url,
        "url",
        &[
            "url",
            "video_url",
            "source_url",
            "media_url",
            "file_url",
            "download_url",
            "video_link",
            "link",
            "uri",
            "src",
            "href",
        ],
    ),
    (Field::Tags, "tags", &["tags", "tag", "labels", "keywords"]),
    (Field::Latitude, "latitude", &["latitude", "lat", "gps_latitude"]),
    (Field::Longitude, "longitude", &["longitude", "lon", "lng", "long", "gps_longitude"]),
    (Field::Geo, "geo", &["geo", "lat_lon", "latlon", "lat_lng", "latlng", "coordinates", "gps"]),
    (
        Field::Datetime,
        "datetime",
        &[
            "datetime",
            "datetime_taken",
            "date_time",
            "taken_at",
            "captured_at",
            "recorded_at",
            "date_taken",
            "capture_time",
            "timestamp",
            "date",
        ],
    ),
    (Field::CameraModel, "camera_model", &["camera_model", "camera", "device_model"]),
    (Field::UniqueId, "unique_id", &["unique_id", "namespace"]),
    (Field::Callback, "callback", &["callback", "callback_url", "callback_uri"]),
    (Field::RetainOriginalVideo, "retain_original_video", &["retain_original_video", "retain_original"]),
    (
        Field::VideoTranscriptionPrompt,
        "video_transcription_prompt",
        &["video_transcription_prompt", "transcription_prompt", "prompt"],
    ),
    (Field::Id, "id", &["id", "external_id", "video_id", "asset_id", "row_id"]),
];

impl Field {
    /// Its name in `--map` and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, _)| name)
    }

    /// What stands between the values of joined columns.
    pub(super) const fn joint(self) -> &'static str {
        match self {
            Self::Url => "",
            Self::Latitude | Self::Longitude | Self::Geo => ",",
            Self::Tags
            | Self::Datetime
            | Self::CameraModel
            | Self::UniqueId
            | Self::Callback
            | Self::RetainOriginalVideo
            | Self::VideoTranscriptionPrompt
            | Self::Id => " ",
        }
    }
}

/// One `--map FIELD=COLUMN[+COLUMN...]`. A column is a header name or `#number`, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// The field it feeds.
    pub field: Field,
    /// The columns, in the order they are joined.
    pub columns: Vec<String>,
}

/// Why a text is no [`MapRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRuleFault {
    /// No `=`.
    #[error("expected FIELD=COLUMN[+COLUMN...], such as tags=topic+place or url=#5")]
    Form,
    /// Not one of the fields.
    #[error("there is no field {0:?}; the fields are {names}", names = field_names())]
    Field(String),
}

fn field_names() -> String {
    FIELDS.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl FromStr for MapRule {
    type Err = MapRuleFault;

    fn from_str(text: &str) -> Result<Self, MapRuleFault> {
        let (name, columns) = text.split_once('=').ok_or(MapRuleFault::Form)?;
        let name = name.trim().to_ascii_lowercase();
        let field = FIELDS
            .iter()
            .find(|(_, own, aliases)| *own == name || aliases.contains(&name.as_str()))
            .map(|(field, ..)| *field)
            .ok_or(MapRuleFault::Field(name))?;
        let columns: Vec<String> = columns.split('+').map(|column| column.trim().to_owned()).collect();
        if columns.iter().any(String::is_empty) {
            return Err(MapRuleFault::Form);
        }
        Ok(Self { field, columns })
    }
}

impl fmt::Display for MapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field.name(), self.columns.join("+"))
    }
}

/// The columns of one manifest and what they feed.
#[derive(Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    feeds: Vec<(Field, Vec<usize>)>,
}

impl Columns {
    /// Resolves the mapping against the first record.
    pub(super) fn resolve(
        path: &str,
        header: Header,
        first: &[String],
        map: &[MapRule],
    ) -> Result<Self, ManifestError> {
        let names = match header {
            Header::Present => unique_names(first),
            Header::Absent => (1..=first.len()).map(|number| format!("#{number}")).collect(),
        };
        let mut columns = Self { names, feeds: Vec::new() };
        for rule in map {
            let numbers = rule
                .columns
                .iter()
                .map(|name| columns.told(path, rule.field, name))
                .collect::<Result<_, _>>()?;
            columns.feeds.push((rule.field, numbers));
        }
        if header == Header::Present {
            columns.recognise();
        }
        if columns.of(Field::Url).is_none() {
            return Err(ManifestError::NoUrlColumn {
                path: path.to_owned(),
                hint: columns.url_hint(header, first),
            });
        }
        Ok(columns)
    }

    fn told(&self, path: &str, field: Field, name: &str) -> Result<usize, ManifestError> {
        let by_number = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
        let found = match by_number {
            Some(number) => (1..=self.names.len()).contains(&number).then(|| number - 1),
            None => self
                .names
                .iter()
                .position(|own| own == name)
                .or_else(|| self.names.iter().position(|own| plain(own) == plain(name))),
        };
        found.ok_or_else(|| ManifestError::UnknownColumn {
            path: path.to_owned(),
            field: field.name(),
            column: crate::redact::clean(name),
            hint: self.listing(),
        })
    }

    fn recognise(&mut self) {
        let plain_names: Vec<String> = self.names.iter().map(|name| plain(name)).collect();
        for (field, _, aliases) in FIELDS {
            if self.of(*field).is_none()
                && let Some(number) =
                    aliases.iter().find_map(|alias| plain_names.iter().position(|name| name == alias))
            {
                self.feeds.push((*field, vec![number]));
            }
        }
        // one source for the place: two columns beat one, unless the one was told
        let has_pair = self.of(Field::Latitude).is_some() && self.of(Field::Longitude).is_some();
        if has_pair {
            self.feeds.retain(|(field, _)| *field != Field::Geo);
        }
    }

    fn listing(&self) -> String {
        let shown: Vec<String> = self.names.iter().take(60).map(|name| crate::redact::clean(name)).collect();
        format!("the columns are {}", shown.join(", "))
    }

    fn url_hint(&self, header: Header, first: &[String]) -> String {
        let url_at = first.iter().position(|cell| cell.trim_start().starts_with("http"));
        match (header, url_at) {
            (Header::Present, Some(at)) => {
                format!(
                    "the first line holds a url already: if it is no header, say --no-header --map url=#{}",
                    at + 1
                )
            }
            (Header::Absent, Some(at)) => format!("--map url=#{}", at + 1),
            (_, None) => self.listing(),
        }
    }

    /// The names, one per column, each once.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The 0-based columns that feed `field`, in the order they are joined.
    pub(super) fn of(&self, field: Field) -> Option<&[usize]> {
        self.feeds.iter().find(|(own, _)| *own == field).map(|(_, numbers)| numbers.as_slice())
    }

    /// `url=link, tags=topic+place`.
    pub(super) fn describe(&self) -> String {
        let order = |field: Field| FIELDS.iter().position(|(own, ..)| *own == field);
        let mut feeds: Vec<_> = self.feeds.iter().collect();
        feeds.sort_by_key(|(field, _)| order(*field));
        let parts = feeds.iter().map(|(field, numbers)| {
            let columns: Vec<String> =
                numbers.iter().map(|number| crate::redact::clean(&self.names[*number])).collect();
            format!("{}={}", field.name(), columns.join("+"))
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Columns that feed nothing.
    pub(super) fn unused(&self) -> Vec<&str> {
        let is_used = |number: &usize| self.feeds.iter().any(|(_, numbers)| numbers.contains(number));
        (0..self.names.len())
            .filter(|number| !is_used(number))
            .map(|number| self.names[number].as_str())
            .collect()
    }
}

/// Header names, each once: a second `date` becomes `date#2`, an empty one its number.
fn unique_names(first: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    for (at, cell) in first.iter().enumerate() {
        let name = cell.trim();
        let base = if name.is_empty() { format!("#{}", at + 1) } else { name.to_owned() };
        let mut unique = base.clone();
        let mut copy = 2;
        while names.contains(&unique) {
            unique = format!("{base}#{copy}");
            copy += 1;
        }
        names.push(unique);
    }
    names
}

/// A name as it is compared: lower case, everything but letters and digits as `_`.
fn plain(name: &str) -> String {
    name.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(header: &[&str], map: &[&str]) -> Result<Columns, ManifestError> {
        let first: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let map: Vec<MapRule> = map.iter().map(|rule| rule.parse().unwrap()).collect();
        Columns::resolve("m.csv", Header::Present, &first, &map)
    }

    #[test]
    fn usual_header_names_are_recognised_whatever_their_case() {
        let columns = resolve(&["ID", "Video URL", "Lat", "LNG", "Datetime-Taken", "notes"], &[]).unwrap();
        assert_eq!(
            columns.describe(),
            "url=Video URL, latitude=Lat, longitude=LNG, datetime=Datetime-Taken, id=ID"
        );
        assert_eq!(columns.unused(), ["notes"]);
    }

    #[test]
    fn what_is_told_wins_over_what_is_recognised() {
        let columns = resolve(&["url", "real", "a", "b"], &["url=real", "tags=a+#4"]).unwrap();
        assert_eq!(columns.describe(), "url=real, tags=a+b");
    }

    #[test]
    fn a_second_column_of_the_same_name_can_be_told_apart() {
        let columns = resolve(&["url", "date", "date"], &["datetime=date#2"]).unwrap();
        assert_eq!(columns.of(Field::Datetime), Some(&[2][..]));
    }

    #[test]
    fn a_missing_column_is_an_error_that_names_the_columns() {
        let missing = resolve(&["link2", "b"], &[]).unwrap_err().to_string();
        assert!(missing.contains("--map url=COLUMN") && missing.contains("link2, b"), "{missing}");
        let unknown = resolve(&["url", "b"], &["tags=c"]).unwrap_err().to_string();
        assert!(unknown.contains("no column c") && unknown.contains("url, b"), "{unknown}");
        let headless = resolve(&["x", "https://host/a.mp4"], &[]).unwrap_err().to_string();
        assert!(headless.contains("--no-header --map url=#2"), "{headless}");
        assert!(resolve(&["url"], &["tags=#9"]).is_err());
    }

    #[test]
    fn a_map_rule_says_which_fields_there_are() {
        assert_eq!("video_url=#5".parse::<MapRule>().unwrap().to_string(), "url=#5");
        assert!("colour=x".parse::<MapRule>().unwrap_err().to_string().contains("camera_model"));
        for bad in ["url", "url=", "tags=a++b"] {
            assert_eq!(bad.parse::<MapRule>(), Err(MapRuleFault::Form), "{bad}");
        }
    }
}
