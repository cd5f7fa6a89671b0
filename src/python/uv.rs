//! uv: found beside this program or on PATH, or installed into a cached tool environment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::interpreter;
use crate::cache::Cache;
use crate::error::{Context as _, Error, Result};
use crate::service;
use crate::service::installer::{self, ANY_PYTHON as ANY};

/// The release that a tool environment gets; a `uv` on PATH may be any.
const VERSION: &str = "0.13.8";

/// What to do when packages cannot be had.
const INDEX: &str = "is a package index reachable? What is installed once is kept in the cache";

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

/// What a project says that it needs.
#[derive(Debug, Clone, Copy)]
pub struct ToCompile<'c> {
    /// Requirements, as in a file for pip.
    pub lines: &'c str,
    /// A `pyproject.toml` whose dependencies are needed, too.
    pub pyproject: Option<&'c Path>,
    /// Groups of it.
    pub groups: &'c [String],
    /// Extras of it.
    pub extras: &'c [String],
    /// Distributions that are left out.
    pub exclude: &'c [String],
    /// Requirements in place of what is said elsewhere of the same distribution.
    pub overrides: &'c [String],
    /// The folder that relative paths are relative to.
    pub folder: &'c Path,
    /// The interpreter.
    pub python: &'c Path,
}

/// A uv that can be run.
#[derive(Debug, Clone)]
pub struct Uv {
    program: PathBuf,
    cache: Cache,
}

