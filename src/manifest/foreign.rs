//! Files that are no manifest, whatever is in them: named by their first bytes, each with a way to CSV or JSON.

/// What a file is, and how to make a manifest of it.
pub(super) struct ForeignFormat {
    pub(super) what: &'static str,
    pub(super) fix: &'static str,
}

/// The beginning of a zip archive, which Excel workbooks are too.
const ZIP: &[u8] = b"PK\x03\x04";
/// What a tar archive has behind the name of its first file.
const TAR: &[u8] = b"ustar";
const TAR_AT: usize = 257;
const SAVE_AS: &str = "save the sheet as CSV UTF-8, or as .xlsx, and give that file";
/// What to do with an archive.
pub(super) const UNPACK: &str = "unpack it, and give the file that is in it";
/// What to do with a workbook of another kind.
pub(super) const SAVE_AS_CSV: &str = SAVE_AS;

const AN_XML_DOCUMENT: &str = "an XML document";
const EXPORT_OTHERWISE: &str = "export the records as CSV or JSON instead";

/// First bytes, what begins so, and what to do.
const KNOWN: &[(&[u8], &str, &str)] = &[
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or a password-protected Excel workbook (.xls)", SAVE_AS),
    (
        b"PAR1",
        "a Parquet file (.parquet)",
        "write it as CSV: duckdb -c \"COPY (FROM 'FILE.parquet') TO 'FILE.csv'\", or pandas.read_parquet(...).to_csv(...)",
    ),
    (
        b"SQLite format 3\0",
        "a SQLite database",
        "write the table as CSV: sqlite3 -header -csv FILE 'SELECT * FROM table' > table.csv",
    ),
    (b"ARROW1", "an Arrow file (.feather)", "write it as CSV: pandas.read_feather(...).to_csv(...)"),
    (
        b"Obj\x01",
        "an Avro file (.avro)",
        "write its records as JSON Lines: avro-tools tojson FILE > FILE.jsonl",
    ),
    (b"ORC", "an ORC file (.orc)", "write it as CSV: pandas.read_orc(...).to_csv(...)"),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"%PDF-", "a PDF document", "export its table as CSV"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"<?xml", AN_XML_DOCUMENT, EXPORT_OTHERWISE),
    (
        b"<!doctype html",
        "a web page, and no table",
        "download the file itself; a page may ask to log in first",
    ),
    (b"<html", "a web page, and no table", "download the file itself; a page may ask to log in first"),
];

/// The format of a file that begins so, when it is known and no text.
pub(super) fn known(head: &[u8]) -> Option<ForeignFormat> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = head.trim_ascii_start();
    if text.starts_with(b"#EXTM3U") && memchr::memmem::find(text, b"#EXT-X-").is_some() {
        let fix = "write the address of the playlist itself into a row; its parts are no videos";
        return Some(ForeignFormat { what: "an HLS playlist (.m3u8), which is one video", fix });
    }
    let begins = |start: &[u8]| {
        let is_markup = start.starts_with(b"<");
        let own = if is_markup { text } else { head };
        own.get(..start.len()).is_some_and(|own| own == start || is_markup && own.eq_ignore_ascii_case(start))
    };
    let is_binary =
        |start: &[u8]| start != b"ORC" || head.get(3).is_some_and(|byte| !byte.is_ascii_graphic());
    if head.get(TAR_AT..TAR_AT + TAR.len()).is_some_and(|own| own == TAR) {
        return Some(ForeignFormat { what: "a tar archive", fix: UNPACK });
    }
    KNOWN
        .iter()
        .find(|(start, ..)| begins(start) && is_binary(start))
        .map(|(_, what, fix)| ForeignFormat { what, fix })
        .or_else(|| of_text(&String::from_utf8_lossy(text.get(..TEXT_MAX).unwrap_or(text))))
}

/// This much shows what a text is, in bytes.
const TEXT_MAX: usize = 1024;

