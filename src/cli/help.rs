//! What the help shows: `-h` the flags of every day and examples, `--help` every flag, its variable and the exit codes.

use std::{ffi::OsString, fmt::Write as _};

use clap::Command;

use crate::error::ExitCode;

/// The flags that `-h` shows. A command that is not listed shows all of its flags.
const EVERYDAY: &[(&str, &[&str])] = &[
    (
        "import",
        &[
            "map",
            "tag",
            "where",
            "retry-failed",
            "probed-only",
            "dry-run",
            "rate",
            "cap",
            "for",
            "max-rows",
            "price",
            "max-uploads",
            "max-credits",
            "sandbox",
            "key-file",
            "ledger",
            "wait",
            "no-wait",
            "exclusive",
            "out-dir",
            "json",
            "quiet",
            "cron",
        ],
    ),
    (
        "plan",
        &[
            "map",
            "tag",
            "where",
            "retry-failed",
            "probed-only",
            "rate",
            "cap",
            "price",
            "max-uploads",
            "ledger",
            "json",
        ],
    ),
    (
        "rehearse",
        &[
            "map",
            "tag",
            "where",
            "rate",
            "cap",
            "speed",
            "service-rate",
            "service-cap",
            "fault-share",
            "keep",
            "json",
        ],
    ),
    ("report", &["html", "ledger", "sandbox", "price", "json"]),
    ("reconcile", &["ledger", "sandbox", "key-file", "wait", "no-wait", "exclusive", "on-doubt", "json"]),
    (
        "resolve",
        &[
            "adopt",
            "resend",
            "give-up",
            "undo",
            "all-matching",
            "yes",
            "why",
            "price",
            "ledger",
            "sandbox",
            "key-file",
            "json",
        ],
    ),
    (
        "undo",
        &[
            "duplicates",
            "where",
            "yes",
            "why",
            "price",
            "ledger",
            "sandbox",
            "key-file",
            "delete-rate",
            "json",
        ],
    ),
    ("doctor", &["ledger", "sandbox", "key-file", "api-url", "rate", "cap", "json"]),
    ("recover", &["map", "ledger", "sandbox", "key-file", "settle-after", "unmarked-are-not-ours", "json"]),
    ("verify", &["allow", "ledger", "sandbox", "key-file", "out-dir", "json"]),
    (
        "check",
        &["map", "tag", "where", "expect-rows", "strict", "max-errors", "probe", "ledger", "csv", "json"],
    ),
    ("guess", &["map", "write", "json"]),
    ("preview", &["map", "tag", "where", "rows", "from-line", "json"]),
    (
        "sandbox",
        &[
            "listen",
            "rate",
            "cap",
            "record",
            "index-delay",
            "fail-share",
            "fault-share",
            "faults",
            "read-rate",
            "seed",
        ],
    ),
];

/// The commands by task, in the order of the help.
const GROUPS: &[(&str, &[&str])] = &[
    ("Import", &["check", "guess", "preview", "plan", "rehearse", "import", "reconcile"]),
    ("See", &["status", "dashboard", "explain", "list", "runs", "report", "quota", "verify"]),
    ("Decide and undo", &["review", "resolve", "acknowledge", "undo"]),
    ("Set up", &["init", "doctor", "config", "schedule", "sandbox"]),
    ("Maintain", &["ledger", "recover"]),
];

