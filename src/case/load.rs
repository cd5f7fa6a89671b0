//! Case files: finding, reading, and saying all that is wrong with them.

use std::path::{Path, PathBuf};

use super::check::check;
use super::decode::decode;
use super::diagnostic::{Diagnostic, Span, nearest};
use super::file::CaseFile;
use super::lower::lower;
use super::model::Case;
use super::node::{self, Place};
use super::{inside, limit};
use crate::error::{Context as _, Error, Result};

/// Reads and checks one case file.
pub fn load_file(path: &Path, cases_root: &Path) -> Result<Case> {
    let unreadable = |wrong: Diagnostic, source: &str| {
        let rendered = wrong.render(path, source);
        Error::usage(rendered.strip_prefix("error: ").unwrap_or(&rendered).to_owned())
    };
    let bytes = inside::read(path, limit::FILE)
        .map_err(|error| unreadable(Diagnostic::new(format!("cannot read the case file: {error}")), ""))?;
    let source = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let span = Span { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, len: 1 };
        unreadable(Diagnostic::new("the case file is not UTF-8").at(span), &text)
    })?;
    load_str(&source, path, cases_root)
}

/// Reads and checks the text of a case file. The path names the case, and patches are relative to it.
pub fn load_str(source: &str, path: &Path, cases_root: &Path) -> Result<Case> {
    let name = case_name(path, cases_root);
    let named = limit::case_name(&name).map_err(|wrong| vec![wrong]);
    named.and_then(|()| read(source, path, &name)).map_err(|errors| {
        let rendered: Vec<String> = errors.iter().map(|error| error.render(path, source)).collect();
        // The first `error: ` is put there by whoever prints the error.
        let all = rendered.join("\n\n");
        Error::usage(all.strip_prefix("error: ").unwrap_or(&all))
    })
}

/// Reads several case files; of the bad ones, all errors.
pub fn load_files(paths: &[PathBuf], cases_root: &Path) -> Result<Vec<Case>> {
    let (mut cases, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match load_file(path, cases_root) {
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error.message),
        }
    }
    if errors.is_empty() { Ok(cases) } else { Err(Error::usage(errors.join("\n\nerror: "))) }
}

fn read(source: &str, path: &Path, name: &str) -> Result<Case, Vec<Diagnostic>> {
    let tree = node::parse(source).map_err(|error| vec![error])?;
    let file: CaseFile = decode(&tree).map_err(|error| vec![error])?;
    let top = Place::top(&tree);
    let case = lower(file, top, name.to_owned(), path)?;
    let errors = check(&case, top);
    if errors.is_empty() { Ok(case) } else { Err(errors) }
}

/// The name of a case: its path below the root without its ending; outside the root, its file stem.
pub fn case_name(path: &Path, cases_root: &Path) -> String {
    let below = path.strip_prefix(cases_root).ok().map(Path::to_owned).or_else(|| {
        let (path, root) = (path.canonicalize().ok()?, cases_root.canonicalize().ok()?);
        path.strip_prefix(root).ok().map(Path::to_owned)
    });
    match below {
        Some(below) => below
            .with_extension("")
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join("/"),
        None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
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
        let found = select(word, &named, cases_root)?;
        for case in found {
            if !chosen.contains(&case) {
                chosen.push(case);
            }
        }
    }
    chosen.sort();
    Ok(chosen.into_iter().map(|(_, path)| path).collect())
}

fn select(word: &str, named: &[(String, PathBuf)], cases_root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = format!("{}/", word.trim_end_matches('/'));
    let found: Vec<_> = named.iter().filter(|(name, _)| name == word || name.starts_with(&folder)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let path = Path::new(word);
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
