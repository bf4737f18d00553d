//! What a row would be sent with that its owner may not mean: nothing here keeps a row from being sent.

use super::super::{
    borrowed_row::BorrowedRow,
    convert::problem_at,
    mapping::{Field, FirstColumns},
};
use crate::{
    domain::{Coordinates, Problem, UnixMillis, link_expires_at},
    redact,
};

const DAY_MS: i64 = 24 * 3_600_000;
/// The first second that nearly every tool can count; earlier dates are mostly cameras that were never set.
const EPOCH: &str = "1970-01-01 00:00:01";
/// Endings of files that are no videos.
const IMAGES: &[&str] = &["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "svg", "heic", "ico"];
const PAGES: &[&str] = &["html", "htm", "php", "asp", "aspx", "jsp", "xhtml"];
const OTHERS: &[&str] = &[
    "mp3", "wav", "flac", "ogg", "m4a", "pdf", "zip", "gz", "tar", "7z", "txt", "csv", "json", "xml", "srt",
    "vtt",
];
/// Hosts whose addresses are pages with a player, not files.
const PAGE_HOSTS: &[&str] = &[
    "youtube.com",
    "youtu.be",
    "vimeo.com",
    "dailymotion.com",
    "facebook.com",
    "instagram.com",
    "tiktok.com",
    "twitter.com",
    "x.com",
    "drive.google.com",
    "onedrive.live.com",
];
/// The world in fields of so many degrees, to see where most rows are: so many from pole to pole and around, and one more
/// for the borders…
const FIELD_DEGREES: f64 = 15.0;
const FIELDS_AROUND: usize = 25;
/// …once there were so many.
const PLACES_MIN: u32 = 200;

/// Looks at row after row.
pub(super) struct Lint {
    now: UnixMillis,
    /// `now` and a day, as the service writes moments: a clock may be ahead, and zones differ.
    tomorrow: String,
}

/// Where the rows of a survey lie, so that one that lies elsewhere shows.
pub(super) struct Crowd {
    places: Vec<u32>,
    seen: u32,
}

type Words = (&'static str, &'static str, &'static str);

impl Lint {
    pub(super) fn new(now: UnixMillis) -> Self {
        let tomorrow = jiff::Timestamp::from_millisecond(now.plus_ms(DAY_MS).0).unwrap_or_default();
        let tomorrow = tomorrow.strftime("%Y-%m-%d %H:%M:%S").to_string();
        Self { now, tomorrow }
    }

    /// What is odd about a row, as warnings of the row.
    pub(super) fn look(&self, row: &mut BorrowedRow<'_>, columns: &FirstColumns) {
        let mut odd: Vec<(Field, String, Words)> = Vec::new();
        let url = || redact::url(&row.address);
        odd.extend(address(&row.address).map(|words| (Field::Url, url(), words)));
        odd.extend(self.life(&row.address).map(|words| (Field::Url, url(), words)));
        if let Some(place) = row.coordinates {
            let shown = || format!("{},{}", place.latitude, place.longitude);
            odd.extend(spot(place).map(|words| (place_field(columns), shown(), words)));
        }
        if let Some(timestamp) = &row.datetime_taken {
            odd.extend(
                self.timestamp(timestamp).map(|words| (Field::Datetime, timestamp.to_string(), words)),
            );
        }
        for (field, value, (class, message, fix)) in odd {
            let warning = problem_at(columns.of(field), value, (class, message.to_owned(), fix));
            row.warnings.push(warning);
        }
    }

    fn life(&self, address: &str) -> Option<Words> {
        // nothing without a query dies
        let has_query = memchr::memchr(b'?', address.as_bytes()).is_some();
        let expires_at = if has_query { link_expires_at(address)? } else { return None };
        Some(if expires_at <= self.now {
            ("link_expired", "the link has expired; an import would not send it", "make a new signed link")
        } else {
            (
                "link_expires",
                "the link expires; an import sends those that expire soonest first where they would die waiting",
                "see when all will be sent: telecine plan",
            )
        })
    }

    fn timestamp(&self, timestamp: &str) -> Option<Words> {
        if timestamp > self.tomorrow.as_str() {
            return Some(("datetime_future", "taken in the future", "check the year, and --date-format"));
        }
        (timestamp < EPOCH).then_some((
            "datetime_before_1970",
            "taken before 1970, or by a camera whose clock was never set",
            "leave the cell empty where the date is not known",
        ))
    }
}

#[expect(clippy::float_cmp, reason = "the same text twice is the same number")]
fn spot(place: Coordinates) -> Option<Words> {
    let Coordinates { latitude, longitude } = place;
    if latitude == 0.0 && longitude == 0.0 {
        let fix = "leave both cells empty where the place is not known";
        return Some(("coordinates_null_island", "0,0 lies in the Atlantic", fix));
    }
    (latitude == longitude).then_some((
        "coordinates_identical",
        "latitude and longitude are the same",
        "check the mapping",
    ))
}

fn place_field(columns: &FirstColumns) -> Field {
    if columns.of(Field::Latitude).is_some() { Field::Latitude } else { Field::Geo }
}

/// The number of the field a place lies in. What is no latitude lies beyond all fields.
fn field_of(latitude: f64, longitude: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "degrees are at most 180, and shifted to be positive"
    )]
    let number = |degrees: f64| (degrees / FIELD_DEGREES).floor() as usize;
    if latitude.abs() > 90.0 {
        return usize::MAX;
    }
    number(latitude + 90.0) * FIELDS_AROUND + number(longitude + 180.0)
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self { places: vec![0; FIELDS_AROUND * FIELDS_AROUND], seen: 0 }
    }

    /// Whether a place lies where hardly any other does, and the other way round where most do.
    pub(super) fn look(&mut self, place: Coordinates, columns: &FirstColumns) -> Option<Problem> {
        let Coordinates { latitude, longitude } = place;
        let (own, swapped) = (field_of(latitude, longitude), field_of(longitude, latitude));
        let count = |field: usize| self.places.get(field).copied().unwrap_or(0);
        let is_odd =
            self.seen >= PLACES_MIN && count(own) * 100 < self.seen && count(swapped) * 2 > self.seen;
        self.seen += 1;
        if let Some(count) = self.places.get_mut(own) {
            *count += 1;
        }
        let message = "the other way round it would lie where most rows do".to_owned();
        let words = ("coordinates_swapped", message, "swap latitude and longitude");
        let column = columns.of(place_field(columns));
        is_odd.then(|| problem_at(column, format!("{latitude},{longitude}"), words))
    }
}

