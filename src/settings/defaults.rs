//! Settings as the defaults of flags: what a file may set, and what goes before it.

use std::{collections::BTreeSet, ffi::OsString};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind, parser::ValueSource};

use super::{
    CHOOSERS, COMMAND_KEYS, EffectiveSetting, at,
    file::{FileSetting, SettingValue, SettingsFile},
    shown,
};
use crate::error::Error;

/// Pairs that settings must not combine, beside those that conflict on a command line: the sandbox has its own ledger.
const APART: &[(&str, &str)] = &[("ledger", "sandbox"), ("rate", "sandbox"), ("cap", "sandbox")];
/// `quota set` keeps what its command line gives, not what files contain. It takes only these settings from files.
const FOR_QUOTA_SET: &[&str] = &["ledger", "json"];
/// What only a command line or a variable may say: a file must not confirm deletions.
const NEVER_FROM_FILES: &[(&str, &str)] = &[("undo", "yes")];
/// Settings that are paths.
const PATHS: &[&str] = &["ledger", "out-dir", "key-file", "metrics-file", "allow", "files-root"];
/// Rules for fields. Those of a file hold beside those of the command line, for the other fields.
const MAP_KEY: &str = "map";

/// Defaults as they are collected, by precedence.
pub(super) struct Defaults<'a> {
    pub(super) command: Command,
    pub(super) matches: &'a ArgMatches,
    pub(super) arguments: &'a [OsString],
    /// `quota set` as `["quota", "set"]`.
    pub(super) chain: Vec<String>,
    pub(super) effective: Vec<EffectiveSetting>,
    /// The flags that have a default from a file.
    pub(super) set: BTreeSet<String>,
    /// Arguments that hold beside those of the command line.
    pub(super) added: Vec<OsString>,
}

impl Defaults<'_> {
    pub(super) fn take(&mut self, file: &SettingsFile, setting: &FileSetting) -> Result<(), Error> {
        if CHOOSERS.contains(&setting.key.as_str()) || setting.key.is_empty() {
            return Ok(());
        }
        if COMMAND_KEYS.contains(&setting.key.as_str()) && !file.is_ours_alone() {
            let what = format!(
                "{} is accepted only from a file that you own and that no other user can write: chmod go-w",
                setting.key
            );
            return Err(at(file, setting, &what));
        }
        let origin = format!("{}:{}", file.path.display(), setting.line);
        self.try_set(&setting.key, &from_folder_of(file, setting), &origin)
    }

    /// Makes the value the default of the flag, on each level of the command that has it, unless something with precedence
    /// excludes it.
    pub(super) fn try_set(&mut self, key: &str, value: &SettingValue, origin: &str) -> Result<(), Error> {
        let command = self.chain.first().map(String::as_str);
        if NEVER_FROM_FILES.iter().any(|(own, never)| command == Some(own) && key == *never) {
            return Ok(());
        }
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
            match self.given(depth, &id) {
                Some(given) if key == MAP_KEY => self.added = rules_beside(&given, &values),
                _ => self.command = with,
            }
            self.set.insert(key.to_owned());
            self.effective.push(EffectiveSetting { key: key.to_owned(), origin: origin.to_owned() });
        }
        Ok(())
    }

    /// The values of a flag on the command line or in its variable, with `--flag` where they must be written out again.
    fn given(&self, depth: usize, id: &str) -> Option<GivenRules> {
        let mut level = self.matches;
        for _ in 0..depth {
            level = level.subcommand()?.1;
        }
        let source = level.value_source(id)?;
        let is_variable = source == ValueSource::EnvVariable;
        if !is_variable && source != ValueSource::CommandLine {
            return None;
        }
        let rules = level.get_raw(id)?.map(|rule| rule.to_string_lossy().into_owned()).collect();
        Some(GivenRules { rules, is_variable })
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

/// The value of a setting. A relative path starts at the folder of its file, so that a settings file means the same in every
/// folder.
fn from_folder_of(file: &SettingsFile, setting: &FileSetting) -> SettingValue {
    match (&setting.value, file.path.parent()) {
        (SettingValue::Texts(texts), Some(folder)) if PATHS.contains(&setting.key.as_str()) => {
            let joined = texts.iter().map(|text| folder.join(text).to_string_lossy().into_owned());
            SettingValue::Texts(joined.collect())
        }
        (value, _) => value.clone(),
    }
}

/// Rules for fields that are given outside files.
struct GivenRules {
    rules: Vec<String>,
    is_variable: bool,
}

/// The arguments that add the rules of a file for the fields that no given rule is for.
fn rules_beside(given: &GivenRules, rules: &[String]) -> Vec<OsString> {
    let field = |rule: &str| rule.split('=').next().unwrap_or_default().trim().to_lowercase();
    let is_coordinate = |field: &str| field == "latitude" || field == "longitude";
    let excludes = |own: &str, other: &str| {
        let [own, other] = [own, other].map(field);
        // a place is in one column or in two
        own == other || own == "geo" && is_coordinate(&other) || other == "geo" && is_coordinate(&own)
    };
    let is_other = |rule: &&String| !given.rules.iter().any(|own| excludes(own, rule));
    // an argument takes the place of the variable
    let again = given.rules.iter().filter(|_| given.is_variable);
    let all = again.chain(rules.iter().filter(is_other));
    all.map(|rule| format!("--{MAP_KEY}={rule}").into()).collect()
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
