//! What reading a manifest promises: rows exactly as the service accepts them, and every fault with its place and its fix.

mod accounts;
mod exports;
mod listed;
mod oddities;
mod readers;
mod shapes;
mod silence;
mod values;
mod worksheets;

use std::path::PathBuf;

use super::*;
use crate::domain::{Problem, UnixMillis};

struct Shelf(tempfile::TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, bytes: &[u8]) -> ManifestSpec {
        let path: PathBuf = self.0.path().join("m.csv");
        std::fs::write(&path, bytes).unwrap();
        ManifestSpec::with_defaults(path.to_str().unwrap())
    }
}

fn read(spec: &ManifestSpec) -> Vec<Result<ManifestRow, RowError>> {
    let mut manifest = Manifest::open(spec).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = manifest.next().unwrap() {
        rows.push(row);
    }
    rows
}

fn order() -> ScanRequest {
    ScanRequest { now: UnixMillis(1_700_000_000_000), errors_max: None, wants_rows: false }
}

fn only_problem(spec: &ManifestSpec) -> Problem {
    let row = read(spec).remove(0);
    row.unwrap_err().problems.remove(0)
}

fn found(spec: &ManifestSpec) -> String {
    Manifest::open(spec).unwrap().found().join(" / ")
}

fn refused(spec: &ManifestSpec) -> String {
    Manifest::open(spec).err().unwrap().to_string()
}

fn mapped(shelf: &Shelf, text: &str, map: &[&str]) -> ManifestSpec {
    ManifestSpec { map: map.iter().map(|rule| rule.parse().unwrap()).collect(), ..shelf.put(text.as_bytes()) }
}

/// The warnings of each row: class and what to do.
fn warnings(spec: &ManifestSpec) -> Vec<Vec<(String, String)>> {
    let mut manifest = Manifest::open(spec).unwrap();
    manifest.warn_at(order().now);
    let mut rows = Vec::new();
    while let Some(row) = manifest.next().unwrap() {
        let said = row.unwrap().warnings.into_iter();
        rows.push(said.map(|problem| (problem.class, problem.fix)).collect());
    }
    rows
}

fn classes(spec: &ManifestSpec) -> Vec<String> {
    warnings(spec)
        .into_iter()
        .map(|row| row.into_iter().map(|(class, _)| class).collect::<Vec<_>>().join(","))
        .collect()
}

fn is_at(row: &ManifestRow, latitude: f64, longitude: f64) -> bool {
    row.submission.coordinates == Some(crate::domain::Coordinates { latitude, longitude })
}

#[test]
fn a_row_becomes_what_the_service_accepts() {
    let shelf = Shelf::new();
    let spec = shelf.put(
        b"\xef\xbb\xbfid;Video URL;Tags;geo;taken_at;camera;namespace;retain_original;transcription_prompt;callback_url\r\n\
          A1; https://HOST/a b.mp4 ;\"fog; fog, harbour\";52.5,13.4;2019-05-06T07:08:09+02:00;X100;reels;YES;who speaks?;https://me/cb\r\n",
    );
    let row = read(&spec).remove(0).unwrap();
    let sent = row.submission;
    assert_eq!((row.line, row.external_id.as_deref()), (2, Some("A1")));
    assert_eq!(sent.url.as_str(), "https://host/a%20b.mp4");
    assert_eq!(sent.tags, ["fog", "harbour"]);
    assert_eq!(sent.coordinates.map(|place| (place.latitude, place.longitude)), Some((52.5, 13.4)));
    assert_eq!(sent.datetime_taken.as_deref(), Some("2019-05-06 07:08:09"));
    assert_eq!((sent.camera_model.as_deref(), sent.namespace.as_str()), (Some("X100"), "reels"));
    assert_eq!(sent.retain_original_video, Some(true));
    assert_eq!(sent.video_transcription_prompt.as_deref(), Some("who speaks?"));
    assert_eq!(sent.callback.as_deref(), Some("https://me/cb"));
    assert_eq!(row.cells[1], " https://HOST/a b.mp4 ", "the original cell is kept as it was");
}

