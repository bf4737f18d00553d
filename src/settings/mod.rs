//! Settings that are not on the command line: each is the default of the flag it is named after.
//!
//! Precedence: flag, variable, `telecine.toml` of the folder (or `--config`), the user's `telecine/config.toml`, the limits in
//! the ledger (`quota set`), the defaults of telecine. In one file `[account.NAME]` comes before
//! `[manifest."PATH"]`, that before `[command]`, and all before the top level.

pub mod credentials;
mod file;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind, parser::ValueSource};

use self::file::{FileSetting, Scope, SettingValue, SettingsFile};
use crate::error::Error;

/// The project's file.
const PROJECT_FILE: &str = "telecine.toml";
/// The user's, below the folder for configurations.
const USER_FILE: &str = "telecine/config.toml";
/// Flags that select settings. They are not settings themselves, but for `account` at the top level of a file.
const CHOOSERS: &[&str] = &["config", "account", "help", "version"];
/// Pairs that settings must not combine, beside those that conflict on a command line: the sandbox has its own ledger.
const APART: &[(&str, &str)] = &[("ledger", "sandbox"), ("rate", "sandbox"), ("cap", "sandbox")];
/// `quota set` keeps what its command line gives, not what files contain. It takes only these settings from files.
const FOR_QUOTA_SET: &[&str] = &["ledger", "json"];
/// It runs a program, and so is accepted only from a file that no other user can write.
const COMMAND_KEY: &str = "key-command";

/// A setting in force, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct EffectiveSetting {
    /// The long flag.
    pub(crate) key: String,
    /// `telecine.toml:3`.
    pub(crate) origin: String,
}

