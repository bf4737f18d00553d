//! Which reports to keep, in the manner of restic: the latest ones, and the latest one of each day and week.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::civil::DateTime;

/// The time in the name of a report's folder: `20260131T120000Z-4711`, or `20260131T120000Z-4711.main` of an account.
const NAME_TIME: &str = "%Y%m%dT%H%M%S";
/// Its length in a name.
const NAME_TIME_LEN: usize = 15;
/// The endings of the files of a report. A folder with another file is not removed.
const ENDINGS: &[&str] = &["csv", "json", "html", "part"];

/// How many reports to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepPolicy {
    /// At most this many of the latest.
    pub last: u32,
    /// The latest of each day, for at most this many days that have one.
    pub daily: u32,
    /// The latest of each week, for at most this many weeks that have one.
    pub weekly: u32,
}

/// A report, and why it is kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct KeptReport {
    /// Its folder.
    pub path: PathBuf,
    /// `last`, `daily`, `weekly`, or what is in the folder beside a report. Empty: it is removed.
    pub kept_for: Vec<String>,
    #[serde(skip)]
    at: DateTime,
    /// The account of an import for several. Empty: none.
    #[serde(skip)]
    account: String,
}

/// The reports below a folder, the latest first, and which of them a policy keeps of each account. Times are those of the names, in UTC.
pub fn plan_prune(reports: &Path, policy: KeepPolicy) -> io::Result<Vec<KeptReport>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(reports)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // a link to a folder is no folder of ours
        if entry.file_type()?.is_dir()
            && let Some(at) = time_of(&name)
        {
            let account = name.split_once('.').map_or_else(String::new, |(_, account)| account.to_owned());
            found.push(KeptReport { path: entry.path(), kept_for: Vec::new(), at, account });
        }
    }
    found.sort_by(|one, other| (other.at, &other.path).cmp(&(one.at, &one.path)));
    let accounts: BTreeSet<String> = found.iter().map(|report| report.account.clone()).collect();
    for account in accounts {
        apply(found.iter_mut().filter(|report| report.account == account), policy);
    }
    for report in found.iter_mut().filter(|report| report.kept_for.is_empty()) {
        if let Some(other) = foreign_file(&report.path)? {
            report.kept_for.push(format!("{other} is not a file of a report"));
        }
    }
    Ok(found)
}

/// Removes the reports that are kept for nothing.
pub fn prune(reports: &[KeptReport]) -> io::Result<()> {
    for report in reports.iter().filter(|report| report.kept_for.is_empty()) {
        for entry in fs::read_dir(&report.path)? {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_dir(&report.path)?;
    }
    Ok(())
}

fn time_of(name: &str) -> Option<DateTime> {
    let (time, process) = name.split_once("Z-")?;
    let (process, _account) = process.split_once('.').unwrap_or((process, ""));
    let is_process = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
    let time = time.get(..NAME_TIME_LEN).filter(|_| is_process)?;
    DateTime::strptime(NAME_TIME, time).ok()
}

/// A file that no report has.
fn foreign_file(folder: &Path) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !entry.file_type()?.is_file() || !ENDINGS.contains(&ending.as_str()) {
            return Ok(Some(crate::redact::clean(&entry.file_name().to_string_lossy())));
        }
    }
    Ok(None)
}

/// Says what each report is kept for. They are sorted, the latest first.
fn apply<'a>(reports: impl Iterator<Item = &'a mut KeptReport>, policy: KeepPolicy) {
    let (mut days, mut weeks) = (BTreeSet::new(), BTreeSet::new());
    for (number, report) in reports.enumerate() {
        let date = report.at.date();
        let week = date.iso_week_date();
        let is_last = number < policy.last as usize;
        let is_daily = days.len() < policy.daily as usize && days.insert(date);
        let is_weekly = weeks.len() < policy.weekly as usize && weeks.insert((week.year(), week.week()));
        let reasons = [(is_last, "last"), (is_daily, "daily"), (is_weekly, "weekly")];
        report.kept_for =
            reasons.iter().filter(|(holds, _)| *holds).map(|(_, reason)| (*reason).to_owned()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reports_and_those_of_each_day_and_week_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "20260110T010000Z-1",
            "20260110T020000Z-1",
            "20260109T020000Z-1",
            "20260108T020000123Z-1",
            "20260103T020000Z-1",
            "20251220T020000Z-1",
            // an account of an import for several
            "20260109T030000Z-1.main",
            "20260109T010000Z-1.main",
            "my-notes",
            "20260101T020000Z-x",
        ];
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("report.json"), "{}").unwrap();
        }
        let kept = |policy| -> Vec<(String, String)> {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            let plan = plan_prune(folder.path(), policy).unwrap();
            plan.iter().map(|report| (name(&report.path), report.kept_for.join(","))).collect()
        };
        let own = |kept: &[(&str, &str)]| -> Vec<(String, String)> {
            kept.iter().map(|(name, reasons)| ((*name).to_owned(), (*reasons).to_owned())).collect()
        };
        assert_eq!(
            kept(KeepPolicy { last: 1, daily: 2, weekly: 2 }),
            own(&[
                ("20260110T020000Z-1", "last,daily,weekly"),
                ("20260110T010000Z-1", ""),
                ("20260109T030000Z-1.main", "last,daily,weekly"),
                ("20260109T020000Z-1", "daily"),
                ("20260109T010000Z-1.main", ""),
                ("20260108T020000123Z-1", ""),
                ("20260103T020000Z-1", "weekly"),
                ("20251220T020000Z-1", ""),
            ])
        );
        fs::write(folder.path().join("20251220T020000Z-1/letter.txt"), "keep me").unwrap();
        let plan = plan_prune(folder.path(), KeepPolicy { last: 1, ..KeepPolicy::default() }).unwrap();
        prune(&plan).unwrap();
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "20251220T020000Z-1",
                "20260101T020000Z-x",
                "20260109T030000Z-1.main",
                "20260110T020000Z-1",
                "my-notes",
            ],
            "what is no report stays"
        );
    }
}
