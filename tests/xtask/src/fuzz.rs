//! Damaged manifests and random mappings: the reader does not panic or hang, takes bounded time, loses no row, and gives
//! the same with one thread and with several.
//!
//! A seed takes a file of the corpus, damages it in a few places, and reads it by random rules.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::{Duration, Instant},
};

use telecine::{
    domain::UnixMillis,
    manifest::{
        DateFormat, Filter, Format, GeoOrder, Header, Manifest, ManifestSpec, MapRule, SameBy, ScanRequest,
        TagSeparator, TooLong, infer, scan,
    },
};

use crate::state_counts::Part;

#[path = "../../data/corpus.rs"]
mod files;

/// A file of the corpus takes a millisecond; one that takes this long hangs, or works by the square of its size.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Broken places in one file, at most.
const BREAKS_MAX: usize = 12;
/// Larger files are cut: they would only be slower.
const SIZE_MAX: usize = 64 * 1024;

/// What breaks readers.
pub(crate) const SPLINTERS: &[&str] = &[
    "\"",
    "'",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    "\r",
    "{",
    "}",
    "[",
    "]",
    ":",
    "\\",
    "\\u0000",
    "\\ud83d",
    "\0",
    "\u{feff}",
    "https://",
    "https://h/",
    "?",
    "#",
    "%",
    "%zz",
    "@",
    "..",
    "//",
    "xn--",
    "52°",
    "N",
    "W",
    "POINT(",
    ")",
    "1e309",
    "-",
    "+",
    "nan",
    "NaN",
    "9999999999",
    "1531754460123",
    "2019-",
    "0000-00-00",
    "12/13/14",
    "T",
    "Z",
    "+99:99",
    "PM",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "null",
    "true",
    "telecine:",
    "telecine_manifest",
    "{'a', 'it''s'}",
    "[\"a\"]",
];

/// What mappings are made of.
pub(crate) const WORDS: &[&str] = &[
    "url",
    "tags",
    "latitude",
    "longitude",
    "geo",
    "datetime",
    "camera_model",
    "id",
    "hash",
    "=",
    "+",
    "?",
    "*",
    "'",
    "''",
    "{",
    "}",
    "{{",
    "}}",
    "|raw",
    "#1",
    "#99",
    "a",
    "videos[].url",
    "https://h/",
    "{url}",
    "{tags|raw}",
    "|html",
    "|form",
    "|trim",
    "|first",
    "|address",
    "|replace 'a' 'b'",
    "|split ';'",
    "|json a[].b",
    " ",
    "callback",
    "unique_id",
    "é",
    "!=",
    "~",
    "!~",
    "M3U8",
];

/// The files of the corpus.
pub(crate) fn corpus() -> &'static [(String, Vec<u8>)] {
    static CORPUS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let bytes_of = |(name, (bytes, _)): (String, (Vec<u8>, files::Verdict))| (name, bytes);
    CORPUS.get_or_init(|| files::corpus().into_iter().map(bytes_of).collect())
}

/// One broken file.
pub(crate) fn seed(seed: u64) -> Part {
    let mut part = Part::default();
    let mut rng = fastrand::Rng::with_seed(seed);
    let Some((name, bytes)) = rng.choice(corpus()) else {
        part.failures.push("the corpus is not there".to_owned());
        return part;
    };
    part.add("files", 1);
    let bytes = broken(bytes, &mut rng);
    let begun = Instant::now();
    let read = catch_unwind(AssertUnwindSafe(|| read(&bytes, &mut rng)));
    let text = match read {
        Ok(Ok(rows)) => {
            part.add("rows", rows);
            None
        }
        Ok(Err(what)) => Some(what),
        Err(_) => Some("it panicked".to_owned()),
    };
    let is_slow = (begun.elapsed() > TIME_MAX).then(|| format!("it took {:?}", begun.elapsed()));
    part.failures.extend(text.into_iter().chain(is_slow).map(|what| format!("seed {seed} ({name}): {what}")));
    part
}

