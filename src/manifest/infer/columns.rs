//! The columns of a sample: what their values have in common.

use std::collections::HashSet;

use super::super::mapping::{Field, MapRule, Part, Selector, fits, last_part, parts_of};

/// One column of the first rows.
pub(super) struct Column<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    pub(super) name: &'a str,
    /// The parts of its name, with `_` between them.
    parts: String,
    /// Whether it is of the manifest itself, not of a second file.
    pub(super) is_own: bool,
    /// The cells that are not empty.
    pub(super) cells: Vec<&'a str>,
}

impl<'a> Column<'a> {
    pub(super) fn new(at: usize, name: &'a str, is_own: bool, cells: Vec<&'a str>) -> Self {
        Self { number: at + 1, name, parts: parts_of(last_part(name)), is_own, cells }
    }

    /// How many of the cells are so, in percent of those that are not empty.
    pub(super) fn share(&self, is_so: impl Fn(&str) -> bool) -> u32 {
        let count = self.cells.iter().filter(|cell| is_so(cell)).count() * 100;
        u32::try_from(count / self.cells.len().max(1)).unwrap_or(100)
    }

    /// How a rule names it: by its name, where that reads back as nothing else.
    pub(super) fn part(&self, field: Field) -> Part {
        let part = Part::Column(Selector::plain(self.name));
        let rule = MapRule { field, parts: vec![part.clone()] };
        let is_plain = !self.name.starts_with('#') && !self.name.contains(['*', '?', '\n']);
        let reads_back = rule.to_string().parse().as_ref() == Ok(&rule);
        if is_plain && reads_back {
            part
        } else {
            Part::Column(Selector::plain(&format!("#{}", self.number)))
        }
    }

    /// Whether its name is one that the field is recognised by.
    pub(super) fn is_named(&self, field: Field) -> bool {
        fits(field, self.name)
    }

    /// Whether its name has one of these parts.
    pub(super) fn has_word(&self, words: &[&str]) -> bool {
        self.parts.split('_').any(|part| words.contains(&part))
    }

    /// Whether its whole name is one of these.
    pub(super) fn is_called(&self, names: &[&str]) -> bool {
        names.contains(&self.parts.as_str())
    }

    pub(super) fn distinct(&self) -> usize {
        self.cells.iter().collect::<HashSet<_>>().len()
    }

    pub(super) fn length_mean(&self) -> usize {
        self.cells.iter().map(|cell| cell.chars().count()).sum::<usize>() / self.cells.len().max(1)
    }
}
