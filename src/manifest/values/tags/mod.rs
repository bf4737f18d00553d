//! Tags: texts to find a video by, split, trimmed, each once.

mod lists;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(in crate::manifest) use lists::{LABEL_KEYS, label_in, label_of, listed};
use lists::{bulleted, of_sharepoint, quoted_list};

use super::{LINE_BREAKS, TooLong, cut, has_lines, one_line, trim};
use crate::domain::Submission;

/// How a cell is split into tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSeparator {
    /// At every `,`, `;`, `|` and line break, and at the same signs of other scripts.
    Default,
    /// At every occurrence of this text only.
    Only(String),
}

impl TagSeparator {
    /// The tags of one cell, each once and without blanks around it, as they would be sent; and whether something was cut.
    pub fn split<'a>(&self, cell: &'a str, too_long: TooLong) -> Result<(Vec<Cow<'a, str>>, bool), TagError> {
        read(std::iter::once(Cell::Parts(Cow::Borrowed(cell))), self, too_long)
    }
}

/// Tags that begin so are telecine's own markers.
pub(in crate::manifest) const RESERVED_PREFIX: &str = "telecine:";

/// A bound of our own, in characters; the service states none.
pub(in crate::manifest) const TAG_LENGTH_MAX: usize = 200;

/// No more different tags are compared: far more than the service takes.
const DISTINCT_MAX: usize = 500;

/// Why a set of tags cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagError {
    /// More than the service takes.
    TooMany(usize),
    /// Longer than 200 characters.
    TooLong(String),
    /// Holds a NUL character.
    Nul,
    /// Begins as a marker does.
    Reserved(String),
}

/// Splits cells into tags: blanks around them and empty ones are dropped, repeated ones kept once, in their order. Whole
/// texts are one tag each. With `Cut` the tags beyond the service's bounds are dropped, or shortened; then the last part is
/// true.
pub(in crate::manifest) fn read<'a>(
    cells: impl Iterator<Item = Cell<'a>>,
    separator: &TagSeparator,
    too_long: TooLong,
) -> Result<(Vec<Cow<'a, str>>, bool), TagError> {
    let mut tags: Vec<Cow<'a, str>> = Vec::with_capacity(Submission::TAGS_MAX);
    for cell in cells {
        match cell {
            Cell::Whole(text) => take(&mut tags, text),
            Cell::Parts(Cow::Borrowed(text)) => parts(text, separator, |tag| take(&mut tags, tag)),
            Cell::Parts(Cow::Owned(text)) => {
                parts(&text, separator, |tag| take(&mut tags, Cow::Owned(tag.into_owned())));
            }
        }
    }
    let mut is_cut = false;
    if too_long == TooLong::Cut {
        is_cut = tags.len() > Submission::TAGS_MAX;
        tags.truncate(Submission::TAGS_MAX);
        let (mut long, whole): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| is_long(tag));
        tags = whole;
        for tag in &mut long {
            is_cut |= cut(tag.to_mut(), TAG_LENGTH_MAX);
        }
        // what was cut may have become the same, or end in a blank
        for tag in long {
            take(&mut tags, tag);
        }
    }
    if tags.len() > Submission::TAGS_MAX {
        return Err(TagError::TooMany(tags.len()));
    }
    if tags.iter().any(|tag| memchr::memchr(0, tag.as_bytes()).is_some()) {
        return Err(TagError::Nul);
    }
    if let Some(long) = tags.iter().find(|tag| is_long(tag)) {
        return Err(TagError::TooLong(long.clone().into_owned()));
    }
    if let Some(own) = tags.iter().find(|tag| tag.starts_with(RESERVED_PREFIX)) {
        return Err(TagError::Reserved(own.clone().into_owned()));
    }
    Ok((tags, is_cut))
}

/// In bytes first: few tags are long enough to be counted in characters.
fn is_long(tag: &str) -> bool {
    tag.len() > TAG_LENGTH_MAX && tag.chars().count() > TAG_LENGTH_MAX
}

fn take<'a>(tags: &mut Vec<Cow<'a, str>>, tag: Cow<'a, str>) {
    let tag = match tag {
        Cow::Borrowed(tag) => Cow::Borrowed(trim(tag)),
        Cow::Owned(tag) => Cow::Owned(trim(&tag).to_owned()),
    };
    let tag = one_line(tag);
    // a cell of many thousand parts is refused in any case, and need not be compared part by part
    if !tag.is_empty() && tags.len() < DISTINCT_MAX && !tags.contains(&tag) {
        tags.push(tag);
    }
}