/// The command line with settings as its defaults, and what they are.
pub(crate) struct ResolvedSettings {
    pub(crate) command: Command,
    pub(crate) effective: Vec<EffectiveSetting>,
    /// What the user should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// The command line before settings are read, and its matches.
pub(crate) struct SettingsRequest<'a> {
    pub(crate) command: Command,
    pub(crate) matches: &'a ArgMatches,
    pub(crate) arguments: &'a [OsString],
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Reads the files and makes their settings the defaults of the flags.
pub(crate) fn resolve(request: SettingsRequest<'_>) -> Result<ResolvedSettings, Error> {
    let SettingsRequest { command, matches, arguments, variable } = request;
    let mut notes = Vec::new();
    let files = files(matches.get_one::<PathBuf>("config").map(PathBuf::as_path), variable, &mut notes)?;
    let mut chain = Vec::new();
    let mut deepest = matches;
    while let Some((name, inside)) = deepest.subcommand() {
        chain.push(name.to_owned());
        deepest = inside;
    }
    for file in &files {
        for setting in &file.settings {
            check_key(&command, file, setting)?;
        }
    }
    let account = account(&files, matches)?;
    let manifests: Vec<String> = match deepest.try_get_many::<String>("manifests") {
        Ok(Some(manifests)) => manifests.cloned().collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let mut effective =
        Defaults { command, matches, arguments, chain, effective: Vec::new(), set: BTreeSet::new() };
    for file in &files {
        let sections = sections_of(file, &manifests, &mut notes)?;
        for scope in scopes(account.as_deref(), sections, effective.chain.first()) {
            for setting in file.settings.iter().filter(|setting| setting.scope == scope) {
                effective.take(file, setting)?;
            }
        }
    }
    if let Some(account) = account {
        let value = SettingValue::Texts(vec![format!("state/telecine-{account}.db")]);
        effective.try_set("ledger", &value, &format!("the account {account}"))?;
    }
    let Defaults { command, effective, .. } = effective;
    Ok(ResolvedSettings { command, effective, notes })
}

/// The existing files, by precedence.
fn files(
    given: Option<&Path>,
    variable: &dyn Fn(&str) -> Option<OsString>,
    notes: &mut Vec<String>,
) -> Result<Vec<SettingsFile>, Error> {
    let missing = |path: &Path| Error::Usage(format!("--config {}: there is no such file", path.display()));
    let nearest = match given {
        Some(path) => Some(SettingsFile::open(path)?.ok_or_else(|| missing(path))?),
        None => SettingsFile::open(Path::new(PROJECT_FILE))?,
    };
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    let users =
        folder.map(|folder| SettingsFile::open_users(&folder.join(USER_FILE), notes)).transpose()?.flatten();
    Ok(nearest.into_iter().chain(users).collect())
}

/// The selected account; a file must define it.
fn account(files: &[SettingsFile], matches: &ArgMatches) -> Result<Option<String>, Error> {
    let given = matches.get_one::<String>("account").cloned();
    let settings = || files.iter().flat_map(|file| &file.settings);
    let Some(name) = given.or_else(|| {
        settings().find(|setting| setting.scope == Scope::All && setting.key == "account").and_then(
            |setting| match &setting.value {
                SettingValue::Texts(texts) => texts.first().cloned(),
                SettingValue::Switch(_) => None,
            },
        )
    }) else {
        return Ok(None);
    };
    let known: BTreeSet<&str> = files.iter().flat_map(SettingsFile::accounts).collect();
    if known.contains(name.as_str()) {
        return Ok(Some(name));
    }
    let known = if known.is_empty() {
        format!(
            "no settings file defines an account; add a table [account.{}] to {PROJECT_FILE}",
            clean(&name)
        )
    } else {
        format!("known accounts: {}", known.into_iter().map(clean).collect::<Vec<_>>().join(", "))
    };
    Err(Error::Usage(format!("there is no account {}: {known}", clean(&name))))
}

fn clean(text: &str) -> String {
    crate::redact::clean(text)
}

/// The tables of a file that hold for the manifests given. Each must hold for all of them or for none: one command reads
/// them in one way.
fn sections_of(
    file: &SettingsFile,
    manifests: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<Scope>, Error> {
    let mut sections = Vec::new();
    let path = file.path.display();
    for (pattern, line) in file.manifests() {
        let (own, others): (Vec<&String>, Vec<&String>) =
            manifests.iter().partition(|manifest| file.means(pattern, manifest));
        match (&own[..], &others[..]) {
            ([], _) => {}
            (_, []) => sections.push(Scope::Manifest(pattern.to_owned())),
            (_, [other, ..]) => {
                return Err(Error::Usage(format!(
                    "{path}:{line}: [manifest.\"{}\"] does not say how to read {}; give it to a command of its own",
                    clean(pattern),
                    clean(other)
                )));
            }
        }
    }
    if let (true, Some((pattern, _)), Some(manifest)) =
        (sections.is_empty(), file.manifests().first(), manifests.first())
    {
        notes.push(format!(
            "{path} says how to read {}, and nothing of how to read {}",
            clean(pattern),
            clean(manifest)
        ));
    }
    Ok(sections)
}

/// The scopes of one file, by precedence.
fn scopes(account: Option<&str>, sections: Vec<Scope>, command: Option<&String>) -> Vec<Scope> {
    let account = account.map(|name| Scope::Account(name.to_owned()));
    let own = command.map(|name| Scope::Command(name.clone()));
    if command.is_some_and(|name| name == "sandbox") {
        // the sandbox is not a client of an account, and its --rate is what it allows
        return own.into_iter().collect();
    }
    account.into_iter().chain(sections).chain(own).chain([Scope::All]).collect()
}

/// A key that no command knows is an error.
fn check_key(command: &Command, file: &SettingsFile, setting: &FileSetting) -> Result<(), Error> {
    let known = match &setting.scope {
        Scope::All if setting.key == "account" => return Ok(()),
        // a table without settings of its own
        Scope::Account(_) | Scope::Manifest(_) if setting.key.is_empty() => return Ok(()),
        Scope::All | Scope::Account(_) | Scope::Manifest(_) => keys_of(command),
        Scope::Command(name) => {
            let Some(sub) = command.find_subcommand(name) else {
                let what = format!("[{}] is not a command of telecine, and not [account.NAME]", clean(name));
                return Err(at(file, setting, &what));
            };
            keys_of(sub)
        }
    };
    if known.contains(&setting.key) {
        return Ok(());
    }
    let mut what = format!("{} is not a flag", clean(&setting.key));
    if setting.key.contains("key") {
        what.push_str("; the API key itself cannot be in a settings file: use key-file or key-command");
    } else if let Some(near) = known.iter().find(|known| is_near(known, &setting.key)) {
        what = format!("{what}; did you mean {near}?");
    }
    Err(at(file, setting, &what))
}

fn at(file: &SettingsFile, setting: &FileSetting, what: &str) -> Error {
    Error::Usage(format!("{}:{}: {what}", file.path.display(), setting.line))
}

/// The long flags of a command and of those below it.
fn keys_of(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_long).map(str::to_owned);
    let below = command.get_subcommands().flat_map(keys_of);
    own.chain(below).filter(|key| !CHOOSERS.contains(&key.as_str())).collect()
}

/// The same without separators, or one is the beginning of the other.
fn is_near(known: &str, key: &str) -> bool {
    let bare = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let (known, key) = (bare(known), bare(key));
    known == key || (key.len() > 2 && (known.starts_with(&key) || key.starts_with(&known)))
}

/// Defaults as they are collected, by precedence.
struct Defaults<'a> {
    command: Command,
    matches: &'a ArgMatches,
    arguments: &'a [OsString],
    /// `quota set` as `["quota", "set"]`.
    chain: Vec<String>,
    effective: Vec<EffectiveSetting>,
    /// The flags that have a default from a file.
    set: BTreeSet<String>,
}

impl Defaults<'_> {
    fn take(&mut self, file: &SettingsFile, setting: &FileSetting) -> Result<(), Error> {
        if CHOOSERS.contains(&setting.key.as_str()) || setting.key.is_empty() {
            return Ok(());
        }
        if setting.key == COMMAND_KEY && !file.is_ours_alone() {
            let what = "a key-command is accepted only from a file that you own and that no other user can write: chmod go-w";
            return Err(at(file, setting, what));
        }
        let origin = format!("{}:{}", file.path.display(), setting.line);
        self.try_set(&setting.key, &setting.value, &origin)
    }

