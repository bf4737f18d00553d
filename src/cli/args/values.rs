//! Values as users write them on the command line.

use std::{net::SocketAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use clap::ValueEnum;

use crate::{
    domain::{Credits, UnixMillis, parse_duration},
    manifest::{Field, Format, GeoOrder, Quote, SameBy, TooLong},
};

/// A whole number within bounds.
pub(in crate::cli) fn whole<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| bounds.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match bounds.clone().into_inner() {
            (low, u64::MAX) => format!("expected a whole number, {low} or more"),
            (low, high) => format!("expected a whole number from {low} to {high}"),
        })
    }
}

/// An address of this machine and a port.
pub(in crate::cli) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8088".to_owned())
}

/// A duration such as `90s`, `10m` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct DurationArg(pub(in crate::cli) Duration);

impl FromStr for DurationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self).ok_or_else(|| {
            "expected a duration of more than 0, such as 500ms, 90s, 10m, 2h or 1h30m".to_owned()
        })
    }
}

/// A time that is a duration ago (`2d`), or a time or a date as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum SinceArg {
    Ago(Duration),
    At(UnixMillis),
}

impl SinceArg {
    /// The time that is meant now.
    pub(in crate::cli) fn before(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Ago(duration) => now.minus(duration),
            Self::At(at) => at,
        }
    }
}

impl FromStr for SinceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = |timestamp: jiff::Timestamp| Self::At(UnixMillis(timestamp.as_millisecond()));
        let midnight = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::system()).ok();
        parse_duration(text)
            .map(Self::Ago)
            .or_else(|| text.parse::<jiff::Timestamp>().ok().map(at))
            .or_else(|| text.parse().ok().and_then(midnight).map(|zoned| at(zoned.timestamp())))
            .ok_or_else(|| {
                "expected a duration such as 2d, or a time such as 2026-01-31T12:00:00Z".to_owned()
            })
    }
}

/// The life of a link: at most a week, the bound of the signatures of S3 and Google Cloud Storage.
pub(in crate::cli) fn link_life(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|life| (Duration::from_secs(1)..=Duration::from_hours(7 * 24)).contains(life))
        .ok_or_else(|| "expected a duration from 1s to 7d, such as 6h or 1d".to_owned())
}

/// How long to wait for an answer: long enough for the service to fetch a video, and shorter than an upload without an
/// answer counts as perhaps accepted.
pub(in crate::cli) fn request_timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| (Duration::from_secs(5)..=Duration::from_mins(10)).contains(time))
        .ok_or_else(|| "expected a duration from 5s to 10m, such as 30s or 2m".to_owned())
}

/// A range of durations such as `2s..8s`, or one duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct DurationRangeArg {
    pub(in crate::cli) low: Duration,
    pub(in crate::cli) high: Duration,
}

impl FromStr for DurationRangeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || "expected a duration such as 2s, or a range such as 0..20ms or 200ms..2s".to_owned();
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let low =
            if matches!(low.trim(), "0" | "0ms" | "0s") { Some(Duration::ZERO) } else { parse_duration(low) };
        let low = low.ok_or_else(error)?;
        let high = parse_duration(high).filter(|high| *high >= low).ok_or_else(error)?;
        Ok(Self { low, high })
    }
}

/// The name of an account: it is part of its ledger's name.
pub(in crate::cli) fn account(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("expected up to 64 letters, digits, - and _".to_owned())
    }
}

/// A size such as `32MiB`, in bytes.
pub(in crate::cli) fn size(text: &str) -> Result<u64, String> {
    let error = || "expected a size such as 0, 512KiB, 32MiB or 1GiB".to_owned();
    let digits = text.trim().trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text.trim()[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(error()),
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(error)
}

/// A bandwidth such as `10MiB` or `10MiB/s`, in bytes per second.
pub(in crate::cli) fn bandwidth(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let bytes = size(text.strip_suffix("/s").unwrap_or(text)).ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "expected bytes per second such as 512KiB or 10MiB".to_owned())
}

/// One ASCII character, or its name.
pub(in crate::cli) fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" | "\t" => Ok(b'\t'),
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "pipe" => Ok(b'|'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err("expected one character, or tab, comma, semicolon or pipe".to_owned()),
        },
    }
}

/// One ASCII character that is no line break.
pub(in crate::cli) fn character(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err("expected one character, such as # or \\".to_owned()),
    }
}

/// What encloses cells.
pub(in crate::cli) fn quote(text: &str) -> Result<Quote, String> {
    match text {
        "none" => Ok(Quote::None),
        _ => character(text).map(Quote::Byte).map_err(|_| "expected one character, or none".to_owned()),
    }
}

/// A price: by the upload, or by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum PriceArg {
    Upload(Credits),
    Minute(Credits),
}

/// `2`, `2/upload` or `0.1/min`.
pub(in crate::cli) fn price(text: &str) -> Result<PriceArg, String> {
    let (amount, unit) = text.split_once('/').unwrap_or((text, "upload"));
    let amount: Credits = amount.parse().map_err(|error: crate::domain::PriceError| error.to_string())?;
    match unit.trim() {
        "upload" => Ok(PriceArg::Upload(amount)),
        "min" | "minute" => Ok(PriceArg::Minute(amount)),
        _ => Err("expected a price such as 2/upload or 0.1/min".to_owned()),
    }
}

