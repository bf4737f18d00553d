//! Why rows ended as they did, grouped, each group with the command that lists its rows.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::with_separators;
use crate::{
    domain::State,
    error::Error,
    ledger::{ReasonCount, RunId, Snapshot},
};

/// The states whose reasons are counted.
const STATES: &[State] = &[State::Failed, State::Rejected, State::InDoubt, State::NeedsReview];
/// Reasons in `report.json` at most.
const REASONS_MAX: usize = 50;
/// Reasons in the text at most.
const SHOWN_MAX: usize = 5;
/// A longer reason is sought by its beginning, in characters.
const SOUGHT_MAX: usize = 100;

/// Items of the run that have one state for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reason {
    pub state: &'static str,
    /// The cause without addresses and long numbers, so that alike causes count as one.
    pub reason: String,
    pub count: u64,
    /// The command that lists these items.
    pub command: String,
}

/// The reasons of a run, the most frequent first. `flags` select the ledger where it is not the default one.
pub(super) fn of_run(snapshot: &Snapshot, run: RunId, name: &str, flags: &str) -> Result<Vec<Reason>, Error> {
    let counts = snapshot.reasons_of_run(run, STATES)?;
    Ok(counts.into_iter().take(REASONS_MAX).map(|count| reason(count, name, flags)).collect())
}

fn reason(ReasonCount { state, reason, count }: ReasonCount, run: &str, flags: &str) -> Reason {
    let sought: String = reason.chars().take(SOUGHT_MAX).collect();
    let sought = if reason.is_empty() { String::new() } else { format!(" --reason {}", shell_word(&sought)) };
    let command = format!("telecine list --run {run} --state {state}{sought}{flags}");
    let reason = if reason.is_empty() { "other reasons".to_owned() } else { reason };
    Reason { state: state.as_str(), reason, count, command }
}

/// The reasons, each with its command on a line of its own.
pub(super) fn show(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for Reason { state, reason, count, command } in reasons.iter().take(SHOWN_MAX) {
        let state = state.replace('_', " ");
        let (count, reason) = (with_separators(*count), crate::redact::clean(reason));
        let _ = writeln!(text, "  {count:>9} {state}: {reason}\n            {command}");
    }
    let more = reasons.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "            {more} more reasons are in report.json");
    }
    text
}

/// A word as a shell reads it: quoted where it must be.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '+')
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_reason_is_one_line_that_a_shell_reads_as_meant() {
        let count =
            |reason: &str| ReasonCount { state: State::Rejected, reason: reason.to_owned(), count: 1_204 };
        let of = |reason: &str| super::reason(count(reason), "R-1", " --ledger 'a b.db'").command;
        assert_eq!(of("codec"), "telecine list --run R-1 --state rejected --reason codec --ledger 'a b.db'");
        assert!(of("it's $(no)").contains(r"--reason 'it'\''s $(no)'"));
        assert!(!of("").contains("--reason"));
        let shown = show(&[super::reason(count("codec"), "R-1", "")]);
        assert!(shown.starts_with("      1,204 rejected: codec\n"), "{shown}");
    }
}
