//! `telecine check`, and `import --dry-run`: read everything once, say what would happen.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    args::{ManifestArgs, OutputArgs, RowArgs},
    print, print_json,
    probe::{self, ProbeArgs, Probed},
    run, show,
};
use crate::{
    clock::Clock,
    error::{Error, ExitCode},
    item::{Fitness, ManifestRow, Problem},
    ledger::{LedgerError, ProbeDemand, Prospect, Reruns, Snapshot},
    lifecycle::State,
    manifest::{self, Example, FaultCount, Manifest, Met, Survey, SurveyOrder},
    pipeline::Target,
    price::Price,
    report::{Findings, SCHEMA, Severity, with_separators},
};

/// Lines of drifted rows that are named.
const DRIFTED_NAMED_MAX: usize = 3;

/// Flags of `telecine check`.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    demands: DemandArgs,
    #[command(flatten)]
    probe: ProbeArgs,

    /// Compare with this ledger: what is sent already, and what changed since [default: state/telecine.db, if it is there].
    #[arg(long, value_name = "PATH", env = "TELECINE_LEDGER", help_heading = "Ledger")]
    ledger: Option<PathBuf>,

    /// One JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON")]
    json: bool,

    /// One finding a line as CSV on stdout, for a spreadsheet.
    #[arg(long, env = "TELECINE_CSV", conflicts_with = "json")]
    csv: bool,
}

/// What a manifest must hold to.
#[derive(Args, Debug)]
#[command(next_help_heading = "Demands")]
struct DemandArgs {
    /// Exit 3 unless the manifests hold exactly so many rows (filters applied).
    #[arg(long, value_name = "N", env = "TELECINE_EXPECT_ROWS")]
    expect_rows: Option<u64>,

    /// Exit 4 when there are warnings, too.
    #[arg(long, env = "TELECINE_STRICT")]
    strict: bool,

    /// Stop reading once so many rows cannot be sent.
    #[arg(long, value_name = "N", env = "TELECINE_MAX_ERRORS", value_parser = clap::value_parser!(u64).range(1..))]
    max_errors: Option<u64>,
}

/// A ledger where none is told.
const USUAL_LEDGER: &str = "state/telecine.db";

/// What rows are held against.
#[derive(Default)]
struct Yardstick<'a> {
    snapshot: Option<&'a Snapshot>,
    reruns: Reruns,
    /// What is demanded of rows that would be sent.
    demand: Option<ProbeDemand>,
}

impl Yardstick<'_> {
    /// What an import would do with a row; none where it would hold the row back.
    fn prospect(&self, row: Option<&ManifestRow>) -> Result<Option<Prospect>, LedgerError> {
        let (Some(row), Some(snapshot)) = (row, self.snapshot) else {
            return Ok(Some(Prospect::New).filter(|_| self.demand.is_none()));
        };
        if let Some(demand) = &self.demand
            && snapshot.lack(row, self.reruns, demand)?.is_some()
        {
            return Ok(None);
        }
        snapshot.prospect(row, self.reruns).map(Some)
    }
}

/// What rows are to a ledger.
#[derive(Debug, Default)]
struct Standing {
    would_send: u64,
    /// Would be sent if their sources were known to be fit.
    held_back: u64,
    known: BTreeMap<State, u64>,
    drifted: u64,
    drifted_first: Vec<String>,
}

/// For programs.
#[derive(Serialize)]
struct Checked<'a> {
    schema: u32,
    exit_code: u8,
    survey: &'a Survey,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerFigures<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<&'a Probed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmet: Vec<String>,
}

#[derive(Serialize)]
struct LedgerFigures<'a> {
    path: String,
    would_send: u64,
    known: BTreeMap<&'static str, u64>,
    drifted: u64,
    drifted_first: &'a [String],
}

/// Where findings go, if they are wanted: the reader of manifests and whoever looks at sources both write there.
type Shared = Arc<Mutex<Option<Findings<BufWriter<io::Stdout>>>>>;

/// What a check came to.
struct Checking {
    survey: Survey,
    standing: Standing,
    probed: Option<Probed>,
}

