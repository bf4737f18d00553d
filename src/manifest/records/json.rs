//! Records from JSON: objects one a line (JSON Lines), one after the other, or as the elements of an array.
//!
//! An object is flattened: `{"place": {"lat": 1}}` feeds the column `place.lat`. An array is one cell, as it is written;
//! where a mapping names `videos[].url`, each element of `videos` is a row of its own. The columns are those of the first
//! records; whatever other keys come later stand in the column `other keys`, so that nothing is lost. Numbers keep the
//! digits they are written with.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    io::{self, BufRead},
};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{super::source::Bytes, CELL_MAX, COLUMNS_MAX, Lines, Next, RECORD_MAX, RecordError};

/// The column of everything that no other column holds.
const OTHER_KEYS: &str = "other keys";
/// The column of an element that is no object.
const BARE: &str = "value";
/// What marks a column of the elements of an array.
pub(in crate::manifest) const EACH: &str = "[]";

/// Objects within objects are flattened down to so many levels; what lies deeper is one cell, as it is written.
const DEPTH_MAX: u32 = 16;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One value a line: a broken line costs that line.
    Lines,
    /// Values wherever they begin and end.
    Values,
}

/// Reads object after object into one reused buffer.
pub(in crate::manifest) struct JsonRecords {
    bytes: Bytes,
    shape: Shape,
    lines: Lines,
    record_line: u64,
    /// A file of one line numbers its records instead.
    counts_records: bool,
    records_read: u64,
    text: Vec<u8>,
    layout: Layout,
    cells: Vec<String>,
    /// The record whose further elements are rows.
    split: Split,
}

/// Which column holds what.
#[derive(Debug, Default)]
struct Layout {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// Where the other keys go.
    others: usize,
    /// The array that gives a row for each of its elements.
    split: Option<String>,
}

/// The pairs of an object in their order, the values as they are written.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByPair;
        impl<'de> Visitor<'de> for ByPair {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(ByPair)
    }
}

/// A key, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Goes through the values of an object: `take` gets the path of each, and the value as it is written.
fn walk<'a>(
    text: &'a str,
    path: &str,
    take: &mut dyn FnMut(String, &'a str) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    walk_at(DEPTH_MAX, text, path, take)
}

fn walk_at<'a>(
    depth: u32,
    text: &'a str,
    path: &str,
    take: &mut dyn FnMut(String, &'a str) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|_| RecordError::NotAnObject)?;
    let mut keys = HashSet::with_capacity(pairs.len());
    if !pairs.iter().all(|(key, _)| keys.insert(key)) {
        return Err(RecordError::KeyTwice);
    }
    for (key, value) in &pairs {
        let path = if path.is_empty() { key.clone().into_owned() } else { format!("{path}.{key}") };
        let value = value.get();
        if value.starts_with('{') && depth > 0 {
            walk_at(depth - 1, value, &path, take)?;
        } else {
            take(path, value)?;
        }
    }
    Ok(())
}

/// The elements of an array, as they are written.
fn elements(text: &str) -> Vec<&str> {
    let values: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    values.into_iter().map(RawValue::get).collect()
}

/// A value as a cell: a text without its quotes, nothing for null and for an empty array, everything else as written.
fn cell_of(value: &str) -> Result<String, RecordError> {
    let cell = match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).map_err(|_| RecordError::NotAnObject)?,
        Some(b'n') => String::new(),
        Some(b'[') if elements(value).is_empty() => String::new(),
        _ => value.to_owned(),
    };
    match (cell.len() > CELL_MAX, memchr::memchr(0, cell.as_bytes())) {
        (true, _) => Err(RecordError::CellTooLong),
        (_, Some(_)) => Err(RecordError::Nul),
        (false, None) => Ok(cell),
    }
}

/// A record whose array is split: what all its rows share, and the elements that are no rows yet, as they are written.
#[derive(Default)]
struct Split {
    cells: Vec<String>,
    others: Vec<(String, String)>,
    elements: VecDeque<String>,
}

impl Layout {
    /// By the records of the first bytes.
    fn of(head: &[u8], shape: Shape) -> Self {
        let mut layout = Self::default();
        let mut parts = Vec::new();
        let bytes: Bytes = io::BufReader::new(Box::new(io::Cursor::new(head.to_vec())));
        let mut sample = JsonRecords::over(bytes, shape);
        while let Ok(Next::Record { .. }) = sample.read_text() {
            let Some(text) = sample.object() else { continue };
            let _ = walk(&text, "", &mut |path, value| {
                if value.starts_with('[') {
                    for element in elements(value).into_iter().filter(|element| element.starts_with('{')) {
                        walk(element, &format!("{path}{EACH}"), &mut |path, _| {
                            parts.push(path);
                            Ok(())
                        })?;
                    }
                }
                layout.add(path);
                Ok(())
            });
        }
        layout.others = layout.names.len();
        layout.add(OTHER_KEYS.to_owned());
        for part in parts {
            layout.add(part);
        }
        layout
    }

