//! Which columns feed which field by their names alone.

use super::{
    field::Field,
    names::{last_part, parts_of, squashed},
};

/// Parts that may precede a header name of a place: `decimalLatitude`, `site_lat`.
const BEFORE_PLACES: &[&str] = &[
    "gps",
    "decimal",
    "geo",
    "location",
    "loc",
    "place",
    "site",
    "camera",
    "exif",
    "wgs84",
    "event",
    "start",
    "center",
    "position",
    "device",
    "station",
    "deployment",
    "video",
    "media",
];
const BEFORE_CAMERAS: &[&str] = &["exif", "video", "media", "capture"];
/// Parts of a name that mean the capture.
const CAPTURE: &[&str] =
    &["taken", "captured", "capture", "recorded", "recording", "filmed", "original", "event", "shot", "exif"];
/// Parts of a name that mean a later time.
const UPLOAD: &[&str] = &[
    "created",
    "creation",
    "create",
    "upload",
    "uploaded",
    "modified",
    "modify",
    "updated",
    "update",
    "published",
    "publish",
    "added",
    "imported",
    "import",
    "ingested",
    "release",
    "released",
    "deleted",
    "expires",
    "expiry",
];
/// Parts of a name that, beside one that means the capture, make it a date.
const OF_TIME: &[&str] = &["date", "time", "datetime", "timestamp", "at"];
/// Parts of a name of an address that leads to no video.
const NO_VIDEO: &[&str] = &[
    "thumbnail",
    "thumb",
    "thumbnails",
    "image",
    "img",
    "poster",
    "preview",
    "icon",
    "avatar",
    "license",
    "licence",
    "page",
    "web",
    "site",
    "profile",
    "author",
    "user",
    "channel",
    "picture",
    "photo",
    "cover",
    "callback",
];

/// Parts of the path to what belongs to somebody or something else than the video.
const OF_OTHERS: &[&str] = &[
    "owner",
    "author",
    "user",
    "uploader",
    "creator",
    "studio",
    "publisher",
    "license",
    "licence",
    "channel",
    "account",
    "viewport",
    "bounds",
    "bbox",
    "northeast",
    "southwest",
    "related",
    "parent",
    "comments",
];
/// Parts of the path to the video itself: what is below another one has an id of its own.
const OF_VIDEO: &[&str] = &[
    "video",
    "videos",
    "media",
    "item",
    "items",
    "asset",
    "file",
    "clip",
    "node",
    "properties",
    "attributes",
    "fields",
    "data",
    "source",
];
/// Parts of a name that say which side of an axis a number is on, behind the axis: `lat_dir`.
const SIDES: &[&str] = &["ref", "dir", "direction", "hemisphere", "hem", "ns", "n_s", "ew", "e_w"];

/// How well a name fits a field; the least fits best.
type Rank = (usize, usize, usize, usize);

/// What a name was recognised as.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) column: usize,
    /// Other columns whose names fit the field, too.
    pub(super) rivals: Vec<usize>,
}

/// The column among these that feeds a field. `has_paths`: the last part of `media.url` counts, too.
pub(super) fn recognise(field: Field, names: &[String], has_paths: bool) -> Option<Recognised> {
    let mut found: Vec<(Rank, usize)> = names
        .iter()
        .enumerate()
        .filter_map(|(column, name)| Some((rank(field, name, has_paths)?, column)))
        .collect();
    found.sort_unstable();
    let mut columns = found.into_iter().map(|(_, column)| column);
    Some(Recognised { column: columns.next()?, rivals: columns.collect() })
}

/// Whether a field is recognised by this name, or by its last part.
pub(in crate::manifest) fn fits(field: Field, name: &str) -> bool {
    rank(field, name, true).is_some()
}

