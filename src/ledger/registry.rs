//! The registry: which ledger serves which account, for this user on this machine.
//!
//! A second ledger of an account does not know what the first one sent, and would send and pay it again. The registry is in
//! the user's own state folder, so the same command in another folder finds the first ledger.
//!
//! An account is known by the service and by a digest of the API key. A state folder that cannot be used weakens a safety net,
//! not a promise: the markers in the library still show what another ledger sent.
//!
//! A ledger that never sent anything yields: it was made by a run that did not find the first one, which may be put back elsewhere.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    LedgerError, LedgerPlace, Snapshot,
    holder::running_process,
    identity::{Identity, SecondLedger},
};
use crate::domain::hex;

/// A ledger of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredLedger {
    /// The service, as scheme, host and port.
    pub origin: String,
    /// The file, as an absolute path, or the address of a database.
    path: String,
}

impl RegisteredLedger {
    /// Where it is. `None`: it is not there any more.
    #[must_use]
    pub fn place(&self) -> Option<LedgerPlace> {
        self.path.parse::<LedgerPlace>().ok().filter(LedgerPlace::may_exist)
    }
}

/// The ledgers of this user that are still there.
#[must_use]
pub fn registered_ledgers(folder: &Path) -> Vec<RegisteredLedger> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let known = entries.flatten().filter_map(|entry| read(&entry.path()).ok().flatten());
    known.filter(|known| known.place().is_some()).collect()
}

/// The ledger that serves an account, if it is still there.
#[must_use]
pub fn registered_ledger(folder: &Path, origin: &str, key_digest: &[u8; 32]) -> Option<LedgerPlace> {
    read(&folder.join(entry_name(origin, key_digest))).ok().flatten()?.place()
}

/// Notes that the accounts of a ledger go on with another one. Returns how many there are.
pub fn follow_ledger(folder: &Path, from: &LedgerPlace, to: &LedgerPlace) -> io::Result<usize> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(0) };
    let mut followed = 0;
    for entry in entries.flatten().map(|entry| entry.path()) {
        let Some(known) =
            read(&entry)?.filter(|known| known.place().is_some_and(|place| is_same(&place, from)))
        else {
            continue;
        };
        write_entry(&entry, &RegisteredLedger { path: to.absolute().to_string(), ..known })?;
        followed += 1;
    }
    Ok(followed)
}

fn write_entry(entry: &Path, content: &RegisteredLedger) -> io::Result<()> {
    let folder = entry.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, content)?;
    file.persist(entry).map(drop).map_err(|error| error.error)
}

fn entry_name(origin: &str, key_digest: &[u8; 32]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("telecine registry of ledgers");
    hasher.update(key_digest).update(origin.as_bytes());
    hex(&hasher.finalize().as_bytes()[..8])
}

