//! `telecine plan`: what an import would do, cost and take.

use std::{fmt::Write as _, time::Duration};

use clap::Args;
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::{
    app::{
        RequestedLimits,
        accounts::{AccountRows, Unassigned, count_rows},
        plan::{self, Plan, PlanBasis, PlanRequest},
    },
    cli::{
        accounts::Accounts,
        args::{
            BudgetArgs, ManifestArgs, ReadOnlyLedgerArgs, RowArgs,
            limits::{BandwidthArgs, ReadLimitArgs, UploadLimitArgs, given},
        },
        output::{CommandEnd, print, print_end, progress::Working, show_unassigned},
    },
    clock::Clock,
    domain::{at_most_shown, counted, format_duration, shown_name},
    error::{Error, ExitCode},
    ledger::Snapshot,
    report::{shell_word, with_separators},
};

/// Flags of `telecine plan`.
#[derive(Args, Debug)]
pub(in crate::cli) struct PlanArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,
    #[command(flatten)]
    limits: UploadLimitArgs,
    #[command(flatten)]
    bandwidth: BandwidthArgs,
    #[command(flatten)]
    reads: ReadLimitArgs,
    #[command(flatten)]
    budget: BudgetArgs,

    #[command(flatten)]
    rows: RowArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// For programs: the plan of every account.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct PlanAccountsBody {
    /// The accounts that the manifests name, in the order of their names.
    parts: Vec<PlanPart>,
    unassigned: Unassigned,
}

/// The plan of one account.
#[derive(Serialize, schemars::JsonSchema)]
struct PlanPart {
    account: String,
    exit_code: ExitCode,
    /// Why there is no plan. `null`: there is one.
    error: Option<String>,
    plan: Option<Plan>,
}

/// Plans an import.
pub(in crate::cli) fn plan(args: &PlanArgs, accounts: &Accounts) -> Result<ExitCode, Error> {
    if args.manifest.has_accounts() {
        return plan_accounts(accounts);
    }
    let plan = plan_of(args)?;
    if args.json {
        print_end(&CommandEnd::of(plan.exit_code), &plan)?;
    } else {
        print(&show_plan(&plan))?;
    }
    Ok(plan.exit_code)
}

fn plan_of(args: &PlanArgs) -> Result<Plan, Error> {
    let path = args.ledger.of_manifests(&args.manifest.manifests);
    let snapshot = Snapshot::open_if_there(&path)?;
    let limits = RequestedLimits::new(given(&args.limits, &args.reads), args.ledger.sandbox);
    let limits = limits.resolve_for(snapshot.as_ref())?;
    drop(snapshot);
    let other_ledgers = args.ledger.others_than(&path);
    let request = PlanRequest {
        ledger: path,
        basis: PlanBasis {
            reading: args.manifest.plan_fields(),
            rows: args.rows.plan_fields(),
            limits,
            budget: args.budget.budget()?,
        },
        reruns: args.rows.reruns(),
        probe_age_max: args.rows.probe_age_max(),
        price: args.budget.price.price(),
        bandwidth: args.bandwidth.bwlimit,
    };
    let manifests = args.manifest.open_alone(args.json)?;
    let working = Working::on("reading the manifests and comparing them with the ledger; nothing is sent");
    let plan = plan::plan(&request, manifests, &Clock::real());
    drop(working);
    Ok(Plan { other_ledgers, ..plan? })
}

/// Plans the import of every account that the manifests name.
fn plan_accounts(accounts: &Accounts) -> Result<ExitCode, Error> {
    let args: PlanArgs = accounts.common_flags()?;
    accounts.check(&args.manifest)?;
    let mut manifests = args.manifest.open_alone(args.json)?;
    let AccountRows { accounts: rows, unassigned } =
        count_rows(&mut manifests, &accounts.known, |_, _| Ok(()))?;
    let own_code = match (unassigned.rows, rows.len()) {
        (0, _) => ExitCode::Success,
        (_, 0) => ExitCode::ManifestInvalid,
        _ => ExitCode::SomeFailed,
    };
    let parts: Vec<PlanPart> = rows
        .into_keys()
        .map(|account| match plan_of_account(accounts, &account) {
            Ok(plan) => PlanPart { account, exit_code: plan.exit_code, error: None, plan: Some(plan) },
            Err(error) => {
                PlanPart { account, exit_code: error.exit_code(), error: Some(error.chain()), plan: None }
            }
        })
        .collect();
    let code = ExitCode::worst(parts.iter().map(|part| part.exit_code).chain([own_code]));
    if args.json {
        print_end(&CommandEnd::of(code), &PlanAccountsBody { parts, unassigned })?;
        return Ok(code);
    }
    let mut text = String::new();
    for PlanPart { account, error, plan, .. } in &parts {
        let plan = plan.as_ref().map(show_plan);
        let shown = plan.or_else(|| error.clone()).unwrap_or_default();
        let shown = shown.trim().replace("telecine import", &format!("telecine import --account {account}"));
        let _ = writeln!(text, "\naccount {account}\n{shown}");
    }
    text.push_str(&show_unassigned(&unassigned));
    print(&text)?;
    Ok(code)
}

