//! Where a video was taken: degrees as people and instruments write them, in range and in pairs.

use std::collections::BTreeMap;

pub use super::axis::{Axis, CoordinateError};
use super::{
    angle::{self, Angle, AngleToken, decimal, sixtieths},
    trim,
};
use crate::domain::Coordinates;

/// Which of two numbers in one cell comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeoOrder {
    #[default]
    LatLon,
    LonLat,
}

/// Whether a text is written as an angle and nothing else: with a sign of degrees, or a hemisphere and more than one group of
/// digits. `S1` may be a site, and `00:01:08` a duration.
pub(in crate::manifest) fn is_marked_angle(text: &str) -> bool {
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).count();
    let has_degrees = text.contains(['°', 'º', '˚']) || text.contains("deg");
    has_degrees || (groups > 1 && text.contains(char::is_alphabetic))
}

/// Degrees as some programs write them: a whole number of ten millionths.
const E7: f64 = 1e7;

impl Axis {
    /// Reads one coordinate: `52.52`, `-13,405`, `52°31'12.3"N`, `N 52 31.2`, `37 deg 46' 12.00" N`, `52:31:12`.
    pub fn read(self, text: &str) -> Result<f64, CoordinateError> {
        let Angle { degrees, axis } = angle::read(trim(text))?;
        match axis {
            Some(axis) if axis != self => Err(CoordinateError::WrongAxis),
            _ => self.in_range(degrees),
        }
    }

    /// Reads one coordinate whose hemisphere is in another column: `N`, `South`.
    pub fn read_with_hemisphere(self, text: &str, hemisphere: &str) -> Result<f64, CoordinateError> {
        let first_word = trim(hemisphere).split_whitespace().next().unwrap_or_default();
        let (axis, sign) = angle::side_of(first_word)?;
        let degrees = self.read(text)?;
        if axis != self {
            return Err(CoordinateError::WrongAxis);
        }
        let says_a_side = angle::read(trim(text)).is_ok_and(|angle| angle.axis.is_some());
        if degrees * sign < 0.0 && (says_a_side || sign > 0.0) {
            return Err(CoordinateError::Contradiction);
        }
        Ok(sign * degrees.abs())
    }

    /// Reads one coordinate of degrees times ten million: `525200000`.
    pub fn read_e7(self, text: &str) -> Result<f64, CoordinateError> {
        let number: i64 = trim(text).parse().map_err(|_| CoordinateError::NotANumber)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is in range is far below the precision of a float"
        )]
        self.in_range(number as f64 / E7)
    }

    fn in_range(self, degrees: f64) -> Result<f64, CoordinateError> {
        if degrees.abs() > self.bound() { Err(CoordinateError::OutOfRange) } else { Ok(degrees) }
    }
}

/// What may be between coordinates in one cell, the surest first.
const SEPARATORS: &[&str] = &[";", "|", "/", ", ", " ", ","];

impl GeoOrder {
    /// Reads both coordinates from one cell: `lat,lon`, `lat;lon`, `lat lon`, with or without brackets, hemispheres, decimal
    /// commas and a third number, the altitude (`34.2 m Above Sea Level`); ISO 6709 (`+52.5+013.4/`); or `POINT(lon lat)` as databases write it.
    pub fn read(self, text: &str) -> Result<Coordinates, CoordinateError> {
        let text = trim(text);
        // most are two plain numbers with a comma
        if let Some((first, second)) = text.split_once(',')
            && let (Some(latitude), Some(longitude)) =
                (decimal_point(trim(first)), decimal_point(trim(second)))
        {
            let is_sure = first.contains('.') || second.contains(['.', ' ', '-', '+']) || longitude == 0.0;
            let pair = [plain(latitude), plain(longitude)];
            return if is_sure { arrange(pair, self) } else { Err(CoordinateError::OneOrTwo) };
        }
        // an address of a place has the latitude first by its rules
        if let Some(inner) = text.strip_prefix("geo:") {
            return Self::LatLon.read(inner.split([';', '?']).next().unwrap_or(inner));
        }
        if let Some(inner) = inside_point(text) {
            return numbers(inner.split_whitespace())
                .map_or(Err(CoordinateError::NotAPair), |pair| arrange(pair, Self::LonLat));
        }
        if let Some(place) = iso_6709(text) {
            return place;
        }
        if let Some(pair) =
            text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).and_then(json_numbers)
        {
            return arrange(pair, self);
        }
        if let Some(pair) = mongo_numbers(text) {
            return arrange(pair, self);
        }
        let text = without_altitude(text);
        let inner = trim(text.trim_start_matches(['(', '[']).trim_end_matches([')', ']']));
        let is_marked = |c: char| c.is_alphabetic() || "°º˚'′’\"″”:".contains(c);
        if inner.contains(is_marked) {
            return marked(inner).and_then(|pair| arrange(pair, self));
        }
        let pair = SEPARATORS.iter().find_map(|separator| between(inner, separator));
        pair.map_or(Err(CoordinateError::NotAPair), |pair| arrange(pair, self))
    }
}

