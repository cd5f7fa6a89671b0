//! Locks on files, which other runs may hold: waited for, but not for ever.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Context as _, Error, Result};

/// Between two attempts.
const POLL: Duration = Duration::from_millis(5);

/// How much of the command of who holds a lock is shown.
const COMMAND: usize = 80;

/// Who else may hold a lock at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    Alone,
    /// Others who share it.
    Shared,
}

/// Locks the file at this path, made if it is not there, until what is returned is dropped.
///
/// # Errors
///
/// As [`within`]; cannot run if the file cannot be made.
pub fn file(path: &Path, limit: Duration) -> Result<File> {
    let file =
        File::options().create(true).append(true).open(path).cannot_run(|| format!("lock {}", path.display()))?;
    within(&file, path, Hold::Alone, limit)?;
    Ok(file)
}

/// Locks a file that is open, of which this is the path.
///
/// # Errors
///
/// Cannot run if somebody else holds it for longer than that, saying who; or for what flock(2) says.
pub fn within(file: &File, path: &Path, hold: Hold, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    loop {
        let tried = match hold {
            Hold::Alone => file.try_lock(),
            Hold::Shared => file.try_lock_shared(),
        };
        match tried {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error).cannot_run(|| format!("lock {}", path.display())),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(held(file, path, limit)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

fn held(file: &File, path: &Path, limit: Duration) -> Error {
    let holder = file.metadata().and_then(|found| holder(found.ino()));
    let who = holder.ok().flatten().map_or_else(|| "another run".to_owned(), process);
    let message = format!("{} is locked: {who} has held it for over {} s", path.display(), limit.as_secs());
    Error::cannot_run(message)
        .hint(format!("wait for it, or end it if it hangs, and run again; {}=SECONDS allows more", deadline::VARIABLE))
}

/// The process that holds a lock on the file with this number, as the kernel tells it:
/// `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5703041 0 EOF`. One that waits has `->` before its kind.
fn holder(file: u64) -> io::Result<Option<u32>> {
    let number = file.to_string();
    let locks = fs::read_to_string("/proc/locks")?;
    Ok(locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (kind, pid, place) = (fields.next()?, fields.nth(2)?, fields.next()?);
        (kind == "FLOCK" && place.rsplit(':').next() == Some(&number)).then(|| pid.parse().ok())?
    }))
}

/// A process in words.
fn process(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&words).replace('\0', " ");
    let command: String = command.trim_end().chars().take(COMMAND).collect();
    if command.is_empty() { format!("process {pid}") } else { format!("process {pid} ({command})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_waited_for_so_long_and_names_its_holder() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("lock");
        let held = file(&path, Duration::ZERO).expect("it is free");
        let error = file(&path, Duration::ZERO).expect_err("it is held");
        let expected = format!("{} is locked: process {} (", path.display(), std::process::id());
        assert!(error.message.starts_with(&expected), "{error}");
        assert!(error.message.ends_with("has held it for over 0 s"), "{error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("DJ_REGRESS_DEADLINE=SECONDS")));
        let reader = File::open(&path).expect("it is there");
        within(&reader, &path, Hold::Shared, Duration::ZERO).expect_err("it is held alone");
        drop(held);
        within(&reader, &path, Hold::Shared, Duration::ZERO).expect("it is free");
        file(&path, Duration::ZERO).expect_err("somebody reads");
    }
}
