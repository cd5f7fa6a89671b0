//! `results.json`: written anew after every case, so that an interrupted run leaves what it found.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Reporter;
use crate::error::{Context as _, Error, Result, shown};
use crate::runner::{CaseReport, Event, RunReport, Setting};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes `results.json`.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    /// Why it could not be written, if it could not.
    failed: Option<String>,
    document: Document,
}

#[derive(Debug, Serialize)]
struct Document {
    schema_version: u32,
    dj_regress: &'static str,
    /// Absent until the services answer.
    setting: Option<Setting>,
    cases: Vec<CaseReport>,
    /// Servers that died, and what was done about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hurt: Vec<String>,
    /// Absent until the run is over: an interrupted run has none.
    run: Option<RunReport>,
}

impl Results {
    /// Results in this output directory.
    pub fn new(output: &Path) -> Self {
        let document = Document {
            schema_version: SCHEMA_VERSION,
            dj_regress: env!("CARGO_PKG_VERSION"),
            setting: None,
            cases: Vec::new(),
            hurt: Vec::new(),
            run: None,
        };
        Self { path: output.join("results.json"), failed: None, document }
    }
}

impl Reporter for Results {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Ready(setting) => self.document.setting = Some(setting.clone()),
            Event::CaseFinished(case) => self.document.cases.push((**case).clone()),
            Event::Finished(run) => self.document.run = Some(run.clone()),
            Event::Hurt(what) => self.document.hurt.push(what.clone()),
            Event::Preparing(_) | Event::ArmStarted { .. } | Event::ArmFinished { .. } => return Ok(()),
        }
        let text = self.document.text()?;
        // Beside and renamed: whoever reads it finds a whole document.
        let new = self.path.with_extension("json.new");
        let written = fs::write(&new, &text).and_then(|()| fs::rename(&new, &self.path));
        self.failed = written.as_ref().err().map(ToString::to_string);
        written.map_err(|error| {
            // Half a file takes the room that others need.
            let _ = fs::remove_file(&new);
            Error::cannot_run(format!("write {}: {error}", shown(&self.path)))
        })
    }

    fn over(&mut self) -> Result<()> {
        let failed = self.failed.take().or_else(|| (!self.path.is_file()).then(|| "it is gone".to_owned()));
        let Some(why) = failed.filter(|_| !self.document.cases.is_empty()) else { return Ok(()) };
        let failed = Error::cannot_run(format!("write {}: {why}", shown(&self.path)));
        Err(match elsewhere(&self.document.text()?) {
            Ok(path) => failed.hint(format!("what was found so far is in {}", path.display())),
            Err(error) => failed.hint(format!("what was found so far cannot be kept elsewhere either: {error}")),
        })
    }
}

impl Document {
    fn text(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).cannot_run(|| "write the results".to_owned())?;
        text.push('\n');
        Ok(text)
    }
}

/// Writes what was found into the first temporary folder that takes it; gives its path.
fn elsewhere(text: &str) -> io::Result<PathBuf> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for folder in [env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")] {
        let kept = tempfile::Builder::new().prefix("dj-regress-results-").suffix(".json").tempfile_in(folder);
        let kept = kept.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            Ok(file.into_temp_path().keep()?)
        });
        match kept {
            Ok(path) => return Ok(path),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
