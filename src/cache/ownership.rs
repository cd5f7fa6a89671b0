//! Whether a folder is a cache of ours, and ours alone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::folders::{FOLDERS, VARIABLE};
use crate::error::{Error, Result};

/// Marks a cache as ours, and tells backup programs that it is one.
pub(super) const MARKER: &str = "CACHEDIR.TAG";

/// The first line is the same in every cache (<https://bford.info/cachedir/>), the second one has our name.
const MARKER_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # The cache of dj-regress. `dj-regress clean --cache` removes it.\n\
    # About cache directory tags: https://bford.info/cachedir/\n";

/// Made by the file system itself at the top of a volume.
const OF_THE_VOLUME: &str = "lost+found";

/// Whether the folder has our marker: a file, not a link, with our name in it.
pub(super) fn is_marked(root: &Path) -> bool {
    let path = root.join(MARKER);
    let read = || -> io::Result<String> {
        let mut text = String::new();
        if fs::symlink_metadata(&path)?.is_file() {
            File::open(&path)?.take(MARKER_TEXT.len() as u64).read_to_string(&mut text)?;
        }
        Ok(text)
    };
    read().is_ok_and(|text| text == MARKER_TEXT)
}

/// Marks the folder, which appears to others with its whole text or not at all.
pub(super) fn mark(root: &Path) -> io::Result<()> {
    let mut file =
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o644)).tempfile_in(root.join("locks"))?;
    file.write_all(MARKER_TEXT.as_bytes())?;
    match file.persist_noclobber(root.join(MARKER)) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

/// What links in place of folders are: somebody may keep the environments on another disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// As good as the folders, to use them.
    AreFollowed,
    /// Not made by us, and not to be removed.
    AreNotOurs,
}

/// What is in the folder beside the marker and the folders of a cache; the first by name.
pub(super) fn other_content(root: &Path, links: Links) -> io::Result<Option<OsString>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let is_folder = kind.is_dir() || links == Links::AreFollowed && entry.path().is_dir();
        let is_known = is_folder && FOLDERS.iter().any(|(known, _)| name == *known);
        if !(is_known || name == MARKER && is_marked(root) || name == OF_THE_VOLUME && kind.is_dir()) {
            others.push(name);
        }
    }
    Ok(others.into_iter().min())
}

/// Whether a folder without a marker was made by a version that wrote none: it has locks, which are empty files.
pub(super) fn is_of_before(root: &Path) -> bool {
    let is_lock = |entry: io::Result<fs::DirEntry>| {
        entry.and_then(|entry| entry.metadata()).is_ok_and(|found| found.is_file() && found.len() == 0)
    };
    let mut locks = fs::read_dir(root.join("locks")).into_iter().flatten().peekable();
    locks.peek().is_some() && locks.all(is_lock)
}

/// Refuses a folder in which another user can put what this user would then run.
pub(super) fn check_private(root: &Path) -> Result<()> {
    let folders = FOLDERS.iter().map(|(name, _)| root.join(name));
    for folder in [root.to_owned()].into_iter().chain(folders) {
        let Ok(found) = folder.metadata() else { continue };
        let (owner, user) = (found.uid(), Uid::effective().as_raw());
        if owner != user {
            let message = format!("the cache folder {} belongs to another user (uid {owner})", folder.display());
            return Err(Error::cannot_run(message)
                .hint(format!("what is in it would be run as uid {user}: set {VARIABLE} to a folder of your own")));
        }
        if found.mode() & 0o022 != 0 {
            let message = format!(
                "other users can write to the cache folder {} (mode {:o})",
                folder.display(),
                found.mode() & 0o7777
            );
            return Err(Error::cannot_run(message).hint(format!(
                "if you trust what is in it, run `chmod -R go-w` on it; else set {VARIABLE} to a folder of your own"
            )));
        }
    }
    Ok(())
}

/// Refuses folders that are never a cache, whatever is in them.
pub(super) fn check_place(root: &Path) -> Result<()> {
    let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
    let what = if root == Path::new("/") {
        "the root of the file system"
    } else if home.is_some_and(|home| home.starts_with(root)) {
        "your home directory, or holds it"
    } else if root.to_str().is_none() {
        // Workers and databases are told of paths below it in UTF-8.
        "not named in UTF-8"
    } else {
        return Ok(());
    };
    let message = format!("{} cannot be the cache folder: it is {what}", root.display());
    Err(Error::cannot_run(message).hint(format!("set {VARIABLE} to a folder of its own")))
}

/// The path without a slash at its end, which would follow a link.
pub(super) fn without_final_slash(path: &Path) -> PathBuf {
    path.components().collect()
}
