//! Flags for the behaviour of the mock: delays, faults and counting rules.

use std::time::Duration;

use clap::Args;

use super::values::{self, DurationRangeArg};
use crate::{
    domain::Limit,
    sandbox::{
        CallFault, CapCounts, DeleteFault, Fault, Faults, FileCut, Limiter, ListOrder, Namespaces, Policy,
    },
};

/// How the mock of the service behaves, without its limits.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Args, Debug)]
#[command(next_help_heading = "Mock service")]
pub(in crate::cli) struct BehaviourArgs {
    /// Caps count only uploads that are still being indexed.
    #[arg(long, env = "TELECINE_SANDBOX_CAP_OF_INDEXING")]
    cap_of_indexing: bool,

    /// Require a minimum distance between requests instead of counting them per period.
    #[arg(long, env = "TELECINE_SANDBOX_SPACING", conflicts_with = "fixed")]
    spacing: bool,

    /// Count requests in fixed windows, such as each minute of the clock, instead of sliding windows.
    #[arg(long, env = "TELECINE_SANDBOX_FIXED")]
    fixed: bool,

    /// The network delay of a request, and of its answer.
    #[arg(long, value_name = "DURATION[..DURATION]", env = "TELECINE_SANDBOX_WAY")]
    way: Option<DurationRangeArg>,

    /// The rate of listings and single reads of each account.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SANDBOX_READ_RATE")]
    read_rate: Option<Limit>,

