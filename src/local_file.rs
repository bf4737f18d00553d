//! Files on this machine that are sent themselves: which ones may be, and that they are still what their rows say.
//!
//! - **Only below a root.** A manifest may come from anybody, so a file is taken only from the folder that the user names. Symbolic
//!   links are followed first: what counts is where the file is.
//! - **A file is what it was.** Its size and its time are read with its row, when it is opened, and before its last byte is sent.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Access, Mode, OFlags};

use crate::domain::{FileStamp, SourceUrl, UnixMillis, UrlError};

/// The largest file that the service takes, in bytes (its upload documentation: 3 GB). Whether it means 3 GiB is not written anywhere; the
/// smaller size is taken in either case.
pub const FILE_MAX: u64 = 3_000_000_000;
/// 3 GiB: larger files are too large by both readings.
const FILE_MAX_BINARY: u64 = 3 << 30;

/// The endings that the service takes, and the media type of each.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("avi", "video/x-msvideo"),
];

/// The media type of a file, by the ending of its name. `None`: the service does not take it.
#[must_use]
pub fn media_type(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?;
    MEDIA_TYPES.iter().find(|(own, _)| own.eq_ignore_ascii_case(ending)).map(|(_, media_type)| *media_type)
}

/// The folder that files are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesRoot {
    /// Absolute, without symbolic links.
    path: PathBuf,
}

/// A file that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    pub url: SourceUrl,
    pub stamp: FileStamp,
}

/// Why a file is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    #[error("the path has a part ..")]
    Parent,
    #[error("the file is outside the folder of --files-root")]
    Outside,
    #[error("there is no such file")]
    Missing,
    #[error("it is no regular file")]
    NotRegular,
    #[error("the name ends with none of .mp4, .mov, .mkv and .avi")]
    Ending,
    #[error("the file is empty")]
    Empty,
    #[error("the file is larger than 3 GB: it has {0} bytes{hint}", hint = size_hint(*.0))]
    TooLarge(u64),
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    #[error("the path is longer than 8192 bytes, percent-encoded")]
    TooLong,
}

/// What to know of a size that only one reading of the limit allows.
const fn size_hint(size: u64) -> &'static str {
    if size > FILE_MAX_BINARY {
        ""
    } else {
        ", and 3 GB is read as 3,000,000,000 bytes: no document says whether it means 3 GiB (3,221,225,472), and a refused file is \
         transferred for nothing"
    }
}

impl FilesRoot {
    /// The error says why the folder cannot be used.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(folder)?;
        if !path.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { path })
    }

    /// The folder, absolute and without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that a row names: an absolute path, or one relative to the root.
    pub fn find(&self, named: &Path) -> Result<LocalFile, FileFault> {
        if named.components().any(|part| part == Component::ParentDir) {
            return Err(FileFault::Parent);
        }
        let path = fs::canonicalize(self.path.join(named)).map_err(|error| fault_of(&error))?;
        if !path.starts_with(&self.path) {
            return Err(FileFault::Outside);
        }
        if media_type(&path).is_none() {
            return Err(FileFault::Ending);
        }
        let metadata = fs::metadata(&path).map_err(|error| fault_of(&error))?;
        check(&metadata)?;
        rustix::fs::access(&path, Access::READ_OK).map_err(|error| fault_of(&error.into()))?;
        // an absolute path without links is an address unless it is too long
        let url = SourceUrl::of_file(&path).map_err(|_: UrlError| FileFault::TooLong)?;
        Ok(LocalFile { url, stamp: stamp_of(&metadata) })
    }
}

/// Whether a file has a size and a kind that the service takes.
pub fn check(metadata: &Metadata) -> Result<(), FileFault> {
    if !metadata.is_file() {
        return Err(FileFault::NotRegular);
    }
    check_size(metadata.len())
}

/// Whether the service takes a file of this size, in bytes.
pub const fn check_size(size: u64) -> Result<(), FileFault> {
    match size {
        0 => Err(FileFault::Empty),
        size if size > FILE_MAX => Err(FileFault::TooLarge(size)),
        _ => Ok(()),
    }
}

fn fault_of(error: &io::Error) -> FileFault {
    let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if is_missing { FileFault::Missing } else { FileFault::Unreadable(error.to_string()) }
}

/// The size and the time of a file.
#[must_use]
pub fn stamp_of(metadata: &Metadata) -> FileStamp {
    let modified_ms = metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000);
    FileStamp { size: metadata.len(), modified_at: UnixMillis(modified_ms) }
}

/// Why a file that a row names cannot be sent now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    /// It is not what the row says: the row is no longer right.
    #[error("{0}")]
    Changed(String),
    /// It cannot be read, as when a disk fails. The row may be right.
    #[error("{0}")]
    Unreadable(String),
}

/// A file that is being sent.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    /// As it was when it was opened.
    metadata: Metadata,
}

