//! `telecine doctor`: whether an import could run here, and what to do if not.

use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::doctor::{self, CheckLevel, SetupCheck},
    cli::{
        args::{LedgerArgs, ServiceArgs, ledger::LedgerOwner, limits::UploadLimitArgs},
        block_on,
        output::{CommandEnd, print, print_end},
    },
    error::{Error, ExitCode},
    settings::{EffectiveSetting, credentials},
};

/// The variables of proxies and certificates.
const NETWORK_VARIABLES: &[&str] =
    &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"];

/// Flags of `telecine doctor`.
#[derive(Args, Debug)]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    limits: UploadLimitArgs,

    /// Print one JSON object on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct DoctorBody {
    checks: Vec<SetupCheck>,
}

/// Looks at everything that an import needs.
pub(in crate::cli) fn doctor(args: &DoctorArgs, effective: &[EffectiveSetting]) -> Result<ExitCode, Error> {
    let mut checks = vec![of_settings(effective), of_network()];
    let service = args.service.asked_with(&args.limits);
    let owner = service.as_ref().ok().map(|service| LedgerOwner {
        destination: &service.destination,
        key_digest: credentials::key_digest(&service.key),
    });
    let ledger = args.ledger.of_next_import(args.service.target(), owner.as_ref());
    checks.extend(block_on(async { Ok(doctor::look(service, &ledger).await) })?);
    let codes = || checks.iter().filter(|check| check.level == CheckLevel::Error).map(|check| check.code);
    // a key or a service that refuses goes before what can be set up here
    let code = match codes().find(|code| *code == ExitCode::Fatal) {
        Some(fatal) => fatal,
        None if codes().next().is_some() => ExitCode::Usage,
        None => ExitCode::Success,
    };
    show(args, checks, code)?;
    Ok(code)
}

fn of_settings(effective: &[EffectiveSetting]) -> SetupCheck {
    let named: Vec<String> =
        effective.iter().map(|setting| format!("{} ({})", setting.key, setting.origin)).collect();
    let found =
        if named.is_empty() { "no settings file sets anything here".to_owned() } else { named.join(", ") };
    SetupCheck::ok("settings", found)
}

/// Names the variables only: a proxy may hold a password. Their values are checked with the service.
fn of_network() -> SetupCheck {
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<&str> = NETWORK_VARIABLES.iter().filter(is_set).copied().collect();
    let found = if set.is_empty() { "none is set".to_owned() } else { format!("{} is set", set.join(", ")) };
    SetupCheck::ok("proxy", found)
}

fn show(args: &DoctorArgs, checks: Vec<SetupCheck>, code: ExitCode) -> Result<(), Error> {
    let is_good = code == ExitCode::Success;
    let reason = if is_good { "an import can run here" } else { "an import cannot run here yet" };
    if args.json {
        let next_step = checks.iter().find_map(|check| check.next_step.clone());
        let end = CommandEnd { reason: reason.to_owned(), next_step, ..CommandEnd::of(code) };
        return print_end(&end, &DoctorBody { checks });
    }
    let mut text = String::new();
    for SetupCheck { name, level, found, next_step, .. } in &checks {
        let level = match level {
            CheckLevel::Ok => "ok",
            CheckLevel::Warning => "warning",
            CheckLevel::Error => "error",
        };
        let _ = writeln!(text, "{level:<8} {name:<9} {found}");
        if let Some(next_step) = next_step {
            let _ = writeln!(text, "{:<18} -> {next_step}", "");
        }
    }
    let _ = writeln!(text, "{reason}");
    print(&text)
}
