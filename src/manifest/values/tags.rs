//! Tags: texts to find a video by, split, trimmed, each once.

use std::{borrow::Cow, collections::BTreeMap};

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

/// The keys under which an object that represents a tag holds its text, best first.
pub(in crate::manifest) const LABEL_KEYS: &[&str] =
    &["name", "label", "tag", "title", "text", "value", "@value", "_value", "keyword", "term", "slug"];

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

/// `"fog","sea"`: at least two texts in quotes, and nothing else but what separates them.
fn quoted_list(text: &str) -> Option<Vec<String>> {
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
fn of_sharepoint(text: &str) -> Option<Vec<String>> {
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
fn bulleted(text: &str) -> Option<Vec<&str>> {
    const MARKS: [char; 6] = ['-', '*', '+', '–', '•', '·'];
    // nearly every cell ends the search with its first letter
    if !text.trim_start().starts_with(MARKS) || !has_lines(text) {
        return None;
    }
    let lines = text.split(LINE_BREAKS).map(trim).filter(|line| !line.is_empty());
    lines.map(|line| line.strip_prefix(MARKS).filter(|item| item.starts_with(char::is_whitespace))).collect()
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
/// brackets, or lists as Python and PHP show them.
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
    is_open
        || is_quoted_list
        || is_unclosed_text
        || SHOWN.iter().any(|shown| tag.starts_with(shown))
        || is_php()
}

/// The label of a JSON object that represents a tag. `None`: it is not one.
pub(in crate::manifest) fn label_of(text: &str) -> Option<String> {
    let is_object = text.starts_with('{') && text.ends_with('}');
    let value = is_object.then(|| serde_json::from_str::<serde_json::Value>(text).ok())??;
    Some(text_of(&value))
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
    if let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) {
        return Some(values.iter().map(text_of).collect());
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
fn text_of(value: &serde_json::Value) -> String {
    if let Some(pair) = value.as_object().and_then(pair_of) {
        return pair;
    }
    let label = || {
        let object = value.as_object()?;
        let is_plain = |label: &&serde_json::Value| !label.is_object() && !label.is_array();
        let mut texts = object.values().filter(|value| value.is_string());
        let only = texts.next().filter(|_| texts.next().is_none());
        LABEL_KEYS.iter().find_map(|key| object.get(*key)).filter(is_plain).or(only)
    };
    let value = label().unwrap_or(value);
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => String::new(),
        None => value.to_string(),
    }
}

/// `site:A` of `{"key": "site", "value": "A"}`: the value alone would say nothing.
fn pair_of(object: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let of = |name: &str| {
        let (_, value) = object.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        value
            .as_str()
            .map_or_else(|| value.as_number().map(ToString::to_string), |text| Some(text.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<'a>(cells: &[&'a str], separator: &TagSeparator) -> Result<Vec<Cow<'a, str>>, TagError> {
        let cells = cells.iter().map(|cell| Cell::Parts(Cow::Borrowed(*cell)));
        read(cells, separator, TooLong::Refuse).map(|(tags, _)| tags)
    }

    #[test]
    fn tags_are_trimmed_and_kept_once_in_their_order() {
        assert_eq!(
            tags(&["b, a;c| b ,", "a", "", "d"], &TagSeparator::Default).unwrap(),
            ["b", "a", "c", "d"]
        );
        let bar = TagSeparator::Only("|".to_owned());
        assert_eq!(tags(&["Art, Modern|History"], &bar).unwrap(), ["Art, Modern", "History"]);
        assert_eq!(
            tags(&["fog\nnight\r\n\rday, x"], &TagSeparator::Default).unwrap(),
            ["fog", "night", "day", "x"]
        );
        let others = "a\u{b}b\u{c}c\u{85}d\u{2028}e\tf\u{1d}g \u{20ac}\u{b5}";
        let invisible = TagSeparator::Only(",".to_owned());
        assert_eq!(tags(&["q\u{202b}\u{1d}"], &invisible).unwrap(), ["q"], "each line is trimmed");
        let separated = ["a", "b", "c", "d", "e", "f", "g \u{20ac}\u{b5}"];
        assert_eq!(tags(&[others], &TagSeparator::Default).unwrap(), separated);
        assert_eq!(tags(&["Art,\r\nModern|b"], &bar).unwrap(), ["Art, Modern", "b"], "no line break is sent");
    }

    #[test]
    fn a_list_as_programs_write_it_is_a_list() {
        for (cell, expected) in [
            (r#"["a", "b, c", 7, null]"#, &["a", "b, c", "7"][..]),
            (
                r#"[{"id": 1, "name": "a"}, {"term": 7}, {"x": "b"}, {"x": 1}]"#,
                &["a", "7", "b", r#"{"x":1}"#],
            ),
            (r#"[{"key": "site", "value": "A"}, {"Key": "n", "Value": 7}]"#, &["site:A", "n:7"]),
            ("['a', 'b, c']", &["a", "b, c"]),
            ("{'a', 'it''s', \"x\"}", &["a", "it's", "x"]),
            (r"['it\'s']", &["it's"]),
            ("{cat,dog}", &["cat", "dog"]),
            (r"['a\xa0b', 'x\ny', 'caf\u00e9', None]", &["a\u{a0}b", "x y", "caf\u{e9}"]),
            (r#"["caf\u00e9", "\ud83d"]"#, &["caf\u{e9}", "\u{fffd}"]),
            ("('a', u'b')", &["a", "b"]),
            ("['a', nan, b'c']", &["a", "c"]),
            ("{a,NULL}", &["a"]),
            (r#"{"a": true, "b": false}"#, &["a"]),
            ("(a, b)", &["(a", "b)"]),
            ("[a], [b]", &["[a]", "[b]"]),
            ("[]", &[]),
            ("{}", &[]),
            ("{fog}", &["fog"]),
            ("[fog]", &["fog"]),
            ("[nan]", &[]),
            ("[None]", &[]),
            ("WrappedArray(fog, sea)", &["fog", "sea"]),
            ("WrappedArray()", &[]),
            ("Alps (north)", &["Alps (north)"]),
            ("fog [sic]", &["fog [sic]"]),
            ("[a", &["[a"]),
            ("['a' 'b']", &["['a' 'b']"]),
            ("['a", &["['a"]),
        ] {
            assert_eq!(tags(&[cell], &TagSeparator::Default).unwrap(), expected, "{cell}");
        }
    }

    #[test]
    fn tags_are_separated_by_the_signs_of_any_script_and_by_those_of_programs() {
        for (cell, expected) in [
            ("霧、海，空", &["霧", "海", "空"][..]),
            ("霧；海｜空,日", &["霧", "海", "空", "日"]),
            ("ضباب، بحر؛ شمس", &["ضباب", "بحر", "شمس"]),
            ("#fog #sea  #sun", &["#fog", "#sea", "#sun"]),
            ("#fog, #sea #sun", &["#fog", "#sea", "#sun"]),
            ("#fog at sea", &["#fog at sea"]),
            ("# 1", &["# 1"]),
            (r#""fog","sea, cold"; "x""#, &["fog", "sea, cold", "x"]),
            (r#""fog""#, &[r#""fog""#]),
            (r#""fog" at "sea""#, &[r#""fog" at "sea""#]),
            (";#fog;#sea;#", &["fog", "sea"]),
            ("12;#fog", &["fog"]),
            ("12;#fog;#13;#sea", &["fog", "sea"]),
            ("#fog;#sea", &["#fog", "#sea"]),
            ("fog;#sea", &["fog", "#sea"]),
            ("- fog\n- sea, cold\r\n", &["fog", "sea", "cold"]),
            ("• fog\n• sea", &["fog", "sea"]),
            ("• fog", &["fog"]),
            ("- fog\nsea", &["- fog", "sea"]),
            ("-5\n-6", &["-5", "-6"]),
            ("- fog", &["- fog"]),
            ("Île de Ré", &["Île de Ré"]),
        ] {
            assert_eq!(tags(&[cell], &TagSeparator::Default).unwrap(), expected, "{cell}");
        }
        let bar = TagSeparator::Only("|".to_owned());
        assert_eq!(tags(&["#fog #sea|霧、海"], &bar).unwrap(), ["#fog #sea", "霧、海"]);
    }

    #[test]
    fn a_part_of_a_list_that_is_not_known_is_noticed() {
        for part in [
            "[\"a\"",
            "a:2:{i:0",
            "s:3:\"fog\"",
            "}",
            "{x",
            "\"a",
            "'b']",
            "set(['a'",
            "('a'",
            "['a' 'b']",
            "set()",
            "()",
        ] {
            assert!(is_fragment(part), "{part}");
        }
        for tag in [
            "fog [x]",
            "f[0]",
            "[2019] trip",
            "C++ {draft}",
            "set",
            "(draft)",
            "[sic]",
            "{x}",
            "a:b",
            "s:x",
            "7\"",
            "'70s",
            ":)",
            "\"x\"",
            "time 12:30:00",
        ] {
            assert!(!is_fragment(tag), "{tag}");
        }
        assert_eq!(label_of(r#"{"id":1,"name":"fog"}"#).as_deref(), Some("fog"));
        assert_eq!(label_of("fog"), None);
    }

    #[test]
    fn a_whole_text_is_one_tag() {
        let cells = [Cell::Whole(" a, b ".into()), Cell::Parts("c,d".to_owned().into())];
        let (read, _) = read(cells.into_iter(), &TagSeparator::Default, TooLong::Refuse).unwrap();
        assert_eq!(read, ["a, b", "c", "d"]);
    }

    #[test]
    fn tags_the_service_would_refuse_are_refused_here_or_cut_on_request() {
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        let many = many.join(",");
        assert_eq!(tags(&[&many], &TagSeparator::Default), Err(TagError::TooMany(21)));
        let long = "\u{e9}".repeat(201);
        assert_eq!(tags(&[&long], &TagSeparator::Default), Err(TagError::TooLong(long.clone())));
        let own = "telecine:1";
        assert_eq!(tags(&[own], &TagSeparator::Default), Err(TagError::Reserved(own.to_owned())));
        let cut = |cell: &str| {
            let cells = std::iter::once(Cell::Parts(cell.to_owned().into()));
            read(cells, &TagSeparator::Default, TooLong::Cut).unwrap()
        };
        assert_eq!((cut(&many).0.len(), cut(&many).1), (20, true));
        assert_eq!((cut(&long).0, cut(&long).1), (vec![Cow::<str>::Owned("\u{e9}".repeat(200))], true));
        let alike = format!("{}A;{}B", "x".repeat(205), "x".repeat(205));
        assert_eq!(cut(&alike).0.len(), 1, "each once");
        assert_eq!(cut(&format!("{} zz", "y".repeat(199))).0[0].len(), 199, "without a blank at its end");
        assert_eq!(cut("a,b"), (vec![Cow::Borrowed("a"), Cow::Borrowed("b")], false));
    }
}
