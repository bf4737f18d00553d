//! What an import would do, cost and take: arithmetic. The rows are counted by a scan that asks the ledger about each, the slots
//! come from the rate limiter alone, and links that expire take the first of them. Nothing is sent, and the ledger stays as it
//! is. A test simulates whole imports and compares them with their plans.

mod slots;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    comparison::{Criteria, LedgerComparison, PlannedRow, compare, exit_code},
    limits,
};
use crate::{
    clock::Clock,
    domain::{Price, Rate, RowCounts, UnixMillis, counted, no_row_text},
    error::{Error, ExitCode},
    ledger::{LedgerPlace, PlannedAction, RerunPolicy, Snapshot},
    manifest::{Manifest, Scan, ScannedRow},
    pipeline::Transfers,
    quota::{Forecast, Limits},
    report::SCHEMA,
};
use slots::Slots;

/// Rates in documents of the service. A plan shows each.
const OTHER_RATES: &[&str] = &["1/min", "10/min", "1/s", "10/s"];
/// The time to an answer, in seconds. Real answers took one to three.
const ANSWER_SECONDS: u64 = 3;

/// What to plan.
pub struct PlanRequest {
    /// The ledger's file; it need not exist.
    pub ledger: LedgerPlace,
    /// What the plan rests on.
    pub basis: PlanBasis,
    /// What to do with rows that were sent before.
    pub reruns: RerunPolicy,
    /// Send only rows whose source was found supported by a probe no older than this. `None`: send rows without a probe.
    pub probe_age_max: Option<Duration>,
    /// What an upload costs, if that is known.
    pub price: Option<Price>,
    /// The bandwidth of all files together, in bytes per second. `None`: it is not known.
    pub bandwidth: Option<u64>,
}

/// What a plan rests on, beside the manifests and the ledger.
pub struct PlanBasis {
    /// How the manifests are read.
    pub reading: Vec<PlanField>,
    /// Which rows are sent.
    pub rows: Vec<PlanField>,
    /// The limits in force.
    pub limits: Limits,
    /// How much may be sent and paid.
    pub budget: Budget,
}

/// How many uploads an import may make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    /// Over all runs of the ledger, paid or possibly paid.
    pub uploads_max: Option<u64>,
    /// In one run.
    pub rows_max: Option<u64>,
}

impl Budget {
    /// How many uploads are left for the next run.
    fn left(&self, snapshot: Option<&Snapshot>) -> Result<Option<u64>, Error> {
        let spent = snapshot.map(Snapshot::committed_uploads).transpose()?.unwrap_or(0);
        let of_ledger = self.uploads_max.map(|uploads| uploads.saturating_sub(spent));
        Ok([of_ledger, self.rows_max].into_iter().flatten().min())
    }

    fn plan_fields(&self) -> [PlanField; 2] {
        let field = |name, value: Option<u64>| PlanField {
            name,
            values: value.iter().map(ToString::to_string).collect(),
        };
        [field("max-uploads", self.uploads_max), field("max-rows", self.rows_max)]
    }
}

/// A flag that a plan depends on, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanField {
    pub name: &'static str,
    pub values: Vec<String>,
}

impl PlanField {
    /// A flag without a value.
    #[must_use]
    pub fn switch(name: &'static str, is_on: bool) -> Self {
        Self { name, values: vec![is_on.to_string()] }
    }
}

