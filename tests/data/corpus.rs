//! Odd and bad manifests in many shapes, each with what is expected of it.
//!
//! Every file holds a good row, then a row of some kind, then a good row: whatever is wrong with the middle one, its neighbours are
//! read.

use std::{collections::BTreeMap, io::Write as _};

const COLUMNS: [&str; 8] =
    ["url", "tags", "latitude", "longitude", "datetime", "camera_model", "callback", "retain_original_video"];
const HEAD: &str = "url,tags\nhttps://host.example/first.mp4,a\n";
const LAST: &str = "https://host.example/last.mp4,c\n";

/// What is expected of a file: good rows, and line and class of each fault; or words of the error that makes all of it unreadable.
pub(crate) type Verdict = Result<(usize, Vec<(u64, String)>), String>;
type Row = [String; COLUMNS.len()];

/// A kind of row: its name, the column and the value that differ from a good row, and the class of its fault.
fn kinds() -> Vec<(&'static str, &'static str, String, Option<&'static str>)> {
    let long = "x".repeat(201);
    let many = (0..21).map(|n| format!("t{n}")).collect::<Vec<_>>().join(";");
    let texts = [
        ("url_missing", "url", "", Some("url_empty")),
        ("url_relative", "url", "clips/1.mp4", Some("url_not_absolute")),
        ("url_ftp", "url", "ftp://bucket/clip.mp4", Some("url_scheme")),
        ("url_camera", "url", "rtsp://user:password@10.0.0.1/", Some("url_scheme")),
        ("url_password", "url", "https://user:password@host.example/a.mp4", Some("url_credentials")),
        ("url_no_host", "url", "https://", Some("url_no_host")),
        ("url_spaces", "url", " https://host.example/a b.mp4 ", None),
        ("url_idn", "url", "https://b\u{fc}cher.example/\u{fc}.mp4", None),
        ("url_dots", "url", "https://HOST.example:443/a/../b.mp4#t=3", None),
        ("tags_reserved", "tags", "telecine:1", Some("tag_reserved")),
        ("tags_json", "tags", "[\"a, b\", \"c\"]", None),
        ("tags_set", "tags", "{'a, b', 'it''s'}", None),
        ("tags_only_separators", "tags", " ; , | ", None),
        ("place_far", "latitude", "95", Some("coordinates_range")),
        ("place_word", "latitude", "north", Some("coordinates_number")),
        ("place_half", "longitude", "", Some("coordinates_pair")),
        ("place_axis", "latitude", "13E", Some("coordinates_axis")),
        ("place_nan", "latitude", "nan", Some("coordinates_pair")),
        ("place_comma", "latitude", "52,5", None),
        ("place_dms", "latitude", "52\u{b0}30'0\"N", None),
        ("date_either_way", "datetime", "01/02/2019", Some("datetime_ambiguous")),
        ("date_year", "datetime", "1987", Some("datetime_year")),
        ("date_impossible", "datetime", "2019-02-30", Some("datetime_impossible")),
        ("date_word", "datetime", "yesterday", Some("datetime_unknown")),
        ("date_epoch", "datetime", "1531754460", None),
        ("date_month", "datetime", "16 Jul 2018 17:21", None),
        ("date_offset", "datetime", "2015-10-21 00:00:00-04", None),
        ("callback_word", "callback", "me", Some("callback_url")),
        ("retain_perhaps", "retain_original_video", "perhaps", Some("boolean")),
    ];
    let mut kinds: Vec<_> =
        texts.into_iter().map(|(name, column, text, fault)| (name, column, text.to_owned(), fault)).collect();
    kinds.push(("tags_21", "tags", many, Some("tags_too_many")));
    kinds.push(("tags_long", "tags", long.clone(), Some("tag_too_long")));
    kinds.push(("camera_long", "camera_model", long, Some("text_too_long")));
    kinds
}

fn rows_of(kind: &str, column: &str, text: &str) -> Vec<Row> {
    let row = |name: &str| -> Row {
        let url = format!("https://host.example/{name}.mp4");
        [&url, "caf\u{e9};fog", "1.5", "-2.5", "2019-05-06 07:08:09", "", "", ""].map(str::to_owned)
    };
    let mut middle = row("middle");
    text.clone_into(&mut middle[COLUMNS.iter().position(|own| *own == column).unwrap()]);
    match kind {
        "place_comma" => "13,25".clone_into(&mut middle[3]),
        "place_dms" => "13\u{b0}15'W".clone_into(&mut middle[3]),
        _ => {}
    }
    vec![row("first"), middle, row("last")]
}