    fn add(&mut self, name: String) {
        if self.names.len() < COLUMNS_MAX && !self.places.contains_key(&name) {
            self.places.insert(name.clone(), self.names.len());
            self.names.push(name);
        }
    }

    /// What the rows of an object share, and its elements where it is split.
    fn split(&self, text: &str) -> Result<Split, RecordError> {
        let mut split = Split { cells: vec![String::new(); self.names.len()], ..Split::default() };
        let Split { cells, others, elements: rows } = &mut split;
        walk(text, "", &mut |path, value| {
            if self.split.as_ref() == Some(&path) && value.starts_with('[') {
                rows.extend(elements(value).into_iter().map(str::to_owned));
                return Ok(());
            }
            self.put(cells, others, path, value)
        })?;
        Ok(split)
    }

    /// The row of an element.
    fn row_of(&self, split: &Split, element: &str) -> Result<Vec<String>, RecordError> {
        let prefix = format!("{}{EACH}", self.split.as_deref().unwrap_or_default());
        let (mut cells, mut others) = (split.cells.clone(), split.others.clone());
        if element.starts_with('{') {
            walk(element, &prefix, &mut |path, value| self.put(&mut cells, &mut others, path, value))?;
        } else {
            self.put(&mut cells, &mut others, prefix, element)?;
        }
        self.put_others(&mut cells, &others)?;
        Ok(cells)
    }

    fn put(
        &self,
        cells: &mut [String],
        others: &mut Vec<(String, String)>,
        path: String,
        value: &str,
    ) -> Result<(), RecordError> {
        match self.places.get(&path) {
            Some(place) if *place != self.others => cells[*place] = cell_of(value)?,
            _ => others.push((path, value.to_owned())),
        }
        Ok(())
    }

    fn put_others(&self, cells: &mut [String], others: &[(String, String)]) -> Result<(), RecordError> {
        if others.is_empty() {
            return Ok(());
        }
        let key = |name: &str| serde_json::to_string(name).unwrap_or_default();
        let pairs: Vec<String> =
            others.iter().map(|(name, value)| format!("{}:{value}", key(name))).collect();
        cells[self.others] = cell_of(&format!("{{{}}}", pairs.join(",")))?;
        Ok(())
    }
}

impl JsonRecords {
    /// Reads what `bytes` hold; `head` is the beginning of it.
    pub(super) fn new(bytes: Bytes, head: &[u8]) -> Self {
        let shape = shape_of(head);
        let mut records = Self::over(bytes, shape);
        records.layout = Layout::of(head, shape);
        records.counts_records = shape == Shape::Values && !head.contains(&b'\n');
        records
    }

    fn over(bytes: Bytes, shape: Shape) -> Self {
        Self {
            bytes,
            shape,
            lines: Lines::default(),
            record_line: 1,
            counts_records: false,
            records_read: 0,
            text: Vec::new(),
            layout: Layout::default(),
            cells: Vec::new(),
            split: Split::default(),
        }
    }

    /// The columns' names.
    pub(in crate::manifest) fn names(&self) -> Vec<String> {
        self.layout.names.clone()
    }

    pub(super) fn split_at(&mut self, array: Option<&str>) {
        self.layout.split = array.map(str::to_owned);
        if array.is_none() {
            // without it these would stay empty in every row
            self.layout.names.truncate(self.layout.others + 1);
            let names = &self.layout.names;
            self.layout.places.retain(|_, place| *place < names.len());
        }
    }

    pub(super) fn line(&self) -> u64 {
        if self.counts_records { self.records_read + 1 } else { self.lines.line() }
    }

    pub(super) const fn record_line(&self) -> u64 {
        self.record_line
    }

    pub(super) fn has_more_at_hand(&self) -> bool {
        !self.split.elements.is_empty() || self.bytes.buffer().iter().any(|byte| !byte.is_ascii_whitespace())
    }

    pub(super) fn cells(&self) -> Vec<&str> {
        self.cells.iter().map(String::as_str).collect()
    }