fn rank(field: Field, name: &str, has_paths: bool) -> Option<Rank> {
    // exiftool writes the group of a tag before it; what it computes of several tags has the right sign
    let grouped = name.split_once(':').filter(|(group, _)| group.chars().all(char::is_alphanumeric));
    if let Some((group, tag)) = grouped {
        let (kind, at) = fit(field, &parts_of(tag))?;
        let meaning = meaning(field, &parts_of(tag)) + usize::from(!group.eq_ignore_ascii_case("composite"));
        return Some((meaning, 0, kind, at));
    }
    let whole = parts_of(name);
    let meaning = meaning(field, &whole);
    let fit = |parts: &str| fit(field, parts);
    if has_paths && !is_of_video(field, name) {
        return None;
    }
    if let Some((kind, at)) = fit(&whole) {
        return Some((meaning, 0, kind, at));
    }
    // `images.poster.src` is no video, and of several arrays of files none is chosen
    if field == Field::Url && meaning > 0 {
        return None;
    }
    let (kind, at) = has_paths.then(|| fit(&parts_of(last_part(name))))??;
    Some((meaning, 1, kind, at))
}

/// Whether the path within a record leads to something of the video itself.
fn is_of_video(field: Field, name: &str) -> bool {
    let within = name.rsplit_once("[]").map_or(name, |(_, within)| within).trim_start_matches('.');
    let Some((path, _)) = within.rsplit_once('.') else { return true };
    let parts = parts_of(path);
    match field {
        // an address has rules of its own
        Field::Url | Field::Callback => true,
        Field::Id | Field::Hash => parts.split('_').all(|part| OF_VIDEO.contains(&part)),
        Field::Tags
        | Field::Latitude
        | Field::Longitude
        | Field::Geo
        | Field::Datetime
        | Field::CameraModel
        | Field::UniqueId
        | Field::RetainOriginalVideo
        | Field::VideoTranscriptionPrompt
        | Field::LatitudeRef
        | Field::LongitudeRef
        | Field::Time
        | Field::Account => !has_any(&parts, OF_OTHERS),
    }
}

fn has_any(parts: &str, of: &[&str]) -> bool {
    parts.split('_').any(|part| of.contains(&part))
}

/// 0 where the name says that it is the right one of its kind, more where it says that it is another.
fn meaning(field: Field, whole: &str) -> usize {
    match field {
        Field::Datetime if has_any(whole, UPLOAD) => 2,
        Field::Datetime => usize::from(!has_any(whole, CAPTURE)),
        Field::Url => usize::from(has_any(whole, NO_VIDEO)),
        Field::Tags
        | Field::Latitude
        | Field::Longitude
        | Field::Geo
        | Field::CameraModel
        | Field::UniqueId
        | Field::Callback
        | Field::RetainOriginalVideo
        | Field::VideoTranscriptionPrompt
        | Field::Id
        | Field::Hash
        | Field::LatitudeRef
        | Field::LongitudeRef
        | Field::Time
        | Field::Account => 0,
    }
}

/// 0 and the place of the header name that fits as a whole, 1 and the place where only its end fits.
fn fit(field: Field, parts: &str) -> Option<(usize, usize)> {
    let of = |text: &str| {
        let text = squashed(text);
        field.header_names().iter().position(|name| squashed(name) == text)
    };
    let parts = parts.strip_suffix("_e7").filter(|_| is_degrees(field)).unwrap_or(parts);
    if let Some(at) = of(parts) {
        return Some((0, at));
    }
    let axes = [(Field::LatitudeRef, Field::Latitude), (Field::LongitudeRef, Field::Longitude)];
    if let Some((_, axis)) = axes.into_iter().find(|(side, _)| *side == field) {
        let is_side = |side: &&&str| {
            let before = parts.strip_suffix(**side).and_then(|before| before.strip_suffix('_'));
            before.is_some_and(|before| fit(axis, before).is_some())
        };
        return SIDES.iter().find(is_side).map(|_| (1, 0));
    }
    let before: &[&str] = match field {
        Field::Latitude | Field::Longitude | Field::Geo => BEFORE_PLACES,
        Field::CameraModel => BEFORE_CAMERAS,
        Field::Datetime => {
            let is_date =
                has_any(parts, CAPTURE) && has_any(parts, OF_TIME) && !has_any(parts, &["shot", "exif"]);
            return is_date.then_some((1, 0));
        }
        Field::Url
        | Field::Tags
        | Field::UniqueId
        | Field::Callback
        | Field::RetainOriginalVideo
        | Field::VideoTranscriptionPrompt
        | Field::Id
        | Field::Hash
        | Field::LatitudeRef
        | Field::LongitudeRef
        | Field::Time
        | Field::Account => return None,
    };
    let mut rest = parts;
    while let Some((first, behind)) = rest.split_once('_').filter(|(first, _)| before.contains(first)) {
        debug_assert!(!first.is_empty(), "parts are not empty");
        if let Some(at) = of(behind) {
            return Some((1, at));
        }
        rest = behind;
    }
    None
}

