//! Lists of tags in one cell, as programs write them: JSON, Python, PHP, Scala, databases, `SharePoint` and marks of lists.

use std::{borrow::Cow, collections::BTreeMap};

use super::super::{LINE_BREAKS, has_lines, trim};
use crate::manifest::json_text::{self, PairList};

/// The keys under which an object that represents a tag holds its text, best first.
pub(in crate::manifest) const LABEL_KEYS: &[&str] =
    &["name", "label", "tag", "title", "text", "value", "@value", "_value", "keyword", "term", "slug"];

/// `"fog","sea"`: at least two texts in quotes, and nothing else but what separates them.
pub(super) fn quoted_list(text: &str) -> Option<Vec<String>> {
    let mut rest = trim(text);
    let mut elements = Vec::new();
    loop {
        let (element, behind) = quoted(rest.strip_prefix('"')?, '"')?;
        elements.push(element);
        let behind = behind.trim_start();
        if behind.is_empty() {
            return (elements.len() > 1).then_some(elements);
        }
        rest = behind.strip_prefix([',', ';', '|'])?.trim_start();
    }
}

/// `;#fog;#sea;#` and `12;#fog;#13;#sea`, as `SharePoint` writes choices and what it looks up.
pub(super) fn of_sharepoint(text: &str) -> Option<Vec<String>> {
    if !text.starts_with(|c: char| c == ';' || c.is_ascii_digit()) {
        return None;
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (first, _) = text.split_once(";#").filter(|(first, _)| first.is_empty() || is_number(first))?;
    let parts = text.split(";#").map(str::to_owned);
    if first.is_empty() {
        return Some(parts.collect());
    }
    let looked_up: Vec<String> = parts.collect();
    let are_pairs = looked_up.chunks(2).all(|pair| pair.len() == 2 && is_number(&pair[0]));
    are_pairs.then(|| looked_up.into_iter().skip(1).step_by(2).collect())
}

/// The items of a text each of whose lines begins with `-`, `*` or another mark of a list.
pub(super) fn bulleted(text: &str) -> Option<Vec<&str>> {
    const MARKS: [char; 6] = ['-', '*', '+', '–', '•', '·'];
    // nearly every cell ends the search with its first letter
    if !text.trim_start().starts_with(MARKS) || !has_lines(text) {
        return None;
    }
    let lines = text.split(LINE_BREAKS).map(trim).filter(|line| !line.is_empty());
    lines.map(|line| line.strip_prefix(MARKS).filter(|item| item.starts_with(char::is_whitespace))).collect()
}

/// The label of a JSON object that represents a tag. `None`: it is not one.
pub(in crate::manifest) fn label_of(text: &str) -> Option<String> {
    json_text::text_of(&label_in(text)?)
}

/// The same, as JSON writes it.
pub(in crate::manifest) fn label_in(object: &str) -> Option<Cow<'_, str>> {
    let is_object = object.starts_with('{') && json_text::check(object).is_ok();
    let pairs = json_text::pairs(object).filter(|_| is_object)?;
    if let Some(pair) = pair_of(&pairs) {
        return serde_json::to_string(&pair).ok().map(Cow::Owned);
    }
    let named = LABEL_KEYS.iter().find_map(|key| pairs.iter().find(|(own, _)| own == key));
    let mut texts = pairs.iter().filter(|(_, value)| value.starts_with('"'));
    let only = texts.next().filter(|_| texts.next().is_none());
    let label = named.filter(|(_, value)| !value.starts_with(['{', '['])).or(only);
    label.map(|(_, value)| Cow::Borrowed(*value))
}

/// Elements that represent no value, as programs write them.
const NO_ELEMENT: &[&str] = &["None", "null", "NULL", "nan", "NaN", "nil"];

/// What Scala writes before the elements of a list in parentheses.
const SCALA: &[&str] = &["WrappedArray", "ArraySeq", "ArrayBuffer"];