/// What an import would come to.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Plan {
    /// The version of this object.
    pub schema: u32,
    /// The id for `import --plan-id`, which sends only if nothing changed since.
    #[serde(rename = "plan_id")]
    pub id: String,
    /// The limits of uploads.
    pub limits: Vec<String>,
    pub rows: RowCounts,
    /// Rows that an import would send.
    pub would_send: u64,
    /// Known items of these manifests that would not be sent, by state.
    pub would_skip: BTreeMap<&'static str, u64>,
    /// The most that the uploads cost, in credits. `null`: no price was given.
    pub credits_max: Option<String>,
    /// From when the plan is computed: now.
    #[schemars(extend("format" = "date-time"))]
    pub starts_at: String,
    /// Files on this machine that would be sent.
    pub files: u64,
    /// The bytes of the files on this machine that would be sent.
    pub file_bytes: u64,
    /// How long the files take at `--bwlimit`, with the distance between them. `null`: there are none, or the bandwidth is not known,
    /// and no time of the plan has their transfer in it.
    pub transfer_seconds: Option<i64>,
    /// When the last upload would be answered.
    #[schemars(extend("format" = "date-time"))]
    pub finish_at: String,
    /// From `starts_at` to `finish_at`.
    pub seconds: i64,
    /// How the run would end, where it would not send everything.
    pub stops: Option<String>,
    /// Waits for a free slot.
    pub waits: Vec<Wait>,
    /// Links that expire before they can be sent.
    pub links_expire: u64,
    /// The first of these.
    pub links_expire_first: Vec<String>,
    pub other_rates: Vec<OtherRate>,
    /// Other ledgers of this user, where this one is not in use yet. If one of them serves the account, an import with this ledger
    /// is refused.
    pub other_ledgers: Vec<String>,
    /// The exit code.
    pub exit_code: ExitCode,
}

/// What would be waited for, and how long in all.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Wait {
    pub why: String,
    pub times: u64,
    pub seconds: i64,
}

/// When an import at another rate would end.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct OtherRate {
    pub rate: String,
    #[schemars(extend("format" = "date-time"))]
    pub finish_at: String,
    pub seconds: i64,
}

/// Plans an import.
pub fn plan(request: &PlanRequest, mut manifests: Vec<Manifest>, clock: &Clock) -> Result<Plan, Error> {
    let path = &request.ledger;
    let snapshot = Snapshot::open_if_there(path)?;
    let plan_id = plan_id(&request.basis, &manifests, snapshot.as_ref())?;
    let limits = &request.basis.limits;
    let limiter = limits::limiter_with(snapshot.as_ref(), limits.clone(), clock)?;
    let others = other_rates().map(|rate| rate.limit().interval());
    let intervals = std::iter::once(limiter.upload_interval()).chain(others).collect();
    let transfers = Transfers::at(request.bandwidth, intervals);
    let rows = PlannedRows::read(request, snapshot.as_ref(), &mut manifests, limiter.now(), transfers)?;
    let slots = Slots::of(&limiter, &rows);
    Ok(build_plan(request, plan_id, rows, slots, &limiter.cap_forecast()))
}

/// A hash of the manifests, how they are read, the ledger and the limits.
fn plan_id(basis: &PlanBasis, manifests: &[Manifest], snapshot: Option<&Snapshot>) -> Result<String, Error> {
    let (limits, budget) = (limit_fields(&basis.limits), basis.budget.plan_fields());
    let mut parts = Vec::new();
    for PlanField { name, values } in basis.reading.iter().chain(&basis.rows).chain(&limits).chain(&budget) {
        parts.extend([(*name).to_owned(), values.len().to_string()]);
        parts.extend(values.iter().cloned());
    }
    for manifest in manifests {
        let path = manifest.path();
        let unreadable = |error: std::io::Error| Error::Usage(format!("cannot read {path}: {error}"));
        let digest = manifest.digest().map_err(unreadable)?.ok_or_else(|| {
            Error::Usage(format!(
                "a plan reads a manifest twice, and {path} is not a file; write it to a file first"
            ))
        })?;
        parts.extend([crate::manifest::identity(path), digest.to_hex().to_string()]);
    }
    parts.push(snapshot.map(Snapshot::digest).transpose()?.unwrap_or_default());
    Ok(crate::domain::digest_of(parts))
}

fn limit_fields(limits: &Limits) -> Vec<PlanField> {
    // an import deletes nothing
    let Limits { upload, caps, list, metadata, delete: _, total } = limits;
    let rates = [("rate", upload), ("list-rate", list), ("get-rate", metadata), ("total-rate", total)];
    let field = |name, values: Vec<String>| PlanField { name, values };
    let rates = rates.map(|(name, rates)| field(name, rates.iter().map(ToString::to_string).collect()));
    let caps = field("cap", caps.iter().map(ToString::to_string).collect());
    rates.into_iter().chain([caps]).collect()
}

