//! A file that a user names for a result: a regular file is replaced as a whole, anything else is written to.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What everybody may do with a new file, before the umask takes away from it.
const NEW_FILE_MODE: u32 = 0o666;

/// Writes a text to a file. A regular file has the whole text or what it had before, and keeps its permissions. A symbolic link
/// stays, and its target is written. A device or a pipe is never replaced.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => replace(&fs::canonicalize(path)?, text, Some(found.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            replace(path, text, None)
        }
        // a link whose target is not there yet also leads here: the target is made
        Ok(_) | Err(_) => open_in_place(path)?.write_all(text.as_bytes()),
    }
}

fn replace(path: &Path, text: &str, permissions: Option<Permissions>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".telecine-")
        .suffix(".part")
        .permissions(Permissions::from_mode(NEW_FILE_MODE))
        .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Opens what is there. Opening a pipe that nobody reads is an error: to wait for a reader could take for ever.
fn open_in_place(path: &Path) -> io::Result<File> {
    let non_blocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(non_blocking).open(path)?;
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "old").unwrap();
        fs::set_permissions(at("old"), Permissions::from_mode(0o640)).unwrap();
        for (link, target) in [("to-old", "old"), ("to-new", "new")] {
            symlink(target, at(link)).unwrap();
            write_whole(&at(link), "text").unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(target)).unwrap(), "text", "{target}");
        }
        assert_eq!(fs::metadata(at("old")).unwrap().permissions().mode() & 0o777, 0o640);
        fs::write(at("made by the umask"), "").unwrap();
        write_whole(&at("fresh"), "text").unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode();
        assert_eq!(mode("fresh"), mode("made by the umask"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "nothing is left behind");
    }

    #[test]
    fn a_pipe_is_written_to_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(write_whole(&path, "text").is_err(), "nobody reads it");
        let non_blocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let mut reader = OpenOptions::new().read(true).custom_flags(non_blocking).open(&path).unwrap();
        write_whole(&path, "text").unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "text");
    }
}