#[test]
fn every_fault_has_its_column_its_value_and_its_fix() {
    let shelf = Shelf::new();
    let long = "x".repeat(201);
    for (header, cells, class, column, number) in [
        ("url", "", "url_empty", "url", 1),
        ("url,tags", "clips/1.mp4,a", "url_not_absolute", "url", 1),
        ("url", "ftp://bucket/a.mp4", "url_scheme", "url", 1),
        ("url", "https://u:p@host/a.mp4", "url_credentials", "url", 1),
        ("url,lat,lon", "https://h/a,95,1", "coordinates_range", "lat", 2),
        ("url,lat,lon", "https://h/a,5,", "coordinates_pair", "lat", 2),
        ("url,lat,lon", "https://h/a,5.1.2,7", "coordinates_number", "lat", 2),
        ("url,geo", "https://h/a,Berlin", "coordinates_pair", "geo", 2),
        ("url,date", "https://h/a,01/02/2019", "datetime_ambiguous", "date", 2),
        ("url,date", "https://h/a,2019-02-30", "datetime_impossible", "date", 2),
        ("url,camera", &format!("https://h/a,{long}"), "text_too_long", "camera", 2),
        ("url,callback", "https://h/a,me", "callback_url", "callback", 2),
        ("url,retain_original", "https://h/a,perhaps", "boolean", "retain_original", 2),
        ("url,tags", "https://h/a,telecine:x", "tag_reserved", "tags", 2),
        ("url,tags", "https://h/a", "column_count", "", 0),
    ] {
        let text = format!("{header}\n{cells}\nhttps://h/good{}\n", ",".repeat(header.matches(',').count()));
        // an empty line is no record: quote the empty cell
        let text = text.replace("url\n\n", "url\n\"\"\n");
        let spec = shelf.put(text.as_bytes());
        let rows = read(&spec);
        let error = rows[0].as_ref().unwrap_err();
        let problem = &error.problems[0];
        assert_eq!(
            (problem.class.as_str(), problem.column.as_str(), problem.column_number),
            (class, column, number),
            "{text}"
        );
        assert_eq!(error.line, 2);
        assert!(!problem.fix.is_empty() && !problem.message.is_empty());
        assert!(rows[1].is_ok(), "the row behind it is lost: {text}");
    }
}

#[test]
fn all_faults_of_a_row_are_shown_at_once() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url,lat,lon,date\nnope,95,200,soon\n");
    let error = read(&spec).remove(0).unwrap_err();
    let classes: Vec<&str> = error.problems.iter().map(|problem| problem.class.as_str()).collect();
    assert_eq!(classes, ["url_not_absolute", "coordinates_range", "coordinates_range", "datetime_unknown"]);
}

#[test]
fn a_secret_in_a_bad_value_is_not_repeated() {
    let shelf = Shelf::new();
    for url in
        ["rtsp://user:secret@10.0.0.1/", "ftp://h/a?sig=secret", "//user:secret@h/a", "h/a?token=secret"]
    {
        let problem = only_problem(&shelf.put(format!("url\n{url}\n").as_bytes()));
        assert!(!problem.value.contains("secret"), "{url}: {}", problem.value);
    }
}

#[test]
fn twenty_tags_are_taken_and_twenty_one_are_not() {
    let shelf = Shelf::new();
    let tags = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>().join(";");
    assert!(read(&shelf.put(format!("url,tags\nhttps://h/a,{}\n", tags(20)).as_bytes()))[0].is_ok());
    let problem = only_problem(&shelf.put(format!("url,tags\nhttps://h/a,{}\n", tags(21)).as_bytes()));
    assert_eq!((problem.class.as_str(), problem.message.contains("at most 20")), ("tags_too_many", true));
}

#[test]
fn a_lone_tag_with_a_comma_is_refused_where_it_could_be_split() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,tags\nhttps://h/a,\"Art, Modern\"\nhttps://h/b,\"Art, Modern|x\"\n");
    spec.rules.tag_separator = TagSeparator::Only("|".to_owned());
    assert!(read(&spec).iter().all(Result::is_ok), "with a marker tag it is never alone");
    spec.rules.lone_comma = LoneComma::Refused;
    let rows = read(&spec);
    assert_eq!(rows[0].as_ref().unwrap_err().problems[0].class, "tag_comma");
    assert!(rows[1].is_ok());
}

#[test]
fn a_file_without_a_header_is_read_from_its_first_line() {
    let shelf = Shelf::new();
    let mut spec = shelf.put("Tāne\thttps://h/a\nx\t\ny\thttps://h/b".as_bytes());
    spec.header = Header::Absent;
    spec.map = vec!["url=#2".parse().unwrap(), "tags=#1".parse().unwrap()];
    let rows = read(&spec);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].as_ref().unwrap().submission.tags, ["Tāne"]);
    assert_eq!(rows[1].as_ref().unwrap_err().line, 2);
    assert_eq!(rows[2].as_ref().unwrap().line, 3);
}