/// A field that a row may lack. A part of a place represents the whole place.
pub(in crate::cli) fn optional_field(text: &str) -> Result<Field, String> {
    match Field::from_str(text.trim()) {
        Ok(Field::Latitude | Field::Longitude | Field::Geo) => Ok(Field::Geo),
        Ok(
            field @ (Field::Tags
            | Field::Datetime
            | Field::CameraModel
            | Field::Callback
            | Field::RetainOriginalVideo
            | Field::VideoTranscriptionPrompt),
        ) => Ok(field),
        Ok(_) | Err(_) => {
            Err("expected one of geo, datetime, tags, camera_model, callback, retain_original_video, \
             video_transcription_prompt"
                .to_owned())
        }
    }
}

/// A share from 0 to 1.
pub(in crate::cli) fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// A namespace: not empty, at most 200 characters, no control characters.
pub(in crate::cli) fn namespace(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_good = !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if is_good { Ok(text.to_owned()) } else { Err("expected 1 to 200 characters".to_owned()) }
}

/// A time zone by its name in the tz database.
pub(in crate::cli) fn zone(text: &str) -> Result<jiff::tz::TimeZone, String> {
    jiff::tz::TimeZone::get(text)
        .map_err(|_| "expected a zone such as Europe/Berlin, America/New_York or UTC".to_owned())
}

/// A separator: at least one character.
pub(in crate::cli) fn separator(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected at least one character".to_owned()) } else { Ok(text.to_owned()) }
}

/// The name of an enumerated value.
pub(in crate::cli) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What to do with offsets in times.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum OffsetArg {
    /// Keep the time as written and drop the offset.
    Keep,
    /// Convert to UTC.
    Utc,
}

/// The file format.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum FormatArg {
    /// Cells with delimiters.
    Csv,
    /// JSON Lines, or JSON arrays of objects.
    Json,
    /// One url per line.
    List,
}

impl FormatArg {
    pub(in crate::cli) const fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Json => Format::Json,
            Self::List => Format::List,
        }
    }
}

/// What identifies a video.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum SameByArg {
    /// The url, without its signature.
    Url,
    /// The id of the row, whatever its url.
    Id,
}

impl SameByArg {
    pub(in crate::cli) const fn rule(self) -> SameBy {
        match self {
            Self::Url => SameBy::Url,
            Self::Id => SameBy::Id,
        }
    }
}

/// The order of two coordinates.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum GeoOrderArg {
    /// Latitude first.
    LatLon,
    /// Longitude first.
    LonLat,
}

impl GeoOrderArg {
    pub(in crate::cli) const fn order(self) -> GeoOrder {
        match self {
            Self::LatLon => GeoOrder::LatLon,
            Self::LonLat => GeoOrder::LonLat,
        }
    }
}

/// What to do with values that are too long.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum TooLongArg {
    /// Reject the row.
    Refuse,
    /// Cut the value; check shows a warning.
    Cut,
}

impl TooLongArg {
    pub(in crate::cli) const fn rule(self) -> TooLong {
        match self {
            Self::Refuse => TooLong::Refuse,
            Self::Cut => TooLong::Cut,
        }
    }
}

/// What to do with rows that were sent with other content.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum OnDriftArg {
    /// Keep what was sent, and report the row.
    Report,
    /// Send and pay the row again; the earlier video stays at the service.
    Resend,
    /// Keep what was sent, and report nothing.
    Ignore,
}

/// What to do with requests without a clear answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnDoubtArg {
    /// Use markers, proof of absence and the rule that an unknown video is ours; needs --exclusive.
    Auto,
    /// Use markers and proof of absence; hold everything else.
    Hold,
    /// Use markers only; everything else needs a review.
    Ask,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum LogFormatArg {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused_with_an_example() {
        assert_eq!("90s".parse::<DurationArg>().unwrap().0, Duration::from_secs(90));
        assert!("soon".parse::<DurationArg>().unwrap_err().contains("90s"));
        let range: DurationRangeArg = "2s..8s".parse().unwrap();
        assert_eq!((range.low.as_secs(), range.high.as_secs()), (2, 8));
        assert!("8s..2s".parse::<DurationRangeArg>().is_err());
        assert_eq!("0..20ms".parse::<DurationRangeArg>().unwrap().low, Duration::ZERO);
        assert_eq!([delimiter("tab"), delimiter(";")], [Ok(b'\t'), Ok(b';')]);
        for bad in ["", "\"", "ab", "é"] {
            assert!(delimiter(bad).is_err(), "{bad}");
        }
        assert_eq!([size("32MiB"), size("0"), size("1 GiB")], [Ok(32 << 20), Ok(0), Ok(1 << 30)]);
        assert!(size("many").is_err() && size("1TB").is_err() && size("").is_err());
        assert_eq!([bandwidth("10MiB"), bandwidth("1KiB/s")], [Ok(10 << 20), Ok(1 << 10)]);
        assert!(bandwidth("0").is_err() && bandwidth("10MB/min").is_err());
        assert_eq!(request_timeout("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(request_timeout("10m"), Ok(Duration::from_mins(10)));
        for bad in ["4s", "11m", "0s", "30", "-1s", ""] {
            assert!(request_timeout(bad).unwrap_err().contains("5s to 10m"), "{bad}");
        }
        assert!(share("1.5").is_err() && share("nan").is_err() && share("0.3").is_ok());
        assert!(namespace(" ").is_err() && namespace("a\u{7}").is_err());
    }
}