fn plan_of_account(accounts: &Accounts, account: &str) -> Result<Plan, Error> {
    let mut args: PlanArgs = accounts.flags_of(account)?;
    if args.ledger.sandbox {
        args.ledger.ledger.take_sandbox_of(account, &args.manifest.manifests);
    }
    plan_of(&args)
}

/// The import with the arguments of the plan.
fn import_of(arguments: impl Iterator<Item = String>, id: &str) -> String {
    let mut words = vec!["telecine".to_owned()];
    let mut is_named = false;
    for argument in arguments.skip(1).filter(|argument| argument != "--json") {
        let is_command = !is_named && argument == "plan";
        is_named |= is_command;
        words.push(if is_command { "import".to_owned() } else { shell_word(&argument) });
    }
    words.extend(["--plan-id".to_owned(), id.to_owned()]);
    words.join(" ")
}

/// What is known of the time that files take.
fn files_of(plan: &Plan) -> String {
    let (files, bytes) = (counted(plan.files, "file", "files"), DecimalBytes(plan.file_bytes));
    match plan.transfer_seconds {
        _ if plan.files == 0 => String::new(),
        Some(seconds) => {
            let duration = format_duration(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
            format!("  {files} of {bytes} take {duration} at --bwlimit, which these times include\n")
        }
        None => format!(
            "  {files} of {bytes}: how long they take is not known, and these times do not include it. Add --bwlimit with the \
             bandwidth of your line\n"
        ),
    }
}

fn show_plan(plan: &Plan) -> String {
    let mut text = String::new();
    let duration = |seconds: i64| format_duration(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let _ = writeln!(text, "\nplan {} · nothing was sent\n", plan.id);
    let rows = if plan.rows.read == 1 { "row" } else { "rows" };
    let _ = writeln!(text, "  {:>9} {rows} read", with_separators(plan.rows.read));
    let _ = writeln!(text, "  {:>9} would be sent", with_separators(plan.would_send));
    let duplicates = if plan.rows.duplicates == 1 { "duplicate" } else { "duplicates" };
    let duplicates = format!("{duplicates} of another row");
    let lines = [(plan.rows.duplicates, duplicates.as_str()), (plan.rows.invalid, "invalid")];
    for (count, what) in lines.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {:>9} {what}", with_separators(*count));
    }
    for (state, count) in &plan.would_skip {
        let _ = writeln!(text, "  {:>9} in the ledger as {}", with_separators(*count), shown_name(state));
    }
    match &plan.credits_max {
        Some(credits) => drop(writeln!(text, "\n  {}", at_most_shown(credits))),
        None if plan.would_send > 0 => drop(writeln!(text, "\n  add --price to see the cost")),
        None => {}
    }
    if plan.would_send > 0 {
        let limits = plan.limits.join(" and ");
        let _ = writeln!(text, "\n  at {limits}: {}, all sent by {}", duration(plan.seconds), plan.finish_at);
        text.push_str(&files_of(plan));
        for other in &plan.other_rates {
            let _ = writeln!(
                text,
                "  at {:<7} {:<12} sent by {}",
                other.rate,
                duration(other.seconds),
                other.finish_at
            );
        }
    }
    for wait in &plan.waits {
        let times = if wait.times == 1 { "once".to_owned() } else { format!("{} times", wait.times) };
        let _ = writeln!(text, "\n  waits {times}, {} in total: {}", duration(wait.seconds), wait.why);
    }
    if plan.links_expire > 0 {
        let _ = writeln!(
            text,
            "\n  {} before sending: {}",
            counted(plan.links_expire, "link expires", "links expire"),
            plan.links_expire_first.join(", ")
        );
    }
    if let Some(stops) = &plan.stops {
        let _ = writeln!(text, "\n  would stop early: {stops}");
    }
    if !plan.other_ledgers.is_empty() {
        let _ = writeln!(
            text,
            "\n  this ledger is not in use yet, and you have others. If one of them serves the account, an import with this one is \
             refused; plan with it instead:\n  --ledger {}",
            plan.other_ledgers.iter().map(|path| shell_word(path)).collect::<Vec<_>>().join("\n  --ledger ")
        );
    }
    if plan.would_send > 0 {
        let _ = writeln!(
            text,
            "\n  next: {}",
            import_of(std::env::args_os().map(|word| word.to_string_lossy().into_owned()), &plan.id)
        );
    }
    text
}
