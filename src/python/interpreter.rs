//! Which Python an environment is made from.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use pep440_rs::{Version, VersionSpecifiers};

use crate::error::{Error, Result};
use crate::service::{installer, program};

/// A Python of at least 3.10, for the tool environment: the first of `python3`, `python3.14` ... on PATH.
pub fn any() -> Result<PathBuf> {
    let names = ["python3", "python3.13", "python3.12", "python3.11", "python3.14", "python3.10", "python"];
    names.iter().filter_map(|name| program(name)).find(|python| is_new_enough(python)).ok_or_else(|| {
        Error::cannot_run("no Python of at least 3.10 on PATH")
            .hint("install one, e.g. `apt-get install python3 python3-venv`, and see `dj-regress doctor`")
    })
}

fn is_new_enough(python: &Path) -> bool {
    succeeds(python, &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
}

/// Whether it makes virtual environments that have pip: some distributions leave that out.
pub fn has_pip(python: &Path) -> bool {
    succeeds(python, &["-c", "import ensurepip, venv"])
}

fn succeeds(python: &Path, arguments: &[&str]) -> bool {
    installer::answer(Command::new(python).args(arguments)).is_ok_and(|output| output.status.success())
}

/// Whether an interpreter of this version (`3.13`) or path is there.
pub fn is_installed(python: &str) -> bool {
    if python.contains('/') {
        Path::new(python).exists()
    } else {
        program(&format!("python{python}")).is_some_and(|path| runs(&path))
    }
}

/// A version manager's shim can be there for a Python that is not.
fn runs(python: &Path) -> bool {
    succeeds(python, &["-V"])
}

/// An interpreter that pyenv has installed, whichever it shows on PATH: the newest that a version (`3.12`) or a range fits.
pub fn of_pyenv(request: &str) -> Option<PathBuf> {
    let root =
        env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".pyenv")))?;
    newest_in(&root.join("versions"), request)
}

fn newest_in(versions: &Path, request: &str) -> Option<PathBuf> {
    let is_bare = request.starts_with(|first: char| first.is_ascii_digit());
    let parts = request.matches('.').count();
    let range = match (is_bare, parts) {
        (true, 0 | 1) => format!("=={request}.*"),
        (true, _) => format!("=={request}"),
        (false, _) => request.to_owned(),
    };
    let range: VersionSpecifiers = range.parse().ok()?;
    let folders = std::fs::read_dir(versions).ok()?.flatten();
    let fitting = folders.filter_map(|folder| {
        let version: Version = folder.file_name().to_str()?.parse().ok()?;
        let python = folder.path().join("bin/python");
        (range.contains(&version) && python.is_file()).then_some((version, python))
    });
    fitting.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, python)| python)
}

/// `platform.python_version()` of an interpreter.
pub fn version(python: &Path) -> Option<String> {
    let arguments = ["-I", "-c", "import platform; print(platform.python_version())"];
    let output = installer::answer(Command::new(python).args(arguments)).ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("3.12", Some("3.12.10"))]
    #[case("3.12.1", Some("3.12.1"))]
    #[case(">=3.10,<3.12", Some("3.11.7"))]
    #[case("3", Some("3.12.10"))]
    #[case(">=3.14", None)]
    #[case("pypy", None)]
    fn the_newest_of_pyenv_that_fits_is_taken(#[case] request: &str, #[case] expected: Option<&str>) {
        let folder = tempfile::tempdir().expect("a temp folder");
        for version in ["2.7.18", "3.11.7", "3.12.1", "3.12.10", "my-env"] {
            let bin = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).expect("a folder");
            std::fs::write(bin.join("python"), "").expect("a file");
        }
        let found = newest_in(folder.path(), request);
        assert_eq!(found, expected.map(|version| folder.path().join(version).join("bin/python")));
    }
}
