//! The mapping language: what feeds a field.
//!
//! ```text
//!   rule     := FIELD '=' part ('+' part)*
//!   part     := selector               the value of a column
//!             | column '?'             its name, where its value says yes: one column per tag
//!             | start '*' end          every column whose name begins and ends so
//!             | '\'' text '\''         this text ('' is a quote)
//!             | template               text with {selector} in it ({{ and }} are braces)
//!   selector := column ('|' transform)*
//!   column   := header name | '#' number, from 1
//! ```
//!
//! In a template for the url or the callback each value is percent-encoded as its place in the address requires; `{column|raw}` leaves
//! it as it is. The transforms are those of [`Transform`].

use std::{fmt, str::FromStr};

use super::{
    field::Field,
    rule_error::{MapRuleError, read_quoted},
    transform::{self, Transform},
};

/// One `--map FIELD=PART[+PART...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// The field it feeds.
    pub field: Field,
    /// What feeds it, in the order it is joined.
    pub parts: Vec<Part>,
}

/// One source of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The value of a column.
    Column(Selector),
    /// A text for all rows.
    Text(String),
    /// Texts and columns in turn.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// The value of a column.
    Column(Selector),
}

/// A column, and what its value goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// By name or `#number`. In a part the name may end in `?` or hold `*`, if no column has that name.
    pub column: String,
    /// In their order.
    pub transforms: Vec<Transform>,
}

impl Selector {
    /// The value of a column as it is.
    #[must_use]
    pub fn plain(column: &str) -> Self {
        Self { column: column.to_owned(), transforms: Vec::new() }
    }

    /// Reads a selector up to one of these signs, and gives the text from there on. A sign in the quotes of a transform
    /// ends nothing.
    pub(in crate::manifest) fn read<'a>(
        text: &'a str,
        ends: &[char],
    ) -> Result<(Self, &'a str), MapRuleError> {
        let end = end_of_selector(text, ends)?;
        Ok((selector(&text[..end])?, &text[end..]))
    }
}

impl FromStr for MapRule {
    type Err = MapRuleError;

    fn from_str(text: &str) -> Result<Self, MapRuleError> {
        let (name, text) = text.split_once('=').ok_or(MapRuleError::Form)?;
        let name = name.trim().to_ascii_lowercase();
        let field = Field::from_name(&name).ok_or(MapRuleError::Field(name))?;
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, behind) = read_part(rest.trim())?;
            parts.push(part);
            match behind.trim_start().strip_prefix('+') {
                Some(behind) => rest = behind,
                None if behind.trim().is_empty() => return Ok(Self { field, parts }),
                None => return Err(MapRuleError::Open('\'')),
            }
        }
    }
}

/// Reads a part up to the `+` behind it, and gives the text from there on.
fn read_part(text: &str) -> Result<(Part, &str), MapRuleError> {
    if text.starts_with('\'') {
        return read_quoted(text).map(|(text, rest)| (Part::Text(text), rest));
    }
    let (part, rest) = text.split_at(end_of_part(text)?);
    let before_transforms = &part[..transform_at(part).unwrap_or(part.len())];
    if before_transforms.contains(['{', '}']) {
        return Ok((Part::Template(template(part.trim())?), rest));
    }
    Ok((Part::Column(selector(part)?), rest))
}

fn end_of_selector(text: &str, ends: &[char]) -> Result<usize, MapRuleError> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if ends.contains(&c) {
            return Ok(at);
        }
        if c == '|' && transform::arguments_of(&text[at + 1..]).is_some() {
            let (_, rest) = transform::read(&text[at..])?;
            at = text.len() - rest.len();
        } else {
            at += c.len_utf8();
        }
    }
    Ok(text.len())
}

/// Where the `+` is that ends a part. One in braces or in the quotes of a transform ends nothing.
fn end_of_part(text: &str) -> Result<usize, MapRuleError> {
    let (mut is_in_braces, mut at) = (false, 0);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '{' => is_in_braces = true,
            '}' => is_in_braces = false,
            '+' if !is_in_braces => return Ok(at),
            '|' if transform::arguments_of(&text[at + 1..]).is_some() => {
                let (_, rest) = transform::read(&text[at..])?;
                at = text.len() - rest.len();
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    if is_in_braces { Err(MapRuleError::Open('{')) } else { Ok(text.len()) }
}

/// Where the transforms of a selector begin.
fn transform_at(text: &str) -> Option<usize> {
    text.match_indices('|').map(|(at, _)| at).find(|at| transform::arguments_of(&text[at + 1..]).is_some())
}

fn selector(text: &str) -> Result<Selector, MapRuleError> {
    let (column, transforms) = match transform_at(text) {
        Some(at) => match transform::read(&text[at..])? {
            (transforms, "") => (&text[..at], transforms),
            (_, rest) => return Err(MapRuleError::Transform(rest.trim().chars().take(40).collect())),
        },
        None => (text, Vec::new()),
    };
    let column = column.trim();
    if column.is_empty() {
        return Err(MapRuleError::Form);
    }
    Ok(Selector { column: column.to_owned(), transforms })
}

fn template(text: &str) -> Result<Vec<Piece>, MapRuleError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            literal.push_str(brace);
            rest = behind;
            continue;
        }
        if brace == "}" {
            return Err(MapRuleError::Open('}'));
        }
        let (inside, behind) = rest.split_at(end_of_braces(rest)?);
        rest = &behind[1..];
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Column(selector(inside)?));
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// Where the brace is that closes. One in the quotes of a transform closes nothing.
fn end_of_braces(text: &str) -> Result<usize, MapRuleError> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '}' => return Ok(at),
            '{' => return Err(MapRuleError::Open('{')),
            '|' if transform::arguments_of(&text[at + 1..]).is_some() => {
                let (_, rest) = transform::read(&text[at..])?;
                at = text.len() - rest.len();
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    Err(MapRuleError::Open('{'))
}