#[test]
fn a_cell_that_is_not_utf8_is_the_fault_of_its_row_only() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,tags\nhttps://h/a,caf\xe9\nhttps://h/b,x\n");
    spec.dialect.encoding = Some("utf-8".parse().unwrap());
    let rows = read(&spec);
    let problem = &rows[0].as_ref().unwrap_err().problems[0];
    assert_eq!((problem.class.as_str(), problem.column.as_str()), ("not_utf8", "tags"));
    assert!(rows[1].is_ok());
}

#[test]
fn a_damaged_gzip_file_keeps_the_rows_before_the_damage() {
    use std::{fmt::Write as _, io::Write as _};
    let shelf = Shelf::new();
    let mut text = "url\n".to_owned();
    for n in 0..20_000 {
        let _ = writeln!(text, "https://host/clip-{n}-{}.mp4", n * 7919 % 10_007);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut bytes = gzip.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    let mut manifest = Manifest::open(&shelf.put(&bytes)).unwrap();
    let mut good = 0;
    let error = loop {
        match manifest.next() {
            Ok(Some(row)) => good += u64::from(row.is_ok()),
            Ok(None) => panic!("half a file seems whole"),
            Err(error) => break error,
        }
    };
    assert!(good > 1_000);
    assert!(matches!(error, ManifestError::Broken { .. }), "{error}");
}

#[test]
fn two_gzip_members_are_one_file() {
    use std::io::Write as _;
    let shelf = Shelf::new();
    let member = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let bytes = [member("url\nhttps://h/a\n"), member("https://h/b\n")].concat();
    assert_eq!(read(&shelf.put(&bytes)).len(), 2);
}

#[test]
fn a_survey_counts_every_row_once() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"url\nhttps://h/a\nhttps://h/a#t=5\nnope\nhttps://h/b\n");
    let mut duplicates = Vec::new();
    let scan = scan(&mut [Manifest::open(&spec).unwrap()], order(), |_, met| {
        if let ScannedRow::Duplicate { line, first, changes } = met {
            duplicates.push((line, first, changes.len()));
        }
    })
    .unwrap();
    assert_eq!((scan.rows, scan.good, scan.duplicates, scan.invalid), (4, 2, 1, 1));
    assert_eq!(duplicates, [(3, "line 2".to_owned(), 0)]);
    assert_eq!(scan.faults["url_not_absolute"].examples[0].line, 4);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

    /// Whatever the bytes: no panic, every record is a row or a fault, and lines only grow.
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::prelude::Just(b','), proptest::prelude::Just(b'"'), proptest::prelude::Just(b'\n'),
            proptest::prelude::Just(b'\r'), proptest::prelude::any::<u8>()
        ], 0..400)) {
        let shelf = Shelf::new();
        let text = [b"url,tags,lat,lon,date\n".as_slice(), &bytes].concat();
        if let Ok(mut manifest) = Manifest::open(&shelf.put(&text)) {
            let mut last = 1;
            while let Ok(Some(row)) = manifest.next() {
                let line = row.map_or_else(|error| error.line, |row| row.line);
                assert!(line > last, "line {line} after {last}");
                last = line;
            }
        }
    }
}

/// The URLs of the good rows.
fn urls(spec: &ManifestSpec) -> Vec<String> {
    read(spec).into_iter().map(|row| row.unwrap().submission.url.as_str().to_owned()).collect()
}

#[test]
fn packed_files_are_known_by_their_first_bytes_and_pieces_follow_one_another() {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    let shelf = Shelf::new();
    let halves = ["url\nhttps://h/1.mp4\n", "https://h/2.mp4\n"];
    let gzip = |text: &str| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let bzip2 = |text: &str| {
        let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let xz = |text: &str| liblzma::encode_all(text.as_bytes(), 1).unwrap();
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, packed) in [
        ("gzip", halves.map(gzip).concat()),
        ("bzip2", halves.map(bzip2).concat()),
        ("xz", halves.map(xz).concat()),
        ("zstd", halves.map(zstd).concat()),
    ] {
        let spec = shelf.put(&packed);
        assert_eq!(Manifest::open(&spec).unwrap().found(), [name.to_owned()]);
        assert_eq!(urls(&spec), ["https://h/1.mp4", "https://h/2.mp4"], "{name}");
        let mut cut = Manifest::open(&shelf.put(&packed[..packed.len() - 6])).unwrap();
        let ended = std::iter::from_fn(|| match cut.next() {
            Ok(None) => None,
            other => Some(other.map(|_| ())),
        });
        assert!(
            ended.take(9).any(|row| row.is_err()),
            "{name}: a file that was cut off is broken, not shorter"
        );
    }
}

