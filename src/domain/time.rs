//! Timestamps, and the dates of HTTP.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A timestamp: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The timestamp `period_ms` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn plus_ms(self, period_ms: i64) -> Self {
        Self(self.0.saturating_add(period_ms))
    }

    /// The timestamp `duration` later; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        self.plus_ms(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// The timestamp `duration` earlier; saturates at the beginning of time.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        self.plus_ms(-i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds from `earlier` to this timestamp; negative when `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads a date of an HTTP header in any of its three forms (RFC 9110, 5.6.7), with an offset, as mails have it, or in RFC 3339.
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
            return Some(Self(date.timestamp().as_millisecond()));
        }
        if let Ok(date) = text.parse::<jiff::Timestamp>() {
            return Some(Self(date.as_millisecond()));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since_1970.as_millis()).ok().map(Self)
    }

    /// The duration from now until this timestamp, zero when it has passed.
    #[must_use]
    pub fn after_now(self, now: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.since_ms(now)).unwrap_or(0))
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with seconds, such as `2026-01-31T12:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Serialises a timestamp as RFC 3339 in UTC.
pub fn rfc3339<S: serde::Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Serialises a timestamp as RFC 3339 in UTC, or as null.
pub fn rfc3339_option<S: serde::Serializer>(
    at: &Option<UnixMillis>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_utc() {
        assert_eq!(UnixMillis(1_700_000_000_999).to_string(), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn a_date_of_http_is_read_in_each_of_its_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 09:49:37 +0100",
        ] {
            assert_eq!(UnixMillis::parse_http_date(text), Some(UnixMillis(784_111_777_000)), "{text}");
        }
        assert_eq!(UnixMillis::parse_http_date("soon"), None);
    }
}
