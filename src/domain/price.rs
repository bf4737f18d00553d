//! What an upload costs, in credits, and how many uploads a budget pays.
//!
//! The service charges per minute of video or per upload, by contract. Its API states no price, so the user gives it.

use std::{fmt, str::FromStr};

/// A millionth of a credit: prices and budgets are whole numbers of these.
const MICROS: u64 = 1_000_000;

/// An amount of credits, exact to a millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(u64);

/// A text that is no amount or price; says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PriceError(&'static str);

impl Credits {
    /// This amount times a count; the largest amount on overflow.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl FromStr for Credits {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        const FAULT: PriceError =
            PriceError("expected an amount such as 500 or 0.25, with at most six decimals");
        let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 6 || !all_digits(whole) || !all_digits(decimals) {
            return Err(FAULT);
        }
        let whole: u64 = whole.parse().map_err(|_| FAULT)?;
        let micros: u64 = format!("{decimals:0<6}").parse().map_err(|_| FAULT)?;
        whole.checked_mul(MICROS).and_then(|sum| sum.checked_add(micros)).map(Self).ok_or(FAULT)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % MICROS);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / MICROS),
            decimals => write!(f, "{}.{decimals}", self.0 / MICROS),
        }
    }
}

/// What one upload costs at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    per_upload: Credits,
}

impl Price {
    /// A price per upload.
    #[must_use]
    pub const fn per_upload(amount: Credits) -> Self {
        Self { per_upload: amount }
    }

    /// A price per minute, for videos of a maximum length in minutes.
    #[must_use]
    pub const fn per_minute(amount: Credits, minutes_max: u32) -> Self {
        Self { per_upload: amount.times(minutes_max as u64) }
    }

    /// The highest cost of a number of uploads.
    #[must_use]
    pub const fn of(self, uploads: u64) -> Credits {
        self.per_upload.times(uploads)
    }

    /// How many uploads a budget pays. `None`: uploads cost nothing.
    #[must_use]
    pub const fn uploads_within(self, budget: Credits) -> Option<u64> {
        budget.0.checked_div(self.per_upload.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(text: &str) -> Credits {
        text.parse().unwrap()
    }

    #[test]
    fn an_amount_reads_back_as_written() {
        for text in ["0", "1", "12.5", "0.000001", "18446744073709"] {
            assert_eq!(credits(text).to_string(), text);
        }
        for bad in ["", ".5", "-1", "1e3", "1.2345678", "a", "1,5", "99999999999999999999"] {
            assert!(bad.parse::<Credits>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_budget_is_never_overdrawn_by_rounding() {
        let price = Price::per_upload(credits("0.3"));
        assert_eq!(price.uploads_within(credits("1")), Some(3));
        assert_eq!(price.of(3), credits("0.9"));
        let by_the_minute = Price::per_minute(credits("0.05"), 90);
        assert_eq!(by_the_minute.of(1), credits("4.5"));
        assert_eq!(by_the_minute.uploads_within(credits("4.4")), Some(0));
        assert_eq!(Price::per_upload(credits("0")).uploads_within(credits("1")), None);
    }
}
