//! One file of settings: TOML whose keys are the long flags, at the top, in `[command]`, in `[account.NAME]`, or in
//! `[manifest."PATH"]`.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{error::Error, suggest};

/// The table of accounts.
const ACCOUNTS: &str = "account";
/// The table of manifests.
const MANIFESTS: &str = "manifest";

/// How the parser says that a value has no quotes.
const UNQUOTED: &str = "string values must be quoted";

/// How it says that a key is there twice.
const DUPLICATE: &str = "duplicate key";

/// Where a setting holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For every command that has such a flag.
    All,
    /// For one command.
    Command(String),
    /// For every command, with `--account` of this name.
    Account(String),
    /// For every command that reads this manifest: a path, or a pattern such as `archive/*.csv`.
    Manifest(String),
}

/// One key and what it is set to.
#[derive(Clone, Debug)]
pub(crate) struct FileSetting {
    pub(crate) scope: Scope,
    /// A long flag, without its dashes.
    pub(crate) key: String,
    pub(crate) value: SettingValue,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingValue {
    /// For flags that are there or not.
    Switch(bool),
    /// One text or number, or several.
    Texts(Vec<String>),
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    pub(crate) settings: Vec<FileSetting>,
}

impl SettingsFile {
    /// Reads a file; none when there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let text = Self::text_of(path)
            .map_err(|error| Error::Usage(format!("cannot read {}: {error}", path.display())))?;
        text.map(|text| Self::read(path, &text)).transpose()
    }

    /// Reads the user's file. One that may not be read, as in the home of another user, is no reason to stop: a note says it.
    pub(crate) fn open_users(path: &Path, notes: &mut Vec<String>) -> Result<Option<Self>, Error> {
        match Self::text_of(path) {
            Ok(text) => text.map(|text| Self::read(path, &text)).transpose(),
            Err(error) => {
                notes.push(format!("{} cannot be read ({error}); its settings do not apply", path.display()));
                Ok(None)
            }
        }
    }

    /// The text of a file; none when there is no such file.
    pub(crate) fn text_of(path: &Path) -> io::Result<Option<String>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read(path: &Path, text: &str) -> Result<Self, Error> {
        let lines = LineNumbers { path, text };
        let document = DeTable::parse(text).map_err(|error| {
            let what = match error.message() {
                message if message.starts_with(UNQUOTED) => {
                    "a text must be in quotes, such as rate = \"15/s\"".to_owned()
                }
                DUPLICATE => lines.duplicate(error.span().unwrap_or_default()),
                message => clean(message),
            };
            lines.error(error.span().map_or(0, |duration| duration.start), &what)
        })?;
        let mut settings = Vec::new();
        for (key, value) in document.get_ref() {
            match value.get_ref() {
                DeValue::Table(accounts) if key.get_ref() == ACCOUNTS => {
                    lines.collect_named(
                        accounts,
                        "an account is a table, such as [account.main]",
                        Scope::Account,
                        &mut settings,
                    )?;
                }
                DeValue::Table(manifests) if key.get_ref() == MANIFESTS => {
                    let form = "a manifest is a table, such as [manifest.\"archive.csv\"]";
                    lines.collect_named(manifests, form, Scope::Manifest, &mut settings)?;
                }
                // a command has no tables below it
                DeValue::Table(inside)
                    if inside.values().any(|value| matches!(value.get_ref(), DeValue::Table(_))) =>
                {
                    let name = key.get_ref();
                    let form = match suggest::nearest(name, [ACCOUNTS, MANIFESTS]) {
                        Some(MANIFESTS) => "; did you mean [manifest.\"FILE\"]?",
                        Some(_) => "; did you mean [account.NAME]?",
                        None => "; only [account.NAME] and [manifest.\"FILE\"] have names",
                    };
                    let what = format!("[{}] is no known table{form}", clean(name));
                    return Err(lines.error(key.span().start, &what));
                }
                DeValue::Table(inside) => {
                    lines.collect(&Scope::Command(key.get_ref().to_string()), inside, &mut settings)?;
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_) => {
                    settings.push(lines.setting(&Scope::All, key.get_ref(), key.span(), value)?);
                }
            }
        }
        Ok(Self { path: path.to_owned(), settings })
    }

