//! Why rows ended as they did, grouped, each group with the command that lists its rows.

use serde::Serialize;

use crate::{
    domain::State,
    error::Error,
    ledger::{ReasonCount, RunId, Snapshot},
    redact::shell_word,
};

/// The states whose reasons are counted.
const STATES: &[State] = &[State::Failed, State::Rejected, State::InDoubt, State::NeedsReview];
/// Reasons in `report.json` at most.
const REASONS_MAX: usize = 50;
/// A longer reason is sought by its beginning, in characters.
const SOUGHT_MAX: usize = 100;

/// Items of the run that have one state for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reason {
    /// The state of the items.
    pub state: &'static str,
    /// The cause without addresses and long numbers, so that alike causes count as one.
    pub reason: String,
    /// How many items have this reason.
    pub count: u64,
    /// The command that lists these items.
    pub command: String,
}

/// The reasons of a run, given with its name, or of the whole ledger; the most frequent first. `flags` select the ledger where
/// it is not the default one.
pub(super) fn read(
    snapshot: &Snapshot,
    run: Option<(RunId, &str)>,
    flags: &str,
) -> Result<Vec<Reason>, Error> {
    let counts = snapshot.reasons(run.map(|(run, _)| run), STATES)?;
    let of_run = run.map(|(_, name)| format!(" --run {name}")).unwrap_or_default();
    Ok(counts.into_iter().take(REASONS_MAX).map(|count| reason(count, &of_run, flags)).collect())
}

fn reason(ReasonCount { state, reason, count }: ReasonCount, of_run: &str, flags: &str) -> Reason {
    let sought: String = reason.chars().take(SOUGHT_MAX).collect();
    let sought = if reason.is_empty() { String::new() } else { format!(" --reason {}", shell_word(&sought)) };
    let command = format!("telecine list{of_run} --state {state}{sought}{flags}");
    let reason = if reason.is_empty() { "other reasons".to_owned() } else { reason };
    Reason { state: state.as_str(), reason, count, command }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_reason_is_one_line_that_a_shell_reads_as_meant() {
        let count =
            |reason: &str| ReasonCount { state: State::Rejected, reason: reason.to_owned(), count: 1_204 };
        let of = |reason: &str| super::reason(count(reason), " --run R-1", " --ledger 'a b.db'").command;
        assert_eq!(of("codec"), "telecine list --run R-1 --state rejected --reason codec --ledger 'a b.db'");
        assert!(of("it's $(no)").contains(r"--reason 'it'\''s $(no)'"));
        assert!(!of("").contains("--reason"));
    }
}