    /// The credits of each account. An upload costs one.
    #[arg(long, value_name = "N", env = "TELECINE_SANDBOX_CREDITS",
          value_parser = values::whole::<u64>(0..=u64::MAX))]
    credits: Option<u64>,

    /// The time until an upload is answered.
    #[arg(
        long,
        value_name = "DURATION[..DURATION]",
        env = "TELECINE_SANDBOX_ANSWER_DELAY",
        default_value = "20ms..80ms"
    )]
    answer_delay: DurationRangeArg,

    /// The time that indexing takes.
    #[arg(
        long,
        value_name = "DURATION[..DURATION]",
        env = "TELECINE_SANDBOX_INDEX_DELAY",
        default_value = "2s..6s"
    )]
    index_delay: DurationRangeArg,

    /// The share of videos that cannot be indexed, from 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_FAIL_SHARE", default_value = "0", value_parser = values::share)]
    fail_share: f64,

    /// The time until a new video appears in listings.
    #[arg(long, value_name = "DURATION", env = "TELECINE_SANDBOX_LAG")]
    lag: Option<values::DurationArg>,

    /// List oldest first instead of newest first.
    #[arg(long, env = "TELECINE_SANDBOX_OLDEST_FIRST")]
    oldest_first: bool,

    /// Ignore `unique_id`: every namespace lists the whole account.
    #[arg(long, env = "TELECINE_SANDBOX_IGNORE_UNIQUE_ID")]
    ignore_unique_id: bool,

    /// The share of uploads with an injected fault, from 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    fault_share: f64,

    /// The faults to inject, one per upload [default: all except redirect]: cut-before, cut-after, late, hang, bad-gateway,
    /// bad-gateway-before, html, half-json, abnormal, abnormal-before, unnamed, repeated, busy, redirect.
    #[arg(long, value_name = "FAULTS", env = "TELECINE_SANDBOX_FAULTS", value_delimiter = ',', value_parser = fault)]
    faults: Vec<Fault>,

    /// Faults of single uploads, counted from 1, such as 3:cut-after,7:late.
    #[arg(long, value_name = "N:FAULT", env = "TELECINE_SANDBOX_FAULTS_AT", value_delimiter = ',', value_parser = fault_at)]
    faults_at: Vec<(u64, Fault)>,

    /// Cut the connection during the upload of file number N, counted from 1, after BYTES bytes of it, such as 2:1MiB.
    #[arg(long, value_name = "N:BYTES", env = "TELECINE_SANDBOX_FILE_CUTS", value_delimiter = ',', value_parser = file_cut)]
    file_cuts: Vec<FileCut>,

    /// The longest delay of a `late` acceptance, and of a `late` call.
    #[arg(long, value_name = "DURATION", env = "TELECINE_SANDBOX_LATENESS", default_value = "60s")]
    lateness: values::DurationArg,

    /// How long after an upload was answered, and after its video was indexed, its callback is called.
    ///
    /// Only callbacks on this machine are called.
    #[arg(
        long,
        value_name = "DURATION[..DURATION]",
        env = "TELECINE_SANDBOX_CALL_DELAY",
        default_value = "50ms..500ms"
    )]
    call_delay: DurationRangeArg,

    /// The share of uploads whose calls have an injected fault, from 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_CALL_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    call_fault_share: f64,

    /// The faults of calls, one per upload [default: all]: never, twice, early, late, forged, other-number.
    #[arg(long, value_name = "FAULTS", env = "TELECINE_SANDBOX_CALL_FAULTS", value_delimiter = ',', value_parser = call_fault)]
    call_faults: Vec<CallFault>,

    /// The share of listings with an injected fault, from 0 to 1: cut connection, 502, short or missing page, wrong total, null.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_READ_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    read_fault_share: f64,

    /// The rate of requests to delete videos of each account.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SANDBOX_DELETE_RATE")]
    delete_rate: Option<Limit>,

    /// The share of requests to delete with an injected fault, from 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_DELETE_FAULT_SHARE", default_value = "0", value_parser = values::share)]
    delete_fault_share: f64,

    /// The faults of requests to delete, one per request [default: all]: cut-before, cut-after, bad-gateway, busy, ignored.
    #[arg(long, value_name = "FAULTS", env = "TELECINE_SANDBOX_DELETE_FAULTS", value_delimiter = ',', value_parser = delete_fault)]
    delete_faults: Vec<DeleteFault>,

    /// The share of videos that listings never show although `get_metadata` does, from 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TELECINE_SANDBOX_UNLISTED_SHARE", default_value = "0", value_parser = values::share)]
    unlisted_share: f64,

    /// How far the clock of the service is ahead.
    #[arg(long, value_name = "DURATION", env = "TELECINE_SANDBOX_CLOCK_AHEAD")]
    clock_ahead: Option<values::DurationArg>,

    /// Send this Retry-After with refusals.
    #[arg(long, value_name = "DURATION", env = "TELECINE_SANDBOX_RETRY_AFTER")]
    retry_after: Option<values::DurationArg>,

    /// The random seed.
    #[arg(long, value_name = "N", env = "TELECINE_SANDBOX_SEED", default_value_t = 1,
          value_parser = values::whole::<u64>(0..=u64::MAX))]
    seed: u64,
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Fault::ALL.iter().map(|(_, name)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn call_fault(name: &str) -> Result<CallFault, String> {
    CallFault::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = CallFault::ALL.iter().map(|(_, name)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn delete_fault(name: &str) -> Result<DeleteFault, String> {
    DeleteFault::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = DeleteFault::ALL.iter().map(|(_, name)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn fault_at(text: &str) -> Result<(u64, Fault), String> {
    let (number, name) = text.split_once(':').ok_or("expected N:FAULT such as 3:cut-after")?;
    let number = number.parse().map_err(|_| "expected the number of an upload, counted from 1".to_owned())?;
    Ok((number, fault(name)?))
}

fn file_cut(text: &str) -> Result<FileCut, String> {
    let (number, size) = text.split_once(':').ok_or("expected N:BYTES such as 2:1MiB")?;
    let file = number.parse().map_err(|_| "expected the number of a file, counted from 1".to_owned())?;
    Ok(FileCut { file, after: values::size(size)? })
}

impl BehaviourArgs {
    /// The behaviour that these flags describe, with these limits.
    pub(in crate::cli) fn policy(&self, upload_rate: Option<Limit>, caps: Vec<Limit>) -> Policy {
        Policy {
            upload_rate,
            caps,
            cap_counts: if self.cap_of_indexing { CapCounts::Indexing } else { CapCounts::Accepted },
            limiter: match (self.spacing, self.fixed) {
                (true, _) => Limiter::Spacing,
                (false, true) => Limiter::Fixed,
                (false, false) => Limiter::Sliding,
            },
            read_rate: self.read_rate,
            way: self.way.map_or(Duration::ZERO..=Duration::ZERO, |way| way.low..=way.high),
            credits: self.credits,
            answer_delay: self.answer_delay.low..=self.answer_delay.high,
            index_delay: self.index_delay.low..=self.index_delay.high,
            fail_share: self.fail_share,
            visibility_lag: self.lag.map_or(Duration::ZERO, |duration| duration.0),
            order: if self.oldest_first { ListOrder::OldestFirst } else { ListOrder::NewestFirst },
            namespaces: if self.ignore_unique_id { Namespaces::Ignored } else { Namespaces::Separate },
            faults: Faults {
                share: self.fault_share,
                kinds: if self.faults.is_empty() { Fault::passing() } else { self.faults.clone() },
            },
            faults_at: self.faults_at.clone(),
            call_delay: self.call_delay.low..=self.call_delay.high,
            call_fault_share: self.call_fault_share,
            call_faults: if self.call_faults.is_empty() {
                Policy::default().call_faults
            } else {
                self.call_faults.clone()
            },
            file_cuts: self.file_cuts.clone(),
            lateness_max: self.lateness.0,
            read_fault_share: self.read_fault_share,
            delete_rate: self.delete_rate,
            delete_fault_share: self.delete_fault_share,
            delete_faults: if self.delete_faults.is_empty() {
                Policy::default().delete_faults
            } else {
                self.delete_faults.clone()
            },
            unlisted_share: self.unlisted_share,
            clock_ahead_ms: self
                .clock_ahead
                .map_or(0, |duration| i64::try_from(duration.0.as_millis()).unwrap_or(0)),
            retry_after: self.retry_after.map(|duration| duration.0),
            seed: self.seed,
            ..Policy::default()
        }
    }
}
