//! What a row would be sent with that its owner may not mean. Nothing here keeps a row from being sent.

use super::{
    addresses::{Kind, is_media, is_private, kind_of, mark_of},
    borrowed_row::BorrowedRow,
    convert::{Explanation, problem_at},
    damage::{self, Advised},
    mapping::{Field, Filter, FirstColumns},
};

use crate::{
    domain::{
        Coordinates, LINK_LIFE_MIN, Problem, UnixMillis, is_file_address, is_object_address, link_expires_at,
    },
    redact,
};

const DAY_MS: i64 = 24 * 3_600_000;
/// The first second that nearly every tool can count; earlier dates are mostly cameras that were never set.
const EPOCH: &str = "1970-01-01 00:00:01";
/// The class of a link that has expired.
pub const LINK_EXPIRED: &str = "link_expired";
/// Places are counted in cells of this many degrees, to find where most rows are.
const CELL_DEGREES: f64 = 15.0;
/// Cells around the earth, and one more for the borders.
const CELLS_AROUND: usize = 25;
/// Fewer places do not show where most rows are.
const PLACES_MIN: u32 = 200;

/// Finds what is odd about a row by itself.
#[derive(Debug)]
pub(super) struct Lint {
    now: UnixMillis,
    /// `now` and a day, as the service writes times: a clock may be ahead, and zones differ.
    tomorrow: String,
    columns: FirstColumns,
}

/// Where the rows of a scan are, so that one that is elsewhere shows.
pub(super) struct PlaceCounts {
    places: Vec<u32>,
    seen: u32,
}

const PRIVATE_URL: Advised = (
    "url_private",
    "the host is this machine or in a private network: the service cannot fetch from it",
    "give an address on the public internet",
);
const PRIVATE_CALLBACK: Advised = (
    "callback_private",
    "the host of the callback is this machine or in a private network: the service cannot call it",
    "give an address on the public internet, or leave the callback out",
);

impl Lint {
    pub(super) fn new(now: UnixMillis, columns: FirstColumns) -> Self {
        let tomorrow = jiff::Timestamp::from_millisecond(now.plus_ms(DAY_MS).0).unwrap_or_default();
        let tomorrow = tomorrow.strftime("%Y-%m-%d %H:%M:%S").to_string();
        Self { now, tomorrow, columns }
    }