fn broken(bytes: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len().min(SIZE_MAX)].to_vec();
    for _ in 0..rng.usize(..=BREAKS_MAX) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..64)).min(bytes.len());
        match rng.u8(..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].repeat(rng.usize(1..40));
                bytes.splice(at..at, copy);
            }
            3 if at < bytes.len() => bytes[at] = rng.u8(..),
            _ => {
                let splinter = rng.choice(SPLINTERS).copied().unwrap_or_default();
                bytes.splice(at..at, splinter.bytes());
            }
        }
    }
    bytes
}

/// A text of a mapping, mostly nonsense.
fn words(rng: &mut fastrand::Rng) -> String {
    (0..rng.usize(1..8)).filter_map(|_| rng.choice(WORDS).copied()).collect()
}

fn spec_of(path: &str, rng: &mut fastrand::Rng) -> ManifestSpec {
    let mut spec = ManifestSpec::with_defaults(path);
    if rng.u8(..4) == 0 {
        spec.format = rng.choice([Format::Csv, Format::Json, Format::List]);
    }
    if rng.u8(..6) == 0 {
        spec.header = Header::Absent;
    }
    for _ in 0..rng.usize(..3) {
        spec.map.extend(words(rng).parse::<MapRule>());
    }
    if rng.bool() {
        spec.map.extend("url=url".parse::<MapRule>());
    }
    if rng.u8(..8) == 0 {
        spec.filters.extend(words(rng).parse::<Filter>());
    }
    if rng.u8(..4) == 0 {
        let formats = ["dmy", "mdy", "year", "epoch-s", "epoch-ms", "%d.%m.%Y", "%Y%j", "%s", "%"];
        let text = rng.choice(formats).unwrap_or("dmy");
        spec.rules.dates.formats.extend(text.parse::<DateFormat>());
    }
    spec.rules.geo_order = if rng.bool() { GeoOrder::LatLon } else { GeoOrder::LonLat };
    spec.rules.too_long = if rng.bool() { TooLong::Cut } else { TooLong::Refuse };
    spec.rules.same_by = if rng.u8(..4) == 0 { SameBy::Id } else { SameBy::Url };
    if rng.u8(..4) == 0 {
        spec.rules.tag_separator = TagSeparator::Only(words(rng));
    }
    spec
}

/// Reads a file with one thread and with several, and returns the number of its rows.
fn read(bytes: &[u8], rng: &mut fastrand::Rng) -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("m");
    fs::write(&path, bytes).map_err(|error| error.to_string())?;
    let spec = spec_of(path.to_str().unwrap_or_default(), rng);
    // whatever it proposes, it does so
    let _ = infer(&spec);
    let Ok(mut manifest) = Manifest::open(&spec) else { return Ok(0) };
    let (mut good, mut invalid, mut broken) = (0, 0, None);
    loop {
        match manifest.next() {
            Ok(Some(Ok(row))) => {
                good += 1;
                if let Some(error) = fuzz_targets::rows::fault_of(&row) {
                    return Err(format!("this would be sent, but {error}: {:?}", row.submission));
                }
            }
            Ok(Some(Err(error))) if error.problems.is_empty() => {
                return Err("a fault without a word".to_owned());
            }
            Ok(Some(Err(_))) => invalid += 1,
            Ok(None) => break,
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        }
    }
    let Ok(again) = Manifest::open(&spec) else { return Err("it opened once only".to_owned()) };
    let order = ScanRequest { now: UnixMillis(1_700_000_000_000), errors_max: None, wants_rows: rng.bool() };
    match (scan(&mut [again], order, |_, _| {}), broken) {
        (Ok(scan), None) => {
            let (sum, rows) = (scan.good + scan.duplicates + scan.invalid, scan.rows);
            let is_same = (scan.good + scan.duplicates, scan.invalid) == (good, invalid);
            let text = format!("{good} good and {invalid} invalid by one thread, {scan:?}");
            if is_same && sum == rows { Ok(rows) } else { Err(text) }
        }
        (Err(error), Some(broken)) if error.to_string() == broken => Ok(good + invalid),
        (found, broken) => Err(format!("{broken:?} by one thread, {found:?}")),
    }
}
