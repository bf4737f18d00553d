//! The limits of an account: as given, as the ledger keeps them (`quota set`), and as defaults, in this order.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    domain::{Cap, Rate, UnixMillis},
    error::Error,
    ledger::{Ledger, LedgerError, RunId, Snapshot, Store},
    pipeline::{self, LEARNED_LIMITS},
    quota::{LearnedLimits, Limits, RateLimiter},
    report::RunLimits,
};

/// The key of the limits that `quota set` keeps in the ledger.
pub const LIMITS: &str = "limits";
/// The strictest rate any document of the service states for uploads by URL.
const RATE_DEFAULT: &str = "1/min";
/// The default rate with the embedded sandbox.
const RATE_SANDBOX: &str = "100/s";
/// The default rate of listings and single videos. No document states a lower one for listings, or any for single videos.
const READ_RATE_DEFAULT: &str = "1/s";
/// The same with the embedded sandbox.
const READ_RATE_SANDBOX: &str = "5/s";
/// The default rate of deletions. The documents state 5/s, and a client that was refused at that rate was not at this one.
const DELETE_RATE_DEFAULT: &str = "1/3s";
/// At least this many requests are in flight.
const CONCURRENCY_MIN: u64 = 8;
/// The default maximum of requests in flight. Each is a connection, and systems allow about a thousand.
const CONCURRENCY_MAX: u64 = 512;
/// The longest time to an answer, in seconds. It decides how many requests are in flight at the full rate.
const ANSWER_SECONDS_MAX: u64 = 120;

/// The limits that a command line asks for. Empty: not asked for.
#[derive(Clone, Debug, Default)]
pub struct GivenLimits {
    /// How often to upload.
    pub rate: Vec<Rate>,
    /// Rolling caps on uploads.
    pub cap: Vec<Cap>,
    /// How often listings may be read.
    pub list_rate: Vec<Rate>,
    /// How often single videos may be read.
    pub get_rate: Vec<Rate>,
    /// How often videos may be deleted.
    pub delete_rate: Vec<Rate>,
    /// How often any request may be made.
    pub total_rate: Vec<Rate>,
}

/// Limits as texts: for the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoredLimits {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list_rate: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub get_rate: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub total_rate: Vec<String>,
}

impl StoredLimits {
    /// Reads the stored limits; empty if there are none. Limits that cannot be read are no reason to send by the defaults.
    pub fn from_text(text: Option<&str>) -> Result<Self, LedgerError> {
        let read = text.map(serde_json::from_str).transpose();
        read.map(Option::unwrap_or_default).map_err(|error| unreadable(error.to_string()))
    }

    /// Limits in force, as texts.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            rate: texts(&limits.upload),
            cap: texts(&limits.caps),
            list_rate: texts(&limits.list),
            get_rate: texts(&limits.metadata),
            total_rate: texts(&limits.total),
        }
    }

    /// Takes the limits that flags give.
    pub fn set(&mut self, given: &GivenLimits) {
        let take = |own: &mut Vec<String>, given: Vec<String>| {
            if !given.is_empty() {
                *own = given;
            }
        };
        take(&mut self.rate, texts(&given.rate));
        take(&mut self.cap, texts(&given.cap));
        take(&mut self.list_rate, texts(&given.list_rate));
        take(&mut self.get_rate, texts(&given.get_rate));
        take(&mut self.total_rate, texts(&given.total_rate));
    }
}

