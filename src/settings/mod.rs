//! Settings that are not on the command line: each is the default of the flag it is named after.
//!
//! Precedence: flag, variable, `telecine.toml` of the folder (or `--config`), the user's `telecine/config.toml`, the limits in
//! the ledger (`quota set`), the defaults of telecine. In one file `[account.NAME]` comes before
//! `[manifest."PATH"]`, that before `[command]`, and all before the top level.

pub mod credentials;
mod defaults;
mod file;
pub(crate) mod network;
mod section;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command};

pub(crate) use self::section::{AddedSection, add_section};
use self::{
    defaults::Defaults,
    file::{FileSetting, Scope, SettingValue, SettingsFile},
};
use crate::{error::Error, suggest};

/// The project's file.
pub(crate) const PROJECT_FILE: &str = "telecine.toml";
/// The user's, below the folder for configurations.
const USER_FILE: &str = "telecine/config.toml";
/// Flags that select settings. They are not settings themselves, but for `account` at the top level of a file.
const CHOOSERS: &[&str] = &["config", "account", "help", "version"];
/// They run a program, and so are accepted only from a file that no other user can write.
const COMMAND_KEYS: &[&str] = &["key-command", "on-end", "source-credentials-command"];
/// Addresses whose path can be a secret.
const SECRET_URL_KEYS: &[&str] = &["ping", "webhook"];

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
    /// The arguments, with the settings that hold beside them.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) effective: Vec<EffectiveSetting>,
    /// What the user should know, a sentence each.
    pub(crate) notes: Vec<String>,
    /// The accounts that the files define.
    pub(crate) accounts: BTreeSet<String>,
}

/// Whose settings hold where neither a flag nor a variable selects an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultAccount {
    /// The account at the top level of a file, if one is there.
    OfFiles,
    /// None.
    Nobody,
}

/// The command line before settings are read, and its matches.
pub(crate) struct SettingsRequest<'a> {
    pub(crate) command: Command,
    pub(crate) matches: &'a ArgMatches,
    pub(crate) arguments: &'a [OsString],
    pub(crate) default_account: DefaultAccount,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The manifests that a file of rows names as theirs, where telecine wrote it.
    pub(crate) sources_of: &'a dyn Fn(&str) -> Vec<String>,
}