    pub(super) fn read(&mut self) -> io::Result<Next> {
        if self.split.elements.is_empty() {
            let next = self.read_text()?;
            let Next::Record { line } = next else { return Ok(next) };
            let split = match self.object() {
                Some(text) => self.layout.split(&text),
                None => Err(RecordError::NotAnObject),
            };
            match split {
                Ok(split) => self.split = split,
                Err(error) => return Ok(Next::Fault { line, error }),
            }
        }
        let line = self.record_line;
        let row = if let Some(element) = self.split.elements.pop_front() {
            self.layout.row_of(&self.split, &element)
        } else {
            let Split { mut cells, others, .. } = std::mem::take(&mut self.split);
            self.layout.put_others(&mut cells, &others).map(|()| cells)
        };
        Ok(match row {
            Ok(cells) => {
                self.cells = cells;
                Next::Record { line }
            }
            Err(error) => Next::Fault { line, error },
        })
    }

    /// The text in the buffer as an object; a bare value, as in a list of addresses, becomes one.
    fn object(&self) -> Option<Cow<'_, str>> {
        let text = std::str::from_utf8(&self.text).ok()?.trim();
        match text.as_bytes().first()? {
            b'{' => Some(Cow::Borrowed(text)),
            b'"' => Some(Cow::Owned(format!("{{\"{BARE}\":{text}}}"))),
            _ => None,
        }
    }

    /// Reads the text of the next value into the buffer.
    fn read_text(&mut self) -> io::Result<Next> {
        self.text.clear();
        if !self.skip_to_value()? {
            return Ok(Next::End);
        }
        self.records_read += 1;
        self.record_line = if self.counts_records { self.records_read } else { self.lines.line() };
        let line = self.record_line;
        let mut scan = Scan { shape: self.shape, depth: 0, is_in_text: false, is_escaped: false };
        let mut is_too_long = false;
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                let is_whole = scan.is_whole_at_end();
                let error = if is_too_long { RecordError::TooLong } else { RecordError::UnterminatedValue };
                return Ok(if is_whole && !is_too_long {
                    Next::Record { line }
                } else {
                    Next::Fault { line, error }
                });
            }
            let (used, is_done) = scan.pass(input);
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
        loop {
            let input = self.bytes.fill_buf()?;
            if input.is_empty() {
                return Ok(false);
            }
            let is_between = |byte: &u8| {
                byte.is_ascii_whitespace()
                    || self.shape == Shape::Values && matches!(byte, b',' | b'[' | b']')
            };
            let skipped = input.iter().take_while(|byte| is_between(byte)).count();
            let is_all = skipped == input.len();
            self.lines.pass(&input[..skipped]);
            self.bytes.consume(skipped);
            if !is_all {
                return Ok(true);
            }
        }
    }
}

/// Where a value ends.
struct Scan {
    shape: Shape,
    depth: u32,
    is_in_text: bool,
    is_escaped: bool,
}

