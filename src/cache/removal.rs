//! Removing a cache: all that is ours, and never anything else.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Cache;
use super::folders::{FOLDERS, VARIABLE};
use super::ownership::{self, Links, MARKER};
use crate::error::{Context as _, Error, Result};

impl Cache {
    /// Removes the cache at this folder; gives its path, or nothing where there is none.
    ///
    /// # Errors
    ///
    /// Cannot run if it is no folder or a link, is not ours alone, holds anything else, or a run uses it. Then nothing is
    /// removed.
    pub fn remove(root: &Path) -> Result<Option<PathBuf>> {
        let named = ownership::without_final_slash(root);
        let found = match fs::symlink_metadata(&named) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.cannot_run(|| format!("look at {}", named.display()))?,
        };
        if found.is_symlink() {
            let target = fs::read_link(&named).unwrap_or_default();
            let message = format!("the cache folder {} is a link to {}", named.display(), target.display());
            return Err(Error::cannot_run(message)
                .hint(format!("nothing is removed through a link: set {VARIABLE} to the folder itself")));
        }
        if !found.is_dir() {
            return Err(Error::cannot_run(format!("the cache folder {} is a file", named.display()))
                .hint(format!("set {VARIABLE} to a folder")));
        }
        let root = named.canonicalize().cannot_run(|| format!("find {}", named.display()))?;
        ownership::check_place(&root)?;
        ownership::check_private(&root)?;
        if is_empty(&root) {
            return Ok(None);
        }
        let other =
            ownership::other_content(&root, Links::AreNotOurs).cannot_run(|| format!("list {}", root.display()))?;
        if let Some(other) = other {
            let message = format!(
                "{} holds `{}`, which is not from dj-regress: nothing was removed",
                root.display(),
                other.display()
            );
            return Err(Error::cannot_run(message).hint(format!("move it elsewhere, or set {VARIABLE} to the cache")));
        }
        if !ownership::is_marked(&root) {
            if !ownership::is_of_before(&root) {
                let message = format!("{} is not a cache of dj-regress: it has no {MARKER}", root.display());
                return Err(Error::cannot_run(message).hint("nothing was removed; remove it by hand if it is one"));
            }
            ownership::mark(&root).cannot_run(|| format!("write {}", root.join(MARKER).display()))?;
        }
        let _in_use = lock(&root)?;
        for (name, _) in FOLDERS {
            remove_folder(&root.join(name))?;
        }
        let marker = root.join(MARKER);
        fs::remove_file(&marker).cannot_run(|| format!("remove {}", marker.display()))?;
        // A run may have come meanwhile, or it is a volume: then the folder itself stays.
        let _ = fs::remove_dir(&root);
        Ok(Some(root))
    }
}

/// Waits for no one: a run that has the cache open goes on.
fn lock(root: &Path) -> Result<File> {
    let path = root.join(MARKER);
    let file = File::options().write(true).open(&path).cannot_run(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::cannot_run(format!("a run is using the cache {}: nothing was removed", root.display()))
                .hint("wait until it has ended"))
        }
        Err(TryLockError::Error(error)) => Err(error).cannot_run(|| format!("lock {}", path.display())),
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).cannot_run(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
