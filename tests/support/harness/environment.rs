//! What a run needs of the machine: a folder in memory, and a runtime in virtual time.

use telecine::manifest::ManifestSpec;

/// A temporary folder, in memory where the machine has such a place. A run in virtual time commits thousands of times in a second, and
/// nobody cuts its power (`cargo xtask reliability` does): it need not wait for a disk.
pub(super) fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

pub fn spec(path: &std::path::Path) -> ManifestSpec {
    ManifestSpec::with_defaults(path.to_str().unwrap())
}