impl Scan {
    /// How many of these bytes belong to the value, and whether it ends with them.
    fn pass(&mut self, input: &[u8]) -> (usize, bool) {
        if self.shape == Shape::Lines {
            return memchr::memchr(b'\n', input).map_or((input.len(), false), |end| (end + 1, true));
        }
        for (at, byte) in input.iter().enumerate() {
            if self.is_in_text {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.is_in_text = false;
                        if self.depth == 0 {
                            return (at + 1, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth <= 1 => return (at + 1, true),
                b'}' | b']' => self.depth -= 1,
                b',' | b'\n' if self.depth == 0 => return (at, true),
                _ => {}
            }
        }
        (input.len(), false)
    }

    /// Whether the value may end where the file does.
    const fn is_whole_at_end(&self) -> bool {
        match self.shape {
            Shape::Lines => true,
            Shape::Values => self.depth == 0 && !self.is_in_text,
        }
    }
}

/// One value a line, when the first line is one.
fn shape_of(head: &[u8]) -> Shape {
    let head = head.trim_ascii_start();
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_line = first.starts_with(b"{") && serde_json::from_slice::<&RawValue>(first).is_ok();
    if is_line { Shape::Lines } else { Shape::Values }
}

/// Whether a file that begins so is JSON.
pub(in crate::manifest) fn is_json(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let behind = |count: usize| head.get(count..).unwrap_or_default().trim_ascii_start().first().copied();
    match head.first() {
        Some(b'{') => matches!(behind(1), Some(b'"' | b'}')),
        Some(b'[') => matches!(behind(1), Some(b'{' | b'"' | b']')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn records(text: &str) -> JsonRecords {
        // a buffer of 7 bytes puts every boundary somewhere awkward
        let bytes: Bytes = BufReader::with_capacity(7, Box::new(Cursor::new(text.as_bytes().to_vec())));
        JsonRecords::new(bytes, text.as_bytes())
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

    /// Lines and cells, without the other keys where there are none.
    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        let mut records = records(text);
        records.split_at(None);
        read_all(records)
            .into_iter()
            .map(|row| {
                let (line, mut cells) = row.unwrap();
                while cells.last().is_some_and(String::is_empty) {
                    cells.pop();
                }
                (line, cells)
            })
            .collect()
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
    fn an_object_is_flattened_and_no_key_is_lost() {
        let text = "{\"u\":\"a\",\"place\":{\"lat\":30.10,\"lon\":-88},\"ok\":true,\"none\":null,\"tags\":[\"x\",\"y, z\"]}\n";
        let mut read = records(text);
        read.split_at(None);
        assert_eq!(read.names(), ["u", "place.lat", "place.lon", "ok", "none", "tags", "other keys"]);
        let rows = rows(&format!("{text}{}{{\"u\":\"b\",\"late\":{{\"k\":[1]}}}}\n", ""));
        assert_eq!(rows[0], row(1, &["a", "30.10", "-88", "true", "", "[\"x\",\"y, z\"]"]));
        // the head is the whole text here, so what is late shows only behind it
        let mut read = records(text);
        read.split_at(None);
        read.bytes = BufReader::new(Box::new(Cursor::new(b"{\"u\":\"b\",\"late\":{\"k\":[1]}}\n".to_vec())));
        let late = read_all(read).remove(0).unwrap().1;
        assert_eq!(late.last().unwrap(), "{\"late.k\":[1]}");
    }

    #[test]
    fn each_element_of_an_array_is_a_row_where_that_is_wanted() {
        let text = "{\"id\":7,\"videos\":[{\"url\":\"a\"},{\"url\":\"b\",\"k\":{\"x\":1}}]}\n{\"id\":8}\n{\"id\":9,\"videos\":[\"c\"]}\n";
        let mut read = records(text);
        assert_eq!(read.names(), ["id", "videos", "other keys", "videos[].url", "videos[].k.x"]);
        read.split_at(Some("videos"));
        let urls: Vec<_> = read_all(read)
            .into_iter()
            .map(|row| {
                let (line, cells) = row.unwrap();
                (line, cells[0].clone(), cells[3].clone(), cells[4].clone(), cells[2].clone())
            })
            .collect();
        let owned = |line, a: &str, b: &str, c: &str, d: &str| {
            (line, a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned())
        };
        assert_eq!(
            urls,
            [
                owned(1, "7", "a", "", ""),
                owned(1, "7", "b", "1", ""),
                owned(2, "8", "", "", ""),
                owned(3, "9", "", "", "{\"videos[]\":\"c\"}"),
            ]
        );
    }

    #[test]
    fn a_long_array_is_no_long_cell_where_its_elements_are_rows() {
        let videos: Vec<String> = (0..3_000).map(|n| format!("{{\"url\":\"https://h/{n}.mp4\"}}")).collect();
        let text = format!("{{\"id\":7,\"videos\":[{}]}}\n", videos.join(","));
        let mut read = records(&text);
        read.split_at(Some("videos"));
        assert_eq!(read_all(read).into_iter().flatten().count(), 3_000);
    }

    #[test]
    fn a_list_of_addresses_may_be_an_array() {
        assert_eq!(
            rows("[\"https://h/a\", \"https://h/b\"]"),
            [row(1, &["https://h/a"]), row(2, &["https://h/b"])]
        );
        assert_eq!(records("[\"x\"]").names()[0], "value");
        let twice = read_all(records("{\"u\":\"a\",\"u\":\"b\"}\n{\"u\":\"c\"}\n"));
        assert_eq!(twice[0], Err((1, RecordError::KeyTwice)), "nobody knows which is meant");
        let lone = read_all(records("{\"u\":\"\\ud83d\"}\n"));
        assert_eq!(lone[0], Err((1, RecordError::NotAnObject)));
    }

    #[test]
    fn a_broken_record_costs_itself_and_a_giant_one_bounded_memory() {
        let giant = format!("{{\"u\":\"{}\"}}", "x".repeat(RECORD_MAX));
        let long = format!("{{\"u\":\"{}\"}}", "x".repeat(CELL_MAX + 1));
        let text = format!(
            "{{\"u\":\"a\"}}\n{{\"u\":\n[1]\n7\n{giant}\n{long}\n{{\"u\":\"\\u0000\"}}\n{{\"u\":\"b\"}}"
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
                (6, RecordError::CellTooLong),
                (7, RecordError::Nul),
            ]
        );
        assert_eq!(read.last().unwrap().as_ref().unwrap().1[0], "b");
        let cut = read_all(records("[\n{\"u\":\"a\"},\n{\"u\":\"b\n"));
        assert_eq!(cut[1], Err((3, RecordError::UnterminatedValue)));
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
