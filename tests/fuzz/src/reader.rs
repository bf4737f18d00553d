//! The reader: bytes become rows, by rules that the input chooses.
//!
//! Every row that is read may be sent. Line numbers increase. The line that a row names contains its first cell. A second reading
//! gives the same rows.

use std::{
    borrow::Cow,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    path::Path,
};

use telecine::{
    domain::{ManifestRow, RowError},
    manifest::{
        Dialect, Encoding, Field, Format, GeoOrder, Header, LoneComma, Manifest, ManifestError, ManifestSpec,
        OffsetRule, Quote, SameBy, TagSeparator, TooLong, infer,
    },
};

use crate::{Choices, rows};

/// Where the file with the input is, if it can be: in memory.
const MEMORY: &str = "/dev/shm";

/// In a stretched input this byte is replaced by the most letters that a cell may have, at most `STRETCHED_MAX` times. That is
/// enough to exceed the bounds of cells and of records.
const STRETCHED: u8 = b'~';
const LETTERS: usize = 64 * 1024;
const STRETCHED_MAX: usize = 40;

/// What a corpus of small files has not: cells and records at their bounds and beyond, and line breaks of two bytes in a cell.
pub const SEEDS: [&[u8]; 15] = [
    b"\x03\0\0\0url,note\nhttps://h.example/a.mp4,~\nhttps://h.example/b.mp4,~a\n",
    b"\x03\0\0\0url,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r\nhttps://h.example/a.mp4,~,~,~,~,~,~,~,~,~,~,~,~,~,~,~,,\n\
      https://h.example/b.mp4,~,~,~,~,~,~,~,~,~,~,~,~,~,~,~,~,~\n",
    b"\x03\0\0\0{\"url\":\"https://h.example/a.mp4\",\"note\":\"~\"}\n{\"url\":\"https://h.example/a.mp4\",\"note\":\"~a\"}\n",
    b"\0\0\0\0url,tags\r\nhttps://h.example/a.mp4,\"x\r\ny\"\r\nhttps://h.example/b.mp4,z\r\n",
    b"\0\0\0\0{\"next\":\"https://h.example/2\",\"items\":[{\"url\":\"https://h.example/a.mp4\",\"tags\":[{\"name\":\"x\"}]},{\"url\":\"https://h.example/b.mp4\"}]}",
    b"\0\0\0\0{\"a\":{\"url\":\"https://h.example/a.mp4\"},\"b\":{\"url\":\"https://h.example/b.mp4\",\"tags\":{\"0\":\"x\",\"2\":NaN}}}",
    b"\0\0\0\0{\"url\":{\"0\":\"https://h.example/a.mp4\",\"1\":\"https://h.example/b.mp4\"},\"tags\":{\"0\":\"x\",\"1\":\"y\"}}",
    b"\0\0\0\0{\"a\":[{\"b\":[\"https://h.example/a.mp4\"],\"c\":[{\"d\":1}]}],\"b\":\"https://h.example/b.mp4\"}\n",
    b"\0\0\0\0sep=;\r\n\"url\"; \"tags\"\r\nhttps://h.example/a.mp4; \"x;y\"\r\n",
    b"\0\0\0\0url,title,tags\nhttps://h.example/a.mp4,\"open,x\nhttps://h.example/b.mp4,\"live\",z\n",
    b"\0\0\0\0[[\"url\",\"tags\"],[\"https://h.example/a.mp4\",\"x\"],[\"https://h.example/b.mp4\"]]",
    b"\0\0\0\0[\"url\",\"n\"]\n[\"https://h.example/a.mp4\",1]\n[\"https://h.example/b.mp4\",NaN]\n",
    b"\0\0\0\0{\"columns\":[\"url\",\"tags\"],\"index\":[0],\"data\":[[\"https://h.example/a.mp4\",[\"x\"]]]}",
    WORKBOOK,
    WORKBOOK_WITH_LINKS,
];

/// A workbook of two rows, behind the choices.
const WORKBOOK: &[u8] = include_bytes!("../seeds/workbook");

/// The same with a link behind a cell, and one that a formula makes.
const WORKBOOK_WITH_LINKS: &[u8] = include_bytes!("../seeds/workbook-links");