impl OpenFile {
    /// Opens the file of a row, if it still is what the row says. No symbolic link is followed: there was none in its path.
    pub fn open(path: &Path, stamp: FileStamp) -> Result<Self, OpenFault> {
        let unreadable = |error: &io::Error| {
            let fault = fault_of(error);
            if fault == FileFault::Missing {
                OpenFault::Changed("the file is not there any more".to_owned())
            } else {
                OpenFault::Unreadable(fault.to_string())
            }
        };
        // a pipe that was put in its place must not keep the run waiting
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from);
        let file = match opened {
            Ok(file) => file,
            Err(rustix::io::Errno::LOOP) => return Err(moved()),
            Err(error) => return Err(unreadable(&error.into())),
        };
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        if fs::canonicalize(path).map_err(|error| unreadable(&error))? != path {
            return Err(moved());
        }
        let now = stamp_of(&metadata);
        if !metadata.is_file() || now != stamp {
            return Err(OpenFault::Changed(format!(
                "the file changed since its row was read: it had {stamp}, and has {now}"
            )));
        }
        Ok(Self { file, metadata })
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.metadata.len()
    }

    /// Up to `length` bytes from a place on; fewer only at the end.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Whether it has the size and the time that it had when it was opened.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        let now = self.file.metadata()?;
        let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        Ok(state(&now) == state(&self.metadata))
    }
}

fn moved() -> OpenFault {
    OpenFault::Changed("a symbolic link has taken the place of the file or of a folder above it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            fs::create_dir(folder.at("root")).unwrap();
            folder
        }

        fn at(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), text).unwrap();
        }

        fn root(&self) -> FilesRoot {
            FilesRoot::open(&self.at("root")).unwrap()
        }
    }

    fn find(root: &FilesRoot, named: &str) -> Result<LocalFile, FileFault> {
        root.find(Path::new(named))
    }

    #[test]
    fn a_file_is_taken_only_from_below_the_root_wherever_links_lead() {
        let folder = Folder::new();
        folder.write("secret.mp4", "secret");
        folder.write("root/a.mp4", "video");
        symlink(folder.at("secret.mp4"), folder.at("root/out.mp4")).unwrap();
        symlink("..", folder.at("root/up")).unwrap();
        symlink("a.mp4", folder.at("root/in.mp4")).unwrap();
        let root = folder.root();
        let own = find(&root, "a.mp4").unwrap();
        assert_eq!(own.url.file().unwrap(), folder.at("root/a.mp4"));
        assert_eq!(own.stamp.size, 5);
        assert_eq!(find(&root, folder.at("root/a.mp4").to_str().unwrap()), Ok(own.clone()));
        assert_eq!(find(&root, "in.mp4"), Ok(own), "a link within the root is another name of its file");
        assert_eq!(find(&root, "../secret.mp4"), Err(FileFault::Parent));
        for outside in ["out.mp4", "up/secret.mp4", folder.at("secret.mp4").to_str().unwrap()] {
            assert_eq!(find(&root, outside), Err(FileFault::Outside), "{outside}");
        }
    }

    #[test]
    fn only_files_that_the_service_takes_are_sent() {
        let folder = Folder::new();
        folder.write("root/empty.mp4", "");
        folder.write("root/a.webm", "video");
        folder.write("root/A.MP4", "video");
        fs::create_dir(folder.at("root/folder.mp4")).unwrap();
        let large = File::create(folder.at("root/large.mov")).unwrap();
        large.set_len(FILE_MAX + 1).unwrap();
        let root = folder.root();
        for (named, fault) in [
            ("empty.mp4", FileFault::Empty),
            ("a.webm", FileFault::Ending),
            ("none.mp4", FileFault::Missing),
            ("A.MP4/a.mp4", FileFault::Missing),
            ("folder.mp4", FileFault::NotRegular),
            ("large.mov", FileFault::TooLarge(FILE_MAX + 1)),
        ] {
            assert_eq!(find(&root, named), Err(fault), "{named}");
        }
        // only a size between the two readings of 3 GB needs the words about them
        for (size, is_between) in
            [(FILE_MAX + 1, true), (FILE_MAX_BINARY, true), (FILE_MAX_BINARY + 1, false)]
        {
            large.set_len(size).unwrap();
            let text = find(&root, "large.mov").unwrap_err().to_string();
            assert!(
                text.starts_with(&format!("the file is larger than 3 GB: it has {size} bytes")),
                "{text}"
            );
            assert_eq!(text.contains("no document says whether it means 3 GiB"), is_between, "{text}");
        }
        large.set_len(FILE_MAX).unwrap();
        assert!(find(&root, "large.mov").is_ok() && find(&root, "A.MP4").is_ok());
    }

    #[test]
    fn a_file_that_is_no_longer_what_its_row_says_is_not_opened() {
        let folder = Folder::new();
        fs::create_dir(folder.at("root/day")).unwrap();
        folder.write("root/day/a.mp4", "video");
        let LocalFile { stamp, .. } = find(&folder.root(), "day/a.mp4").unwrap();
        let path = folder.at("root/day/a.mp4");
        let open = || OpenFile::open(&path, stamp);
        let opened = open().unwrap();
        assert_eq!(opened.read_at(1, 100).unwrap(), b"ideo");
        assert!(opened.is_unchanged().unwrap());
        folder.write("root/day/a.mp4", "other video");
        assert!(!opened.is_unchanged().unwrap());
        assert!(matches!(open(), Err(OpenFault::Changed(_))));
        // the same file in another place, with a link in its old one
        folder.write("root/day/a.mp4", "video");
        let again = find(&folder.root(), "day/a.mp4").unwrap().stamp;
        fs::rename(folder.at("root/day"), folder.at("elsewhere")).unwrap();
        assert!(matches!(OpenFile::open(&path, again), Err(OpenFault::Changed(_))), "it is gone");
        symlink(folder.at("elsewhere"), folder.at("root/day")).unwrap();
        assert!(
            matches!(OpenFile::open(&path, again), Err(OpenFault::Changed(_))),
            "a link leads out of the root"
        );
    }
}
