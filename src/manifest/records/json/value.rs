//! JSON values as they are written: the pairs of an object, the elements of an array, and the cell that a value becomes.

use std::{borrow::Cow, fmt::Write as _};

use super::super::RecordError;
use crate::manifest::{
    json_text::{self, PairList},
    values::tags::label_in,
};

/// Objects within objects are flattened down to this many levels. What is deeper is one cell, as it is written.
const DEPTH_MAX: u32 = 16;
/// An object with keys `0`, `1`, `2`, ... is a list. Such keys are smaller than this.
const LIST_KEY_MAX: u32 = 1_000;

/// The keys and values of an object.
pub(super) fn pairs(text: &str) -> Result<PairList<'_>, RecordError> {
    json_text::pairs(text).ok_or(RecordError::NotAnObject)
}

/// The elements of an array, as they are written.
pub(super) fn elements(text: &str) -> Vec<&str> {
    json_text::elements(text).unwrap_or_default()
}

/// Calls `take` with the path of each value of an object, and with the value as it is written. Objects within are flattened.
pub(super) fn walk(
    text: &str,
    path: &str,
    take: &mut dyn FnMut(&str, &str) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    walk_at(DEPTH_MAX, pairs(text)?, &mut path.to_owned(), take)
}

fn walk_at(
    depth: u32,
    pairs_here: PairList<'_>,
    path: &mut String,
    take: &mut dyn FnMut(&str, &str) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let length = path.len();
    for (key, value) in pairs_here {
        if length > 0 {
            path.push('.');
        }
        path.push_str(&key);
        let (value, inner) = without_type(value, depth)?;
        match inner {
            Some(inner) => match as_list(&inner) {
                Some(list) => take(path, &list)?,
                None => walk_at(depth - 1, inner, path, take)?,
            },
            None => take(path, value)?,
        }
        path.truncate(length);
    }
    Ok(())
}

/// A value without the type that `MongoDB` writes around it (`{"$date": "2019-05-06T07:08:09Z"}`), and its pairs where it is an
/// object that is flattened.
fn without_type(mut value: &str, depth: u32) -> Result<(&str, Option<PairList<'_>>), RecordError> {
    for _ in 0..depth {
        if !value.starts_with('{') {
            break;
        }
        let inner = pairs(value)?;
        match &inner[..] {
            [(key, typed)] if key.starts_with('$') => value = typed,
            _ => return Ok((value, Some(inner))),
        }
    }
    Ok((value, None))
}

/// The array that an object with keys such as `0` and `2` represents: PHP writes a list with gaps so.
fn as_list(pairs: &[(Cow<'_, str>, &str)]) -> Option<String> {
    let mut last = None;
    for (key, _) in pairs {
        let is_plain = key.len() == 1 || !key.starts_with('0');
        let number = key.parse::<u32>().ok().filter(|number| is_plain && *number < LIST_KEY_MAX)?;
        // sizes such as 720 and 1080 are names, not places in a list
        if last.is_some_and(|last| last >= number) || (last.is_none() && number > 9) {
            return None;
        }
        last = Some(number);
    }
    last?;
    let values: Vec<&str> = pairs.iter().map(|(_, value)| *value).collect();
    Some(format!("[{}]", values.join(",")))
}

/// A value as a cell: a text without its quotes, nothing for null and for an empty array, everything else as written.
pub(super) fn cell_of(value: &str) -> Result<String, RecordError> {
    let is_empty = value.starts_with('[') && elements(value).is_empty();
    let text = if is_empty { Some(String::new()) } else { json_text::text_of(value) };
    let cell = text.ok_or(RecordError::NotAnObject)?;
    if memchr::memchr(0, cell.as_bytes()).is_some() { Err(RecordError::Nul) } else { Ok(cell) }
}

/// An array of tags in which each object gives way to its label: `[{"name":"fog"}]` is `["fog"]`.
pub(super) fn labels(array: &str) -> Cow<'_, str> {
    if !array.contains('{') {
        return Cow::Borrowed(array);
    }
    let label = |element| label_in(element).unwrap_or(Cow::Borrowed(element));
    let labels: Vec<Cow<'_, str>> = elements(array).into_iter().map(label).collect();
    Cow::Owned(format!("[{}]", labels.join(",")))
}

/// Appends what a path such as `.name` or `.files[].url` leads to in an element, as it is written.
pub(super) fn gather<'a>(element: &'a str, path: &str, found: &mut Vec<&'a str>) {
    let Some(path) = path.strip_prefix('.').or_else(|| path.is_empty().then_some("")) else {
        if let Some(inner) = path.strip_prefix("[]") {
            for element in elements(element) {
                gather(element, inner, found);
            }
        }
        return;
    };
    if path.is_empty() {
        if element != "null" {
            found.push(element);
        }
        return;
    }
    let Ok(pairs) = pairs(element) else { return };
    for (key, value) in pairs {
        let behind = path.strip_prefix(key.as_ref());
        if let Some(behind) = behind.filter(|rest| rest.is_empty() || rest.starts_with(['.', '['])) {
            gather(value, behind, found);
        }
    }
}