impl Uv {
    /// Finds uv, which the wheel brings, or installs it with pip. Needs a package index only in the second case.
    pub fn find(cache: &Cache) -> Result<Self> {
        if let Some(program) = service::uv() {
            return Ok(Self { program, cache: cache.clone() });
        }
        let folder = cache.directory(&folder_name(), |folder| {
            let python = interpreter::any()?;
            run(Command::new(&python).args(["-I", "-m", "venv"]).arg(folder), "make a tool environment")?;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-I", "-m", "pip", "install", "--quiet"]).arg(format!("uv=={VERSION}"));
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
            Resolution::For(python) => command.args(["--no-python-downloads", "--python"]).arg(interpreter(python)),
        };
        command.arg("-");
        let doing = || format!("resolve {} with uv", requirements.join(", "));
        let output = installer::output(&mut command, requirements.join("\n").as_bytes()).cannot_run(doing)?;
        if !output.status.success() {
            return Err(Error::cannot_run(format!("{}: {}", doing(), tail(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What `uv.lock` in this folder pins, with hashes: what every installation has, and these groups and extras. The project
    /// itself is left out.
    pub fn export(&self, folder: &Path, python: &Path, groups: &[String], extras: &[String]) -> Result<String> {
        let mut command = self.command();
        command.args(["export", "--quiet", "--frozen", "--no-default-groups", "--format", "requirements-txt"]);
        command.args(["--no-header", "--no-annotate", "--no-emit-project", "--no-emit-local", "--no-python-downloads"]);
        command.arg("--python").arg(python).arg("--project").arg(folder).current_dir(folder);
        command.args(groups.iter().flat_map(|group| ["--group", group]));
        command.args(extras.iter().flat_map(|extra| ["--extra", extra]));
        let doing = || format!("read {} with uv", folder.join("uv.lock").display());
        let output = installer::output(&mut command, &[]).cannot_run(doing)?;
        if !output.status.success() {
            return Err(Error::cannot_run(format!("{}: {}", doing(), tail(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Resolves what a project says that it needs, for one interpreter, to exact releases with hashes.
    pub fn compile_project(&self, wanted: &ToCompile<'_>) -> Result<String> {
        let ToCompile { lines, pyproject, groups, extras, exclude, overrides, folder, python } = *wanted;
        let doing = || "resolve the requirements of the project with uv".to_owned();
        let scratch = tempfile::tempdir().cannot_run(doing)?;
        let file = |name: &str, lines: &[String]| -> Result<PathBuf> {
            let path = scratch.path().join(name);
            std::fs::write(&path, lines.join("\n")).cannot_run(doing)?;
            Ok(path)
        };
        let mut command = self.command();
        command.args(["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]);
        command.args(["--no-emit-index-url", "--no-emit-find-links", "--no-python-downloads", "--python"]).arg(python);
        command.current_dir(folder);
        if !overrides.is_empty() {
            command.arg("--overrides").arg(file("overrides.txt", overrides)?);
        }
        if !exclude.is_empty() {
            command.arg("--excludes").arg(file("excludes.txt", exclude)?);
        }
        if let Some(pyproject) = pyproject {
            command.arg(pyproject);
            command.args(extras.iter().flat_map(|extra| ["--extra", extra]));
            let path = pyproject.display();
            command.args(groups.iter().flat_map(|group| ["--group".to_owned(), format!("{path}:{group}")]));
        }
        command.arg("-");
        let output = installer::output(&mut command, lines.as_bytes()).cannot_run(doing)?;
        if !output.status.success() {
            return Err(Error::cannot_run(format!("{}: {}", doing(), tail(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes a virtual environment in `folder` with this interpreter, and puts what a project's lock says into it, compiled to
    /// bytecode; into the folder `beside` what the harness needs, which is not resolved with the project's.
    pub fn project_environment(&self, folder: &Path, python: &Path, lock: &Path, beside: (&Path, &Path)) -> Result<()> {
        let mut venv = self.command();
        venv.args(["venv", "--quiet", "--relocatable", "--no-python-downloads", "--python"]).arg(python).arg(folder);
        run(&mut venv, &format!("make an environment with {}", python.display()))?;
        let text = std::fs::read_to_string(lock).unwrap_or_default();
        let install = |command: &mut Command, lock: &Path| {
            command.args(["--python"]).arg(folder.join("bin/python")).arg("-r").arg(lock);
            run(command, &format!("install {}", lock.display())).map_err(|error| error.hint(INDEX))
        };
        let mut packages = self.command();
        packages.args(["pip", "install", "--quiet", "--no-deps", "--compile-bytecode"]);
        // What comes from a repository has no hash.
        if !text.lines().any(|line| line.contains(" @ ")) {
            packages.arg("--require-hashes");
        }
        install(&mut packages, lock)?;
        let (beside, harness) = beside;
        let mut packages = self.command();
        packages.args(["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode", "--target"]);
        install(packages.arg(beside), harness)
    }

    /// The interpreter that uv finds for a request: a version, a range of them, a path.
    pub fn find_python(&self, request: &str) -> Option<PathBuf> {
        let mut command = self.command();
        command.args(["python", "find", "--quiet", "--no-project", "--no-config", "--no-python-downloads", request]);
        let output = installer::answer(&mut command).ok().filter(|output| output.status.success())?;
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        path.is_file().then_some(path)
    }

    /// Makes a virtual environment in `folder` with exactly what the lock says, compiled to bytecode.
    pub fn environment(&self, folder: &Path, python: Option<&str>, lock: &Path) -> Result<()> {
        let mut venv = self.command();
        venv.args(["venv", "--quiet", "--relocatable", "--no-python-downloads", "--python"]).arg(interpreter(python));
        venv.arg(folder);
        run(&mut venv, &format!("make an environment with Python {}", python.unwrap_or(ANY))).map_err(|error| {
            error.hint("`--python` takes a version or the path of an interpreter that is installed")
        })?;
        let mut install = self.command();
        install.args(["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--compile-bytecode", "--python"]);
        install.arg(folder.join("bin/python")).arg("-r").arg(absolute(lock));
        run(&mut install, &format!("install {}", lock.display())).map_err(|error| error.hint(INDEX))
    }

    /// Puts what a lock says into an environment again, without what uv has cached: that is damaged.
    pub fn reinstall(&self, folder: &Path, lock: &Path) -> Result<()> {
        let mut install = self.command();
        install.args(["pip", "install", "--quiet", "--no-cache", "--reinstall", "--require-hashes", "--no-deps"]);
        install.args(["--compile-bytecode", "--python"]).arg(folder.join("bin/python")).arg("-r").arg(absolute(lock));
        run(&mut install, &format!("install {} anew", lock.display()))
            .map_err(|error| error.hint("what uv has cached is damaged: `uv cache clean` empties its cache"))
    }

    /// Unpacks the wheels of a lock into `folder`, without installing them anywhere.
    pub fn unpack(&self, folder: &Path, lock: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target"]).arg(folder);
        command.args(["--no-python-downloads", "--python", ANY]).arg("-r").arg(absolute(lock));
        run(&mut command, &format!("unpack {}", lock.display())).map_err(|error| error.hint(INDEX))
    }

    fn command(&self) -> Command {
        installer::uv(&self.program, &self.cache)
    }
}

/// What uv is asked for: a version, or the path of an interpreter.
fn interpreter(python: Option<&str>) -> PathBuf {
    match python.unwrap_or(ANY) {
        path if path.contains('/') => absolute(Path::new(path)),
        version => version.into(),
    }
}

/// From where this program is; uv is started elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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