impl fmt::Display for MapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        write!(f, "{}={}", self.field.name(), parts.join("+"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(selector) => selector.fmt(f),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Template(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
                Piece::Column(selector) => write!(f, "{{{selector}}}"),
            }),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.column)?;
        self.transforms.iter().try_for_each(|transform| transform.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        text.parse::<MapRule>().unwrap().parts
    }

    fn column(name: &str) -> Part {
        Part::Column(Selector::plain(name))
    }

    #[test]
    fn a_rule_says_what_feeds_a_field() {
        assert_eq!(parts("video_url=#5"), [column("#5")]);
        assert_eq!(parts("tags = topic + it's here "), [column("topic"), column("it's here")]);
        assert_eq!(parts("tags=a|b"), [column("a|b")], "no transform has this name");
        assert_eq!(
            parts("tags=topic+'a + b'+'it''s'")[1..],
            [Part::Text("a + b".to_owned()), Part::Text("it's".to_owned())]
        );
        let piece = |name: &str, transforms: &[Transform]| {
            Piece::Column(Selector { column: name.to_owned(), transforms: transforms.to_vec() })
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            parts("url=https://h/{a+b}/{#2|raw}.mp4"),
            [Part::Template(vec![
                text("https://h/"),
                piece("a+b", &[]),
                text("/"),
                piece("#2", &[Transform::Raw]),
                text(".mp4"),
            ])]
        );
        assert_eq!(parts("camera_model={{x}} {y}"), [Part::Template(vec![text("{x} "), piece("y", &[])])]);
    }

    #[test]
    fn a_transform_stands_behind_a_column_in_braces_or_without() {
        let split = Transform::Split("+".to_owned());
        let selector =
            |column: &str, transforms: Vec<Transform>| Selector { column: column.to_owned(), transforms };
        assert_eq!(
            parts("tags=a | split '+' | html + b"),
            [Part::Column(selector("a", vec![split, Transform::Html])), column("b")]
        );
        let replace = Transform::Replace("{".to_owned(), "}+".to_owned());
        assert_eq!(
            parts("url={a|replace '{' '}+'}"),
            [Part::Template(vec![Piece::Column(selector("a", vec![replace]))])]
        );
    }

    #[test]
    fn a_rule_reads_back_as_it_is_shown() {
        for rule in [
            "url=#5",
            "tags=topic+is_cat?+tag_*+'it''s'",
            "url=https://h/{a}/{b|raw}.mp4",
            "camera_model={{x}} {y}",
            "tags='a''+'+b+c+''''",
            "tags=a|split '+'|html+b",
            "url={a|replace '}' '{'''|json 'x y'}",
        ] {
            assert_eq!(rule.parse::<MapRule>().unwrap().to_string(), rule);
        }
        assert_eq!("url={ a |raw }".parse::<MapRule>().unwrap().to_string(), "url={a|raw}");
        assert_eq!("video_url=#5".parse::<MapRule>().unwrap().to_string(), "url=#5");
    }

    #[test]
    fn a_rule_that_is_none_says_why() {
        assert!("colour=x".parse::<MapRule>().unwrap_err().to_string().contains("camera_model"));
        for (bad, error) in [
            ("url", MapRuleError::Form),
            ("url=", MapRuleError::Form),
            ("tags=a++b", MapRuleError::Form),
            ("url={}", MapRuleError::Form),
            ("url=|html", MapRuleError::Form),
            ("tags='a", MapRuleError::Open('\'')),
            ("url=https://h/{a", MapRuleError::Open('{')),
            ("url=https://h/a}", MapRuleError::Open('}')),
            ("url=https://h/{ {a}", MapRuleError::Open('{')),
            ("tags='it's'+b", MapRuleError::Open('\'')),
            ("tags=a|split 'x", MapRuleError::Open('\'')),
            ("tags=a|html b", MapRuleError::Transform("b".to_owned())),
        ] {
            assert_eq!(bad.parse::<MapRule>(), Err(error), "{bad}");
        }
    }
}
