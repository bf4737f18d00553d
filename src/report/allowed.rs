//! Videos that others put into the namespaces of a ledger, by the files that name them (`verify --allow`).

use std::{collections::HashSet, fs, path::Path};

use crate::{csv_injection, domain::VideoNo, error::Error};

/// The column with the numbers. telecine's own reports have the same one behind the prefix of their columns.
const COLUMN: &str = "video_no";

/// The numbers in a file: one a line, or a CSV with a column `video_no`. In lists, lines that begin with `#` are comments. An
/// error names the file and the line.
pub fn read_allowed(path: &Path) -> Result<HashSet<VideoNo>, Error> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Usage(format!("--allow: cannot read {shown} ({error}); check the path and its permissions"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let found = match column_of(text) {
        Some(column) => of_table(text, column),
        None => of_list(text),
    };
    found.map_err(|WrongLine { line, what }| {
        let what = crate::redact::opaque(&what);
        Error::Usage(format!(
            "--allow: {shown}:{line}: {what} is not a video number such as VI635229846249218048; write one number a line, or a CSV \
             with a column {COLUMN}"
        ))
    })
}

/// What the text has where a number must be.
struct WrongLine {
    line: u64,
    what: String,
}

/// The column of the numbers, if the first line is the header of a table.
fn column_of(text: &str) -> Option<usize> {
    let header =
        csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes()).headers().cloned().ok()?;
    header.iter().position(|name| {
        let name = name.trim().to_ascii_lowercase();
        name.strip_prefix(csv_injection::OWN_PREFIX).unwrap_or(&name) == COLUMN
    })
}

fn of_table(text: &str, column: usize) -> Result<HashSet<VideoNo>, WrongLine> {
    let mut numbers = HashSet::new();
    for record in csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes()).records() {
        let record = record.map_err(|error| WrongLine {
            line: error.position().map_or(1, csv::Position::line),
            what: error.to_string(),
        })?;
        let cell = record.get(column).unwrap_or_default().trim();
        // rows without a video have none
        if cell.is_empty() {
            continue;
        }
        let line = record.position().map_or(1, csv::Position::line);
        numbers.insert(number_of(cell, line)?);
    }
    Ok(numbers)
}

fn of_list(text: &str) -> Result<HashSet<VideoNo>, WrongLine> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    meant.map(|(number, line)| number_of(line, number)).collect()
}

fn number_of(text: &str, line: u64) -> Result<VideoNo, WrongLine> {
    VideoNo::parse(text).ok_or_else(|| WrongLine { line, what: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.txt");
        fs::write(&path, text).unwrap();
        let numbers = read_allowed(&path).map_err(|error| error.chain())?;
        let mut numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        numbers.sort();
        Ok(numbers)
    }

    #[test]
    fn a_list_and_a_table_of_numbers_are_read() {
        let both = ["VI0001".to_owned(), "VI0002".to_owned()];
        for text in [
            "VI0001\nVI0002\n",
            "\u{feff}# theirs\r\n\r\nVI0002\r\nVI0001\r\n",
            "video_no\nVI0001\nVI0002\n",
            "note,Video_No \n\"a,\nb\",VI0001\nc,\nd,VI0002\n",
            "url,telecine_video_no\nx,VI0001\ny,VI0002\n",
        ] {
            assert_eq!(read(text).as_deref(), Ok(&both[..]), "{text}");
        }
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_number_is_named_with_its_file_and_line() {
        for (text, line) in
            [("VI0001\nVI 2\n", 2), ("a,b\nVI0001,x\n", 1), ("note,video_no\n\"a\nb\",VI0001\nc,no!\n", 4)]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains(&format!("theirs.txt:{line}: ")) && error.contains("video_no"), "{error}");
        }
        let error = read_allowed(Path::new("none.txt")).unwrap_err().chain();
        assert!(error.contains("none.txt"), "{error}");
    }
}
