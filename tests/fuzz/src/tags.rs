//! Tags: what is split off can be sent as it is, and reads as itself when it is written as a list.

use telecine::manifest::{TagSeparator, TooLong};

use crate::Choices;

/// The most tags that the service accepts for one video.
const TAGS_MAX: usize = 20;
/// telecine's own bound for one tag, in characters.
const LENGTH_MAX: usize = 200;
/// What telecine's own tags begin with.
const RESERVED: &str = "telecine:";

/// Checks one cell.
pub fn check(input: &[u8]) {
    let Some((mut choices, text)) = Choices::of_text(input) else { return };
    let too_long = choices.one_of([TooLong::Refuse, TooLong::Cut]);
    let (separator, cell) = match choices.one_of([None, Some(" "), Some("; "), Some("\n")]) {
        None => (TagSeparator::Default, text),
        // it is in the first line
        Some("\n") => {
            let (told, cell) = text.split_once('\n').unwrap_or((",", text));
            (TagSeparator::Only(told.to_owned()), cell)
        }
        Some(told) => (TagSeparator::Only(told.to_owned()), text),
    };
    let Ok((tags, is_cut)) = separator.split(cell, too_long) else { return };
    let tags: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
    if let Some(error) = fault_of(&tags) {
        panic!("{cell:?} is read as {tags:?}: {error}");
    }
    assert!(!is_cut || too_long == TooLong::Cut, "{cell:?} is cut although the rules do not allow it");
    if too_long == TooLong::Cut && !is_cut {
        let whole = separator.split(cell, TooLong::Refuse);
        assert_eq!(whole.as_ref().map(|(whole, _)| &whole[..]).ok(), Some(&own(&tags)[..]), "{cell:?}");
    }
    let list = serde_json::Value::from(tags.clone()).to_string();
    assert_eq!(separator.split(&list, TooLong::Refuse), Ok((own(&tags), false)), "{list} does not read back");
}

fn own<'a>(tags: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
    tags.iter().map(|tag| (*tag).into()).collect()
}

/// Why these cannot be sent.
pub(crate) fn fault_of<T: AsRef<str>>(tags: &[T]) -> Option<&'static str> {
    if tags.len() > TAGS_MAX {
        return Some("there are too many");
    }
    tags.iter().enumerate().find_map(|(at, tag)| {
        let tag = tag.as_ref();
        match tag {
            _ if tag.is_empty() => Some("one is empty"),
            _ if tag.trim() != tag => Some("one has blanks around it"),
            _ if tag.chars().count() > LENGTH_MAX => Some("one is too long"),
            _ if tag.contains('\0') => Some("one holds a NUL character"),
            _ if tag.starts_with(RESERVED) => Some("one is telecine's own"),
            _ if tags[..at].iter().any(|earlier| earlier.as_ref() == tag) => Some("one is there twice"),
            _ => None,
        }
    })
}
