//! Names of columns: made unique, split into their parts, and compared.

use super::super::records::EACH;
use crate::suggest;

/// Header names, each once: a second `date` becomes `date#2`, an empty one its number.
pub(in crate::manifest) fn unique_names(first: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::with_capacity(first.len());
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    for (at, cell) in first.iter().enumerate() {
        let name = crate::manifest::values::trim(cell);
        let base = if name.is_empty() { format!("#{}", at + 1) } else { name.to_owned() };
        let mut unique = base.clone();
        let mut copy = 2;
        while !seen.insert(unique.clone()) {
            unique = format!("{base}#{copy}");
            copy += 1;
        }
        names.push(unique);
    }
    names
}

/// The column of the n-th folder of a key, from 1: `path[1]`.
pub(in crate::manifest) fn listing_column(number: usize) -> String {
    format!("path[{number}]")
}

/// The parts of a name in lower case with `_` between them: `GPSLatitude`, `gps latitude` and `gps-latitude` become
/// `gps_latitude`.
pub(in crate::manifest) fn parts_of(name: &str) -> String {
    let letters: Vec<char> = name.trim().chars().collect();
    let mut parts = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            parts.push('_');
            continue;
        }
        let before = at.checked_sub(1).map(|at| letters[at]);
        let is_followed_by_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins_a_part = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && is_followed_by_lower)
            });
        if begins_a_part {
            parts.push('_');
        }
        parts.extend(letter.to_lowercase());
    }
    parts.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

/// A name as it is compared: in lower case, without anything but letters and digits.
pub(in crate::manifest) fn squashed(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `url` of `media[].url`.
pub(in crate::manifest) fn last_part(name: &str) -> &str {
    name.rsplit(['.', ']']).next().unwrap_or(name)
}

/// The column of this name, or of this `#number`; else the only one whose name is the same but for case, or else but for case
/// and signs.
pub(in crate::manifest) fn find_name(names: &[String], name: &str) -> Option<usize> {
    if let Some(number) = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok()) {
        return (1..=names.len()).contains(&number).then(|| number - 1);
    }
    let only = |is_so: &dyn Fn(&String) -> bool| {
        let mut found = names.iter().enumerate().filter(|(_, own)| is_so(own));
        let first = found.next();
        first.map(|(column, _)| found.next().is_none().then_some(column))
    };
    if let Some(column) = names.iter().position(|own| own == name) {
        return Some(column);
    }
    if let Some(by_case) = only(&|own| own.to_lowercase() == name.to_lowercase()) {
        return by_case;
    }
    let squashed_name = squashed(name);
    // these mean something else than the column without them
    let is_special = name.contains(['[', '*', '?', '<', '>', '=', '!', '~', '^', '$', '|']);
    let is_same = |own: &String| !is_special && !squashed_name.is_empty() && squashed(own) == squashed_name;
    only(&is_same).unwrap_or_else(|| in_elements(names, name))
}

/// The only column of the elements of an array whose path within the element is this name.
fn in_elements(names: &[String], name: &str) -> Option<usize> {
    let is_so =
        |own: &String| own.split_once(EACH).is_some_and(|(_, inner)| inner.strip_prefix('.') == Some(name));
    let mut found = names.iter().enumerate().filter(|(_, own)| is_so(own));
    let (column, _) = found.next()?;
    found.next().is_none().then_some(column)
}

/// The columns whose names are the same as this one but for case and signs: which is meant is not known.
fn alike<'a>(names: &'a [String], name: &str) -> Vec<&'a String> {
    let squashed_name = squashed(name);
    let alike: Vec<&String> = names.iter().filter(|own| squashed(own) == squashed_name).collect();
    if squashed_name.is_empty() || alike.len() < 2 { Vec::new() } else { alike }
}

/// For a user who asked for a column that is not there: those that may be meant, or all.
pub(in crate::manifest) fn hint_for(names: &[String], name: &str) -> String {
    let alike: Vec<String> = alike(names, name).into_iter().map(|name| crate::redact::opaque(name)).collect();
    if !alike.is_empty() {
        return format!("write one of these as it is: {}", alike.join(", "));
    }
    match suggest::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}? {}", crate::redact::opaque(near), listing(names)),
        None => listing(names),
    }
}

/// Columns that are named where another was expected.
const LISTED_MAX: usize = 60;

/// The names, for a user who asked for another.
pub(in crate::manifest) fn listing(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| crate::redact::opaque(name)).collect();
    let more = match names.len().saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the columns are {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_signs_and_at_changes_of_case() {
        for (name, parts) in [
            ("decimalLatitude", "decimal_latitude"),
            ("GPSLatitude", "gps_latitude"),
            ("videoURL", "video_url"),
            ("Date / Time", "date_time"),
            ("latitudeE7", "latitude_e7"),
            ("sha256", "sha256"),
            ("LÄNGE", "länge"),
            ("_", ""),
        ] {
            assert_eq!(parts_of(name), parts, "{name}");
        }
    }

    #[test]
    fn a_column_is_found_whatever_its_case_and_signs() {
        let names = ["deploymentID".to_owned(), "a b".to_owned()];
        assert_eq!(find_name(&names, "deploymentid"), Some(0));
        assert_eq!(find_name(&names, "A_B"), Some(1));
        assert_eq!(find_name(&names, "#2"), Some(1));
        assert_eq!(find_name(&names, "deploymentID?"), None);
        assert_eq!(find_name(&names, "#3"), None);
        assert_eq!(find_name(&names, "?"), None);
        let alike = ["C#", "C++", "C", "a b", "A_B", "temp (+)", "temp (-)"].map(str::to_owned);
        for (name, column) in
            [("c", Some(2)), ("a_b", Some(4)), ("A B", Some(3)), ("ab", None), ("temp", None)]
        {
            assert_eq!(find_name(&alike, name), column, "{name}");
        }
        assert_eq!(hint_for(&alike, "Temp"), "write one of these as it is: temp (+), temp (-)");
        assert_eq!(
            hint_for(&names, "deploymentsID"),
            "did you mean deploymentID? the columns are deploymentID, a b"
        );
        assert_eq!(hint_for(&names, "x"), "the columns are deploymentID, a b");
    }
}
