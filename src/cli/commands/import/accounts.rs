//! `telecine import` of a manifest that names an account in each row: the imports of all of them beside each other.

use std::{fmt::Write as _, sync::Arc};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{ImportArgs, RunHooks, is_hidden, prepare};
use crate::{
    app::{
        self,
        accounts::{
            AccountRows, AccountRun, AssignedRows, Unassigned, assign_rows, check_apart, check_same_manifests,
        },
        callbacks::share_receivers,
        metrics::{AccountMetrics, AccountsMetrics, LastEnd},
        notify::RunResult,
    },
    cli::{
        accounts::Accounts,
        args::{LedgerArgs, Target},
        block_on, finish,
        output::{CommandEnd, NoFields, end_line, print, print_end, sinks::AccountsDisplay},
        signals::{self, SignalState},
    },
    clock::Clock,
    error::{Error, ExitCode},
    events::{Event, EventBus},
    manifest::Manifest,
    report::{self, SCHEMA, Summary, counted, with_separators},
};

/// For programs: the result of every account.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct AccountsBody<'a> {
    /// The accounts that the manifests name, in the order of their names.
    parts: Vec<AccountPart<'a>>,
    /// Rows that are for no account; nothing of them is sent.
    unassigned: &'a Unassigned,
}

/// The result of one account.
#[derive(Serialize, schemars::JsonSchema)]
struct AccountPart<'a> {
    account: &'a str,
    /// Rows of the manifests that name it.
    rows: u64,
    exit_code: ExitCode,
    /// Why its import ended with this exit code.
    reason: String,
    /// What to do next. `null`: nothing.
    next_step: Option<String>,
    /// The fields of its `report.json`. `null`: no run began, or it has no report.
    summary: Option<&'a Summary>,
}

/// How the import of one account ended.
struct AccountEnd {
    account: String,
    rows: u64,
    ended: Result<Summary, Error>,
}

impl AccountEnd {
    fn exit_code(&self) -> ExitCode {
        match &self.ended {
            Ok(summary) => summary.exit_code,
            Err(error) => error.exit_code(),
        }
    }

    fn part(&self) -> AccountPart<'_> {
        let (reason, next_step) = match &self.ended {
            Ok(summary) => (summary.exit_reason.clone(), summary.next_step.clone()),
            Err(error) => (error.chain(), Some(error.exit_code().next_step().to_owned())),
        };
        AccountPart {
            account: &self.account,
            rows: self.rows,
            exit_code: self.exit_code(),
            reason,
            next_step,
            summary: self.ended.as_ref().ok(),
        }
    }
}

/// How the whole command ended.
struct AccountsEnd {
    ends: Vec<AccountEnd>,
    unassigned: Unassigned,
    /// Manifests that were written meanwhile or not read to their ends, a sentence each: rows may be missing.
    unread: Vec<String>,
}

/// What all accounts share.
struct Common<'a> {
    args: ImportArgs,
    accounts: &'a Accounts,
    display: AccountsDisplay,
    events: EventBus,
    metrics: Option<Arc<AccountsMetrics>>,
}

/// An account whose import can begin.
struct PreparedAccount {
    run: AccountRun,
    hooks: RunHooks,
    is_json: bool,
}

/// Imports the rows of every account that the manifests name.
pub(super) fn import_accounts(accounts: &Accounts) -> Result<ExitCode, Error> {
    let args: ImportArgs = accounts.common_flags()?;
    accounts.check(&args.manifest)?;
    let hooks = RunHooks { notification: args.hooks.notification(), metrics: None, dashboard: None };
    let display = AccountsDisplay::new(&args.shown());
    let events = display.events();
    let metrics = args.hooks.metrics(None).map(|file| Arc::new(AccountsMetrics::new(file.path)));
    let common = Common { args, accounts, display, events, metrics };
    let ended = import_all(&common, &hooks);
    common.events.close();
    common.events.finish();
    let (end, body) = match &ended {
        Ok(ended) => (ended.command_end(), Some(ended.body())),
        Err(error) => (CommandEnd::failed(error.exit_code(), error.chain()), None),
    };
    let line = match &body {
        Some(body) => end_line(&end, body)?,
        None => end_line(&end, &NoFields {})?,
    };
    let text = ended.as_ref().map_or_else(Error::chain, |ended| ended.text(&end));
    block_on(async {
        hooks.tell(&RunResult { code: end.exit_code, json: &line, text: &text }).await;
        Ok(())
    })?;
    let ended = ended?;
    if common.args.output.json {
        print(&format!("{line}\n"))?;
    } else if !is_hidden(&common.args.output, end.exit_code, common.args.cron) {
        print(&format!("{}{text}", ended.summaries(common.args.cron)))?;
    }
    Ok(end.exit_code)
}