/// A place without `, 34.2 m Above Sea Level`, as exiftool writes the altitude.
fn without_altitude(text: &str) -> &str {
    let is_altitude = |part: &str| part.contains(|c: char| c.is_ascii_digit());
    let cut = text.rsplit_once(',').filter(|(_, behind)| is_altitude(behind));
    let ends_so = [" Above Sea Level", " Below Sea Level"].iter().any(|end| {
        let start = text.len().checked_sub(end.len()).and_then(|start| text.get(start..));
        start.is_some_and(|own| own.eq_ignore_ascii_case(end))
    });
    cut.filter(|_| ends_so).map_or(text, |(place, _)| place)
}

/// A plain number with a point, not with a comma.
fn decimal_point(text: &str) -> Option<f64> {
    decimal(text).filter(|_| !text.contains(','))
}

const fn plain(degrees: f64) -> Angle {
    Angle { degrees, axis: None }
}

/// Two numbers, perhaps with an altitude and a measure behind them.
fn numbers<'a>(parts: impl Iterator<Item = &'a str>) -> Option<[Angle; 2]> {
    let numbers: Vec<f64> = parts.map(|part| decimal_point(trim(part))).collect::<Option<_>>()?;
    match numbers[..] {
        [first, second] | [first, second, _] | [first, second, _, _] => Some([plain(first), plain(second)]),
        _ => None,
    }
}

/// The inside of a JSON array of two or three numbers.
fn json_numbers(inside: &str) -> Option<[Angle; 2]> {
    numbers(inside.split(',')).filter(|_| inside.matches(',').count() <= 2)
}

/// `[{"$numberDouble":"13.4"},{"$numberDouble":"52.5"}]`, as `MongoDB` exports numbers.
fn mongo_numbers(text: &str) -> Option<[Angle; 2]> {
    if !text.starts_with('[') || !text.contains("$number") {
        return None;
    }
    let values: Vec<BTreeMap<String, String>> = serde_json::from_str(text).ok()?;
    let texts: Option<Vec<&str>> =
        values.iter().map(|value| value.values().next().map(String::as_str)).collect();
    numbers(texts?.into_iter())
}

/// The inside of `POINT(…)`, `POINT Z (…)` and `SRID=4326;POINT(…)`.
fn inside_point(text: &str) -> Option<&str> {
    let text = text
        .split_once(';')
        .filter(|(srid, _)| srid.to_ascii_uppercase().starts_with("SRID="))
        .map_or(text, |(_, text)| text);
    let start = text.get(..5).filter(|start| start.eq_ignore_ascii_case("POINT"))?;
    let rest = text[start.len()..].trim_start().trim_start_matches(['Z', 'M', 'z', 'm']);
    rest.trim().strip_prefix('(')?.strip_suffix(')')
}

