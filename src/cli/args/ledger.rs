//! Flags that select the ledger, and where it is without them.
//!
//! Without a flag the ledger is in `state` beside the `telecine.toml` in use, else beside the manifest. It does not depend on
//! the current folder: the same command in another folder must not begin a second ledger. Commands without a manifest find the
//! ledger in the registry of the user, but not where a file of settings holds: it is of another ledger.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{
    ArgMatches, Args, Command, FromArgMatches,
    builder::{OsStringValueParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};

use crate::{
    app::Destination,
    error::Error,
    ledger::{LedgerPlace, registered_ledger, registered_ledgers},
    report,
    settings::{PROJECT_FILE, account_names, credentials},
};

/// The folder of ledgers, below the folder of a settings file or of a manifest.
const FOLDER: &str = "state";

/// Where a run sends its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Target {
    /// To a server.
    Service,
    /// To the sandbox inside this process.
    Sandbox,
}

/// The settings that were chosen by flags or variables. A command that is printed must choose the same.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct ChosenSettings {
    account: Option<String>,
    config: Option<PathBuf>,
    /// Whether a flag or a variable names the ledger, not a file of settings.
    names_ledger: bool,
}

impl ChosenSettings {
    /// The account, if one is chosen.
    pub(in crate::cli) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether a file of settings holds: it says where the ledger is.
    fn has_file(&self) -> bool {
        self.config.is_some() || Path::new(PROJECT_FILE).exists()
    }

    /// `--account NAME --config PATH`, with a blank before each.
    fn flags(&self) -> String {
        let config = self.config.as_ref().map(|path| path.display().to_string());
        let chosen = [("config", config), ("account", self.account.clone())];
        let flag = |(name, value): (&str, Option<String>)| {
            Some(format!(" --{name} {}", report::shell_word(&value?)))
        };
        chosen.into_iter().filter_map(flag).collect()
    }
}

/// A ledger in a new folder would be a second one where the path is misspelt. The default folder is made.
fn refuse_missing_folder(place: &LedgerPlace) -> Result<(), clap::Error> {
    let folder = place.file().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let Some(missing) = folder.filter(|folder| !folder.exists() && !folder.ends_with(FOLDER)) else {
        return Ok(());
    };
    let text = format!(
        "--ledger {place}: the folder {} does not exist; make it, or correct the path\n",
        missing.display()
    );
    Err(clap::Error::raw(ErrorKind::ValueValidation, text))
}