fn import_all(common: &Common<'_>, hooks: &RunHooks) -> Result<AccountsEnd, Error> {
    let args = &common.args;
    check_flags(args)?;
    let mut manifests = args.manifest.open(&common.events)?;
    let target = args.service.target();
    let reports = args.output.reports(&LedgerArgs::default_place(target, &args.manifest.manifests).into());
    let AssignedRows { rows: AccountRows { accounts, unassigned }, broken } =
        assign_rows(&mut manifests, &common.accounts.known, &reports, &common.events)?;
    let (mut prepared, mut ends) = (Vec::new(), Vec::new());
    for (account, rows) in accounts {
        let events = common.display.events_of(&account);
        match prepare_account(common, &account, events.clone()) {
            Ok(run) => prepared.push((run, rows)),
            Err(error) => {
                let ended = told(&events, Err(error));
                events.finish();
                if let Some(metrics) = &common.metrics {
                    metrics.set(
                        &account,
                        AccountMetrics { ledger: None, price: None, end: Some(last_end(&ended)) },
                    );
                }
                ends.push(AccountEnd { account, rows, ended });
            }
        }
    }
    let runs: Vec<&AccountRun> = prepared.iter().map(|(prepared, _)| &prepared.run).collect();
    check_apart(&runs)?;
    check_same_manifests(&manifests, &runs)?;
    for end in ends.iter().filter(|_| args.output.json) {
        print_account_end(&end.account, &end.ended)?;
    }
    ends.extend(block_on(run_all(common, prepared, hooks))?);
    ends.sort_by(|one, other| one.account.cmp(&other.account));
    let unread = broken.into_iter().map(|error| Error::from(error).chain());
    let unread = unread.chain(changed(&manifests)).collect();
    Ok(AccountsEnd { ends, unassigned, unread })
}

/// An error for flags that several accounts cannot share.
fn check_flags(args: &ImportArgs) -> Result<(), Error> {
    if !args.manifest.has_accounts() {
        let what = "the rule that maps the account is in the table of an account; put it below [manifest.\"FILE\"] or [import]";
        return Err(Error::Usage(what.to_owned()));
    }
    let shared = [
        ("--plan-id", args.plan_id.is_some(), "give --account NAME with it"),
        (
            "--dashboard",
            args.hooks.dashboard.is_some(),
            "give `telecine dashboard --account NAME` beside the import",
        ),
    ];
    match shared.iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, what)) => {
            Err(Error::Usage(format!("{flag} is for one account, and the rows are for several: {what}")))
        }
        None => Ok(()),
    }
}

/// The import of one account, as `--account NAME` would begin it.
fn prepare_account(common: &Common<'_>, account: &str, events: EventBus) -> Result<PreparedAccount, Error> {
    let mut args: ImportArgs = common.accounts.flags_of(account)?;
    if args.manifest.account_rule() != common.args.manifest.account_rule() {
        let what = format!(
            "the settings of the account {account} map the account in another way; leave that rule out there"
        );
        return Err(Error::Usage(what));
    }
    let (json, quiet) = (common.args.output.json, common.args.output.quiet);
    args.output.json = json;
    args.output.quiet = quiet;
    args.hooks = args.hooks.beside(&common.args.hooks);
    if args.service.target() == Target::Sandbox {
        args.ledger.take_sandbox_of(account, &args.manifest.manifests);
    }
    let hooks = RunHooks {
        notification: args.hooks.notification(),
        metrics: args.hooks.metrics(args.budget.price.price()),
        dashboard: args.hooks.dashboard,
    };
    let account = account.to_owned();
    let (mut request, kind) = match prepare(&args, events) {
        Ok(prepared) => prepared,
        Err(error) => {
            let ended = Err(error);
            block_on(hooks.end(&ended, Some(&account), None))?;
            return ended.and_then(|_| Err(Error::Totals("no run was prepared".to_owned())));
        }
    };
    request.account = Some(account.clone());
    Ok(PreparedAccount { run: AccountRun { account, request, kind }, hooks, is_json: json })
}

