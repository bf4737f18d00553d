//! The columns of JSON records: which path of a record fills which cell.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{NamedKeys, RecordError},
    BARE, EACH,
    outline::means,
    value::{cell_of, elements, gather, labels, walk},
};
use crate::manifest::mapping::{Field, squashed};

/// The column of everything that no other column holds.
const OTHER_KEYS: &str = "other keys";
/// This many keys have a column, beside those that rules name or that feed a field.
const KEYS_MAX: usize = 4 * 1024;
/// Arrays within arrays are known down to this many levels.
const LEVELS_MAX: usize = 8;
/// This many elements of an array show which keys its elements have.
const ELEMENTS_MAX: usize = 64;

/// The keys of a file, in the order in which they are met.
#[derive(Debug, Default)]
pub(super) struct Keys {
    plain: Vec<String>,
    known: HashSet<String>,
    /// Paths into arrays, such as `videos[].url`.
    inner: Vec<String>,
    has_more: bool,
}

impl Keys {
    /// Adds the keys of a record, whose own path is `prefix`.
    pub(super) fn add_record(
        &mut self,
        text: &str,
        prefix: &str,
        named: &NamedKeys,
    ) -> Result<(), RecordError> {
        walk(text, prefix, &mut |path, value| {
            self.add_inner(path, value, LEVELS_MAX);
            self.add(path, named);
            Ok(())
        })
    }

    pub(super) fn add(&mut self, path: &str, named: &NamedKeys) {
        if self.known.contains(path) {
            return;
        }
        let is_wanted = || named.all.iter().any(|name| name == path) || names_a_field(path);
        if self.plain.len() < KEYS_MAX || is_wanted() {
            self.known.insert(path.to_owned());
            self.plain.push(path.to_owned());
        } else {
            self.has_more = true;
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.plain
    }

    fn add_inner(&mut self, path: &str, value: &str, levels: usize) {
        if !value.starts_with('[') || levels == 0 {
            return;
        }
        let each = format!("{path}{EACH}");
        for element in elements(value).into_iter().take(ELEMENTS_MAX) {
            if element.starts_with('{') {
                let _ = walk(element, &each, &mut |path, value| {
                    self.add_inner(path, value, levels - 1);
                    self.add_inner_path(path);
                    Ok(())
                });
            } else {
                self.add_inner_path(&each);
            }
        }
    }

    fn add_inner_path(&mut self, path: &str) {
        if self.inner.len() < KEYS_MAX && !self.known.contains(path) {
            self.known.insert(path.to_owned());
            self.inner.push(path.to_owned());
        }
    }
}

/// Whether the last part of a path is a header name that feeds a field.
fn names_a_field(path: &str) -> bool {
    let last = path.rsplit(['.', ']']).next().unwrap_or(path);
    Field::all().any(|field| means(field, last))
}

/// Whether a path is recognised as a field of which several rows may have the same value.
pub(super) fn fits_a_row(path: &str) -> bool {
    let own = [Field::Url, Field::Id, Field::Hash, Field::Callback];
    let last = path.rsplit('.').next().unwrap_or(path);
    Field::all().any(|field| !own.contains(&field) && means(field, last))
}

/// A step from a record to its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Each element of the array at this path is a row.
    Array(String),
    /// Each value of these paths is a row; it is in this column.
    Values(Vec<String>, usize),
}

impl Step {
    /// How the paths of its elements begin.
    fn prefix(&self) -> Option<String> {
        match self {
            Self::Array(path) => Some(format!("{path}{EACH}")),
            Self::Values(..) => None,
        }
    }
}

/// The cells of a record, and what no column holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled {
    pub(super) cells: Vec<String>,
    others: Vec<(String, String)>,
    /// What the next step is taken into, as it is written.
    pub(super) next: Vec<String>,
}

/// Which column holds what.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) names: Vec<String>,
    places: HashMap<String, usize>,
    /// Where the other keys go.
    others: Option<usize>,
    pub(super) steps: Vec<Step>,
    /// Columns that collect a value of each element of an array: the array's path, the path within, the column.
    lists: Vec<(String, String, usize)>,
    /// Whether a column holds tags.
    is_tags: Vec<bool>,
    /// Columns of addresses within arrays, which no rule names.
    pub(super) addresses_in_arrays: Vec<String>,
    pub(super) has_more_keys: bool,
}

