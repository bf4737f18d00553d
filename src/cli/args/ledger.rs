//! Flags that select the ledger, and where it is without them.
//!
//! Without a flag the ledger is in `state` beside the `telecine.toml` in use, else beside the manifest. It does not depend on
//! the current folder: the same command in another folder must not begin a second ledger. Commands without a manifest find the
//! ledger in the registry of the user.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    app::Destination,
    error::Error,
    ledger::{registered_ledger, registered_ledgers},
    report,
    settings::{PROJECT_FILE, credentials},
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

/// Where the ledger is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Ledger")]
pub(in crate::cli) struct LedgerArgs {
    /// The ledger file [default: state/telecine.db beside telecine.toml, else beside the manifest].
    ///
    /// It is an SQLite file that records every row and every request. One account has one ledger: if another ledger of yours
    /// serves the account already, an import without this flag uses that one. Commands without a manifest use the ledger in
    /// state/ of the current folder, else the only one that you have. With --sandbox the name is sandbox.db.
    #[arg(long, value_name = "PATH", env = "TELECINE_LEDGER")]
    pub(in crate::cli) ledger: Option<PathBuf>,
}

/// Whose ledger it is.
pub(in crate::cli) struct LedgerOwner<'a> {
    pub(in crate::cli) destination: &'a Destination,
    pub(in crate::cli) key_digest: [u8; 32],
}

impl LedgerArgs {
    /// The ledger of a command that names no manifest.
    pub(in crate::cli) fn path(&self, target: Target) -> Result<PathBuf, Error> {
        let here = Path::new(FOLDER).join(file_name(target));
        if let Some(ledger) = &self.ledger {
            return Ok(ledger.clone());
        }
        if here.exists() {
            return Ok(here);
        }
        match &registered(target)[..] {
            [] => Ok(here),
            [only] => Ok(only.clone()),
            several => {
                let listed: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
                Err(Error::Usage(format!(
                    "there is no ledger at {}, and you have several: name one with --ledger: {}",
                    here.display(),
                    listed.join(", ")
                )))
            }
        }
    }

    /// The ledger of a command that reads these manifests and sends nothing.
    pub(in crate::cli) fn of_manifests(&self, target: Target, manifests: &[String]) -> PathBuf {
        self.or_default(target, manifests, || match &registered(target)[..] {
            [only] => Some(only.clone()),
            [] | [_, _, ..] => None,
        })
    }

    /// The ledger into which these manifests are imported.
    pub(in crate::cli) fn of_import(&self, manifests: &[String], owner: &LedgerOwner<'_>) -> PathBuf {
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
        let place = || beside(Target::Sandbox, manifests).with_file_name(format!("sandbox-{account}.db"));
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
        registered: impl FnOnce() -> Option<PathBuf>,
    ) -> PathBuf {
        if let Some(ledger) = &self.ledger {
            return ledger.clone();
        }
        let beside = beside(target, manifests);
        if beside.exists() {
            return beside;
        }
        registered().unwrap_or(beside)
    }
}

/// The flags with which a command in this folder finds a ledger, with a blank before them. Empty: it needs none.
pub(in crate::cli) fn flags_of(target: Target, ledger: &Path) -> String {
    let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let real = |path: &Path| real(path).unwrap_or_else(|_| path.to_path_buf());
    let ledger = real(ledger);
    if ledger != real(&Path::new(FOLDER).join(file_name(target))) {
        return format!(" --ledger {}", report::shell_word(&ledger.display().to_string()));
    }
    match target {
        Target::Service => String::new(),
        Target::Sandbox => " --sandbox".to_owned(),
    }
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
    let chosen = folder.filter(|folder| is_writable(folder)).or_else(of_user);
    chosen.unwrap_or_else(|| PathBuf::from(FOLDER)).join(file_name(target))
}

const fn file_name(target: Target) -> &'static str {
    match target {
        Target::Service => "telecine.db",
        Target::Sandbox => "sandbox.db",
    }
}

/// The ledgers of this user.
fn registered(target: Target) -> Vec<PathBuf> {
    let Some(folder) = credentials::registry_folder(|name| std::env::var_os(name)) else { return Vec::new() };
    let sandbox = Destination::Sandbox.name();
    let is_wanted = |origin: &str| (origin == sandbox) == (target == Target::Sandbox);
    let known = registered_ledgers(&folder).into_iter().filter(|known| is_wanted(&known.origin));
    let mut paths: Vec<PathBuf> = known.map(|known| known.path).collect();
    paths.sort();
    paths.dedup();
    paths
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

    pub(in crate::cli) fn path(&self) -> Result<PathBuf, Error> {
        self.ledger.path(self.target())
    }

    /// The flags with which another command finds this ledger.
    pub(in crate::cli) fn flags(&self, path: &Path) -> String {
        flags_of(self.target(), path)
    }

    /// The ledger of a command that reads these manifests.
    pub(in crate::cli) fn of_manifests(&self, manifests: &[String]) -> PathBuf {
        self.ledger.of_manifests(self.target(), manifests)
    }
}