/// Ways to map columns; the first leaves it to the header.
const MAPS: [&[&str]; 14] = [
    &[],
    &["url=#1"],
    &["url=#2", "tags=#1+'a, b'"],
    &["url=https://h.example/{#1}"],
    &["url=https://h.example/a?b={#1|raw}", "id=#1"],
    &["tags=*", "callback=url"],
    &["tags=t*?+tags", "latitude=#3", "longitude=#4"],
    &["geo=#3", "datetime=#2", "camera_model={#1} {#2}", "unique_id=tags"],
    &["url=a[].b", "tags=a[].c[].d"],
    &["url=a[]+b[]", "tags=c[].d"],
    &["url=a[].b[]"],
    &["url={#1|html|address}", "tags=#2|html|split ';'", "camera_model=#2|form|first"],
    &["url=#1|split '|'|first", "tags=#2|json tags", "datetime=#2|json 'a[].b'|first", "time=#3"],
    &[
        "url={#1|replace 'gs://' 'https://h.example/'}",
        "latitude=#2",
        "latitude_ref=#3",
        "longitude=#3|replace ',' '.'",
    ],
];

/// Rows to leave out; the first keeps them all.
const FILTERS: [&str; 3] = ["", "url!=x", "#1~a"];

/// Checks one manifest.
pub fn check(input: &[u8]) {
    let Some((mut choices, bytes)) = Choices::of(input) else { return };
    let is_stretched = choices.one_of([false, false, false, true]);
    let bytes = if is_stretched { stretched(bytes) } else { Cow::Borrowed(bytes) };
    thread_local! {
        // one file for all inputs; it has no name, and is gone with the process
        static FILE: io::Result<File> = if Path::new(MEMORY).is_dir() {
            tempfile::tempfile_in(MEMORY)
        } else {
            tempfile::tempfile()
        };
    }
    let path = FILE.with(|file| {
        let file = file.as_ref().expect("a file can be made");
        file.set_len(0).and_then(|()| file.write_all_at(&bytes, 0)).expect("it can be written");
        format!("/dev/fd/{}", file.as_raw_fd())
    });
    let spec = spec(&path, &mut choices);
    if choices.yes() {
        // whatever it proposes, it does so
        let _ = infer(&spec);
    }
    let first = Reading::of(&spec, Some(&bytes));
    assert_eq!(Reading::of(&spec, None), first, "it is another manifest when it is read again");
}

/// The input with letters in place of the byte that represents them.
fn stretched(bytes: &[u8]) -> Cow<'_, [u8]> {
    let parts: Vec<&[u8]> = bytes.splitn(STRETCHED_MAX + 1, |byte| *byte == STRETCHED).collect();
    Cow::Owned(parts.join(&[b'a'; LETTERS][..]))
}

fn spec(path: &str, choices: &mut Choices) -> ManifestSpec {
    let mut spec = ManifestSpec::with_defaults(path);
    spec.format = choices.one_of([None, Some(Format::Csv), Some(Format::Json), Some(Format::List)]);
    spec.header = choices.one_of([Header::Present, Header::Absent]);
    let encodings =
        ["", "utf-8", "utf-16le", "utf-16be", "windows-1252", "shift_jis", "gb18030", "iso-2022-jp"];
    spec.dialect = Dialect {
        encoding: choices.one_of(encodings).parse::<Encoding>().ok(),
        delimiter: choices.one_of([None, Some(b';'), Some(b'\t'), Some(b' ')]),
        quote: choices.one_of([Quote::default(), Quote::Byte(b'\''), Quote::None]),
        escape: choices.one_of([None, Some(b'\\')]),
        comment: choices.one_of([None, Some(b'#')]),
        lines_before: choices.one_of([0, 1, 2, 3]),
        ..Dialect::default()
    };
    spec.map = choices.one_of(MAPS).iter().flat_map(|rule| rule.parse()).collect();
    spec.filters = choices.one_of(FILTERS).parse().into_iter().collect();
    let rules = &mut spec.rules;
    rules.geo_order = choices.one_of([GeoOrder::LatLon, GeoOrder::LonLat]);
    rules.missing.has_defaults = !choices.yes();
    rules.drop_invalid = choices.one_of([vec![], vec![Field::Datetime, Field::Geo, Field::Tags]]);
    rules.too_long = choices.one_of([TooLong::Refuse, TooLong::Cut]);
    rules.same_by = choices.one_of([SameBy::Url, SameBy::Id]);
    rules.lone_comma = choices.one_of([LoneComma::Safe, LoneComma::Refused]);
    rules.tag_separator = choices.one_of([TagSeparator::Default, TagSeparator::Only(" ".to_owned())]);
    rules.dates.offset = choices.one_of([OffsetRule::Keep, OffsetRule::Utc]);
    rules.dates.formats = choices.one_of(["", "dmy", "epoch-ms", "%d.%m.%Y"]).parse().into_iter().collect();
    spec.dialect.pads_short_rows = choices.yes();
    spec
}