impl Layout {
    /// The columns for these keys. `collection` is the path whose elements are records already.
    pub(super) fn new(keys: &Keys, named: &NamedKeys, collection: Option<&str>) -> Self {
        let mut layout = Self { has_more_keys: keys.has_more, ..Self::default() };
        for name in &keys.plain {
            layout.add(name);
        }
        if keys.has_more || named.may_come_late {
            layout.others = Some(layout.names.len());
            layout.add(OTHER_KEYS);
        }
        layout.steps = steps(named, collection);
        let split = layout.steps.iter().rev().find_map(Step::prefix);
        let is_in_split = |name: &str| split.as_deref().is_some_and(|split| name.starts_with(split));
        let is_named =
            |name: &str| named.all.iter().any(|own| own == name || squashed(own) == squashed(name));
        for name in keys.inner.iter().filter(|name| is_in_split(name) || named.wants_arrays || is_named(name))
        {
            layout.add(name);
        }
        // a key that no record shows yet has a column when a rule names it
        let is_key = |name: &&String| !name.starts_with('#') && !name.contains(['*', '?']);
        for name in named.all.iter().filter(|_| named.may_come_late).filter(is_key) {
            layout.add(name);
        }
        if named.may_come_late {
            layout.add_late_fields();
        }
        if !named.each.is_empty() {
            let paths = named.each.iter().map(|name| name.trim_end_matches(EACH).to_owned()).collect();
            layout.steps = vec![Step::Values(paths, layout.names.len())];
            layout.add(&named.each.join("+"));
        }
        let is_address = |name: &&String| means(Field::Url, name.rsplit(['.', ']']).next().unwrap_or(name));
        layout.addresses_in_arrays = keys.inner.iter().filter(is_address).take(3).cloned().collect();
        let in_collection = collection.filter(|path| !path.is_empty()).map(|path| format!("{path}{EACH}"));
        layout.find_lists(split.or(in_collection).as_deref());
        layout.is_tags = layout.names.iter().map(|name| holds_tags(name, named)).collect();
        layout
    }

    fn add(&mut self, name: &str) {
        if !self.places.contains_key(name) {
            self.places.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
        }
    }

    /// Columns for fields that no key feeds yet, under the name that each is recognised by best.
    fn add_late_fields(&mut self) {
        let last = |name: &str| name.rsplit(['.', ']']).next().unwrap_or_default().to_owned();
        let is_fed = |field: Field| self.names.iter().any(|name| means(field, &last(name)));
        let is_place = |field| matches!(field, Field::Latitude | Field::Longitude | Field::Geo);
        let has_place = Field::all().any(|field| is_place(field) && is_fed(field));
        let missing: Vec<&str> = Field::all()
            .filter(|field| *field != Field::Url && !is_fed(*field))
            .filter(|field| !is_place(*field) || (!has_place && *field != Field::Geo))
            .filter_map(|field| field.header_names().first().copied())
            .collect();
        for name in missing {
            self.add(name);
        }
    }

    fn find_lists(&mut self, split: Option<&str>) {
        let own = split.map_or(0, str::len);
        for (column, name) in self.names.iter().enumerate() {
            let is_in_split = split.is_some_and(|split| name.starts_with(split));
            let from = if is_in_split { own } else { 0 };
            if let Some(at) = name[from..].find(EACH) {
                let (array, inner) = name.split_at(from + at);
                self.lists.push((array.to_owned(), inner[EACH.len()..].to_owned(), column));
            }
        }
    }

    /// The columns that collect values of elements.
    pub(super) fn lists(&self) -> impl Iterator<Item = &String> {
        self.lists.iter().map(|(_, _, column)| &self.names[*column])
    }

    /// No cell is filled.
    pub(super) fn empty(&self) -> Filled {
        Filled { cells: vec![String::new(); self.names.len()], ..Filled::default() }
    }

