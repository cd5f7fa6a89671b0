//! `results.json`: written anew after every case, so that an interrupted run leaves what it found.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Reporter;
use crate::error::{Context as _, Error, Result};
use crate::runner::{CaseReport, Event, RunReport, Setting};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes `results.json`.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    /// Where it is written instead, once the output folder cannot be.
    elsewhere: Option<PathBuf>,
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
        Self { path: output.join("results.json"), elsewhere: None, document }
    }

    /// The output folder cannot be written to: what was found is kept in the temporary folder.
    fn rescue(&mut self, text: &str, error: &io::Error) -> Error {
        let failed = Error::cannot_run(format!("write {}: {error}", self.path.display()));
        let path = match &self.elsewhere {
            Some(path) => fs::write(path, text).map(|()| path.clone()),
            None => tempfile::Builder::new().prefix("dj-regress-results-").suffix(".json").tempfile().and_then(
                |mut file| {
                    file.write_all(text.as_bytes())?;
                    Ok(file.into_temp_path().keep()?)
                },
            ),
        };
        match path {
            Ok(path) => {
                let hint = format!("what was found so far is in {}", path.display());
                self.elsewhere = Some(path);
                failed.hint(hint)
            }
            Err(error) => failed.hint(format!("nor can it be written to the temporary folder: {error}")),
        }
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
        let mut text = serde_json::to_string_pretty(&self.document).cannot_run(|| "write the results".to_owned())?;
        text.push('\n');
        // Beside and renamed: whoever reads it finds a whole document.
        let new = self.path.with_extension("json.new");
        match fs::write(&new, &text).and_then(|()| fs::rename(&new, &self.path)) {
            Ok(()) => Ok(()),
            Err(error) => {
                // Half a file takes the room that others need.
                let _ = fs::remove_file(&new);
                Err(self.rescue(&text, &error))
            }
        }
    }
}