/// A text with `null` for each bare `NaN` and `Infinity`, which Python and others write though JSON has none.
pub(super) fn without_bare_words(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let has = |word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    if !has("NaN") && !has("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let (mut is_in_text, mut is_escaped) = (false, false);
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if is_in_text {
            is_in_text = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else if byte == b'"' {
            is_in_text = true;
        } else if let Some(word) = ["NaN", "Infinity", "-Infinity", "-NaN"]
            .iter()
            .find(|word| bytes[at..].starts_with(word.as_bytes()))
        {
            let _ = write!(plain, "{}null", &text[start..at]);
            at += word.len();
            start = at;
            continue;
        }
        at += 1;
    }
    plain.push_str(&text[start..]);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_nan_outside_a_text_is_null() {
        let text = r#"{"a":NaN,"b":"NaN \" NaN","c":[-Infinity,Infinity]}"#;
        assert_eq!(without_bare_words(text), r#"{"a":null,"b":"NaN \" NaN","c":[null,null]}"#);
    }

    #[test]
    fn an_object_whose_keys_are_places_in_a_list_is_a_list() {
        let list = |text: &str| as_list(&pairs(text).unwrap());
        assert_eq!(list(r#"{"0":"night","2":"rain"}"#).as_deref(), Some(r#"["night","rain"]"#));
        for other in [r#"{"720":"a","1080":"b"}"#, r#"{"a":1}"#, r#"{"2":1,"1":2}"#, r#"{"01":1}"#, "{}"] {
            assert_eq!(list(other), None, "{other}");
        }
    }

    #[test]
    fn a_value_is_read_without_the_type_that_mongodb_writes_around_it() {
        let mut found = Vec::new();
        let text =
            r#"{"_id":{"$oid":"5c"},"at":{"$date":{"$numberLong":"1531754460000"}},"a":{"$b":1,"c":2}}"#;
        walk(text, "", &mut |path, value| {
            found.push(format!("{path}={value}"));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["_id=\"5c\"", "at=\"1531754460000\"", "a.$b=1", "a.c=2"]);
    }

    #[test]
    fn a_tag_written_as_an_object_is_its_label() {
        for (array, expected) in [
            (r#"[{"name":"fog"},"x",{"id":1,"name":"night"}]"#, r#"["fog","x","night"]"#),
            (r#"[{"@value":"fog","lang":"en"}]"#, r#"["fog"]"#),
            (r#"[{"id":7,"caption":"fog"}]"#, r#"["fog"]"#),
            (r#"[{"a":1,"b":2}]"#, r#"[{"a":1,"b":2}]"#),
            (r#"[{"key":"site","value":"A"},{"a":1,"b":2}]"#, r#"["site:A",{"a":1,"b":2}]"#),
        ] {
            assert_eq!(labels(array), expected);
        }
    }
}
