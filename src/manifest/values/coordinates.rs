//! Where a video was taken: degrees as people and instruments write them, in range and in pairs.

use super::trim;
use crate::domain::Coordinates;

/// Why a text is no coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinateError {
    /// Not a number of degrees, minutes and seconds.
    NotANumber,
    /// Beyond 90 or 180 degrees, or 60 minutes or seconds.
    OutOfRange,
    /// North or south of a longitude, east or west of a latitude.
    WrongAxis,
    /// `geo` does not hold two values.
    NotAPair,
    /// The pair is one only the other way round.
    Swapped,
}

/// Which of two numbers in one cell comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeoOrder {
    /// The latitude.
    #[default]
    LatLon,
    /// The longitude.
    LonLat,
}

/// What a number of degrees is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// North positive, at most 90 either way.
    Latitude,
    /// East positive, at most 180 either way.
    Longitude,
}

impl Axis {
    /// Reads one coordinate: `52.52`, `-13,405`, `52°31'12.3"N`, `N 52 31.2`, `52:31:12`.
    pub fn read(self, text: &str) -> Result<f64, CoordinateError> {
        let (degrees, told) = read_angle(trim(text))?;
        match told {
            Some(told) if told != self => Err(CoordinateError::WrongAxis),
            _ if degrees.abs() > self.bound() => Err(CoordinateError::OutOfRange),
            _ => Ok(degrees),
        }
    }

    const fn bound(self) -> f64 {
        match self {
            Self::Latitude => 90.0,
            Self::Longitude => 180.0,
        }
    }

    /// The axis a hemisphere's letter is of, and the sign it stands for.
    const fn of(letter: char) -> Option<(Self, f64)> {
        match letter {
            'N' | 'n' => Some((Self::Latitude, 1.0)),
            'S' | 's' => Some((Self::Latitude, -1.0)),
            'E' | 'e' => Some((Self::Longitude, 1.0)),
            'W' | 'w' => Some((Self::Longitude, -1.0)),
            _ => None,
        }
    }
}

/// Degrees, and the axis where a hemisphere tells it.
fn read_angle(text: &str) -> Result<(f64, Option<Axis>), CoordinateError> {
    if let Some(degrees) = decimal(text) {
        return Ok((degrees, None));
    }
    let first = text.chars().next().and_then(Axis::of).map(|side| (side, &text[1..]));
    let last = text.chars().next_back().and_then(Axis::of).map(|side| (side, &text[..text.len() - 1]));
    let (side, rest) = match first.or(last) {
        Some((side, rest)) => (Some(side), rest.trim()),
        None => (None, text),
    };
    let (is_negative, rest) = rest.strip_prefix(['-', '\u{2212}']).map_or((false, rest), |rest| (true, rest));
    let is_mark = |c: char| c.is_whitespace() || "°º'′’\"″”:dm".contains(c);
    let numbers: Vec<&str> = rest.split(is_mark).filter(|part| !part.is_empty()).collect();
    let number = |text: &str| decimal(text).filter(|n| *n >= 0.0 && !text.starts_with(['+', '-']));
    let parts: Vec<f64> =
        numbers.iter().map(|text| number(text)).collect::<Option<_>>().ok_or(CoordinateError::NotANumber)?;
    let is_whole = |n: &f64| n.fract() == 0.0;
    let magnitude = match parts[..] {
        [degrees] => degrees,
        [degrees, minutes] if is_whole(&degrees) => sixtieths(degrees, minutes, 0.0)?,
        [degrees, minutes, seconds] if is_whole(&degrees) && is_whole(&minutes) => {
            sixtieths(degrees, minutes, seconds)?
        }
        _ => return Err(CoordinateError::NotANumber),
    };
    if side.is_some() && is_negative {
        return Err(CoordinateError::NotANumber);
    }
    let sign = side.map_or(if is_negative { -1.0 } else { 1.0 }, |(_, sign)| sign);
    Ok((sign * magnitude, side.map(|(axis, _)| axis)))
}