/// `+37.7700-122.4194/`, `+3746.2-12225.1+012.5/` or `+374612-1222509CRSWGS_84/`. `None`: it is none of these.
fn iso_6709(text: &str) -> Option<Result<Coordinates, CoordinateError>> {
    let body = text.split_once("CRS").map_or(text, |(body, _)| body).trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    if !body.starts_with(['+', '-']) || !body.bytes().all(is_plain) {
        return None;
    }
    let second = body[1..].find(['+', '-'])? + 1;
    let third = body[second + 1..].find(['+', '-']).map_or(body.len(), |at| second + 1 + at);
    let of = |text: &str, degree_digits: usize| -> Option<Result<f64, CoordinateError>> {
        let digits = &text[1..];
        let whole = digits.split('.').next().unwrap_or_default().len();
        let number = |from: usize, to: usize| digits.get(from..to)?.parse::<f64>().ok();
        let magnitude = match whole.checked_sub(degree_digits)? {
            0 => Ok(number(0, digits.len())?),
            2 => sixtieths(number(0, degree_digits)?, number(degree_digits, digits.len())?, 0.0),
            4 => sixtieths(
                number(0, degree_digits)?,
                number(degree_digits, degree_digits + 2)?,
                number(degree_digits + 2, digits.len())?,
            ),
            _ => return None,
        };
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        Some(magnitude.map(|magnitude| sign * magnitude))
    };
    let (latitude, longitude) = (of(&body[..second], 2)?, of(&body[second..third], 3)?);
    Some(latitude.and_then(|latitude| arrange([plain(latitude), plain(longitude?)], GeoOrder::LatLon)))
}

/// Two numbers between separators, perhaps with an altitude behind them.
fn between(text: &str, separator: &str) -> Option<[Angle; 2]> {
    let parts: Vec<&str> = text.split(separator).map(trim).filter(|part| !part.is_empty()).collect();
    let has_fraction = |part: &&str| part.contains(['.', ',']);
    // three whole numbers, or two between blanks, may be the degrees, minutes and seconds of one coordinate
    let is_sure = match (parts.len(), separator) {
        (2, " ") => has_fraction(&parts[0]) || parts[1].starts_with(['-', '+']),
        (2, _) => true,
        (3, ",") => parts[..2].iter().all(|part| part.contains('.')),
        (3, _) => parts[..2].iter().all(has_fraction),
        _ => false,
    };
    if !is_sure {
        return None;
    }
    let degrees: Vec<f64> = parts.iter().map(|part| decimal(part)).collect::<Option<_>>()?;
    Some([plain(degrees[0]), plain(degrees[1])])
}

/// Two angles with units or hemispheres: `52°31'N 13°24'E`, `N52 E13`, `52°31'12" 13°24'18"`, perhaps with an altitude.
fn marked(text: &str) -> Result<[Angle; 2], CoordinateError> {
    if !text.contains(|c: char| c.is_ascii_digit()) && !text.contains(',') {
        return Err(CoordinateError::NotAPair);
    }
    let tokens = angle::tokens(text)?;
    let places = |is_so: fn(&AngleToken) -> bool| -> Vec<usize> {
        tokens.iter().enumerate().filter(|(_, token)| is_so(token)).map(|(at, _)| at).collect()
    };
    let sides = places(|token| matches!(token, AngleToken::Side(..)));
    let degree_marks = places(|token| matches!(token, AngleToken::Degree));
    let (first_end, second_end) = match (&sides[..], &degree_marks[..]) {
        ([0, second], _) => (*second, tokens.len()),
        ([first, second], _) => (first + 1, second + 1),
        // the side directly follows the first number, so that the second is one of its own
        ([1], _) if matches!(tokens[..], [AngleToken::Number(_), _, ..]) => (2, tokens.len()),
        ([], [_, second]) if *second >= 1 => {
            let is_signed =
                *second >= 2 && matches!(tokens[second - 2], AngleToken::Negative | AngleToken::Positive);
            (second - 1 - usize::from(is_signed), tokens.len())
        }
        _ => return Err(CoordinateError::NotAPair),
    };
    let is_altitude = matches!(
        tokens[second_end..],
        [] | [AngleToken::Number(_)]
            | [AngleToken::Number(_), AngleToken::Minute]
            | [AngleToken::Negative | AngleToken::Positive, AngleToken::Number(_)]
            | [AngleToken::Negative | AngleToken::Positive, AngleToken::Number(_), AngleToken::Minute]
    );
    if !is_altitude || first_end > second_end {
        return Err(CoordinateError::NotAPair);
    }
    Ok([angle::of_tokens(&tokens[..first_end])?, angle::of_tokens(&tokens[first_end..second_end])?])
}

