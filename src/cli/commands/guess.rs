//! `telecine guess`: proposes how to read an unknown file, and writes that as settings.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

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
    manifest::{self, Format, GeoOrder, Header, Inference, Manifest, ManifestError, ManifestSpec, Quote},
    report::SCHEMA,
    settings::{AddedSection, add_section},
};

/// Rows shown as they would be sent.
const ROWS_SHOWN: usize = 3;

/// Flags of `telecine guess`.
#[derive(Args, Debug)]
pub(in crate::cli) struct GuessArgs {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// Add the proposal as a table [manifest."FILE"] to these settings [default with the flag: telecine.toml].
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
        Err(ManifestError::NoUrlColumn { .. }) => {
            (Vec::new(), Some("no column is recognised as the url; name it: --map url=COLUMN".to_owned()))
        }
        Err(error) => (Vec::new(), Some(Error::from(error).chain())),
    };
    notes.extend(problem);
    let has_url = infer.has_url(spec);
    let missing = if has_url { "" } else { " --map url=COLUMN" };
    let command = command(&spec.path, &settings) + missing;
    let written = match &args.write {
        Some(path) if has_url => write(path, &spec.path, &settings)?,
        Some(_) => {
            notes.push("nothing was written: no column holds the addresses of videos".to_owned());
            ProposalFile::NotAsked
        }
        None => ProposalFile::NotAsked,
    };
    let is_usable = examples.iter().any(|row| row.problems.is_empty());
    let end = match &written {
        ProposalFile::Refused(reason) => CommandEnd::failed(ExitCode::Usage, reason.clone()),
        ProposalFile::NotAsked | ProposalFile::Written(_) if is_usable => CommandEnd::of(ExitCode::Success),
        ProposalFile::NotAsked | ProposalFile::Written(_) => CommandEnd::of(ExitCode::ManifestInvalid),
    };
    if args.json {
        print_end(
            &end,
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
        let next = match &written {
            ProposalFile::Written(path) => {
                format!("written to {}; next: telecine check {}", path.display(), quoted(&spec.path))
            }
            ProposalFile::NotAsked | ProposalFile::Refused(_) => format!("next: {command}"),
        };
        let _ = writeln!(text, "\n  {next}");
        print(&text)?;
        if let ProposalFile::Refused(reason) = written {
            return Err(Error::Usage(reason));
        }
    }
    Ok(end.exit_code)
}

/// What became of `--write`.
enum ProposalFile<'a> {
    /// It was not given, or there is nothing to write.
    NotAsked,
    Written(&'a Path),
    /// The settings say how to read the file already.
    Refused(String),
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

fn write<'a>(path: &'a Path, manifest: &str, settings: &[GuessedFlag]) -> Result<ProposalFile<'a>, Error> {
    let lines: Vec<String> = settings.iter().map(|setting| format!("{}\n", setting.toml())).collect();
    let section = format!(
        "# how to read {}: proposed by telecine guess\n[manifest.{}]\n{}",
        safe(manifest),
        toml_text(manifest),
        lines.concat()
    );
    Ok(match add_section(path, manifest, &section)? {
        AddedSection::Added => ProposalFile::Written(path),
        AddedSection::Known { origin, name } => ProposalFile::Refused(format!(
            "--write: nothing was written: {origin} says how to read {}, in [manifest.\"{name}\"]; change that table, or remove it \
             and run the command again",
            safe(manifest)
        )),
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
