//! Records from JSON: objects one a line (JSON Lines), one after the other, as the elements of an array, as the values of an array
//! or object within the file's only object, or as columns side by side.
//!
//! An object is flattened: `{"place": {"lat": 1}}` feeds the column `place.lat`. An array is one cell, as it is written. The
//! column `subjects[].name` collects a value of each element. Where a rule for the url names `videos[].url`, each element of
//! `videos` is a row. Numbers keep the digits they are written with.
//!
//! The columns are the keys of the whole file, which a first pass finds. A pipe can be read only once: its columns are the
//! keys of its first bytes and those that rules name.

mod boundary;
mod by_column;
mod layout;
mod outline;
mod plan;
mod rows;
mod tokens;
mod value;

use std::{
    collections::VecDeque,
    io::{self, BufRead},
    sync::Arc,
};

use super::{super::source::Bytes, LineCounter, Next, RECORD_MAX, RecordError};
use boundary::{Shape, ValueEnd};
pub(in crate::manifest) use boundary::{is_json, is_whole_value};
use layout::{Filled, Step};
use outline::join;
pub(in crate::manifest) use plan::{JsonPlan, PlanError};
use rows::RowsOf;
use tokens::{Token, Tokens};
use value::without_bare_words;

/// The column of a value that is no object.
const BARE: &str = "value";
/// The column of the key that an object stands under, where each value of an object is a row.
const KEY: &str = "key";
/// What marks a column of the elements of an array.
pub(in crate::manifest) const EACH: &str = "[]";

/// Reads object after object into one reused buffer.
pub(in crate::manifest) struct JsonRecords {
    bytes: Bytes,
    plan: Arc<JsonPlan>,
    lines: LineCounter,
    record_line: u64,
    records_read: u64,
    text: Vec<u8>,
    /// The key that the value in the buffer stands under.
    key: String,
    progress: Within,
    cells: Vec<String>,
    /// Elements of the record that are no rows yet.
    pending: VecDeque<PendingElement>,
}

