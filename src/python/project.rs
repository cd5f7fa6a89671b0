//! Environments of projects: from the project's own lock or requirements, with what the harness needs in a folder beside.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use pep440_rs::{Version, VersionSpecifiers};

use super::environment::{Environment, Environments, FORMAT, damage, site_packages};
use super::intact::{self, Extent};
use super::interpreter;
use super::lock::{self, Locks};
use super::uv::{Resolution, ToCompile, Uv};
use crate::error::{Context as _, Error, Result};
use crate::input::inside;
use crate::input::limit::SOURCE;
use crate::project::{Requirements, Source, lines};

/// What the harness needs beside a project's packages.
const BESIDE: &str = include_str!("../../harness/worker/beside.txt");

/// The folder of an environment that holds it; its interpreters look there last.
const FOLDER: &str = "beside";

/// Where nobody says which.
const ANY: &str = ">=3.10";

impl Environments {
    /// The environment of a project's requirements, with these releases in place of what they say. `python` is the case's
    /// pin. Blocks while it is made.
    ///
    /// # Errors
    ///
    /// Cannot run if there is no such interpreter, or something cannot be resolved or installed.
    pub fn of_project(
        &self,
        wanted: &Requirements,
        packages: &IndexMap<String, String>,
        python: Option<&str>,
    ) -> Result<Environment> {
        let key = format!("project {wanted:?} {packages:?} {python:?}");
        let slot = self.made.lock().entry(key).or_default().clone();
        let mut slot = slot.lock();
        slot.get_or_insert_with(|| self.make_project(wanted, packages, python)).clone()
    }

    fn make_project(
        &self,
        wanted: &Requirements,
        packages: &IndexMap<String, String>,
        python: Option<&str>,
    ) -> Result<Environment> {
        let uv = self.uv()?;
        let python = self.interpreter_for(&uv, wanted, python)?;
        let lock = self.lock_of_project(&uv, wanted, packages, &python)?;
        let beside: Vec<String> = requirements(BESIDE).map(str::to_owned).collect();
        let harness = Locks::of_harness(&self.cache).get("harness", &beside, Resolution::Universal, &|| self.uv())?;
        let text = fs::read(&lock).cannot_run(|| format!("read {}", lock.display()))?;
        let identity =
            format!("{FORMAT} project {} {} {}", blake3::hash(&text).to_hex(), harness.hash, python.display());
        let id = blake3::hash(identity.as_bytes()).to_hex()[..16].to_owned();
        let name = format!("environments/{id}");
        let folder = self.cache.path(&name);
        if folder.is_dir()
            && let Some(why) = damage(&folder)
        {
            (self.announce)(format!("the environment {} is damaged and is made again: {why}", folder.display()));
            intact::discard(&self.cache, &name, |folder| damage(folder).is_some())?;
        }
        let folder = self.cache.directory(&name, |folder| {
            (self.announce)("installing the packages of the project (once)".to_owned());
            uv.project_environment(folder, &python, &lock, (&folder.join(FOLDER), &harness.path))
                .map_err(|error| of_repositories(error, &String::from_utf8_lossy(&text)))?;
            Extent::note(folder)
        })?;
        Ok(Environment { id, python: folder.join("bin/python"), site_packages: site_packages(&folder)? })
    }

