//! The output directory: locked while a run writes it, the previous one kept.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context as _, Error, Result};

/// Locked by the run that writes the directory; with [`MARK`] in it, it says that the directory is ours.
const LOCK: &str = "lock";

/// What the lock file holds.
const MARK: &str = "dj-regress: held while a run writes this folder\n";

/// Logs of arms.
const LOGS: &str = "log";

/// All that a run leaves, and what an interrupted one may.
const CONTENT: [&str; 4] = [LOCK, LOGS, "results.json", "results.json.new"];

/// What `results.json` begins with; versions without the mark have written it as well.
const RESULTS: &str = "{\n  \"schema_version\": 1,\n  \"dj_regress\": ";

/// A locked output directory. Holds `results.json`, `log/` and `lock`.
#[derive(Debug)]
pub struct OutputDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl OutputDirectory {
    /// Makes the directory, or takes an empty one. A previous run's is moved to `<path>.old` before.
    ///
    /// # Errors
    ///
    /// Usage if there is something else than a directory of ours, here or at `<path>.old`: it is left alone. Cannot run
    /// if another run writes there, or nothing can be made.
    pub fn create(path: &Path) -> Result<Self> {
        let path = &followed(path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_dir() => return Err(cannot_create(path, &ErrorKind::NotADirectory.into())),
            Ok(_) => {
                if !is_empty(path).cannot_run(|| format!("list {}", path.display()))? {
                    keep(path)?;
                    make(path)?;
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(cannot_create(path, &error)),
        }
        let lock = claim(path)?;
        let logs = path.join(LOGS);
        fs::create_dir(&logs).cannot_run(|| format!("create {}", logs.display()))?;
        Ok(Self { _lock: lock, path: path.clone() })
    }

    /// The folder for logs, as processes in other folders can name it.
    pub fn logs(&self) -> Result<PathBuf> {
        let logs = self.path.join(LOGS);
        logs.canonicalize().cannot_run(|| format!("find {}", logs.display()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The path, or where it leads if it is a link: the link stays, and what it leads to is written.
fn followed(path: &Path) -> Result<PathBuf> {
    // A slash at its end would hide the link.
    let path: PathBuf = path.components().collect();
    // `.` and `..` have no name of their own.
    if !path.is_symlink() && path.file_name().is_some() {
        return Ok(path);
    }
    path.canonicalize().map_err(|error| {
        let link = fs::read_link(&path).map(|target| format!(" is a link to {}", target.display()));
        Error::usage(format!("{}{}: {error}", path.display(), link.unwrap_or_default())).hint(OTHER)
    })
}

/// Moves a directory of ours, in which nobody writes, out of the way.
fn keep(path: &Path) -> Result<()> {
    let _previous = take(path)?;
    let old = old(path);
    remove(&old)?;
    fs::rename(path, &old).cannot_run(|| format!("move {} to {}", path.display(), old.display()))
}

/// Removes what was kept before, which must be ours as well.
fn remove(old: &Path) -> Result<()> {
    match fs::symlink_metadata(old) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(found) if found.is_dir() => {}
        Ok(found) => {
            let what = if found.is_symlink() { "a link" } else { "a file" };
            let message = format!("the previous run cannot be kept as {}, which is {what}", old.display());
            return Err(Error::usage(message).hint(format!("move it elsewhere, or {OTHER}")));
        }
        Err(error) => return Err(error).cannot_run(|| format!("look at {}", old.display())),
    }
    if is_empty(old).is_ok_and(|is_empty| is_empty) {
        return fs::remove_dir(old).cannot_run(|| format!("remove {}", old.display()));
    }
    let _lock = take(old)?;
    fs::remove_dir_all(old).cannot_run(|| format!("remove {}", old.display()))
}

/// The lock of a directory that is ours and nothing else.
fn take(path: &Path) -> Result<Flock<File>> {
    let foreign = |why: String| Error::usage(format!("{} {why}", path.display())).hint(OTHER);
    let lock = path.join(LOCK);
    // Not even opened unless it is a file.
    if !fs::symlink_metadata(&lock).is_ok_and(|found| found.is_file()) {
        return Err(foreign("holds something that is not a dj-regress run".to_owned()));
    }
    let mut file =
        File::options().read(true).write(true).open(&lock).cannot_run(|| format!("open {}", lock.display()))?;
    let mut mark = String::new();
    let is_marked = (&mut file).take(MARK.len() as u64).read_to_string(&mut mark).is_ok() && mark == MARK;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| busy(path))?;
    if !is_marked && !is_of_before(path) {
        return Err(foreign("holds something that is not a dj-regress run".to_owned()));
    }
    match other_content(path).cannot_run(|| format!("list {}", path.display()))? {
        Some(other) => Err(foreign(format!("holds `{}`, which is not from dj-regress", other.display()))),
        None => Ok(locked),
    }
}

/// Whether a version that left no mark has written this: its lock is empty, and its results say so.
fn is_of_before(path: &Path) -> bool {
    let mut beginning = String::new();
    let read = File::open(path.join("results.json")).map(|file| file.take(RESULTS.len() as u64));
    fs::metadata(path.join(LOCK)).is_ok_and(|found| found.len() == 0)
        && read.is_ok_and(|mut file| file.read_to_string(&mut beginning).is_ok())
        && beginning == RESULTS
}

/// What is there beside what a run leaves; the first by name.
fn other_content(path: &Path) -> io::Result<Option<OsString>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let is_kind = if name == LOGS { kind.is_dir() } else { kind.is_file() };
        if !is_kind || !CONTENT.iter().any(|known| name == *known) {
            others.push(name);
        }
    }
    Ok(others.into_iter().min())
}

/// Makes a new directory. Not `create_dir_all`: whoever makes it second is the second run.
fn make(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| cannot_create(path, &error))?;
    }
    fs::create_dir(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => busy(path),
        _ => cannot_create(path, &error),
    })
}

/// Locks and marks a directory that is empty, or was just now: who finds a lock there has come second.
fn claim(path: &Path) -> Result<Flock<File>> {
    let lock = path.join(LOCK);
    let file = File::create_new(&lock).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => busy(path),
        _ => Error::cannot_run(format!("create {}: {error}", lock.display())).hint(OTHER),
    })?;
    let mut locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| busy(path))?;
    locked.write_all(MARK.as_bytes()).cannot_run(|| format!("write {}", lock.display()))?;
    Ok(locked)
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(path)?.next().is_none())
}

/// `<path>.old`, beside it.
fn old(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    path.with_file_name(name)
}

const OTHER: &str = "name another folder with `--output-dir`";

fn busy(path: &Path) -> Error {
    Error::cannot_run(format!("another run is writing {}", path.display())).hint(format!("wait for it, or {OTHER}"))
}

/// Says which part of the path is a file, if that is the reason.
fn cannot_create(path: &Path, error: &io::Error) -> Error {
    let other = || Error::cannot_run(format!("create {}: {error}", path.display()));
    Error::file_in_the_way(path).unwrap_or_else(other).hint(OTHER)
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