fn sixtieths(degrees: f64, minutes: f64, seconds: f64) -> Result<f64, CoordinateError> {
    if minutes >= 60.0 || seconds >= 60.0 {
        return Err(CoordinateError::OutOfRange);
    }
    // one division, so that nothing is lost to rounding twice
    Ok(degrees + minutes.mul_add(60.0, seconds) / 3600.0)
}

/// A plain number, with a point or a decimal comma.
fn decimal(text: &str) -> Option<f64> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if is_plain {
        return text.parse().ok().filter(|_| text.bytes().any(|byte| byte.is_ascii_digit()));
    }
    let (whole, fraction) = text.split_once(',')?;
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_comma = is_digits(whole.trim_start_matches(['-', '+'])) && is_digits(fraction);
    if is_comma { format!("{whole}.{fraction}").parse().ok() } else { None }
}

/// What may stand between two coordinates in one cell, the surest first.
const SEPARATORS: &[&str] = &[";", "|", "/", ", ", " ", ","];

impl GeoOrder {
    /// Reads both coordinates from one cell: `lat,lon`, `lat;lon`, `lat lon`, with or without brackets, hemispheres, decimal
    /// commas; or `POINT(lon lat)` as databases write it.
    pub fn read(self, text: &str) -> Result<Coordinates, CoordinateError> {
        let text = trim(text);
        // most are two plain numbers with a comma
        if let Some((first, second)) = text.split_once(',')
            && !second.contains(',')
            && let (Some(first), Some(second)) = (decimal(trim(first)), decimal(trim(second)))
        {
            return arrange((first, None), (second, None), self);
        }
        let (inner, order) = match point(text) {
            Some(inner) => (inner, Self::LonLat),
            None => (text.trim_start_matches(['(', '[']).trim_end_matches([')', ']']), self),
        };
        let pairs =
            SEPARATORS.iter().filter_map(|separator| pair(inner, separator)).chain(by_hemisphere(inner));
        let mut error = CoordinateError::NotAPair;
        for (first, second) in pairs {
            match (read_angle(first), read_angle(second)) {
                (Ok(first), Ok(second)) => return arrange(first, second, order),
                (Err(found), _) | (_, Err(found)) => error = found,
            }
        }
        Err(error)
    }
}

/// The inside of `POINT(…)`.
fn point(text: &str) -> Option<&str> {
    let text = text
        .split_once(';')
        .filter(|(srid, _)| srid.to_ascii_uppercase().starts_with("SRID="))
        .map_or(text, |(_, text)| text);
    let start = text.get(..5).filter(|as_str| as_str.eq_ignore_ascii_case("POINT"))?;
    text[start.len()..].trim().strip_prefix('(')?.strip_suffix(')')
}