/// How a CSV file is written.
#[derive(Clone, Copy)]
struct Style {
    delimiter: char,
    line_end: &'static str,
    quotes_all: bool,
}

const COMMA: Style = Style { delimiter: ',', line_end: "\n", quotes_all: false };

fn csv(rows: &[Row], style: Style) -> String {
    let cell = |cell: &str| {
        let needs_quotes = cell.contains([style.delimiter, '"', '\n', '\r']);
        if style.quotes_all || needs_quotes {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let line = |cells: Vec<&str>| {
        let cells: Vec<String> = cells.into_iter().map(cell).collect();
        cells.join(&style.delimiter.to_string()) + style.line_end
    };
    let rows = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(COLUMNS.to_vec())).chain(rows).collect()
}

/// The rows as JSON objects, one member a line where they are `pretty`.
fn json(rows: &[Row], pretty: bool) -> Vec<String> {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let (start, between, end) = if pretty { ("\n ", ",\n ", "\n") } else { ("", ", ", "") };
    let object = |row: &Row| {
        let mut members: Vec<String> =
            COLUMNS.iter().zip(row).map(|(name, cell)| format!("{}: {}", text(name), text(cell))).collect();
        if pretty {
            members.sort_unstable();
        }
        format!("{{{start}{}{end}}}", members.join(between))
    };
    rows.iter().map(object).collect()
}

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes_of).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A shape: its name with the file's ending, the bytes of rows in it, and the line of the middle row.
type Shape = (&'static str, fn(&[Row]) -> Vec<u8>, u64);

const SHAPES: [Shape; 18] = [
    ("comma.csv", |rows| csv(rows, COMMA).into_bytes(), 3),
    (
        "semicolon_crlf.csv",
        |rows| csv(rows, Style { delimiter: ';', line_end: "\r\n", ..COMMA }).into_bytes(),
        3,
    ),
    ("tab.tsv", |rows| csv(rows, Style { delimiter: '\t', ..COMMA }).into_bytes(), 3),
    ("pipe.txt", |rows| csv(rows, Style { delimiter: '|', ..COMMA }).into_bytes(), 3),
    ("old_mac.csv", |rows| csv(rows, Style { line_end: "\r", ..COMMA }).into_bytes(), 3),
    ("all_quoted.csv", |rows| csv(rows, Style { quotes_all: true, ..COMMA }).into_bytes(), 3),
    ("bom_no_last_break.csv", |rows| format!("\u{feff}{}", csv(rows, COMMA).trim_end()).into_bytes(), 3),
    ("utf16le.csv", |rows| utf16(&csv(rows, COMMA), u16::to_le_bytes), 3),
    ("utf16be.csv", |rows| utf16(&csv(rows, COMMA), u16::to_be_bytes), 3),
    ("windows_1252.csv", |rows| encoding_rs::WINDOWS_1252.encode(&csv(rows, COMMA)).0.into_owned(), 3),
    ("gzip.csv.gz", |rows| gzip(csv(rows, COMMA).as_bytes()), 3),
    ("bzip2.bz2", |rows| bzip2(csv(rows, COMMA).as_bytes()), 3),
    ("xz.csv", |rows| liblzma::encode_all(csv(rows, COMMA).as_bytes(), 1).unwrap(), 3),
    ("blank_lines.csv", |rows| csv(rows, COMMA).replace('\n', "\n\n").into_bytes(), 5),
    ("json_lines.jsonl", |rows| (json(rows, false).join("\n") + "\n").into_bytes(), 2),
    ("json_array.json", |rows| format!("[\n{}\n]\n", json(rows, false).join(",\n")).into_bytes(), 3),
    ("json_one_line.json", |rows| format!("[{}]", json(rows, false).join(", ")).into_bytes(), 2),
    ("json_pretty.json", |rows| (json(rows, true).join("\n") + "\n").into_bytes(), 11),
];

/// A file whose structure is bad: its name, its text, its good rows, and line and class of its fault.
type Structure = (&'static str, String, usize, Option<(u64, &'static str)>);

