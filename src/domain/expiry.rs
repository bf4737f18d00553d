//! When a signed link expires, as far as the link itself says.

use std::time::Duration;

use super::{SourceUrl, UnixMillis, is_object_address};

/// A link that expires sooner is treated as expired: the service fetches the source during or after the request.
pub const LINK_LIFE_MIN: Duration = Duration::from_mins(1);

/// Parameters that hold the time in seconds since 1970: the older forms of S3 and Google Cloud Storage, Cloudfront, and
/// what others use.
const EPOCH_PARAMETERS: &[&str] = &["expires", "exp", "expiry", "expire", "expiration", "expires_at"];
/// A number of seconds outside these (2001 to 2286) is something else.
const EPOCH_SECONDS: std::ops::Range<i64> = 1_000_000_000..10_000_000_000;

impl SourceUrl {
    /// When the link expires, as [`link_expires_at`] has it.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixMillis> {
        link_expires_at(self.as_str())
    }
}

/// When the link expires: by `X-Amz-Expires`, `X-Goog-Expires` or `x-oss-expires` after the time it was signed, by `Expires` and
/// its like, by `se` of Azure's, by `ex` or `oe` of Discord's and Facebook's, or by `exp=` inside a token. None when nothing says so; the soonest when several do. The address of
/// an object in a bucket never expires.
#[must_use]
pub fn link_expires_at(address: &str) -> Option<UnixMillis> {
    let query = address.split_once('?').filter(|_| !is_object_address(address))?.1.split('#').next()?;
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    let value = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let signed = ["x-amz", "x-goog", "x-oss"].into_iter().filter_map(|vendor| {
        let from = compact_time(value(&format!("{vendor}-date"))?)?;
        let seconds: i64 = value(&format!("{vendor}-expires"))?.parse().ok()?;
        Some(from.plus_ms(seconds.checked_mul(1000)?))
    });
    let by_epoch = EPOCH_PARAMETERS.iter().filter_map(|name| epoch(value(name)?));
    let is_azure = value("sig").is_some();
    let azure = value("se").filter(|_| is_azure).and_then(iso_time);
    // hdnts=exp=1700000000~acl=/*~hmac=…
    let in_tokens = pairs.iter().filter_map(|(name, value)| {
        let whole = format!("{name}={value}");
        let (_, behind) = whole.split_once("exp=").filter(|_| whole.contains('~'))?;
        epoch(behind.split('~').next()?)
    });
    // with what signs such a link
    let in_hexadecimal = [("ex", "hm"), ("oe", "oh")]
        .into_iter()
        .filter_map(|(name, signature)| value(signature).and(hexadecimal_epoch(value(name)?)));
    signed.chain(by_epoch).chain(azure).chain(in_tokens).chain(in_hexadecimal).min()
}

/// Seconds since 1970 as eight hexadecimal digits.
pub(super) fn hexadecimal_epoch(text: &str) -> Option<UnixMillis> {
    const DIGITS: usize = 8;
    let seconds = i64::from_str_radix(text, 16).ok().filter(|_| text.len() == DIGITS)?;
    EPOCH_SECONDS.contains(&seconds).then(|| UnixMillis(seconds * 1000))
}

/// Seconds since 1970.
pub(super) fn epoch(text: &str) -> Option<UnixMillis> {
    let seconds: i64 = text.parse().ok()?;
    EPOCH_SECONDS.contains(&seconds).then(|| UnixMillis(seconds * 1000))
}

/// `20260131T120000Z`.
fn compact_time(text: &str) -> Option<UnixMillis> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let timestamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(UnixMillis(timestamp.timestamp().as_millisecond()))
}

/// `2026-01-31T12:00:00Z`, without seconds, or a date alone.
fn iso_time(text: &str) -> Option<UnixMillis> {
    let utc = |civil: jiff::civil::DateTime| {
        let timestamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(UnixMillis(timestamp.timestamp().as_millisecond()))
    };
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(UnixMillis(timestamp.as_millisecond()));
    }
    if let Ok(civil) = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%MZ", text) {
        return utc(civil);
    }
    utc(text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_when_it_expires_in_the_way_of_its_storage() {
        let noon = "2023-11-14T22:13:20Z"; // 1700000000
        for (query, expected) in [
            ("X-Amz-Date=20231114T211320Z&X-Amz-Expires=3600&X-Amz-Signature=a", Some(noon)),
            ("x-goog-date=20231114T211320Z&x-goog-expires=3600&x-goog-signature=a", Some(noon)),
            ("Expires=1700000000&Signature=a&Key-Pair-Id=k", Some(noon)),
            ("sv=1&se=2023-11-14T22%3A13%3A20Z&sig=a", Some(noon)),
            ("sv=1&se=2023-11-14&sig=a", Some("2023-11-14T00:00:00Z")),
            ("hdnts=exp=1700000000~acl=/*~hmac=ab", Some(noon)),
            ("exp=1700000000&expires=1800000000", Some(noon)),
            ("x-oss-date=20231114T211320Z&x-oss-expires=3600&x-oss-signature=a", Some(noon)),
            ("ex=6553f100&is=6552&hm=a", Some(noon)),
            ("oh=00_A&oe=6553F100", Some(noon)),
            // an ordinary parameter of that name
            ("ex=6553f100", None),
            ("se=2023&exp=12&expires=soon", None),
            ("X-Amz-Expires=3600", None),
            ("", None),
        ] {
            let url = SourceUrl::parse(&format!("https://host/a.mp4?{query}#t=1")).unwrap();
            assert_eq!(
                url.expires_at().map(|timestamp| timestamp.to_string()).as_deref(),
                expected,
                "{query}"
            );
        }
        assert_eq!(SourceUrl::parse("https://host/a.mp4").unwrap().expires_at(), None);
    }
}
