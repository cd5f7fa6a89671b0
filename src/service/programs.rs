//! Programs of this machine.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::installer;

/// The first file called `name` on PATH that can be executed. Links stay: a Python finds its home by the name it is called
/// by, and so does a shim.
pub fn program(name: &str) -> Option<PathBuf> {
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(is_program)
}

/// uv: that of the environment which this program was installed into, else the first on PATH.
pub fn uv() -> Option<PathBuf> {
    let beside = env::current_exe().ok().map(|program| program.with_file_name("uv"));
    beside.filter(|uv| uv.is_file()).or_else(|| program("uv"))
}

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
