//! What the program prints: text, JSON, and the progress of a run. Nothing outside `cli` prints.

pub(in crate::cli) mod json;
mod live;
pub(in crate::cli) mod progress;
mod queued;
pub(in crate::cli) mod rows;
pub(in crate::cli) mod runs;
pub(in crate::cli) mod scan;
pub(in crate::cli) mod service_manager;
pub(in crate::cli) mod sinks;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    os::fd::AsFd,
};

pub(in crate::cli) use json::{CommandEnd, NoFields, end_line, print_end, print_json};

use crate::{
    app::accounts::Unassigned,
    domain::Problem,
    error::Error,
    report::{counted, with_separators},
};

/// Prints a text for people to stdout. On a terminal its lines are broken between words.
pub(in crate::cli) fn print(text: &str) -> Result<(), Error> {
    print_data(&fitted(text, &io::stdout()))
}

/// Prints to stdout as it is: for programs, and for what is copied. A reader that went away is no error.
pub(in crate::cli) fn print_data(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(Error::Output),
    }
}

/// A text for a stream: on a terminal its lines are broken between words, as wide as that is. A command at the end of a line is
/// left whole: it could not be pasted otherwise.
pub(in crate::cli) fn fitted<T: io::IsTerminal + AsFd>(text: &str, stream: &T) -> String {
    if !stream.is_terminal() {
        return text.to_owned();
    }
    let width = live::width_of(stream);
    let lines: Vec<String> = text.split('\n').map(|line| fit(line, width)).collect();
    lines.join("\n")
}

fn fit(line: &str, width: usize) -> String {
    match line.find(": telecine ") {
        Some(at) if line.chars().count() > width => {
            format!("{}\n  {}", live::wrapped(&line[..=at], width), line[at + 1..].trim_start())
        }
        _ => live::wrapped(line, width),
    }
}

/// A text of any length, safe for a terminal.
pub(in crate::cli) fn safe(text: &str) -> String {
    // each character by itself: a long text is not cut
    text.chars().map(|c| crate::redact::clean(c.encode_utf8(&mut [0; 4]))).collect()
}

/// The rows that are for no account, and the first of them. Nothing, if there are none.
pub(in crate::cli) fn show_unassigned(unassigned: &Unassigned) -> String {
    let mut text = String::new();
    if unassigned.rows > 0 {
        let rows = counted(unassigned.rows, "row is", "rows are");
        let _ = writeln!(text, "\n  {rows} for no account of the settings:");
    }
    for example in &unassigned.first {
        let _ = writeln!(text, "  {}", show_problem(&example.path, example.line, &example.problem));
    }
    let more = unassigned.rows.saturating_sub(unassigned.first.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  … and {} more", with_separators(more));
    }
    text
}

/// `m.csv:12:3 url: the scheme is none of http, https, s3, gs and az (ftp://…); give an http(s) link`.
pub(in crate::cli) fn show_problem(path: &str, line: u64, problem: &Problem) -> String {
    let mut text = format!("{path}:{line}");
    if problem.column_number > 0 {
        let _ = write!(text, ":{} {}", problem.column_number, crate::redact::clean(&problem.column));
    }
    let _ = write!(text, ": {}", problem.message);
    if !problem.value.is_empty() {
        let _ = write!(text, " ({})", problem.value);
    }
    let _ = write!(text, "; {}", problem.fix);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_safe_for_a_terminal_and_whole() {
        let text = format!("{}\u{1b}[2J\u{202e}é", "x".repeat(500));
        assert_eq!(safe(&text), format!("{}?[2J?é", "x".repeat(500)));
    }

    #[test]
    fn a_line_is_broken_between_words_and_a_command_is_left_whole() {
        let line =
            "telecine: 1,204 of 5,000 rows wait; resume it: telecine recover 'a b.csv' --ledger /x/l.db";
        let lines: Vec<String> = fit(line, 40).lines().map(str::to_owned).collect();
        assert_eq!(lines[..2], ["telecine: 1,204 of 5,000 rows wait;", "resume it:"]);
        assert_eq!(lines[2], "  telecine recover 'a b.csv' --ledger /x/l.db");
        assert_eq!(fit("short: telecine status", 40), "short: telecine status");
    }
}
