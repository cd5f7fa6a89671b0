//! How a run is to be.

use std::path::PathBuf;

use super::code::Commits;
use crate::plan::States;
use crate::project::Project;
use crate::service::ServiceChoice;

/// How to run.
pub struct Options {
    /// Arms at the same time.
    pub lanes: usize,
    /// Which states to run.
    pub states: States,
    /// Where services come from.
    pub services: ServiceChoice,
    /// The folder for the arms' logs.
    pub logs: PathBuf,
    /// The table whose writers are to be told.
    pub writes_of: Option<String>,
    /// Whether a case whose packages cannot be installed is skipped; else its arms are inconclusive, and a run of nothing
    /// else cannot run.
    pub skip_uninstallable: bool,
    /// The user's project, which cases may be about.
    pub project: Option<Project>,
    /// Commits of it in place of those that the cases name.
    pub commits: Commits,
}
