//! Records from JSON: objects one a line (JSON Lines), one after the other, as the elements of an array, as the values of an array
//! or object within the file's only object, as arrays whose columns have names, or as columns side by side.
//!
//! An object is flattened: `{"place": {"lat": 1}}` feeds the column `place.lat`. An array is one cell, as it is written. The
//! column `subjects[].name` collects a value of each element. Where a rule for the url names `videos[].url`, each element of
//! `videos` is a row. Numbers keep the digits they are written with.
//!
//! The columns are the keys of the whole file, which a first pass finds. A pipe can be read only once: its columns are the
//! keys of its first bytes and those that rules name.

mod arrays;
mod boundary;
mod by_column;
mod layout;
mod outer;
mod outline;
mod plan;
mod rows;
mod tokens;
mod value;

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, BufRead},
    sync::Arc,
};

use super::{super::source::Bytes, LineCounter, NamedKeys, Next, RECORD_MAX, RecordError};
use crate::manifest::json_text::{self, JsonFault};
use arrays::ArrayColumns;
use boundary::{Shape, ValueEnd};
pub(in crate::manifest) use boundary::{is_json, is_whole_value};
use layout::{Filled, Keys, Step};
use outline::join;
pub(in crate::manifest) use plan::{JsonPlan, PlanError, Reopen};
use rows::RowsOf;
use tokens::{Token, Tokens};
use value::without_bare_words;

/// The column of a value that is no object.
const BARE: &str = "value";
/// The column of the key that an object is under, where each value of an object is a row.
const KEY: &str = "key";
/// What marks a column of the elements of an array.
pub(in crate::manifest) const EACH: &str = "[]";

/// Reads object after object into one reused buffer.
pub(in crate::manifest) struct JsonRecords {
    bytes: Bytes,
    plan: Arc<JsonPlan>,
    lines: LineCounter,
    record_line: u64,
    /// Where the value in the buffer begins: its line, and the bytes before it there.
    begins_at: (u64, u64),
    records_read: u64,
    text: Vec<u8>,
    /// The key that the value in the buffer is under.
    key: String,
    progress: Within,
    /// Arrays around the values that are open here.
    open_arrays: i32,
    cells: Vec<String>,
    /// Elements of the record that are no rows yet.
    pending: VecDeque<PendingElement>,
}

/// Where reading is in a file whose rows are within its only object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Before,
    Inside,
    Behind,
}

/// An element that becomes a row, or several.
struct PendingElement {
    base: Arc<Filled>,
    element: String,
    /// The step that it is an element of.
    step: usize,
}

