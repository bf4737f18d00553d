//! Worksheets of Excel workbooks.

use std::io::{Cursor, Write as _};

use super::*;

/// A workbook with these sheets, each of them the XML of its rows.
fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    workbook_of(&Parts { sheets, ..Parts::default() })
}

/// The same, with a link behind each of these cells of the first sheet.
fn workbook_with_links(sheets: &[(&str, &str)], links: &[(&str, &str)]) -> Vec<u8> {
    workbook_of(&Parts { sheets, links, ..Parts::default() })
}

/// What a workbook is made of.
#[derive(Default)]
struct Parts<'a> {
    /// Names and rows.
    sheets: &'a [(&'a str, &'a str)],
    /// Cells of the first sheet, and the addresses behind them.
    links: &'a [(&'a str, &'a str)],
    /// Behind the rows of the first sheet.
    behind_rows: &'a str,
    /// In the workbook itself.
    properties: &'a str,
    /// Number formats of its own.
    formats: &'a str,
}

fn workbook_of(parts: &Parts<'_>) -> Vec<u8> {
    let Parts { sheets, links, behind_rows, properties, formats } = *parts;
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
        &format!(
            "<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\">{properties}<sheets>{listed}</sheets></workbook>"
        ),
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
    let used = "<cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"22\"/><xf numFmtId=\"164\"/></cellXfs>";
    put("xl/styles.xml", &format!("<styleSheet xmlns=\"{main}\">{formats}{used}</styleSheet>"));
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
        let behind_rows = match at {
            0 if links.is_empty() => behind_rows.to_owned(),
            0 => format!("{behind_rows}<hyperlinks>{places}</hyperlinks>"),
            _ => String::new(),
        };
        let sheet = format!(
            "<worksheet xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheetData>{rows}</sheetData>{behind_rows}</worksheet>"
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
    let why = refused(&other);
    assert!(why.contains("no column is recognised as the url") && why.contains("its sheet Notes"), "{why}");
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
fn what_a_worksheet_shows_otherwise_than_its_cells_are_read_is_said() {
    let shelf = Shelf::new();
    let plain =
        [sheet_row(1, &["url", "site"]), sheet_row(2, &["https://h/a", "S"]), sheet_row(3, &["https://h/b"])];
    let hidden = [&plain[0], "<row hidden=\"1\" r=\"2\">", &plain[1][13..], &plain[2]].concat();
    let without_result =
        format!("{}{}", plain[0], plain[1].replace("</row>", "<c r=\"C2\"><f>A1+1</f><v></v></c></row>"));
    let merged = "<mergeCells count=\"2\"><mergeCell ref=\"A1:B1\"/><mergeCell ref=\"B2:B3\"/></mergeCells>";
    let notices = |rows: &str, behind_rows: &str| {
        let sheets = &[("S", rows)];
        found(&shelf.put(&workbook_of(&Parts { sheets, behind_rows, ..Parts::default() })))
    };
    assert_eq!(notices(&plain.concat(), ""), "an Excel workbook, its sheet S");
    assert!(notices(&hidden, "").contains("hidden rows of the sheet S (1) are read"));
    let without = "formulas of the sheet S without a stored result (1) are read as empty";
    assert!(notices(&without_result, "").contains(without));
    assert!(notices(&plain.concat(), merged).contains("(column 2 in rows 2 to 3)"));
}

#[test]
fn what_another_worksheet_shows_is_not_said() {
    let shelf = Shelf::new();
    let plain = [sheet_row(1, &["no"]), sheet_row(2, &["7"])].concat();
    let odd = "<row hidden=\"1\" r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>no</t></is></c></row><row r=\"2\">\
               <c r=\"A2\" s=\"2\"><v>123</v></c><c r=\"B2\"><f>A1+1</f><v></v></c></row>";
    let formats = "<numFmts><numFmt numFmtId=\"164\" formatCode=\"00000\"/></numFmts>";
    let parts = Parts { sheets: &[("Plain", &plain), ("Odd", odd)], formats, ..Parts::default() };
    let mut spec = shelf.put(&workbook_of(&parts));
    spec.map = vec!["url=https://h/{no}.mp4".parse().unwrap()];
    assert_eq!(found(&spec), "an Excel workbook, its sheet Plain (--sheet names another: Plain, Odd)");
    spec.dialect.sheet = Some("Odd".to_owned());
    let found = found(&spec);
    for said in
        ["rows of the sheet Odd (1)", "formulas of the sheet Odd without", "the sheet Odd shows with zeros"]
    {
        assert!(found.contains(said), "{said}: {found}");
    }
}

#[test]
fn a_format_of_texts_leaves_the_dates_of_a_worksheet_as_they_are() {
    let shelf = Shelf::new();
    let rows = [
        sheet_row(1, &["url", "date"]),
        sheet_row(2, &["https://h/a", "@43591"]),
        sheet_row(3, &["https://h/b", "06/05/2019"]),
        sheet_row(4, &["https://h/c", "13/05/2019 07:08"]),
    ];
    let mut spec = shelf.put(&workbook(&[("Videos", &rows.concat())]));
    spec.rules.dates.formats = vec![DateFormat::DayFirst];
    let dates = |spec: &ManifestSpec| -> Vec<String> {
        read(spec).into_iter().map(|row| row.unwrap().submission.datetime_taken.unwrap()).collect()
    };
    assert_eq!(dates(&spec), ["2019-05-06 00:00:00", "2019-05-06 00:00:00", "2019-05-13 07:08:00"]);
    let typed = "<row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>https://h/a</t></is></c><c r=\"B2\" t=\"d\"><v>2019-05-06T07:08:09</v></c></row>";
    spec.path = shelf.put(&workbook(&[("Videos", &[&rows[0], typed].concat())])).path;
    assert_eq!(dates(&spec), ["2019-05-06 07:08:09"]);
    let rejects = b"\xef\xbb\xbftelecine_manifest,telecine_line,url,date\nm.xlsx,2,https://h/a,2019-05-06\nm.xlsx,3,https://h/b,06/05/2019\n";
    spec.path = shelf.put(rejects).path;
    assert_eq!(dates(&spec), ["2019-05-06 00:00:00"; 2], "in a file of a report, too");
}

#[test]
fn a_workbook_that_counts_from_1904_says_so_itself() {
    let shelf = Shelf::new();
    let rows = [
        sheet_row(1, &["url", "date"]),
        sheet_row(2, &["https://h/a", "@42129"]),
        sheet_row(3, &["https://h/b", "42129"]),
    ];
    let rows = rows.concat();
    let properties = "<workbookPr date1904=\"1\"/>";
    let parts = Parts { sheets: &[("S", &rows)], properties, ..Parts::default() };
    let mut spec = shelf.put(&workbook_of(&parts));
    spec.rules.dates.formats = vec!["excel".parse().unwrap(), "%Y-%m-%d".parse().unwrap()];
    let dates: Vec<String> =
        read(&spec).into_iter().map(|row| row.unwrap().submission.datetime_taken.unwrap()).collect();
    assert_eq!(dates, ["2019-05-06 00:00:00", "2019-05-06 00:00:00"]);
}

#[test]
fn days_are_counted_as_the_workbook_of_their_column_counts_them() {
    let shelf = Shelf::new();
    let rows = [sheet_row(1, &["clip", "date"]), sheet_row(2, &["a", "42129"])].concat();
    let book = |properties: &str| {
        let parts = Parts { sheets: &[("S", &rows)], properties, ..Parts::default() };
        let path = shelf.0.path().join(format!("{}.xlsx", properties.len()));
        std::fs::write(&path, workbook_of(&parts)).unwrap();
        path.display().to_string()
    };
    let (old, new) = (book("<workbookPr date1904=\"1\"/>"), book(""));
    let with_excel = |mut spec: ManifestSpec| {
        spec.rules.dates.formats = vec!["excel".parse().unwrap()];
        spec
    };
    let date = |spec: &ManifestSpec| read(spec).remove(0).unwrap().submission.datetime_taken.unwrap();
    // a second file
    let spec = with_excel(shelf.put(b"url,clip\nhttps://h/a,a\n"));
    let joined =
        |path: &str| ManifestSpec { joins: vec![format!("{path}:clip").parse().unwrap()], ..spec.clone() };
    assert_eq!(date(&joined(&old)), "2019-05-06 00:00:00");
    assert_eq!(date(&joined(&new)), "2015-05-05 00:00:00");
    assert!(found(&joined(&old)).contains("xlsx: an Excel workbook, its sheet S"));
    // rows that telecine wrote keep the numbers of the files that they come from
    let own = |sources: &[&str]| {
        let rows: Vec<String> =
            sources.iter().map(|source| format!("https://h/a,42129,{source},2")).collect();
        let text = format!("url,date,telecine_manifest,telecine_line\n{}\n", rows.join("\n"));
        with_excel(shelf.put(text.as_bytes()))
    };
    assert_eq!(date(&own(&[&old])), "2019-05-06 00:00:00");
    assert_eq!(date(&own(&[&new])), "2015-05-05 00:00:00");
    assert_eq!(date(&own(&["gone.xlsx"])), "2015-05-05 00:00:00");
    assert!(refused(&own(&[&old, &new])).contains("from 1900 and from 1904"));
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

#[test]
fn zeros_that_a_worksheet_only_shows_are_said_to_be_missing() {
    let shelf = Shelf::new();
    let rows = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c></row><row r="2"><c r="A2" s="2"><v>123</v></c></row>"#;
    for (id, code, is_said) in [("164", "0000000", true), ("165", "0000000", false), ("164", "0.00", false)] {
        let formats = format!("<numFmts><numFmt numFmtId=\"{id}\" formatCode=\"{code}\"/></numFmts>");
        let parts = Parts { sheets: &[("S", rows)], formats: &formats, ..Parts::default() };
        let mut spec = shelf.put(&workbook_of(&parts));
        spec.map = vec!["url=https://h/{no}.mp4".parse().unwrap()];
        assert_eq!(found(&spec).contains("with zeros before them (0000000)"), is_said, "{id} {code}");
    }
}