/// The flags themselves are global ones; this reads them.
impl FromArgMatches for ChosenSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // not every command that reads a manifest has the flag
        let source = matches.try_contains_id("ledger").ok().and_then(|_| matches.value_source("ledger"));
        let is_given = matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        if is_given && let Some(place) = matches.get_one::<LedgerPlace>("ledger") {
            refuse_missing_folder(place)?;
        }
        Ok(Self {
            account: matches.try_get_one("account").ok().flatten().cloned(),
            config: matches.try_get_one("config").ok().flatten().cloned(),
            names_ledger: is_given,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ChosenSettings {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

/// Where the ledger is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Ledger")]
pub(in crate::cli) struct LedgerArgs {
    // before the ledger, which is taken out of the matches
    #[command(flatten)]
    pub(in crate::cli) chosen: ChosenSettings,

    /// The ledger, a file or postgres://… [default: state/telecine.db beside telecine.toml, else beside the manifest].
    ///
    /// It is an SQLite file that records every row and every request, or a schema of a PostgreSQL database, such as
    /// postgres://user@host/database?schema=archive, for several machines. The password comes from PGPASSWORD or PGPASSFILE. One account has one ledger: if another ledger of yours
    /// serves the account already, an import without this flag uses that one. Commands without a manifest use the ledger in
    /// state/ of the current folder. Where neither it nor a settings file is there, they use the only ledger that you have.
    /// With --sandbox the name is sandbox.db.
    #[arg(long, value_name = "PATH|URL", env = "TELECINE_LEDGER", value_parser = place())]
    pub(in crate::cli) ledger: Option<LedgerPlace>,
}

/// A path as it is, also one that is no text, or the address of a database.
pub(in crate::cli) fn place() -> impl TypedValueParser<Value = LedgerPlace> {
    OsStringValueParser::new().try_map(|text| LedgerPlace::parse(&text))
}

/// Whose ledger it is.
pub(in crate::cli) struct LedgerOwner<'a> {
    pub(in crate::cli) destination: &'a Destination,
    pub(in crate::cli) key_digest: [u8; 32],
}

impl LedgerArgs {
    /// The ledger of a command that names no manifest.
    pub(in crate::cli) fn path(&self, target: Target) -> Result<LedgerPlace, Error> {
        let here = Path::new(FOLDER).join(file_name(target));
        if let Some(ledger) = &self.ledger {
            return Ok(ledger.clone());
        }
        if here.exists() {
            return Ok(here.into());
        }
        let accounts = account_names(self.chosen.config.as_deref());
        if target == Target::Service && self.chosen.account.is_none() && !accounts.is_empty() {
            return Err(Error::Usage(format!(
                "there is no ledger at {}, and each account of the settings has its own: choose one with --account NAME ({})",
                here.display(),
                accounts.into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
        match &registered(target)[..] {
            [] => Ok(here.into()),
            [only] if !self.chosen.has_file() => Ok(only.clone()),
            others => {
                let listed: Vec<String> = others.iter().map(ToString::to_string).collect();
                Err(Error::Usage(format!(
                    "there is no ledger at {}; it is made by the first import. You have others: name one with --ledger: {}",
                    here.display(),
                    listed.join(", ")
                )))
            }
        }
    }

    /// The same, for a command that changes the ledger. One that the command did not name is said first.
    pub(in crate::cli) fn path_to_change(&self, target: Target) -> Result<LedgerPlace, Error> {
        let path = self.path(target)?;
        if self.ledger.is_none() && path != Path::new(FOLDER).join(file_name(target)).into() {
            // if stderr is closed, there is no reader
            let _ = writeln!(io::stderr(), "ledger: {path}");
        }
        Ok(path)
    }

    /// The ledger of a command that reads these manifests and sends nothing.
    pub(in crate::cli) fn of_manifests(&self, target: Target, manifests: &[String]) -> LedgerPlace {
        self.or_default(target, manifests, || match &registered(target)[..] {
            [only] if !self.chosen.has_file() => Some(only.clone()),
            [] | [_, ..] => None,
        })
    }

    /// The ledger that an import of a manifest in this folder would use. Without an owner, another one of the account is not
    /// found.
    pub(in crate::cli) fn of_next_import(
        &self,
        target: Target,
        owner: Option<&LedgerOwner<'_>>,
    ) -> LedgerPlace {
        // a path in the current folder stands for the manifest
        let here = [".".to_owned()];
        match owner {
            Some(owner) => self.of_import(&here, owner),
            None => self.or_default(target, &here, || None),
        }
    }

    /// The flags with which another command finds this ledger and its account, with a blank before each.
    pub(in crate::cli) fn flags(&self, target: Target, path: &LedgerPlace) -> String {
        let sandbox = if target == Target::Sandbox { " --sandbox" } else { "" };
        let of_account = self.chosen.account.as_ref().map(|account| format!("telecine-{account}.db"));
        let is_of_account = !self.chosen.names_ledger
            && path
                .file()
                .and_then(Path::file_name)
                .is_some_and(|name| of_account.is_some_and(|own| name == &*own));
        let ledger = if is_of_account { String::new() } else { ledger_flag(target, path) };
        format!("{}{sandbox}{ledger}", self.chosen.flags())
    }

    /// The ledger into which these manifests are imported.
    pub(in crate::cli) fn of_import(&self, manifests: &[String], owner: &LedgerOwner<'_>) -> LedgerPlace {
        let target = if owner.destination.is_sandbox() { Target::Sandbox } else { Target::Service };
        self.or_default(target, manifests, || match target {
            Target::Service => {
                let folder = credentials::registry_folder(|name| std::env::var_os(name))?;
                registered_ledger(&folder, &owner.destination.name(), &owner.key_digest)
            }
            Target::Sandbox => None,
        })
    }

    /// Takes the sandbox's own ledger of one account of several, where no flag names one.
    pub(in crate::cli) fn take_sandbox_of(&mut self, account: &str, manifests: &[String]) {
        let place =
            || beside(Target::Sandbox, manifests).with_file_name(format!("sandbox-{account}.db")).into();
        self.ledger.get_or_insert_with(place);
    }

    /// The place of a new ledger beside these manifests, where no flag names one.
    pub(in crate::cli) fn default_place(target: Target, manifests: &[String]) -> PathBuf {
        beside(target, manifests)
    }

    fn or_default(
        &self,
        target: Target,
        manifests: &[String],
        registered: impl FnOnce() -> Option<LedgerPlace>,
    ) -> LedgerPlace {
        if let Some(ledger) = &self.ledger {
            return ledger.clone();
        }
        let beside = beside(target, manifests);
        if beside.exists() {
            return beside.into();
        }
        registered().unwrap_or(beside.into())
    }
}

/// The flag with which a command in this folder finds a ledger, with a blank before it. Empty: it needs none.
fn ledger_flag(target: Target, ledger: &LedgerPlace) -> String {
    let file = ledger.file().map(real);
    if file.as_ref().is_some_and(|file| *file == real(&Path::new(FOLDER).join(file_name(target)))) {
        return String::new();
    }
    let shown = file.map_or_else(|| ledger.to_string(), |file| file.display().to_string());
    format!(" --ledger {}", report::shell_word(&shown))
}

/// A path as the file system has it, or the absolute path of what is not there.
fn real(path: &Path) -> PathBuf {
    let real = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    real.unwrap_or_else(|_| path.to_path_buf())
}

/// The place of a new ledger: beside the settings file in use or the first manifest, or in the user's state folder where
/// nothing can be written there.
fn beside(target: Target, manifests: &[String]) -> PathBuf {
    let manifest = manifests.first().map(Path::new).filter(|manifest| manifest.exists());
    let beside = manifest.and_then(Path::parent).map(|folder| folder.join(FOLDER));
    let folder = if Path::new(PROJECT_FILE).exists() { Some(PathBuf::from(FOLDER)) } else { beside };
    let of_user = || credentials::state_folder(|name| std::env::var_os(name));
    let is_writable = |folder: &Path| {
        let nearest = folder.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
        let nearest = nearest.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK).is_ok()
    };
    // a ledger that is there, or may be there, must not be replaced by a new one elsewhere: to open it says what is wrong
    let may_have_ledger = |folder: &Path| {
        folder.join(file_name(target)).exists()
            || folder.exists() && rustix::fs::access(folder, rustix::fs::Access::EXEC_OK).is_err()
    };
    let chosen = folder.filter(|folder| may_have_ledger(folder) || is_writable(folder)).or_else(of_user);
    chosen.unwrap_or_else(|| PathBuf::from(FOLDER)).join(file_name(target))
}

const fn file_name(target: Target) -> &'static str {
    match target {
        Target::Service => "telecine.db",
        Target::Sandbox => "sandbox.db",
    }
}

/// The ledgers of this user.
fn registered(target: Target) -> Vec<LedgerPlace> {
    let Some(folder) = credentials::registry_folder(|name| std::env::var_os(name)) else { return Vec::new() };
    let sandbox = Destination::Sandbox.name();
    let is_wanted = |origin: &str| (origin == sandbox) == (target == Target::Sandbox);
    let known = registered_ledgers(&folder).into_iter().filter(|known| is_wanted(&known.origin));
    let mut places: Vec<LedgerPlace> = known.filter_map(|known| known.place()).collect();
    places.sort_by_key(ToString::to_string);
    places.dedup();
    places
}

/// Which ledger to read, for commands that do not call the service.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReadOnlyLedgerArgs {
    #[command(flatten)]
    pub(in crate::cli) ledger: LedgerArgs,

    /// Use the ledger of `import --sandbox`.
    #[arg(long, env = "TELECINE_SANDBOX", help_heading = "Ledger")]
    pub(in crate::cli) sandbox: bool,
}

impl ReadOnlyLedgerArgs {
    const fn target(&self) -> Target {
        if self.sandbox { Target::Sandbox } else { Target::Service }
    }

    pub(in crate::cli) fn path(&self) -> Result<LedgerPlace, Error> {
        self.ledger.path(self.target())
    }

    pub(in crate::cli) fn path_to_change(&self) -> Result<LedgerPlace, Error> {
        self.ledger.path_to_change(self.target())
    }

    /// The flags with which another command finds this ledger and its account.
    pub(in crate::cli) fn flags(&self, path: &LedgerPlace) -> String {
        self.ledger.flags(self.target(), path)
    }

    /// The ledgers of this user, if this one is none of them: an account has one ledger. The sandbox has no account.
    pub(in crate::cli) fn others_than(&self, path: &LedgerPlace) -> Vec<String> {
        let known = if self.sandbox { Vec::new() } else { registered(Target::Service) };
        let is_same = |known: &LedgerPlace| match (known.file(), path.file()) {
            (Some(known), Some(path)) => real(known) == real(path),
            _ => known.to_string() == path.to_string(),
        };
        if known.iter().any(is_same) {
            return Vec::new();
        }
        known.iter().map(ToString::to_string).collect()
    }

    /// The ledger of a command that reads these manifests.
    pub(in crate::cli) fn of_manifests(&self, manifests: &[String]) -> LedgerPlace {
        self.ledger.of_manifests(self.target(), manifests)
    }
}
