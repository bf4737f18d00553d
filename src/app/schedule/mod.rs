//! The entries that make a scheduler run a command: a crontab line, systemd units, or objects of Kubernetes.

mod kubernetes;

use std::{fmt::Write as _, path::PathBuf};

pub use kubernetes::{KubernetesKind, kubernetes};

use crate::{error::ExitCode, report::shell_word};

/// Codes that only a human can end: to run the command again changes nothing.
const NEEDS_HUMAN: &[ExitCode] = &[
    ExitCode::Usage,
    ExitCode::ManifestInvalid,
    ExitCode::SomeFailed,
    ExitCode::NeedsReview,
    ExitCode::Fatal,
];
/// Codes of a pause: the next run goes on. With `--cron` they do not occur.
const PAUSES: &[ExitCode] = &[ExitCode::BudgetReached, ExitCode::TimeUp, ExitCode::QuotaPaused];

/// A command, and when to run it.
#[derive(Clone, Debug)]
pub struct ScheduledCommand {
    /// The program.
    pub program: PathBuf,
    /// The arguments behind it.
    pub arguments: Vec<String>,
    /// The folder to run it in.
    pub folder: PathBuf,
    /// The hour and the minute.
    pub at: (u8, u8),
    /// The user that runs it.
    pub user: Option<String>,
}

impl ScheduledCommand {
    fn has(&self, flag: &str) -> bool {
        self.arguments.iter().any(|argument| argument == flag || argument.starts_with(&format!("{flag}=")))
    }

    /// The value of a flag.
    fn value_of(&self, flag: &str) -> Option<&str> {
        let behind = self.arguments.iter().skip_while(|argument| *argument != flag).nth(1);
        let joined =
            || self.arguments.iter().find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='));
        behind.map(String::as_str).or_else(joined)
    }

    fn line(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(|argument| shell_word(argument)).collect();
        arguments.join(" ")
    }

    /// A note for an import whose pauses would look like failures.
    fn cron_note(&self) -> &'static str {
        let is_import = self.arguments.first().is_some_and(|first| first == "import");
        if is_import && !self.has("--cron") {
            "# Add --cron to the command: then pauses and known bad rows do not count as failures.\n"
        } else {
            ""
        }
    }

    fn gets_key_from_flag(&self) -> bool {
        self.has("--key-file") || self.has("--key-command")
    }
}

/// A line for `crontab -e`.
#[must_use]
pub fn crontab(command: &ScheduledCommand) -> String {
    let (hour, minute) = command.at;
    let mut text =
        format!("# telecine, for `crontab -e`. cron mails what is printed.\n{}", command.cron_note());
    if !command.gets_key_from_flag() {
        text.push_str(
            "# cron does not see the variables of your shell: set key-file in telecine.toml, or add --key-file PATH to the command.\n",
        );
    }
    let run = format!(
        "cd {} && {} {}",
        shell_word(&command.folder.display().to_string()),
        shell_word(&command.program.display().to_string()),
        command.line()
    );
    // cron takes a percent sign for the end of the command
    let _ = writeln!(text, "{minute} {hour} * * * {}", run.replace('%', "\\%"));
    text
}

/// The name of a systemd unit, and its text.
pub type SystemdUnit = (String, String);

