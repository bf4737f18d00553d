//! Opening a ledger, so that a run can resume: its folder, lock, file, version and owner, and the requests that a crash left without an answer.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{OpenFlags, config::DbConfig};

use super::{
    DatabaseAddress, LedgerError, LedgerPlace,
    damage::{self, DamageCheck},
    files::{self, with_suffix},
    high_water::HighWater,
    identity::{Identity, KeyChange, Restored},
    registry::Registration,
    schema,
    sql::{Connection, postgres},
    store::{Store, StoreParts},
    successor,
};
use crate::domain::UnixMillis;

/// Memory SQLite may use for pages, in KiB; the load into a large ledger must stay flat.
const CACHE_KIB: i64 = 20 * 1024;

/// The size of the log file after a checkpoint, in bytes.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Pages in the log before a checkpoint. It is large because a load changes the same index pages many times.
const LOG_PAGES: i64 = 4 * 1024;

/// Prepared statements that are kept: more than there are.
const STATEMENTS_KEPT: usize = 160;

/// How long to wait for a reader that holds a lock, in milliseconds.
const BUSY_WAIT_MS: u64 = 5_000;

/// The origin of a ledger that has sent nothing yet.
const NO_ORIGIN: &str = "";

pub(super) fn open(
    place: impl Into<LedgerPlace>,
    identity: &Identity,
    now: UnixMillis,
) -> Result<Store, LedgerError> {
    open_as(&place.into(), OpenMode::Owner(identity), now)
}

/// Opens a ledger before anything is sent with it, or makes it.
pub(super) fn open_early(
    place: impl Into<LedgerPlace>,
    fresh_secret: [u8; 32],
    now: UnixMillis,
) -> Result<Store, LedgerError> {
    open_as(&place.into(), OpenMode::Early(fresh_secret), now)
}

/// Who opens a ledger.
#[derive(Clone, Copy)]
enum OpenMode<'a> {
    /// For sending.
    Owner(&'a Identity),
    /// For reading; the ledger must exist.
    Anyone,
    /// For work that sends nothing; the ledger is created with this secret if it does not exist.
    Early([u8; 32]),
}

pub(super) fn open_offline(place: &LedgerPlace, now: UnixMillis) -> Result<Store, LedgerError> {
    if !place.may_exist() {
        return Err(LedgerError::Missing { path: place.to_string() });
    }
    open_as(place, OpenMode::Anyone, now)
}

/// Opens a scratch ledger: nothing of it is synced.
pub(super) fn open_scratch(
    place: impl Into<LedgerPlace>,
    identity: &Identity,
    now: UnixMillis,
) -> Result<Store, LedgerError> {
    let mut store = open(place, identity, now)?;
    store.make_ephemeral()?;
    Ok(store)
}

fn open_as(place: &LedgerPlace, opener: OpenMode<'_>, now: UnixMillis) -> Result<Store, LedgerError> {
    let ready = match place {
        LedgerPlace::File(path) => open_file(path)?,
        LedgerPlace::Database(address) => open_database(address, opener)?,
    };
    let text = place.to_string();
    let connection = &ready.connection;
    // a recovery brings it up to date, whatever it is
    if !matches!(opener, OpenMode::Owner(identity) if identity.restored == Restored::Recovering) {
        successor::refuse_if_left(connection, &text)?;
    }
    let mut unconfirmed_key = None;
    let secret = match opener {
        OpenMode::Owner(identity) => {
            let identified = identify(connection, &text, identity, now)?;
            unconfirmed_key = identified.unconfirmed_key;
            identified.secret
        }
        OpenMode::Anyone => connection.query_row("SELECT secret FROM identity", [], |row| row.get(0))?,
        OpenMode::Early(fresh_secret) => {
            insert_identity(connection, fresh_secret, now)?;
            connection.query_row("SELECT secret FROM identity", [], |row| row.get(0))?
        }
    };
    let identity = if let OpenMode::Owner(identity) = opener { Some(identity) } else { None };
    let registration = identity.and_then(|identity| {
        identity.registry.as_ref().map(|folder| Registration::new(folder, identity, &ready.place))
    });
    if let Some(registration) = &registration {
        registration.check()?;
    }
    let restored = identity.map_or(Restored::Recovering, |identity| identity.restored);
    let mut store = Store::new(StoreParts {
        connection: ready.connection,
        secret,
        place: ready.place,
        lock: ready.lock,
        high_water: identity.and_then(|identity| high_water(identity, &secret)),
        registration,
        unconfirmed_key,
        damage_check: ready.damage_check,
    });
    if store.is_key_known() {
        store.register()?;
    }
    store.refuse_if_older(&text, restored)?;
    store.refuse_other_database(restored)?;
    store.transaction(|store| {
        if restored == Restored::Refused {
            store.note_database()?;
        }
        store.mark_sending_in_doubt(now)?;
        // orders that no running process has carried out
        store.carry_out_handed(now.max(store.latest_timestamp()?)).map(drop)
    })?;
    store.note_files();
    Ok(store)
}

