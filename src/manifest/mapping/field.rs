//! The fields a manifest can feed, and the header names they go by.

use strum::{EnumCount, EnumIter, EnumString, IntoEnumIterator as _, IntoStaticStr};

/// The fields a manifest can feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// Where the video is; the only one required.
    Url,
    Tags,
    /// Decimal degrees, with longitude.
    Latitude,
    /// Decimal degrees, with latitude.
    Longitude,
    /// Both in one cell: `lat,lon`.
    Geo,
    /// When it was taken.
    Datetime,
    CameraModel,
    /// The namespace at the service.
    UniqueId,
    /// Called by the service when the video is indexed.
    Callback,
    RetainOriginalVideo,
    VideoTranscriptionPrompt,
    /// The user's own key.
    Id,
    /// A digest of the video's bytes, by whatever algorithm: never sent, it shows the same video under two addresses.
    Hash,
    /// The hemisphere of a latitude without a sign: `N` or `South`.
    LatitudeRef,
    /// The hemisphere of a longitude without a sign: `E` or `West`.
    LongitudeRef,
    /// The time of day that belongs to a date in another column.
    Time,
    /// The account of the settings that the row is for. Never sent, and never recognised by a header.
    Account,
}

impl Field {
    /// Its name in `--map` and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every field, in the order of their numbers.
    pub(in crate::manifest) fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The field of this name, or with this header name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let by_name = Self::iter().find(|field| field.name() == name);
        by_name.or_else(|| Self::iter().find(|field| field.header_names().contains(&name)))
    }

    /// What is between the values of joined columns.
    pub(in crate::manifest) const fn joint(self) -> &'static str {
        match self {
            Self::Url | Self::Callback => "",
            Self::Latitude | Self::Longitude | Self::Geo => ",",
            Self::Tags
            | Self::Datetime
            | Self::CameraModel
            | Self::UniqueId
            | Self::RetainOriginalVideo
            | Self::VideoTranscriptionPrompt
            | Self::Id
            | Self::Hash
            | Self::LatitudeRef
            | Self::LongitudeRef
            | Self::Time
            | Self::Account => " ",
        }
    }

    /// Whether it holds an address: what a template puts into it is percent-encoded, and half of one is never sent.
    pub(in crate::manifest) const fn is_address(self) -> bool {
        matches!(self, Self::Url | Self::Callback)
    }

    /// The header names it is recognised by, best first. They are compared without case and without the signs between
    /// their parts.
    pub(in crate::manifest) const fn header_names(self) -> &'static [&'static str] {
        match self {
            Self::Url => &[
                "url",
                "video_url",
                "source_url",
                "media_url",
                "file_url",
                "download_url",
                "content_url",
                "stream_url",
                "clip_url",
                "movie_url",
                "asset_url",
                "original_url",
                "mp4_url",
                "video_link",
                "download_link",
                "link",
                "uri",
                "src",
                "href",
            ],
            Self::Tags => {
                &["tags", "tag", "labels", "keywords", "tag_list", "tag_names", "video_tags", "hashtags"]
            }
            Self::Latitude => &["latitude", "lat", "gps_latitude"],
            Self::Longitude => &["longitude", "lon", "lng", "long", "gps_longitude"],
            Self::Geo => &[
                "geo",
                "lat_lon",
                "lat_lng",
                "lat_long",
                "coordinates",
                "gps",
                "gps_position",
                "gps_coordinates",
                "geo_point",
                "geo_location",
            ],
            Self::Datetime => &[
                "datetime",
                "datetime_taken",
                "taken_at",
                "captured_at",
                "recorded_at",
                "filmed_at",
                "date_taken",
                "capture_time",
                "date_time_original",
                "event_date",
                "timestamp",
                "date",
            ],
            Self::CameraModel => &["camera_model", "camera", "device_model", "camera_model_name"],
            Self::UniqueId => &["unique_id", "namespace"],
            Self::Callback => &["callback", "callback_url", "callback_uri"],
            Self::RetainOriginalVideo => &["retain_original_video", "retain_original"],
            Self::VideoTranscriptionPrompt => &["video_transcription_prompt", "transcription_prompt"],
            Self::Id => &["id", "external_id", "video_id", "asset_id", "row_id"],
            Self::Hash => &["hash", "content_hash", "checksum", "digest", "sha256", "sha1", "md5", "sha_256"],
            // with the names of the axes, see [`super::header_names`]
            Self::LatitudeRef => &["latitude_ref", "ns", "n_or_s", "north_south"],
            Self::LongitudeRef => &["longitude_ref", "ew", "we", "e_or_w", "east_west"],
            Self::Time => &["time", "time_of_day", "time_taken", "event_time"],
            // a column of this name may hold anything; only a rule may choose who pays
            Self::Account => &[],
        }
    }
}

/// The fields, for a user who asked for another; first the one that may be meant.
pub(super) fn field_hint(name: &str) -> String {
    let near = crate::suggest::nearest(name, Field::all().map(Field::name));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    format!("{near}the fields are {}", Field::all().map(Field::name).collect::<Vec<_>>().join(", "))
}
