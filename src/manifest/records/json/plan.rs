//! How a JSON file is to be read: what a first pass over it finds out.

use std::{
    io::{self, BufRead},
    sync::Arc,
};

use super::{
    super::{
        super::Header,
        super::source::{self, Bytes},
        NamedKeys, Next, RecordError,
    },
    ArrayColumns, EACH, JsonRecords, KEY, arrays,
    boundary::{Shape, shape_of},
    by_column::ByColumn,
    layout::{Filled, Keys, Layout},
    outer::Beside,
    outline::{Outline, join},
    rows::{RowsOf, rows_of},
    value::without_bare_words,
};
use crate::manifest::json_text;

/// How a file is read.
#[derive(Clone, Debug)]
pub(in crate::manifest) struct JsonPlan {
    pub(super) shape: Shape,
    pub(super) rows_of: RowsOf,
    /// A file of one line numbers its records instead of its lines.
    pub(super) counts_records: bool,
    pub(super) layout: Layout,
    /// The cells that all rows share.
    pub(super) shared: Filled,
    pub(super) columns: Option<Arc<ByColumn>>,
    /// The names of the elements, where each record is an array.
    pub(super) array_columns: Option<ArrayColumns>,
    element_prefix: String,
    /// The first record that cannot be read, with its line.
    first_fault: Option<(u64, RecordError)>,
    /// What a user should know about it.
    pub(in crate::manifest) found: Vec<String>,
}

/// Why a file cannot be read as JSON records.
#[derive(Debug)]
pub(in crate::manifest) enum PlanError {
    Io(io::Error),
    /// What is unclear, and what to do.
    Unclear(String),
    /// No record can be read; the first error, with its line.
    NoRecord(u64, RecordError),
}

/// Opens the file from its beginning.
pub(in crate::manifest) type Reopen<'a> = &'a dyn Fn() -> io::Result<Bytes>;

impl JsonPlan {
    /// By the first bytes and, where the file can be opened again, by all of it.
    pub(in crate::manifest) fn of(
        head: &[u8],
        reopen: Option<Reopen<'_>>,
        named: &NamedKeys,
        header: Header,
    ) -> Result<Self, PlanError> {
        let open = || reopen.map_or_else(|| Ok(source::of(head)), |reopen| reopen()).map_err(PlanError::Io);
        let mut named = named.clone();
        named.may_come_late = reopen.is_none();
        let mut plan = Self {
            shape: shape_of(head),
            rows_of: RowsOf::Records,
            counts_records: false,
            layout: Layout::default(),
            shared: Filled::default(),
            columns: None,
            array_columns: None,
            element_prefix: String::new(),
            first_fault: None,
            found: Vec::new(),
        };
        // what is beside the rows
        let mut beside = String::from("{}");
        if head.trim_ascii_start().starts_with(b"{")
            && let Some(document) = outline(open()?)
        {
            if let Some(fault) = document.key_twice {
                return Err(PlanError::NoRecord(fault.line, RecordError::BadJson(fault)));
            }
            plan.rows_of = rows_of(&document, &named).map_err(PlanError::Unclear)?;
            plan.array_columns = ArrayColumns::beside(&document);
            beside = object_of(&document.members);
        } else if arrays::are_lines(head) {
            (plan.shape, plan.rows_of) = (Shape::Lines, RowsOf::Arrays { path: String::new() });
        } else if arrays::are_in_array(head) {
            (plan.shape, plan.rows_of) = (Shape::Elements, RowsOf::Arrays { path: String::new() });
        }
        let (mut keys, mut around) = (Keys::default(), Beside::default());
        match plan.rows_of.clone() {
            RowsOf::Records => {}
            RowsOf::Columns => plan.read_columns(open()?).map_err(PlanError::Unclear)?,
            RowsOf::Arrays { path } => {
                plan.read_arrays(&path, open()?, header).map_err(PlanError::Unclear)?;
            }
            RowsOf::Elements { path, is_keyed, shares_members } => {
                plan.read_elements(&path, is_keyed);
                beside = without(&beside, &path);
                let rules = (!shares_members).then_some(&named);
                around = Beside::of(&beside, rules);
                if shares_members {
                    // what cannot be read is an error where the cells are shared
                    let _ = keys.add_record(&beside, "", &named);
                } else {
                    add_named(&mut keys, &beside, &named);
                }
            }
        }
        let is_one_line = !head.trim_ascii().contains(&b'\n');
        plan.counts_records = plan.columns.is_some() || plan.shape != Shape::Lines && is_one_line;
        let rows = plan.find_keys(open()?, &mut keys, &named);
        plan.found.extend(around.notices(rows));
        let collection = matches!(plan.rows_of, RowsOf::Elements { .. });
        let collection = collection.then(|| plan.element_prefix.trim_end_matches(EACH).to_owned());
        if let Some((line, error)) = plan.first_fault.take().filter(|_| keys.names().is_empty()) {
            return Err(PlanError::NoRecord(line, error));
        }
        plan.layout = Layout::new(&keys, &named, collection.as_deref());
        plan.share(&beside)?;
        if plan.layout.has_more_keys {
            let text = "the file has more keys than columns are kept for; --map names any of the others";
            plan.found.push(text.to_owned());
        }
        Ok(plan)
    }

    /// Makes the values of each key a column.
    fn read_columns(&mut self, bytes: Bytes) -> Result<(), String> {
        self.columns = Some(Arc::new(ByColumn::read(bytes)?));
        self.found.push("each key holds a column: its values are rows".to_owned());
        Ok(())
    }

