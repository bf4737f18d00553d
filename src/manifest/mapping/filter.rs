//! Row filters: rows that are left out because a column does not hold what it must.

use std::{fmt, str::FromStr};

use super::names::{find_name, hint_for};
use crate::manifest::ManifestError;

/// One `--where COLUMN=VALUE`, or with `!=`, `~` (contains) or `!~`. Rows for which it does not hold are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// By name or `#number`.
    pub column: String,
    test: Test,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Is,
    IsNot,
    Contains,
    ContainsNot,
}

const TESTS: &[(&str, Test)] =
    &[("!=", Test::IsNot), ("!~", Test::ContainsNot), ("=", Test::Is), ("~", Test::Contains)];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = TESTS.iter().filter_map(|(sign, test)| Some((text.find(sign)?, *sign, *test)));
        let form = "expected COLUMN=VALUE, or != (is not), ~ (contains), !~ (does not contain): format=M3U8; a value that begins with = or ~ \
                    stands behind a blank";
        // of two that begin at the same place the longer comes first
        let (at, sign, how) = first.min_by_key(|(at, sign, _)| (*at, 2 - sign.len())).ok_or(form)?;
        let (before, behind) = (&text[..at], &text[at + sign.len()..]);
        let (column, value) = (before.trim(), behind.trim());
        // `>=`, `<=`, `==`, `=~` and the like; a blank behind the sign makes the next sign a part of the value
        let is_longer = column.ends_with(['<', '>', '^', '$', '*', '|']) || behind.starts_with(['=', '~']);
        if is_longer || (column.starts_with('!') && !sign.starts_with('!')) {
            return Err(format!("there is no such comparison: {form}. Numbers are compared as texts"));
        }
        if column.is_empty() {
            return Err(form.to_owned());
        }
        Ok(Self { column: column.to_owned(), test: how, value: value.to_owned() })
    }
}

impl Filter {
    /// Whether a row with these cells stays. An error where `columns` has no such column; `path` names the manifest in it.
    pub fn keeps(&self, path: &str, columns: &[String], cells: &[String]) -> Result<bool, ManifestError> {
        let place = find_name(columns, &self.column).ok_or_else(|| ManifestError::UnknownColumn {
            path: path.to_owned(),
            flag: "--where".to_owned(),
            column: crate::redact::clean(&self.column),
            hint: hint_for(columns, &self.column),
        })?;
        Ok(self.holds(cells.get(place).map_or("", String::as_str)))
    }

    /// The flag, as a shell takes it, that leaves out the rows whose column (from 0) is this value or, with `is_part`, contains it.
    pub(in crate::manifest) fn leaving_out(column: usize, name: &str, value: &str, is_part: bool) -> String {
        let test = if is_part { Test::ContainsNot } else { Test::IsNot };
        let named = Self { column: name.to_owned(), test, value: value.to_owned() };
        let reads_back = named.to_string().parse().as_ref() == Ok(&named);
        let filter = if reads_back { named } else { Self { column: format!("#{}", column + 1), ..named } };
        format!("--where '{}'", filter.to_string().replace('\'', "'\\''"))
    }

    /// Whether a row with this value stays.
    pub(in crate::manifest) fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        match self.test {
            Test::Is => value == self.value,
            Test::IsNot => value != self.value,
            Test::Contains => value.contains(&self.value),
            Test::ContainsNot => !value.contains(&self.value),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = TESTS.iter().find(|(_, test)| *test == self.test).map_or("", |(sign, _)| sign);
        // the sign of exclamation that a name ends in is no part of the test
        let gap = if self.column.ends_with('!') { " " } else { "" };
        let before_value = if self.value.starts_with(['=', '~']) { " " } else { "" };
        write!(f, "{}{gap}{sign}{before_value}{}", self.column, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_signs_beside_its_own_reads_back_as_it_is_shown() {
        for text in [
            "wow! =yes",
            "wow! ~yes",
            "wow!!=yes",
            "wow!!~yes",
            "n= =3",
            "n!= =",
            "n~ ~x",
            "n!~ =x",
            "a b= =",
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.to_string().parse(), Ok(filter), "{text}");
        }
    }

    #[test]
    fn a_filter_keeps_the_rows_it_names() {
        for (filter, kept, left_out) in [
            ("format=M3U8", " M3U8 ", "m3u8"),
            ("format!=M3U8", "", "M3U8"),
            ("url~.mp4", "https://h/a.mp4?x=1", "https://h/a.jpg"),
            ("url!~youtube", "https://h/a.mp4", "https://youtube.example/1"),
            ("note=", "", "x"),
            ("note!=", "x", " "),
        ] {
            let parsed: Filter = filter.parse().unwrap();
            assert!(parsed.holds(kept) && !parsed.holds(left_out), "{filter}");
            assert_eq!(parsed.to_string(), filter);
        }
        for bad in ["format", "=x", ""] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
        for bad in [
            "n>=3", "n <= 3", "n==3", "n!==3", "!n=3", "n=~x", "n^=x", "n$=x", "n*=x", "n<>=3", "n|=x",
            "n~=x",
        ] {
            let error = bad.parse::<Filter>().unwrap_err();
            assert!(error.contains("no such comparison"), "{bad}: {error}");
        }
        assert!("n= =3".parse::<Filter>().unwrap().holds("=3"), "a blank makes a sign a part of the value");
    }
}
