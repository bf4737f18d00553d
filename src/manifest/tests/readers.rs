//! Files whose shape misleads: each is read as it is meant, or refused with the way to say it.

use std::io::{Cursor, Write as _};

use super::*;

fn problems(spec: &ManifestSpec) -> Vec<(u64, Option<String>)> {
    let class = |error: RowError| error.problems.into_iter().next().unwrap().class;
    let mut manifest = Manifest::open(spec).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = manifest.next().unwrap() {
        rows.push(match row {
            Ok(row) => (row.line, None),
            Err(error) => (error.line, Some(class(error))),
        });
    }
    rows
}

fn found(spec: &ManifestSpec) -> String {
    Manifest::open(spec).unwrap().found().join(" / ")
}

fn refused(spec: &ManifestSpec) -> String {
    Manifest::open(spec).err().unwrap().to_string()
}

fn mapped(spec: ManifestSpec, rules: &[&str]) -> ManifestSpec {
    ManifestSpec { map: rules.iter().map(|rule| rule.parse().unwrap()).collect(), ..spec }
}

#[test]
fn rows_inside_a_quoted_cell_are_refused_and_named() {
    let shelf = Shelf::new();
    let text = "url,title,tags\nhttps://h/a,\"open,x\nhttps://h/b,harbour,y\nhttps://h/c,\"live\",z\nhttps://h/d,night,w\n";
    let spec = shelf.put(text.as_bytes());
    assert_eq!(problems(&spec), [(2, Some("quote_swallows_rows".to_owned())), (5, None)]);
    let problem = only_problem(&spec);
    assert!(problem.message.contains("lines 3 to 4"), "{}", problem.message);
    let description = "url,about\nhttps://h/a,\"First line, with a comma\nhttps://h/more is a link\nend\"\n";
    assert_eq!(problems(&shelf.put(description.as_bytes())), [(2, None)]);
    let header = refused(&shelf.put(b"url,\"title\nhttps://h/a,x\nhttps://h/b,\"y\n"));
    assert!(header.contains("a quote that opens in title closes in another line"), "{header}");
}

#[test]
fn blanks_before_quotes_do_not_cut_cells() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"\"url\", \"tags\"\n\"https://h/a\", \"x, y\"\n\"https://h/b\", \"z\"\n");
    spec.rules.tag_separator = TagSeparator::Only("|".to_owned());
    let rows = read(&spec);
    assert_eq!(rows[0].as_ref().unwrap().submission.tags, ["x, y"]);
    assert_eq!(rows[1].as_ref().unwrap().line, 3);
    assert!(found(&spec).contains("blanks before quotes"));
}

#[test]
fn excels_line_with_the_delimiter_is_no_header() {
    let shelf = Shelf::new();
    let spec = shelf.put(b"\xef\xbb\xbfsep=;\r\nurl;tags\r\nhttps://h/a;x, y\r\n");
    assert_eq!(problems(&spec), [(3, None)]);
    assert!(found(&spec).contains("names the delimiter ;"));
    let again = ManifestSpec { dialect: Dialect { lines_before: 1, ..Dialect::default() }, ..spec };
    assert_eq!(problems(&again), [(3, None)], "a header line that is named is the same");
}

#[test]
fn a_backslash_before_quotes_is_proposed_where_it_makes_rows_as_wide_as_the_header() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,title\nhttps://h/a,\"plain\"\nhttps://h/b,\"ends with \\\", and more\"\n");
    assert!(found(&spec).contains("--escape"));
    assert!(problems(&spec)[1].1.is_some(), "it is proposed, and not assumed");
    spec.dialect.escape = Some(b'\\');
    assert_eq!(problems(&spec), [(2, None), (3, None)]);
    assert!(!found(&spec).contains("--escape"));
}

#[test]
fn a_short_row_is_refused_unless_it_is_to_be_padded() {
    let shelf = Shelf::new();
    let mut spec = shelf.put(b"url,tags,date\nhttps://h/a,x\nhttps://h/b,x,2020-01-02,\n");
    let problem = only_problem(&spec);
    assert!(
        problem.message.contains("fewer cells") && problem.fix.contains("--pad-short-rows"),
        "{problem:?}"
    );
    spec.dialect.pads_short_rows = true;
    assert_eq!(problems(&spec), [(2, None), (3, Some("column_count".to_owned()))]);
}

#[test]
fn a_long_cell_is_an_error_only_where_it_feeds_a_field() {
    let shelf = Shelf::new();
    let long = "x".repeat(70_000);
    let text = format!("url,note,tags\nhttps://h/a,{long},x\nhttps://h/b,y,{long}\n");
    assert_eq!(problems(&shelf.put(text.as_bytes())), [(2, None), (3, Some("cell_too_long".to_owned()))]);
}