/// Refuses to continue if anything changed since the plan was made.
pub fn check_plan_id(
    plan: &str,
    basis: &PlanBasis,
    manifests: &[Manifest],
    snapshot: Option<&Snapshot>,
) -> Result<(), Error> {
    let found = plan_id(basis, manifests, snapshot)?;
    if found == plan {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--plan-id {}: a manifest, how it is read, the ledger or a limit has changed since the plan (now {found}); \
         nothing was sent. Run telecine plan again, or omit --plan-id",
        crate::redact::clean(plan)
    )))
}

/// A row with a link that expires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ExpiringRow {
    expires_at: UnixMillis,
    manifest: u32,
    line: u64,
}

/// The rows of the manifests, and what an import would do with them.
#[derive(Default)]
struct PlannedRows {
    counts: RowCounts,
    /// Known items that would not be sent, by state.
    skipped: BTreeMap<&'static str, u64>,
    scan: Scan,
    comparison: LedgerComparison,
    /// The files to send, at the rate of the limits and at the others.
    transfers: Transfers,
    /// The rows to send with links that expire, soonest first. 24 bytes each.
    expiring: Vec<ExpiringRow>,
    paths: Vec<String>,
    /// How many of the rows the budget allows to send. `None`: all.
    uploads_max: Option<u64>,
    stops: Option<String>,
}

impl PlannedRows {
    fn read(
        request: &PlanRequest,
        snapshot: Option<&Snapshot>,
        manifests: &mut [Manifest],
        now: UnixMillis,
        transfers: Transfers,
    ) -> Result<Self, Error> {
        let criteria = Criteria {
            wants_rows: true,
            ..Criteria::new(now, snapshot).for_import(request.reruns, request.probe_age_max)
        };
        let paths = manifests.iter().map(|manifest| manifest.path().to_owned()).collect();
        let uploads_max = request.basis.budget.left(snapshot)?;
        let mut rows = Self { transfers, paths, uploads_max, ..Self::default() };
        let mut to_send = 0;
        let concurrency = u64::try_from(limits::concurrency(&request.basis.limits)).unwrap_or(u64::MAX);
        if let Some(open) =
            snapshot.map(|snapshot| snapshot.too_many_in_doubt(concurrency, None)).transpose()?.flatten()
        {
            rows.stops = Some(format!(
                "{} no clear answer: telecine review --all shows them",
                counted(open, "request has", "requests have")
            ));
        }
        let (scan, comparison) = compare(manifests, &criteria, None, |path, met, planned| {
            if let (ScannedRow::Good { line, row: Some(row), .. }, Some(planned)) = (met, planned) {
                rows.count(planned);
                if planned.is_sent() {
                    let url = &row.submission.url;
                    if to_send < uploads_max.unwrap_or(u64::MAX) {
                        rows.transfers.add(row.submission.body_size());
                    }
                    to_send += 1;
                    rows.note_expiry(path, *line, url.expires_at());
                    rows.note_foreign(path, *line, snapshot, row.submission.key().0)?;
                }
            }
            Ok(())
        })?;
        rows.expiring.sort_unstable();
        rows.counts.read = scan.rows;
        rows.counts.duplicates = scan.duplicates;
        rows.counts.invalid = scan.invalid + comparison.held_back;
        (rows.scan, rows.comparison) = (scan, comparison);
        Ok(rows)
    }

    fn count(&mut self, planned: &PlannedRow) {
        let (count, left) = match planned.action {
            PlannedAction::New => (&mut self.counts.added, None),
            PlannedAction::Resent(_) => (&mut self.counts.known, None),
            PlannedAction::Updated(_) => (&mut self.counts.updated, None),
            PlannedAction::Left(state) => (&mut self.counts.known, Some(state)),
            PlannedAction::Drifted(state) => (&mut self.counts.drifted, Some(state)),
        };
        *count += 1;
        if let Some(state) = left {
            *self.skipped.entry(state.as_str()).or_default() += 1;
        }
    }

