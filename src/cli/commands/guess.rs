//! `telecine guess`: proposes how to read an unknown file, and writes that as settings.

use std::{fmt::Write as _, fs::OpenOptions, io::Write as _, path::PathBuf};

use clap::Args;
use serde::Serialize;

use crate::{
    app::preview::{self, PreviewRow},
    cli::{
        args::ManifestArgs,
        output::{CommandEnd, print, print_end, rows::show_row, safe},
    },
    domain::counted,
    error::{Error, ExitCode},
    manifest::{self, Format, GeoOrder, Header, Inference, Manifest, ManifestSpec, Quote},
    report::SCHEMA,
};

/// Rows shown as they would be sent.
const ROWS_SHOWN: usize = 3;

/// Flags of `telecine guess`.
#[derive(Args, Debug)]
pub(in crate::cli) struct GuessArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// Write the proposal as settings into this file, which must not be there yet [default with the flag: telecine.toml].
    #[arg(long, value_name = "FILE", env = "TELECINE_WRITE", num_args = 0..=1, default_missing_value = "telecine.toml")]
    write: Option<PathBuf>,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,
}

/// For programs.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct Guessed<'a> {
    schema: u32,
    manifest: &'a str,
    found: &'a [String],
    rows_looked_at: usize,
    proposals: Vec<Proposed<'a>>,
    settings: Vec<String>,
    notes: Vec<String>,
    command: String,
    examples: Vec<PreviewRow>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Proposed<'a> {
    rule: String,
    confidence: u32,
    why: &'a str,
}

/// Proposes a mapping.
pub(in crate::cli) fn guess(args: &GuessArgs) -> Result<ExitCode, Error> {
    let specs = args.manifest.specs_alone(args.json)?;
    let [spec] = &specs[..] else {
        return Err(Error::Usage("guess reads one file at a time".to_owned()));
    };
    let infer = manifest::infer(spec)?;
    let applied = infer.apply(spec);
    let settings = settings(&args.manifest, &infer, &applied);
    let mut notes = infer.notes.clone();
    let (examples, problem) = match Manifest::open(&applied) {
        Ok(mut manifest) => (preview::rows(&mut manifest, 1, ROWS_SHOWN)?, None),
        Err(error) => (Vec::new(), Some(Error::from(error).chain())),
    };
    notes.extend(problem);
    let command = command(&spec.path, &settings);
    let has_url = infer.has_url(spec);
    let written = args.write.as_ref().filter(|_| has_url);
    if let Some(path) = written {
        write(path, &spec.path, &settings)?;
    } else if args.write.is_some() {
        notes.push("nothing was written: no column holds the addresses of videos".to_owned());
    }
    let is_usable = examples.iter().any(|row| row.problems.is_empty());
    if args.json {
        let code = if is_usable { ExitCode::Success } else { ExitCode::ManifestInvalid };
        print_end(
            &CommandEnd::of(code),
            &Guessed {
                schema: SCHEMA,
                manifest: &spec.path,
                found: &infer.found,
                rows_looked_at: infer.rows,
                proposals: proposals(&infer),
                settings: settings.iter().map(GuessedFlag::toml).collect(),
                notes,
                command,
                examples,
            },
        )?;
    } else {
        let mut text = show_guess(spec, &infer, &notes);
        for row in &examples {
            text.push_str(&show_row(row));
        }
        match written {
            Some(path) => {
                let _ = writeln!(
                    text,
                    "\n  written to {}; next: telecine check {}",
                    path.display(),
                    quoted(&spec.path)
                );
            }
            None => {
                let _ = writeln!(text, "\n  next: {command}");
            }
        }
        print(&text)?;
    }
    Ok(if is_usable { ExitCode::Success } else { ExitCode::ManifestInvalid })
}

fn proposals(infer: &Inference) -> Vec<Proposed<'_>> {
    let rule = |proposal: &'_ manifest::Proposal| proposal.rule.to_string();
    infer
        .proposals
        .iter()
        .map(|proposal| Proposed {
            rule: rule(proposal),
            confidence: proposal.confidence,
            why: &proposal.why,
        })
        .collect()
}

fn show_guess(spec: &ManifestSpec, infer: &Inference, notes: &[String]) -> String {
    let mut text = format!("{}: ", spec.path);
    let shape = match (infer.format, infer.delimiter) {
        (Format::Json, _) => "JSON".to_owned(),
        (Format::List, _) => "a list of addresses".to_owned(),
        (Format::Xlsx, _) => "a worksheet".to_owned(),
        (Format::Csv, Some(b'\t')) => "cells separated by tabs".to_owned(),
        (Format::Csv, delimiter) => format!("cells separated by '{}'", char::from(delimiter.unwrap_or(b','))),
    };
    let header = match (infer.format, infer.header) {
        (Format::Json | Format::List, _) => String::new(),
        (Format::Csv | Format::Xlsx, Header::Absent) => "; no header".to_owned(),
        (Format::Csv | Format::Xlsx, Header::Present) => {
            format!("; header on line {}", infer.lines_before + 1)
        }
    };
    let _ = writeln!(text, "{shape}{header}; {} read", counted(infer.rows as u64, "row", "rows"));
    for found in &infer.found {
        let _ = writeln!(text, "  {found}");
    }
    let _ = writeln!(text);
    for proposal in &infer.proposals {
        let rule = crate::redact::clean(&proposal.rule.to_string());
        let _ = writeln!(text, "  {:>3} %  {rule:<40}  {}", proposal.confidence, proposal.why);
    }
    for note in notes {
        let _ = writeln!(text, "\n  {note}");
    }
    text
}