/// Texts that hold records in a form that is not read.
fn of_text(text: &str) -> Option<ForeignFormat> {
    let of = |what, fix| Some(ForeignFormat { what, fix });
    if is_markup(text) {
        return of(AN_XML_DOCUMENT, EXPORT_OTHERWISE);
    }
    if is_script(text) {
        return of(
            "a script with JSON in it (JSONP, or the value of a variable)",
            "keep the JSON alone: sed -e '1s/^[^[{]*//' -e '$s/[^]}]*$//' FILE > FILE.json",
        );
    }
    if [")]}'", "for(;;);", "for (;;);", "while(1);", "while (1);"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return of(
            "JSON behind a line that keeps browsers from running it",
            "remove what is before the first [ or { of the JSON",
        );
    }
    let key = text.strip_prefix("{'").and_then(|text| text.split_once('\''));
    if key.is_some_and(|(_, rest)| rest.trim_start().starts_with(':')) {
        return of("objects as Python shows them", "write them as JSON (Python: json.dump)");
    }
    let lower = text.to_ascii_lowercase();
    let starts = ["insert into ", "create table ", "drop table ", "-- mysql dump", "--\n-- postgresql"];
    if starts.iter().any(|start| lower.starts_with(start)) {
        return of("an SQL script", "load it into a database, and export the table as CSV");
    }
    let first = text.lines().next().unwrap_or_default().trim_end();
    let key = first.strip_prefix("- ").and_then(|item| item.split_once(':'));
    let is_key = |(key, rest): (&str, &str)| {
        (rest.is_empty() || rest.starts_with(' '))
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if first == "---" || key.is_some_and(is_key) {
        return of("a YAML document", "write it as JSON: yq -o=json FILE > FILE.json");
    }
    None
}

/// Whether a text begins with an element or a comment of XML. Links of HTML may be the cells of a table.
fn is_markup(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('<') else { return false };
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).unwrap_or(rest.len());
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
            && !name.ends_with(':')
    };
    rest.starts_with("!--")
        || end < rest.len() && is_name(&rest[..end]) && !["a", "iframe"].contains(&&rest[..end])
}

/// Whether a text is a call or an assignment of JavaScript whose value is JSON: `callback([{`, `window.data = [`.
fn is_script(text: &str) -> bool {
    let text = text.strip_prefix("/**/").unwrap_or(text).trim_start();
    let text = ["var ", "let ", "const "].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '.')).unwrap_or(0);
    let value = text[end..].trim_start().strip_prefix(['(', '=']);
    let is_named = end > 0 && !text.starts_with(|c: char| c.is_ascii_digit());
    is_named && value.is_some_and(|value| value.trim_start().starts_with(['[', '{']))
}

/// Whether a file that begins so is a zip archive.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(ZIP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tar_archive_is_named_by_what_follows_its_first_name() {
        let head = [&[b'a'; TAR_AT][..], b"ustar\0"].concat();
        assert_eq!(known(&head).map(|format| format.what), Some("a tar archive"));
        assert!(known(&[b'a'; 300]).is_none());
    }

    #[test]
    fn a_file_that_is_no_text_is_named_by_its_first_bytes() {
        for (head, what) in [
            (&b"PAR1\0\0"[..], Some("Parquet")),
            (b"SQLite format 3\0", Some("SQLite")),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", Some(".xls")),
            (b"\xef\xbb\xbf\n<!DOCTYPE HTML>", Some("web page")),
            (b"ORC\x0a\x0b", Some("ORC")),
            (b"ORCHID,url\n", None),
            (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nhttps://h/0.ts\n", Some("HLS playlist")),
            (b"#EXTM3U\n#EXTINF:9,Dune\nhttps://h/a.mp4\n", None),
            (b"url,tags\n", None),
            (b"<rss version=\"2.0\"><channel/></rss>", Some("XML")),
            (b"\n<!-- export -->\n<videos/>", Some("XML")),
            (b"<media:group>\n</media:group>", Some("XML")),
            (b"<a href=\"https://h/a.mp4\">Watch</a>,fog\n", None),
            (b"<https://h/a.mp4>\n<https://h/b.mp4>\n", None),
            (b"<b\n", Some("XML")),
            (b"callback([{\"url\":\"https://h/a.mp4\"}]);", Some("script")),
            (b"/**/ jQuery_1.cb( {\"url\":1})", Some("script")),
            (b"window.YTD.tweets.part0 = [ {", Some("script")),
            (b"var videos=[{", Some("script")),
            (b"title (unit),url\n", None),
            (b"size(=bytes),url\n", None),
            (b")]}',\n[[1]]", Some("JSON behind")),
            (b"for (;;);{\"a\":1}", Some("JSON behind")),
            (b"INSERT INTO videos VALUES (1)", Some("SQL")),
            (b"Insert,url\n", None),
            (b"- url: https://h/a.mp4\n", Some("YAML")),
            (b"---\nurl: x\n", Some("YAML")),
            (b"- note,url\n", None),
            (b"{'url': 'https://h/a.mp4'}", Some("Python")),
            (b"{'a', 'b'},x", None),
        ] {
            let found = known(head).map(|format| format.what);
            assert_eq!(found.is_some(), what.is_some(), "{head:?}");
            assert!(found.zip(what).is_none_or(|(found, what)| found.contains(what)), "{head:?}: {found:?}");
        }
    }
}