#[test]
fn a_header_of_thousands_of_columns_is_read() {
    let shelf = Shelf::new();
    let names: Vec<String> = (0..5_000).map(|n| format!("c{n}")).collect();
    let text = format!("url,{}\nhttps://h/a{}\n", names.join(","), ",1".repeat(5_000));
    assert_eq!(problems(&shelf.put(text.as_bytes())), [(2, None)]);
}

#[test]
fn a_guess_at_an_encoding_is_shown() {
    let shelf = Shelf::new();
    let text = "url,tags\nhttps://h/a,\u{43c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{438} \u{43f}\u{43e}\u{434}\u{43c}\u{43e}\u{441}\u{43a}\u{43e}\u{432}\u{44c}\u{435}\n";
    let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(text);
    let spec = shelf.put(&bytes);
    assert!(found(&spec).contains("windows-1251 (a guess"), "{}", found(&spec));
    assert!(read(&spec)[0].as_ref().unwrap().submission.tags[0].starts_with('\u{43c}'));
}

#[test]
fn tags_may_be_objects_or_lists_with_gaps() {
    let shelf = Shelf::new();
    let text = "{\"url\":\"https://h/a\",\"tags\":[{\"name\":\"fog\"},{\"name\":\"night\"}]}\n\
                {\"url\":\"https://h/b\",\"tags\":{\"0\":\"rain\",\"2\":\"ice\"}}\n\
                {\"url\":\"https://h/c\",\"tags\":\"snow\",\"subjects\":[{\"@value\":\"hail\"}]}\n";
    let tags = |spec: &ManifestSpec| -> Vec<String> {
        read(spec).into_iter().map(|row| row.unwrap().submission.tags.join("+")).collect()
    };
    let spec = shelf.put(text.as_bytes());
    assert_eq!(tags(&spec), ["fog+night", "rain+ice", "snow"]);
    assert_eq!(tags(&mapped(spec, &["tags=subjects[].@value"])), ["", "", "hail"]);
}

#[test]
fn addresses_in_one_record_are_rows_only_where_a_rule_says_so() {
    let shelf = Shelf::new();
    let text = "{\"urls\":[\"https://h/a\",\"https://h/b\"],\"hd\":\"https://h/c\",\"sd\":\"https://h/d\",\"tags\":[\"x\"]}\n";
    let spec = shelf.put(text.as_bytes());
    assert!(Manifest::open(&spec).is_err());
    for (rule, expected) in
        [("url=urls[]", ["https://h/a", "https://h/b"]), ("url=hd[]+sd[]", ["https://h/c", "https://h/d"])]
    {
        let spec = mapped(spec.clone(), &[rule]);
        assert_eq!(urls(&spec), expected);
        assert!(read(&spec).iter().all(|row| row.as_ref().unwrap().submission.tags == ["x"]));
    }
}

#[test]
fn a_record_whose_values_are_records_is_not_one_row() {
    let shelf = Shelf::new();
    let text = "{\"a\":{\"url\":\"https://h/a\",\"tags\":\"x\"},\"b\":{\"url\":\"https://h/b\",\"tags\":\"y\"}}\n\
                {\"a\":{\"url\":\"https://h/c\",\"tags\":\"x\"},\"b\":{\"url\":\"https://h/d\",\"tags\":\"y\"}}\n";
    let spec = shelf.put(text.as_bytes());
    let why = refused(&spec);
    assert!(why.contains("a.url and b.url") && why.contains("--map url=a.url"), "{why}");
    assert_eq!(urls(&mapped(spec, &["url=b.url"])), ["https://h/b", "https://h/d"]);
    let other = "{\"media\":{\"url\":\"https://h/a\",\"size\":1},\"user\":{\"url\":\"https://h/u\",\"name\":\"x\",\"id\":1}}\n";
    assert_eq!(urls(&shelf.put(other.as_bytes())), ["https://h/a"]);
}

#[test]
fn what_stands_beside_the_records_of_a_file_feeds_no_row_unless_a_rule_names_it() {
    let shelf = Shelf::new();
    let text = "{\"date\":\"2024-01-02\",\"camera\":\"X\",\"items\":[{\"url\":\"https://h/a\"},{\"url\":\"https://h/b\"}]}";
    let spec = shelf.put(text.as_bytes());
    let of = |spec: &ManifestSpec| {
        let sent = read(spec).remove(1).unwrap().submission;
        (sent.datetime_taken, sent.camera_model)
    };
    assert_eq!(of(&spec), (None, None));
    assert_eq!(of(&mapped(spec, &["camera_model=camera"])), (None, Some("X".to_owned())));
}

