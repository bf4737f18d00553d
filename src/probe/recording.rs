//! When and where a video was taken, as its container says: MP4 and `QuickTime`.
//!
//! Only headers of boxes and a few small boxes are read. What cannot be read is not there: a file may hold anything.

use jiff::{Timestamp, Zoned, civil::date, fmt::strtime, tz::TimeZone};
use mp4_atom::{Decode as _, Header};

use crate::local_file::OpenFile;

/// Boxes passed over in a file, or in a box.
const BOXES_MAX: usize = 256;
/// The most a header of a box takes, in bytes.
const HEADER_MAX: usize = 16;
/// The largest box of texts that is read, in bytes: those of cameras have some hundreds.
const TEXTS_MAX: u64 = 64 * 1024;
/// A place in the box of its own, in bytes.
const PLACE_MAX: u64 = 256;

/// The names that Apple gives them.
const CREATED: &[u8] = b"com.apple.quicktime.creationdate";
const PLACE: &[u8] = b"com.apple.quicktime.location.ISO6709";

/// What a file says of its recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// In RFC 3339, with the offset that the camera wrote, or in UTC.
    pub created: Option<String>,
    /// Whether that is the time of the container, which some cameras write as local time.
    pub is_container_time: bool,
    /// Latitude and longitude in decimal degrees, with a comma between them.
    pub location: Option<String>,
}

/// A box: its name, and where its content begins and ends in the file.
#[derive(Clone, Copy)]
struct Span {
    kind: [u8; 4],
    start: u64,
    end: u64,
}

impl Span {
    const fn size(&self) -> u64 {
        self.end - self.start
    }
}

impl Recording {
    /// Reads a file.
    #[must_use]
    pub fn of(file: &OpenFile) -> Self {
        let mut found = Self::default();
        let Some(index) = boxes(file, 0, file.size()).find(|span| span.kind == *b"moov") else {
            return found;
        };
        let mut container_time = None;
        for span in boxes(file, index.start, index.end) {
            match &span.kind {
                b"mvhd" => {
                    container_time =
                        content(file, span, HEADER_MAX as u64).and_then(|head| container_time_of(&head));
                }
                b"udta" => {
                    let place = boxes(file, span.start, span.end)
                        .find(|span| span.kind == *b"\xa9xyz" && span.size() <= PLACE_MAX);
                    let text = place.and_then(|span| content(file, span, PLACE_MAX));
                    // behind its length and its language
                    let text = text.and_then(|text| place_of(text.get(4..)?));
                    found.location = found.location.or(text);
                }
                b"meta" if span.size() <= TEXTS_MAX => {
                    let texts = content(file, span, TEXTS_MAX).unwrap_or_default();
                    let text = |name| apple_text(&texts, name);
                    found.created = text(CREATED).and_then(apple_time_of);
                    found.location = text(PLACE).and_then(place_of).or(found.location);
                }
                _ => {}
            }
        }
        found.is_container_time = found.created.is_none() && container_time.is_some();
        found.created = found.created.or(container_time);
        found
    }
}

/// The boxes between two places of a file, as far as they are whole.
fn boxes(file: &OpenFile, from: u64, end: u64) -> impl Iterator<Item = Span> {
    let mut at = from;
    let next = move || {
        let head = file.read_at(at, HEADER_MAX).ok()?;
        let mut rest = head.as_slice();
        let header = Header::decode(&mut rest).ok()?;
        let start = at.checked_add((head.len() - rest.len()) as u64)?;
        let end = match header.size {
            Some(size) => start.checked_add(size as u64).filter(|own| *own <= end)?,
            // it goes to the end
            None => end,
        };
        // a box without a header would be met again for ever
        at = (end > at).then_some(end)?;
        Some(Span { kind: header.kind.into(), start, end })
    };
    std::iter::from_fn(next).take(BOXES_MAX)
}

/// The content of a box, up to so many bytes.
fn content(file: &OpenFile, span: Span, length_max: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(span.size().min(length_max)).ok()?;
    file.read_at(span.start, length).ok()
}

/// The time of a container: seconds since 1904 in UTC. `None`: the camera set none.
fn container_time_of(head: &[u8]) -> Option<String> {
    let seconds = match head.first()? {
        0 => u64::from(u32::from_be_bytes(head.get(4..8)?.try_into().ok()?)),
        1 => u64::from_be_bytes(head.get(4..12)?.try_into().ok()?),
        _ => return None,
    };
    let epoch = date(1904, 1, 1).to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let time = Timestamp::from_second(epoch.checked_add(i64::try_from(seconds).ok()?)?).ok()?;
    plausible(&time.to_zoned(TimeZone::UTC)).then(|| time.to_string())
}