fn read(entry: &Path) -> io::Result<Option<RegisteredLedger>> {
    match fs::read_to_string(entry) {
        // what cannot be read is registered again
        Ok(text) => Ok(serde_json::from_str(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The place of one ledger in the registry.
pub(super) struct Registration {
    entry: PathBuf,
    own: RegisteredLedger,
    second_ledger: SecondLedger,
}

impl Registration {
    pub(super) fn new(folder: &Path, identity: &Identity, place: impl Into<LedgerPlace>) -> Self {
        let place = place.into();
        let absolute = place.file().and_then(|path| std::path::absolute(path).ok());
        let path = absolute.map_or_else(|| place.to_string(), |path| path.display().to_string());
        Self {
            entry: folder.join(entry_name(&identity.origin, &identity.key_digest)),
            own: RegisteredLedger { origin: identity.origin.clone(), path },
            second_ledger: identity.second_ledger,
        }
    }

    /// Refuses this ledger if another one serves the account.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.may_register().map(drop)
    }

    /// Registers this ledger. One that is allowed beside the first does not take its place.
    pub(super) fn write(&self) -> Result<(), LedgerError> {
        if self.may_register()?
            && let Err(error) = self.try_write()
        {
            tracing::warn!(%error, "the registry of ledgers could not be written");
        }
        Ok(())
    }

    /// Whether this ledger may be the registered one. An error if another ledger excludes it.
    fn may_register(&self) -> Result<bool, LedgerError> {
        match (self.other(), self.second_ledger) {
            (None, _) | (Some(_), SecondLedger::Replaces) => Ok(true),
            (Some(_), SecondLedger::Allowed) => Ok(false),
            (Some(first), SecondLedger::Refused) => {
                Err(LedgerError::SecondLedger { path: self.own.path.clone(), first: first.path })
            }
        }
    }

    fn try_write(&self) -> io::Result<()> {
        if read(&self.entry)?.as_ref() == Some(&self.own) {
            return Ok(());
        }
        write_entry(&self.entry, &self.own)
    }

    /// Another ledger that serves the account and is still there.
    fn other(&self) -> Option<RegisteredLedger> {
        let known = read(&self.entry)
            .inspect_err(|error| tracing::warn!(%error, "the registry of ledgers could not be read"))
            .ok()
            .flatten()?;
        let (theirs, ours) = (known.place()?, self.own.place());
        let is_other = ours.as_ref().is_none_or(|ours| !is_same(ours, &theirs)) && !yields(&theirs);
        is_other.then_some(known)
    }
}

/// Whether two places are one, by whatever names.
fn is_same(one: &LedgerPlace, other: &LedgerPlace) -> bool {
    let file = |place: &LedgerPlace| {
        place.file().and_then(|path| fs::metadata(path).ok()).map(|meta| (meta.dev(), meta.ino()))
    };
    one == other || file(one).is_some_and(|one| file(other) == Some(one))
}

/// Whether a ledger was moved, or surely never sent anything while no process is about to.
fn yields(place: &LedgerPlace) -> bool {
    let Ok(snapshot) = Snapshot::open(place) else { return false };
    if matches!(snapshot.is_moved(), Ok(true)) {
        return true;
    }
    matches!(snapshot.last_sent_at(), Ok(None)) && matches!(running_process(place), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::identity;

    struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        fn registration(&self, ledger: &str, second_ledger: SecondLedger) -> Registration {
            let path = self.folder.path().join(ledger);
            fs::write(&path, "").unwrap();
            let identity = Identity { origin: "https://h".to_owned(), second_ledger, ..identity() };
            Registration::new(&self.folder.path().join("accounts"), &identity, &path)
        }

        fn known(&self) -> Option<String> {
            registered_ledger(&self.folder.path().join("accounts"), "https://h", &[1; 32])
                .map(|place| place.to_string())
        }
    }

    fn machine() -> Machine {
        Machine { folder: tempfile::tempdir().unwrap() }
    }

    #[test]
    fn the_first_ledger_keeps_the_account_until_it_is_gone() {
        let machine = machine();
        let (first, second) = (
            machine.registration("a.db", SecondLedger::Refused),
            machine.registration("bb.db", SecondLedger::Refused),
        );
        first.check().unwrap();
        assert_eq!(machine.known(), None, "nothing is registered before the service accepted the key");
        first.write().unwrap();
        assert_eq!(machine.known(), Some(first.own.path.clone()));
        let refused = second.write().unwrap_err().to_string();
        assert!(refused.contains("a.db") && refused.contains("--second-ledger"), "{refused}");
        fs::remove_file(&first.own.path).unwrap();
        second.write().unwrap();
        assert_eq!(machine.known(), Some(second.own.path.clone()));
    }

    #[test]
    fn a_second_ledger_that_is_allowed_leaves_the_first_registered() {
        let machine = machine();
        machine.registration("a.db", SecondLedger::Refused).write().unwrap();
        machine.registration("bb.db", SecondLedger::Allowed).write().unwrap();
        assert!(machine.known().unwrap().ends_with("a.db"));
        machine.registration("ccc.db", SecondLedger::Replaces).write().unwrap();
        assert!(machine.known().unwrap().ends_with("ccc.db"));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_written_again() {
        let machine = machine();
        let first = machine.registration("a.db", SecondLedger::Refused);
        fs::create_dir(machine.folder.path().join("accounts")).unwrap();
        fs::write(&first.entry, "half an ent").unwrap();
        first.write().unwrap();
        assert_eq!(machine.known(), Some(first.own.path.clone()));
    }
}