/// What separates tags beside `,`, `;` and `|`: the commas, semicolons and bars of other scripts, and the dot of a list.
const OTHER_SEPARATORS: [char; 8] = ['、', '，', '；', '،', '؛', '｜', '､', '•'];

/// Each line of a text; nearly all have one.
fn of_lines<'a>(text: &'a str, take: &mut impl FnMut(Cow<'a, str>)) {
    if has_lines(text) {
        text.split(LINE_BREAKS).for_each(|line| take(Cow::Borrowed(line)));
    } else {
        take(Cow::Borrowed(text));
    }
}

/// The parts of a cell: of a list as programs write it, or between separators.
fn parts<'a>(text: &'a str, separator: &TagSeparator, mut take: impl FnMut(Cow<'a, str>)) {
    if let Some(elements) = listed(text) {
        return elements.into_iter().for_each(|element| take(Cow::Owned(element)));
    }
    match separator {
        TagSeparator::Default => {
            if let Some(elements) = quoted_list(text).or_else(|| of_sharepoint(text)) {
                return elements.into_iter().for_each(|element| take(Cow::Owned(element)));
            }
            if let Some(items) = bulleted(text) {
                return items.iter().for_each(|item| between_signs(item, &mut take));
            }
            between_signs(text, &mut take);
        }
        TagSeparator::Only(separator) => {
            for part in text.split(separator.as_str()) {
                take(Cow::Borrowed(part));
            }
        }
    }
}

/// The parts of a cell between the signs that separate tags by default.
fn between_signs<'a>(text: &'a str, take: &mut impl FnMut(Cow<'a, str>)) {
    let mut of_part = |part: &'a str| {
        if part.is_ascii() {
            of_words(part, take);
        } else {
            part.split(OTHER_SEPARATORS).for_each(|part| of_words(part, take));
        }
    };
    let mut start = 0;
    for at in memchr::memchr3_iter(b',', b';', b'|', text.as_bytes()) {
        of_part(&text[start..at]);
        start = at + 1;
    }
    of_part(&text[start..]);
}

/// The words of `#fog #sea`, each for itself, and the lines of any other text.
fn of_words<'a>(text: &'a str, take: &mut impl FnMut(Cow<'a, str>)) {
    let begins_so = trim(text).starts_with('#');
    if begins_so && text.split_whitespace().all(|word| word.len() > 1 && word.starts_with('#')) {
        text.split_whitespace().for_each(|word| take(Cow::Borrowed(word)));
    } else {
        of_lines(text, take);
    }
}

/// What a tag is read from.
#[derive(Clone, Debug)]
pub(in crate::manifest) enum Cell<'a> {
    /// Perhaps several, between separators.
    Parts(Cow<'a, str>),
    /// One.
    Whole(Cow<'a, str>),
}

/// Whether a tag looks like a list, or a part of one, in a form that is not read: brackets that are not closed, quotes in
/// brackets or around it, a separator behind a backslash, or lists as Python and PHP show them.
pub(in crate::manifest) fn is_fragment(tag: &str) -> bool {
    const SHOWN: &[&str] = &["set(", "frozenset(", "array(", "('", "(\"", "[(", "[{", "()"];
    let count = |sign: char| tag.matches(sign).count();
    let is_open = count('[') != count(']') || count('{') != count('}');
    let is_quoted_list = tag.starts_with(['[', '{']) && tag.contains(['\'', '"']);
    let is_php = || {
        let (kind, rest) = tag.split_once(':').unwrap_or_default();
        let (length, _) = rest.split_once(':').unwrap_or_default();
        matches!(kind, "a" | "s") && !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_unclosed_text = tag.starts_with('"') && !tag.ends_with('"');
    // `1)` and `:)` are no ends of brackets
    let closes = tag.strip_suffix(')').is_some_and(|rest| rest.ends_with(char::is_alphabetic));
    let is_open_round = count('(') > count(')') && !tag.contains(":(") || closes && count('(') == 0;
    let is_quoted = tag.len() > 2 && tag.starts_with('\'') && tag.ends_with('\'');
    let is_only_quotes = !tag.is_empty() && tag.chars().all(|c| matches!(c, '"' | '\''));
    is_open
        || is_open_round
        || is_quoted
        || is_only_quotes
        || tag.ends_with('\\')
        || is_quoted_list
        || is_unclosed_text
        || SHOWN.iter().any(|shown| tag.starts_with(shown))
        || is_php()
}
