//! Transforms: what a value goes through between its cell and its field.
//!
//! ```text
//!   transform := '|' NAME argument*
//!   argument  := '\'' text '\''      ('' is a quote)
//!              | '"' text '"'
//!              | text without blanks
//! ```

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;

use super::{
    rule_error::{MapRuleError, read_quoted},
    wrapped::addresses_in,
};
use crate::manifest::{
    json_text::{self, PairList},
    values::trim,
};

/// One step between a cell and a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// The value goes into an address without percent-encoding.
    Raw,
    /// Decodes HTML entities: `&amp;` becomes `&`.
    Html,
    /// Decodes form encoding: `+` becomes a blank, `%21` becomes `!`.
    Form,
    /// Removes blanks and invisible characters at both ends.
    Trim,
    /// Replaces every occurrence of the first text by the second.
    Replace(String, String),
    /// Makes several values of one, between occurrences of this text.
    Split(String),
    /// Keeps the first value that is not empty.
    First,
    /// Takes the addresses out of a text, each as a value: `[Watch](https://host/a.mp4)`.
    Address,
    /// Takes the value at this path in the JSON of the cell: `media.0.url`, `streams[].url`.
    Json(String),
}

/// Why a transform cannot read a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum Unreadable {
    NotJson,
    /// What is percent-encoded in it is no UTF-8.
    NotUtf8,
}

/// The names, each with its number of arguments.
const NAMES: &[(&str, usize)] = &[
    ("raw", 0),
    ("html", 0),
    ("form", 0),
    ("trim", 0),
    ("replace", 2),
    ("split", 1),
    ("first", 0),
    ("address", 0),
    ("json", 1),
];

impl Transform {
    fn of(name: &str, mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        Some(match name {
            "raw" => Self::Raw,
            "html" => Self::Html,
            "form" => Self::Form,
            "trim" => Self::Trim,
            "replace" => Self::Replace(arguments.next().filter(|from| !from.is_empty())?, arguments.next()?),
            "split" => Self::Split(arguments.next().filter(|separator| !separator.is_empty())?),
            "first" => Self::First,
            "address" => Self::Address,
            "json" => Self::Json(arguments.next()?),
            _ => return None,
        })
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Html => "html",
            Self::Form => "form",
            Self::Trim => "trim",
            Self::Replace(..) => "replace",
            Self::Split(_) => "split",
            Self::First => "first",
            Self::Address => "address",
            Self::Json(_) => "json",
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        write!(f, "|{}", self.name())?;
        match self {
            Self::Raw | Self::Html | Self::Form | Self::Trim | Self::First | Self::Address => Ok(()),
            Self::Replace(from, to) => write!(f, " {} {}", quoted(from), quoted(to)),
            Self::Split(text) | Self::Json(text) => write!(f, " {}", quoted(text)),
        }
    }
}

/// The number of arguments of the transform that a text begins with. `None`: it begins with none, so that a `|` before it is
/// part of a column's name.
pub(super) fn arguments_of(text: &str) -> Option<(&'static str, usize)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, count) = NAMES.iter().find(|(name, _)| *name == &text[..end])?;
    let is_end = |c: char| c.is_whitespace() || "|}+'=,".contains(c);
    let is_whole = text[end..].is_empty() || text[end..].starts_with(is_end);
    is_whole.then_some((*name, *count))
}

/// Reads transforms from a text that begins with `|`. Gives them and the text behind the last one.
pub(super) fn read(mut text: &str) -> Result<(Vec<Transform>, &str), MapRuleError> {
    let mut transforms = Vec::new();
    while let Some(behind) = text.strip_prefix('|') {
        let error = || MapRuleError::Transform(behind.trim().chars().take(40).collect());
        let (name, count) = arguments_of(behind).ok_or_else(error)?;
        text = behind.trim_start().strip_prefix(name).ok_or_else(error)?;
        let mut arguments = Vec::with_capacity(count);
        for _ in 0..count {
            let (argument, rest) = read_argument(text.trim_start())?;
            arguments.push(argument);
            text = rest;
        }
        transforms.push(Transform::of(name, arguments.into_iter()).ok_or_else(error)?);
        text = text.trim_start();
    }
    Ok((transforms, text))
}