/// Reads the files and makes their settings the defaults of the flags.
pub(crate) fn resolve(request: SettingsRequest<'_>) -> Result<ResolvedSettings, Error> {
    let SettingsRequest { command, matches, arguments, default_account, variable, sources_of } = request;
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
    let account = account(&files, matches, default_account)?;
    let manifests: Vec<String> = match deepest.try_get_many::<String>("manifests") {
        Ok(Some(manifests)) => manifests.cloned().collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let has_sections = files.iter().any(|file| !file.manifests().is_empty());
    let sources_of = |manifest: &String| if has_sections { sources_of(manifest) } else { Vec::new() };
    let manifests: Vec<ReadManifest> =
        manifests.into_iter().map(|path| ReadManifest { sources: sources_of(&path), path }).collect();
    let mut effective = Defaults {
        command,
        matches,
        arguments,
        chain,
        effective: Vec::new(),
        set: BTreeSet::new(),
        added: Vec::new(),
    };
    for file in &files {
        let sections = sections_of(file, &manifests, &mut notes)?;
        for scope in scopes(account.as_deref(), sections, effective.chain.first()) {
            for setting in file.settings.iter().filter(|setting| setting.scope == scope) {
                effective.take(file, setting)?;
            }
        }
    }
    if let Some(account) = account {
        // the ledger of an account is beside the file that defines it, or in the user's state folder for the user's file
        let own = files.iter().find(|file| file.accounts().any(|name| name == account));
        let beside = own.filter(|file| !file.path.ends_with(USER_FILE));
        let folder = beside.map(|file| file.path.with_file_name("state"));
        let folder = folder.or_else(|| credentials::state_folder(variable)).unwrap_or_else(|| "state".into());
        let path = folder.join(format!("telecine-{account}.db")).to_string_lossy().into_owned();
        effective.try_set("ledger", &SettingValue::Texts(vec![path]), &format!("the account {account}"))?;
    }
    let Defaults { command, effective, added, .. } = effective;
    let mut arguments = arguments.to_vec();
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.splice(end..end, added);
    let accounts = files.iter().flat_map(SettingsFile::accounts).map(str::to_owned).collect();
    Ok(ResolvedSettings { command, arguments, effective, notes, accounts })
}

/// The accounts that the file of the folder defines, or else the given one. A file that cannot be read has been refused before.
pub(crate) fn account_names(config: Option<&Path>) -> BTreeSet<String> {
    let file = SettingsFile::open(config.unwrap_or(Path::new(PROJECT_FILE))).ok().flatten();
    file.iter().flat_map(SettingsFile::accounts).map(str::to_owned).collect()
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
fn account(
    files: &[SettingsFile],
    matches: &ArgMatches,
    default_account: DefaultAccount,
) -> Result<Option<String>, Error> {
    let given = matches.get_one::<String>("account").cloned();
    let mut settings =
        files.iter().flat_map(|file| &file.settings).filter(|_| default_account == DefaultAccount::OfFiles);
    let Some(name) = given.or_else(|| {
        settings.find(|setting| setting.scope == Scope::All && setting.key == "account").and_then(|setting| {
            match &setting.value {
                SettingValue::Texts(texts) => texts.first().cloned(),
                SettingValue::Switch(_) => None,
            }
        })
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

/// A manifest of the command line.
struct ReadManifest {
    path: String,
    /// The manifests that its rows come from, where telecine wrote it.
    sources: Vec<String>,
}

impl ReadManifest {
    /// Whether a pattern means it, or all the manifests that its rows come from.
    fn is_meant_by(&self, file: &SettingsFile, pattern: &str) -> bool {
        let is_of_sources =
            || !self.sources.is_empty() && self.sources.iter().all(|source| file.means(pattern, source));
        file.means(pattern, &self.path) || is_of_sources()
    }
}

/// The tables of a file that hold for the manifests given. Each must hold for all of them or for none: one command reads
/// them in one way.
fn sections_of(
    file: &SettingsFile,
    manifests: &[ReadManifest],
    notes: &mut Vec<String>,
) -> Result<Vec<Scope>, Error> {
    let mut sections = Vec::new();
    let path = file.path.display();
    for (pattern, line) in file.manifests() {
        let (own, others): (Vec<&ReadManifest>, Vec<&ReadManifest>) =
            manifests.iter().partition(|manifest| manifest.is_meant_by(file, pattern));
        match (&own[..], &others[..]) {
            ([], _) => {}
            (_, []) => sections.push((pattern, Scope::Manifest(pattern.to_owned()))),
            (_, [other, ..]) => {
                return Err(Error::Usage(format!(
                    "{path}:{line}: [manifest.\"{}\"] does not say how to read {}; give it to a command of its own",
                    clean(pattern),
                    clean(&other.path)
                )));
            }
        }
    }
    // the name of a file goes before a pattern, and a longer pattern before a shorter one
    sections.sort_by_key(|(pattern, _)| (pattern.contains(['*', '?', '[']), Reverse(pattern.len())));
    let sections: Vec<Scope> = sections.into_iter().map(|(_, scope)| scope).collect();
    if let (true, Some((pattern, _)), Some(manifest)) =
        (sections.is_empty(), file.manifests().first(), manifests.first())
    {
        notes.push(format!(
            "{path} says how to read {}, and nothing of how to read {}",
            clean(pattern),
            clean(&manifest.path)
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
                let tables = ["account", "manifest"].map(|name| (name, format!("[{name}.NAME]")));
                let commands =
                    command.get_subcommands().map(|sub| (sub.get_name(), format!("[{}]", sub.get_name())));
                let tables: BTreeMap<&str, String> = tables.into_iter().chain(commands).collect();
                let near = suggest::nearest(name, tables.keys().copied());
                let hint = near.map(|near| format!("; did you mean {}?", tables[near])).unwrap_or_default();
                let what =
                    format!("[{}] is not a command of telecine, and not [account.NAME]{hint}", clean(name));
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
    } else if let Some(near) = suggest::nearest(&setting.key, known.iter().map(String::as_str)) {
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

/// A value as it may be printed.
pub(crate) fn shown(key: &str, value: &str) -> String {
    match key {
        _ if COMMAND_KEYS.contains(&key) || SECRET_URL_KEYS.contains(&key) => "…".to_owned(),
        "api-url" => crate::redact::url(value),
        _ => crate::redact::clean(value),
    }
}