    /// The interpreter that runs a project: the case's or the user's, else the project's own.
    fn interpreter_for(&self, uv: &Uv, wanted: &Requirements, python: Option<&str>) -> Result<PathBuf> {
        let asked = python.or(self.python.as_deref());
        let requires = requires_python(wanted);
        let request = asked.or(wanted.python.as_deref()).or(requires.as_deref()).unwrap_or(ANY);
        let found = uv.find_python(request).or_else(|| interpreter::of_pyenv(request));
        let found = found.or_else(|| {
            // Another patch release of what `.python-version` names will do.
            let minor: Vec<&str> = request.splitn(3, '.').take(2).collect();
            let minor = minor.join(".");
            (asked.is_none() && minor != request && !request.starts_with(['>', '<', '=', '~', '!']))
                .then(|| uv.find_python(&minor).or_else(|| interpreter::of_pyenv(&minor)))
                .flatten()
        });
        let found = found.ok_or_else(|| {
            Error::cannot_run(format!("the project runs with Python {request}, which is not here"))
                .hint("install it, e.g. `uv python install`, or name another one with `--python`")
        })?;
        if let (Some(requires), Some(version)) = (&requires, interpreter::version(&found)) {
            let holds = requires.parse::<VersionSpecifiers>().ok().zip(version.parse::<Version>().ok());
            if holds.is_some_and(|(requires, version)| !requires.contains(&version)) {
                let message = format!("the project requires Python {requires}, and {} is {version}", found.display());
                return Err(Error::cannot_run(message).hint("name another one with `--python`"));
            }
        }
        Ok(found)
    }

