//! Flags for links to objects in buckets.

use std::time::Duration;

use clap::Args;

use super::{
    listed::{ListedArgs, ViaArg},
    values,
};
use crate::bucket::LinkRules;

/// How links to objects in buckets are signed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Buckets")]
pub(in crate::cli) struct LinkArgs {
    /// How long a link to an object in a bucket can be used, from 1s to 7d.
    ///
    /// A row with s3://BUCKET/KEY, gs://BUCKET/KEY or az://ACCOUNT/CONTAINER/KEY is sent as a link that is signed when the row is
    /// sent. The service may fetch the video some time after it accepted it.
    #[arg(long, value_name = "DURATION", env = "TELECINE_LINK_LIFE", default_value = "6h", value_parser = values::link_life)]
    link_life: Duration,
}

impl LinkArgs {
    /// The rules, with the flags for buckets.
    pub(in crate::cli) fn rules(&self, listed: &ListedArgs) -> LinkRules {
        LinkRules {
            life: self.link_life,
            credentials_command: listed.source_credentials_command.clone(),
            reads_objects: listed.via == ViaArg::Upload,
        }
    }
}
