//! Counts in texts: with separators, and with the noun that belongs to the number.

use indicatif::HumanCount;

use super::price::Credits;

/// `1234567` as `1,234,567`.
#[must_use]
pub fn with_separators(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 row`, `2,000 rows`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", with_separators(count), if count == 1 { one } else { many })
}

/// `at most 1 credit`, `at most 0.5 credits`.
#[must_use]
pub fn at_most(credits: Credits) -> String {
    at_most_shown(&credits.to_string())
}

/// The same for an amount that is a text already.
#[must_use]
pub fn at_most_shown(credits: &str) -> String {
    format!("at most {credits} {}", if credits == "1" { "credit" } else { "credits" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noun_belongs_to_the_number() {
        assert_eq!(counted(0, "row", "rows"), "0 rows");
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(1_234, "row", "rows"), "1,234 rows");
        assert_eq!(at_most_shown("1"), "at most 1 credit");
        assert_eq!(at_most_shown("0.5"), "at most 0.5 credits");
    }
}
