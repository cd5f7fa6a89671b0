//! Programs of this machine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::installer;

/// All programs of this name on PATH, in order, links followed: a link into the real folder has no siblings.
pub(super) fn on_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = env::split_paths(&path).map(|folder| folder.join(name)).filter(|program| program.is_file());
    programs.filter_map(|program| program.canonicalize().ok()).collect()
}

/// The standard output of a program, trimmed; `None` if it does not run or fails.
pub(super) fn output_of(program: &Path, arguments: &[&OsStr]) -> Option<String> {
    let output = installer::answer(Command::new(program).args(arguments)).ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
