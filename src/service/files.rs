//! Copies of whole folders.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::{Statvfs, statvfs};

use super::user::ServerUser;

/// Threads that copy: more do not help on tmpfs.
const THREADS: usize = 4;

/// Files up to this many bytes are read at once.
const SMALL: u64 = 1 << 20;

/// How many lines of a log a message shows.
const LOG_LINES: usize = 8;

/// A file system with so many times what is needed is not looked at more closely.
const ENOUGH: u64 = 2;

/// What to do with a path, relative to the folder that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Copy it (a folder: with what it takes of it).
    Copy,
    /// Copy a folder without what is in it.
    Empty,
    /// Leave it out.
    Skip,
}

/// Copies a folder into a new one with its modes, giving everything to `user`; returns the bytes copied.
/// Only folders, files and symbolic links are copied. The new folder appears with all its files or not at all only as
/// far as the caller renames it.
///
/// # Errors
///
/// The first error of the file system.
pub fn copy_folder(
    from: &Path,
    to: &Path,
    user: Option<&ServerUser>,
    take: &(dyn Fn(&Path) -> Take + Sync),
) -> io::Result<u64> {
    let mut files = Vec::new();
    let mut folders = vec![(PathBuf::new(), Take::Copy)];
    while let Some((folder, how)) = folders.pop() {
        let target = to.join(&folder);
        let mode = from.join(&folder).metadata()?.mode();
        fs::create_dir(&target)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode & 0o7777))?;
        give(&target, user)?;
        if how == Take::Empty {
            continue;
        }
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let how = take(&path);
            let kind = entry.file_type()?;
            if how == Take::Skip {
            } else if kind.is_dir() {
                folders.push((path, how));
            } else if kind.is_file() {
                files.push(path);
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, to.join(&path))?;
            }
        }
    }
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let copy_some = || -> io::Result<()> {
        let mut buffer = Vec::new();
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            bytes.fetch_add(copy_file(&from.join(path), &to.join(path), user, &mut buffer)?, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..THREADS.min(files.len() / 16)).map(|_| scope.spawn(copy_some)).collect();
        let mut result = copy_some();
        for thread in threads {
            result = result.and(thread.join().unwrap_or_else(|_| Err(io::Error::other("a copying thread panicked"))));
        }
        result
    })?;
    Ok(bytes.into_inner())
}

/// Writes a file that only its owner can read, from the moment it is there.
///
/// # Errors
///
/// Those of the file system.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    // One that was there before keeps its mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

/// Gives a path to the user that servers run as.
///
/// # Errors
///
/// Those of chown(2).
pub fn give(path: &Path, user: Option<&ServerUser>) -> io::Result<()> {
    match user {
        Some(user) => chown(path, Some(user.user), Some(user.group)),
        None => Ok(()),
    }
}

/// The last lines of a log, each indented below a message; nothing, if there is none.
pub fn end_of_log(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().flat_map(|line| ["\n  ", line]).collect()
}

/// Whether less than this many bytes can still be written into a folder. Asked of the file system first, and, where that
/// has little left, by taking them for a moment: what is kept back for root, or a quota, is in no number.
pub fn is_full(folder: &Path, room: u64) -> bool {
    let has_room = |numbers: Statvfs| numbers.blocks_available() * numbers.fragment_size() > ENOUGH * room;
    if statvfs(folder).is_ok_and(has_room) {
        return false;
    }
    let length = i64::try_from(room).unwrap_or(i64::MAX);
    let take = || -> io::Result<()> { Ok(posix_fallocate(tempfile::tempfile_in(folder)?, 0, length)?) };
    take().is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

fn copy_file(from: &Path, to: &Path, user: Option<&ServerUser>, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    let mut target = File::options().write(true).create_new(true).mode(metadata.mode() & 0o7777).open(to)?;
    if let Some(user) = user {
        std::os::unix::fs::fchown(&target, Some(user.user), Some(user.group))?;
    }
    if metadata.len() > SMALL {
        return io::copy(&mut source, &mut target);
    }
    buffer.clear();
    source.read_to_end(buffer)?;
    target.write_all(buffer)?;
    Ok(buffer.len() as u64)
}