/// Endings of files that are videos, or name the parts of one.
const MEDIA: &[&str] = &[
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "mpg", "mpeg", "ts", "m2ts", "mts", "flv", "ogv",
    "3gp", "mxf", "m3u8",
];

/// Whether a text is an address of the web.
pub(in crate::manifest) fn is_web_address<T: AsRef<[u8]> + ?Sized>(text: &T) -> bool {
    let text = text.as_ref();
    let starts = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
    starts(b"http://") || starts(b"https://")
}

/// Whether a text ends as the name of a video does.
pub(in crate::manifest) fn is_media(text: &str) -> bool {
    let path = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    let outcome = path.rsplit_once('.').map_or("", |(_, outcome)| outcome);
    MEDIA.iter().any(|own| own.eq_ignore_ascii_case(outcome))
}

/// Whether a normalised address looks like no video.
fn address(text: &str) -> Option<Words> {
    // nearly all are so, and then need not be taken apart
    if text.as_bytes().ends_with(b".mp4") && memchr::memchr2(b'?', b'#', text.as_bytes()).is_none() {
        return None;
    }
    let inside = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let inside = &inside[..memchr::memchr2(b'?', b'#', inside.as_bytes()).unwrap_or(inside.len())];
    let (host, path) = inside.split_once('/').unwrap_or((inside, ""));
    // most hosts end otherwise
    let top = host.rsplit('.').next().unwrap_or(host);
    if matches!(top, "com" | "be") || host.contains(':') {
        let host = host.split(':').next().unwrap_or(host);
        let is_page_host =
            |page: &&str| host.strip_suffix(*page).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if PAGE_HOSTS.iter().any(is_page_host) {
            return Some(page_words());
        }
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, outcome) = name.rsplit_once('.')?;
    let is_one_of = |endings: &[&str]| endings.iter().any(|own| own.eq_ignore_ascii_case(outcome));
    if is_one_of(IMAGES) {
        Some(("url_image", "an image, by its name", "leave such rows out: --where"))
    } else if is_one_of(PAGES) {
        Some(page_words())
    } else if is_one_of(OTHERS) {
        Some(("url_no_video", "no video, by its name", "leave such rows out: --where"))
    } else {
        None
    }
}

const fn page_words() -> Words {
    (
        "url_page",
        "a page, not a video file: the service would fetch its HTML",
        "give the address of the file itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SourceUrl;

    fn classes(url: &str) -> Option<&'static str> {
        address(SourceUrl::parse(url).unwrap().as_str()).map(|(class, ..)| class)
    }

    #[test]
    fn an_address_that_looks_like_no_video_is_said() {
        for (url, class) in [
            ("https://h/a.mp4", None),
            ("https://h/a.JPG?x=1", Some("url_image")),
            ("https://h/watch.php?v=1", Some("url_page")),
            ("https://www.youtube.com/watch?v=1", Some("url_page")),
            ("https://youtu.be:443/1", Some("url_page")),
            ("https://youtube.com/watch?v=a.mp4", Some("url_page")),
            ("https://notyoutube.com/1", None),
            ("https://h/talk.mp3", Some("url_no_video")),
            ("https://h/stream/playlist.m3u8", None),
            ("https://h/1.2.3/video", None),
            ("https://h", None),
        ] {
            assert_eq!(classes(url), class, "{url}");
        }
    }

    #[test]
    fn a_place_or_a_moment_that_cannot_be_meant_is_said() {
        let lint = Lint::new(UnixMillis(1_700_000_000_000));
        let class = |words: Option<Words>| words.map(|(class, ..)| class);
        let at = |latitude, longitude| Coordinates { latitude, longitude };
        assert_eq!(class(spot(at(0.0, 0.0))), Some("coordinates_null_island"));
        assert_eq!(class(spot(at(7.5, 7.5))), Some("coordinates_identical"));
        let (mut crowd, columns) = (Crowd::new(), FirstColumns::default());
        for _ in 0..PLACES_MIN {
            assert_eq!(crowd.look(at(52.5, 13.4), &columns), None);
        }
        assert_eq!(crowd.look(at(13.4, 52.5), &columns).unwrap().class, "coordinates_swapped");
        assert_eq!(crowd.look(at(48.1, 11.5), &columns), None);
        assert_eq!(class(lint.timestamp("2023-11-14 22:13:20")), None);
        assert_eq!(class(lint.timestamp("2033-01-01 00:00:00")), Some("datetime_future"));
        assert_eq!(class(lint.timestamp("1970-01-01 00:00:00")), Some("datetime_before_1970"));
        let url = |query: &str| format!("https://h/a.mp4?Signature=x&Expires={query}");
        assert_eq!(class(lint.life(&url("1600000000"))), Some("link_expired"));
        assert_eq!(class(lint.life(&url("1800000000"))), Some("link_expires"));
    }
}
