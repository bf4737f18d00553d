//! Flags that limit what an import pays.

use clap::Args;

use super::{PriceArgs, values};
use crate::{app::plan::Budget, domain::Credits, error::Error};

/// How much an import may send and pay.
#[derive(Args, Debug)]
#[command(next_help_heading = "Budget")]
pub(in crate::cli) struct BudgetArgs {
    #[command(flatten)]
    pub(in crate::cli) price: PriceArgs,

    /// Pay at most N uploads over all runs.
    ///
    /// The run ends with exit code 8 at the limit. Uploads that are possibly paid count. The limit applies to the ledger.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_UPLOADS",
          value_parser = values::whole::<u64>(0..=u64::MAX))]
    max_uploads: Option<u64>,

    /// Spend at most this many credits over all runs; needs --price.
    ///
    /// Credits that are possibly spent count. The limit applies to the ledger.
    #[arg(long, value_name = "CREDITS", env = "TELECINE_MAX_CREDITS")]
    max_credits: Option<Credits>,

    /// Send at most N rows; exit 8 if rows are left.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_ROWS", help_heading = "Limits",
          value_parser = values::whole::<u64>(1..=u64::MAX))]
    max_rows: Option<u64>,
}

impl BudgetArgs {
    /// The budget. Credits count as the uploads that they pay.
    pub(in crate::cli) fn budget(&self) -> Result<Budget, Error> {
        let by_credits = match self.max_credits {
            Some(credits) => {
                let price = self.price.price().ok_or_else(|| {
                    Error::Usage("--max-credits needs the price of an upload: give --price".to_owned())
                })?;
                price.uploads_within(credits)
            }
            None => None,
        };
        let uploads_max = [by_credits, self.max_uploads].into_iter().flatten().min();
        Ok(Budget { uploads_max, rows_max: self.max_rows })
    }
}
