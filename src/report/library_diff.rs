//! The report of a comparison of the service with the ledger: JSON, CSV and text.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{
    Compared, ReportFile, SCHEMA,
    files::{self, Pending},
    text::with_separators,
};
use crate::{
    csv_injection,
    domain::UnixMillis,
    error::{Error, ExitCode},
    ledger::{DiffKind, LibraryDiff},
};

/// Every namespace of a ledger compared with the service.
#[derive(Clone, Debug)]
pub struct LibraryDiffReport {
    /// The service.
    pub service: String,
    /// When.
    pub at: UnixMillis,
    /// The namespaces.
    pub library_diffs: Vec<LibraryDiff>,
}

/// Writes `library_diff.json` and `library_diff.csv` into `folder`, which is made.
pub fn write_library_diff(report: &LibraryDiffReport, folder: &Path) -> Result<Vec<ReportFile>, Error> {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: u32,
        service: &'a str,
        compared_at: String,
        namespaces: Vec<Compared>,
        findings: Vec<&'a LibraryDiff>,
    }
    files::make_folder(folder)?;
    let whole = Whole {
        schema: SCHEMA,
        service: &report.service,
        compared_at: report.at.to_string(),
        namespaces: report.library_diffs.iter().map(Compared::from).collect(),
        findings: report.library_diffs.iter().collect(),
    };
    let path = folder.join("library_diff.json");
    let mut text = serde_json::to_vec_pretty(&whole).map_err(|error| files::error(&path, error.into()))?;
    text.push(b'\n');
    let mut file = Pending::create(&path)?;
    file.write_all(&text)?;
    file.publish()?;
    let json = ReportFile { path, rows: report.library_diffs.len() as u64 };
    Ok(vec![json, write_csv(report, folder)?])
}

fn write_csv(report: &LibraryDiffReport, folder: &Path) -> Result<ReportFile, Error> {
    let path = folder.join("library_diff.csv");
    let mut writer = csv::Writer::from_writer(Pending::create(&path)?);
    let error = |error: csv::Error| files::error(&path, error.into());
    writer.write_record(["finding", "namespace", "video_no", "item", "url", "detail"]).map_err(error)?;
    let mut rows = 0;
    for library_diff in &report.library_diffs {
        for finding in &library_diff.findings {
            let item = finding.item.map(|item| item.to_string()).unwrap_or_default();
            let record = [
                finding.kind.as_str(),
                &library_diff.namespace,
                finding.video_no.as_ref().map_or("", |number| number.as_str()),
                &item,
                finding.url.as_deref().unwrap_or_default(),
                finding.detail.as_deref().unwrap_or_default(),
            ];
            writer
                .write_record(record.map(|cell| csv_injection::escape(cell).into_owned()))
                .map_err(error)?;
            rows += 1;
        }
    }
    let pending = writer.into_inner().map_err(|error| files::error(&path, error.into_error()))?;
    pending.publish()?;
    Ok(ReportFile { path, rows })
}

/// For people.
#[must_use]
pub fn show_library_diff(report: &LibraryDiffReport, files: &[ReportFile], verdict: &str) -> String {
    let mut text = format!("{} compared with the ledger, {}\n", report.service, report.at);
    for library_diff in &report.library_diffs {
        let _ = writeln!(text, "\n  namespace {}", library_diff.namespace);
        // where every namespace lists the whole account, nothing is said about this one
        let matched = match library_diff.shared_with {
            Some(_) => "listed and in the ledger, perhaps of another namespace",
            None => "listed and in the ledger",
        };
        let lines = [
            (library_diff.listed, noun(library_diff.listed, "video at the service", "videos at the service")),
            (
                library_diff.bound,
                noun(
                    library_diff.bound,
                    "item with a video in the ledger",
                    "items with a video in the ledger",
                ),
            ),
            (library_diff.matched, matched),
        ];
        let allowed = (library_diff.allowed, "of others, named by --allow");
        let findings = DiffKind::ALL.iter().map(|kind| (library_diff.count(*kind), kind.meaning()));
        let shown_singly =
            (library_diff.shown_singly, "in the ledger, shown by the service by the number and not listed");
        let more = [shown_singly, allowed].into_iter().chain(findings).filter(|(count, _)| *count > 0);
        for (count, what) in lines.into_iter().chain(more) {
            let _ = writeln!(text, "  {:>11} {what}", with_separators(count));
        }
    }
    let _ = writeln!(text);
    for file in files {
        let _ = writeln!(text, "  {}", file.path.display());
    }
    let _ = writeln!(text, "\n  {verdict}");
    text
}

const fn noun(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// The result of a recovery, as text.
#[must_use]
pub fn show_recovery(lines: &[(u64, &'static str)], code: ExitCode, reason: &str) -> String {
    let mut text = String::new();
    for (count, what) in lines {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(*count));
    }
    let _ = writeln!(text, "\n  exit {}: {reason}", code.number());
    text
}