fn pair<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
    let found = (parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

/// `52°31'N 13°24'E` behind its first hemisphere, `N52 E13` before its second.
fn by_hemisphere(text: &str) -> Option<(&str, &str)> {
    let sides: Vec<usize> =
        text.char_indices().filter(|(_, c)| Axis::of(*c).is_some()).map(|(at, _)| at).collect();
    let [first, second] = sides[..] else { return None };
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let at = if first == 0 { second } else { first + 1 };
    let (one, other) = text.split_at(at);
    Some((one.trim_matches([' ', ',']), other.trim_matches([' ', ','])))
}

type Angle = (f64, Option<Axis>);

fn arrange(first: Angle, second: Angle, order: GeoOrder) -> Result<Coordinates, CoordinateError> {
    let is_first_latitude = match (first.1, second.1) {
        (None, None) => order == GeoOrder::LatLon,
        (Some(Axis::Latitude), Some(Axis::Longitude) | None) | (None, Some(Axis::Longitude)) => true,
        (Some(Axis::Longitude), Some(Axis::Latitude) | None) | (None, Some(Axis::Latitude)) => false,
        (Some(_), Some(_)) => return Err(CoordinateError::WrongAxis),
    };
    let ((latitude, _), (longitude, _)) = if is_first_latitude { (first, second) } else { (second, first) };
    let fits = |latitude: f64, longitude: f64| {
        latitude.abs() <= Axis::Latitude.bound() && longitude.abs() <= Axis::Longitude.bound()
    };
    if fits(latitude, longitude) {
        Ok(Coordinates { latitude, longitude })
    } else if fits(longitude, latitude) {
        Err(CoordinateError::Swapped)
    } else {
        Err(CoordinateError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_read_as_people_and_instruments_write_them() {
        for (text, degrees) in [
            ("-88.23918", -88.23918),
            ("52,5", 52.5),
            ("-13,405", -13.405),
            ("52°30'0\"N", 52.5),
            ("52°31'12.3\"N", 52.0 + (31.0 * 60.0 + 12.3) / 3600.0),
            ("N 52 30", 52.5),
            ("52:30:00", 52.5),
            ("-52°30′", -52.5),
            ("33.75S", -33.75),
            ("S33°45’0”", -33.75),
            ("1e1", 10.0),
        ] {
            assert_eq!(Axis::Latitude.read(text), Ok(degrees), "{text}");
        }
        assert_eq!(Axis::Longitude.read("13d24m18W"), Ok(-13.405));
    }

    #[test]
    fn a_place_is_read_from_one_cell() {
        let place = Coordinates { latitude: 52.5, longitude: -13.25 };
        for text in [
            "52.5,-13.25",
            "52.5; -13.25",
            " 52.5  -13.25 ",
            "(52.5, -13.25)",
            "[52.5 ,-13.25]",
            "52,5; -13,25",
            "52,5 -13,25",
            "52,5, -13,25",
            "52°30'N 13°15'W",
            "13°15'W, 52°30'N",
            "N52.5 W13.25",
            "POINT(-13.25 52.5)",
            "SRID=4326;POINT (-13.25 52.5)",
        ] {
            assert_eq!(GeoOrder::LatLon.read(text), Ok(place), "{text}");
        }
        assert_eq!(GeoOrder::LonLat.read("-13.25,52.5"), Ok(place));
    }

    #[test]
    fn what_is_no_place_on_earth_is_refused() {
        for (text, error) in [
            ("91,0", CoordinateError::Swapped),
            ("-122.4,37.8", CoordinateError::Swapped),
            ("0,-180.5", CoordinateError::OutOfRange),
            ("nan,0", CoordinateError::NotANumber),
            ("inf,0", CoordinateError::NotANumber),
            ("1e400,0", CoordinateError::OutOfRange),
            ("north,west", CoordinateError::NotANumber),
            ("Berlin", CoordinateError::NotAPair),
            ("52,5,13,2", CoordinateError::NotAPair),
            ("52.5,13,4", CoordinateError::NotAPair),
            ("52.5", CoordinateError::NotAPair),
            ("52N 13N", CoordinateError::WrongAxis),
            ("52°61'N 13°0'E", CoordinateError::OutOfRange),
            ("", CoordinateError::NotAPair),
            ("POINT(1)", CoordinateError::NotAPair),
        ] {
            assert_eq!(GeoOrder::LatLon.read(text), Err(error), "{text}");
        }
        for (text, error) in [
            ("", CoordinateError::NotANumber),
            ("-", CoordinateError::NotANumber),
            ("52.5.1", CoordinateError::NotANumber),
            ("13E", CoordinateError::WrongAxis),
            ("-52N", CoordinateError::NotANumber),
            ("52.5 30", CoordinateError::NotANumber),
            ("1.234.567,8", CoordinateError::NotANumber),
            ("90.1", CoordinateError::OutOfRange),
        ] {
            assert_eq!(Axis::Latitude.read(text), Err(error), "{text}");
        }
    }
}
