//! Files that appear whole or not at all, readable by their owner only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::error::Error;

/// So much must fit on the disk before a run begins: a file system may take an empty file when it is full.
const TRIED_BYTES: usize = 4096;

/// Makes a folder for reports, with its parents.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| error(folder, source))
}

/// Writes a file into a folder of reports, which is made, and removes it again.
pub(super) fn try_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // several runs may try the same folder at the same time
    let mut file = tempfile::Builder::new().prefix(".telecine-").suffix(".part").tempfile_in(folder)?;
    let written = file.write_all(&[b'\n'; TRIED_BYTES]).and_then(|()| file.as_file().sync_all());
    let removed = file.close();
    written.and(removed)
}

/// A file under a temporary name, until it is published.
pub(super) struct Pending {
    writer: BufWriter<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Pending {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|source| error(&temporary, source))?;
        Ok(Self { writer: BufWriter::new(file), temporary, path: path.to_path_buf() })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_all(bytes).map_err(|source| error(&self.temporary, source))
    }

    /// Flushes to the disk and gives the file its name.
    pub(super) fn publish(mut self) -> Result<(), Error> {
        let published = self
            .writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .and_then(|()| self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()));
        published.map_err(|source| error(&self.path, source))
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

pub(super) fn error(path: &Path, source: io::Error) -> Error {
    Error::Report { path: path.display().to_string(), source }
}
