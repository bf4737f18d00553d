//! A comparison of the service with the ledger, to be handed on: JSON, CSV and text.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{
    Compared, ReportFile, SCHEMA,
    files::{self, Pending},
    text::with_separators,
};
use crate::{
    error::{Error, ExitCode},
    item::UnixMillis,
    ledger::{FindingKind, Parity},
    spreadsheet,
};

/// Every namespace of a ledger compared with the service.
#[derive(Clone, Debug)]
pub struct ParityReport {
    /// The service.
    pub service: String,
    /// When.
    pub at: UnixMillis,
    /// The namespaces.
    pub parities: Vec<Parity>,
}

/// Writes `parity.json` and `parity.csv` into `folder`, which is made.
pub fn write_parity(report: &ParityReport, folder: &Path) -> Result<Vec<ReportFile>, Error> {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: u32,
        service: &'a str,
        compared_at: String,
        namespaces: Vec<Compared>,
        findings: Vec<&'a Parity>,
    }
    files::make_folder(folder)?;
    let whole = Whole {
        schema: SCHEMA,
        service: &report.service,
        compared_at: report.at.to_string(),
        namespaces: report.parities.iter().map(Compared::from).collect(),
        findings: report.parities.iter().collect(),
    };
    let path = folder.join("parity.json");
    let mut text = serde_json::to_vec_pretty(&whole).map_err(|fault| files::fault(&path, fault.into()))?;
    text.push(b'\n');
    let mut file = Pending::create(&path)?;
    file.write_all(&text)?;
    file.publish()?;
    let json = ReportFile { path, rows: report.parities.len() as u64 };
    Ok(vec![json, write_csv(report, folder)?])
}

fn write_csv(report: &ParityReport, folder: &Path) -> Result<ReportFile, Error> {
    let path = folder.join("parity.csv");
    let mut writer = csv::Writer::from_writer(Pending::create(&path)?);
    let fault = |fault: csv::Error| files::fault(&path, fault.into());
    writer.write_record(["finding", "namespace", "video_no", "item", "url", "detail"]).map_err(fault)?;
    let mut rows = 0;
    for parity in &report.parities {
        for finding in &parity.findings {
            let item = finding.item.map(|item| item.to_string()).unwrap_or_default();
            let record = [
                finding.kind.word(),
                &parity.namespace,
                finding.video_no.as_ref().map_or("", |number| number.as_str()),
                &item,
                finding.url.as_deref().unwrap_or_default(),
                finding.detail.as_deref().unwrap_or_default(),
            ];
            writer.write_record(record.map(|cell| spreadsheet::defuse(cell).into_owned())).map_err(fault)?;
            rows += 1;
        }
    }
    let pending = writer.into_inner().map_err(|fault| files::fault(&path, fault.into_error()))?;
    pending.publish()?;
    Ok(ReportFile { path, rows })
}

/// For people.
#[must_use]
pub fn show_parity(report: &ParityReport, files: &[ReportFile], verdict: &str) -> String {
    let mut text = format!("{} compared with the ledger, {}\n", report.service, report.at);
    for parity in &report.parities {
        let _ = writeln!(text, "\n  namespace {}", parity.namespace);
        let lines = [
            (parity.listed, "videos at the service"),
            (parity.bound, "items with a video in the ledger"),
            (parity.matched, "listed and in the ledger: they agree"),
        ];
        let findings = FindingKind::ALL.iter().map(|kind| (parity.count(*kind), kind.meaning()));
        for (count, what) in lines.into_iter().chain(findings.filter(|(count, _)| *count > 0)) {
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

/// What a recovery came to, for people.
#[must_use]
pub fn show_recovery(lines: &[(u64, &'static str)], code: ExitCode, reason: &str) -> String {
    let mut text = String::new();
    for (count, what) in lines {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(*count));
    }
    let _ = writeln!(text, "\n  exit {}: {reason}", code.number());
    text
}