    /// Fills cells with a value whose path is `prefix`; `step` is the step that is taken next.
    pub(super) fn fill(
        &self,
        filled: &mut Filled,
        text: &str,
        prefix: &str,
        step: Option<&Step>,
    ) -> Result<(), RecordError> {
        if !text.starts_with('{') {
            return self.put(filled, if prefix.is_empty() { BARE } else { prefix }, text);
        }
        walk(text, prefix, &mut |path, value| {
            match step {
                Some(Step::Array(array)) if array == path => {
                    let is_array = value.starts_with('[');
                    filled.next = if is_array {
                        elements(value).into_iter().map(str::to_owned).collect()
                    } else {
                        vec![value.to_owned()]
                    };
                    return Ok(());
                }
                Some(Step::Values(paths, _)) if paths.iter().any(|own| own == path) => {
                    let values = if value.starts_with('[') { elements(value) } else { vec![value] };
                    filled
                        .next
                        .extend(values.into_iter().filter(|value| *value != "null").map(str::to_owned));
                }
                Some(Step::Array(_) | Step::Values(..)) | None => {}
            }
            self.put(filled, path, value)
        })
    }

    /// Fills the cells that have a column, and leaves out the other keys.
    pub(super) fn fill_known(&self, filled: &mut Filled, text: &str) -> Result<(), RecordError> {
        walk(text, "", &mut |path, value| {
            if self.places.contains_key(path) { self.put(filled, path, value) } else { Ok(()) }
        })
    }

    /// Fills a cell that is empty.
    pub(super) fn fill_if_empty(
        &self,
        filled: &mut Filled,
        path: &str,
        value: &str,
    ) -> Result<(), RecordError> {
        let is_empty = |column: &usize| filled.cells[*column].is_empty();
        if self.places.get(path).is_some_and(is_empty) { self.put(filled, path, value) } else { Ok(()) }
    }

    /// The record that an element of a step makes of what all elements share.
    pub(super) fn fill_step(
        &self,
        base: &Arc<Filled>,
        element: &str,
        step: &Step,
        next: Option<&Step>,
    ) -> Result<Filled, RecordError> {
        let mut filled = Filled { next: Vec::new(), ..Filled::clone(base) };
        match step {
            Step::Array(path) => self.fill(&mut filled, element, &format!("{path}{EACH}"), next)?,
            Step::Values(_, column) => filled.cells[*column] = cell_of(element)?,
        }
        Ok(filled)
    }

    fn put(&self, filled: &mut Filled, path: &str, value: &str) -> Result<(), RecordError> {
        if value.starts_with('[') {
            for (_, inner, column) in self.lists.iter().filter(|(array, ..)| array == path) {
                let mut found = Vec::new();
                for element in elements(value) {
                    gather(element, inner, &mut found);
                }
                filled.cells[*column] =
                    if found.is_empty() { String::new() } else { format!("[{}]", found.join(",")) };
            }
        }
        match self.places.get(path) {
            Some(place) if Some(*place) != self.others => {
                let is_list = self.is_tags[*place] && value.starts_with('[');
                let cell = if is_list { cell_of(&labels(value))? } else { cell_of(value)? };
                let known = &mut filled.cells[*place];
                if !known.is_empty() && *known != cell {
                    return Err(RecordError::PathTwice(path.into()));
                }
                *known = cell;
            }
            // what a column collects is there already
            _ if self.others.is_some() => filled.others.push((path.to_owned(), value.to_owned())),
            _ => {}
        }
        Ok(())
    }

    /// The cells of a row, with those keys that have no column in one of their own.
    pub(super) fn finish(&self, filled: Filled) -> Result<Vec<String>, RecordError> {
        let Filled { mut cells, others, .. } = filled;
        if let (Some(column), false) = (self.others, others.is_empty()) {
            let key = |name: &str| serde_json::to_string(name).unwrap_or_default();
            let pairs: Vec<String> =
                others.iter().map(|(name, value)| format!("{}:{value}", key(name))).collect();
            cells[column] = cell_of(&format!("{{{}}}", pairs.join(",")))?;
        }
        Ok(cells)
    }
}

/// The steps from a record to its rows, as the rules for the url name them.
fn steps(named: &NamedKeys, collection: Option<&str>) -> Vec<Step> {
    let Some(name) = named.url.iter().find(|name| name.contains(EACH)) else { return Vec::new() };
    let ends = name.match_indices(EACH).map(|(at, _)| &name[..at]);
    let inner = ends.filter(|path| collection != Some(*path));
    inner.map(|path| Step::Array(path.to_owned())).collect()
}

fn holds_tags(name: &str, named: &NamedKeys) -> bool {
    named.tags.iter().any(|own| own == name)
        || means(Field::Tags, name.rsplit(['.', ']']).next().unwrap_or(name))
}