/// Examples of each command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "import",
        &[
            "telecine import manifests/sample.csv --sandbox",
            "telecine import archive.csv --rate 1/s --cap 120/2h --max-uploads 500",
            "telecine import s3://archive/2019/ --include '*.mp4' --map 'tags=path[1]+path[2]'",
            "telecine import ./videos/ --map 'tags=path[1]' --bwlimit 10MiB",
        ],
    ),
    ("plan", &["telecine plan archive.csv --rate 1/s --cap 120/2h --price 2"]),
    (
        "rehearse",
        &[
            "telecine rehearse archive.csv --fault-share 0.1",
            "telecine rehearse archive.csv --rate 1/s --service-rate 30/min --speed 500",
        ],
    ),
    (
        "quota",
        &[
            "telecine quota",
            "telecine quota set --rate 1/s --cap 120/2h",
            "telecine quota spend 40 --ago 30m --note 'web upload'",
            "telecine quota forget",
        ],
    ),
    (
        "report",
        &[
            "telecine report",
            "telecine report --html report.html",
            "telecine report 20260131T120000Z --html report.html --price 2",
            "telecine report prune --keep-last 30 --dry-run",
            "telecine report prune --keep-daily 14 --keep-weekly 8",
        ],
    ),
    ("status", &["telecine status", "telecine status --watch", "telecine status --price 2 --json"]),
    ("dashboard", &["telecine dashboard", "telecine dashboard 20260131T12 --listen 127.0.0.1:0"]),
    (
        "explain",
        &[
            "telecine explain https://host/clip.mp4",
            "telecine explain line 12",
            "telecine explain archive.csv:12",
            "telecine explain VI635229846249218048",
        ],
    ),
    (
        "list",
        &[
            "telecine list --state failed,rejected --since 2d",
            "telecine list --state rejected --reason codec --csv",
            "telecine list --run last --limit 20",
        ],
    ),
    ("runs", &["telecine runs", "telecine runs show last"]),
    ("review", &["telecine review", "telecine review --all --price 2"]),
    (
        "resolve",
        &[
            "telecine resolve 17 --adopt VI635229846249218048",
            "telecine resolve 17 --resend --why 'not in the library'",
            "telecine resolve 17 --undo",
            "telecine resolve --all-matching 'archive.csv' --give-up --yes",
        ],
    ),
    (
        "undo",
        &[
            "telecine undo last",
            "telecine undo 20260131T120000Z-4711 --where 'topic=Geography' --price 2",
            "telecine undo last --yes --why 'the wrong manifest'",
            "telecine undo --duplicates",
        ],
    ),
    (
        "verify",
        &[
            "telecine verify",
            "telecine verify --allow their-videos.csv",
            "telecine verify --out-dir reports --json",
        ],
    ),
    (
        "recover",
        &["telecine recover archive.csv", "telecine recover 'archive/*.csv' --unmarked-are-not-ours"],
    ),
    (
        "ledger",
        &[
            "telecine ledger backup ledger-backup.db",
            "telecine ledger check",
            "telecine ledger copy state/telecine.db copy.db",
        ],
    ),
    ("reconcile", &["telecine reconcile", "telecine reconcile --no-wait --json"]),
    (
        "check",
        &[
            "telecine check archive.csv",
            "telecine check archive.csv --probe",
            "telecine check 'archive/*.csv' --strict",
            "telecine check s3://archive/2019/ --exclude 'raw/*'",
        ],
    ),
    ("guess", &["telecine guess archive.csv", "telecine guess archive.csv --write telecine.toml"]),
    ("preview", &["telecine preview archive.csv -n 5", "telecine preview archive.csv --map url=link"]),
    ("config", &["telecine config", "telecine config quota --all"]),
    (
        "acknowledge",
        &[
            "telecine acknowledge --all --why 'the archive has no better copies'",
            "telecine acknowledge --state failed --reason codec",
        ],
    ),
    ("init", &["telecine init", "telecine init --name main --key-file memories.key --rate 1/s"]),
    ("doctor", &["telecine doctor", "telecine doctor --sandbox"]),
    (
        "schedule",
        &[
            "telecine schedule cron -- import archive.csv --cron --for 5h",
            "telecine schedule systemd --at 01:30 -- import archive.csv --cron",
        ],
    ),
    ("completions", &["telecine completions bash", "telecine completions zsh"]),
    ("man", &["telecine man", "telecine man --dir man1"]),
    ("version", &["telecine version", "telecine version --json"]),
    (
        "sandbox",
        &[
            "telecine sandbox --rate 1/s --cap 120/2h",
            "telecine sandbox --fault-share 0.2 --listen 127.0.0.1:9000",
        ],
    ),
];

/// Whether these arguments ask for the long help.
pub(super) fn is_long(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--help")
        || arguments.get(1).is_some_and(|first| first == "help")
}

/// The command line with its help texts. Variables, defaults and values of each flag are shown in the long help only.
pub(super) fn with_help(command: Command, is_long: bool) -> Command {
    let exit_codes = exit_codes();
    let long_end = format!(
        "Each flag can also be set by its variable, or in telecine.toml: see `telecine config`.\n\n{exit_codes}"
    );
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let groups = grouped(&command);
    let command = command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
        ))
        .after_help("Start with: telecine import manifests/sample.csv --sandbox\nFlags of a command: telecine COMMAND -h\n\
             Also: completions, man, version")
        .after_long_help(format!("{exit_codes}\n\nAlso: completions, man, version"));
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(&name, |sub| {
            let examples = examples_of(&name);
            with_flags(
                sub,
                EVERYDAY.iter().find(|(known, _)| *known == name).map(|(_, flags)| *flags),
                is_long,
            )
            .after_help(format!("{examples}\n\nAll flags and the exit codes: telecine {name} --help"))
            .after_long_help(format!("{examples}\n\n{long_end}"))
        })
    })
}

