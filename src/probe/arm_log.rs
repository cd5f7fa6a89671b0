//! The file that an arm's processes and the harness write into: which part of it is the app's.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// A log that the app writes, and the harness, too. It is evidence, not a measurement: what cannot be noted must not
/// change a verdict.
#[derive(Debug, Clone)]
pub struct ArmLog {
    path: PathBuf,
    /// From where to where the harness wrote, in bytes.
    own: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl ArmLog {
    /// In this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, own: Arc::default() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line of the harness's own, in one write: what others write comes before it or after.
    pub fn note(&self, line: &str) {
        let Ok(mut file) = File::options().create(true).append(true).open(&self.path) else { return };
        let line = format!("{line}\n");
        if file.write_all(line.as_bytes()).is_ok()
            && let Ok(end) = file.stream_position()
        {
            self.own.lock().push((end.saturating_sub(line.len() as u64), end));
        }
    }

    /// How many lines of the app between these two places (in bytes) contain this text. A log that nobody has written has
    /// none.
    pub fn lines(&self, (begin, end): (u64, u64), matching: &str) -> Result<u64, String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(begin))?;
            let mut text = Vec::new();
            file.take(end.saturating_sub(begin)).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = match read() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            read => read.map_err(|error| format!("read {}: {error}", self.path.display()))?,
        };
        let within = |place: u64| usize::try_from(place.saturating_sub(begin)).unwrap_or(usize::MAX).min(text.len());
        let (mut of_app, mut at) = (Vec::with_capacity(text.len()), 0);
        for &(from, to) in &*self.own.lock() {
            of_app.extend_from_slice(&text[at..within(from).max(at)]);
            at = within(to).max(at);
        }
        of_app.extend_from_slice(&text[at..]);
        let lines = of_app.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| String::from_utf8_lossy(line).contains(matching)).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_window_count() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("log");
        let log = ArmLog::new(path.clone());
        assert_eq!(log.lines((0, 100), "KeyError"), Ok(0));
        std::fs::write(&path, "KeyError: 1\nwell\nKeyError: 2\nKeyError: 3").expect("a file");
        assert_eq!(log.lines((0, 100), "KeyError"), Ok(3));
        assert_eq!(log.lines((12, 29), "KeyError"), Ok(1));
        assert_eq!(log.lines((12, 12), "KeyError"), Ok(0));
    }

    #[test]
    fn what_the_harness_notes_is_not_the_apps() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let log = ArmLog::new(folder.path().join("log"));
        let app = |text: &str| {
            let mut file = File::options().create(true).append(true).open(log.path()).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        };
        log.note("-- line 3: boom");
        app("boom\nbo");
        // In the midst of a line of the app.
        log.note("   said = boom");
        app("om, and calm\n");
        let end = std::fs::metadata(log.path()).expect("it is there").len();
        assert_eq!(log.lines((0, end), "boom"), Ok(2));
        assert_eq!(log.lines((20, end), "boom"), Ok(1));
        assert_eq!(log.lines((0, end), "said"), Ok(0));
    }
}
