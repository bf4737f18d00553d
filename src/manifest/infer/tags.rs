//! Which columns hold tags: lists of words, or words that come again.

use std::collections::HashSet;

use super::{
    super::{
        addresses::{is_media, is_web_address},
        mapping::Field,
        values::{datetime::DateRules, tags::listed},
    },
    Inference, MOST,
    columns::Column,
};

/// At most this many columns are proposed as tags: more would rarely fit twenty tags.
const TAG_COLUMNS_MAX: usize = 4;
/// Tags are words, not sentences: longer on average, in characters, they are something else.
const TAG_LENGTH_MEAN_MAX: usize = 40;
/// Fewer rows do not show which words come again.
const ROWS_MIN: usize = 6;
/// A column of lists scores so much, and one of words that come again.
const LIST_SCORE: u32 = 60;
const CATEGORY_SCORE: u32 = 40;
const NAMED_SCORE: u32 = 200;

impl Inference {
    pub(super) fn find_tags(&mut self, columns: &[Column<'_>], rows: usize) {
        let mut found: Vec<(u32, usize, &Column<'_>)> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !self.is_used(column) && may_be_tags(column, rows))
            .map(|(at, column)| (score(column), at, column))
            .filter(|(score, ..)| *score > 0)
            .collect();
        found.sort_by_key(|(score, at, _)| (std::cmp::Reverse(*score), *at));
        if found.first().is_some_and(|(score, ..)| *score >= NAMED_SCORE) {
            found.truncate(1);
        }
        found.truncate(TAG_COLUMNS_MAX);
        found.sort_by_key(|(_, at, _)| *at);
        if found.is_empty() {
            return;
        }
        let columns: Vec<&Column<'_>> = found.iter().map(|(.., column)| *column).collect();
        let confidence = found.iter().map(|(score, ..)| *score).min().unwrap_or(0).min(90);
        self.propose(Field::Tags, &columns, confidence, "lists of words, or words that come again");
        self.find_separator(&columns);
    }

    /// A `|` between texts that hold commas themselves is alone between tags.
    pub(super) fn find_separator(&mut self, columns: &[&Column<'_>]) {
        let mut cells = columns.iter().flat_map(|column| &column.cells);
        let is_bar = cells.any(|cell| cell.contains('|') && cell.contains([',', ';']));
        self.tag_separator = is_bar.then_some('|');
    }
}

fn is_list(cell: &str) -> bool {
    let is_word = |element: &String| !element.starts_with(['{', '[']);
    listed(cell).is_some_and(|elements| !elements.is_empty() && elements.iter().all(is_word))
}

fn score(column: &Column<'_>) -> u32 {
    let lists = column.share(|cell| cell.contains(['|', ';']) || is_list(cell));
    let is_category = column.cells.len() >= ROWS_MIN && column.distinct() * 4 <= column.cells.len();
    let named = if column.is_named(Field::Tags) { NAMED_SCORE } else { 0 };
    let list = if lists >= MOST / 2 && words_come_again(column) { LIST_SCORE } else { 0 };
    named + list + if is_category { CATEGORY_SCORE } else { 0 }
}

/// Whether the words of lists are in several of them. A few rows need not show it.
fn words_come_again(column: &Column<'_>) -> bool {
    let words = column.cells.iter().flat_map(|cell| cell.split(['|', ';', ','])).map(str::trim);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let distinct = words.iter().collect::<HashSet<_>>().len();
    column.cells.len() < ROWS_MIN || distinct * 5 <= words.len() * 4
}

/// Texts that answer yes or no.
const SWITCHES: &[&str] = &["true", "false", "yes", "no", "y", "n", "t", "f"];

/// Whether the cells are short texts that are nothing else.
fn may_be_tags(column: &Column<'_>, rows: usize) -> bool {
    if column.is_named(Field::Tags) {
        return !column.cells.is_empty();
    }
    let is_other = |cell: &str| {
        let is_structure = cell.starts_with(['{', '[']) && !is_list(cell);
        cell.parse::<f64>().is_ok()
            || is_structure
            || is_web_address(cell)
            || is_media(cell)
            || SWITCHES.contains(&cell.to_ascii_lowercase().as_str())
            || DateRules::default().read(cell).is_ok()
    };
    !column.cells.is_empty()
        && column.distinct() > 1
        && column.share(is_other) < 20
        && (column.length_mean() <= TAG_LENGTH_MEAN_MAX || column.share(is_list) >= MOST)
        && column.cells.len() * 10 >= rows
}
