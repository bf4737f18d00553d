//! Flags that name the limits of an account.

use clap::Args;

use crate::{
    app::limits::GivenLimits,
    cli::args::values,
    domain::{Cap, Rate},
};

/// How often to upload.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct UploadLimitArgs {
    /// Upload rate, such as 10/s [default: 1/min].
    ///
    /// Several rates apply together. 60/min:burst sends as many at once as the limit allows. 1/min is the strictest rate in the
    /// documents of the service; with --sandbox the default is 100/s.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_RATE", value_delimiter = ',')]
    pub(in crate::cli) rate: Vec<Rate>,

    /// Rolling cap on uploads, such as 120/2h.
    ///
    /// Several caps apply together. 120/2h:indexing counts only uploads that are still being indexed. If no cap is given, the
    /// 2-hour cap of the account is learned from refusals.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_CAP", value_delimiter = ',')]
    pub(in crate::cli) cap: Vec<Cap>,
}

/// How fast to send files.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct BandwidthArgs {
    /// The bandwidth of all files together, such as 10MiB: bytes per second [default: unlimited].
    ///
    /// It is for files on this machine. The service fetches other videos itself. A plan knows how long files take only with it.
    #[arg(long, value_name = "SIZE", env = "TELECINE_BWLIMIT", value_parser = values::bandwidth)]
    pub(in crate::cli) bwlimit: Option<u64>,
}

/// How often to read.
#[expect(clippy::struct_field_names, reason = "they are the flags' names")]
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct ReadLimitArgs {
    /// The rate of listing requests. Several rates apply together [default: 1/s].
    #[arg(
        long,
        value_name = "N/PERIOD",
        env = "TELECINE_LIST_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(in crate::cli) list_rate: Vec<Rate>,

    /// The rate of requests for single videos. Several rates apply together [default: 1/s].
    #[arg(
        long,
        value_name = "N/PERIOD",
        env = "TELECINE_GET_RATE",
        value_delimiter = ',',
        help_heading = "Service"
    )]
    pub(in crate::cli) get_rate: Vec<Rate>,

    /// One rate for all requests together. Uploads then leave room for reads.
    #[arg(
        long,
        value_name = "N/PERIOD",
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
        delete_rate: Vec::new(),
        total_rate: reads.total_rate.clone(),
    }
}
