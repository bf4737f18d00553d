//! The mapping language: what feeds a field.
//!
//! ```text
//!   rule   := FIELD '=' part ('+' part)*
//!   part   := column                 its value
//!           | column '?'             its name, where its value says yes: one column per tag
//!           | start '*' end          every column whose name begins and ends so
//!           | '\'' text '\''         this text ('' is a quote)
//!           | template               text with {column} in it ({{ and }} are braces)
//!   column := header name | '#' number, from 1
//! ```
//!
//! In a template for the url each value is percent-encoded as its place in the address asks for; `{column|raw}` leaves
//! it as it is.

use std::{fmt, str::FromStr};

use super::field::{Field, field_names};

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
    /// A column, by name or `#number`; perhaps one that ends in `?` or holds `*`, if there is no column of that name.
    Column(String),
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
    /// The value of a column; `is_raw` when it is not percent-encoded.
    Column {
        /// By name or `#number`.
        name: String,
        /// Whether it goes in as it is.
        is_raw: bool,
    },
}

/// What leaves a value as it is.
const RAW: &str = "|raw";

/// Why a text is no [`MapRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRuleError {
    /// No `=`, or nothing where something must be.
    #[error(
        "expected FIELD=COLUMN[+COLUMN...], such as tags=topic+place, url=#5 or 'url=https://host/{{id}}.mp4'"
    )]
    Form,
    /// Not one of the fields.
    #[error("there is no field {0:?}; the fields are {names}", names = field_names())]
    Field(String),
    /// A quote or a brace without its partner.
    #[error("{0} is never closed; write '' for a quote inside quotes, and {{{{ or }}}} for a brace")]
    Open(char),
}

impl FromStr for MapRule {
    type Err = MapRuleError;

    fn from_str(text: &str) -> Result<Self, MapRuleError> {
        let (name, parts) = text.split_once('=').ok_or(MapRuleError::Form)?;
        let name = name.trim().to_ascii_lowercase();
        let field = Field::from_name(&name).ok_or(MapRuleError::Field(name))?;
        let parts = split_parts(parts)?.into_iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { field, parts })
    }
}

/// Splits at every `+` that stands neither in quotes nor in braces.
fn split_parts(text: &str) -> Result<Vec<&str>, MapRuleError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_quoted = false;
    let mut is_in_braces = false;
    for (at, c) in text.char_indices() {
        match c {
            // an apostrophe inside a name is no quote; a doubled one in a text closes and opens it
            '\'' if is_text(&text[start..=at]) => is_quoted = !is_quoted,
            '{' if !is_quoted => is_in_braces = true,
            '}' if !is_quoted => is_in_braces = false,
            '+' if !is_quoted && !is_in_braces => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    match (is_quoted && !text[start..].trim_end().ends_with('\''), is_in_braces) {
        (true, _) => Err(MapRuleError::Open('\'')),
        (_, true) => Err(MapRuleError::Open('{')),
        _ => Ok(parts),
    }
}

/// Whether a part that begins so is a text in quotes.
fn is_text(part: &str) -> bool {
    part.trim_start().starts_with('\'')
}

fn part(text: &str) -> Result<Part, MapRuleError> {
    let trimmed = text.trim();
    if let Some(quoted) = trimmed.strip_prefix('\'') {
        let inner = quoted.strip_suffix('\'').ok_or(MapRuleError::Open('\''))?;
        return Ok(Part::Text(inner.replace("''", "'")));
    }
    if trimmed.contains(['{', '}']) {
        return template(trimmed).map(Part::Template);
    }
    if trimmed.is_empty() { Err(MapRuleError::Form) } else { Ok(Part::Column(trimmed.to_owned())) }
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
        let (name, behind) = rest.split_once('}').ok_or(MapRuleError::Open('{'))?;
        rest = behind;
        if name.contains('{') {
            return Err(MapRuleError::Open('{'));
        }
        let name = name.trim();
        let (name, is_raw) = name.strip_suffix(RAW).map_or((name, false), |name| (name.trim(), true));
        if name.is_empty() {
            return Err(MapRuleError::Form);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Column { name: name.to_owned(), is_raw });
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
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
            Self::Column(name) => f.write_str(name),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Template(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
                Piece::Column { name, is_raw } => write!(f, "{{{name}{}}}", if *is_raw { RAW } else { "" }),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        text.parse::<MapRule>().unwrap().parts
    }

    fn column(name: &str) -> Part {
        Part::Column(name.to_owned())
    }

    #[test]
    fn a_rule_says_what_feeds_a_field() {
        assert_eq!(parts("video_url=#5"), [column("#5")]);
        assert_eq!(parts("tags = topic + it's here "), [column("topic"), column("it's here")]);
        assert_eq!(
            parts("tags=topic+'a + b'+'it''s'")[1..],
            [Part::Text("a + b".to_owned()), Part::Text("it's".to_owned())]
        );
        let piece = |name: &str, is_raw| Piece::Column { name: name.to_owned(), is_raw };
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            parts("url=https://h/{a+b}/{#2|raw}.mp4"),
            [Part::Template(vec![
                text("https://h/"),
                piece("a+b", false),
                text("/"),
                piece("#2", true),
                text(".mp4"),
            ])]
        );
        assert_eq!(parts("camera_model={{x}} {y}"), [Part::Template(vec![text("{x} "), piece("y", false)])]);
    }

    #[test]
    fn a_rule_reads_back_as_it_is_shown() {
        for rule in [
            "url=#5",
            "tags=topic+is_cat?+tag_*+'it''s'",
            "url=https://h/{a}/{b|raw}.mp4",
            "camera_model={{x}} {y}",
            "tags='a''+b'+c+''''",
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
            ("tags='a", MapRuleError::Open('\'')),
            ("url=https://h/{a", MapRuleError::Open('{')),
            ("url=https://h/a}", MapRuleError::Open('}')),
            ("url=https://h/{ {a}", MapRuleError::Open('{')),
            ("tags='it's'+b", MapRuleError::Open('\'')),
        ] {
            assert_eq!(bad.parse::<MapRule>(), Err(error), "{bad}");
        }
    }
}