/// Flags that may be given many times.
const MANY: &[&str] = &["map", "tag", "where", "join", "date-format", "include", "exclude"];

/// One flag and its values.
struct GuessedFlag {
    flag: &'static str,
    values: Vec<String>,
    is_switch: bool,
}

impl GuessedFlag {
    fn toml(&self) -> String {
        let text = |value: &String| toml_text(value);
        match &self.values[..] {
            _ if self.is_switch => format!("{} = true", self.flag),
            [value] if !MANY.contains(&self.flag) => format!("{} = {}", self.flag, text(value)),
            values => {
                let lines: Vec<String> = values.iter().map(|value| format!("  {},\n", text(value))).collect();
                format!("{} = [\n{}]", self.flag, lines.concat())
            }
        }
    }

    fn words(&self) -> String {
        if self.is_switch {
            return format!(" --{}", self.flag);
        }
        self.values.iter().fold(String::new(), |mut words, value| {
            let _ = write!(words, " --{} {}", self.flag, quoted(value));
            words
        })
    }
}

/// What the flags say, and what is guessed beside it.
fn settings(args: &ManifestArgs, infer: &Inference, applied: &ManifestSpec) -> Vec<GuessedFlag> {
    let mut settings = args.settings();
    let mut guessed = |flag: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|_| settings.iter().all(|(known, _)| *known != flag)) {
            settings.push((flag, vec![value]));
        }
    };
    guessed("header-line", (infer.lines_before > 0).then(|| (infer.lines_before + 1).to_string()));
    let first_line_misleads = infer.lines_before > 0;
    guessed("delimiter", infer.delimiter.filter(|_| first_line_misleads).map(delimiter_word));
    let is_csv = infer.format == Format::Csv;
    guessed("escape", infer.escape.filter(|_| is_csv).map(|escape| char::from(escape).to_string()));
    guessed(
        "quote",
        match infer.quote {
            Quote::Byte(b'"') => None,
            Quote::Byte(quote) => Some(char::from(quote).to_string()),
            Quote::None => Some("none".to_owned()),
        },
    );
    guessed("tag-separator", infer.tag_separator.map(String::from));
    guessed("geo-order", (infer.geo_order == GeoOrder::LonLat).then(|| "lon-lat".to_owned()));
    if !applied.map.is_empty() {
        settings.push(("map", applied.map.iter().map(ToString::to_string).collect()));
    }
    let is_headless = infer.format == Format::Csv && infer.header == Header::Absent;
    let switch =
        is_headless.then_some(GuessedFlag { flag: "no-header", values: Vec::new(), is_switch: true });
    let texts = settings.into_iter().map(|(flag, values)| GuessedFlag { flag, values, is_switch: false });
    switch.into_iter().chain(texts).collect()
}

fn delimiter_word(delimiter: u8) -> String {
    if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() }
}

fn command(path: &str, settings: &[GuessedFlag]) -> String {
    let words: String = settings.iter().map(GuessedFlag::words).collect();
    format!("telecine check {}{words}", quoted(path))
}

/// A word as a shell takes it.
fn quoted(as_str: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+,:@%".contains(c);
    if !as_str.is_empty() && as_str.chars().all(is_plain) {
        as_str.to_owned()
    } else {
        format!("'{}'", safe(as_str).replace('\'', "'\\''"))
    }
}

/// A text as TOML takes it.
fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn write(path: &PathBuf, manifest: &str, settings: &[GuessedFlag]) -> Result<(), Error> {
    let lines: Vec<String> = settings.iter().map(|setting| format!("{}\n", setting.toml())).collect();
    let text = format!(
        "# how to read {}: proposed by telecine guess\n[manifest.{}]\n{}",
        safe(manifest),
        toml_text(manifest),
        lines.concat()
    );
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let what = if error.kind() == std::io::ErrorKind::AlreadyExists {
            "it exists already; name another file, or remove it".to_owned()
        } else {
            error.to_string()
        };
        Error::Usage(format!("--write {}: {what}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_reads_back_as_it_was_meant() {
        let setting =
            GuessedFlag { flag: "map", values: vec!["tags=\"x\"+'it''s\\'".to_owned()], is_switch: false };
        assert_eq!(setting.toml(), "map = [\n  \"tags=\\\"x\\\"+'it''s\\\\'\",\n]");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("tags=#1+#2"), "'tags=#1+#2'");
    }
}