    /// The accounts it names.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter_map(|setting| match &setting.scope {
            Scope::Account(name) => Some(name.as_str()),
            Scope::All | Scope::Command(_) | Scope::Manifest(_) => None,
        })
    }

    /// The manifests it has tables for, each with the line of the first setting.
    pub(crate) fn manifests(&self) -> Vec<(&str, usize)> {
        let mut found: Vec<(&str, usize)> = Vec::new();
        for setting in &self.settings {
            if let Scope::Manifest(pattern) = &setting.scope {
                match found.iter_mut().find(|(known, _)| known == pattern) {
                    // the parser sorts the keys of a table
                    Some((_, line)) => *line = setting.line.min(*line),
                    None => found.push((pattern, setting.line)),
                }
            }
        }
        found
    }

    /// Whether a pattern of this file means this manifest. A relative path begins at the folder of the file.
    pub(crate) fn means(&self, pattern: &str, manifest: &str) -> bool {
        let fits = |pattern: &str, path: &str| {
            glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(path))
        };
        let is_in_folder = || {
            let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = fs::canonicalize(parent.unwrap_or_else(|| Path::new("."))).ok()?;
            // the manifest of a report may be gone
            let manifest = fs::canonicalize(manifest).unwrap_or_else(|_| manifest.into());
            let is_same = folder.join(pattern) == manifest
                || fs::canonicalize(folder.join(pattern)).is_ok_and(|own| own == manifest);
            let below = format!("{}/{pattern}", glob::Pattern::escape(folder.to_str()?));
            Some(is_same || fits(&below, manifest.to_str()?))
        };
        pattern == manifest || fits(pattern, manifest) || is_in_folder().unwrap_or(false)
    }

    /// A command in a file that others may write is theirs, not ours.
    pub(crate) fn is_ours_alone(&self) -> bool {
        const WRITABLE_BY_OTHERS: u32 = 0o022;
        fs::metadata(&self.path).is_ok_and(|found| {
            found.uid() == rustix::process::geteuid().as_raw() && found.mode() & WRITABLE_BY_OTHERS == 0
        })
    }
}

/// A file's text, to say where something is.
struct LineNumbers<'a> {
    path: &'a Path,
    text: &'a str,
}

impl LineNumbers<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The key that stands a second time at `place`, and the line of the first one.
    fn duplicate(&self, place: Range<usize>) -> String {
        let key = self.text.get(place.clone()).unwrap_or_default();
        let is_key = |line: &str| {
            let rest = line.trim_start().trim_start_matches('[').strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with(['=', ']']))
        };
        let before: Vec<&str> = self.text.lines().take(self.line(place.start) - 1).collect();
        let first = before.iter().rposition(|line| is_key(line)).map(|at| format!(" in line {}", at + 1));
        format!("{} is set already{}; keep one of the two", clean(key), first.unwrap_or_default())
    }

    fn error(&self, at: usize, what: &str) -> Error {
        Error::Usage(format!("{}:{}: {what}", self.path.display(), self.line(at)))
    }

    fn collect(
        &self,
        scope: &Scope,
        inside: &DeTable<'_>,
        found: &mut Vec<FileSetting>,
    ) -> Result<(), Error> {
        for (key, value) in inside {
            found.push(self.setting(scope, key.get_ref(), key.span(), value)?);
        }
        Ok(())
    }

    /// The settings of tables that have names. One without settings gives an empty one, so that its name is known.
    fn collect_named(
        &self,
        tables: &DeTable<'_>,
        form: &str,
        scope_of: fn(String) -> Scope,
        found: &mut Vec<FileSetting>,
    ) -> Result<(), Error> {
        for (name, table) in tables {
            let DeValue::Table(inside) = table.get_ref() else {
                return Err(self.error(name.span().start, form));
            };
            let scope = scope_of(name.get_ref().to_string());
            self.collect(&scope, inside, found)?;
            if inside.is_empty() {
                let line = self.line(name.span().start);
                let value = SettingValue::Texts(Vec::new());
                found.push(FileSetting { scope, key: String::new(), value, line });
            }
        }
        Ok(())
    }

    fn setting(
        &self,
        scope: &Scope,
        key: &str,
        duration: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<FileSetting, Error> {
        let setting = |value| FileSetting {
            scope: scope.clone(),
            key: key.to_owned(),
            value,
            line: self.line(duration.start),
        };
        let error = || {
            let what = "expected a text, a number, true or false, or a list of texts and numbers";
            self.error(duration.start, &format!("{}: {what}", clean(key)))
        };
        if let DeValue::Boolean(is_on) = value.get_ref() {
            return Ok(setting(SettingValue::Switch(*is_on)));
        }
        let texts = match value.get_ref().as_array() {
            Some(values) => values.iter().map(|value| scalar(value.get_ref())).collect::<Option<Vec<_>>>(),
            None => scalar(value.get_ref()).map(|text| vec![text]),
        };
        texts.map(|texts| setting(SettingValue::Texts(texts))).ok_or_else(error)
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Datetime(timestamp) => Some(timestamp.to_string()),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn clean(text: &str) -> String {
    crate::redact::clean(text)
}