/// The commands by task, a line each.
fn grouped(command: &Command) -> String {
    let width = command.get_subcommands().map(|sub| sub.get_name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for (task, names) in GROUPS {
        let _ = writeln!(text, "{task}:");
        for sub in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            // one sentence fits on a line
            let about = about.split(". ").next().unwrap_or_default();
            let _ = writeln!(text, "  {:<width$}  {about}", sub.get_name());
        }
        text.push('\n');
    }
    text
}

fn with_flags(command: Command, everyday: Option<&[&str]>, is_long: bool) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| {
        let is_rare = arg
            .get_long()
            .is_some_and(|long| everyday.is_some_and(|everyday| !everyday.contains(&long)) && long != "help");
        let arg = arg.hide_env(!is_long).hide_short_help(is_rare);
        // few flags need no headings
        let arg = if everyday.is_some() && !is_long { arg.help_heading(None) } else { arg };
        if arg.get_action().takes_values() {
            arg.hide_default_value(!is_long).hide_possible_values(!is_long)
        } else {
            arg
        }
    });
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(&name, |sub| with_flags(sub, None, is_long)))
}

fn examples_of(name: &str) -> String {
    let examples =
        EXAMPLES.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, examples)| *examples);
    let lines: Vec<String> = examples.iter().map(|example| format!("  {example}")).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

fn exit_codes() -> String {
    let lines: Vec<String> =
        ExitCode::ALL.iter().map(|code| format!("  {:>3}  {}", code.number(), code.meaning())).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_everyday_flag_exists_and_every_command_has_an_example_that_parses() {
        let command = super::super::Cli::command();
        for (name, flags) in EVERYDAY {
            let sub = command.find_subcommand(name).unwrap();
            for flag in *flags {
                assert!(sub.get_arguments().any(|arg| arg.get_long() == Some(flag)), "{name}: --{flag}");
            }
        }
        for sub in command.get_subcommands() {
            let found = EXAMPLES.iter().find(|(name, _)| *name == sub.get_name());
            let (_, examples) = found.unwrap_or_else(|| panic!("{} has no example", sub.get_name()));
            for example in *examples {
                let arguments = example.replace('\'', "");
                let parsed = command.clone().try_get_matches_from(split(example));
                assert!(parsed.is_ok(), "{arguments}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn every_command_is_in_one_group_of_the_top_help_and_there_are_few() {
        let command = super::super::Cli::command();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        // those that only packagers need are hidden, and `version`, beside which there is `--version`
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        let mut names: Vec<&str> = shown.map(Command::get_name).collect();
        grouped.sort_unstable();
        names.sort_unstable();
        assert_eq!(grouped, names, "each command belongs to one group");
        assert!(names.len() <= COMMANDS_MAX, "{} commands", names.len());
        let help = with_help(command.clone(), false).render_help().to_string();
        for name in names {
            let lines = help.lines().filter(|line| line.starts_with(&format!("  {name} "))).count();
            assert_eq!(lines, 1, "{name}:\n{help}");
        }
        assert!(
            help.contains("\nSet up:\n") && help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }

    /// More commands would not fit on a screen.
    const COMMANDS_MAX: usize = 26;

    /// The arguments of a command; single quotes keep a word together.
    fn split(example: &str) -> Vec<String> {
        let mut arguments = vec![String::new()];
        let mut is_quoted = false;
        for c in example.chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => arguments.push(String::new()),
                _ => arguments.last_mut().unwrap().push(c),
            }
        }
        arguments
    }

    #[test]
    fn the_short_help_of_import_fits_on_two_screens_and_begins_with_the_manifest() {
        let command = with_help(super::super::Cli::command(), false);
        for (width, lines_max) in [(80, 48), (100, 60)] {
            let mut command = command.clone().term_width(width);
            command.build();
            let text = command.find_subcommand_mut("import").unwrap().render_help().to_string();
            let lines = text.lines().count();
            assert!(lines <= lines_max, "{lines} lines at {width} columns:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(text.find("<MANIFEST>...  ") < text.find("--map"), "{text}");
        }
    }
}
