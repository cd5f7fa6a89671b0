//! The mounts of a world: all that the machine has, read-only, and a few folders in front of it.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr;

use crate::seal::Plan;
use crate::system::{Refused, checked, text};
use crate::{CACHE, OWN};

/// A folder, or a file, that was taken out before others were put in its way.
struct Taken {
    path: PathBuf,
    is_folder: bool,
    mount: OwnedFd,
}

/// Puts the mounts of a new mount namespace in place.
pub(crate) fn arrange(plan: &Plan) -> Result<(), Refused> {
    keep_to_ourselves()?;
    let own: Vec<PathBuf> = OWN.iter().filter_map(|folder| real_folder(Path::new(folder))).collect();
    let taken = take(plan, &own)?;
    // SAFETY: an open folder is not needed; the path is a C string.
    let all = unsafe { set_read_only(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE as u32) };
    all?;
    for folder in &own {
        empty(folder)?;
    }
    for taken in &taken {
        taken.put_back(&own)?;
    }
    fs::create_dir_all(CACHE).map_err(|error| Refused::new(format!("make {CACHE}"), error))
}

/// Mounts that are made here must not be seen elsewhere.
fn keep_to_ourselves() -> Result<(), Refused> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the paths are C strings, and what is null may be.
    checked("mount / privately", unsafe { libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()) })?;
    Ok(())
}

/// The folder itself, where a link leads to it; `None` if it is not there.
fn real_folder(folder: &Path) -> Option<PathBuf> {
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}

/// Takes out what the plan wants to keep: what can be written, wherever it is, and what would be hidden. The outer ones
/// come first.
fn take(plan: &Plan, own: &[PathBuf]) -> Result<Vec<Taken>, Refused> {
    let find = |path: &PathBuf| path.canonicalize().ok();
    let is_hidden = |path: &PathBuf| own.iter().any(|folder| path.starts_with(folder));
    let readable = plan.readable.iter().filter_map(find).filter(is_hidden).map(|path| (path, false));
    let writable = plan.writable.iter().filter_map(find).map(|path| (path, true));
    let mut all: Vec<(PathBuf, bool)> = readable.chain(writable).collect();
    all.sort();
    let mut wanted: Vec<(PathBuf, bool)> = Vec::new();
    for (path, is_writable) in all {
        let around = wanted.iter().rev().find(|(outer, _)| path.starts_with(outer));
        // What is inside of something that can be read, or written to, can be, too.
        if around.is_none_or(|(_, of_outer)| is_writable && !of_outer) {
            wanted.push((path, is_writable));
        }
    }
    wanted.into_iter().map(|(path, is_writable)| Taken::take(path, is_writable)).collect()
}

impl Taken {
    fn take(path: PathBuf, is_writable: bool) -> Result<Self, Refused> {
        let name = text(&path)?;
        let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
        let doing = format!("take out {}", path.display());
        // SAFETY: the path is a C string that lives longer than the call.
        let number =
            checked(&doing, unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, name.as_ptr(), flags) })?;
        // SAFETY: the kernel has just given us this descriptor.
        let mount = unsafe { OwnedFd::from_raw_fd(number as i32) };
        if !is_writable {
            let flags = (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as u32;
            // SAFETY: the descriptor is open, and the path is a C string.
            unsafe { set_read_only(mount.as_raw_fd(), c"", flags) }?;
        }
        Ok(Self { is_folder: path.is_dir(), path, mount })
    }

    fn put_back(&self, own: &[PathBuf]) -> Result<(), Refused> {
        let doing = || format!("put back {}", self.path.display());
        if own.iter().any(|folder| self.path.starts_with(folder)) {
            let parent = self.path.parent().unwrap_or(Path::new("/"));
            let make = || match (self.is_folder, self.path.exists()) {
                (_, true) => Ok(()),
                (true, false) => fs::create_dir_all(&self.path),
                (false, false) => fs::create_dir_all(parent).and_then(|()| fs::write(&self.path, "")),
            };
            make().map_err(|error| Refused::new(doing(), error))?;
        }
        let name = text(&self.path)?;
        // SAFETY: the descriptor is open, and the paths are C strings that live longer than the call.
        let moved = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                self.mount.as_raw_fd(),
                c"".as_ptr(),
                libc::AT_FDCWD,
                name.as_ptr(),
                libc::MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        checked(&doing(), moved)?;
        Ok(())
    }
}

/// Puts an empty folder in front of one.
fn empty(folder: &Path) -> Result<(), Refused> {
    let name = text(folder)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all are C strings that live longer than the call.
    let mounted = unsafe {
        libc::mount(c"tmpfs".as_ptr(), name.as_ptr(), c"tmpfs".as_ptr(), flags, c"mode=1777".as_ptr().cast())
    };
    checked(&format!("mount a {} of its own", folder.display()), mounted)?;
    Ok(())
}

/// # Safety
///
/// `folder` is an open descriptor, or `AT_FDCWD`.
unsafe fn set_read_only(folder: i32, path: &CStr, flags: u32) -> Result<(), Refused> {
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the descriptor is the caller's word; path and attributes live longer than the call, and the size is theirs.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            folder,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    checked("mount files read-only", set)?;
    Ok(())
}
