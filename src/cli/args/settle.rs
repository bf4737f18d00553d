//! Flags for waiting, and for reconciling requests without an answer.

use std::time::Duration;

use clap::Args;

use super::values::{self, OnDoubtArg};
use crate::{
    error::Error,
    pipeline::{OnDoubt, ReconcileRules},
};

/// Long enough for hours of video; the service states no bound.
const WAIT_DEFAULT: Duration = Duration::from_hours(2);

/// Waiting, and requests in doubt.
#[derive(Args, Debug)]
#[command(next_help_heading = "Waiting and reconciliation")]
pub(in crate::cli) struct SettleArgs {
    /// Wait this long for indexing [default: 2h].
    ///
    /// If videos are still being indexed then, the exit code is 5. The time starts at the last accepted upload.
    #[arg(long, value_name = "DURATION", env = "TELECINE_WAIT", conflicts_with = "no_wait")]
    pub(in crate::cli) wait: Option<values::DurationArg>,

    /// Do not wait for indexing. If items are open then, the exit code is 5.
    #[arg(long, env = "TELECINE_NO_WAIT")]
    pub(in crate::cli) no_wait: bool,

    /// How long a request must have been without an answer before listings can prove that it was not accepted.
    #[arg(long, value_name = "DURATION", env = "TELECINE_SETTLE_AFTER", default_value = "30m")]
    pub(in crate::cli) settle_after: values::DurationArg,

    /// No other client uploads into these namespaces.
    ///
    /// Then an unknown video there must come from a request without an answer.
    #[arg(long, env = "TELECINE_EXCLUSIVE")]
    pub(in crate::cli) exclusive: bool,

    /// How to reconcile requests without a clear answer [default: auto with --exclusive, hold without].
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_ON_DOUBT")]
    pub(in crate::cli) on_doubt: Option<OnDoubtArg>,
}

impl SettleArgs {
    pub(in crate::cli) fn rules(&self) -> Result<ReconcileRules, Error> {
        let on_doubt = match (self.on_doubt, self.exclusive) {
            (Some(OnDoubtArg::Auto), false) => {
                let cause = "--on-doubt auto takes every unknown video for one of this ledger; add --exclusive if no other \
                             client uploads there";
                return Err(Error::Usage(cause.to_owned()));
            }
            (Some(OnDoubtArg::Auto) | None, true) => OnDoubt::Auto,
            (Some(OnDoubtArg::Hold), _) | (None, false) => OnDoubt::Hold,
            (Some(OnDoubtArg::Ask), _) => OnDoubt::Ask,
        };
        Ok(ReconcileRules { quiet: self.settle_after.0, on_doubt })
    }

    /// How long to wait for indexing. `None`: not at all.
    pub(in crate::cli) fn wait(&self) -> Option<Duration> {
        if self.no_wait { None } else { Some(self.wait.map_or(WAIT_DEFAULT, |wait| wait.0)) }
    }
}