fn read_argument(text: &str) -> Result<(String, &str), MapRuleError> {
    if text.starts_with('\'') {
        return read_quoted(text);
    }
    if let Some(inner) = text.strip_prefix('"') {
        let unclosed = || MapRuleError::Transform(text.chars().take(40).collect());
        let (argument, rest) = inner.split_once('"').ok_or_else(unclosed)?;
        return Ok((argument.to_owned(), rest));
    }
    if let Some(quote) = text.chars().next().filter(|first| "‘’‚‛“”„‟«»´`".contains(*first))
    {
        return Err(MapRuleError::Quote(quote));
    }
    let is_end = |c: char| c.is_whitespace() || "|+{}'=,".contains(c);
    let end = text.find(is_end).unwrap_or(text.len());
    if end == 0 {
        return Err(MapRuleError::Transform(text.chars().take(40).collect()));
    }
    Ok((text[..end].to_owned(), &text[end..]))
}

/// Applies transforms to the text of a cell, one after the other. A cell that a transform cannot read is an error.
pub(in crate::manifest) fn apply<'a>(
    text: &'a str,
    transforms: &[Transform],
) -> Result<Vec<Cow<'a, str>>, Unreadable> {
    let mut values = vec![Cow::Borrowed(text)];
    for transform in transforms {
        match transform {
            Transform::Raw => {}
            Transform::Html => map(&mut values, html_escape::decode_html_entities),
            Transform::Form => {
                for value in &mut values {
                    *value = Cow::Owned(decode_form(value)?);
                }
            }
            Transform::Trim => map(&mut values, |text| Cow::Borrowed(trim(text))),
            Transform::Replace(from, to) => map(&mut values, |text| Cow::Owned(text.replace(from, to))),
            Transform::Split(separator) => {
                let parts = values.iter().flat_map(|text| text.split(separator.as_str()));
                values = parts.map(|part| Cow::Owned(part.to_owned())).collect();
            }
            Transform::First => {
                let first = values.into_iter().find(|text| !trim(text).is_empty());
                values = first.into_iter().collect();
            }
            Transform::Address => {
                let found = values.iter().flat_map(|text| addresses_in(text));
                values = found.map(|address| Cow::Owned(address.to_owned())).collect();
            }
            Transform::Json(path) => {
                let mut found = Vec::new();
                for text in values.iter().filter(|text| !trim(text).is_empty()) {
                    json_text::check(text).map_err(|_| Unreadable::NotJson)?;
                    collect(trim(text), &steps_of(path), &mut found);
                }
                values = found.into_iter().map(Cow::Owned).collect();
            }
        }
    }
    let trimmed = values.into_iter().map(|text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => Cow::Owned(trim(&text).to_owned()),
    });
    Ok(trimmed.filter(|text| !text.is_empty()).collect())
}

fn map(values: &mut [Cow<'_, str>], change: impl Fn(&str) -> Cow<'_, str>) {
    for value in values {
        let changed = change(value);
        if changed != *value {
            *value = Cow::Owned(changed.into_owned());
        }
    }
}

fn decode_form(text: &str) -> Result<String, Unreadable> {
    let decoded = percent_decode_str(&text.replace('+', " ")).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| Unreadable::NotUtf8)
}

/// `media[0].url`, `media.0.url` and `$.media[0].url` are the same steps; an empty one represents each element.
fn steps_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches('$').replace("[]", "[*]").replace('[', ".").replace(']', "");
    path.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

/// No path goes deeper, and no cell gives more values.
const VALUES_MAX: usize = 1_000;

/// The texts at a path. A list at its end gives each of its elements.
fn collect(value: &str, steps: &[String], found: &mut Vec<String>) {
    if found.len() >= VALUES_MAX {
        return;
    }
    let elements = json_text::elements(value);
    let Some((step, rest)) = steps.split_first() else {
        match elements {
            Some(elements) => elements.into_iter().for_each(|element| collect(element, &[], found)),
            None if value == "null" => {}
            None => found.extend(json_text::text_of(value)),
        }
        return;
    };
    if let Some(elements) = elements {
        let chosen: Vec<&str> = match step.as_str() {
            "*" => elements,
            place => {
                place.parse::<usize>().ok().and_then(|at| elements.get(at).copied()).into_iter().collect()
            }
        };
        return chosen.into_iter().for_each(|element| collect(element, rest, found));
    }
    let Some(members) = json_text::pairs(value) else { return };
    let point = if step == "coordinates" && rest.is_empty() { point_of(&members) } else { None };
    match (point, member(&members, step)) {
        (Some(point), _) => found.push(point),
        (None, Some(member)) => collect(member, rest, found),
        (None, None) => {}
    }
}

fn member<'a>(members: &PairList<'a>, name: &str) -> Option<&'a str> {
    members.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
}