/// Whether the name of a date says that it is later than the capture.
pub(super) fn is_of_upload(field: Field, name: &str) -> bool {
    field == Field::Datetime && has_any(&parts_of(name), UPLOAD)
}

/// Whether a field may hold degrees times ten million.
pub(super) const fn is_degrees(field: Field) -> bool {
    matches!(field, Field::Latitude | Field::Longitude)
}

/// Whether the name of a column of dates leaves the time of day to another column.
pub(super) fn is_date_alone(name: &str) -> bool {
    let parts = parts_of(last_part(name));
    has_any(&parts, &["date", "day"]) && !parts.contains("time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(field: Field, names: &[&str]) -> Option<(usize, Vec<usize>)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        recognise(field, &names, true).map(|found| (found.column, found.rivals))
    }

    #[test]
    fn a_name_is_recognised_by_its_parts() {
        for (field, name) in [
            (Field::Latitude, "decimalLatitude"),
            (Field::Latitude, "GPS Latitude"),
            (Field::Latitude, "latitudeE7"),
            (Field::Longitude, "site_lng"),
            (Field::Datetime, "eventDate"),
            (Field::Datetime, "DateTimeOriginal"),
            (Field::Datetime, "date_of_recording"),
            (Field::CameraModel, "cameraModel"),
            (Field::Url, "videoUrl"),
            (Field::Url, "videourl"),
            (Field::LatitudeRef, "GPSLatitudeRef"),
            (Field::LatitudeRef, "N/S"),
            (Field::LatitudeRef, "Lat N/S"),
            (Field::LatitudeRef, "LatitudeHemisphere"),
            (Field::LongitudeRef, "E/W"),
            (Field::LongitudeRef, "long_ref"),
            (Field::LongitudeRef, "lng_dir"),
            (Field::LongitudeRef, "site_long_direction"),
            (Field::Latitude, "Composite:GPSLatitude"),
            (Field::Datetime, "EXIF:DateTimeOriginal"),
            (Field::Id, "video.id"),
            (Field::Url, "media[].url"),
        ] {
            assert_eq!(chosen(field, &[name]), Some((0, vec![])), "{name}");
        }
        for (field, name) in [
            (Field::Url, "thumbnailUrl"),
            (Field::Url, "images.poster.src"),
            (Field::Datetime, "uploadedAt"),
            (Field::Datetime, "Shot on"),
            (Field::Latitude, "flat"),
            (Field::Longitude, "how long"),
            (Field::Latitude, "owner.lat"),
            (Field::Datetime, "license.date"),
            (Field::Tags, "uploader.tags"),
            (Field::Id, "camera.id"),
        ] {
            assert_eq!(chosen(field, &[name]), None, "{name}");
        }
    }

    #[test]
    fn of_two_columns_the_one_that_means_the_capture_or_the_video_is_taken() {
        let dates = ["creationTime.timestamp", "photoTakenTime.timestamp"];
        assert_eq!(chosen(Field::Datetime, &dates), Some((1, vec![0])));
        assert_eq!(chosen(Field::Datetime, &["upload_date_time", "date"]), Some((1, vec![])));
        assert_eq!(chosen(Field::Datetime, &["timestamp", "recording_date"]), Some((1, vec![0])));
        assert_eq!(chosen(Field::Latitude, &["home.lat", "location.lat"]), Some((1, vec![0])));
        assert_eq!(
            chosen(Field::Latitude, &["GPS:GPSLatitude", "Composite:GPSLatitude"]),
            Some((1, vec![0])),
            "the computed one has a sign"
        );
        assert_eq!(chosen(Field::Url, &["thumbnail.url", "video.url"]), Some((1, vec![])));
        assert_eq!(chosen(Field::Url, &["video.url", "url"]), Some((1, vec![0])), "a whole name fits better");
    }
}