/// `2019-05-06T07:08:09+0200`, as Apple writes a time.
fn apple_time_of(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let time = strtime::parse("%Y-%m-%dT%H:%M:%S%z", text)
        .or_else(|_| strtime::parse("%Y-%m-%dT%H:%M:%S%:z", text))
        .ok()?
        .to_zoned()
        .ok()?;
    plausible(&time).then(|| time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// No such file is older than its format: earlier times are those of a clock that was never set.
fn plausible(time: &Zoned) -> bool {
    time.year() >= 1991
}

/// `+52.5200+013.4050/`: degrees, minutes or seconds, as ISO 6709 has them. `None`: none, or the place of a receiver that found none.
fn place_of(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim_end_matches('\0').trim().trim_end_matches('/');
    let second = text.get(1..)?.find(['+', '-'])? + 1;
    let (latitude, rest) = text.split_at(second);
    let end = rest.get(1..)?.find(['+', '-', 'C']).map_or(rest.len(), |at| at + 1);
    let latitude = degrees_of(latitude, 2).filter(|degrees| degrees.abs() <= 90.0)?;
    let longitude = degrees_of(&rest[..end], 3).filter(|degrees| degrees.abs() <= 180.0)?;
    let is_none = latitude == 0.0 && longitude == 0.0;
    (!is_none).then(|| format!("{latitude},{longitude}"))
}

/// A signed number of this many digits of degrees, and perhaps of two digits of minutes and of seconds.
fn degrees_of(text: &str, digits: usize) -> Option<f64> {
    let sign = match text.get(..1)? {
        "+" => 1.0,
        "-" => -1.0,
        _ => return None,
    };
    let number = &text[1..];
    let whole = number.split('.').next()?;
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let part = |from: usize, to: usize| number.get(from..to).and_then(|part| part.parse::<f64>().ok());
    let last = |from: usize| number.get(from..).and_then(|part| part.parse::<f64>().ok());
    let degrees = match whole.len().checked_sub(digits)? {
        0 => last(0)?,
        2 => part(0, digits)? + last(digits)? / 60.0,
        4 => part(0, digits)? + part(digits, digits + 2)? / 60.0 + last(digits + 2)? / 3_600.0,
        _ => return None,
    };
    // as exact as a ten-millionth of a degree: a centimetre
    Some(sign * (degrees * 1e7).round() / 1e7)
}

/// A text of the metadata of Apple: the names are in one list, the values in another one, by the numbers of the names.
fn apple_text<'a>(meta: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // outside QuickTime a version precedes the boxes
    let meta = if meta.get(4..8) == Some(b"hdlr") { meta } else { meta.get(4..)? };
    let list = |name: &[u8; 4]| parts(meta).find(|(kind, _)| kind == name).map(|(_, body)| body);
    let names = parts(list(b"keys")?.get(8..)?);
    let number = names.map(|(_, own)| own).position(|own| own == name)?;
    let number = u32::try_from(number).ok()?.checked_add(1)?.to_be_bytes();
    let value = parts(list(b"ilst")?).find(|(kind, _)| *kind == number)?.1;
    // behind its type and its language
    parts(value).find(|(kind, _)| kind == b"data")?.1.get(8..)
}

/// The parts of a list in memory, each with a size and four bytes that say what it is.
fn parts(body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        let kind = rest.get(4..8)?.try_into().ok()?;
        let inside = rest.get(8..usize::try_from(size).ok()?)?;
        rest = &rest[inside.len() + 8..];
        Some((kind, inside))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::local_file::stamp_of;

    fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), body].concat()
    }

    fn read(bytes: &[u8]) -> Recording {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let path = std::fs::canonicalize(file.path()).unwrap();
        let stamp = stamp_of(&std::fs::metadata(&path).unwrap());
        Recording::of(&OpenFile::open(&path, stamp).unwrap())
    }

    fn mvhd(version: u8, seconds: u64) -> Vec<u8> {
        let time = seconds.to_be_bytes();
        let time = if version == 0 { &time[4..] } else { &time[..] };
        boxed(*b"mvhd", &[&[version, 0, 0, 0], time, &[0; 96]].concat())
    }

    fn place(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        boxed(*b"udta", &boxed(*b"\xa9xyz", &[&length, b"\x15\xc7".as_slice(), text.as_bytes()].concat()))
    }

    fn apple(pairs: &[(&[u8], &str)]) -> Vec<u8> {
        let names: Vec<u8> = pairs.iter().flat_map(|(name, _)| boxed(*b"mdta", name)).collect();
        let values = pairs.iter().zip(1_u32..).flat_map(|((_, value), number)| {
            boxed(
                number.to_be_bytes(),
                &boxed(*b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], value.as_bytes()].concat()),
            )
        });
        let (count, values) =
            (u32::try_from(pairs.len()).unwrap().to_be_bytes(), values.collect::<Vec<u8>>());
        let keys = boxed(*b"keys", &[&[0; 4], count.as_slice(), &names].concat());
        boxed(*b"meta", &[boxed(*b"hdlr", &[0; 24]), keys, boxed(*b"ilst", &values)].concat())
    }

    /// A file with its index behind its frames.
    fn film(index: &[Vec<u8>]) -> Vec<u8> {
        [boxed(*b"ftyp", b"qt  "), boxed(*b"mdat", &[7; 5_000]), boxed(*b"moov", &index.concat())].concat()
    }

    /// 2019-05-06 07:08:09 in seconds since 1904.
    const TIME: u64 = 3_639_971_289;

    #[test]
    fn the_time_of_the_container_is_utc_and_that_of_the_camera_goes_before_it() {
        let of = |index: &[Vec<u8>]| read(&film(index));
        for version in [0, 1] {
            let found = of(&[mvhd(version, TIME)]);
            assert_eq!(found.created.as_deref(), Some("2019-05-06T07:08:09Z"));
            assert!(found.is_container_time && found.location.is_none());
        }
        let camera = apple(&[(b"com.apple.quicktime.make", "Apple"), (CREATED, "2019-05-06T09:08:09+0200")]);
        let found = of(&[mvhd(0, TIME), boxed(*b"trak", &[0; 40]), camera]);
        assert_eq!(found.created.as_deref(), Some("2019-05-06T09:08:09+02:00"));
        assert!(!found.is_container_time);
        // a clock that was never set, in three ways
        for seconds in [0, 1, 2_082_844_800] {
            assert_eq!(of(&[mvhd(0, seconds)]), Recording::default(), "{seconds}");
        }
    }

    #[test]
    fn a_place_is_read_in_each_form_and_no_place_is_none() {
        for (text, expected) in [
            ("+52.5200+013.4050/", Some("52.52,13.405")),
            ("-41.2865+174.7762+012.3/", Some("-41.2865,174.7762")),
            ("+37.4219-122.0840CRSWGS_84/", Some("37.4219,-122.084")),
            ("+4012.22-07500.25/", Some("40.2036667,-75.0041667")),
            ("+401213.1-0750015.1/", Some("40.2036389,-75.0041944")),
            ("+00.0000+000.0000/", None),
            ("+95.0+013.0/", None),
            ("+52.5200", None),
            ("52.52,13.4", None),
            ("+52.5.2+013.4/", None),
            ("", None),
        ] {
            assert_eq!(read(&film(&[place(text)])).location.as_deref(), expected, "{text}");
        }
        let both = film(&[apple(&[(PLACE, "+52.5200+013.4050+034.000/")]), place("+01.0000+002.0000/")]);
        assert_eq!(read(&both).location.as_deref(), Some("52.52,13.405"), "that of Apple goes first");
    }

    #[test]
    fn a_damaged_file_is_read_to_an_end_without_a_panic() {
        let whole =
            film(&[mvhd(0, TIME), place("+52.5200+013.4050/"), apple(&[(CREATED, "x"), (PLACE, "+1+2")])]);
        let mut rng = fastrand::Rng::with_seed(7);
        for length in (0..whole.len()).rev().take(400) {
            read(&whole[..length]);
        }
        for _ in 0..2_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..6) {
                // the frames between are nothing to it
                let at = if rng.bool() { rng.usize(..32) } else { rng.usize(5_020..bytes.len()) };
                bytes[at] = if rng.bool() { rng.u8(..) } else { [0, 1, 8, 255][rng.usize(..4)] };
            }
            read(&bytes);
        }
    }
}