    /// Makes the values of the array or object at this path the records.
    fn read_elements(&mut self, path: &str, is_keyed: bool) {
        self.shape = Shape::Elements;
        let shown = if path.is_empty() { "the object".to_owned() } else { crate::redact::clean(path) };
        let what = if is_keyed { "value" } else { "element" };
        self.found.push(format!("each {what} of {shown} is a row"));
        self.element_prefix = if path.is_empty() { String::new() } else { format!("{path}{EACH}") };
    }

    /// Makes the arrays of the array at this path the records.
    fn read_arrays(&mut self, path: &str, bytes: Bytes, header: Header) -> Result<(), String> {
        if !path.is_empty() {
            self.shape = Shape::Elements;
        }
        if self.array_columns.is_none() {
            let mut records = JsonRecords::new(bytes, Arc::new(self.clone()));
            while !matches!(records.read_next(), Ok(Next::Record { .. } | Next::End) | Err(_)) {}
            let first = String::from_utf8_lossy(&records.text);
            self.array_columns = Some(ArrayColumns::of_first(&first, header)?);
        }
        let of = if path.is_empty() { String::new() } else { format!(" of {}", crate::redact::clean(path)) };
        self.found.push(format!("each array{of} is a row"));
        Ok(())
    }

    /// Whether each value of the file is a record.
    pub(super) const fn is_records(&self) -> bool {
        matches!(self.rows_of, RowsOf::Records | RowsOf::Columns)
    }

    /// Whether the text of a record is as the file has it, and not made of columns or of an array.
    pub(super) const fn has_own_text(&self) -> bool {
        self.columns.is_none() && self.array_columns.is_none()
    }

    /// Whether records are arrays whose elements are named, by the first of them or beside them.
    pub(in crate::manifest) const fn array_columns_are_named(&self) -> bool {
        self.array_columns.is_some()
    }

    /// How the path of each element begins.
    pub(super) fn prefix(&self) -> &str {
        &self.element_prefix
    }

    /// The columns' names.
    pub(in crate::manifest) fn names(&self) -> &[String] {
        &self.layout.names
    }

    /// Paths into arrays that look like the url, which no rule names.
    pub(in crate::manifest) fn addresses_in_arrays(&self) -> &[String] {
        &self.layout.addresses_in_arrays
    }

    /// The columns of elements of arrays that are no rows.
    pub(in crate::manifest) fn paths_into_arrays(&self) -> impl Iterator<Item = &String> {
        self.layout.lists()
    }

    /// Reads all records for their keys, and counts them. What cannot be read is an error of its row later.
    fn find_keys(&mut self, bytes: Bytes, keys: &mut Keys, named: &NamedKeys) -> u64 {
        let mut rows = 0;
        let mut records = JsonRecords::new(bytes, Arc::new(self.clone()));
        loop {
            let fault = match records.read_text() {
                Ok(Next::Record { .. }) => records.add_keys(keys, named).err(),
                Ok(Next::Fault { error, .. }) => Some(error),
                Ok(Next::End) | Err(_) => break,
            };
            rows += 1;
            if let Some(error) = fault {
                self.first_fault.get_or_insert((records.record_line(), error));
            }
        }
        if let RowsOf::Elements { is_keyed: true, .. } = self.rows_of {
            keys.add(&join(&self.element_prefix, KEY), named);
        }
        rows
    }

    /// Fills the cells that all rows share, from what is beside the rows.
    fn share(&mut self, beside: &str) -> Result<(), PlanError> {
        self.shared = self.layout.empty();
        if !matches!(self.rows_of, RowsOf::Elements { .. }) {
            return Ok(());
        }
        let unreadable = |_| PlanError::Unclear("the keys beside the rows cannot be read".to_owned());
        self.layout.fill_known(&mut self.shared, beside).map_err(unreadable)
    }
}

/// The outline of a file that is one object.
fn outline(mut bytes: Bytes) -> Option<super::outline::Document> {
    let mut outline = Outline::default();
    loop {
        let input = match bytes.fill_buf() {
            Ok(input) if !input.is_empty() => input,
            Ok(_) | Err(_) => return outline.finish(),
        };
        if !outline.push(input) {
            return None;
        }
        let count = input.len();
        bytes.consume(count);
    }
}

/// Members as an object again.
fn object_of(members: &[(String, String)]) -> String {
    let pairs: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{}:{value}", serde_json::to_string(key).unwrap_or_default()))
        .collect();
    without_bare_words(&format!("{{{}}}", pairs.join(","))).into_owned()
}

/// An object without the value at this path; nothing of it for the empty path.
fn without(object: &str, path: &str) -> String {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let members = json_text::pairs(object).filter(|_| !path.is_empty()).unwrap_or_default().into_iter();
    let others = members.filter(|(key, _)| key != first || !rest.is_empty());
    let pairs = others.map(|(key, value)| {
        let value = if key == first { without(value, rest) } else { value.to_owned() };
        (key.into_owned(), value)
    });
    object_of(&pairs.collect::<Vec<_>>())
}

/// Adds the keys beside the rows that a rule names: nothing says that the others belong to every row.
fn add_named(keys: &mut Keys, beside: &str, named: &NamedKeys) {
    let mut all = Keys::default();
    let _ = all.add_record(beside, "", named);
    for name in all.names().iter().filter(|name| named.all.contains(name)) {
        keys.add(name, named);
    }
}