/// A service and its timer.
#[must_use]
pub fn systemd_units(command: &ScheduledCommand) -> [SystemdUnit; 2] {
    let name = format!("telecine-{}", command.arguments.first().map_or("run", String::as_str));
    let (hour, minute) = command.at;
    let prevent = numbers(NEEDS_HUMAN, " ");
    // a stop by systemd is no failure
    let mut success = vec![ExitCode::Terminated.number().to_string()];
    if !command.has("--cron") {
        success.push(numbers(PAUSES, " "));
    }
    let user = match &command.user {
        Some(user) => format!("User={user}\n"),
        None => "# User= (the user that owns the folder and the ledger)\n".to_owned(),
    };
    let key = if command.gets_key_from_flag() {
        ""
    } else {
        "# One line: MEMORIES_API_KEY=…  Owner root, mode 600. Without the file: key-file in telecine.toml.\n\
         EnvironmentFile=-/etc/telecine/telecine.env\n"
    };
    // READY is told when the ledger is open; a large one takes a while
    let is_notifying = command.arguments.first().is_some_and(|first| first == "import");
    let kind = if is_notifying { "Type=notify\nWatchdogSec=5min\n" } else { "Type=exec\n" };
    let arguments: Vec<String> = command.arguments.iter().map(|argument| for_systemd(argument)).collect();
    let service = format!(
        "{note}[Unit]\nDescription=telecine {what}\nDocumentation=man:telecine(1)\nWants=network-online.target\n\
         After=network-online.target\nStartLimitIntervalSec=6h\nStartLimitBurst=10\n\n\
         [Service]\n{kind}{user}WorkingDirectory={folder}\n{key}ExecStart={program} {arguments}\n\
         TimeoutStartSec=15min\nTimeoutStopSec=5min\nSuccessExitStatus={success}\nRestart=on-failure\nRestartSec=10min\n\
         # These need an operator; running the command again does not help.\nRestartPreventExitStatus={prevent}\n\
         UMask=0077\nNoNewPrivileges=yes\nPrivateTmp=yes\nProtectSystem=full\n",
        note = command.cron_note(),
        what = command.line().replace('%', "%%"),
        folder = command.folder.display().to_string().replace('%', "%%"),
        program = for_systemd(&command.program.display().to_string()),
        arguments = arguments.join(" "),
        success = success.join(" "),
    );
    let timer = format!(
        "[Unit]\nDescription=The nightly run of {name}\n\n[Timer]\nOnCalendar=*-*-* {hour:02}:{minute:02}:00\n\
         Persistent=yes\n\n[Install]\nWantedBy=timers.target\n"
    );
    [(format!("{name}.service"), service), (format!("{name}.timer"), timer)]
}

fn numbers(codes: &[ExitCode], separator: &str) -> String {
    codes.iter().map(|code| code.number().to_string()).collect::<Vec<_>>().join(separator)
}

/// A word for a command line of systemd.
fn for_systemd(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &[&str]) -> ScheduledCommand {
        ScheduledCommand {
            program: "/usr/bin/telecine".into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: "/data/my archive".into(),
            at: (2, 17),
            user: Some("ann".to_owned()),
        }
    }

    #[test]
    fn scheduled_arguments_are_quoted_for_the_shell() {
        let odd = command(&["import", "it's 100%.csv", "--cron", "--map", "url=$x"]);
        let line = crontab(&odd);
        let expected = r"17 2 * * * cd '/data/my archive' && /usr/bin/telecine import 'it'\''s 100\%.csv' --cron --map 'url=$x'";
        assert_eq!(line.lines().last(), Some(expected));
        let [(_, service), _] = systemd_units(&odd);
        let expected = r#"ExecStart=/usr/bin/telecine import "it's 100%%.csv" --cron --map "url=$$x""#;
        assert!(service.lines().any(|line| line == expected), "{service}");
        let job = kubernetes(&odd, KubernetesKind::CronJob).unwrap();
        assert!(job.contains(r#"args: ["import", "it's 100%.csv", "--cron", "--map", "url=$x"]"#));
    }

    #[test]
    fn a_pause_is_a_failure_of_no_scheduler_and_what_needs_a_human_is_not_repeated() {
        let with = command(&["import", "a.csv", "--cron"]);
        let without = command(&["import", "a.csv"]);
        let [(_, service), _] = systemd_units(&without);
        assert!(service.contains("\nSuccessExitStatus=143 8 10 11\n"), "{service}");
        assert!(service.contains("\nRestartPreventExitStatus=2 3 4 6 7\n"), "{service}");
        assert!(service.contains("Add --cron"));
        let [(_, service), _] = systemd_units(&with);
        assert!(
            service.contains("\nSuccessExitStatus=143\n") && !service.contains("Add --cron"),
            "{service}"
        );
        let job = |command| kubernetes(command, KubernetesKind::CronJob).unwrap();
        assert!(job(&with).contains("values: [2, 3, 4, 6, 7]\n"));
        assert!(job(&without).contains("values: [2, 3, 4, 6, 7, 8, 10, 11]\n"));
        let once = kubernetes(&with, KubernetesKind::Job).unwrap();
        assert!(once.contains("\nkind: Job\n") && !once.contains("schedule:"), "{once}");
        assert!(once.contains("values: [2, 3, 4, 6, 7]\n"), "{once}");
    }
}