/// What a manifest came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    good: u64,
    invalid: u64,
    left_out: u64,
    /// How it ended, where not well.
    error: Option<String>,
    /// Of all lines and cells.
    digest: u64,
}

impl Reading {
    /// Reads a manifest, and checks every row; also its line, where the bytes are given and are the text itself.
    fn of(spec: &ManifestSpec, bytes: Option<&[u8]>) -> Self {
        let mut reading = Self::default();
        let mut digest = DefaultHasher::new();
        let opened = Manifest::open(spec);
        let read = opened.and_then(|mut manifest| {
            // nothing was found out: it is neither packed nor in another encoding, and no list
            let is_plain = manifest.format() == Format::Csv && manifest.found().is_empty();
            let is_as_written = is_plain && spec.dialect.encoding.is_none() && spec.dialect.escape.is_none();
            let lines = bytes.filter(|_| is_as_written).map(|bytes| Lines::of(bytes, spec.dialect.quote));
            reading.read(&mut manifest, lines.as_ref(), &mut digest)
        });
        reading.error = read.err().map(|error| error.to_string());
        reading.digest = digest.finish();
        reading
    }

    fn read(
        &mut self,
        manifest: &mut Manifest,
        lines: Option<&Lines>,
        digest: &mut DefaultHasher,
    ) -> Result<(), ManifestError> {
        // two objects may be on one line, two records may not
        let line_step = u64::from(manifest.format() != Format::Json);
        let mut line_min = 1;
        while let Some(read) = manifest.next()? {
            let (line, cells) = match &read {
                Ok(row) => self.good(row, lines),
                Err(error) => self.invalid(error),
            };
            assert!(line >= line_min, "line {line} comes behind line {line_min} or on it");
            line_min = line + line_step;
            (line, cells, read.is_ok()).hash(digest);
        }
        self.left_out = manifest.left_out();
        Ok(())
    }

    fn good<'a>(&mut self, row: &'a ManifestRow, lines: Option<&Lines>) -> (u64, &'a [String]) {
        self.good += 1;
        if let (Some(lines), Some(cell)) = (lines, row.cells.first()) {
            assert!(lines.may_hold(row.line, cell), "line {} does not hold {cell:?}", row.line);
        }
        if let Some(error) = rows::fault_of(row) {
            panic!("this would be sent, but {error}: {:?}", row.submission);
        }
        (row.line, &row.cells)
    }

    fn invalid<'a>(&mut self, error: &'a RowError) -> (u64, &'a [String]) {
        self.invalid += 1;
        let says_nothing = |text: &String| text.is_empty();
        let problems = &error.problems;
        assert!(!problems.is_empty(), "a fault without a word");
        assert!(
            !problems
                .iter()
                .flat_map(|problem| [&problem.class, &problem.message, &problem.fix])
                .any(says_nothing),
            "a problem without a word: {problems:?}"
        );
        (error.line, &error.cells)
    }
}

/// The lines of a text as an editor has them, without quotes.
struct Lines(Vec<String>);

impl Lines {
    fn of(bytes: &[u8], quote: Quote) -> Self {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let is_quote = |c: char| matches!(quote, Quote::Byte(byte) if c == char::from(byte));
        Self(text.split(['\n', '\r']).map(|line| line.replace(is_quote, "")).collect())
    }

    /// Whether a record whose first cell is this may begin on this line, counted from 1.
    fn may_hold(&self, line: u64, cell: &str) -> bool {
        // a cell with characters that may be escaped in the file cannot be compared
        let is_plain = cell.chars().all(|c| c.is_ascii_alphanumeric() || "/:.-".contains(c));
        let at = usize::try_from(line).unwrap_or(usize::MAX).wrapping_sub(1);
        !is_plain || self.0.get(at).is_some_and(|own| own.contains(cell))
    }
}
