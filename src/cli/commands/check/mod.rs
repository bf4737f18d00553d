//! `telecine check`: reads everything once, and reports what an import would do.

mod accounts;
mod findings;
mod probe;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufWriter},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    app::{
        accounts::AccountRows,
        comparison::{Criteria, LedgerComparison, compare, exit_code},
    },
    cli::{
        accounts::Accounts,
        args::{LedgerArgs, ManifestArgs, Target, ledger::ChosenSettings, values},
        block_on,
        output::{
            CommandEnd, print, print_end,
            scan::{describe, show_expired, show_known, show_origins, show_scan},
        },
    },
    clock::Clock,
    domain::{ProbeVerdict, Problem, counted},
    error::{Error, ExitCode},
    ledger::{LedgerPlace, Snapshot},
    manifest::{Manifest, Scan, ScannedRow},
    pipeline::ProbeTarget,
    report::{Findings, SCHEMA, Severity, with_separators},
    settings::EffectiveSetting,
};
use findings::{Shared, find, is_broken_pipe};
use probe::{ProbeArgs, Probed, show_probed};

/// Flags of `telecine check`.
#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    demands: DemandArgs,
    #[command(flatten)]
    probe: ProbeArgs,

    /// Compare with this ledger: what is sent already, and what changed since [default: the ledger that import would use, if it is there].
    #[arg(long, value_name = "PATH", env = "TELECINE_LEDGER", help_heading = "Ledger")]
    ledger: Option<LedgerPlace>,
    #[command(flatten)]
    chosen: ChosenSettings,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,

    /// One finding a line as CSV on stdout, for a spreadsheet.
    #[arg(long, env = "TELECINE_CSV", conflicts_with = "json")]
    csv: bool,
}

/// Requirements of a manifest.
#[derive(Args, Debug)]
#[command(next_help_heading = "Requirements")]
struct DemandArgs {
    /// Exit 3 unless the manifests hold exactly this many rows (filters applied).
    #[arg(long, value_name = "N", env = "TELECINE_EXPECT_ROWS")]
    expect_rows: Option<u64>,

    /// Exit 4 also for warnings and for unclear sources.
    #[arg(long, env = "TELECINE_STRICT")]
    strict: bool,

    /// Stop reading after this many invalid rows.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_ERRORS", value_parser = values::whole::<u64>(1..=u64::MAX))]
    max_errors: Option<u64>,
}

/// For programs.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct Checked<'a> {
    /// The version of this contract.
    schema: u32,
    /// The exit code.
    exit_code: u8,
    /// What was read.
    scan: &'a Scan,
    /// Rows whose links have expired, or expire within a minute: an import would not send them.
    expired: u64,
    /// What the rows are to the ledger. Absent: there is no ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerFigures<'a>>,
    /// The results of probes. Absent: without `--probe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<&'a Probed>,
    /// Whose rows they are, where a rule maps the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<&'a AccountRows>,
    /// Requirements that are not met, each as a sentence. Absent: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmet: Vec<String>,
}

/// The same, where a signal ended it early: the manifests were not read to their end.
#[derive(Serialize)]
struct Stopped<'a> {
    schema: u32,
    exit_code: u8,
    probe: &'a Probed,
}

#[derive(Serialize, schemars::JsonSchema)]
struct LedgerFigures<'a> {
    /// The file of the ledger.
    path: String,
    /// Rows that an import would send.
    would_send: u64,
    /// Rows that the ledger has, by the state of their item.
    known: BTreeMap<&'static str, u64>,
    /// Of these, rows that were sent with other content.
    drifted: u64,
    /// The first of these.
    drifted_first: &'a [String],
}

/// The result of a check.
struct Checking {
    scan: Scan,
    comparison: LedgerComparison,
    probed: Option<Probed>,
}

/// How a check ended.
enum CheckEnd {
    Complete(Box<Checking>),
    /// A signal ended it early.
    Stopped(ExitCode),
}