/// A ledger that this process may write.
struct Writable {
    connection: Connection,
    /// With the real path of a file.
    place: LedgerPlace,
    lock: Option<File>,
    damage_check: DamageCheck,
}

/// Makes the folder of a file, and returns where the file really is.
pub(super) fn prepare_folder(path: &Path) -> Result<PathBuf, LedgerError> {
    let unwritable = |error: std::io::Error| LedgerError::Unwritable {
        path: path.display().to_string(),
        cause: error.to_string(),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    }
    let path = files::real_path(path).map_err(unwritable)?;
    files::refuse_other_kinds(&path).map_err(unwritable)?;
    refuse_network_disk(&path)?;
    Ok(path)
}

fn open_file(path: &Path) -> Result<Writable, LedgerError> {
    let text = path.display().to_string();
    let unwritable =
        |error: std::io::Error| LedgerError::Unwritable { path: text.clone(), cause: error.to_string() };
    let path = &prepare_folder(path)?;
    let lock = lock(path)?;
    prepare_file(path).map_err(unwritable)?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = rusqlite::Connection::open_with_flags(path, flags)
        .map_err(|error| LedgerError::from(error).at(&text))?;
    let found = schema::recognise(&connection, &text).map_err(|error| error.at(&text))?;
    configure(&connection).map_err(|error| error.at(&text))?;
    let damage_check = if found > 0 {
        damage::refuse_damage(&connection, path).map_err(|error| error.at(&text))?
    } else {
        DamageCheck::Done
    };
    schema::migrate(&mut connection, found).map_err(|error| error.at(&text))?;
    let connection = Connection::Sqlite(connection);
    Ok(Writable { connection, place: path.clone().into(), lock: Some(lock), damage_check })
}

/// Connects to a database, and takes the lease of the ledger there.
fn open_database(address: &DatabaseAddress, opener: OpenMode<'_>) -> Result<Writable, LedgerError> {
    let mut connection = postgres::PostgresConnection::open(address)?;
    let found = postgres::recognise(&connection, schema::version())?;
    if found == 0 && matches!(opener, OpenMode::Anyone) {
        return Err(LedgerError::Missing { path: address.to_string() });
    }
    if found < schema::version() {
        postgres::migrate(&connection, schema::schemas())?;
    }
    connection.take_lease()?;
    let place = LedgerPlace::Database(address.clone());
    Ok(Writable {
        connection: Connection::Postgres(connection),
        place,
        lock: None,
        damage_check: DamageCheck::Done,
    })
}

fn high_water(identity: &Identity, secret: &[u8; 32]) -> Option<HighWater> {
    let folder = identity.high_water.as_ref()?;
    HighWater::open(folder, secret)
        .inspect_err(|error| {
            tracing::warn!(
                "no high-water mark can be kept in {} ({error}): a ledger restored from an older copy would not be \
                 noticed; XDG_STATE_HOME names another folder",
                folder.display()
            );
        })
        .ok()
}

/// Refuses network disks: SQLite's locks and shared memory work on the disks of one machine only.
fn refuse_network_disk(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statfs(folder) else { return Ok(()) };
    // the type of the field differs between systems; the magic numbers are 32 bits
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers are 32 bits")]
    match network_disk(disk.f_type as u32) {
        Some(kind) => Err(LedgerError::NetworkDisk { path: path.display().to_string(), kind }),
        None => Ok(()),
    }
}

/// The name of a file system that several machines, or a foreign program, may serve.
const fn network_disk(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517b => "SMB",
        0xfe53_4d42 => "SMB2",
        0xff53_4d42 => "CIFS",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x786f_4256 => "vboxsf",
        0x5346_414f => "AFS",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        _ => return None,
    })
}

