//! `telecine sandbox`: a mock of the service on a loopback port.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::{
    app::{
        self,
        sandbox::{mock_service, start},
    },
    cli::{
        args::{behaviour::BehaviourArgs, values},
        output::print,
    },
    domain::Limit,
    error::{Error, ExitCode},
    sandbox::Policy,
};

/// Flags of `telecine sandbox`.
#[derive(Args, Debug)]
pub(in crate::cli) struct SandboxArgs {
    /// The loopback address to listen on. Port 0: a free port, which is printed.
    #[arg(long, value_name = "ADDRESS", env = "TELECINE_LISTEN", default_value = "127.0.0.1:8765",
          value_parser = values::address)]
    listen: SocketAddr,

    /// The upload rate of each account (API key).
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SANDBOX_RATE")]
    rate: Option<Limit>,

    /// A rolling cap on accepted uploads, such as 120/2h. All given caps apply.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SANDBOX_CAP", value_delimiter = ',')]
    cap: Vec<Limit>,

    /// One rate for all requests of an account together.
    #[arg(long, value_name = "N/PERIOD", env = "TELECINE_SANDBOX_TOTAL_RATE")]
    total_rate: Option<Limit>,

    /// Keep the accepted videos in this file, one JSON object per line, and read them at the next start.
    #[arg(long, value_name = "FILE", env = "TELECINE_SANDBOX_RECORD")]
    record: Option<PathBuf>,

    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// Serves the sandbox until the process is stopped.
pub(in crate::cli) fn sandbox(args: &SandboxArgs) -> Result<ExitCode, Error> {
    if !args.listen.ip().is_loopback() {
        return Err(Error::Usage(format!("--listen {}: the sandbox listens on loopback only", args.listen)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Sandbox(error.to_string()))?;
    runtime.block_on(async {
        let behaviour = args.behaviour.policy(args.rate, args.cap.clone());
        let policy = Policy { total_rate: args.total_rate, ..behaviour };
        let mock = mock_service(policy, app::clock::of_sandbox(), args.record.as_deref())?;
        let server = start(mock, args.listen).await?;
        print(&format!(
            "sandbox listening on http://{0}\n  try: MEMORIES_API_KEY=any telecine import MANIFEST --api-url http://{0}\n",
            server.address()
        ))?;
        tokio::select! {
            biased;
            () = server.finished() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::Success)
    })
}
