//! The output directory: locked while a run writes it, the previous one kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context as _, Error, Result};

/// A locked output directory. Holds `results.json`, `log/` and `lock`.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl OutputDirectory {
    /// Moves what is there to `<path>.old` and makes it anew. A directory in which another run
    /// writes, or which is not one of ours, is an error.
    pub fn create(path: &Path) -> Result<Self> {
        if path.exists() {
            let lock = path.join("lock");
            if !lock.exists() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Error::usage(format!("{} holds something that is not a dj-regress run", path.display()))
                    .hint("name another folder with `--outputdir`"));
            }
            let previous = take_lock(&lock)?;
            let old = old(path);
            match fs::remove_dir_all(&old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).cannot_run(|| format!("remove {}", old.display()));
                }
                _ => fs::rename(path, &old).cannot_run(|| format!("move {} to {}", path.display(), old.display()))?,
            }
            drop(previous);
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).cannot_run(|| format!("create {}", parent.display()))?;
        }
        // Not create_dir_all: whoever makes it second is the second run.
        fs::create_dir(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => busy(path),
            _ => Error::cannot_run(format!("create {}: {error}", path.display())),
        })?;
        fs::create_dir(path.join("log")).cannot_run(|| format!("create {}", path.join("log").display()))?;
        Ok(Self { _lock: take_lock(&path.join("lock"))?, path: path.to_owned() })
    }

    /// The folder for logs, as processes in other folders can name it.
    pub fn logs(&self) -> Result<PathBuf> {
        let logs = self.path.join("log");
        logs.canonicalize().cannot_run(|| format!("find {}", logs.display()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    path.with_file_name(name)
}

fn busy(path: &Path) -> Error {
    Error::cannot_run(format!("another run is writing {}", path.display()))
        .hint("wait for it, or name another folder with `--outputdir`")
}

fn take_lock(lock: &Path) -> Result<Flock<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)
        .cannot_run(|| format!("open {}", lock.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| busy(lock.parent().unwrap_or(lock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_second_run_on_the_same_directory_cannot_run() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("out");
        let _first = OutputDirectory::create(&path).expect("it is free");
        let error = OutputDirectory::create(&path).expect_err("it is taken");
        assert_eq!(error.kind, ErrorKind::CannotRun);
    }

    #[test]
    fn the_previous_run_is_kept_once() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("out");
        for run in 0..3 {
            let output = OutputDirectory::create(&path).expect("it is free");
            fs::write(output.path().join("results.json"), run.to_string()).expect("written");
        }
        assert_eq!(fs::read_to_string(path.join("results.json")).expect("the last"), "2");
        assert_eq!(fs::read_to_string(folder.path().join("out.old/results.json")).expect("the one before"), "1");
    }

    #[test]
    fn a_folder_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temp folder");
        fs::write(folder.path().join("thesis.txt"), "years of work").expect("written");
        let error = OutputDirectory::create(folder.path()).expect_err("it is not ours");
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(folder.path().join("thesis.txt").exists());
    }
}