#[test]
fn a_column_is_found_by_its_name_within_the_records_of_a_file() {
    let shelf = Shelf::new();
    let text =
        "{\"items\":[{\"link2\":\"https://h/a\",\"about\":{\"topic\":\"fog\"}},{\"link2\":\"https://h/b\"}]}";
    let spec = mapped(shelf.put(text.as_bytes()), &["url=link2", "tags=about.topic"]);
    assert_eq!(urls(&spec), ["https://h/a", "https://h/b"]);
}

fn is_at(row: &ManifestRow, latitude: f64, longitude: f64) -> bool {
    row.submission.coordinates == Some(crate::domain::Coordinates { latitude, longitude })
}

/// A workbook with these sheets, each of them the XML of its rows.
fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    workbook_with_links(sheets, &[])
}

/// The same, with a link behind each of these cells of the first sheet.
fn workbook_with_links(sheets: &[(&str, &str)], links: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut put = |name: &str, text: &str| {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let types = "http://schemas.openxmlformats.org/package/2006/relationships";
    put("[Content_Types].xml", "<Types/>");
    let start =
        format!("<Relationship Id=\"rId1\" Type=\"{relations}/officeDocument\" Target=\"xl/workbook.xml\"/>");
    put("_rels/.rels", &format!("<Relationships xmlns=\"{types}\">{start}</Relationships>"));
    let all = |each: &dyn Fn(usize, &str) -> String| -> String {
        sheets.iter().enumerate().map(|(at, (name, _))| each(at + 1, name)).collect()
    };
    let listed = all(&|id, name| format!("<sheet name=\"{name}\" sheetId=\"{id}\" r:id=\"rId{id}\"/>"));
    put(
        "xl/workbook.xml",
        &format!("<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheets>{listed}</sheets></workbook>"),
    );
    let sheets_listed = all(&|id, _| {
        format!(
            "<Relationship Id=\"rId{id}\" Type=\"{relations}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>"
        )
    });
    put(
        "xl/_rels/workbook.xml.rels",
        &format!("<Relationships xmlns=\"{types}\">{sheets_listed}</Relationships>"),
    );
    let formats = "<cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"22\"/></cellXfs>";
    put("xl/styles.xml", &format!("<styleSheet xmlns=\"{main}\">{formats}</styleSheet>"));
    let linked = |each: &dyn Fn(usize, &(&str, &str)) -> String| -> String {
        links.iter().enumerate().map(|(at, link)| each(at, link)).collect()
    };
    let places = linked(&|at, (place, _)| format!("<hyperlink ref=\"{place}\" r:id=\"link{at}\"/>"));
    let targets = linked(&|at, (_, target)| {
        format!(
            "<Relationship Id=\"link{at}\" Type=\"{relations}/hyperlink\" Target=\"{target}\" TargetMode=\"External\"/>"
        )
    });
    put(
        "xl/worksheets/_rels/sheet1.xml.rels",
        &format!("<Relationships xmlns=\"{types}\">{targets}</Relationships>"),
    );
    for (at, (_, rows)) in sheets.iter().enumerate() {
        let places = if at > 0 || links.is_empty() {
            String::new()
        } else {
            format!("<hyperlinks>{places}</hyperlinks>")
        };
        let sheet = format!(
            "<worksheet xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheetData>{rows}</sheetData>{places}</worksheet>"
        );
        put(&format!("xl/worksheets/sheet{}.xml", at + 1), &sheet);
    }
    zip.finish().unwrap().into_inner()
}

/// A row of a worksheet: texts, and numbers where a cell is one; `@` before a number is a date.
fn sheet_row(line: u32, cells: &[&str]) -> String {
    let cell = |(at, cell): (usize, &&str)| {
        let place = format!("{}{line}", char::from(b'A' + u8::try_from(at).unwrap()));
        match (cell.strip_prefix('@'), cell.parse::<f64>()) {
            _ if cell.is_empty() => String::new(),
            (Some(date), _) => format!("<c r=\"{place}\" s=\"1\"><v>{date}</v></c>"),
            (None, Ok(_)) => format!("<c r=\"{place}\"><v>{cell}</v></c>"),
            (None, Err(_)) => format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
        }
    };
    format!("<row r=\"{line}\">{}</row>", cells.iter().enumerate().map(cell).collect::<String>())
}

#[test]
fn a_worksheet_is_read_with_its_dates_and_its_empty_cells() {
    let shelf = Shelf::new();
    let rows = [
        sheet_row(1, &["url", "date", "lat", "lon", "id"]),
        sheet_row(2, &["https://h/a", "@43297.6395833333", "52.5", "13.25", "20"]),
        sheet_row(3, &["", "", "", "", ""]),
        sheet_row(5, &["https://h/b", "@43297"]),
    ];
    let spec = shelf.put(&workbook(&[("Videos", &rows.concat()), ("Notes", &sheet_row(1, &["no"]))]));
    let rows: Vec<ManifestRow> = read(&spec).into_iter().map(Result::unwrap).collect();
    let date = |row: &ManifestRow| row.submission.datetime_taken.clone().unwrap();
    assert_eq!((rows[0].line, date(&rows[0]).as_str()), (2, "2018-07-16 15:21:00"));
    assert_eq!((rows[1].line, date(&rows[1]).as_str()), (5, "2018-07-16 00:00:00"));
    assert_eq!(rows[0].external_id.as_deref(), Some("20"), "a whole number has no point");
    assert!(is_at(&rows[0], 52.5, 13.25));
    assert_eq!(rows[1].cells, ["https://h/b", "2018-07-16", "", "", ""]);
    assert!(found(&spec).contains("its sheet Videos (--sheet names another: Videos, Notes)"));
    let mut other = spec;
    other.dialect.sheet = Some("Clips".to_owned());
    let why = refused(&other);
    assert!(why.contains("without a sheet Clips") && why.contains("Videos, Notes"), "{why}");
    other.dialect.sheet = Some("Notes".to_owned());
    assert!(refused(&other).contains("no column is recognised as the url"));
}

#[test]
fn an_address_behind_a_cell_of_a_worksheet_is_read() {
    let shelf = Shelf::new();
    let formula = |line: u32, formula: &str| {
        format!("<row r=\"{line}\"><c r=\"A{line}\" t=\"str\"><f>{formula}</f><v>Watch</v></c></row>")
    };
    let rows = [
        sheet_row(1, &["Link", "Title"]),
        sheet_row(2, &["Watch", "Dune walk"]),
        sheet_row(3, &["https://h/b", "Harbour"]),
        formula(4, "HYPERLINK(&quot;https://h/c&quot;,&quot;Watch&quot;)"),
        formula(5, "HYPERLINK(B3,&quot;Watch&quot;)"),
    ];
    let links = [("A2", "https://h/a"), ("A3", "https://h/old"), ("B2", "mailto:me@h")];
    let spec = shelf.put(&workbook_with_links(&[("S", &rows.concat())], &links));
    let read = read(&spec);
    let urls: Vec<Option<&str>> =
        read.iter().map(|row| row.as_ref().ok().map(|row| row.submission.url.as_str())).collect();
    assert_eq!(urls, [Some("https://h/a"), Some("https://h/b"), Some("https://h/c"), None]);
    let cells = &read[0].as_ref().unwrap().cells;
    assert_eq!(cells, &["Watch", "Dune walk", "https://h/a"], "the text of the cell stays");
    let found = found(&spec);
    assert!(found.contains("see Link (link)") && found.contains("1 cells of Link have links"), "{found}");
    let mut headless = spec;
    headless.header = Header::Absent;
    headless.map = vec!["url=#3".parse().unwrap()];
    assert!(matches!(&super::read(&headless)[1], Ok(row) if row.submission.url.as_str() == "https://h/a"));
    let plain = shelf.put(&workbook_with_links(
        &[("S", &[sheet_row(1, &["url"]), sheet_row(2, &["https://h/a"])].concat())],
        &[("A2", "https://h/a")],
    ));
    assert_eq!(Manifest::open(&plain).unwrap().column_names(), ["url"], "such a link says nothing new");
}

#[test]
fn a_workbook_that_unpacks_to_too_much_is_refused() {
    let shelf = Shelf::new();
    let spec = shelf.put(&workbook(&[("S", &" ".repeat(70 * 1024 * 1024))]));
    let why = refused(&spec);
    assert!(why.contains("unpacks to more than"), "{why}");
}

#[test]
fn a_file_that_is_no_text_is_named_with_the_way_to_csv() {
    let shelf = Shelf::new();
    let zip = |name: &str| {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in [name, "mimetype"] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    for (bytes, words) in [
        (zip("list.csv"), "a zip archive; unpack it"),
        (zip("content.xml"), "OpenDocument file (.ods); save the sheet as CSV"),
        (zip("xl/workbook.bin"), "(.xlsb); save the sheet as CSV"),
        (b"PK\x03\x04\0\0".to_vec(), "(.xlsx) that cannot be read"),
        (b"PAR1\0\0PAR1".to_vec(), "Parquet file (.parquet); write it as CSV"),
    ] {
        let why = refused(&shelf.put(&bytes));
        assert!(why.contains(words), "{why}");
    }
}
