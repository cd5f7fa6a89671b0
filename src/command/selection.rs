//! The cases that a command is for.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::case::load::{self, case_name};
use crate::case::{Case, nearest};
use crate::cli::CaseArgs;
use crate::error::{Context as _, Error, ErrorKind, Result};
use crate::library::Library;
use crate::project::{self, Configuration, Origin, Project, shown};
use crate::python::Locks;
use crate::report::terminal;

/// Case files, and the folder that they are named from.
pub struct Selection {
    /// The folder of the cases, with their `locks`.
    pub folder: PathBuf,
    /// The files that are selected, sorted by name.
    pub files: Vec<PathBuf>,
    /// The project that the current folder is in, unless the cases are the library's.
    pub project: Option<Project>,
    /// The Python for cases that pin none, as the environment or the project says.
    pub python: Option<String>,
    is_library: bool,
}

impl Selection {
    /// Finds what was asked for among one's own cases, else in the library.
    pub fn find(arguments: &CaseArgs, library: Library) -> Result<Self> {
        let options =
            project::Options { cases: arguments.cases_dir.clone(), settings: arguments.settings.clone(), python: None };
        let configuration = Configuration::here(options)?;
        let words = &arguments.cases;
        let folder = shown(&configuration.cases.value);
        let is_usual = configuration.cases.origin == Origin::Usual && configuration.file.is_none();
        let found = if arguments.cases_dir.is_some() || words.is_empty() && (folder.is_dir() || !is_usual) {
            Self::own(words, folder)
        } else {
            match Self::own(words, folder) {
                Err(error) if error.kind == ErrorKind::NothingSelected => {
                    let found = Self::library(words, library);
                    if found.is_ok() && words.is_empty() {
                        let folder = folder.display();
                        terminal::note(&format!(
                            "no folder `{folder}` here: these are the cases that came with dj-regress"
                        ));
                    }
                    found.map_err(|missing| if folder.is_dir() { error } else { missing })
                }
                own => own,
            }
        };
        let mut found = found?;
        found.python = configuration.python.as_ref().map(|said| said.value.clone());
        if !found.is_library {
            found.project = configuration.project();
        }
        Ok(found)
    }

    fn own(words: &[String], folder: &Path) -> Result<Self> {
        if words.is_empty() && !folder.is_dir() {
            if let Some(file) = Error::file_in_the_way(folder) {
                return Err(file.hint("`--cases-dir` names the folder of the cases"));
            }
            return Err(Error::nothing_selected(format!("there is no folder `{}`", folder.display()))
                .hint("name a case file, or with `--cases-dir` the folder of the cases"));
        }
        Ok(Self::of(folder.to_owned(), discover(words, folder)?, false))
    }

    fn library(words: &[String], library: Library) -> Result<Self> {
        let folder = library.folder(&Cache::open()?)?;
        let files = discover(words, &folder)?;
        Ok(Self::of(folder, files, true))
    }

    fn of(folder: PathBuf, files: Vec<PathBuf>, is_library: bool) -> Self {
        Self { folder, files, project: None, python: None, is_library }
    }

    /// The cases, read and checked.
    pub fn load(&self) -> Result<Vec<Case>> {
        let project = self.project.as_ref().map(|project| project.cases.as_path());
        load::load_files(&self.files, load::Root { cases: &self.folder, project })
    }

    /// The locks beside the cases. The library has all of its own, and none is written there.
    pub fn locks(&self, frozen: bool) -> Locks {
        Locks::new(&self.folder, frozen || self.is_library)
    }
}

/// The case files that the selection names, sorted by name; an empty selection names all.
///
/// Each word is a case (`django_q/stat_master_list`), a folder (`django_q`), or the path of a file.
pub fn discover(selection: &[String], cases_root: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if cases_root.is_dir() {
        collect(cases_root, &mut all)?;
    }
    let mut named: Vec<(String, PathBuf)> = all.into_iter().map(|path| (case_name(&path, cases_root), path)).collect();
    named.sort();
    if selection.is_empty() {
        if named.is_empty() {
            let message = format!("there are no cases in {}", cases_root.display());
            return Err(Error::nothing_selected(message).hint("name a case file, or another folder of cases"));
        }
        return Ok(named.into_iter().map(|(_, path)| path).collect());
    }
    let mut chosen: Vec<(String, PathBuf)> = Vec::new();
    for word in selection {
        let found = find(word, &named, cases_root)?;
        for case in found {
            let is_same = |one: &Path| one == case.1 || one.canonicalize().ok() == case.1.canonicalize().ok();
            if !chosen.iter().any(|(_, path)| is_same(path)) {
                chosen.push(case);
            }
        }
    }
    chosen.sort();
    for pair in chosen.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let [(name, one), (_, other)] = pair else { continue };
        let message = format!("two cases are called `{name}`: {} and {}", one.display(), other.display());
        return Err(
            Error::usage(message).hint("run one after the other, or name the folder of both with `--cases-dir`")
        );
    }
    Ok(chosen.into_iter().map(|(_, path)| path).collect())
}

fn find(word: &str, named: &[(String, PathBuf)], cases_root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = format!("{}/", word.trim_end_matches('/'));
    let found: Vec<_> = named.iter().filter(|(name, _)| name == word || name.starts_with(&folder)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let path = Path::new(word);
    if path.is_dir() {
        let mut inside = Vec::new();
        collect(path, &mut inside)?;
        if !inside.is_empty() {
            return Ok(inside.into_iter().map(|path| (case_name(&path, cases_root), path)).collect());
        }
    }
    if is_yaml(path) && path.is_file() {
        return Ok(vec![(case_name(path, cases_root), path.to_owned())]);
    }
    let error = Error::nothing_selected(format!("no case, folder of cases or case file is called `{word}`"));
    let known: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    // People leave the folder out more often than they mistype.
    let stems = known.iter().copied().filter(|name| name.rsplit('/').next() == Some(word) || name.contains(word));
    let folders = known.iter().filter_map(|name| name.split_once('/')).map(|(folder, _)| folder);
    let near = stems.into_iter().next().or_else(|| nearest(word, known.iter().copied().chain(folders)));
    Err(match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`dj-regress list` shows them all"),
    })
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let doing = || format!("reading the folder {}", folder.display());
    for entry in std::fs::read_dir(folder).cannot_run(doing)? {
        let entry = entry.cannot_run(doing)?;
        let path = entry.path();
        // Not following links: a link upwards would never end.
        let kind = entry.file_type().cannot_run(doing)?;
        if kind.is_dir() {
            collect(&path, found)?;
        } else if is_yaml(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml")
}
