//! The flags that name the limits of an account.
#![allow(clippy::doc_markdown, reason = "the doc comments of flags are help texts")]

use clap::Args;

use crate::{
    app::limits::GivenLimits,
    domain::{Cap, Rate},
};

/// How often to upload.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Pace")]
pub(in crate::cli) struct UploadLimitArgs {
    /// How often to upload, such as 1/min or 10/s; several hold together. 60/min:burst sends as many at once as the limit
    /// lets [default: 1/min, the strictest rate documented; with --sandbox 20/s].
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_RATE", value_delimiter = ',')]
    pub(in crate::cli) rate: Vec<Rate>,

    /// A rolling cap such as 120/2h; several hold together. 120/2h:indexing counts only what is still being indexed. What the
    /// account's 2-hour cap is, is learned where it is not said.
    #[arg(long, value_name = "N/SPAN", env = "TELECINE_CAP", value_delimiter = ',')]
    pub(in crate::cli) cap: Vec<Cap>,
}

/// How often to read.
#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct ReadLimitArgs {
    /// How often listings may be read; several hold together [default: 1/s].
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_LIST_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(in crate::cli) list_rate: Vec<Rate>,

    /// How often single videos may be looked at; several hold together [default: 1/s].
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_GET_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(in crate::cli) get_rate: Vec<Rate>,

    /// How often anything may be asked, where one quota covers uploads and reads alike. Reads then take their share.
    #[arg(
        long,
        value_name = "N/SPAN",
        env = "TELECINE_TOTAL_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(in crate::cli) total_rate: Vec<Rate>,
}

/// The limits that these flags name.
pub(in crate::cli) fn given(uploads: &UploadLimitArgs, reads: &ReadLimitArgs) -> GivenLimits {
    GivenLimits {
        rate: uploads.rate.clone(),
        cap: uploads.cap.clone(),
        list_rate: reads.list_rate.clone(),
        get_rate: reads.get_rate.clone(),
        total_rate: reads.total_rate.clone(),
    }
}
