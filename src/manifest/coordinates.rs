//! Where a video was taken: decimal degrees, in range and in pairs.

use crate::item::Coordinates;

/// Why a text is no coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoordinateFault {
    /// Not a decimal number.
    NotANumber,
    /// Beyond 90 or 180 degrees.
    OutOfRange,
    /// `geo` does not hold two values.
    NotAPair,
}

/// Reads one coordinate of at most `bound` degrees either way.
pub(super) fn read_degrees(text: &str, bound: f64) -> Result<f64, CoordinateFault> {
    let text = text.trim();
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    let degrees: f64 = text.parse().ok().filter(|_| is_plain).ok_or(CoordinateFault::NotANumber)?;
    if degrees.abs() <= bound { Ok(degrees) } else { Err(CoordinateFault::OutOfRange) }
}

/// The largest latitude, in degrees.
pub(super) const LATITUDE_MAX: f64 = 90.0;
/// The largest longitude, in degrees.
pub(super) const LONGITUDE_MAX: f64 = 180.0;

/// Reads `lat,lon`, `lat;lon` or `lat lon`, with or without brackets.
pub(super) fn read_geo(text: &str) -> Result<Coordinates, CoordinateFault> {
    let inner = text.trim().trim_start_matches(['(', '[']).trim_end_matches([')', ']']);
    let parts: Vec<&str> =
        inner.split([',', ';', ' ']).map(str::trim).filter(|part| !part.is_empty()).collect();
    let [latitude, longitude] = parts[..] else { return Err(CoordinateFault::NotAPair) };
    Ok(Coordinates {
        latitude: read_degrees(latitude, LATITUDE_MAX)?,
        longitude: read_degrees(longitude, LONGITUDE_MAX)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_one_cell_or_two() {
        let place = Coordinates { latitude: 52.5, longitude: -13.25 };
        for text in ["52.5,-13.25", "52.5; -13.25", " 52.5  -13.25 ", "(52.5, -13.25)"] {
            assert_eq!(read_geo(text), Ok(place), "{text}");
        }
        assert_eq!(read_degrees("-88.23918", LONGITUDE_MAX), Ok(-88.23918));
    }

    #[test]
    fn what_is_no_place_on_earth_is_refused() {
        for (text, fault) in [
            ("91,0", CoordinateFault::OutOfRange),
            ("0,-180.5", CoordinateFault::OutOfRange),
            ("nan,0", CoordinateFault::NotANumber),
            ("inf,0", CoordinateFault::NotANumber),
            ("1e400,0", CoordinateFault::OutOfRange),
            ("north,west", CoordinateFault::NotANumber),
            ("52,5,13,2", CoordinateFault::NotAPair),
            ("52.5", CoordinateFault::NotAPair),
        ] {
            assert_eq!(read_geo(text), Err(fault), "{text}");
        }
    }
}
