//! An arm's log: evidence of what the harness did, beside what the app says.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::actor::StepError;

/// Puts a traceback into the arm's log and gives the sentence for the report.
pub fn explain(log: &Path, doing: &str, trouble: &StepError) -> String {
    if let StepError::Failed(failed) = trouble {
        note(log, failed.traceback.trim_end());
    }
    format!("{doing}: {trouble}")
}

/// A line of the harness's own in an arm's log. The log is evidence, not a measurement: a full
/// disk must not change a verdict.
pub fn note(log: &Path, line: &str) {
    if let Ok(mut file) = fs::File::options().create(true).append(true).open(log) {
        let _ = writeln!(file, "{line}");
    }
}
