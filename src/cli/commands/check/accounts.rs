//! Whose rows the manifests hold, where a rule maps the account.

use std::{fmt::Write as _, sync::PoisonError};

use super::findings::Shared;
use crate::{
    app::accounts::{AccountRows, count_rows},
    cli::{accounts::Accounts, args::ManifestArgs, output::show_unassigned},
    error::{Error, ExitCode},
    report::{Severity, with_separators},
};

/// Counts the rows of each account in a reading of its own. `None`: the rows are not for several accounts.
pub(super) fn rows_of(
    args: &ManifestArgs,
    accounts: &Accounts,
    findings: &Shared,
) -> Result<Option<AccountRows>, Error> {
    if !args.has_accounts() {
        return Ok(None);
    }
    accounts.check(args)?;
    let mut manifests = args.open_alone(true)?;
    let paths: Vec<String> = manifests.iter().map(|manifest| manifest.path().to_owned()).collect();
    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = count_rows(&mut manifests, &accounts.known, |at, row| {
        let Some(findings) = findings.as_mut() else { return Ok(()) };
        // what cannot be read at all is a finding of the check itself
        let own = row.problems.iter().filter(|problem| problem.class.starts_with("account_"));
        own.into_iter()
            .try_for_each(|problem| findings.problem(&paths[at], row.line, Severity::Invalid, problem))
    })?;
    Ok(Some(rows))
}

/// The exit code with rows that are for no account.
pub(super) fn exit_code_with(code: ExitCode, rows: Option<&AccountRows>) -> ExitCode {
    let Some(rows) = rows.filter(|rows| rows.unassigned.rows > 0) else { return code };
    let own = if rows.accounts.is_empty() { ExitCode::ManifestInvalid } else { ExitCode::SomeFailed };
    ExitCode::worst([code, own])
}

pub(super) fn show(rows: Option<&AccountRows>) -> String {
    let Some(rows) = rows else { return String::new() };
    let mut text = "\n  rows of each account:\n".to_owned();
    for (account, rows) in &rows.accounts {
        let _ = writeln!(text, "  {:>9} {account}", with_separators(*rows));
    }
    text + &show_unassigned(&rows.unassigned)
}
