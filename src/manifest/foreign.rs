//! Files that are no text: named by their first bytes, each with a way to CSV.

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
    (b"<?xml", "an XML document", "export the records as CSV or JSON instead"),
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
        ] {
            let found = known(head).map(|format| format.what);
            assert_eq!(found.is_some(), what.is_some(), "{head:?}");
            assert!(found.zip(what).is_none_or(|(found, what)| found.contains(what)), "{head:?}: {found:?}");
        }
    }
}
