//! `telecine schedule`: prints what makes a scheduler run a command.

use clap::{Args, Command, ValueEnum};

use crate::{
    app::schedule::{KubernetesKind, ScheduledCommand, crontab, kubernetes, systemd_units},
    cli::output::print_data,
    error::{Error, ExitCode},
};

/// Flags of `telecine schedule`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ScheduleArgs {
    /// The scheduler.
    #[arg(value_enum)]
    scheduler: Scheduler,

    /// The time of the day; in UTC for Kubernetes.
    #[arg(long, value_name = "HH:MM", env = "TELECINE_AT", default_value = "02:17", value_parser = time_of_day)]
    at: (u8, u8),

    /// What runs it in Kubernetes: a cronjob at a time of the day, a job that runs once, a deployment of two pods with the ledger in PostgreSQL, of which
    /// one waits, or a statefulset of one pod with the ledger in a file [default: cronjob].
    #[arg(long, value_enum, value_name = "KIND", env = "TELECINE_KIND")]
    kind: Option<PodKind>,

    /// The command to run, without `telecine`: it is checked, and not run.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What runs the command.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scheduler {
    Cron,
    Systemd,
    Kubernetes,
}

/// What runs the command in Kubernetes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PodKind {
    #[value(name = "cronjob")]
    CronJob,
    Job,
    Deployment,
    #[value(name = "statefulset")]
    StatefulSet,
}

impl From<PodKind> for KubernetesKind {
    fn from(kind: PodKind) -> Self {
        match kind {
            PodKind::CronJob => Self::CronJob,
            PodKind::Job => Self::Job,
            PodKind::Deployment => Self::Deployment,
            PodKind::StatefulSet => Self::StatefulSet,
        }
    }
}

fn time_of_day(text: &str) -> Result<(u8, u8), String> {
    let parsed =
        text.split_once(':').and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    parsed
        .filter(|(hour, minute)| *hour < 24 && *minute < 60)
        .ok_or_else(|| "expected a time such as 02:17".to_owned())
}

/// Prints the entries. `command_line` is that of telecine, to check the command.
pub(in crate::cli) fn schedule(args: &ScheduleArgs, command_line: &Command) -> Result<ExitCode, Error> {
    if args.kind.is_some() && !matches!(args.scheduler, Scheduler::Kubernetes) {
        return Err(Error::Usage("--kind is for kubernetes".to_owned()));
    }
    let words = std::iter::once("telecine").chain(args.command.iter().map(String::as_str));
    if let Err(error) = command_line.clone().try_get_matches_from(words) {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        return Err(Error::Usage(format!("the command to run: {reason}")));
    }
    let here = |error: std::io::Error| Error::Usage(format!("the current folder is not known: {error}"));
    let command = ScheduledCommand {
        program: std::env::current_exe().map_err(here)?,
        arguments: args.command.clone(),
        folder: std::env::current_dir().map_err(here)?,
        at: args.at,
        user: ["LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok()),
    };
    let text = match args.scheduler {
        Scheduler::Cron => crontab(&command),
        Scheduler::Kubernetes => {
            let kind = args.kind.map_or(KubernetesKind::CronJob, KubernetesKind::from);
            kubernetes(&command, kind).map_err(Error::Usage)?
        }
        Scheduler::Systemd => {
            let [service, timer] = systemd_units(&command);
            let enable = format!("# Then: systemctl daemon-reload && systemctl enable --now {}\n", timer.0);
            let files = [service, timer]
                .map(|(name, text)| format!("# --- /etc/systemd/system/{name} ---\n{text}\n"));
            format!("{}{enable}", files.concat())
        }
    };
    print_data(&text)?;
    Ok(ExitCode::Success)
}