impl JsonRecords {
    /// Reads what `bytes` hold, as the plan says.
    pub(super) fn new(bytes: Bytes, plan: Arc<JsonPlan>) -> Self {
        Self {
            bytes,
            plan,
            lines: LineCounter::default(),
            record_line: 1,
            begins_at: (1, 0),
            records_read: 0,
            text: Vec::new(),
            key: String::new(),
            progress: Within::Before,
            open_arrays: 0,
            cells: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    pub(super) fn line(&self) -> u64 {
        if self.plan.counts_records { self.records_read + 1 } else { self.lines.line() }
    }

    pub(super) const fn record_line(&self) -> u64 {
        self.record_line
    }

    pub(super) fn has_buffered_input(&self) -> bool {
        !self.pending.is_empty() || self.bytes.buffer().iter().any(|byte| !byte.is_ascii_whitespace())
    }

    pub(super) fn cells(&self) -> Vec<&str> {
        self.cells.iter().map(String::as_str).collect()
    }

    pub(super) fn read(&mut self) -> io::Result<Next> {
        let filled = if self.pending.is_empty() {
            let next = self.read_text()?;
            let Next::Record { .. } = next else { return Ok(next) };
            self.fill()
        } else {
            Ok(None)
        };
        let line = self.record_line;
        let cells = match filled {
            Ok(Some(filled)) => self.plan.layout.finish(filled),
            Ok(None) => self.next_element(),
            Err(error) => Err(error),
        };
        Ok(match cells {
            Ok(cells) => {
                self.cells = cells;
                Next::Record { line }
            }
            Err(error) => Next::Fault { line, error },
        })
    }

    /// The value in the buffer.
    fn value(&self) -> Result<Cow<'_, str>, RecordError> {
        let text = std::str::from_utf8(&self.text).map_err(|_| RecordError::NotAnObject)?;
        let text = without_bare_words(text);
        if self.plan.is_records() && !text.trim_start().starts_with(['{', '"']) {
            self.check(&text)?;
            return Err(RecordError::NotAnObject);
        }
        Ok(text)
    }

    /// Adds the keys of the value in the buffer.
    fn add_keys(&self, keys: &mut Keys, named: &NamedKeys) -> Result<(), RecordError> {
        let prefix = self.plan.prefix();
        let text = self.value()?;
        if !text.trim_start().starts_with('{') {
            keys.add(if prefix.is_empty() { BARE } else { prefix }, named);
            return Ok(());
        }
        let added = keys.add_record(text.trim(), prefix, named);
        added.map_err(|error| self.check(&text).err().unwrap_or(error))
    }

    /// The cells of the value in the buffer; none when its elements are rows, which are pending now.
    fn fill(&mut self) -> Result<Option<Filled>, RecordError> {
        let plan = Arc::clone(&self.plan);
        let text = self.value()?;
        if plan.has_own_text() {
            self.check(&text)?;
        }
        let text = text.trim();
        let mut filled = Filled::clone(&plan.shared);
        let prefix = plan.prefix();
        plan.layout.fill(&mut filled, text, prefix, plan.layout.steps.first())?;
        if let RowsOf::Elements { is_keyed: true, .. } = plan.rows_of {
            let key = serde_json::to_string(&self.key).unwrap_or_default();
            plan.layout.fill_if_empty(&mut filled, &join(prefix, KEY), &key)?;
        }
        Ok(self.split(filled, 0))
    }

    /// Checks the text of a value as the file has it. An error says where in the file it is.
    fn check(&self, text: &str) -> Result<(), RecordError> {
        let (line, before) = self.begins_at;
        json_text::check(text).map_err(|fault| {
            let column = if fault.line == 1 { fault.column + before } else { fault.column };
            RecordError::BadJson(Box::new(JsonFault { line: fault.line + line - 1, column, ..fault }))
        })
    }

    /// A record that is a row; none when its elements are rows, which are pending now.
    fn split(&mut self, mut filled: Filled, step: usize) -> Option<Filled> {
        let elements = std::mem::take(&mut filled.next);
        if elements.is_empty() {
            return Some(filled);
        }
        let base = Arc::new(filled);
        for element in elements.into_iter().rev() {
            self.pending.push_front(PendingElement { base: Arc::clone(&base), element, step });
        }
        None
    }

    fn next_element(&mut self) -> Result<Vec<String>, RecordError> {
        let plan = Arc::clone(&self.plan);
        loop {
            let Some(PendingElement { base, element, step }) = self.pending.pop_front() else {
                return Ok(plan.layout.empty().cells);
            };
            let steps: &[Step] = &plan.layout.steps;
            let filled = plan.layout.fill_step(&base, &element, &steps[step], steps.get(step + 1))?;
            if let Some(filled) = self.split(filled, step + 1) {
                return plan.layout.finish(filled);
            }
        }
    }

    /// Reads the next record into the buffer, as an object or as it is written.
    fn read_text(&mut self) -> io::Result<Next> {
        let next = self.read_next()?;
        let plan = Arc::clone(&self.plan);
        let (Some(columns), &Next::Record { line }) = (&plan.array_columns, &next) else { return Ok(next) };
        if columns.has_header && self.records_read == 1 {
            return self.read_text();
        }
        let text = String::from_utf8_lossy(&self.text);
        let checked = self.check(&without_bare_words(&text));
        Ok(match checked.and_then(|()| columns.object_of(&self.text)) {
            Ok(text) => {
                self.text = text.into_bytes();
                next
            }
            Err(error) => Next::Fault { line, error },
        })
    }

    /// Reads the text of the next value into the buffer.
    fn read_next(&mut self) -> io::Result<Next> {
        self.text.clear();
        if let Some(columns) = &self.plan.columns {
            let Some(text) = columns.row(self.records_read) else { return Ok(Next::End) };
            self.text = text.into_bytes();
            self.records_read += 1;
            self.record_line = self.records_read;
            return Ok(Next::Record { line: self.record_line });
        }
        let is_elements = self.plan.shape == Shape::Elements;
        let is_there = if is_elements { self.skip_to_element()? } else { self.skip_to_value()? };
        let Some(is_there) = is_there else { return Ok(self.cut_off()) };
        if !is_there {
            return Ok(Next::End);
        }
        self.records_read += 1;
        self.record_line = if self.plan.counts_records { self.records_read } else { self.lines.line() };
        self.begins_at = (self.lines.line(), self.lines.passed);
        self.read_value()
    }

    /// The file ends where more must come.
    fn cut_off(&mut self) -> Next {
        self.progress = Within::Behind;
        let line = if self.plan.counts_records { self.records_read + 1 } else { self.lines.line() };
        Next::Fault { line: line.max(self.record_line), error: RecordError::UnterminatedValue }
    }

    /// Reads a value into the buffer.
    fn read_value(&mut self) -> io::Result<Next> {
        let line = self.record_line;
        let mut end = ValueEnd::new(self.plan.shape);
        let mut is_too_long = false;
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                self.progress = Within::Behind;
                let is_whole = end.is_whole_at_end();
                let error = if is_too_long { RecordError::TooLong } else { RecordError::UnterminatedValue };
                return Ok(if is_whole && !is_too_long {
                    Next::Record { line }
                } else {
                    Next::Fault { line, error }
                });
            }
            let (used, is_done) = end.pass(input);
            is_too_long |= self.text.len() + used > RECORD_MAX;
            if !is_too_long {
                self.text.extend_from_slice(&input[..used]);
            }
            self.lines.pass(&input[..used]);
            self.bytes.consume(used);
            if is_done {
                let error = Next::Fault { line, error: RecordError::TooLong };
                return Ok(if is_too_long { error } else { Next::Record { line } });
            }
        }
    }

    /// Skips blanks, and what is between the values of an array; false at the end of the file, none where the array is not
    /// closed there.
    fn skip_to_value(&mut self) -> io::Result<Option<bool>> {
        let is_array = self.plan.shape == Shape::Values;
        let mut open_arrays = self.open_arrays;
        let next = self.skip_while(|byte| {
            let is_bracket = is_array && matches!(byte, b'[' | b']');
            if is_bracket {
                open_arrays += if byte == b'[' { 1 } else { -1 };
            }
            is_bracket || byte.is_ascii_whitespace() || is_array && byte == b','
        })?;
        self.open_arrays = open_arrays;
        let is_cut = next.is_none() && open_arrays > 0 && self.progress != Within::Behind;
        Ok((!is_cut).then_some(next.is_some()))
    }

    /// Skips bytes that are so; the first one that is not so, none at the end of the file.
    fn skip_while(&mut self, mut is_so: impl FnMut(u8) -> bool) -> io::Result<Option<u8>> {
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                return Ok(None);
            }
            let skipped = input.iter().take_while(|byte| is_so(**byte)).count();
            let next = input.get(skipped).copied();
            self.lines.pass(&input[..skipped]);
            self.bytes.consume(skipped);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Skips to the next element of the array or object that holds the rows; false behind the last one, none where the file ends
    /// too early.
    fn skip_to_element(&mut self) -> io::Result<Option<bool>> {
        let (path, is_keyed) = match self.plan.rows_of.clone() {
            RowsOf::Elements { path, is_keyed, .. } => (path, is_keyed),
            RowsOf::Arrays { path } => (path, false),
            RowsOf::Records | RowsOf::Columns => return Ok(Some(false)),
        };
        if self.progress == Within::Before && !self.enter(&path)? {
            return Ok(None);
        }
        if self.progress == Within::Behind {
            return Ok(Some(false));
        }
        let next = self.skip_while(|byte| byte.is_ascii_whitespace() || byte == b',')?;
        match next {
            None => Ok(None),
            Some(b']' | b'}') => self.leave(&path).map(|is_whole| is_whole.then_some(false)),
            Some(b'"') if is_keyed => {
                self.read_key()?;
                let is_between = |byte: u8| byte.is_ascii_whitespace() || byte == b':';
                Ok(self.skip_while(is_between)?.map(|_| true))
            }
            Some(_) => Ok(Some(true)),
        }
    }

    fn read_key(&mut self) -> io::Result<()> {
        let line = self.record_line;
        self.read_value()?;
        self.record_line = line;
        self.key = serde_json::from_slice(&self.text).unwrap_or_default();
        self.text.clear();
        Ok(())
    }

    /// Reads up to the first element of the array or object at this path; false when the file ends before.
    fn enter(&mut self, path: &str) -> io::Result<bool> {
        let mut tokens = Tokens::default();
        // for each open object or array: its path, whether it is an object, and the key that comes next
        let mut open: Vec<(String, bool)> = Vec::new();
        let mut key: Option<String> = None;
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                return Ok(false);
            }
            let mut used = 0;
            let mut is_there = false;
            for byte in input {
                used += 1;
                match tokens.push(*byte) {
                    Some(token @ (Token::OpenObject | Token::OpenArray)) => {
                        let own = match open.last() {
                            None => String::new(),
                            Some((outer, true)) => join(outer, key.take().as_deref().unwrap_or_default()),
                            // a path does not lead through an array
                            Some((outer, false)) => format!("{outer}{EACH}"),
                        };
                        is_there = own == path;
                        open.push((own, token == Token::OpenObject));
                    }
                    Some(Token::Close) => drop(open.pop()),
                    Some(Token::Comma) => key = None,
                    Some(Token::Text) if key.is_none() => key = Some(tokens.key()),
                    Some(Token::Text | Token::Bare) | None => {}
                }
                if is_there {
                    break;
                }
            }
            self.lines.pass(&input[..used]);
            self.bytes.consume(used);
            if is_there {
                self.progress = Within::Inside;
                return Ok(true);
            }
        }
    }

    /// Reads what follows the last element; whether the file ends where its object does.
    fn leave(&mut self, path: &str) -> io::Result<bool> {
        self.progress = Within::Behind;
        let mut tokens = Tokens::default();
        let mut depth = if path.is_empty() { 1 } else { 2 + path.matches('.').count() };
        loop {
            let input = self.bytes.fill_buf()?;
            let count = input.len();
            if count == 0 {
                return Ok(depth == 0);
            }
            for byte in input {
                match tokens.push(*byte) {
                    Some(Token::OpenObject | Token::OpenArray) => depth += 1,
                    Some(Token::Close) => depth = depth.saturating_sub(1),
                    Some(Token::Comma | Token::Text | Token::Bare) | None => {}
                }
            }
            self.lines.pass(input);
            self.bytes.consume(count);
        }
    }
}

#[cfg(test)]
mod tests;
