//! `telecine check`, and `import --dry-run`: read everything once, say what would happen.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, BufWriter},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use super::{
    args::{ManifestArgs, OutputArgs},
    print, print_json, show,
};
use crate::{
    clock::Clock,
    error::{Error, ExitCode},
    ledger::{LedgerError, Prospect, Reruns, Snapshot},
    lifecycle::State,
    manifest::{self, Example, FaultCount, Manifest, Met, Survey, SurveyOrder},
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

/// What rows are to a ledger.
#[derive(Debug, Default)]
struct Standing {
    would_send: u64,
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

/// Validates manifests.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, Error> {
    let mut manifests = args.manifest.open()?;
    let opened = describe(&manifests);
    let usual = PathBuf::from(USUAL_LEDGER);
    let ledger = args.ledger.clone().or_else(|| usual.exists().then_some(usual));
    let snapshot = ledger.as_deref().map(Snapshot::open).transpose()?;
    let mut findings = if args.csv { Some(Findings::new(BufWriter::new(io::stdout()))?) } else { None };
    let looked = look(
        &mut manifests,
        (snapshot.as_ref(), Reruns::default()),
        args.demands.max_errors,
        |path, met, prospect| match &mut findings {
            Some(findings) => find(findings, path, met, prospect),
            None => Ok(()),
        },
    );
    let (survey, standing) = match looked {
        Err(fault) if is_broken_pipe(&fault) => return Ok(ExitCode::Success),
        looked => looked?,
    };
    let unmet = unmet(&args.demands, &survey);
    let mut code = exit_code(&survey);
    if args.demands.strict && survey.warned > 0 && code == ExitCode::Success {
        code = ExitCode::SomeFailed;
    }
    if args.demands.expect_rows.is_some_and(|rows| rows != survey.rows) {
        code = ExitCode::ManifestInvalid;
    }
    let compared = ledger.as_ref().map(|path| (path, &standing));
    if let Some(findings) = findings {
        let finished = findings.finish();
        return if finished.as_ref().is_err_and(is_broken_pipe) { Ok(code) } else { finished.map(|()| code) };
    }
    if args.json {
        let ledger = compared.map(|(path, standing)| LedgerFigures {
            path: path.display().to_string(),
            would_send: standing.would_send,
            known: standing.known_words(),
            drifted: standing.drifted,
            drifted_first: &standing.drifted_first,
        });
        let exit_code = code.number();
        print_json(&Checked { schema: SCHEMA, exit_code, survey: &survey, ledger, unmet })?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    if let Some((path, standing)) = compared {
        let _ = writeln!(text, "\n  compared with {}:", path.display());
        let _ = writeln!(text, "  {:>9} would be sent", with_separators(standing.would_send));
        show_known(&mut text, standing);
    }
    for demand in unmet {
        let _ = writeln!(text, "\n  {demand}");
    }
    print(&text)?;
    Ok(code)
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

fn find(
    findings: &mut Findings<impl io::Write>,
    path: &str,
    met: &Met<'_>,
    prospect: Option<Prospect>,
) -> Result<(), Error> {
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
    (snapshot, reruns): (Option<&Snapshot>, Reruns),
    errors_max: Option<u64>,
    mut tell: impl FnMut(&str, &Met<'_>, Option<Prospect>) -> Result<(), Error>,
) -> Result<(Survey, Standing), Error> {
    let mut standing = Standing::default();
    let mut broken: Option<Error> = None;
    let order = SurveyOrder { now: Clock::real().now(), errors_max, wants_rows: snapshot.is_some() };
    let survey = manifest::survey(manifests, order, |path, met| {
        if broken.is_some() {
            return;
        }
        let prospect = match (&met, snapshot) {
            (Met::Good { row: Some(row), .. }, Some(snapshot)) => snapshot.prospect(row, reruns).map(Some),
            (Met::Good { .. }, _) => Ok(Some(Prospect::New)),
            (Met::Duplicate { .. } | Met::Rejected(_), _) => Ok(None),
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
    reruns: Reruns,
    price: Option<Price>,
    output: &OutputArgs,
) -> Result<ExitCode, Error> {
    let opened = describe(&manifests);
    let (survey, standing) = look(&mut manifests, (snapshot, reruns), None, |_, _, _| Ok(()))?;
    let code = exit_code(&survey);
    let would_send = standing.would_send;
    if output.json {
        let known = standing.known_words();
        print_json(&serde_json::json!({
            "schema": SCHEMA, "exit_code": code.number(), "would_send": would_send,
            "credits_max": price.map(|price| price.of(would_send).to_string()), "known": known,
            "drifted": standing.drifted, "drifted_first": standing.drifted_first, "survey": survey,
        }))?;
        return Ok(code);
    }
    let mut text = format!("{opened}{}", show_survey(&survey));
    let cost = price.map(|price| format!(", at most {} credits", price.of(would_send))).unwrap_or_default();
    let _ = writeln!(text, "\n  {:>9} would be sent{cost}", with_separators(would_send));
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

fn show_counts(text: &mut String, kind: &str, counts: &BTreeMap<String, FaultCount>) {
    for (class, count) in counts {
        let _ = writeln!(text, "\n  {:>9} {kind}{class}", with_separators(count.rows));
        for Example { path, line, problem } in &count.examples {
            let _ = writeln!(text, "            {}", show::show_problem(path, *line, problem));
        }
    }
}