    fn note_expiry(&mut self, path: &str, line: u64, expires_at: Option<UnixMillis>) {
        if let Some(expires_at) = expires_at {
            let manifest = self.paths.iter().position(|one| one == path).unwrap_or(0);
            let manifest = u32::try_from(manifest).unwrap_or(0);
            self.expiring.push(ExpiringRow { expires_at, manifest, line });
        }
    }

    /// A row that was sent with another ledger stops an import.
    fn note_foreign(
        &mut self,
        path: &str,
        line: u64,
        snapshot: Option<&Snapshot>,
        key: [u8; 16],
    ) -> Result<(), Error> {
        let Some(snapshot) = snapshot.filter(|_| self.stops.is_none()) else { return Ok(()) };
        if snapshot.foreign_video_of(key)?.is_some() {
            self.stops = Some(format!("{path}:{line} was sent with another ledger: telecine recover"));
        }
        Ok(())
    }

    /// The rows to send, of which some links may expire before their turn.
    const fn to_send(&self) -> u64 {
        self.comparison.would_send + self.comparison.expired
    }
}

/// The rates that a plan shows beside that of the limits.
fn other_rates() -> impl Iterator<Item = Rate> {
    OTHER_RATES.iter().filter_map(|text| text.parse::<Rate>().ok())
}

fn build_plan(
    request: &PlanRequest,
    plan_id: String,
    mut rows: PlannedRows,
    slots: Slots,
    by_caps: &Forecast,
) -> Plan {
    let limits = &request.basis.limits;
    let Slots { starts_at, last_at, sent, waits, expired, expired_first } = slots;
    let beyond_budget = rows.to_send() - sent - expired;
    rows.comparison.expired = expired;
    // what the limits allow, or the transfer of files: whichever takes longer
    let answered = |last_at: UnixMillis, lane: usize| {
        let by_files = rows.transfers.total(lane).map_or(last_at, |duration| starts_at.plus(duration));
        last_at.plus(rows.transfers.mean()).max(by_files).plus(Duration::from_secs(ANSWER_SECONDS))
    };
    let finish_at = last_at.map_or(starts_at, |last_at| answered(last_at, 0));
    let code = exit_code(&rows.scan, &rows.comparison);
    let other_rates = other_rates()
        .enumerate()
        .filter(|(_, rate)| limits.upload != [*rate] && sent > 0)
        .map(|(number, rate)| {
            let finish_at = answered(by_caps.clone().with_rate(rate).after(sent), number + 1);
            OtherRate {
                rate: rate.to_string(),
                finish_at: finish_at.to_string(),
                seconds: finish_at.since_ms(starts_at) / 1000,
            }
        })
        .collect();
    let over_budget = (beyond_budget > 0).then(|| {
        format!("the budget allows no more: {}", counted(beyond_budget, "row is left", "rows are left"))
    });
    let nothing_left = (rows.scan.rows == 0).then(|| no_row_text(rows.scan.left_out));
    Plan {
        schema: SCHEMA,
        id: plan_id,
        limits: limits.upload_text().split(", ").map(str::to_owned).collect(),
        rows: rows.counts,
        would_send: sent,
        would_skip: rows.skipped,
        credits_max: request.price.map(|price| price.of(sent).to_string()),
        starts_at: starts_at.to_string(),
        files: rows.transfers.files,
        file_bytes: rows.transfers.bytes,
        transfer_seconds: (rows.transfers.files > 0)
            .then(|| rows.transfers.total(0))
            .flatten()
            .map(|duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)),
        finish_at: finish_at.to_string(),
        seconds: finish_at.since_ms(starts_at) / 1000,
        stops: nothing_left.or(rows.stops).or(over_budget),
        waits: waits
            .into_iter()
            .map(|(why, (times, wait_ms))| Wait { why, times, seconds: wait_ms / 1000 })
            .collect(),
        links_expire: expired,
        links_expire_first: expired_first,
        other_rates,
        other_ledgers: Vec::new(),
        exit_code: code,
    }
}