fn unreadable(cause: String) -> LedgerError {
    LedgerError::UnreadableValue {
        what: "the limits of quota set",
        cause,
        remedy: "delete them with `telecine quota forget --limits`, then set them again",
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The limits to resolve: what is given, and which defaults hold where neither it nor the ledger names a limit.
#[derive(Clone, Debug, Default)]
pub struct RequestedLimits {
    given: GivenLimits,
    is_sandbox: bool,
}

impl RequestedLimits {
    /// These limits, over those of the ledger, over the defaults of the service or of the sandbox.
    #[must_use]
    pub const fn new(given: GivenLimits, is_sandbox: bool) -> Self {
        Self { given, is_sandbox }
    }

    /// Deletions go at these rates. Empty: at the default rate.
    pub fn delete_at(&mut self, rates: Vec<Rate>) {
        self.given.delete_rate = rates;
    }

    /// From now on these limits go before what was given. Those that are empty stay.
    pub fn set(&mut self, stored: &StoredLimits) -> Result<(), Error> {
        fn take<T>(own: &mut Vec<T>, texts: &[String]) -> Result<(), Error>
        where
            T: Clone + std::str::FromStr<Err = crate::domain::LimitError>,
        {
            if !texts.is_empty() {
                *own = first_given(&[], texts, &[])?;
            }
            Ok(())
        }
        take(&mut self.given.rate, &stored.rate)?;
        take(&mut self.given.cap, &stored.cap)?;
        take(&mut self.given.list_rate, &stored.list_rate)?;
        take(&mut self.given.get_rate, &stored.get_rate)?;
        take(&mut self.given.total_rate, &stored.total_rate)
    }

    /// The limits in force for this ledger.
    pub async fn resolve(&self, ledger: &Ledger) -> Result<Limits, Error> {
        self.over(&StoredLimits::from_text(
            ledger.read(|snapshot| snapshot.kv_get(LIMITS)).await?.as_deref(),
        )?)
    }

    /// The same, for commands that only read.
    pub fn resolve_from(&self, snapshot: &Snapshot) -> Result<Limits, Error> {
        self.over(&StoredLimits::from_text(snapshot.kv_get(LIMITS)?.as_deref())?)
    }

    /// The limits in force for a ledger, if there is one.
    pub fn resolve_for(&self, snapshot: Option<&Snapshot>) -> Result<Limits, Error> {
        snapshot.map_or_else(|| self.over(&StoredLimits::default()), |snapshot| self.resolve_from(snapshot))
    }

    /// The given limits, else the stored ones, else the defaults.
    pub fn over(&self, stored: &StoredLimits) -> Result<Limits, Error> {
        let (rate_default, read_default, delete_default) = if self.is_sandbox {
            (RATE_SANDBOX, READ_RATE_SANDBOX, READ_RATE_SANDBOX)
        } else {
            (RATE_DEFAULT, READ_RATE_DEFAULT, DELETE_RATE_DEFAULT)
        };
        Ok(Limits {
            upload: first_given(&self.given.rate, &stored.rate, &[rate_default])?,
            caps: first_given(&self.given.cap, &stored.cap, &[])?,
            list: first_given(&self.given.list_rate, &stored.list_rate, &[read_default])?,
            metadata: first_given(&self.given.get_rate, &stored.get_rate, &[read_default])?,
            delete: first_given(&self.given.delete_rate, &[], &[delete_default])?,
            total: first_given(&self.given.total_rate, &stored.total_rate, &[])?,
        })
    }
}

/// The key of the limits of a run.
fn key_of(run: RunId) -> String {
    format!("limits of run {run}")
}

/// Records the limits of a run: when it begins, and when they change. Commands beside it and its report show these, not those of
/// their own settings.
pub fn publish(store: &Store, run: RunId, limits: &Limits, at: UnixMillis) -> Result<(), LedgerError> {
    // texts always have a JSON form
    store.kv_set(&key_of(run), serde_json::to_string(&StoredLimits::of(limits)).ok().as_deref(), at)
}

/// The limits of a run. `None`: it has recorded none.
pub fn published(snapshot: &Snapshot, run: RunId) -> Result<Option<StoredLimits>, LedgerError> {
    let text = snapshot.kv_get(&key_of(run))?;
    text.map(|text| StoredLimits::from_text(Some(&text))).transpose()
}

/// The same, for its report.
pub fn of_run(snapshot: &Snapshot, run: RunId) -> Result<Option<RunLimits>, Error> {
    let Some(stored) = published(snapshot, run)? else { return Ok(None) };
    Ok(Some(RunLimits {
        upload: first_given(&[], &stored.rate, &[])?,
        caps: first_given(&[], &stored.cap, &[])?,
        list: first_given(&[], &stored.list_rate, &[])?,
        get: first_given(&[], &stored.get_rate, &[])?,
        total: first_given(&[], &stored.total_rate, &[])?,
    }))
}

/// A rate limiter with the limits and the usage that a run which starts now would see.
pub fn limiter_of(
    snapshot: &Snapshot,
    requested: &RequestedLimits,
    clock: &Clock,
) -> Result<RateLimiter, Error> {
    limiter_with(Some(snapshot), requested.resolve_from(snapshot)?, clock)
}

/// The same with given limits. `None`: there is no ledger yet.
pub fn limiter_with(
    snapshot: Option<&Snapshot>,
    limits: Limits,
    clock: &Clock,
) -> Result<RateLimiter, Error> {
    let rng = fastrand::Rng::with_seed(0);
    let Some(snapshot) = snapshot else {
        return Ok(RateLimiter::new(clock.clone(), limits, &[], LearnedLimits::default(), rng));
    };
    // as runs see it: never before what the ledger remembers
    let clock = clock.clone().not_before(snapshot.latest_timestamp()?);
    let since = clock.now().plus_ms(-limits.period_ms_max() - 3_600_000);
    let (uploads, external_usages) = snapshot.usage_since(since, limits.count_max())?;
    let learned_limits = pipeline::learned_limits(snapshot.kv_get(LEARNED_LIMITS)?.as_deref())?;
    let past = pipeline::usage_records(&uploads, &external_usages);
    Ok(RateLimiter::new(clock, limits, &past, learned_limits, rng))
}

fn first_given<T>(given: &[T], stored: &[String], default: &[&str]) -> Result<Vec<T>, Error>
where
    T: Clone + std::str::FromStr<Err = crate::domain::LimitError>,
{
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let texts: Vec<&str> =
        if stored.is_empty() { default.to_vec() } else { stored.iter().map(String::as_str).collect() };
    let read =
        |text: &&str| text.parse().map_err(|error| Error::Ledger(unreadable(format!("{text:?}: {error}"))));
    texts.iter().map(read).collect()
}

/// The default maximum of requests in flight: as many as are sent at the full rate during the longest time to an answer.
pub fn concurrency(limits: &Limits) -> usize {
    let per_answer = |rate: &Rate| {
        let period_ms = u64::try_from(rate.limit().period_ms()).unwrap_or(u64::MAX).max(1);
        u64::from(rate.limit().count()).saturating_mul(ANSWER_SECONDS_MAX * 1000) / period_ms + 1
    };
    let needed = limits.upload.iter().chain(&limits.total).map(per_answer).min().unwrap_or(CONCURRENCY_MIN);
    usize::try_from(needed.clamp(CONCURRENCY_MIN, CONCURRENCY_MAX)).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_limit_goes_before_a_stored_one_and_that_before_the_default() {
        let resolved = |rates: &[&str], stored: &StoredLimits| {
            let rate = rates.iter().map(|text| text.parse().unwrap()).collect();
            let given = GivenLimits { rate, ..GivenLimits::default() };
            RequestedLimits::new(given, false).over(stored).unwrap().upload_text()
        };
        assert_eq!(resolved(&[], &StoredLimits::default()), "1/min");
        let stored = StoredLimits {
            rate: vec!["1/s".to_owned()],
            cap: vec!["120/2h".to_owned(), "?/day".to_owned()],
            ..StoredLimits::default()
        };
        let stored = StoredLimits::from_text(Some(&serde_json::to_string(&stored).unwrap())).unwrap();
        assert_eq!(resolved(&[], &stored), "1/s, 120/2h, ?/day");
        assert_eq!(resolved(&["2/s"], &stored), "2/s, 120/2h, ?/day");
    }

    #[test]
    fn no_slot_waits_for_a_slow_answer() {
        let of =
            |rate: &str| concurrency(&Limits { upload: vec![rate.parse().unwrap()], ..Limits::default() });
        assert_eq!([of("1/min"), of("1/s"), of("50/s")], [8, 121, 512]);
    }
}
