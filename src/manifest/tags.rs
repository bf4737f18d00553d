//! Words to find a video by: split, trimmed, each once.

use crate::item::Submission;

/// How a cell is split into tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSeparator {
    /// At every `,`, `;` and `|`.
    Usual,
    /// At every occurrence of this text only.
    Told(String),
}

/// Tags that begin so are telecine's own markers.
pub(super) const RESERVED_PREFIX: &str = "telecine:";

/// A bound of our own, in characters; the service states none.
pub(super) const TAG_LENGTH_MAX: usize = 200;

/// Why a set of tags cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagFault {
    /// More than the service takes.
    TooMany(usize),
    /// Longer than [`TAG_LENGTH_MAX`].
    TooLong(String),
    /// Looks like a marker.
    Reserved(String),
}

/// Splits cells into tags: blanks around them and empty ones are dropped, repeated ones kept once, in their order.
pub(super) fn read<'a>(
    cells: impl Iterator<Item = &'a str>,
    separator: &TagSeparator,
) -> Result<Vec<String>, TagFault> {
    let mut tags: Vec<String> = Vec::new();
    for cell in cells {
        let mut take = |tag: &str| {
            let tag = tag.trim();
            if !tag.is_empty() && !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        };
        match separator {
            TagSeparator::Usual => cell.split([',', ';', '|']).for_each(&mut take),
            TagSeparator::Told(text) => cell.split(text.as_str()).for_each(&mut take),
        }
    }
    if tags.len() > Submission::TAGS_MAX {
        return Err(TagFault::TooMany(tags.len()));
    }
    if let Some(long) = tags.iter().find(|tag| tag.chars().count() > TAG_LENGTH_MAX) {
        return Err(TagFault::TooLong(long.clone()));
    }
    if let Some(own) = tags.iter().find(|tag| tag.starts_with(RESERVED_PREFIX)) {
        return Err(TagFault::Reserved(own.clone()));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_trimmed_and_kept_once_in_their_order() {
        let cells = ["b, a;c| b ,", "a", "", "d"];
        assert_eq!(read(cells.into_iter(), &TagSeparator::Usual).unwrap(), ["b", "a", "c", "d"]);
        let told = TagSeparator::Told("|".to_owned());
        assert_eq!(read(["Art, Modern|History"].into_iter(), &told).unwrap(), ["Art, Modern", "History"]);
    }

    #[test]
    fn tags_the_service_would_refuse_are_refused_here() {
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert_eq!(
            read([many.join(",").as_str()].into_iter(), &TagSeparator::Usual),
            Err(TagFault::TooMany(21))
        );
        let long = "x".repeat(201);
        assert_eq!(
            read([long.as_str()].into_iter(), &TagSeparator::Usual),
            Err(TagFault::TooLong(long.clone()))
        );
        let own = "telecine:1";
        assert_eq!(read([own].into_iter(), &TagSeparator::Usual), Err(TagFault::Reserved(own.to_owned())));
    }
}