    /// Makes the value the default of the flag, on each level of the command that has it, unless something with precedence
    /// excludes it.
    fn try_set(&mut self, key: &str, value: &SettingValue, origin: &str) -> Result<(), Error> {
        for depth in 0..=self.chain.len() {
            let Some(arg) = self.flag(depth, key) else { continue };
            let shown: Vec<String> = texts_of(value).iter().map(|text| shown(key, text)).collect();
            let shown = shown.join(",");
            let error = |what: &str| Error::Usage(format!("{origin}: {key} = {shown}: {what}"));
            let values = match (value, arg.get_action()) {
                (SettingValue::Switch(is_on), ArgAction::SetTrue) => vec![is_on.to_string()],
                (SettingValue::Switch(_), _) => {
                    return Err(error("this flag takes a value, not true or false"));
                }
                (SettingValue::Texts(_), ArgAction::SetTrue) => {
                    return Err(error("this flag is true or false"));
                }
                (SettingValue::Texts(texts), _) => texts.clone(),
            };
            let id = arg.get_id().to_string();
            let with = change_at(self.command.clone(), &self.chain[..depth], &|command| {
                command.mut_arg(&id, |arg| arg.default_values(values.clone()))
            });
            if let Err(refused) = with.clone().try_get_matches_from(self.arguments)
                && refused.use_stderr()
                && refused.kind() != ErrorKind::MissingRequiredArgument
            {
                return Err(error(&first_line(&refused)));
            }
            let is_turned_off =
                matches!(arg.get_action(), ArgAction::SetTrue) && !arg.get_default_values().is_empty();
            let is_kept = depth == 2 && self.chain[1] == "set" && !FOR_QUOTA_SET.contains(&key);
            if is_kept || is_turned_off || self.set.contains(key) || self.is_excluded(depth, &arg) {
                continue;
            }
            self.command = with;
            self.set.insert(key.to_owned());
            self.effective.push(EffectiveSetting { key: key.to_owned(), origin: origin.to_owned() });
        }
        Ok(())
    }

    fn flag(&self, depth: usize, key: &str) -> Option<Arg> {
        let mut command = &self.command;
        for name in &self.chain[..depth] {
            command = command.find_subcommand(name)?;
        }
        command.get_arguments().find(|arg| arg.get_long() == Some(key)).cloned()
    }

    /// Whether the command line, a variable or a setting with precedence conflicts with this flag.
    fn is_excluded(&self, depth: usize, arg: &Arg) -> bool {
        let mut command = self.command.clone();
        command.build();
        let (mut inside, mut level) = (&command, self.matches);
        for name in &self.chain[..depth] {
            let (Some(sub), Some((_, matches))) = (inside.find_subcommand(name), level.subcommand()) else {
                return false;
            };
            (inside, level) = (sub, matches);
        }
        let is_given = |other: &Arg| {
            let source = level.value_source(other.get_id().as_str());
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
                && (other.get_action().takes_values() || level.get_flag(other.get_id().as_str()))
        };
        let key = arg.get_long().unwrap_or_default();
        let conflict = |one: &Arg, other: &Arg| {
            inside.get_arg_conflicts_with(one).iter().any(|conflict| conflict.get_id() == other.get_id())
        };
        inside.get_arguments().any(|other| {
            let long = other.get_long().unwrap_or_default();
            if other.get_id() == arg.get_id() {
                return false;
            }
            let is_apart = APART.contains(&(key, long)) || conflict(arg, other) || conflict(other, arg);
            is_apart && (is_given(other) || self.set.contains(long))
        })
    }
}

fn texts_of(value: &SettingValue) -> Vec<String> {
    match value {
        SettingValue::Switch(is_on) => vec![is_on.to_string()],
        SettingValue::Texts(texts) => texts.clone(),
    }
}

/// Changes the command at the end of a chain.
fn change_at(command: Command, chain: &[String], change: &dyn Fn(Command) -> Command) -> Command {
    match chain.split_first() {
        None => change(command),
        Some((name, rest)) => command.mut_subcommand(name, |sub| change_at(sub, rest, change)),
    }
}

/// The message of clap, without its heading and its advice.
fn first_line(refused: &clap::Error) -> String {
    let text = refused.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    line.split_once(": ").map_or(line, |(_, why)| why).to_owned()
}

/// A value as it may be printed.
pub(crate) fn shown(key: &str, value: &str) -> String {
    match key {
        COMMAND_KEY => "…".to_owned(),
        "api-url" => crate::redact::url(value),
        _ => crate::redact::clean(value),
    }
}
