//! The fields a manifest can feed, and the header names they go by.

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
    /// A digest of the video's bytes, by whatever algorithm: never sent, it tells the same video under two addresses.
    Hash,
}

/// Every field with its name in `--map` and the header names it is recognised by, best first. Header names are compared
/// in lower case with everything but letters and digits as `_`.
pub(super) const FIELDS: &[(Field, &str, &[&str])] = &[
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
    (
        Field::Hash,
        "hash",
        &["hash", "content_hash", "checksum", "digest", "sha256", "sha1", "md5", "sha_256"],
    ),
];

impl Field {
    /// Its name in `--map` and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, _)| name)
    }

    /// What stands between the values of joined columns.
    pub(in crate::manifest) const fn joint(self) -> &'static str {
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
            | Self::Id
            | Self::Hash => " ",
        }
    }
}

impl Field {
    /// Every field.
    pub(in crate::manifest) fn all() -> impl Iterator<Item = Self> {
        FIELDS.iter().map(|(field, ..)| *field)
    }

    /// The field of this name, or with this header name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let named = |(_, own, aliases): &&(Self, &str, &[&str])| *own == name || aliases.contains(&name);
        FIELDS.iter().find(named).map(|(field, ..)| *field)
    }
}

impl Field {
    /// The header names it is recognised by, best first.
    pub(in crate::manifest) fn header_names(self) -> &'static [&'static str] {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or(&[], |(.., names)| names)
    }
}

pub(super) fn field_names() -> String {
    Field::all().map(Field::name).collect::<Vec<_>>().join(", ")
}
