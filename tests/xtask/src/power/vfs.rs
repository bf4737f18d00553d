//! SQLite on the disk in memory: a file system of its own for each thread. The only place that speaks C.
#![allow(unsafe_code)]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    sync::Once,
};

use rusqlite::ffi::{
    SQLITE_BUSY, SQLITE_IOCAP_POWERSAFE_OVERWRITE, SQLITE_IOERR_SHORT_READ, SQLITE_LOCK_EXCLUSIVE,
    SQLITE_NOTFOUND, SQLITE_OK, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_register,
};

use super::disk::{Disk, Files, Op};

/// SQLite maps the index of its log in regions of this size.
const REGION: usize = 32 * 1024;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::default();
    /// How many have each file open, and the index of the log, which is in memory and is lost with the power.
    static OPEN: RefCell<BTreeMap<String, usize>> = const { RefCell::new(BTreeMap::new()) };
    static SHARED: RefCell<BTreeMap<String, Vec<Box<[u8]>>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes this thread's disk hold these files, as after switching the power on.
pub(super) fn switch_on(files: Files) {
    SHARED.with_borrow_mut(BTreeMap::clear);
    DISK.set(Disk::holding(files));
}

/// How many operations the disk has seen since it was switched on.
pub(super) fn ops() -> usize {
    DISK.with_borrow(|disk| disk.log.len())
}

/// Takes what the disk has seen since it was switched on.
pub(super) fn take_log() -> Vec<Op> {
    DISK.with_borrow_mut(|disk| std::mem::take(&mut disk.log))
}

/// Makes the disk in memory the one SQLite uses from now on, in the whole process.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::new(sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: 1024,
            pNext: std::ptr::null_mut(),
            zName: c"memory-disk".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the structure lives for ever, and every function in it keeps SQLite's contract for a VFS of version 1.
        unsafe { sqlite3_vfs_register(Box::into_raw(vfs), 1) };
    });
}

