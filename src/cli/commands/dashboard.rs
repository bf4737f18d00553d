//! `telecine dashboard`: a page that follows a run, for browsers.

use std::net::SocketAddr;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{
        dashboard::{Dashboard, DashboardRequest, FollowedRun},
        running::running,
    },
    cli::{
        args::{ReadOnlyLedgerArgs, hooks::DASHBOARD_ADDRESS, values},
        block_on,
        output::{CommandEnd, print, print_end, print_json, runs::run_of},
        signals,
    },
    clock::Clock,
    error::{Error, ExitCode},
    events::EventBus,
    ledger::{LedgerPlace, Snapshot},
    report::SCHEMA,
};

/// Flags of `telecine dashboard`.
#[derive(Args, Debug)]
pub(in crate::cli) struct DashboardArgs {
    /// The run, by its name or the beginning of it [default: the last run].
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// The address to listen on. Port 0: a free port.
    ///
    /// Only this machine reaches the default address. On another address the page needs the token that is printed with it, and
    /// whoever reads the network reads the page.
    #[arg(long, value_name = "ADDRESS", env = "TELECINE_DASHBOARD_LISTEN", default_value = DASHBOARD_ADDRESS,
          value_parser = values::address, help_heading = "Output")]
    listen: SocketAddr,

    #[command(flatten)]
    ledger: ReadOnlyLedgerArgs,

    /// Print one JSON object per line on stdout.
    #[arg(long, env = "TELECINE_JSON", help_heading = "Output")]
    json: bool,
}

/// Where the dashboard is, once it is served.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct DashboardLine {
    /// The version of this contract.
    schema: u32,
    /// `dashboard_ready`.
    event: &'static str,
    /// The address of the page, with the token where one is needed.
    url: String,
}

/// What the dashboard showed.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct DashboardBody {
    ledger: LedgerPlace,
    run: String,
}

/// Serves the page until the run has ended; that of a run that has ended, until the process is stopped.
pub(in crate::cli) fn dashboard(args: &DashboardArgs) -> Result<ExitCode, Error> {
    let ledger = args.ledger.path()?;
    let snapshot = Snapshot::open(&ledger)?;
    let id = run_of(&snapshot, args.run.as_deref().unwrap_or("last"))?;
    let run = snapshot.run(id)?.name;
    let is_running = running(&snapshot, &ledger)?.is_some_and(|running| running.id == id);
    drop(snapshot);
    let request = DashboardRequest {
        address: args.listen,
        ledger: ledger.clone(),
        run: FollowedRun::Known(id),
        price: None,
        clock: Clock::real(),
    };
    block_on(async {
        let stopped = CancellationToken::new();
        signals::listen_for(stopped.clone(), EventBus::new(Vec::new()), "")?;
        let mut dashboard = Dashboard::start(request).await?;
        if args.json {
            let url = dashboard.url().to_owned();
            print_json(&DashboardLine { schema: SCHEMA, event: "dashboard_ready", url })?;
        } else {
            let end = if is_running { "it ends with the run" } else { "the run has ended; Ctrl-C ends it" };
            print(&format!("dashboard of {run}: {}\n  {end}\n", dashboard.url()))?;
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            () = dashboard.run_ended(), if is_running => return Ok(()),
        }
        dashboard.finish().await;
        Ok(())
    })?;
    if args.json {
        print_end(&CommandEnd::of(ExitCode::Success), &DashboardBody { ledger, run })?;
    }
    Ok(ExitCode::Success)
}