/// The point that a `GeoJSON` geometry is, in a form that says which number is which.
fn point_of(geometry: &PairList<'_>) -> Option<String> {
    let kind = json_text::text_of(member(geometry, "type")?)?.to_ascii_lowercase();
    let coordinates = json_text::elements(member(geometry, "coordinates")?)?;
    let numbers = match (kind.as_str(), &coordinates[..]) {
        ("point", [_, _, ..]) => coordinates,
        ("multipoint", [only]) => json_text::elements(only).filter(|numbers| numbers.len() > 1)?,
        _ => return None,
    };
    Some(format!("POINT({} {})", numbers[0], numbers[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(transforms: &str, cell: &str) -> Result<Vec<String>, Unreadable> {
        let (transforms, rest) = read(transforms).unwrap();
        assert_eq!(rest, "");
        apply(cell, &transforms).map(|values| values.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn each_transform_changes_a_value_as_its_name_says() {
        for (transforms, cell, values) in [
            ("|html", "Rock &amp; Roll &#39;75", &["Rock & Roll '75"][..]),
            ("|form", "los+angeles%21", &["los angeles!"]),
            ("|trim", "\u{200b} a \u{feff}", &["a"]),
            ("|replace 'gs://' 'https://h/'", "gs://b/1.mp4", &["https://h/b/1.mp4"]),
            ("|replace '''' ''", "it's", &["its"]),
            ("|split ';'", "a; b;;c", &["a", "b", "c"]),
            ("|split ',' |first", ",b,c", &["b"]),
            ("|json media[0].url", r#"{"media":[{"url":"x"},{"url":"y"}]}"#, &["x"]),
            ("|json $.media.1.url", r#"{"media":[{"url":"x"},{"url":"y"}]}"#, &["y"]),
            ("|json 'media[].url'", r#"{"media":[{"url":"x"},{"url":"y"}]}"#, &["x", "y"]),
            ("|json tags", r#"{"tags":["a",2,null]}"#, &["a", "2"]),
            (
                "|json n",
                r#"{"n":[12345678901234567890123,1e3,1.50]}"#,
                &["12345678901234567890123", "1e3", "1.50"],
            ),
            ("|json ''", " 1.50 ", &["1.50"]),
            ("|json coordinates", r#"{"type":"Point","coordinates":[13.4,52.5,30]}"#, &["POINT(13.4 52.5)"]),
            ("|json coordinates", r#"{"coordinates":[13.4,52.5]}"#, &["13.4", "52.5"]),
            ("|split \";\"", "a;b", &["a", "b"]),
            ("|replace \"it's\" 'x'", "it's", &["x"]),
            ("|json none.at.all", r#"{"tags":[]}"#, &[]),
            ("|json url|html", r#"{"url":"a&amp;b"}"#, &["a&b"]),
            ("|raw", " a ", &["a"]),
            ("|address", "[Watch](https://h/a(1).mp4)", &["https://h/a(1).mp4"]),
            ("|address", "a b.mp4 (https://h/a b.mp4)", &["https://h/a b.mp4"]),
            ("|address", r#"<a href="https://h/a.mp4">a</a>"#, &["https://h/a.mp4"]),
            ("|address", "Watch: <https://h/a.mp4>", &["https://h/a.mp4"]),
            ("|address", "Watch#https://h/a.mp4#", &["https://h/a.mp4"]),
            ("|address", "see https://h/?u=https://i/a.mp4, then rest.", &["https://h/?u=https://i/a.mp4"]),
            ("|address", "(https://h/a.mp4),(s3://b/c.mp4)", &["https://h/a.mp4", "s3://b/c.mp4"]),
            ("|address", "é://x xhttps://h", &[]),
        ] {
            assert_eq!(
                applied(transforms, cell).as_deref(),
                Ok(values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{transforms}"
            );
        }
        assert_eq!(applied("|json a", "not json"), Err(Unreadable::NotJson));
        assert_eq!(applied("|json a", r#"{"a":1,"a":2}"#), Err(Unreadable::NotJson));
        assert_eq!(applied("|form", "M%FCnchen"), Err(Unreadable::NotUtf8));
    }

    #[test]
    fn a_transform_that_is_none_is_refused() {
        for bad in ["|upper", "|replace 'a'", "|replace '' 'b'", "|split", "|split ''", "|json", "|split 'a"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        for bad in ["|split ‘;’", "|split “;”", "|replace 'a' ’b’"] {
            assert!(matches!(read(bad), Err(MapRuleError::Quote(_))), "{bad}");
        }
    }
}
