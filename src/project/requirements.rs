//! Which packages a project says that it needs, and where.

use std::path::{Path, PathBuf};

use super::Project;
use crate::error::{Error, Result};

/// What a project needs, as it says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// Where most of it stands.
    pub source: Source,
    /// Groups of its `pyproject.toml`.
    pub groups: Vec<String>,
    /// Extras of its `pyproject.toml`.
    pub extras: Vec<String>,
    /// Single requirements.
    pub singles: Vec<String>,
    /// Distributions that are left out.
    pub exclude: Vec<String>,
    /// The interpreter that it is configured for; else that of `.python-version`.
    pub python: Option<String>,
}

/// Where requirements stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the folder of a `uv.lock`.
    Uv(PathBuf),
    /// In a lock that pins releases: `pylock.toml`, `poetry.lock` or `Pipfile.lock`.
    Lock(PathBuf),
    /// In files for pip.
    Files(Vec<PathBuf>),
    /// In `pyproject.toml`, as dependencies.
    Pyproject(PathBuf),
    /// Nowhere but in single requirements.
    Nothing,
}

/// Looked for in this order where nothing is said.
const FOUND: [&str; 7] = [
    "uv.lock",
    "pylock.toml",
    "poetry.lock",
    "Pipfile.lock",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/base.txt",
];

impl Requirements {
    /// What a project says in a tree of it; `root` is the folder of `manage.py` there, `top` the tree's.
    ///
    /// # Errors
    ///
    /// Usage if a file is named that is not there, or nothing is said anywhere.
    pub fn find(project: &Project, root: &Path, top: &Path) -> Result<Self> {
        let mut found = Self {
            source: Source::Nothing,
            groups: Vec::new(),
            extras: Vec::new(),
            singles: Vec::new(),
            exclude: project.exclude.clone(),
            python: project.python.clone().or_else(|| python_version(root)).or_else(|| python_version(top)),
        };
        let mut files = Vec::new();
        for word in &project.requirements {
            if let Some(group) = word.strip_prefix("group:") {
                found.groups.push(group.to_owned());
            } else if let Some(extra) = word.strip_prefix("extra:") {
                found.extras.push(extra.to_owned());
            } else if is_file(word) {
                let file = [root, top].into_iter().map(|folder| folder.join(word)).find(|file| file.is_file());
                files.push(file.ok_or_else(|| {
                    Error::usage(format!("`requirements` names {word}, which is not in the project"))
                        .hint("files are named from the folder of manage.py, and tracked by git")
                })?);
            } else {
                found.singles.push(word.clone());
            }
        }
        if files.is_empty() {
            files.extend(look_for(root).or_else(|| look_for(top)));
        }
        found.source = source(&files)?;
        if found.source == Source::Nothing && found.singles.is_empty() {
            return Err(Error::usage("nothing says which packages the project needs").hint(
                "name where it stands: `requirements = [\"requirements/prod.txt\"]`, or packages: `[\"django==5.2.*\"]`",
            ));
        }
        Ok(found)
    }

    /// The files that say it, for the identity of what is made of them.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Uv(folder) => vec![folder.join("uv.lock"), folder.join("pyproject.toml")],
            Source::Lock(file) | Source::Pyproject(file) => vec![file.clone()],
            Source::Files(files) => files.clone(),
            Source::Nothing => Vec::new(),
        }
    }
}

fn source(files: &[PathBuf]) -> Result<Source> {
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(first) = files.first() else { return Ok(Source::Nothing) };
    let source = match name(first).as_str() {
        "uv.lock" => Source::Uv(first.parent().unwrap_or(Path::new(".")).to_owned()),
        "pyproject.toml" => Source::Pyproject(first.clone()),
        name if is_a(name, "lock") || name.starts_with("pylock.") => Source::Lock(first.clone()),
        _ => Source::Files(files.to_vec()),
    };
    let is_pip = |file: &PathBuf| matches!(source_kind(&name(file)), Kind::Pip);
    if files.len() > 1 && !files.iter().all(is_pip) {
        let names: Vec<String> = files.iter().map(name).collect();
        return Err(Error::usage(format!("`requirements` names several locks: {}", names.join(", ")))
            .hint("name one lock; files for pip can be several"));
    }
    Ok(source)
}

