//! `results.json`: written anew after every case, so that an interrupted run leaves what it found.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Reporter;
use crate::error::{Context as _, Result};
use crate::runner::{CaseReport, Event, RunReport, Setting};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes `results.json`.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    document: Document,
}

#[derive(Debug, Serialize)]
struct Document {
    schema_version: u32,
    dj_regress: &'static str,
    /// Absent until the services answer.
    setting: Option<Setting>,
    cases: Vec<CaseReport>,
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
            run: None,
        };
        Self { path: output.join("results.json"), document }
    }
}

impl Reporter for Results {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Ready(setting) => self.document.setting = Some(setting.clone()),
            Event::CaseFinished(case) => self.document.cases.push((**case).clone()),
            Event::Finished(run) => self.document.run = Some(run.clone()),
            Event::Preparing(_) | Event::ArmStarted { .. } => return Ok(()),
        }
        let text = serde_json::to_string_pretty(&self.document).cannot_run(|| "write the results".to_owned())?;
        // Beside and renamed: whoever reads it finds a whole document.
        let new = self.path.with_extension("json.new");
        fs::write(&new, text + "\n")
            .and_then(|()| fs::rename(&new, &self.path))
            .cannot_run(|| format!("write {}", self.path.display()))
    }
}