/// Runs the imports beside each other, to the end of the last one.
async fn run_all(
    common: &Common<'_>,
    mut prepared: Vec<(PreparedAccount, u64)>,
    hooks: &RunHooks,
) -> Result<Vec<AccountEnd>, Error> {
    let drain = CancellationToken::new();
    let signal = signals::listen_for(drain.clone(), common.events.clone(), signals::WAITING_FOR_ANSWERS)?;
    let listening = prepared.iter_mut().filter_map(|(prepared, _)| prepared.run.request.callbacks.as_mut());
    share_receivers(listening.collect()).await?;
    let telling = hooks.begin(None).await;
    let (stop, metrics) = (CancellationToken::new(), common.metrics.clone());
    for (PreparedAccount { run, .. }, _) in &prepared {
        if let Some(metrics) = &metrics {
            let (ledger, price) = (Some(run.request.ledger.clone()), run.request.price);
            metrics.set(&run.account, AccountMetrics { ledger, price, end: None });
        }
    }
    let measuring = metrics.clone().map(|metrics| tokio::spawn(metrics.keep_written(stop.clone())));
    let begun: Vec<_> = prepared
        .into_iter()
        .map(|(mut prepared, rows)| {
            prepared.run.request.signals.drain = drain.child_token();
            let account = prepared.run.account.clone();
            (account, rows, tokio::spawn(run_account(prepared, signal.clone(), metrics.clone())))
        })
        .collect();
    let mut ends = Vec::new();
    for (account, rows, run) in begun {
        let early = |error| Err(Error::Totals(format!("the import of {account} ended early: {error}")));
        let ended = run.await.unwrap_or_else(early);
        ends.push(AccountEnd { account, rows, ended });
    }
    telling.stop().await;
    stop.cancel();
    if let (Some(measuring), Some(metrics)) = (measuring, metrics) {
        // its panic has been printed, and changes nothing about the runs
        let _ = measuring.await;
        if let Err(error) = metrics.write() {
            tracing::warn!("--metrics-file: {error}");
        }
    }
    Ok(ends)
}

async fn run_account(
    prepared: PreparedAccount,
    signal: SignalState,
    metrics: Option<Arc<AccountsMetrics>>,
) -> Result<Summary, Error> {
    let PreparedAccount { run: AccountRun { account, request, kind }, hooks, is_json } = prepared;
    let running = hooks.begin(Some(&request)).await;
    let ended = app::run(&request, kind, || signal.signal()).await;
    running.stop().await;
    let ended = told(&request.events, ended);
    if let Some(metrics) = metrics {
        metrics.end(&account, last_end(&ended));
    }
    finish(&request.events).await;
    hooks.end(&ended, Some(&account), Some(&request.ledger)).await?;
    if is_json {
        print_account_end(&account, &ended)?;
    }
    ended
}

fn last_end(ended: &Result<Summary, Error>) -> LastEnd {
    let code = ended.as_ref().map_or_else(Error::exit_code, |summary| summary.exit_code);
    LastEnd { code, at: Clock::real().now() }
}

/// Says at once how the import of an account ended: the others may go on for days.
fn told(events: &EventBus, ended: Result<Summary, Error>) -> Result<Summary, Error> {
    let (code, reason) = match &ended {
        Ok(summary) => (summary.exit_code, summary.exit_reason.clone()),
        Err(error) => (error.exit_code(), error.chain()),
    };
    let text = format!("ended with exit code {}: {reason}", code.number());
    events.emit(Clock::real().now(), &Event::Message { text });
    events.close();
    ended
}

/// Prints the last object of one account.
fn print_account_end(account: &str, ended: &Result<Summary, Error>) -> Result<(), Error> {
    match ended {
        Ok(summary) => {
            print_end(&CommandEnd::of_run("run_ended", summary).of_account(Some(account)), summary)
        }
        Err(error) => {
            let end = CommandEnd::failed(error.exit_code(), error.chain());
            print_end(&end.of_account(Some(account)), &NoFields {})
        }
    }
}

