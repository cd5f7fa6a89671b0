//! `log`: lines of an arm's log that the app wrote. What the harness notes in the same file is not among them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::measurement::{Found, Left, Measurement};

/// Lines of the log.
pub struct Log<'m> {
    /// A part of them.
    pub matching: &'m str,
}

impl Measurement for Log<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        left.log.lines(left.window.log, self.matching).map(Found::from)
    }
}

/// How far from its end a log is read for its last line.
const LAST: u64 = 4096;

/// The last line of a log that says anything, where there is one.
pub fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST))).ok()?;
    let mut end = Vec::new();
    file.take(LAST).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    end.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// The last exception that was written into a log since it had this length: the first line after a traceback's frames.
pub fn raised_since(log: &Path, length: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(length)).ok()?;
    let mut raised = None;
    let mut is_within = false;
    for line in BufReader::new(file.take(RAISED)).split(b'\n') {
        let line = line.ok()?;
        let line = String::from_utf8_lossy(&line);
        if line.starts_with("Traceback (most recent call last)") {
            is_within = true;
        } else if is_within && !line.starts_with(' ') {
            is_within = false;
            raised = Some(line.trim().chars().take(200).collect());
        }
    }
    raised
}

/// How much of a log is looked through for an exception.
const RAISED: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_exception_since_then_is_found() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let log = folder.path().join("log");
        assert_eq!(raised_since(&log, 0), None);
        let traceback =
            |what: &str| format!("Traceback (most recent call last):\n  File \"a.py\"\n    raise\n{what}\nwell\n");
        std::fs::write(&log, traceback("KeyError: 1")).expect("a file");
        let length = std::fs::metadata(&log).expect("a file").len();
        assert_eq!(raised_since(&log, 0).as_deref(), Some("KeyError: 1"));
        assert_eq!(raised_since(&log, length), None);
        std::fs::write(&log, traceback("KeyError: 1") + &traceback("ValueError: 2")).expect("a file");
        assert_eq!(raised_since(&log, length).as_deref(), Some("ValueError: 2"));
    }

    #[test]
    fn the_last_line_that_says_anything_is_found_at_the_end_of_a_long_log() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let log = folder.path().join("log");
        assert_eq!(last_line(&log), None);
        std::fs::write(&log, "\n \n").expect("a file");
        assert_eq!(last_line(&log), None);
        std::fs::write(&log, format!("{}\nno module\u{301}\n\n", "é".repeat(5000))).expect("a file");
        assert_eq!(last_line(&log).as_deref(), Some("no module\u{301}"));
    }
}