fn structures() -> Vec<Structure> {
    let between = |middle: &str| format!("{HEAD}{middle}{LAST}");
    let row = |rest: &str| between(&format!("https://host.example/m.mp4{rest}\n"));
    let deep = format!("{}1{}", "{\"x\":".repeat(500), "}".repeat(500));
    let json = "{\"url\":\"https://h.example/1.mp4\"}\n";
    let json_last = "{\"url\":\"https://h.example/2.mp4\"}\n";
    vec![
        ("cell_too_many", row(",b,surplus"), 2, Some((3, "column_count"))),
        ("cell_too_few", row(""), 2, Some((3, "column_count"))),
        ("nul", row(",\0"), 2, Some((3, "nul_byte"))),
        ("cell_long", row(&format!(",{}", "y".repeat(65_537))), 2, Some((3, "cell_too_long"))),
        ("columns_300", row(&",x".repeat(300)), 2, Some((3, "column_count"))),
        ("columns_20000", row(&",x".repeat(20_000)), 2, Some((3, "too_many_columns"))),
        ("blank_cells", between(",\n"), 2, None),
        ("quote_open", row(",\"b"), 1, Some((3, "unterminated_quote"))),
        ("quote_open_at_the_end", format!("{HEAD}{LAST}\""), 2, Some((4, "unterminated_quote"))),
        (
            "quote_closes_in_another_row",
            between("https://host.example/m.mp4,\"b\nhttps://host.example/n.mp4,b\n\"c\"\n"),
            2,
            Some((3, "quote_swallows_rows")),
        ),
        ("line_break_inside", row(",\"b\nc\""), 3, None),
        ("quote_doubled", row(",\"say \"\"b\"\"\""), 3, None),
        ("json_line_broken", format!("{json}{{\"url\":\n{json_last}"), 2, Some((2, "json_syntax"))),
        ("json_line_number", format!("{json}7\n{json_last}"), 2, Some((2, "json_object"))),
        (
            "json_cut_off",
            "[{\"url\":\"https://h.example/1.mp4\"},\n{\"url\":\"https://h.exam".to_owned(),
            1,
            Some((2, "unterminated_json")),
        ),
        ("json_deep", format!("{{\"url\":\"https://h.example/1.mp4\",\"x\":{deep}}}\n"), 1, None),
        ("json_nul", format!("{json}{{\"url\":\"\\u0000\"}}\n"), 1, Some((2, "nul_byte"))),
        ("list", "# mine\nhttps://h.example/1.mp4\n\nhttps://h.example/2.mp4\n".to_owned(), 2, None),
    ]
}

/// Files that are no manifest at all: bytes, and words of the error.
fn errors() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("empty", Vec::new(), "the manifest is empty"),
        ("only_blank_lines", b"\n\r\n\n".to_vec(), "the manifest is empty"),
        ("no_url", b"name,tags\na,b\n".to_vec(), "no column is recognised as the url"),
        ("rows_without_header", b"https://host.example/a.mp4,x\n".to_vec(), "--no-header --map url=#1"),
        ("header_cut_off", b"url,\"tags".to_vec(), "the header line cannot be read"),
        ("binary", (0..=255).collect::<Vec<u8>>().repeat(8), ""),
        ("gzip_cut_off", gzip(HEAD.as_bytes())[..20].to_vec(), ""),
        ("zip", b"PK\x03\x04\x14\0\0\0\0\0".to_vec(), ".xlsx"),
        ("old_excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0".to_vec(), ".xls"),
        ("parquet", b"PAR1\0\0PAR1".to_vec(), "Parquet"),
        ("database", b"SQLite format 3\0\x10".to_vec(), "SQLite"),
        ("page", b"<!DOCTYPE html>\n<html>".to_vec(), "web page"),
    ]
}

/// Every file with what is expected of it.
pub(crate) fn corpus() -> BTreeMap<String, (Vec<u8>, Verdict)> {
    let mut files = BTreeMap::new();
    for (kind, column, text, fault) in kinds() {
        let rows = rows_of(kind, column, &text);
        for (shape, bytes_of, line) in SHAPES {
            let faults: Vec<_> = fault.map(|class| (line, class.to_owned())).into_iter().collect();
            let name = format!("{kind}-{shape}");
            files.insert(name, (bytes_of(&rows), Ok((3 - faults.len(), faults))));
        }
    }
    for (name, text, good, fault) in structures() {
        let faults = fault.map(|(line, class)| (line, class.to_owned())).into_iter().collect();
        files.insert(name.to_owned(), (text.into_bytes(), Ok((good, faults))));
    }
    // 0xff is in no UTF-8
    let broken =
        format!("{HEAD}https://host.example/\u{fc}.mp4,\u{fc}\nhttps://host.example/m.mp4,@\n{LAST}");
    let broken = broken.bytes().map(|byte| if byte == b'@' { 0xff } else { byte }).collect();
    files.insert("one_broken_letter".to_owned(), (broken, Ok((3, vec![(4, "not_utf8".to_owned())]))));
    for (name, bytes, words) in errors() {
        files.insert(name.to_owned(), (bytes, Err(words.to_owned())));
    }
    files
}
