//! uv: found on PATH, or installed into a cached tool environment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::interpreter;
use crate::cache::Cache;
use crate::error::{Context as _, Error, Result};
use crate::service::installer;

/// The release that a tool environment gets; a `uv` on PATH may be any.
const VERSION: &str = "0.13.8";

/// What to do when packages cannot be had.
const INDEX: &str = "is a package index reachable? What is installed once is kept in the cache";

/// The interpreter where none is asked for.
const ANY: &str = ">=3.10";

/// For whom requirements are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution<'p> {
    /// With dependencies, for every Python from 3.10.
    Universal,
    /// With dependencies, for this interpreter; without one, for the first that is new enough.
    For(Option<&'p str>),
    /// Without dependencies.
    Alone,
}

/// A uv that can be run.
#[derive(Debug, Clone)]
pub struct Uv {
    program: PathBuf,
    cache: Cache,
}

impl Uv {
    /// Finds uv, or installs it with pip. Needs a package index only in the second case.
    pub fn find(cache: &Cache) -> Result<Self> {
        if let Some(program) = interpreter::on_path("uv") {
            return Ok(Self { program, cache: cache.clone() });
        }
        let folder = cache.directory(&folder_name(), |folder| {
            let python = interpreter::any()?;
            run(Command::new(&python).args(["-m", "venv"]).arg(folder), "make a tool environment")?;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet"]).arg(format!("uv=={VERSION}"));
            run(installer::keep_in(cache, &mut pip), "install uv").map_err(|error| {
                error.hint("install uv by hand (`pip install uv`), or make a package index reachable")
            })?;
            Ok(())
        })?;
        Ok(Self { program: folder.join("bin/uv"), cache: cache.clone() })
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Resolves requirements to exact releases with hashes.
    pub fn compile(&self, requirements: &[String], resolution: Resolution<'_>) -> Result<String> {
        let mut command = self.command();
        command.args(["pip", "compile", "--quiet", "--generate-hashes"]);
        command.args(["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]);
        match resolution {
            Resolution::Universal => command.args(["--universal", "--python-version", "3.10"]),
            Resolution::Alone => command.args(["--universal", "--python-version", "3.10", "--no-deps"]),
            Resolution::For(python) => command.args(["--no-python-downloads", "--python", python.unwrap_or(ANY)]),
        };
        command.arg("-");
        let doing = || format!("resolve {} with uv", requirements.join(", "));
        let output = installer::output(&mut command, requirements.join("\n").as_bytes()).cannot_run(doing)?;
        if !output.status.success() {
            return Err(Error::cannot_run(format!("{}: {}", doing(), tail(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes a virtual environment in `folder` with exactly what the lock says, compiled to bytecode.
    pub fn environment(&self, folder: &Path, python: Option<&str>, lock: &Path) -> Result<()> {
        let mut venv = self.command();
        venv.args(["venv", "--quiet", "--relocatable", "--no-python-downloads", "--python", python.unwrap_or(ANY)])
            .arg(folder);
        run(&mut venv, &format!("make an environment with Python {}", python.unwrap_or(ANY))).map_err(|error| {
            error.hint("`--python` takes a version or the path of an interpreter that is installed")
        })?;
        let mut install = self.command();
        install.args(["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--compile-bytecode", "--python"]);
        install.arg(folder.join("bin/python")).arg("-r").arg(lock);
        run(&mut install, &format!("install {}", lock.display())).map_err(|error| error.hint(INDEX))
    }

    /// Puts what a lock says into an environment again, without what uv has cached: that is damaged.
    pub fn reinstall(&self, folder: &Path, lock: &Path) -> Result<()> {
        let mut install = self.command();
        install.args(["pip", "install", "--quiet", "--no-cache", "--reinstall", "--require-hashes", "--no-deps"]);
        install.args(["--compile-bytecode", "--python"]).arg(folder.join("bin/python")).arg("-r").arg(lock);
        run(&mut install, &format!("install {} anew", lock.display()))
            .map_err(|error| error.hint("what uv has cached is damaged: `uv cache clean` empties its cache"))
    }

    /// Unpacks the wheels of a lock into `folder`, without installing them anywhere.
    pub fn unpack(&self, folder: &Path, lock: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target"]).arg(folder);
        command.arg("--python").arg(interpreter::any()?).arg("-r").arg(lock);
        run(&mut command, &format!("unpack {}", lock.display())).map_err(|error| error.hint(INDEX))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // A venv of the user's, or a wish for no bytecode, must not leak into ours.
        command
            .env_remove("VIRTUAL_ENV")
            .env_remove("CONDA_PREFIX")
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .env_remove("PYTHONPATH");
        // A link to uv's cache would be a file of every environment that it has made: whoever writes to one, writes to all.
        command.env("UV_LINK_MODE", "copy");
        command.env("UV_NO_PROGRESS", "1").env("NO_COLOR", "1");
        installer::keep_in(&self.cache, &mut command);
        command
    }
}

/// The uv that an earlier run installed.
pub fn cached(cache: &Cache) -> Option<PathBuf> {
    Some(cache.path(folder_name()).join("bin/uv")).filter(|uv| uv.exists())
}

fn folder_name() -> String {
    format!("tools/uv-{VERSION}")
}

fn run(command: &mut Command, doing: &str) -> Result<()> {
    let output = installer::output(command, &[]).cannot_run(|| doing.to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::cannot_run(format!("{doing}: {}", tail(&output.stderr))))
}

/// The last lines of what a tool said, which is where tools say why.
fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(12)..].iter().fold(String::new(), |mut all, line| {
        let _ = write!(all, "\n  {line}");
        all
    })
}
