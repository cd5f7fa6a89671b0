//! An arm's log: evidence of what the harness did, beside what the app says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::actor::StepError;
use crate::probe::arm_log::ArmLog;

/// Puts a traceback into the arm's log and gives the sentence for the report.
pub fn explain(log: &ArmLog, doing: &str, trouble: &StepError) -> String {
    if let StepError::Failed(failed) = trouble {
        log.note(failed.traceback.trim_end());
    }
    format!("{doing}: {trouble}")
}

/// Where an arm's log is written while the arm is played. An actor can only be told a path that is UTF-8: where the output
/// folder's is not, it is in the run's own folder.
pub fn written_to(log: &Path, run_folder: &Path, index: usize) -> PathBuf {
    if log.to_str().is_some() { log.to_owned() } else { run_folder.join(format!("arm-{index}.log")) }
}

/// Keeps a log that was written elsewhere. It is evidence, not a measurement: what cannot be copied must not change a
/// verdict.
pub fn keep(written: &Path, log: &Path) {
    if written != log {
        let _ = fs::copy(written, log);
    }
}