#[repr(C)]
struct File {
    base: sqlite3_file,
    /// The file's name, from `Box::into_raw`; freed on closing.
    name: *mut String,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The last part of a path: the disk has no folders.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn file_name(path: *const c_char) -> String {
    if path.is_null() {
        return "temporary".to_owned();
    }
    // SAFETY: SQLite hands over a C string.
    let text = unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned();
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

/// # Safety
/// `file` was filled by [`open`].
unsafe fn name_of<'a>(file: *mut sqlite3_file) -> &'a str {
    // SAFETY: `open` put the name there, and `close` has not run yet.
    unsafe { &*(*file.cast::<File>()).name }
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file, and a place for the flags or none.
    unsafe {
        let name = file_name(path);
        DISK.with_borrow_mut(|disk| {
            disk.files.entry(name.clone()).or_default();
        });
        OPEN.with_borrow_mut(|open| *open.entry(name.clone()).or_default() += 1);
        let file = file.cast::<File>();
        (*file).name = Box::into_raw(Box::new(name));
        (*file).base.pMethods = &raw const METHODS;
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as in `open`.
    let file = unsafe { file_name(path) };
    DISK.with_borrow_mut(|disk| {
        disk.act(Op::Delete { file: file.clone() });
        if sync != 0 {
            // the folder is synced along
            disk.act(Op::Sync { file });
        }
    });
    SQLITE_OK
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, path: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: as in `open`; `out` is a place for the answer.
    unsafe {
        let name = file_name(path);
        *out = c_int::from(DISK.with_borrow(|disk| disk.files.contains_key(&name)));
    }
    SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut sqlite3_vfs,
    path: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `out` has `size` bytes; a path that is longer than that never comes from SQLite's callers here.
    unsafe {
        let bytes = CStr::from_ptr(path).to_bytes_with_nul();
        let length = bytes.len().min(usize::try_from(size).unwrap_or(0));
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, length);
    }
    SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, size: c_int, out: *mut c_char) -> c_int {
    for at in 0..usize::try_from(size).unwrap_or(0) {
        // SAFETY: `out` has `size` bytes.
        unsafe { *out.add(at) = (at as c_char).wrapping_mul(37).wrapping_add(11) };
    }
    size
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is a place for the answer.
    unsafe { *out = 2_460_000.5 };
    SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` made the name, and SQLite closes once.
    let name = unsafe { Box::from_raw((*file.cast::<File>()).name) };
    OPEN.with_borrow_mut(|open| *open.entry(*name).or_default() -= 1);
    SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    out: *mut c_void,
    size: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: `out` has `size` bytes.
    let (name, out) = unsafe {
        let size = usize::try_from(size).unwrap_or(0);
        (name_of(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), size))
    };
    let offset = usize::try_from(offset).unwrap_or(0);
    DISK.with_borrow(|disk| {
        let content = disk.files.get(name).map(Vec::as_slice).unwrap_or_default();
        let there = content.get(offset..).unwrap_or_default();
        let length = there.len().min(out.len());
        out[..length].copy_from_slice(&there[..length]);
        out[length..].fill(0);
        if length < out.len() { SQLITE_IOERR_SHORT_READ } else { SQLITE_OK }
    })
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    size: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: `bytes` has `size` bytes.
    let (name, bytes) = unsafe {
        let size = usize::try_from(size).unwrap_or(0);
        (name_of(file), std::slice::from_raw_parts(bytes.cast::<u8>(), size))
    };
    let offset = usize::try_from(offset).unwrap_or(0);
    let op = Op::Write { file: name.to_owned(), offset, bytes: bytes.to_vec() };
    DISK.with_borrow_mut(|disk| disk.act(op));
    SQLITE_OK
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let file = unsafe { name_of(file) }.to_owned();
    DISK.with_borrow_mut(|disk| disk.act(Op::Truncate { file, size: usize::try_from(size).unwrap_or(0) }));
    SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is open.
    let file = unsafe { name_of(file) }.to_owned();
    DISK.with_borrow_mut(|disk| disk.act(Op::Sync { file }));
    SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: the file is open, and `out` is a place for the answer.
    unsafe {
        let size = DISK.with_borrow(|disk| disk.files.get(name_of(file)).map_or(0, Vec::len));
        *out = sqlite3_int64::try_from(size).unwrap_or(0);
    }
    SQLITE_OK
}

/// There is one thread, so no lock is ever refused, except the exclusive lock while others have the file open.
unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the file is open.
    let name = unsafe { name_of(file) };
    let is_shared = OPEN.with_borrow(|open| open.get(name).is_some_and(|count| *count > 1));
    if level == SQLITE_LOCK_EXCLUSIVE && is_shared { SQLITE_BUSY } else { SQLITE_OK }
}

unsafe extern "C" fn unlock(_: *mut sqlite3_file, _: c_int) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: `out` is a place for the answer.
    unsafe { *out = 0 };
    SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    // as SQLite's own file system for Unix says of every disk
    SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    _: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open, and `out` is a place for the address. A region's bytes never move while it is mapped.
    unsafe {
        let name = name_of(file);
        SHARED.with_borrow_mut(|shared| {
            let regions = shared.entry(name.to_owned()).or_default();
            let wanted = usize::try_from(region).unwrap_or(0);
            while regions.len() <= wanted && extend != 0 {
                regions.push(vec![0; REGION].into_boxed_slice());
            }
            *out = regions.get_mut(wanted).map_or(std::ptr::null_mut(), |bytes| bytes.as_mut_ptr().cast());
        });
    }
    SQLITE_OK
}

unsafe extern "C" fn shm_lock(_: *mut sqlite3_file, _: c_int, _: c_int, _: c_int) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    if delete != 0 {
        // SAFETY: the file is open.
        let name = unsafe { name_of(file) };
        SHARED.with_borrow_mut(|shared| shared.remove(name));
    }
    SQLITE_OK
}