    /// Adds to a row's warnings what is odd about it. Its cells are in columns of these names.
    pub(super) fn inspect(&self, row: &mut BorrowedRow<'_>, cells: &[&str], names: &[String]) {
        let columns = &self.columns;
        let mut odd: Vec<(Field, String, Advised)> = Vec::new();
        let url = || redact::url(&row.address);
        odd.extend(address(&row.address).map(|words| (Field::Url, url(), words)));
        let is_link = !is_object_address(&row.address) && !is_file_address(&row.address);
        odd.extend(hash_sign(&row.address).filter(|_| is_link).map(|words| (Field::Url, url(), words)));
        odd.extend(question_mark(&row.address).filter(|_| is_link).map(|words| (Field::Url, url(), words)));
        // the path of a file is written percent-encoded on purpose
        if is_object_address(&row.address) {
            odd.extend(encoded_key(&row.address).map(|words| (Field::Url, url(), words)));
        }
        if is_link && memchr::memchr(b'%', row.address.as_bytes()).is_some() {
            odd.extend(encoded_twice(&row.address).map(|words| (Field::Url, url(), words)));
            odd.extend(invisible(&row.address).map(|words| (Field::Url, url(), words)));
        }
        odd.extend(self.expiry(&row.address).map(|words| (Field::Url, url(), words)));
        if is_private(&row.address) {
            odd.push((Field::Url, url(), PRIVATE_URL));
        }
        if let Some(callback) = row.callback.as_deref().filter(|callback| is_private(callback)) {
            odd.push((Field::Callback, redact::url(callback), PRIVATE_CALLBACK));
        }
        if let Some((tag, words)) = row.tags.iter().find_map(|tag| Some((tag, damage::of(tag)?))) {
            odd.push((Field::Tags, redact::opaque(tag), words));
        }
        if let Some((model, words)) =
            row.camera_model.as_deref().and_then(|model| Some((model, damage::of(model)?)))
        {
            odd.push((Field::CameraModel, redact::opaque(model), words));
        }
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
            let column = columns.of(field);
            let marked = || {
                let mark = mark_of(&row.address)?;
                // an address may be put together of several columns
                let holds = |column: &usize| cells.get(*column).is_some_and(|cell| cell.contains(mark));
                let own = column.map(|(column, _)| column).filter(holds);
                let column = own.or_else(|| (0..names.len()).find(holds))?;
                Some(Filter::leaving_out(column, &names[column], mark, true))
            };
            let fix = match Some(fix).filter(|fix| *fix == FILTER).and_then(|_| marked()) {
                Some(filter) => format!("leave such rows out: {filter}"),
                None => fix
                    .replace("COLUMN", column.map_or("COLUMN", |(_, name)| name))
                    .replace("FIELD", field.name()),
            };
            row.warnings.push(problem_at(column, value, Explanation::new(class, message.to_owned(), &fix)));
        }
    }

    fn expiry(&self, address: &str) -> Option<Advised> {
        // nothing without a query expires
        let has_query = memchr::memchr(b'?', address.as_bytes()).is_some();
        let expires_at = if has_query { link_expires_at(address)? } else { return None };
        Some(if expires_at <= self.now.plus(LINK_LIFE_MIN) {
            (
                LINK_EXPIRED,
                "the link has expired, or expires within a minute; an import would not send it",
                "make a new signed link",
            )
        } else {
            (
                "link_expires",
                "the link expires; an import sends first those that would expire while they wait",
                "see when all will be sent: telecine plan",
            )
        })
    }

    fn timestamp(&self, timestamp: &str) -> Option<Advised> {
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
fn spot(place: Coordinates) -> Option<Advised> {
    let Coordinates { latitude, longitude } = place;
    if latitude == 0.0 && longitude == 0.0 {
        let fix = "leave both cells empty where the place is not known";
        return Some(("coordinates_null_island", "0,0 is in the Atlantic", fix));
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

/// The number of the cell a place is in. What is no latitude is beyond all cells.
fn cell_of(latitude: f64, longitude: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "degrees are at most 180, and shifted to be positive"
    )]
    let number = |degrees: f64| (degrees / CELL_DEGREES).floor() as usize;
    if latitude.abs() > 90.0 {
        return usize::MAX;
    }
    number(latitude + 90.0) * CELLS_AROUND + number(longitude + 180.0)
}

impl PlaceCounts {
    pub(super) fn new() -> Self {
        Self { places: vec![0; CELLS_AROUND * CELLS_AROUND], seen: 0 }
    }

    /// Counts a place, and says whether it is where hardly any other does, and swapped where most do.
    pub(super) fn inspect(&mut self, place: Coordinates, columns: &FirstColumns) -> Option<Problem> {
        let Coordinates { latitude, longitude } = place;
        let (own, swapped) = (cell_of(latitude, longitude), cell_of(longitude, latitude));
        let count = |cell: usize| self.places.get(cell).copied().unwrap_or(0);
        let is_odd =
            self.seen >= PLACES_MIN && count(own) * 100 < self.seen && count(swapped) * 2 > self.seen;
        self.seen += 1;
        if let Some(count) = self.places.get_mut(own) {
            *count += 1;
        }
        // nearly every place is where it belongs, and needs no text
        if !is_odd {
            return None;
        }
        let message = "the other way round it would be where most rows do".to_owned();
        let words = Explanation::new("coordinates_swapped", message, "swap latitude and longitude");
        Some(problem_at(columns.of(place_field(columns)), format!("{latitude},{longitude}"), words))
    }
}

/// What to do about a row that is no video; what its address has and others have not is filled in.
const FILTER: &str = "leave such rows out: --where 'COLUMN!~.jpg'";

/// Whether a normalised address looks like no video.
fn address(text: &str) -> Option<Advised> {
    match kind_of(text) {
        Kind::Media | Kind::Unknown => None,
        Kind::Image => Some(("url_image", "an image, by its name", FILTER)),
        Kind::Other => Some(("url_no_video", "no video, by its name", FILTER)),
        Kind::Page => Some((
            "url_page",
            "a page with a player, not a video file: the service would fetch its HTML",
            "give the address of the file itself",
        )),
    }
}

/// Whether a `?` cuts the name of a file in an address: it may also be what is left of letters that were lost.
fn question_mark(text: &str) -> Option<Advised> {
    let (path, query) = text.split_once('?')?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_name = !query.contains(['=', '&', '/']) && is_media(query.trim_start_matches('?'));
    (is_name && !name.contains('.')).then_some((
        "url_question_mark",
        "a ? cuts the name of the file: what follows it is a query, and no part of the name",
        "write %3F for a ? in a name: --map \"url={COLUMN|replace '?' '%3F'}\"; several may be letters that were lost",
    ))
}

/// Whether a `#` cuts the name of a file in an address.
fn hash_sign(text: &str) -> Option<Advised> {
    let at = memchr::memchr(b'#', text.as_bytes())?;
    is_media(&text[at + 1..]).then_some((
        "url_hash_sign",
        "a # cuts the name of the file: what follows it is not part of the address",
        "write %23 for a # in a name: --map \"url={COLUMN|replace '#' '%23'}\"",
    ))
}

/// Whether a part of an address was percent-encoded before a template encoded it.
fn encoded_twice(text: &str) -> Option<Advised> {
    let is_encoded = |at: usize| {
        let digits = text.as_bytes().get(at + 3..at + 5).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    };
    memchr::memmem::find_iter(text.as_bytes(), "%25").any(is_encoded).then_some((
        "url_encoded_twice",
        "a percent sign in the address is encoded twice (%25)",
        "if the column holds encoded values already, say so in the template: {COLUMN|raw}",
    ))
}

/// Whether the key of an object is percent-encoded, as an inventory of S3 has keys.
fn encoded_key(text: &str) -> Option<Advised> {
    let is_encoded = |at: usize| {
        let digits =
            text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        value.is_some_and(|value| value >= b' ')
    };
    memchr::memchr_iter(b'%', text.as_bytes()).any(is_encoded).then_some((
        "url_key_encoded",
        "the key seems to be percent-encoded: the storage would be asked for an object with a % in its key",
        "decode it, in the mapping or in the template: {COLUMN|form}",
    ))
}

const AGAIN: &str = "copy the address again, or export it as UTF-8";

/// Whether invisible characters, or those of another encoding, stand inside a normalised address.
fn invisible(text: &str) -> Option<Advised> {
    let has = |encoded: &str| memchr::memmem::find(text.as_bytes(), encoded.as_bytes()).is_some();
    if has("%EF%BF%BD") {
        return Some(("url_damaged", damage::LOST.1, AGAIN));
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    if damage::was_read_otherwise(&decoded) {
        return Some(("url_damaged", damage::READ_OTHERWISE.1, AGAIN));
    }
    let is_unseen = |c: char| damage::is_unseen(c) || matches!(c, '\u{200c}'..='\u{200f}' | '\u{a0}');
    decoded.contains(is_unseen).then_some((
        "url_invisible",
        "an invisible character, or a blank that is none of the keyboard, is in the address",
        "copy the address again, without it",
    ))
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
            ("https://archive.org/details/abc", Some("url_page")),
            ("https://h/talk.mp3", Some("url_no_video")),
        ] {
            assert_eq!(classes(url), class, "{url}");
        }
        for (url, is_said) in [("a%2520b", true), ("a%20b", false), ("100%25.mp4", false), ("100%25", false)]
        {
            assert_eq!(encoded_twice(&format!("https://h/{url}")).is_some(), is_said, "{url}");
        }
        for (url, is_said) in
            [("https://h/a#1.mp4", true), ("https://h/a.mp4#t=5", false), ("https://h/a.mp4", false)]
        {
            assert_eq!(hash_sign(url).is_some(), is_said, "{url}");
        }
        let url = SourceUrl::parse("https://h/a\u{200b}.mp4").unwrap();
        assert_eq!(invisible(url.as_str()).map(|(class, ..)| class), Some("url_invisible"));
        let url = SourceUrl::parse("https://h/a\u{fffd}.mp4").unwrap();
        assert_eq!(invisible(url.as_str()).map(|(class, ..)| class), Some("url_damaged"));
    }

    #[test]
    fn a_place_or_a_time_that_cannot_be_meant_is_said() {
        let lint = Lint::new(UnixMillis(1_700_000_000_000), FirstColumns::default());
        let class = |words: Option<Advised>| words.map(|(class, ..)| class);
        let at = |latitude, longitude| Coordinates { latitude, longitude };
        assert_eq!(class(spot(at(0.0, 0.0))), Some("coordinates_null_island"));
        assert_eq!(class(spot(at(7.5, 7.5))), Some("coordinates_identical"));
        let (mut counts, columns) = (PlaceCounts::new(), FirstColumns::default());
        for _ in 0..PLACES_MIN {
            assert_eq!(counts.inspect(at(52.5, 13.4), &columns), None);
        }
        assert_eq!(counts.inspect(at(13.4, 52.5), &columns).unwrap().class, "coordinates_swapped");
        assert_eq!(counts.inspect(at(48.1, 11.5), &columns), None);
        assert_eq!(class(lint.timestamp("2023-11-14 22:13:20")), None);
        assert_eq!(class(lint.timestamp("2033-01-01 00:00:00")), Some("datetime_future"));
        assert_eq!(class(lint.timestamp("1970-01-01 00:00:00")), Some("datetime_before_1970"));
        let url = |query: &str| format!("https://h/a.mp4?Signature=x&Expires={query}");
        assert_eq!(class(lint.expiry(&url("1600000000"))), Some("link_expired"));
        assert_eq!(class(lint.expiry(&url("1800000000"))), Some("link_expires"));
    }
}