/// Locks a file beside the ledger until the program ends. It is not one of SQLite's files: closing any other handle to such a
/// file would release the lock.
pub(super) fn lock(path: &Path) -> Result<File, LedgerError> {
    let lock_path = with_suffix(path, ".lock");
    let unwritable = |error: std::io::Error| LedgerError::Unwritable {
        path: path.display().to_string(),
        cause: error.to_string(),
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() {
                "unknown".to_owned()
            } else {
                crate::redact::clean(holder.trim())
            };
            return Err(LedgerError::Locked { path: path.display().to_string(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(unwritable(error)),
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "process {} on {host}", std::process::id()))
        .and_then(|()| file.flush());
    // the note is only for messages, and a full disk must not prevent reading
    drop(noted);
    Ok(file)
}

/// Creates the file with rights for its owner only, because SQLite would give more. An existing file is left as it is.
pub(super) fn prepare_file(path: &Path) -> std::io::Result<()> {
    if !path.exists() && with_suffix(path, "-wal").exists() {
        return Err(std::io::Error::other("its -wal file is there without it; put the two together again"));
    }
    match make_private(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Creates a file that only its owner may read. The file must not exist.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Sets the options that durability needs, and reads them back, because a build of SQLite can change the defaults.
fn configure(connection: &rusqlite::Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_WAIT_MS))?;
    // a new file begins with a rollback journal. Its removal must reach the disk before the log is used: otherwise a power
    // cut can bring it back, and SQLite would undo all later changes
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    let journal: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    fail::fail_point!("commits_not_synced", |_| Ok(connection.pragma_update(
        None,
        "synchronous",
        "NORMAL"
    )?));
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // otherwise a statement is planned again whenever a value used by a partial index changes
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if journal != "wal" || synchronous != 2 {
        let cause =
            format!("SQLite runs with journal_mode={journal}, synchronous={synchronous}, not WAL and FULL");
        return Err(LedgerError::Broken { cause });
    }
    Ok(())
}

/// The secret that marker tags are made from, and the key to record when the service has accepted it.
struct Identified {
    secret: [u8; 32],
    unconfirmed_key: Option<Vec<u8>>,
}

/// A ledger without an owner, if it is new.
fn insert_identity(connection: &Connection, secret: [u8; 32], now: UnixMillis) -> Result<(), LedgerError> {
    let sql = "INSERT INTO identity (one, origin, key_fingerprint, secret, created_at) \
               VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let no_key: &[u8] = &[];
    connection.execute(sql, (NO_ORIGIN, no_key, secret, now.0)).map(drop)
}

/// Reads the owner of the ledger, or records the service in a new one. The key is recorded only when the service has accepted
/// it: a mistyped key must not own the ledger.
fn identify(
    connection: &Connection,
    path: &str,
    identity: &Identity,
    now: UnixMillis,
) -> Result<Identified, LedgerError> {
    let found: Option<(String, Vec<u8>, [u8; 32])> =
        connection.find_row("SELECT origin, key_fingerprint, secret FROM identity", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let (origin, known_key, secret) = if let Some(found) = found {
        found
    } else {
        insert_identity(connection, identity.fresh_secret, now)?;
        (NO_ORIGIN.to_owned(), Vec::new(), identity.fresh_secret)
    };
    if origin == NO_ORIGIN {
        connection.execute("UPDATE identity SET origin = ?1", [&identity.origin])?;
    } else if origin != identity.origin {
        return Err(LedgerError::OtherOrigin {
            path: path.to_owned(),
            theirs: crate::redact::clean(&origin),
            ours: identity.origin.clone(),
        });
    }
    let key = blake3::keyed_hash(&secret, &identity.key_digest).as_bytes()[..8].to_vec();
    if known_key == key {
        return Ok(Identified { secret, unconfirmed_key: None });
    }
    if !known_key.is_empty() && identity.key_change == KeyChange::Refused {
        return Err(LedgerError::OtherKey { path: path.to_owned() });
    }
    Ok(Identified { secret, unconfirmed_key: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_distinguished_from_local_disks() {
        for (magic, name) in
            [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x0102_1997, "9p"), (0x6573_5546, "FUSE")]
        {
            assert_eq!(network_disk(magic), Some(name));
        }
        // ext4, tmpfs, btrfs, xfs, overlayfs
        for magic in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(network_disk(magic), None, "{magic:x}");
        }
    }
}