/// Validates manifests.
pub(in crate::cli) fn check(
    args: &CheckArgs,
    effective: &[EffectiveSetting],
    accounts: &Accounts,
) -> Result<ExitCode, Error> {
    if args.probe.probe {
        args.manifest.check_one_account("check --probe")?;
    }
    let manifests = args.manifest.open_alone(args.json || args.csv)?;
    let opened = describe(&manifests) + &show_origins(effective);
    let place = LedgerArgs { ledger: args.ledger.clone(), chosen: args.chosen.clone() };
    let place = place.of_manifests(Target::Service, &args.manifest.manifests);
    // each account has a ledger of its own
    let is_there = place.may_exist() && !args.manifest.has_accounts();
    let is_wanted = args.ledger.is_some() || args.probe.probe || is_there;
    let ledger = is_wanted.then_some(place);
    let findings = if args.csv { Some(Findings::new(BufWriter::new(io::stdout()))?) } else { None };
    let findings = Shared::new(Mutex::new(findings));
    let rows = accounts::rows_of(&args.manifest, accounts, &findings)?;
    let checked = match &ledger {
        Some(ledger) if args.probe.probe => block_on(probe_sources(args, manifests, ledger, &findings)),
        ledger => read(args, manifests, ledger.as_ref(), &findings)
            .map(|checking| CheckEnd::Complete(Box::new(checking))),
    };
    let Checking { scan, comparison, probed } = match checked {
        Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::Success),
        checked => match checked? {
            CheckEnd::Complete(checking) => *checking,
            CheckEnd::Stopped(signal) => return Ok(signal),
        },
    };
    let unmet = unmet(&args.demands, &scan, probed.as_ref());
    let code = exit_code_of(&args.demands, &scan, &comparison, probed.as_ref());
    let code = accounts::exit_code_with(code, rows.as_ref());
    let findings = findings.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(findings) = findings {
        let finished = findings.finish();
        return if finished.as_ref().is_err_and(is_broken_pipe) { Ok(code) } else { finished.map(|()| code) };
    }
    let compared = ledger.as_ref().map(|path| (path, &comparison));
    if args.json {
        let ledger = compared.map(|(path, comparison)| LedgerFigures {
            path: path.to_string(),
            would_send: comparison.would_send,
            known: comparison.known_words(),
            drifted: comparison.drifted,
            drifted_first: &comparison.drifted_first,
        });
        let exit_code = code.number();
        let (scan, probe, accounts) = (&scan, probed.as_ref(), rows.as_ref());
        let expired = comparison.expired;
        let body = Checked { schema: SCHEMA, exit_code, scan, expired, ledger, probe, accounts, unmet };
        print_end(&CommandEnd::of(code), &body)?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}{}", show_scan(&scan), accounts::show(rows.as_ref()));
    if let Some((path, comparison)) = compared {
        let _ = writeln!(text, "\n  compared with {path}:");
        let _ = writeln!(text, "  {:>9} would be sent", with_separators(comparison.would_send));
        show_known(&mut text, comparison);
    }
    if compared.is_none() {
        show_expired(&mut text, &comparison);
    }
    if let Some(probed) = &probed {
        show_probed(&mut text, probed);
    }
    for demand in unmet {
        let _ = writeln!(text, "\n  {demand}");
    }
    print(&text)?;
    Ok(code)
}

/// Reads manifests, and compares them with the ledger, if there is one.
fn read(
    args: &CheckArgs,
    mut manifests: Vec<Manifest>,
    ledger: Option<&LedgerPlace>,
    findings: &Shared,
) -> Result<Checking, Error> {
    let snapshot = ledger.map(Snapshot::open).transpose()?;
    let criteria = Criteria::new(Clock::real().now(), snapshot.as_ref());
    let (scan, comparison) =
        compare(&mut manifests, &criteria, args.demands.max_errors, |path, met, planned| {
            find(findings, path, met, planned)
        })?;
    Ok(Checking { scan, comparison, probed: None })
}