enum Kind {
    Pip,
    Other,
}

fn source_kind(name: &str) -> Kind {
    if is_a(name, "lock") || is_a(name, "toml") { Kind::Other } else { Kind::Pip }
}

fn is_a(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|its| its == extension)
}

/// What says it in a folder, where nobody has named a file.
fn look_for(folder: &Path) -> Option<PathBuf> {
    let found = FOUND.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    found.or_else(|| {
        let pyproject = folder.join("pyproject.toml");
        let text = std::fs::read_to_string(&pyproject).ok()?;
        text.lines().any(|line| line.trim() == "[project]").then_some(pyproject)
    })
}

/// Whether a word names a file, and is no requirement.
fn is_file(word: &str) -> bool {
    const ENDINGS: [&str; 4] = ["txt", "in", "lock", "toml"];
    let ending = Path::new(word).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending)) && !word.contains(['=', '<', '>', '@', ' '])
}

/// The first version that `.python-version` names.
fn python_version(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(".python-version")).ok()?;
    let version = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;

    fn find(files: &[&str], words: &[&str]) -> Result<Requirements> {
        let folder = tempfile::tempdir().expect("a temp folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "[project]\n").expect("a file");
        }
        let project =
            Project { requirements: words.iter().map(|&word| word.to_owned()).collect(), ..Project::default() };
        let mut found = Requirements::find(&project, folder.path(), folder.path())?;
        let short = |path: &PathBuf| path.strip_prefix(folder.path()).expect("inside").to_owned();
        found.source = match &found.source {
            Source::Uv(folder) => Source::Uv(short(folder)),
            Source::Lock(file) => Source::Lock(short(file)),
            Source::Files(files) => Source::Files(files.iter().map(short).collect()),
            Source::Pyproject(file) => Source::Pyproject(short(file)),
            Source::Nothing => Source::Nothing,
        };
        Ok(found)
    }

    #[rstest]
    #[case(&["uv.lock", "requirements.txt"], &[], Source::Uv("".into()))]
    #[case(&["uv.lock", "requirements.txt"], &["requirements.txt"], Source::Files(vec!["requirements.txt".into()]))]
    #[case(&["poetry.lock", "pyproject.toml"], &["psycopg[binary]"], Source::Lock("poetry.lock".into()))]
    #[case(&["pyproject.toml"], &["extra:postgres"], Source::Pyproject("pyproject.toml".into()))]
    #[case(&["requirements/base.txt"], &[], Source::Files(vec!["requirements/base.txt".into()]))]
    #[case(&["a.txt", "b.in"], &["a.txt", "b.in"], Source::Files(vec!["a.txt".into(), "b.in".into()]))]
    #[case(&[], &["django==5.2.*"], Source::Nothing)]
    fn what_a_project_needs_stands_where_it_says_or_where_it_is_found(
        #[case] files: &[&str],
        #[case] words: &[&str],
        #[case] expected: Source,
    ) {
        assert_eq!(find(files, words).expect("it is found").source, expected);
    }

    #[test]
    fn groups_extras_and_single_requirements_are_told_apart() {
        let found = find(&["uv.lock"], &["uv.lock", "group:prod", "extra:pg", "psycopg[binary]>=3.1"]);
        let found = found.expect("it is found");
        assert_eq!(
            (found.groups, found.extras, found.singles),
            (vec!["prod".to_owned()], vec!["pg".to_owned()], vec!["psycopg[binary]>=3.1".to_owned()])
        );
    }

    #[rstest]
    #[case(&[], &[], "nothing says which packages")]
    #[case(&[], &["requirements.txt"], "names requirements.txt, which is not in the project")]
    #[case(&["uv.lock", "a.txt"], &["uv.lock", "a.txt"], "several locks: uv.lock, a.txt")]
    fn what_cannot_be_found_is_told(#[case] files: &[&str], #[case] words: &[&str], #[case] expected: &str) {
        let error = find(files, words).expect_err("it is not there");
        assert!(error.message.contains(expected), "{}", error.message);
    }
}