/// Validates manifests.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    let manifests = args.manifest.open()?;
    let opened = describe(&manifests);
    let usual = PathBuf::from(USUAL_LEDGER);
    let is_wanted = args.probe.probe || usual.exists();
    let ledger = args.ledger.clone().or_else(|| is_wanted.then_some(usual));
    let findings = if args.csv { Some(Findings::new(BufWriter::new(io::stdout()))?) } else { None };
    let findings = Shared::new(Mutex::new(findings));
    let checked = match &ledger {
        Some(ledger) if args.probe.probe => {
            run::block_on(look_at_sources(args, manifests, ledger, &findings))
        }
        ledger => read(args, manifests, ledger.as_deref(), &findings).map(Ok),
    };
    let Checking { survey, standing, probed } = match checked {
        Err(fault) if is_broken_pipe(&fault) => return Ok(ExitCode::Success),
        checked => match checked? {
            Ok(checking) => checking,
            Err(signal) => return Ok(signal),
        },
    };
    let unmet = unmet(&args.demands, &survey);
    let code = exit_code_of(&args.demands, &survey, probed.as_ref());
    let findings = findings.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(findings) = findings {
        let finished = findings.finish();
        return if finished.as_ref().is_err_and(is_broken_pipe) { Ok(code) } else { finished.map(|()| code) };
    }
    let compared = ledger.as_ref().map(|path| (path, &standing));
    if args.json {
        let ledger = compared.map(|(path, standing)| LedgerFigures {
            path: path.display().to_string(),
            would_send: standing.would_send,
            known: standing.known_words(),
            drifted: standing.drifted,
            drifted_first: &standing.drifted_first,
        });
        let exit_code = code.number();
        let (survey, probe) = (&survey, probed.as_ref());
        print_json(&Checked { schema: SCHEMA, exit_code, survey, ledger, probe, unmet })?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    if let Some((path, standing)) = compared {
        let _ = writeln!(text, "\n  compared with {}:", path.display());
        let _ = writeln!(text, "  {:>9} would be sent", with_separators(standing.would_send));
        show_known(&mut text, standing);
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
    ledger: Option<&Path>,
    findings: &Shared,
) -> Result<Checking, Error> {
    let snapshot = ledger.map(Snapshot::open).transpose()?;
    let yardstick = Yardstick { snapshot: snapshot.as_ref(), ..Yardstick::default() };
    let (survey, standing) =
        look(&mut manifests, &yardstick, args.demands.max_errors, |path, met, prospect| {
            find(findings, path, met, prospect)
        })?;
    Ok(Checking { survey, standing, probed: None })
}

/// The same, and looks at the sources of what would be sent; the exit code of a signal when one ended it early.
async fn look_at_sources(
    args: &CheckArgs,
    mut manifests: Vec<Manifest>,
    ledger: &Path,
    findings: &Shared,
) -> Result<Result<Checking, ExitCode>, Error> {
    let columns: BTreeMap<Arc<str>, (usize, String)> =
        manifests.iter().map(|manifest| (Arc::from(manifest.path()), manifest.url_column())).collect();
    let (paths, reader_findings) = (columns.clone(), Arc::clone(findings));
    let (path, errors_max) = (ledger.to_path_buf(), args.demands.max_errors);
    let read = move |targets: mpsc::Sender<Target>| {
        let snapshot = Snapshot::open(&path)?;
        let mut wanted = 0;
        let yardstick = Yardstick { snapshot: Some(&snapshot), ..Yardstick::default() };
        let (survey, standing) = look(&mut manifests, &yardstick, errors_max, |path, met, prospect| {
            if let (Met::Good { line, row: Some(row), .. }, Some(prospect)) = (met, prospect)
                && probe::is_worth_a_look(prospect)
                && let Some((path, _)) = paths.get_key_value(path)
            {
                wanted += 1;
                // whoever looks may have seen enough
                let (path, url) = (Arc::clone(path), row.submission.url.clone());
                let _ = targets.blocking_send(Target { path, line: *line, url });
            }
            find(&reader_findings, path, met, prospect)
        })?;
        Ok((survey, standing, wanted))
    };
    let tell = |target: &Target, problem: &Problem, fitness: Fitness| {
        let severity = if fitness == Fitness::Unfit { Severity::Unfit } else { Severity::Unclear };
        let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings
            .as_mut()
            .map_or(Ok(()), |findings| findings.problem((&target.path, target.line), severity, problem))
    };
    let (read, mut probed) = probe::probe(&args.probe, ledger, columns, read, tell).await?;
    let Some((survey, standing, wanted)) = read else {
        if let Some(findings) = findings.lock().unwrap_or_else(PoisonError::into_inner).take() {
            findings.finish()?;
        }
        return Ok(Err(probed.signal.unwrap_or(ExitCode::Interrupted)));
    };
    probed.not_looked = u64::saturating_sub(wanted, probed.looked());
    Ok(Ok(Checking { survey, standing, probed: Some(probed) }))
}

fn is_broken_pipe(fault: &Error) -> bool {
    matches!(fault, Error::Output(fault) if fault.kind() == io::ErrorKind::BrokenPipe)
}

/// What was demanded and is not so.
fn unmet(demands: &DemandArgs, survey: &Survey) -> Vec<String> {
    let rows = demands.expect_rows.filter(|expected| *expected != survey.rows).map(|expected| {
        format!(
            "--expect-rows {expected}: there are {} rows; the file may be cut off or another one",
            survey.rows
        )
    });
    let early = survey
        .ended_early
        .then(|| "--max-errors: reading ended early; the counts are of what was read".to_owned());
    let warned = (demands.strict && survey.warned > 0)
        .then(|| format!("--strict: {} rows have warnings", with_separators(survey.warned)));
    rows.into_iter().chain(early).chain(warned).collect()
}

fn find(findings: &Shared, path: &str, met: &Met<'_>, prospect: Option<Prospect>) -> Result<(), Error> {
    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(findings) = findings.as_mut() else { return Ok(()) };
    match met {
        Met::Good { line, warnings, .. } => {
            for warning in *warnings {
                findings.problem((path, *line), Severity::Warned, warning)?;
            }
            if matches!(prospect, Some(Prospect::Drifted(_))) {
                findings.row((path, *line), Severity::Drifted, "already sent with other content")?;
            }
            Ok(())
        }
        Met::Duplicate { line, first_line } => {
            findings.row((path, *line), Severity::Duplicate, &format!("the same video as line {first_line}"))
        }
        Met::Rejected(fault) => {
            for problem in &fault.problems {
                findings.problem((path, fault.line), Severity::Rejected, problem)?;
            }
            Ok(())
        }
    }
}

/// Reads manifests, and asks the ledger for every row that could be sent.
fn look(
    manifests: &mut [Manifest],
    yardstick: &Yardstick<'_>,
    errors_max: Option<u64>,
    mut tell: impl FnMut(&str, &Met<'_>, Option<Prospect>) -> Result<(), Error>,
) -> Result<(Survey, Standing), Error> {
    let mut standing = Standing::default();
    let mut broken: Option<Error> = None;
    let order =
        SurveyOrder { now: Clock::real().now(), errors_max, wants_rows: yardstick.snapshot.is_some() };
    let survey = manifest::survey(manifests, order, |path, met| {
        if broken.is_some() {
            return;
        }
        let prospect = match &met {
            Met::Good { row, .. } => yardstick.prospect(*row).inspect(|prospect| {
                standing.held_back += u64::from(prospect.is_none());
            }),
            Met::Duplicate { .. } | Met::Rejected(_) => Ok(None),
        };
        let told = prospect.map_err(|fault: LedgerError| fault.into()).and_then(|prospect| {
            if let (Met::Good { line, .. }, Some(prospect)) = (&met, prospect) {
                standing.count(path, *line, prospect);
            }
            tell(path, &met, prospect)
        });
        broken = told.err();
    })?;
    broken.map_or(Ok((survey, standing)), Err)
}

impl Standing {
    /// How many are known, by the word of their state.
    fn known_words(&self) -> BTreeMap<&'static str, u64> {
        self.known.iter().map(|(state, count)| (state.word(), *count)).collect()
    }

    fn count(&mut self, path: &str, line: u64, prospect: Prospect) {
        let state = match prospect {
            Prospect::New => None,
            Prospect::Resent(state) | Prospect::Left(state) | Prospect::Drifted(state) => Some(state),
        };
        self.would_send += u64::from(matches!(prospect, Prospect::New | Prospect::Resent(_)));
        if let Some(state) = state {
            *self.known.entry(state).or_default() += 1;
        }
        if matches!(prospect, Prospect::Drifted(_)) {
            self.drifted += 1;
            if self.drifted_first.len() < DRIFTED_NAMED_MAX {
                self.drifted_first.push(format!("{path}:{line}"));
            }
        }
    }
}

/// Compares manifests with the ledger, if there is one, and says what an import would do.
pub(super) fn dry_run(
    mut manifests: Vec<Manifest>,
    snapshot: Option<&Snapshot>,
    rows: &RowArgs,
    price: Option<Price>,
    output: &OutputArgs,
) -> Result<ExitCode, Error> {
    let opened = describe(&manifests);
    let demand = rows.probe_age_max().map(|age_max| {
        let age_max_ms = i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX);
        let looked_since = Clock::real().now().plus_ms(-age_max_ms);
        ProbeDemand { looked_since, column: String::new(), column_number: 0 }
    });
    let yardstick = Yardstick { snapshot, reruns: rows.reruns(), demand };
    let (survey, standing) = look(&mut manifests, &yardstick, None, |_, _, _| Ok(()))?;
    let code = exit_code(&survey);
    let has_held_back = code == ExitCode::Success && standing.held_back > 0;
    let code = if has_held_back { ExitCode::SomeFailed } else { code };
    let would_send = standing.would_send;
    if output.json {
        let known = standing.known_words();
        print_json(&serde_json::json!({
            "schema": SCHEMA, "exit_code": code.number(), "would_send": would_send,
            "held_back": standing.held_back, "credits_max": price.map(|price| price.of(would_send).to_string()), "known": known,
            "drifted": standing.drifted, "drifted_first": standing.drifted_first, "survey": survey,
        }))?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    let cost = price.map(|price| format!(", at most {} credits", price.of(would_send))).unwrap_or_default();
    let _ = writeln!(text, "\n  {:>9} would be sent{cost}", with_separators(would_send));
    if standing.held_back > 0 {
        let words = "held back: nobody knows their sources to be fit (telecine check --probe)";
        let _ = writeln!(text, "  {:>9} {words}", with_separators(standing.held_back));
    }
    show_known(&mut text, &standing);
    let _ = writeln!(text, "\n  nothing was sent or written (dry run)");
    print(&text)?;
    Ok(code)
}

fn show_known(text: &mut String, standing: &Standing) {
    for (state, count) in &standing.known {
        let _ = writeln!(text, "  {:>9} are in the ledger as {state}", with_separators(*count));
    }
    if standing.drifted > 0 {
        let _ = writeln!(
            text,
            "  {:>9} of them were sent with other content: {} (--on-drift says what an import does with them)",
            with_separators(standing.drifted),
            standing.drifted_first.join(", ")
        );
    }
}

fn exit_code_of(demands: &DemandArgs, survey: &Survey, probed: Option<&Probed>) -> ExitCode {
    if demands.expect_rows.is_some_and(|rows| rows != survey.rows) {
        return ExitCode::ManifestInvalid;
    }
    let code = exit_code(survey);
    let (unfit, unclear) = probed.map_or((0, 0), |probed| (probed.unfit, probed.unclear));
    let is_strictly_wrong = demands.strict && (survey.warned > 0 || unclear > 0);
    if unfit > 0 && unfit == survey.good {
        ExitCode::ManifestInvalid
    } else if code == ExitCode::Success && (unfit > 0 || is_strictly_wrong) {
        ExitCode::SomeFailed
    } else {
        code
    }
}

fn exit_code(survey: &Survey) -> ExitCode {
    match (survey.rows, survey.good, survey.rejected) {
        (0, ..) => ExitCode::Success,
        (_, 0, _) => ExitCode::ManifestInvalid,
        (_, _, 0) => ExitCode::Success,
        _ => ExitCode::SomeFailed,
    }
}

pub(super) fn describe(manifests: &[Manifest]) -> String {
    manifests.iter().fold(String::new(), |mut text, manifest| {
        if !manifest.found().is_empty() {
            let _ = writeln!(text, "{}: {}", manifest.path(), manifest.found().join(", "));
        }
        let _ = writeln!(text, "{}: {}", manifest.path(), manifest.mapping());
        text
    })
}

fn show_survey(survey: &Survey) -> String {
    let mut text = String::new();
    let lines = [
        (survey.rows, "rows read"),
        (survey.good, "good"),
        (survey.duplicates, "duplicates"),
        (survey.rejected, "cannot be sent"),
    ];
    let _ = writeln!(text);
    for (count, what) in lines {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    let notes = [
        (survey.warned, "of the good have warnings"),
        (survey.left_out, "left out by --where"),
        (survey.unmatched, "have no row in a file of --join"),
        (
            survey.without_marker,
            "have 20 tags: no room for the marker, so a lost answer can rarely be settled without you",
        ),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(&mut text, "", &survey.faults);
    show_counts(&mut text, "warning: ", &survey.warnings);
    text
}

fn show_probed(text: &mut String, probed: &Probed) {
    let kept = match probed.kept {
        0 => String::new(),
        kept => format!(" ({} known from before)", with_separators(kept)),
    };
    let _ = writeln!(text, "\n  {:>9} sources looked at{kept}:", with_separators(probed.looked()));
    let lines = [
        (probed.fit, "fit"),
        (probed.unfit, "unfit: the service would not take them"),
        (probed.unclear, "unclear: nobody can tell"),
        (probed.not_looked, "not looked at yet; the same command goes on"),
    ];
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(count));
    }
    show_counts(text, "unfit: ", &probed.unfit_by);
    show_counts(text, "unclear: ", &probed.unclear_by);
}

fn show_counts(text: &mut String, kind: &str, counts: &BTreeMap<String, FaultCount>) {
    for (class, count) in counts {
        let _ = writeln!(text, "\n  {:>9} {kind}{class}", with_separators(count.rows));
        for Example { path, line, problem } in &count.examples {
            let _ = writeln!(text, "            {}", show::show_problem(path, *line, problem));
        }
    }
}
