//! What a command takes that works with the service and uploads nothing: the ledger, the service, and how the result is shown.
//! An import takes the same groups of flags in another order of its help.

use clap::Args;

use super::{LedgerArgs, OutputArgs, ServiceArgs, Target};
use crate::{app::RunRequest, cli::output::sinks, error::Error, events::EventBus};

/// The ledger, the service and the output of a run.
#[derive(Args, Debug)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    pub(in crate::cli) ledger: LedgerArgs,
    #[command(flatten)]
    pub(in crate::cli) service: ServiceArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

impl RunArgs {
    pub(in crate::cli) const fn target(&self) -> Target {
        self.service.target()
    }

    /// The events of the run, as the flags have them shown.
    pub(in crate::cli) fn events(&self) -> EventBus {
        sinks::events(&self.output)
    }

    /// A run on these manifests, or on the ledger as it is if there are none. It uploads nothing until its limits and its policy
    /// are set.
    pub(in crate::cli) fn request(
        &self,
        manifests: &[String],
        events: EventBus,
    ) -> Result<RunRequest, Error> {
        self.service.request(&self.ledger, manifests, &self.output, events)
    }
}