#[test]
fn small_files_that_unpack_to_gigabytes_are_refused() {
    let shelf = Shelf::new();
    let bomb = "url\n".to_owned() + &"https://h/1.mp4\n".repeat(6_000_000);
    for packed in
        [zstd::encode_all(bomb.as_bytes(), 1).unwrap(), liblzma::encode_all(bomb.as_bytes(), 0).unwrap()]
    {
        let mut spec = shelf.put(&packed);
        // skipping is what is fastest
        spec.dialect.lines_before = 10_000_000;
        let error = crate::error::Error::from(Manifest::open(&spec).err().unwrap()).chain();
        assert!(error.contains("unpacks to more than 200 times its size"), "{error}");
    }
}

#[test]
fn other_encodings_are_found_or_named_and_arrive_as_utf8() {
    let shelf = Shelf::new();
    let tags = |spec: &ManifestSpec| read(spec).remove(0).unwrap().submission.tags.join(",");
    let text = "url,tags\r\nhttps://h/1.mp4,caf\u{e9} d\u{fc}ne\r\n";
    let utf16 = |swap: bool, bom: bool| -> Vec<u8> {
        let units = bom.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (bytes, found) in [
        (text.as_bytes().to_vec(), None),
        (latin.clone(), Some("windows-1252")),
        (utf16(false, true), Some("UTF-16LE")),
        (utf16(true, true), Some("UTF-16BE")),
        (utf16(false, false), Some("UTF-16LE")),
        (zstd::encode_all(&utf16(true, true)[..], 1).unwrap(), Some("zstd")),
    ] {
        let spec = shelf.put(&bytes);
        assert_eq!(tags(&spec), "caf\u{e9} d\u{fc}ne", "{found:?}");
        let said = Manifest::open(&spec).unwrap().found().join(", ");
        assert!(found.map_or(said.is_empty(), |found| said.contains(found)), "{said}");
    }
    let mut named = shelf.put(b"url,tags\nhttps://h/1.mp4,\xea\xee\xf2\n");
    named.dialect.encoding = Some("windows-1251".parse().unwrap());
    assert_eq!(tags(&named), "\u{43a}\u{43e}\u{442}");
    let late = "url,tags\n".to_owned() + &"https://h/1.mp4,a\n".repeat(5_000);
    let late = [late.as_bytes(), b"https://h/2.mp4,caf\xe9\n"].concat();
    let problem = read(&shelf.put(&late)).pop().unwrap().unwrap_err().problems.remove(0);
    assert!(problem.fix.contains("--encoding windows-1252"), "{problem:?}");
}

#[test]
fn dialects_with_other_quotes_escapes_and_comments_keep_their_line_numbers() {
    let shelf = Shelf::new();
    let text = b"exported, by, Foo\r\n\r\n# a,b,c,d\r\nurl;tags\r\n# old\r\nhttps://h/1.mp4;'it\\'s; here'\r\n#https://h/2.mp4\r\nhttps://h/3.mp4;'two\r\nlines'\r\n";
    let mut spec = shelf.put(text);
    spec.dialect = Dialect {
        quote: Quote::Byte(b'\''),
        escape: Some(b'\\'),
        comment: Some(b'#'),
        lines_before: 2,
        ..Dialect::default()
    };
    spec.rules.tag_separator = TagSeparator::Only("|".to_owned());
    let rows: Vec<ManifestRow> = read(&spec).into_iter().map(Result::unwrap).collect();
    let seen: Vec<(u64, &str)> = rows.iter().map(|row| (row.line, row.submission.tags[0].as_str())).collect();
    assert_eq!(seen, [(6, "it's; here"), (8, "two lines")]);
    let mut raw = shelf.put(b"url,tags\nhttps://h/1.mp4,5\" disk\nhttps://h/2.mp4,\"x\n");
    raw.dialect.quote = Quote::None;
    assert_eq!(urls(&raw), ["https://h/1.mp4", "https://h/2.mp4"], "a quote is text");
}
