//! Flags for the price of an upload.

use clap::Args;

use super::values::{self, PriceArg};
use crate::domain::Price;

/// What an upload costs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Budget")]
pub(in crate::cli) struct PriceArgs {
    /// Credits per upload (2) or per minute (0.1/min).
    ///
    /// Used for budgets and reports. 2 and 2/upload mean the same.
    #[arg(long, value_name = "CREDITS", env = "TELECINE_PRICE", value_parser = values::price)]
    pub(in crate::cli) price: Option<PriceArg>,

    /// With a price per minute: the length of the longest video, in minutes.
    #[arg(long, value_name = "N", env = "TELECINE_MINUTES_MAX", default_value_t = 60,
          value_parser = values::whole::<u32>(1..=1440))]
    pub(in crate::cli) minutes_max: u32,
}

impl PriceArgs {
    pub(in crate::cli) fn price(&self) -> Option<Price> {
        self.price.map(|price| match price {
            PriceArg::Upload(amount) => Price::per_upload(amount),
            PriceArg::Minute(amount) => Price::per_minute(amount, self.minutes_max),
        })
    }
}