/// The same, and probes the sources of what would be sent. The exit code is that of a signal that ended it early.
async fn probe_sources(
    args: &CheckArgs,
    mut manifests: Vec<Manifest>,
    ledger: &LedgerPlace,
    findings: &Shared,
) -> Result<CheckEnd, Error> {
    let columns: BTreeMap<Arc<str>, (usize, String)> =
        manifests.iter().map(|manifest| (Arc::from(manifest.path()), manifest.url_column())).collect();
    let (paths, reader_findings) = (columns.clone(), Arc::clone(findings));
    let (path, errors_max, shard) = (ledger.clone(), args.demands.max_errors, args.probe.shard);
    let read = move |targets: mpsc::Sender<ProbeTarget>| {
        let snapshot = Snapshot::open(&path)?;
        let (mut wanted, mut elsewhere) = (0, 0);
        let criteria = Criteria::new(Clock::real().now(), Some(&snapshot));
        let (scan, comparison) = compare(&mut manifests, &criteria, errors_max, |path, met, planned| {
            if let (ScannedRow::Good { line, row: Some(row), .. }, Some(planned)) = (met, planned)
                && probe::is_worth_a_probe(planned.action)
                && let Some((path, _)) = paths.get_key_value(path)
            {
                if shard.is_none_or(|shard| shard.has(&row.submission.url)) {
                    wanted += 1;
                    // the probe may have ended
                    let (path, url, file) =
                        (Arc::clone(path), row.submission.url.clone(), row.submission.file);
                    let _ = targets.blocking_send(ProbeTarget { path, line: *line, url, file });
                } else {
                    elsewhere += 1;
                }
            }
            find(&reader_findings, path, met, planned)
        })?;
        Ok((scan, comparison, (wanted, elsewhere)))
    };
    let tell = |target: &ProbeTarget, problem: &Problem, verdict: ProbeVerdict| {
        let severity =
            if verdict == ProbeVerdict::Unsupported { Severity::Unsupported } else { Severity::Unclear };
        let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings
            .as_mut()
            .map_or(Ok(()), |findings| findings.problem(&target.path, target.line, severity, problem))
    };
    let links = args.probe.links.rules(&args.manifest.listed);
    let (read, mut probed) = probe::probe(&args.probe, links, ledger, columns, read, tell).await?;
    let Some((scan, comparison, (wanted, elsewhere))) = read else {
        let code = probed.signal.unwrap_or(ExitCode::Interrupted);
        show_stop(args, &probed, code, findings)?;
        return Ok(CheckEnd::Stopped(code));
    };
    probed.left = u64::saturating_sub(wanted, probed.probed());
    probed.elsewhere = elsewhere;
    Ok(CheckEnd::Complete(Box::new(Checking { scan, comparison, probed: Some(probed) })))
}

/// Says what was seen until a signal came.
fn show_stop(args: &CheckArgs, probed: &Probed, code: ExitCode, findings: &Shared) -> Result<(), Error> {
    if let Some(findings) = findings.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return findings.finish();
    }
    if args.json {
        let (schema, exit_code, probe) = (SCHEMA, code.number(), probed);
        return print_end(&CommandEnd::of(code), &Stopped { schema, exit_code, probe });
    }
    let mut text = String::new();
    show_probed(&mut text, probed);
    print(&text)
}

/// What was demanded and is not so.
fn unmet(demands: &DemandArgs, scan: &Scan, probed: Option<&Probed>) -> Vec<String> {
    let rows = demands.expect_rows.filter(|expected| *expected != scan.rows).map(|expected| {
        format!(
            "--expect-rows {expected}: {} read; the file may be cut off or another one",
            counted(scan.rows, "row was", "rows were")
        )
    });
    let early = scan
        .ended_early
        .then(|| "--max-errors: reading ended early; the counts are of what was read".to_owned());
    let warned = (demands.strict && scan.warned > 0)
        .then(|| format!("--strict: {}", counted(scan.warned, "row has warnings", "rows have warnings")));
    let unclear = probed.filter(|probed| demands.strict && probed.unclear > 0).map(|probed| {
        format!("--strict: {}", counted(probed.unclear, "source is unclear", "sources are unclear"))
    });
    rows.into_iter().chain(early).chain(warned).chain(unclear).collect()
}

fn exit_code_of(
    demands: &DemandArgs,
    scan: &Scan,
    comparison: &LedgerComparison,
    probed: Option<&Probed>,
) -> ExitCode {
    if demands.expect_rows.is_some_and(|rows| rows != scan.rows) {
        return ExitCode::ManifestInvalid;
    }
    let code = exit_code(scan, comparison);
    let (unsupported, unclear) = probed.map_or((0, 0), |probed| (probed.unsupported, probed.unclear));
    let is_strictly_wrong = demands.strict && (scan.warned > 0 || unclear > 0);
    if unsupported > 0 && unsupported == scan.good {
        ExitCode::ManifestInvalid
    } else if code == ExitCode::Success && (unsupported > 0 || is_strictly_wrong) {
        ExitCode::SomeFailed
    } else {
        code
    }
}
