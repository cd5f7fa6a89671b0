//! Which Python an environment is made from.

use std::path::{Path, PathBuf};
use std::process::Command;

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