/// Where reading stands in a file whose rows are within its only object.
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
            records_read: 0,
            text: Vec::new(),
            key: String::new(),
            progress: Within::Before,
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

    /// The cells of the value in the buffer; none when its elements are rows, which are pending now.
    fn fill(&mut self) -> Result<Option<Filled>, RecordError> {
        let plan = Arc::clone(&self.plan);
        let text = std::str::from_utf8(&self.text).map_err(|_| RecordError::NotAnObject)?.trim();
        if plan.is_records() && !text.starts_with(['{', '"']) {
            return Err(RecordError::NotAnObject);
        }
        let text = without_bare_words(text);
        let mut filled = Filled::clone(&plan.shared);
        let prefix = plan.prefix();
        plan.layout.fill(&mut filled, &text, prefix, plan.layout.steps.first())?;
        if let RowsOf::Elements { is_keyed: true, .. } = plan.rows_of {
            let key = serde_json::to_string(&self.key).unwrap_or_default();
            plan.layout.fill_if_empty(&mut filled, &join(prefix, KEY), &key)?;
        }
        Ok(self.split(filled, 0))
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

    /// Reads the text of the next value into the buffer.
    fn read_text(&mut self) -> io::Result<Next> {
        self.text.clear();
        if let Some(columns) = &self.plan.columns {
            let Some(text) = columns.row(self.records_read) else { return Ok(Next::End) };
            self.text = text.into_bytes();
            self.records_read += 1;
            self.record_line = self.records_read;
            return Ok(Next::Record { line: self.record_line });
        }
        let is_there = if self.plan.shape == Shape::Elements {
            match self.skip_to_element()? {
                Some(is_there) => is_there,
                None => return Ok(self.cut_off()),
            }
        } else {
            self.skip_to_value()?
        };
        if !is_there {
            return Ok(Next::End);
        }
        self.records_read += 1;
        self.record_line = if self.plan.counts_records { self.records_read } else { self.lines.line() };
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

    /// Skips blanks, and what stands between the values of an array; false at the end of the file.
    fn skip_to_value(&mut self) -> io::Result<bool> {
        let is_array = self.plan.shape == Shape::Values;
        Ok(self
            .skip_while(|byte| byte.is_ascii_whitespace() || is_array && matches!(byte, b',' | b'[' | b']'))?
            .is_some())
    }

    /// Skips bytes that are so; the first one that is not so, none at the end of the file.
    fn skip_while(&mut self, is_so: impl Fn(u8) -> bool) -> io::Result<Option<u8>> {
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
        let RowsOf::Elements { path, is_keyed, .. } = self.plan.rows_of.clone() else {
            return Ok(Some(false));
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

    /// Reads what stands behind the last element; whether the file ends where its object does.
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
mod tests {
    use std::io::{BufReader, Cursor};

    use super::{super::NamedKeys, *};

    fn named(url: &[&str]) -> NamedKeys {
        let url: Vec<String> = url.iter().map(|name| (*name).to_owned()).collect();
        NamedKeys { all: url.clone(), url, ..NamedKeys::default() }
    }

    fn bytes(text: &str) -> Bytes {
        // with a buffer of 7 bytes nearly every token crosses a boundary
        BufReader::with_capacity(7, Box::new(Cursor::new(text.as_bytes().to_vec())))
    }

    /// A file that holds this text, read by rules that name these columns for the url.
    fn plan(text: &str, url: &[&str]) -> Result<JsonPlan, PlanError> {
        let owned = text.to_owned();
        let reopen = move || Ok(bytes(&owned));
        JsonPlan::of(&text.as_bytes()[..text.len().min(64 * 1024)], Some(&reopen), &named(url))
    }

    fn records_by(text: &str, url: &[&str]) -> JsonRecords {
        JsonRecords::new(bytes(text), Arc::new(plan(text, url).unwrap()))
    }

    fn records(text: &str) -> JsonRecords {
        records_by(text, &[])
    }

    fn names(text: &str, url: &[&str]) -> Vec<String> {
        plan(text, url).unwrap().names().to_vec()
    }

    type Read = Result<(u64, Vec<String>), (u64, RecordError)>;

    fn read_all(mut records: JsonRecords) -> Vec<Read> {
        let mut all = Vec::new();
        loop {
            match records.read().unwrap() {
                Next::End => return all,
                Next::Fault { line, error } => all.push(Err((line, error))),
                Next::Record { line } => {
                    all.push(Ok((line, records.cells().into_iter().map(str::to_owned).collect())));
                }
            }
        }
    }

    /// Lines and cells.
    fn rows_by(text: &str, url: &[&str]) -> Vec<(u64, Vec<String>)> {
        read_all(records_by(text, url)).into_iter().map(Result::unwrap).collect()
    }

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        rows_by(text, &[])
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn objects_are_read_however_they_stand_in_the_file() {
        let expected = [("a", "1"), ("b", "2")];
        for (text, lines) in [
            ("{\"u\":\"a\",\"n\":1}\n{\"u\":\"b\",\"n\":2}\n", [1, 2]),
            ("{\"u\":\"a\",\"n\":1}\r\n\r\n{\"n\":2,\"u\":\"b\"}", [1, 3]),
            ("[\n{\"u\":\"a\",\"n\":1},\n{\"u\":\"b\",\"n\":2}\n]\n", [2, 3]),
            ("{\n \"u\": \"a\",\n \"n\": 1\n}\n{\n \"u\":\"b\", \"n\":2}", [1, 5]),
            ("[{\"u\":\"a\",\"n\":1},{\"u\":\"b\",\"n\":2}]", [1, 2]),
        ] {
            let expected: Vec<_> =
                expected.iter().zip(lines).map(|((u, n), line)| row(line, &[u, n])).collect();
            assert_eq!(rows(text), expected, "{text}");
        }
    }

    #[test]
    fn a_key_that_only_the_last_record_has_is_a_column() {
        let text = "{\"u\":\"a\",\"place\":{\"lat\":30.10,\"lon\":-88},\"ok\":true,\"none\":null,\"tags\":[\"x\",\"y, z\"]}\n";
        let text = format!("{}{{\"late\":{{\"k\":[1]}},\"u\":\"b\"}}\n", text.repeat(2_000));
        assert_eq!(names(&text, &[]), ["u", "place.lat", "place.lon", "ok", "none", "tags", "late.k"]);
        let rows = rows(&text);
        assert_eq!(rows[0], row(1, &["a", "30.10", "-88", "true", "", "[\"x\",\"y, z\"]", ""]));
        assert_eq!(rows[2_000], row(2_001, &["b", "", "", "", "", "", "[1]"]));
    }

    #[test]
    fn a_pipe_keeps_late_keys_in_a_column_of_their_own_and_those_that_rules_name_in_theirs() {
        let head = b"{\"u\":\"a\"}\n";
        let plan = JsonPlan::of(head, None, &named(&["late"])).unwrap();
        assert_eq!(plan.names()[..4], ["u", "other keys", "late", "tags"]);
        let text = "{\"u\":\"a\"}\n{\"late\":\"b\",\"x\":{\"y\":1},\"tags\":\"c\"}\n";
        let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
        assert_eq!(read[1].as_ref().unwrap().1[..4], ["", "{\"x.y\":1}", "b", "c"]);
    }

    #[test]
    fn there_may_be_any_number_of_keys() {
        let lines: Vec<String> =
            (0..20_000).map(|n| format!("{{\"url\":\"{n}\",\"key_{n}\":1,\"date\":1}}")).collect();
        let text = lines.join("\n");
        let plan = plan(&text, &["key_19999"]).unwrap();
        assert!(plan.names().len() < 5_000 && plan.names().contains(&"key_19999".to_owned()));
        assert!(plan.found[0].contains("--map"), "{:?}", plan.found);
    }

    #[test]
    fn each_element_of_an_array_is_a_row_where_a_rule_says_so() {
        let text = "{\"id\":7,\"videos\":[{\"url\":\"a\"},{\"url\":\"b\",\"k\":{\"x\":1}}]}\n{\"id\":8}\n{\"id\":9,\"videos\":[\"c\"]}\n";
        assert_eq!(names(text, &[]), ["id", "videos"], "no element is a row without a rule");
        let url = ["videos[].url"];
        assert_eq!(names(text, &url), ["id", "videos", "videos[].url", "videos[].k.x", "videos[]"]);
        let expected = [
            row(1, &["7", "", "a", "", ""]),
            row(1, &["7", "", "b", "1", ""]),
            row(2, &["8", "", "", "", ""]),
            row(3, &["9", "", "", "", "c"]),
        ];
        assert_eq!(rows_by(text, &url), expected);
    }

    #[test]
    fn arrays_within_arrays_are_rows_where_a_rule_says_so() {
        let text = "{\"v\":[{\"n\":1,\"f\":[{\"u\":\"a\"},{\"u\":\"b\"}]},{\"n\":2,\"f\":[{\"u\":\"c\"}]}]}\n{\"v\":[]}\n";
        let url = ["v[].f[].u"];
        assert_eq!(names(text, &url), ["v", "v[].f[].u"]);
        let urls: Vec<String> = rows_by(text, &url).into_iter().map(|(_, cells)| cells[1].clone()).collect();
        assert_eq!(urls, ["a", "b", "c", ""]);
    }

    #[test]
    fn several_keys_give_rows_where_a_rule_says_so() {
        let text = "{\"hd\":\"a\",\"sd\":[\"b\",\"c\"],\"t\":\"x\"}\n{\"hd\":null,\"sd\":\"d\"}\n";
        let named =
            NamedKeys { each: vec!["hd[]".to_owned(), "sd[]".to_owned()], ..named(&["hd[]", "sd[]"]) };
        let reopen = || Ok(bytes(text));
        let plan = JsonPlan::of(text.as_bytes(), Some(&reopen), &named).unwrap();
        let column = plan.names().iter().position(|name| name == "hd[]+sd[]").unwrap();
        let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
        let urls: Vec<_> = read.into_iter().map(|row| row.unwrap().1[column].clone()).collect();
        assert_eq!(urls, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_long_array_is_no_long_cell_where_its_elements_are_rows() {
        let videos: Vec<String> = (0..3_000).map(|n| format!("{{\"url\":\"https://h/{n}.mp4\"}}")).collect();
        let text = format!("{{\"id\":7,\"videos\":[{}]}}\n", videos.join(","));
        assert_eq!(rows_by(&text, &["videos[].url"]).len(), 3_000);
    }

    #[test]
    fn a_column_collects_a_value_of_each_element() {
        let text = "{\"u\":\"a\",\"s\":[{\"@value\":\"fog\"},{\"x\":{\"y\":1}},{\"@value\":\"night\"}]}\n";
        let all = vec!["s[].@value".to_owned(), "s[].x.y".to_owned()];
        let reopen = || Ok(bytes(text));
        let plan =
            JsonPlan::of(text.as_bytes(), Some(&reopen), &NamedKeys { all, ..NamedKeys::default() }).unwrap();
        let read = read_all(JsonRecords::new(bytes(text), Arc::new(plan)));
        assert_eq!(read[0].as_ref().unwrap().1[2..], ["[\"fog\",\"night\"]", "[1]"]);
    }

    #[test]
    fn the_records_within_a_files_only_object_are_its_rows() {
        let item = |n| format!("{{\"url\":\"https://h/{n}.mp4\",\"note\":\"{}\"}}", "x".repeat(300));
        let items: Vec<String> = (0..500).map(item).collect();
        let items = items.join(",\n");
        for (text, line) in [
            (format!("{{\"next\":\"https://h/page/2\",\"items\":[\n{items}\n],\"count\":500}}"), 2),
            (format!("{{\"data\":{{\"total\":1,\"items\":[\n\n{items}]}}}}\n"), 3),
            (
                format!(
                    "{{\"links\":{{\"self\":{{\"href\":\"https://h/1\"}},\"next\":{{\"href\":\"https://h/2\"}}}},\"data\":[{items}]}}"
                ),
                1,
            ),
        ] {
            let read = rows(&text);
            assert_eq!((read.len(), read[0].0, read[499].0), (500, line, line + 499));
            let names = names(&text, &[]);
            assert!(names.len() == 2 && names[0].ends_with("[].url"), "{names:?}");
        }
    }

    #[test]
    fn the_values_of_an_object_of_records_are_rows_with_their_key() {
        for (text, prefix) in [
            ("{\"id1\":{\"url\":\"https://h/a\"},\"id2\":{\"url\":\"https://h/b\"}}", ""),
            (
                "{\"n\":2,\"clips\":{\"id1\":{\"url\":\"https://h/a\"},\"id2\":{\"url\":\"https://h/b\"}}}",
                "clips[].",
            ),
        ] {
            assert_eq!(names(text, &[]), [format!("{prefix}url"), format!("{prefix}key")]);
            assert_eq!(rows(text), [row(1, &["https://h/a", "id1"]), row(2, &["https://h/b", "id2"])]);
        }
    }

    #[test]
    fn columns_side_by_side_are_rows() {
        for text in [
            "{\"url\":[\"https://h/a\",\"https://h/b\"],\"tags\":[\"x\",\"y\"]}",
            "{\"url\":{\"0\":\"https://h/a\",\"1\":\"https://h/b\"},\"tags\":{\"0\":\"x\",\"1\":\"y\"}}",
        ] {
            assert_eq!(rows(text), [row(1, &["https://h/a", "x"]), row(2, &["https://h/b", "y"])], "{text}");
        }
    }

    #[test]
    fn where_one_object_may_be_one_row_or_several_a_rule_must_say_so() {
        let videos = "\"videos\":[{\"url\":\"https://h/a\"},{\"url\":\"https://h/b\"}]";
        for (text, way) in [
            (format!("{{\"url\":\"https://h/c\",{videos}}}"), "videos[].url"),
            (format!("{{{videos},\"others\":[{{\"url\":\"https://h/a\"}}]}}"), "others[].url"),
            (
                "{\"video\":{\"url\":\"https://h/a\"},\"thumb\":{\"url\":\"https://h/b\"}}".to_owned(),
                "video.KEY",
            ),
        ] {
            let Err(PlanError::Unclear(why)) = plan(&text, &[]) else { panic!("{text}") };
            assert!(why.contains("--map") && why.contains(way), "{why}");
        }
        let text = format!("{{\"url\":\"https://h/c\",{videos},\"t\":\"x\"}}");
        assert_eq!(rows_by(&text, &["url"]).len(), 1);
        let elements = rows_by(&text, &["videos[].url"]);
        assert_eq!(
            elements[1],
            row(2, &["https://h/c", "x", "https://h/b"]),
            "named by a rule, they share what stands beside them"
        );
        let record = "{\"url\":\"https://h/c\",\"tags\":[{\"name\":\"a\"},{\"name\":\"b\"}]}";
        assert_eq!(rows(record), [row(1, &["https://h/c", "[\"a\",\"b\"]"])]);
    }

    #[test]
    fn a_list_of_addresses_may_be_an_array() {
        assert_eq!(
            rows("[\"https://h/a\", \"https://h/b\"]"),
            [row(1, &["https://h/a"]), row(2, &["https://h/b"])]
        );
        assert_eq!(names("[\"x\"]", &[]), ["value"]);
        let twice = read_all(records("{\"u\":\"a\",\"u\":\"b\"}\n{\"u\":\"c\"}\n"));
        assert_eq!(twice[0], Err((1, RecordError::KeyTwice)), "which one is meant is not known");
        let lone = read_all(records("{\"u\":\"\\ud83d\"}\n"));
        assert_eq!(lone[0], Err((1, RecordError::NotAnObject)));
    }

    #[test]
    fn a_broken_record_costs_itself_and_a_giant_one_bounded_memory() {
        let giant = format!("{{\"u\":\"{}\"}}", "x".repeat(RECORD_MAX));
        let text = format!(
            "{{\"u\":\"a\"}}\n{{\"u\":\n[1]\n7\n{giant}\n{{\"u\":\"\\u0000\"}}\n{{\"u\":NaN}}\n{{\"u\":\"b\"}}"
        );
        let read = read_all(records(&text));
        let faults: Vec<_> = read.iter().filter_map(|row| row.as_ref().err().copied()).collect();
        assert_eq!(
            faults,
            [
                (2, RecordError::NotAnObject),
                (3, RecordError::NotAnObject),
                (4, RecordError::NotAnObject),
                (5, RecordError::TooLong),
                (6, RecordError::Nul),
            ]
        );
        assert_eq!(read.last().unwrap().as_ref().unwrap().1[0], "b");
        let cut = read_all(records("[\n{\"u\":\"a\"},\n{\"u\":\"b\n"));
        assert_eq!(cut[1], Err((3, RecordError::UnterminatedValue)));
        for end in ["", "]", ","] {
            let text = format!("{{\"items\":[\n{{\"url\":\"https://h/a\"}}{end}");
            let cut = read_all(records(&text));
            assert!(cut[0].is_ok() && matches!(cut[1], Err((_, RecordError::UnterminatedValue))), "{cut:?}");
            assert_eq!(cut.len(), 2, "{text}");
        }
    }

    #[test]
    fn json_is_known_by_its_first_bytes() {
        for (head, expected) in [
            ("{\"a\":1}", true),
            (" \n[ {\"a\":1}]", true),
            ("[\"https://h/a\"]", true),
            ("{'a', 'b'},x", false),
            ("[x],y", false),
            ("url,tags", false),
            ("", false),
        ] {
            assert_eq!(is_json(head.as_bytes()), expected, "{head}");
        }
    }
}
