//! Work that is done again while the connection to a database is lost. An SQLite file has no such loss.

use std::time::Duration;

use crate::{clock::Clock, ledger::LedgerError};

/// For how long a lost database is waited for. It is longer than a restart takes, and than the default lease.
const WAIT_MAX: Duration = Duration::from_mins(2);

/// Between two attempts.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Does `work` again while it ends with [`LedgerError::ConnectionLost`], for two minutes after the first loss. `work` must be safe
/// to do again: a transaction that was lost with its connection changed nothing.
pub(in crate::ledger) fn retry_while_lost<T>(
    work: impl FnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let clock = Clock::real();
    retry(|| clock.elapsed(), || std::thread::park_timeout(RETRY_EVERY), work)
}

fn retry<T>(
    elapsed: impl Fn() -> Duration,
    wait: impl Fn(),
    mut work: impl FnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let mut first_loss = None;
    loop {
        let result = work();
        let Err(LedgerError::ConnectionLost { cause }) = &result else { return result };
        let since = *first_loss.get_or_insert_with(|| {
            tracing::warn!(
                "the connection to the database was lost ({cause}); telecine tries again for {} s",
                WAIT_MAX.as_secs()
            );
            elapsed()
        });
        if elapsed().saturating_sub(since) >= WAIT_MAX {
            return result;
        }
        wait();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Loses the connection `losses` times, each wait taking a second. Returns the result and the attempts.
    fn attempts(losses: u32) -> (Result<(), LedgerError>, u32) {
        let (seconds, attempts) = (Cell::new(0), Cell::new(0));
        let result = retry(
            || Duration::from_secs(seconds.get()),
            || seconds.set(seconds.get() + 1),
            || {
                attempts.set(attempts.get() + 1);
                let lost = || LedgerError::ConnectionLost { cause: "a restart".to_owned() };
                if attempts.get() > losses { Ok(()) } else { Err(lost()) }
            },
        );
        (result, attempts.get())
    }

    #[test]
    fn a_database_that_is_back_within_two_minutes_costs_no_change() {
        for losses in [0, 119] {
            let (result, attempts) = attempts(losses);
            assert!(result.is_ok());
            assert_eq!(attempts, losses + 1);
        }
    }

    #[test]
    fn a_database_that_does_not_come_back_ends_the_work_after_two_minutes() {
        let (result, attempts) = attempts(u32::MAX);
        assert!(matches!(result, Err(LedgerError::ConnectionLost { .. })));
        assert_eq!(attempts, 121);
    }

    #[test]
    fn another_error_is_not_tried_again() {
        let attempts = Cell::new(0);
        let result: Result<(), _> = retry(
            || Duration::ZERO,
            || (),
            || {
                attempts.set(attempts.get() + 1);
                Err(LedgerError::DiskFull)
            },
        );
        assert!(matches!(result, Err(LedgerError::DiskFull)));
        assert_eq!(attempts.get(), 1);
    }
}