    /// A file with exact releases, in pip's format, for this interpreter: made once for what the project says.
    fn lock_of_project(
        &self,
        uv: &Uv,
        wanted: &Requirements,
        packages: &IndexMap<String, String>,
        python: &Path,
    ) -> Result<PathBuf> {
        let overrides = packages.iter().map(|(package, release)| lock::requirement(package, release));
        let overrides = overrides.collect::<Result<Vec<String>>>()?;
        let said = said(wanted)?;
        let identity = format!(
            "{FORMAT} {said} {:?} {:?} {:?} {:?} {overrides:?} {}",
            wanted.groups,
            wanted.extras,
            wanted.singles,
            wanted.exclude,
            python.display()
        );
        let id = &blake3::hash(identity.as_bytes()).to_hex()[..16];
        let file = self.cache.path(format!("projects/locks/{id}.txt"));
        if file.is_file() {
            return Ok(file);
        }
        let folder = wanted.files().first().and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_default();
        let (locked, pyproject) = match &wanted.source {
            Source::Uv(folder) => (uv.export(folder, python, &wanted.groups, &wanted.extras)?, None),
            Source::Lock(file) => (lines(file, &wanted.groups, &wanted.extras)?, None),
            Source::Files(_) => (said, None),
            Source::Pyproject(file) => (String::new(), Some(file.as_path())),
            Source::Nothing => (String::new(), None),
        };
        let is_lock = matches!(wanted.source, Source::Uv(_) | Source::Lock(_));
        let is_as_it_stands = is_lock && wanted.singles.is_empty() && wanted.exclude.is_empty() && overrides.is_empty();
        let text = if is_as_it_stands {
            locked
        } else {
            (self.announce)("resolving the requirements of the project (once)".to_owned());
            let all = format!("{locked}\n{}\n", wanted.singles.join("\n"));
            let to_compile = ToCompile {
                lines: &all,
                pyproject,
                groups: &wanted.groups,
                extras: &wanted.extras,
                exclude: &wanted.exclude,
                overrides: &overrides,
                folder: if folder.is_dir() { &folder } else { Path::new("/") },
                python,
            };
            uv.compile_project(&to_compile).map_err(|error| of_repositories(error, &all))?
        };
        if !holds_django(&text) {
            return Err(Error::usage("the requirements of the project do not bring Django").hint(
                "name where they stand, or what is missing: `requirements = [\"requirements.txt\", \"group:prod\"]`",
            ));
        }
        let parent = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).cannot_run(|| format!("make {}", parent.display()))?;
        lock::write(parent, &file, &text).cannot_run(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

/// All that the files say, those that they include among it.
fn said(wanted: &Requirements) -> Result<String> {
    let mut text = String::new();
    let is_pip = matches!(wanted.source, Source::Files(_));
    for file in wanted.files().iter().filter(|file| file.is_file()) {
        if is_pip {
            include(file, &mut text, 0)?;
        } else {
            text += &inside::read_text(file, SOURCE).cannot_run(|| format!("read {}", file.display()))?;
        }
    }
    Ok(text)
}

/// How deep files may include each other.
const DEEP: usize = 16;

/// The lines of a file for pip, and of those that it includes; not the project itself.
fn include(file: &Path, text: &mut String, depth: usize) -> Result<()> {
    if depth > DEEP {
        return Err(Error::usage(format!("{} includes itself", file.display())));
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let content = inside::read_text(file, SOURCE).cannot_run(|| format!("read {}", file.display()))?;
    for line in content.lines() {
        let plain = line.trim();
        let option = |names: [&str; 2]| {
            let rest = names.iter().find_map(|name| plain.strip_prefix(name))?;
            rest.starts_with([' ', '=']).then(|| folder.join(rest[1..].trim()))
        };
        if let Some(other) = option(["-r", "--requirement"]) {
            include(&other, text, depth + 1)?;
        } else if let Some(other) = option(["-c", "--constraint"]) {
            text.extend(["-c ", &other.display().to_string(), "\n"]);
        } else if !matches!(plain, "." | "-e ." | "--editable ." | "-e ./" | "./") {
            *text += line;
            text.push('\n');
        }
    }
    Ok(())
}

fn requirements(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn holds_django(text: &str) -> bool {
    requirements(text).any(|line| {
        let name = line.split(['=', ' ', '@', '[', ';']).next().unwrap_or_default();
        name.eq_ignore_ascii_case("django")
    })
}

/// What a `pyproject.toml` beside the requirements says of the interpreter.
fn requires_python(wanted: &Requirements) -> Option<String> {
    let folder = wanted.files().first()?.parent()?.to_owned();
    let text = inside::read_text(&folder.join("pyproject.toml"), SOURCE).ok()?;
    let pyproject: serde_json::Value = toml::from_str(&text).ok()?;
    pyproject["project"]["requires-python"].as_str().map(str::to_owned)
}

/// An installer's error, where requirements come from repositories: they may be the reason.
fn of_repositories(error: Error, text: &str) -> Error {
    let is_of_repository = |line: &&str| line.contains("git+") || line.contains("hg+");
    let Some(line) = requirements(text).find(is_of_repository) else { return error };
    let (name, _) = line.split_once('@').unwrap_or((line, ""));
    let hint = format!(
        "`{}` comes from a repository, which may be out of reach here. Where the project can do without it: \
         `exclude = [\"{}\"]`; where a release will do: `requirements = [..., \"{0}==1.0\"]` and `exclude`",
        line.trim_end_matches('\\').trim(),
        name.trim()
    );
    error.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_include_others_are_one_text_without_the_project_itself() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        fs::create_dir(folder.path().join("requirements")).expect("a folder");
        write("requirements/base.txt", "django==5.2.1\n");
        write("requirements/limits.txt", "");
        write("requirements.txt", "-r requirements/base.txt\n-e .\n-c requirements/limits.txt\nredis==5.0.1  # old\n");
        let mut text = String::new();
        include(&folder.path().join("requirements.txt"), &mut text, 0).expect("it is read");
        let limits = folder.path().join("requirements/limits.txt");
        assert_eq!(text, format!("django==5.2.1\n-c {}\nredis==5.0.1  # old\n", limits.display()));
        write("loop.txt", "-r loop.txt\n");
        assert!(include(&folder.path().join("loop.txt"), &mut text, 0).is_err());
    }

    #[test]
    fn a_requirement_from_a_repository_is_named_when_it_cannot_be_had() {
        let error = of_repositories(Error::cannot_run("no"), "django==5\nfork @ git+https://x.invalid/fork\n");
        assert!(
            error.hint.is_some_and(|hint| hint.contains("git+https://x.invalid/fork") && hint.contains("[\"fork\"]"))
        );
        assert!(of_repositories(Error::cannot_run("no"), "django==5\n").hint.is_none());
    }
}