fn arrange([first, second]: [Angle; 2], order: GeoOrder) -> Result<Coordinates, CoordinateError> {
    let is_first_latitude = match (first.axis, second.axis) {
        (None, None) => order == GeoOrder::LatLon,
        (Some(Axis::Latitude), Some(Axis::Longitude) | None) | (None, Some(Axis::Longitude)) => true,
        (Some(Axis::Longitude), Some(Axis::Latitude) | None) | (None, Some(Axis::Latitude)) => false,
        (Some(_), Some(_)) => return Err(CoordinateError::WrongAxis),
    };
    let (latitude, longitude) =
        if is_first_latitude { (first.degrees, second.degrees) } else { (second.degrees, first.degrees) };
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
            ("52 deg 30' 0.00\" N", 52.5),
            ("33°45'0,0\"S", -33.75),
            ("52,30.0N", 52.5),
            ("52,30,00N", 52.5),
            ("52° 30' Nord", 52.5),
            ("South 33.75", -33.75),
        ] {
            assert_eq!(Axis::Latitude.read(text), Ok(degrees), "{text}");
        }
        assert_eq!(Axis::Longitude.read("13d24m18W"), Ok(-13.405));
        assert_eq!(Axis::Longitude.read("13d24m18s W"), Ok(-13.405));
        assert_eq!(Axis::Longitude.read("13°24'18\"Oeste"), Ok(-13.405));
        assert_eq!(Axis::Latitude.read_e7("525000000"), Ok(52.5));
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
            "POINT Z (-13.25 52.5 34)",
            "+52.5000-013.2500/",
            "+52.5-013.25+034.0/",
            "+5230-01315/",
            "+523000.0-0131500.0CRSWGS_84/",
            "52.5,-13.25,34",
            "52.5, -13.25, 34.0",
            "52,5; -13,25; 34",
            "[52.5,-13.25,34.0]",
            "52°30'0,0\"N 13°15'0,0\"W 34m",
            "52°30' -13°15'",
            "52.5N 13.25W",
            "geo:52.5,-13.25;u=35",
            "52 deg 30' 0.00\" N, 13 deg 15' 0.00\" W, 34.2 m Above Sea Level",
            "52.5, -13.25, 3 m below sea level",
            r#"[{"$numberDouble":"52.5"},{"$numberDouble":"-13.25"}]"#,
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
            ("54°19'29,8\"N", CoordinateError::NotAPair),
            ("N 54 19", CoordinateError::NotAPair),
            ("54 19", CoordinateError::NotAPair),
            ("54 19 29", CoordinateError::NotAPair),
            ("54,19", CoordinateError::OneOrTwo),
            ("54,", CoordinateError::NotAPair),
            ("54°19'N 10°8'O", CoordinateError::EastOrWest),
            ("52.5,13.4,34,1", CoordinateError::NotAPair),
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

    #[test]
    fn a_hemisphere_in_another_column_gives_the_sign_and_must_not_contradict_it() {
        let read = |text: &str, side: &str| Axis::Longitude.read_with_hemisphere(text, side);
        for (text, side, degrees) in [
            ("122.4", "W", Ok(-122.4)),
            ("-122.4", "West", Ok(-122.4)),
            ("122 24' W", "W", Ok(-122.4)),
            ("18.4", "East", Ok(18.4)),
            ("-18.4", "E", Err(CoordinateError::Contradiction)),
            ("18 E", "W", Err(CoordinateError::Contradiction)),
            ("18.4", "N", Err(CoordinateError::WrongAxis)),
            ("18.4", "O", Err(CoordinateError::EastOrWest)),
            ("18.4", "x", Err(CoordinateError::NotANumber)),
        ] {
            assert_eq!(read(text, side), degrees, "{text} {side}");
        }
    }
}
