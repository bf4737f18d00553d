//! Values as users write them on the command line.

use std::{str::FromStr, time::Duration};

use clap::ValueEnum;

use crate::limit::parse_span;

/// A span such as `90s`, `10m` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_span(text)
            .map(Self)
            .ok_or_else(|| "expected a span such as 500ms, 90s, 10m, 2h or 1h30m".to_owned())
    }
}

/// A range of spans such as `2s..8s`, or one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRange {
    pub(super) low: Duration,
    pub(super) high: Duration,
}

impl FromStr for SpanRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "expected a span such as 2s, or a range such as 200ms..2s".to_owned();
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let low = parse_span(low).ok_or_else(fault)?;
        let high = parse_span(high).filter(|high| *high >= low).ok_or_else(fault)?;
        Ok(Self { low, high })
    }
}

/// One ASCII character, or its name.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
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

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// A namespace: not empty, at most 200 characters, no control characters.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_good = !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if is_good { Ok(text.to_owned()) } else { Err("expected 1 to 200 characters".to_owned()) }
}

/// A separator: anything but nothing.
pub(super) fn separator(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected at least one character".to_owned()) } else { Ok(text.to_owned()) }
}

/// What to do with offsets in times.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum OffsetArg {
    /// Keep the time as written and drop the offset.
    Keep,
    /// Convert to UTC.
    Utc,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormatArg {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused_with_an_example() {
        assert_eq!("90s".parse::<Span>().unwrap().0, Duration::from_secs(90));
        assert!("soon".parse::<Span>().unwrap_err().contains("90s"));
        let range: SpanRange = "2s..8s".parse().unwrap();
        assert_eq!((range.low.as_secs(), range.high.as_secs()), (2, 8));
        assert!("8s..2s".parse::<SpanRange>().is_err());
        assert_eq!([delimiter("tab"), delimiter(";")], [Ok(b'\t'), Ok(b';')]);
        for bad in ["", "\"", "ab", "é"] {
            assert!(delimiter(bad).is_err(), "{bad}");
        }
        assert!(share("1.5").is_err() && share("nan").is_err() && share("0.3").is_ok());
        assert!(namespace(" ").is_err() && namespace("a\u{7}").is_err());
    }
}
