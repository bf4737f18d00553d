//! Flags that select the rows to send.

use clap::Args;

use super::values::{self, OnDriftArg};
use crate::{
    app::plan::PlanField,
    ledger::{DeletedRows, DriftedRows, FailedRows, RerunPolicy},
};

/// Which rows are sent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Rows")]
pub(in crate::cli) struct RowArgs {
    /// Send rejected and failed rows again.
    ///
    /// Each failed row that is sent again is paid again.
    #[arg(long, env = "TELECINE_RETRY_FAILED")]
    pub(in crate::cli) retry_failed: bool,

    /// Send rows again whose video was deleted by telecine undo. Each is paid again.
    #[arg(long, env = "TELECINE_REUPLOAD_DELETED")]
    pub(in crate::cli) reupload_deleted: bool,

    /// What to do with indexed rows whose tags, place, time or other values changed since they were sent. The service cannot
    /// change a video, only accept (and charge) another one.
    #[arg(long, value_enum, value_name = "RULE", env = "TELECINE_ON_DRIFT", default_value = "report")]
    pub(in crate::cli) on_drift: OnDriftArg,

    /// Send only rows found supported by check --probe.
    ///
    /// The check must not be older than AGE [default: 7d]. Other rows are invalid, with the reason.
    #[arg(long, value_name = "AGE", env = "TELECINE_PROBED_ONLY", num_args = 0..=1, default_missing_value = "7d",
          require_equals = true)]
    pub(in crate::cli) probed_only: Option<values::DurationArg>,
}

impl RowArgs {
    pub(in crate::cli) fn probe_age_max(&self) -> Option<std::time::Duration> {
        self.probed_only.map(|duration| duration.0)
    }

    /// Every flag that changes which rows are sent, for the id of a plan.
    pub(in crate::cli) fn plan_fields(&self) -> Vec<PlanField> {
        let Self { retry_failed, reupload_deleted, on_drift, probed_only } = self;
        let age = probed_only.map(|age| age.0.as_millis().to_string());
        vec![
            PlanField::switch("retry-failed", *retry_failed),
            PlanField::switch("reupload-deleted", *reupload_deleted),
            PlanField { name: "on-drift", values: vec![values::name_of(on_drift)] },
            PlanField { name: "probed-only", values: age.into_iter().collect() },
        ]
    }

    pub(in crate::cli) const fn reruns(&self) -> RerunPolicy {
        RerunPolicy {
            failed: if self.retry_failed { FailedRows::Retry } else { FailedRows::Leave },
            deleted: if self.reupload_deleted { DeletedRows::Reupload } else { DeletedRows::Leave },
            drifted: match self.on_drift {
                OnDriftArg::Report => DriftedRows::Report,
                OnDriftArg::Resend => DriftedRows::Resend,
                OnDriftArg::Ignore => DriftedRows::Ignore,
            },
        }
    }
}