/// The elements of a list as programs write it: `["a", "b"]`, `['a', 'b']`, `('a', u'b')`, `{'a', 'it\'\'s'}`, `{a,b}`, `[a]`,
/// `WrappedArray(a, b)` and `{"a": true}`. None for any other text.
pub(in crate::manifest) fn listed(text: &str) -> Option<Vec<String>> {
    let text = trim(text);
    let inner = match (text.as_bytes().first()?, text.as_bytes().last()?) {
        (b'[', b']') | (b'{', b'}') | (b'(', b')') if text.len() >= 2 => &text[1..text.len() - 1],
        (b'W' | b'A', b')') => {
            let list = SCALA.iter().find_map(|name| text.strip_prefix(name))?;
            list.strip_prefix('(')?.strip_suffix(')')?
        }
        _ => return None,
    };
    let texts = |values: Vec<&str>| values.into_iter().map(text_of).collect::<Option<Vec<_>>>();
    if let Some(texts) = json_text::elements(text).and_then(texts) {
        return Some(texts);
    }
    if let Ok(flags) = serde_json::from_str::<BTreeMap<String, bool>>(text).as_ref() {
        let set = flags.iter().filter(|(_, is_set)| **is_set);
        return Some(set.map(|(name, _)| name.clone()).collect());
    }
    let mut elements = Vec::new();
    let mut has_quote = false;
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        // Python marks texts of its second version, and bytes
        rest = ["u'", "u\"", "b'"].iter().find(|mark| rest.starts_with(**mark)).map_or(rest, |_| &rest[1..]);
        let (element, behind) =
            if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
                has_quote = true;
                quoted(&rest[1..], quote)?
            } else {
                let end = rest.find(',').unwrap_or(rest.len());
                // `[a], [b]` are two texts
                if rest[..end].contains(['[', ']', '{', '}']) {
                    return None;
                }
                let as_str = Some(rest[..end].trim()).filter(|as_str| !NO_ELEMENT.contains(as_str));
                (as_str.unwrap_or_default().to_owned(), &rest[end..])
            };
        elements.push(element);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.is_empty() => "",
            None => return None,
        };
    }
    // `[fog]` is a list as Trino shows it and `{fog}` one of PostgreSQL, but `(a, b)` are words in parentheses
    (has_quote || !text.starts_with('(')).then_some(elements)
}

/// The text of an element; that of an object is its label.
fn text_of(element: &str) -> Option<String> {
    json_text::text_of(label_in(element).as_deref().unwrap_or(element))
}

/// `site:A` of `{"key": "site", "value": "A"}`: the value alone would say nothing.
fn pair_of(object: &PairList<'_>) -> Option<String> {
    let of = |name: &str| {
        let (_, value) = object.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        let is_plain =
            value.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
        json_text::text_of(value).filter(|_| is_plain)
    };
    let (key, value) = (of("key")?, of("value")?);
    (object.len() == 2).then(|| format!("{key}:{value}"))
}

type Letters<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// What represents the letters behind a backslash: `\\n`, `\\xa0`, `\\u00e9`, or the letter itself.
fn unescaped(letters: &mut Letters<'_>) -> Option<String> {
    let (_, letter) = letters.next()?;
    let mut by_number = |digits: usize| {
        let text: String = letters.by_ref().take(digits).map(|(_, digit)| digit).collect();
        let number = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits)?;
        Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER).to_string())
    };
    match letter {
        'n' => Some("\n".to_owned()),
        't' => Some("\t".to_owned()),
        'r' => Some("\r".to_owned()),
        'x' => by_number(2),
        'u' => by_number(4),
        'U' => by_number(8),
        letter if letter.is_alphanumeric() => Some(format!("\\{letter}")),
        letter => Some(letter.to_string()),
    }
}

/// A text up to its closing quote, and what follows it. A doubled quote and one behind a backslash belong to it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut element = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => element.push_str(&unescaped(&mut letters)?),
            _ if letter != quote => element.push(letter),
            _ if letters.peek().is_some_and(|(_, next)| *next == quote) => {
                letters.next();
                element.push(quote);
            }
            _ => return Some((element, &text[at + 1..])),
        }
    }
    None
}