/// What is to be said of manifests that were written while they were read.
fn changed(manifests: &[Manifest]) -> Vec<String> {
    let errors = manifests.iter().filter_map(|manifest| manifest.check_unchanged().err());
    errors.map(|error| Error::from(error).chain()).collect()
}

impl AccountsEnd {
    fn body(&self) -> AccountsBody<'_> {
        AccountsBody { parts: self.ends.iter().map(AccountEnd::part).collect(), unassigned: &self.unassigned }
    }

    /// The worst end of all accounts, and of the rows that are for none.
    fn command_end(&self) -> CommandEnd {
        let own = self.own_end();
        let codes = self.ends.iter().map(AccountEnd::exit_code).chain(own.as_ref().map(|end| end.exit_code));
        let worst = ExitCode::worst(codes);
        let end = |event, reason, next_step| CommandEnd {
            schema: SCHEMA,
            event,
            account: None,
            exit_code: worst,
            reason,
            next_step,
        };
        let worst_part = self.ends.iter().find(|part| part.exit_code() == worst).map(AccountEnd::part);
        match (own.filter(|own| own.exit_code == worst), worst_part) {
            (Some(own), _) => own,
            (None, Some(part)) if worst != ExitCode::Success => {
                end("accounts_ended", format!("{}: {}", part.account, part.reason), part.next_step)
            }
            (None, _) => {
                let accounts = counted(self.ends.len() as u64, "account", "accounts");
                end("accounts_ended", format!("{accounts}: {}", worst.meaning()), None)
            }
        }
    }

    /// What no account has a part in: rows that are for none, and manifests that changed or broke off.
    fn own_end(&self) -> Option<CommandEnd> {
        let rows = self.unassigned.rows;
        let code = if self.ends.is_empty() { ExitCode::ManifestInvalid } else { ExitCode::SomeFailed };
        let end = |reason, next_step: String| CommandEnd {
            event: "accounts_ended",
            reason,
            next_step: Some(next_step),
            ..CommandEnd::of(code)
        };
        if rows > 0 {
            let verb = if rows == 1 { "row is" } else { "rows are" };
            let reason = format!("{} {verb} for no account of the settings", with_separators(rows));
            let file = self.unassigned.file.as_deref().map(|file| file.display().to_string());
            let next = format!("correct {} and import it", file.unwrap_or_else(|| "these rows".to_owned()));
            return Some(end(reason, next));
        }
        let reason = self.unread.join("; ");
        let next = "run the same command again when the manifest is complete";
        (!reason.is_empty()).then(|| end(reason, next.to_owned()))
    }

    /// The summary of each account.
    fn summaries(&self, is_cron: bool) -> String {
        let shown = self.ends.iter().filter(|end| !(is_cron && end.exit_code() == ExitCode::Success));
        let mut text = String::new();
        for AccountEnd { account, ended, .. } in shown {
            if let Ok(summary) = ended {
                let _ = write!(text, "\naccount {account}\n{}", report::show_summary(summary).trim_start());
            }
        }
        text
    }

    /// A line for each account, and how the command ended.
    fn text(&self, end: &CommandEnd) -> String {
        let mut text = "\naccounts\n".to_owned();
        let width = self.ends.iter().map(|end| end.account.len()).max().unwrap_or(0);
        for part in self.ends.iter().map(AccountEnd::part) {
            let AccountPart { account, rows, exit_code, reason, .. } = part;
            let rows = counted(rows, "row", "rows");
            let _ = writeln!(text, "  {account:<width$}  {rows}, exit {}: {reason}", exit_code.number());
        }
        if self.unassigned.rows > 0 {
            let rows = counted(self.unassigned.rows, "row", "rows");
            let file =
                self.unassigned.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
            let _ = writeln!(text, "  for no account: {rows}, not sent: {file}");
        }
        let _ = writeln!(text, "\n  exit {}: {}", end.exit_code.number(), end.reason);
        if let Some(next_step) = &end.next_step {
            let _ = writeln!(text, "  next: {next_step}");
        }
        text
    }
}
